"""The whole test world: a served installation with one workspace, its owner, a viewer and a stranger.

Everything goes over real sockets to a real server; `Served` starts, kills and restarts it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx2

from nimriz.base import signing
from nimriz.config import Settings
from tests.patience import PATIENCE_S
from tests.ports import own_port

# A command, or a server's start or end, on a machine that is busy with others.
SLOWLY_S = 180.0
HUMAN = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
Body = dict[str, Any]


@dataclass
class Served:
    """One data directory and the server that serves it."""

    data_dir: Path
    env: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=own_port)
    metrics_port: int = field(default_factory=own_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the application answers."""
        return f"http://localhost:{self.port}"

    @property
    def log_path(self) -> Path:
        """Everything that the server has printed."""
        return self.data_dir.parent / f"{self.data_dir.name}.log"

    def environment(self) -> dict[str, str]:
        """The environment of every process of this installation."""
        own = {
            "NIMRIZ_DATA_DIR": str(self.data_dir),
            "NIMRIZ_PORT": str(self.port),
            "NIMRIZ_METRICS_PORT": str(self.metrics_port),
            # What was answered is on disk, however slow the disk: a test counts it, and a busy machine changes nothing.
            "NIMRIZ_CLICK_WAIT_MS_MAX": "0",
            "NIMRIZ_CONVERSION_WAIT_MS_MAX": "60000",
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("NIMRIZ_")}
        return inherited | own | self.env

    def settings(self) -> Settings:
        """The settings of this installation, for a test that opens it beside the server."""
        return Settings(
            data_dir=self.data_dir, port=self.port, clock_offset_s=int(self.env.get("NIMRIZ_CLOCK_OFFSET_S", "0"))
        )

    def run(self, *arguments: str, body: bytes = b"", check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run a command of the installation, as a person would."""
        return subprocess.run(
            [sys.executable, "-m", "nimriz", *arguments],
            input=body,
            env=self.environment(),
            capture_output=True,
            check=check,
            timeout=SLOWLY_S,
        )

    def start(self) -> None:
        """Serve, and return when it is ready."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nimriz", "serve"], env=self.environment(), stdout=log, stderr=log
            )
        ends_s = time.monotonic() + SLOWLY_S
        while time.monotonic() < ends_s:
            if self.process.poll() is not None:
                break
            if self.is_ready():
                return
            time.sleep(0.05)
        raise AssertionError(f"the server did not start:\n{self.log_path.read_text()}")

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            return httpx2.get(f"{self.url}/_ready", timeout=10).status_code == 200
        except httpx2.HTTPError:
            return False

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Stop the main process with a signal; returns its exit status."""
        process = cast("subprocess.Popen[bytes]", self.process)
        process.send_signal(how)
        status = process.wait(timeout=SLOWLY_S)
        self.process = None
        return status

    def metric(self, name: str) -> float:
        """The value of a metric, from its own listener."""
        text = httpx2.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=PATIENCE_S).text
        found = re.search(rf"^nimriz_{name} (\S+)$", text, re.MULTILINE)
        assert found, f"no metric nimriz_{name}"
        return float(found[1])


@dataclass
class Workspace:
    """A workspace of a served installation, and what its owner can do from outside."""

    served: Served
    workspace_id: str
    api_key: str
    signing_secret: str
    test_signing_secret: str
    domain_id: str
    client: httpx2.Client

    def get(self, path: str, **params: Any) -> httpx2.Response:
        """GET with the owner's key."""
        return self.client.get(path, params=params, headers={"Authorization": f"Bearer {self.api_key}"})

    def call(self, method: str, path: str, body: Body) -> httpx2.Response:
        """Another method with the owner's key."""
        return self.client.request(method, path, json=body, headers={"Authorization": f"Bearer {self.api_key}"})

    def link(self, long_url: str = "https://shop.example/landing", **fields: Any) -> Body:
        """Make a tracked link; the link on the wire."""
        body = {"domain_id": self.domain_id, "long_url": long_url, "conversion_tracking": True, **fields}
        response = self.call("POST", "/api/shorten", body)
        assert response.status_code == 201, response.text
        return cast(Body, response.json()["link"])

    def location(self, short_code: str, query: str = "", **headers: str) -> str:
        """Click as a visitor does; where one is sent."""
        response = self.client.get(f"/{short_code}{query}", headers={"User-Agent": HUMAN, **headers})
        assert response.status_code in (301, 302), response.text
        return response.headers["location"]

    def click(self, short_code: str) -> str:
        """Click, and keep the token as a landing page would."""
        found = re.search(r"[?&]nim_ct=([^&#]+)", self.location(short_code))
        assert found
        return found[1]

    def sign(self, raw: bytes, secret: str = "", timestamp_s: int | None = None) -> dict[str, str]:
        """The headers that sign a body."""
        offset_s = int(self.served.env.get("NIMRIZ_CLOCK_OFFSET_S", "0"))
        timestamp_s = int(time.time()) + offset_s if timestamp_s is None else timestamp_s
        return {
            "Content-Type": "application/json",
            "X-Nim-Timestamp": str(timestamp_s),
            "X-Nim-Signature": signing.sign((secret or self.signing_secret).encode(), timestamp_s, raw),
        }

    def post_raw(
        self, raw: bytes, *, path: str = "", secret: str = "", headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        """Sign and post a raw body."""
        signed = {**self.sign(raw, secret), **(headers or {})}
        return self.client.post(f"/api/conversions/callback/{self.workspace_id}{path}", content=raw, headers=signed)

    def post(self, body: Any, *, path: str = "", secret: str = "", **headers: str) -> httpx2.Response:
        """Sign and post a JSON body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.post_raw(json.dumps(body).encode(), path=path, secret=secret, headers=named)

    def event(self, event_id: str, mode: str = "live") -> Body:
        """One event as it stands."""
        response = self.get(f"/api/v1/conversions/{event_id}", mode=mode)
        assert response.status_code == 200, response.text
        return cast(Body, response.json())


def create_workspace(served: Served, name: str = "Alice's shop") -> Workspace:
    """Make a workspace on the command line, beside the running server."""
    made = json.loads(served.run("workspace", "create", name, "--json").stdout)
    client = httpx2.Client(base_url=served.url, timeout=PATIENCE_S)
    return Workspace(
        served,
        made["workspace_id"],
        made["api_key"],
        made["signing_secret"],
        made["test_signing_secret"],
        made["domain_id"],
        client,
    )


def lead(event_id: str, click_id: str | None = None, external_id: str | None = None, **more: Any) -> Body:
    """A lead."""
    return {
        "event_name": "lead",
        "event_id": event_id,
        "user_data": {"click_id": click_id, "external_id": external_id},
        **more,
    }


def sale(
    event_id: str,
    value: str | None = "100.00",
    currency: str | None = "USD",
    *,
    click_id: str | None = None,
    external_id: str | None = None,
    event_time: int | str | None = None,
    **custom: Any,
) -> Body:
    """A sale."""
    return {
        "event_name": "sale",
        "event_id": event_id,
        "event_time": event_time,
        "user_data": {"click_id": click_id, "external_id": external_id},
        "custom_data": {"value": value, "currency": currency if value is not None else None, **custom},
    }


def follow_on(
    event_name: str,
    event_id: str,
    value: str | None = None,
    currency: str = "USD",
    *,
    event_time: Any = None,
    **custom: Any,
) -> Body:
    """A refund, cancellation or reversal."""
    money = {} if value is None else {"value": value, "currency": currency}
    return {
        "event_name": event_name,
        "event_id": event_id,
        "event_time": event_time,
        "custom_data": {**money, **custom},
    }


@contextmanager
def serving(data_dir: Path, **settings: str) -> Iterator[Served]:
    """A server for the time of a test; settings without their prefix NIMRIZ_."""
    served = Served(data_dir, {f"NIMRIZ_{name.upper()}": value for name, value in settings.items()})
    served.start()
    try:
        yield served
    finally:
        if served.process is not None:
            served.stop(signal.SIGKILL)
