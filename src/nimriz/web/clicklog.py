"""The click log of this process: clicks are on disk before the visitor is sent on, within a deadline.

Past the deadline the visitor goes on and the click stays queued; after one miss nobody waits until the
writer has caught up. Every click that was not waited for, and every one not kept, is counted.
"""

from __future__ import annotations

import structlog

from nimriz.core.clicks.logbook import Arrival, Logbook
from nimriz.store.batch import Batch, Batcher, Overflow
from nimriz.store.db import StoreError
from nimriz.web.metrics import Counters

log = structlog.get_logger()


class ClickLog:
    """Takes clicks from the event loop and commits them in groups."""

    def __init__(
        self, logbook: Logbook, counters: Counters, *, wait_ms_max: int, batch_max: int, queue_max: int
    ) -> None:
        self._logbook = logbook
        self._counters = counters
        self._batcher: Batcher[Arrival, None] = Batcher(
            self._commit, name="click-writer", batch_max=batch_max, queue_max=queue_max, wait_ms_max=wait_ms_max
        )

    def _commit(self, batch: list[Arrival]) -> list[None]:
        try:
            self._logbook.write(batch)
        except StoreError as error:
            self._counters.clicks_lost += len(batch)
            log.error("clicks_lost", count=len(batch), error=str(error))
            raise
        self._counters.clicks_committed += len(batch)
        self._counters.clicks_commits += 1
        return [None] * len(batch)

    @property
    def queued(self) -> int:
        """Clicks that wait for the disk."""
        return self._batcher.queued

    def put(self, arrival: Arrival) -> Batch[Arrival, None] | None:
        """Take a click: the batch to wait for, or None when nobody should wait.

        The batch's `done` is resolved with None when it took too long, and raises StoreError when the disk
        refused it; both, like the clicks not waited for or not taken, are counted here.
        """
        try:
            batch, _ = self._batcher.put(arrival)
        except Overflow:
            self._counters.clicks_dropped += 1
            return None
        if self._batcher.behind:
            self._counters.clicks_answered_before_commit += 1
            return None
        return batch

    async def close(self) -> None:
        """Write what waits, then end."""
        await self._batcher.close()
