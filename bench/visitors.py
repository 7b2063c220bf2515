"""The crowd of bench/crowd: idle connections, half-sent headers, and bodies of a byte a second.

    python bench/visitors.py PORT SLUG WORKSPACE_ID SECONDS

Prints who is there as a line of JSON, once when everybody is, and once more some seconds later.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass

IDLE = 10_000
HALF_HEADERS = 2_000
SLOW_BODIES = 2_000
_BODY_BYTES = 200
_CONNECTING_MAX = 200
# One address has about 28,000 ports; the crowd comes from several.
_ADDRESSES = 5
_BUILD_UP_S_MAX = 120.0
# Those that the server closes come back a moment later, so not all are there at one time.
_PRESENT_LEAST = 0.97


@dataclass
class Count:
    """How many of each kind are there, and how often the server had enough of one."""

    idle: int = 0
    half_headers: int = 0
    slow_bodies: int = 0
    idle_closed: int = 0
    half_headers_closed: int = 0
    slow_bodies_refused: int = 0
    failed: int = 0

    @property
    def present(self) -> int:
        """Everybody who is there."""
        return self.idle + self.half_headers + self.slow_bodies


class Crowd:
    """Opens the connections, and another one wherever the server has closed one."""

    def __init__(self, port: int, slug: str, workspace_id: str) -> None:
        self._port = port
        self._request = f"HEAD /{slug} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n".encode()
        self._delivery = f"POST /api/conversions/callback/{workspace_id} HTTP/1.1\r\nHost: localhost\r\n"
        self._connecting = asyncio.Semaphore(_CONNECTING_MAX)
        self._opened = 0
        self.count = Count()

    async def gather(self) -> None:
        """Bring everybody; returns when they are there."""
        kinds: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (IDLE, self._idle),
            (HALF_HEADERS, self._half_headers),
            (SLOW_BODIES, self._slow_body),
        ]
        self._tasks = [asyncio.create_task(self._again(hold)) for number, hold in kinds for _ in range(number)]
        ends_s = time.monotonic() + _BUILD_UP_S_MAX
        while self.count.present < _PRESENT_LEAST * len(self._tasks) and time.monotonic() < ends_s:  # noqa: ASYNC110
            await asyncio.sleep(0.2)

    async def _again(self, hold: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await hold()
            except (OSError, asyncio.IncompleteReadError):
                self.count.failed += 1
                await asyncio.sleep(1)

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        self._opened += 1
        source = f"127.0.0.{2 + self._opened % _ADDRESSES}"
        async with self._connecting:
            opened = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(source, 0))
        with contextlib.closing(opened[1]):
            yield opened

    async def _idle(self) -> None:
        async with self._open() as (reader, writer):
            writer.write(self._request)
            await reader.readuntil(b"\r\n\r\n")
            self.count.idle += 1
            try:
                await reader.read()
                self.count.idle_closed += 1
            finally:
                self.count.idle -= 1

    async def _half_headers(self) -> None:
        async with self._open() as (reader, writer):
            writer.write(self._request[: len(self._request) // 2])
            self.count.half_headers += 1
            try:
                await reader.read()
                self.count.half_headers_closed += 1
            finally:
                self.count.half_headers -= 1

    async def _slow_body(self) -> None:
        async with self._open() as (reader, writer):
            headers = f"X-Nim-Timestamp: {int(time.time())}\r\nX-Nim-Signature: v1={'0' * 64}\r\n"
            headers += f"Content-Type: application/json\r\nContent-Length: {_BODY_BYTES}\r\n\r\n"
            writer.write((self._delivery + headers).encode())
            self.count.slow_bodies += 1
            answered = asyncio.create_task(reader.read(1))
            try:
                for _ in range(_BODY_BYTES):
                    writer.write(b" ")
                    if (await asyncio.wait([answered], timeout=1))[0]:
                        break
                self.count.slow_bodies_refused += 1
            finally:
                answered.cancel()
                self.count.slow_bodies -= 1


async def main(port: int, slug: str, workspace_id: str, seconds: float) -> None:
    """Gather, tell, stay, tell. The end of the process closes what is open."""
    crowd = Crowd(port, slug, workspace_id)
    await crowd.gather()
    print(json.dumps(asdict(crowd.count)), flush=True)
    await asyncio.sleep(seconds)
    print(json.dumps(asdict(crowd.count)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])))
