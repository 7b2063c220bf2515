"""The demo's customer: visitors who follow its links, and a server of its own that posts outcomes.

Speaks HTTP only, as a stranger's programs would; raises DemoStopped when an answer is none that fits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qs, urlsplit

import httpx2

from nimriz.base import signing
from nimriz.demo.server import DemoStopped, Server

Body = dict[str, Any]
VISITOR = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class Answer(NamedTuple):
    """What the Conversion API said."""

    status: int
    body: Body


@dataclass(frozen=True, slots=True)
class Customer:
    """One workspace and what its owner holds. Safe to share between threads."""

    server: Server
    client: httpx2.Client
    workspace_id: str
    api_key: str
    signing_secret: str
    domain_id: str

    def shorten(self, slug: str, long_url: str) -> Body:
        """Make a tracked link; the link as the API shows it."""
        new = {"domain_id": self.domain_id, "custom_slug": slug, "long_url": long_url, "conversion_tracking": True}
        response = self._call("POST", "/api/shorten", json=new, headers=self._bearer())
        return cast(Body, _expect(response, 201).json()["link"])

    def visit(self, short_url: str) -> str:
        """Follow a link as a visitor's browser does; where it leads."""
        response = self._call("GET", short_url, headers={"User-Agent": VISITOR})
        return _expect(response, 302).headers["location"]

    def post(self, event: Mapping[str, Any]) -> Answer:
        """Sign an event and post it, as the customer's own server does."""
        raw = json.dumps(event).encode()
        timestamp_s = self.server.clock.now_ms() // 1000
        headers = {
            "Content-Type": "application/json",
            "X-Nim-Timestamp": str(timestamp_s),
            "X-Nim-Signature": signing.sign(self.signing_secret.encode(), timestamp_s, raw),
        }
        response = self._call("POST", f"/api/conversions/callback/{self.workspace_id}", content=raw, headers=headers)
        return Answer(response.status_code, _expect(response, 200, 201).json())

    def read(self, path: str, **params: str) -> Body:
        """Ask the read API."""
        response = self._call("GET", path, params=params, headers=self._bearer())
        return cast(Body, _expect(response, 200).json())

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    def _call(self, method: str, url: str, **more: Any) -> httpx2.Response:
        try:
            return self.client.request(method, url, **more)
        except httpx2.HTTPError as error:
            path = urlsplit(url).path
            raise DemoStopped(self.server.with_log(f"{method} {path} had no answer ({type(error).__name__})")) from None


def token_of(location: str) -> str:
    """The click token that a landing page finds in its own address; '' when there is none."""
    return parse_qs(urlsplit(location).query).get("nim_ct", [""])[0]


def _expect(response: httpx2.Response, *statuses: int) -> httpx2.Response:
    if response.status_code not in statuses:
        request = response.request
        raise DemoStopped(
            f"{request.method} {request.url.path} answered {response.status_code} "
            f"instead of {' or '.join(map(str, statuses))}: {response.text[:500]}"
        )
    return response


def moved_in(server: Server, client: httpx2.Client) -> Customer:
    """A new customer: a workspace made on the command line, beside the running server."""
    made = json.loads(server.command("workspace", "create", "Demo shop", "--json"))
    return Customer(server, client, made["workspace_id"], made["api_key"], made["signing_secret"], made["domain_id"])
