"""The feed: tells whoever listens of clicks as they land, in every process's log.

One poller for all listeners of a process, and none while nobody listens. Everything is bounded: how many listen, and
how much waits for each; who reads more slowly than clicks come is let go of, and may come again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial

import structlog

from nimriz.base.errors import Refused
from nimriz.base.ids import to_text
from nimriz.core.clicks import click_list, clicks
from nimriz.core.clicks.click_list import Asked, Listed
from nimriz.core.routing import decisions
from nimriz.core.routing.decisions import Decided
from nimriz.store.db import Database, StoreError
from nimriz.web import wire
from nimriz.web.http import encode

LISTENERS_MAX = 100
LISTENERS_OF_WORKSPACE_MAX = 10
POLL_S = 0.5
# A click whose agent is still to be read is waited for so long, that it be told whole.
PATIENCE_MS = 500
WAITING_BYTES_MAX = 4 * 1024 * 1024
BACKLOG_CLICKS_MAX = 1_000
BACKLOG_MS = 3_600_000
_TOGETHER = 250
_RETRY_AFTER_S = 30
_PART_BYTES = 32_768

log = structlog.get_logger()

Landed = tuple[Listed, Decided | None]
"""A click, and what its decision number means; None for the link itself."""


class Listener:
    """Who listens to the clicks of a workspace, or of one link of it."""

    def __init__(self, workspace_id: str, link_id: str, after_id: str) -> None:
        self.workspace_id = workspace_id
        self.link_id = link_id
        self.ended = asyncio.Event()
        self._after_id = after_id
        self._told_before: set[str] = set()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._news = asyncio.Event()

    def wants(self, click: Listed) -> bool:
        """Whether this is a click to tell of."""
        return (
            click.workspace_id == self.workspace_id
            and self.link_id in ("", click.link_id)
            and click.click_id > self._after_id
            and click.click_id not in self._told_before
        )

    def catch_up(self, missed: list[Landed]) -> None:
        """Tell of clicks that landed before."""
        self._told_before = {click.click_id for click, _ in missed}
        self._put([_told(click, decided) for click, decided in missed])

    def tell(self, told: list[bytes]) -> None:
        """Let clicks wait for the listener, or the listener go when too much waits already."""
        if self._waiting_bytes > WAITING_BYTES_MAX:
            self.ended.set()
        else:
            self._put(told)

    def _put(self, told: list[bytes]) -> None:
        if told:
            self._waiting += told
            self._waiting_bytes += sum(map(len, told))
            self._news.set()

    async def heard(self, wait_s: float) -> bytes:
        """What comes next, some clicks together; b'' when nothing did for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._news.wait()
        told = b""
        # In small parts: the server takes a part whole, whether or not the other side reads it.
        while self._waiting and len(told) < _PART_BYTES:
            told += self._waiting.popleft()
        self._waiting_bytes -= len(told)
        if not self._waiting:
            self._news.clear()
        return told


class Feed:
    """The listeners of a process. Use from the event loop only."""

    def __init__(self, records: Database, click_logs: Callable[[], list[Database]], now_ms: Callable[[], int]) -> None:
        self._records = records
        self._click_logs = click_logs
        self._now_ms = now_ms
        self._listeners: list[Listener] = []
        self._read_to: dict[Database, int] = {}
        self._polling: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()
        self._closed = False

    @property
    def listening(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @contextlib.asynccontextmanager
    async def listen(self, workspace_id: str, link_id: str, last_id: str) -> AsyncIterator[Listener]:
        """A listener to the clicks that are made from now on; `last_id` asks for those after this one too.

        Raises Refused(rate_limited) when as many listen as may, and StoreError.
        """
        here = sum(listener.workspace_id == workspace_id for listener in self._listeners)
        if self._closed or here >= LISTENERS_OF_WORKSPACE_MAX or len(self._listeners) >= LISTENERS_MAX:
            raise Refused("rate_limited", retry_after_s=_RETRY_AFTER_S)
        now_ms = self._now_ms()
        # A click may land a moment after one that was made later, so who comes again hears of older ones too.
        after_id = to_text(clicks.first_id(now_ms - BACKLOG_MS if last_id else now_ms))
        listener = Listener(workspace_id, link_id, after_id)
        self._listeners.append(listener)
        try:
            await self._begin()
            if last_id:
                missed = partial(self._missed, workspace_id, link_id, max(after_id, last_id), now_ms)
                listener.catch_up(await asyncio.to_thread(missed))
            yield listener
        finally:
            self._listeners.remove(listener)

    def close(self) -> None:
        """Let everybody go, and take nobody more."""
        self._closed = True
        self._let_go()

    def _let_go(self) -> None:
        for listener in self._listeners:
            listener.ended.set()

    async def _begin(self) -> None:
        """From here on clicks are told: the poller knows what was there before."""
        async with self._beginning:
            if self._polling is None or self._polling.done():
                self._read_to = await asyncio.to_thread(self._newest)
                self._polling = asyncio.create_task(self._poll())

    def _newest(self) -> dict[Database, int]:
        return {log_file: log_file.read(clicks.newest) for log_file in self._click_logs()}

    def _missed(self, workspace_id: str, link_id: str, after_id: str, now_ms: int) -> list[Landed]:
        asked = Asked(workspace_id, now_ms - BACKLOG_MS, now_ms + BACKLOG_MS, link_id)
        found = click_list.page(self._click_logs(), asked, BACKLOG_CLICKS_MAX).clicks
        return self._decided([click for click in reversed(found) if click.click_id > after_id])

    def _decided(self, found: list[Listed]) -> list[Landed]:
        """Clicks with what their decision numbers mean; the records are asked for that only where rules decided."""
        pairs = {(click.link_id, click.decision) for click in found if click.decision}
        named = self._records.read(lambda tx: decisions.named(tx, pairs)) if pairs else {}
        return [(click, named.get((click.link_id, click.decision))) for click in found]

    async def _poll(self) -> None:
        """Read what is new, for as long as somebody listens."""
        while self._listeners:
            more = False
            try:
                landed, more = await asyncio.to_thread(self._read)
                self._tell(landed)
            except StoreError:
                pass  # What could not be read is read the next time.
            except Exception as error:
                log.error("feed_failed", error=type(error).__name__)
                self._let_go()
                return
            if not more:
                await asyncio.sleep(POLL_S)

    def _read(self) -> tuple[list[Landed], bool]:
        """The next clicks of every log, and whether there are more of them."""
        found: list[Listed] = []
        read_to: dict[Database, int] = {}
        more = False
        waited_for_ms = self._now_ms() - PATIENCE_MS
        for log_file in self._click_logs():
            rows = log_file.read(partial(click_list.landed, after_seq=self._read_to.get(log_file, 0), limit=_TOGETHER))
            more |= len(rows) == _TOGETHER
            for click in rows:
                if not click.agent and click.clicked_at_ms > waited_for_ms:
                    more = False
                    break
                read_to[log_file] = click.seq
                found.append(click)
        landed = self._decided(sorted(found, key=lambda click: click.click_id))
        self._read_to |= read_to
        return landed, more

    def _tell(self, landed: Iterable[Landed]) -> None:
        told: dict[Listener, list[bytes]] = {}
        for click, decided in landed:
            wanted = [listener for listener in self._listeners if listener.wants(click)]
            if wanted:
                frame = _told(click, decided)
                for listener in wanted:
                    told.setdefault(listener, []).append(frame)
        for listener, frames in told.items():
            listener.tell(frames)


def _told(click: Listed, decided: Decided | None) -> bytes:
    """One click as a server-sent event; JSON of ours holds no line break."""
    return b"event: click\nid: %s\ndata: %s\n\n" % (click.click_id.encode(), encode(wire.click(click, decided)))
