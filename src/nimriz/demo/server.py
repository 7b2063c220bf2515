"""The demo's server: the real one, as a process of its own, in a directory that is removed at the end.

Promises that the process has ended when `installation` is left, however it is left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from nimriz.base.clock import Clock
from nimriz.net import free_port

START_S = 60.0
STOP_S = 12.0
_POLL_S = 0.02
_LOG_LINES = 8


class DemoStopped(Exception):
    """The demo cannot go on; the message is the sentence to print."""


@dataclass
class Server:
    """One installation, and the process that serves it while it is started."""

    folder: Path
    port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    offset_s: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://localhost:{self.port}"

    @property
    def clock(self) -> Clock:
        """The clock that it goes by."""
        return Clock(self.offset_s)

    def _environment(self) -> dict[str, str]:
        """Nothing of the caller's own installation, so that the demo can neither read nor change it."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NIMRIZ_")}
        return inherited | {
            "NIMRIZ_DATA_DIR": str(self.folder / "data"),
            "NIMRIZ_MASTER_KEY_FILE": str(self.folder / "master-key"),
            "NIMRIZ_PORT": str(self.port),
            "NIMRIZ_METRICS_PORT": str(self.metrics_port),
            "NIMRIZ_CLOCK_OFFSET_S": str(self.offset_s),
            # A slow disk must not change the figures: every visitor waits until the click is on it.
            "NIMRIZ_CLICK_WAIT_MS_MAX": "0",
        }

    def command(self, *arguments: str) -> str:
        """What a command of this installation prints."""
        done = subprocess.run(
            [sys.executable, "-m", "nimriz", *arguments],
            env=self._environment(), capture_output=True, text=True, timeout=START_S, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise DemoStopped(f"nimriz {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def start(self, offset_s: int = 0) -> None:
        """Serve, with the clock moved by `offset_s`; returns when it is ready to answer."""
        self.offset_s = offset_s
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "nimriz", "serve"], env=self._environment(), stdout=log, stderr=log
            )
        ends_s = time.monotonic() + START_S
        # Without trust_env: a proxy of the environment knows nothing of this machine's own ports.
        with httpx2.Client(base_url=self.url, trust_env=False, timeout=2) as client:
            while time.monotonic() < ends_s and self._process.poll() is None:
                with contextlib.suppress(httpx2.HTTPError):
                    if client.get("/_ready").status_code == 200:
                        return
                time.sleep(_POLL_S)
        raise DemoStopped(self.with_log(f"The server did not start on port {self.port}"))

    def stop(self) -> None:
        """Stop as an operator would, and kill what does not follow."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.terminate()
            process.wait(STOP_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def with_log(self, sentence: str) -> str:
        """The sentence, with the last lines that the server printed."""
        log = self.folder / "server.log"
        lines = log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:] if log.exists() else []
        return f"{sentence}; it said:\n" + "\n".join(f"  {line}" for line in lines or ["nothing"])


@contextlib.contextmanager
def installation() -> Iterator[Server]:
    """A new installation for the time of the demo."""
    folder = Path(tempfile.mkdtemp(prefix="nimriz-demo-"))
    server = Server(folder)
    try:
        yield server
    finally:
        server.stop()
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder; a worker that was killed in the middle of its start may still write there for an instant."""
    ends_s = time.monotonic() + STOP_S
    while folder.exists() and time.monotonic() < ends_s:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_POLL_S)
