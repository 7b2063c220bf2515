"""The turnstile: lets as many visitors of a link through as its bound on clicks allows, and not one more.

A click that is used is on disk before its visitor goes on; those who come together share one flush.
"""

from __future__ import annotations

from nimriz.base.clock import Clock
from nimriz.core.links import links
from nimriz.store.batch import Batcher, Overflow
from nimriz.store.db import Database, StoreError

WAIT_MS_MAX = 2_000
_BATCH_MAX = 500
_QUEUE_MAX = 10_000


class Turnstile:
    """Uses up clicks of links that have a bound. Use from one event loop only."""

    def __init__(self, records: Database, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._batcher: Batcher[str, bool] = Batcher(
            self._commit, name="turnstile", batch_max=_BATCH_MAX, queue_max=_QUEUE_MAX, wait_ms_max=WAIT_MS_MAX
        )

    def _commit(self, link_ids: list[str]) -> list[bool]:
        now_ms = self._clock.now_ms()
        return self._records.write(lambda tx: links.use_clicks(tx, link_ids, now_ms))

    async def lets_through(self, link_id: str) -> bool:
        """Use one click of a link; False when none is left.

        Raises StoreError when the store cannot say so in time: the click may have been used, so that the bound
        is kept whatever happens.
        """
        try:
            batch, place = self._batcher.put(link_id)
        except Overflow as overflow:
            raise StoreError("the turnstile is crowded") from overflow
        let = await batch.done
        if let is None:
            raise StoreError("the turnstile took too long")
        return let[place]

    async def close(self) -> None:
        """Write what waits, then end."""
        await self._batcher.close()
