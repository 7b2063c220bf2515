"""HTTP as bytes: for requests that a client library would mend, and answers that it would normalise."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

Header = tuple[str | bytes, str | bytes]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, its headers in lower case and in order."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The only value of a header; None when there is none."""
        values = self.all(name)
        assert len(values) < 2, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for found, value in self.headers if found == name]

    @property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object."""
        return cast(dict[str, Any], json.loads(self.body))

    @property
    def code(self) -> str | None:
        """The code of a problem; None for everything else."""
        if self.header("content-type") != "application/problem+json":
            return None
        return cast(str, self.json["code"])

    @property
    def field_codes(self) -> dict[str, str]:
        """field -> code of a validation_failed."""
        return {error["field"]: error["code"] for error in self.json.get("errors", [])}


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def head(method: str, target: str | bytes, headers: Sequence[Header]) -> bytes:
    """A request's head, exactly as given."""
    lines = [_bytes(method) + b" " + _bytes(target) + b" HTTP/1.1"]
    lines += [_bytes(name) + b": " + _bytes(value) for name, value in headers]
    return b"\r\n".join([*lines, b"", b""])


def read_reply(connection: socket.socket, method: str) -> Reply:
    """The answer on a connection."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    body = response.read()
    return Reply(response.status, [(n.lower(), v) for n, v in response.getheaders()], body)


def send(
    port: int, method: str, target: str | bytes, headers: Sequence[Header] = (), body: bytes = b"", *, host: bool = True
) -> Reply:
    """Send one request with Host, Connection and Content-Length added; the answer."""
    added: list[Header] = [("Host", f"localhost:{port}")] if host else []
    added.append(("Connection", "close"))
    if body or method == "POST":
        added.append(("Content-Length", str(len(body))))
    return send_bytes(port, method, head(method, target, [*added, *headers]) + body)


def send_bytes(port: int, method: str, raw: bytes, timeout_s: float = 60) -> Reply:
    """Send bytes; the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        # It may answer before it has read everything.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(raw)
        return read_reply(connection, method)
