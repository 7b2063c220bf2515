"""Bodies: read whole, bounded in bytes and in time, and all of them together bounded in memory."""

from __future__ import annotations

import asyncio
import time

from nimriz.base.errors import Refused
from nimriz.web.http import Receive
from nimriz.web.metrics import Counters


class Bodies:
    """Reads request bodies. Counts the bytes that are in flight over all of them."""

    def __init__(self, counters: Counters, *, timeout_s: float, in_flight_max: int) -> None:
        self._counters = counters
        self._timeout_s = timeout_s
        self._in_flight_max = in_flight_max
        self._in_flight = 0

    async def read(self, receive: Receive, bytes_max: int) -> bytes:
        """The whole body. Raises Refused: body_too_large, body_timeout, store_unavailable."""
        ends_s = time.monotonic() + self._timeout_s
        chunks: list[bytes] = []
        size = 0
        try:
            while True:
                try:
                    async with asyncio.timeout(ends_s - time.monotonic()):
                        message = await receive()
                except TimeoutError:
                    raise Refused("body_timeout") from None
                if message["type"] == "http.disconnect":
                    raise Refused("body_timeout")
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                self._in_flight += len(chunk)
                if size > bytes_max:
                    raise Refused("body_too_large")
                if not message.get("more_body"):
                    return b"".join([*chunks, chunk]) if chunks else chunk
                chunks.append(chunk)
                if self._in_flight > self._in_flight_max:
                    self._counters.bodies_over_bound += 1
                    raise Refused("store_unavailable", retry_after_s=1)
        finally:
            self._in_flight -= size
