"""A proxy between a client and the real server that does what networks do: it drops, hangs, refuses and repeats."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import httpx2

from tests.patience import PATIENCE_S
from tests.ports import own_port

PASS, DROP, LOSE, HANG, TWICE, HTML = "pass", "drop", "lose", "hang", "twice", "html"
"""Hand on; close before anything arrived; close when it has arrived; say nothing; deliver twice; a portal's page."""


class Asked(NamedTuple):
    """One request that reached the proxy."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Faulty:
    """The proxy: faults to come, the first first, and what it was asked. A fault may be a status with its headers."""

    server_url: str
    port: int = field(default_factory=own_port)
    faults: list[str | tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://localhost:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    proxy: Faulty

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        fault = self.proxy.faults.pop(0) if self.proxy.faults else PASS
        self.proxy.asked.append(asked)
        if isinstance(fault, tuple):
            self._answer(*fault)
            return
        if fault == HTML:
            self._answer(200, {"Content-Type": "text/html"}, b"<p>Please log in</p>")
            return
        if fault == HANG:
            self.proxy.let_go.wait(PATIENCE_S)
        if fault in (DROP, HANG):
            self.close_connection = True
            return
        answer = self._hand_on(asked)
        if fault == TWICE:
            answer = self._hand_on(asked)
        if fault == LOSE:
            self.close_connection = True
            return
        self._answer(answer.status_code, {"Content-Type": answer.headers["content-type"]}, answer.content)

    def _hand_on(self, asked: Asked) -> httpx2.Response:
        kept = {name: value for name, value in asked.headers.items() if name not in ("host", "connection")}
        return httpx2.post(self.proxy.server_url + asked.path, content=asked.body, headers=kept, timeout=PATIENCE_S)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing on standard error."""


@contextmanager
def faulty(server_url: str) -> Iterator[Faulty]:
    """A proxy for the time of a test."""
    proxy = Faulty(server_url)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    with ThreadingHTTPServer(("127.0.0.1", proxy.port), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.let_go.set()
            server.shutdown()
            thread.join()
