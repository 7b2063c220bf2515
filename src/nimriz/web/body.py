"""Bodies: read whole, bounded in bytes and in time, and all of them together bounded in memory."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

from nimriz.base.errors import Refused
from nimriz.web.http import Receive
from nimriz.web.metrics import Counters

_LOOK_EVERY_S = 0.25
_JSON_TYPE = re.compile(rb'application/json[ \t]*(;[ \t]*charset=("?)utf-8\2[ \t]*)?', re.IGNORECASE)


def is_json_type(values: list[bytes]) -> bool:
    """Whether the values of Content-Type, as they were sent, name JSON in UTF-8: once, and nothing else."""
    return len(values) == 1 and _JSON_TYPE.fullmatch(values[0].strip()) is not None


class Bodies:
    """Reads request bodies. Counts the bytes that are in flight over all of them.

    Deadlines are kept by one look at all readers several times a second: a timer for each body would
    cost more than reading it does.
    """

    def __init__(self, counters: Counters, *, timeout_s: float, in_flight_max: int) -> None:
        self._counters = counters
        self._timeout_s = timeout_s
        self._in_flight_max = in_flight_max
        self._in_flight = 0
        self._readers: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._look_every_s = min(_LOOK_EVERY_S, timeout_s / 4)
        asyncio.get_running_loop().call_later(self._look_every_s, self._look)

    async def read(self, receive: Receive, bytes_max: int) -> bytes:
        """The whole body. Raises Refused: body_too_large, body_timeout, store_unavailable."""
        reader = asyncio.current_task()
        if reader is None:
            raise RuntimeError("a body is read by a task")
        self._readers[reader] = time.monotonic() + self._timeout_s
        try:
            return await self._read(receive, bytes_max)
        except asyncio.CancelledError:
            # Somebody else may have cancelled us too: that one goes on.
            if reader not in self._late or reader.uncancel():
                raise
            raise Refused("body_timeout") from None
        finally:
            del self._readers[reader]
            self._late.discard(reader)

    async def _read(self, receive: Receive, bytes_max: int) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            while True:
                message = await receive()
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

    def _look(self) -> None:
        now_s = time.monotonic()
        for reader, ends_s in self._readers.items():
            if now_s > ends_s and reader not in self._late:
                self._late.add(reader)
                reader.cancel()
        asyncio.get_running_loop().call_later(self._look_every_s, self._look)
