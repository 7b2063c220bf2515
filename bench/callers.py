"""Callers: connections that are kept, each asking again as soon as it was answered, and what they measured.

Where wrk asks for some seconds, callers ask each request once: that is what making links, and visiting links
that nobody has visited before, are measured by.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import uvloop

from stage import LOAD_CORE, Server, bound_to


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of some requests; `body` is the last answer's."""

    took_ms: list[float]
    duration_s: float
    cpu_s: float
    body: bytes

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.took_ms) / self.duration_s

    @property
    def p50_ms(self) -> float:
        """The median."""
        return statistics.median(self.took_ms)

    @property
    def p95_ms(self) -> float:
        """The 95th percentile."""
        return statistics.quantiles(self.took_ms, n=20)[18]

    @property
    def cpu_ms(self) -> float:
        """What one answer cost the server, in milliseconds of its processes' time."""
        return self.cpu_s / len(self.took_ms) * 1_000


def ask(server: Server, requests: Sequence[bytes], connections: int, status: int) -> Asked:
    """Send whole requests, each once. Ends the program when one is not answered with `status`."""
    waiting = deque(requests)
    took_ms: list[float] = []
    last = [b""]
    address = urlsplit(server.url)

    async def call() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**24)
        while waiting:
            request = waiting.popleft()
            started_s = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            last[0] = await reader.readexactly(_length(head))
            took_ms.append((time.perf_counter() - started_s) * 1000)
            if int(head[9:12]) != status:
                sys.exit(f"answered {head[9:12].decode()}: {last[0][:300].decode()}")
        writer.close()

    async def all_of_them() -> None:
        await asyncio.gather(*(call() for _ in range(connections)))

    with bound_to(LOAD_CORE):
        spent_s, started_s = server.cpu_s(), time.perf_counter()
        uvloop.run(all_of_them())
        return Asked(took_ms, time.perf_counter() - started_s, server.cpu_s() - spent_s, last[0])


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    sys.exit("an answer without a length")


def request(method: str, target: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A whole request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *(f"{k}: {v}" for k, v in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
