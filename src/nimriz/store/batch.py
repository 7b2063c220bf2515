"""Group commit: many callers, one transaction, one flush to disk.

A Batcher gathers what arrives while the previous transaction is being written and hands it on as one
list to a thread of its own. Everybody in a list waits for the same commit. The asyncio side never
blocks; the commit function is plain synchronous code.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

# How long a batch is held back for those who were just released by the one before.
GATHER_S = 0.002

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Overflow(Exception):
    """The queue holds as much as it may; this item was not taken."""


class _Shared(asyncio.Future[list[Outcome] | None]):
    """A future that many await: cancelling one of the waiters leaves it to the others.

    The one cancelled ends with the batch, not before: `asyncio.timeout` around it waits too.
    """

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 - the signature is asyncio's
        return False


class Batch(Generic[Item, Outcome]):
    """One list of items on its way to disk.

    `done` is resolved with their outcomes, in order, or with None once the deadline has passed: the
    items are still written, but nobody waits for them.
    """

    __slots__ = ("done", "items", "timer", "weight")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.items: list[Item] = []
        self.weight = 0
        self.done: asyncio.Future[list[Outcome] | None] = _Shared(loop=loop)
        self.timer: asyncio.TimerHandle | None = None


class Batcher(Generic[Item, Outcome]):
    """Owns one writer thread. Use from one event loop only.

    `wait_ms_max` is how long a batch is waited for (0: for ever); `behind` is true from the first batch
    that took longer until the queue is empty again.

    `commit` gets the items of one batch and returns as many outcomes. When it raises, everybody in the
    batch gets that exception; it is for the commit function to keep one bad item from the others.
    """

    def __init__(
        self,
        commit: Callable[[list[Item]], list[Outcome]],
        *,
        name: str,
        batch_max: int,
        queue_max: int,
        wait_ms_max: int,
    ) -> None:
        self._commit = commit
        self._wait_s_max = wait_ms_max / 1000
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._loop = asyncio.get_running_loop()
        self._open: list[Batch[Item, Outcome]] = []
        self._writing: Batch[Item, Outcome] | None = None
        self._scheduled = False
        self._enough = 1
        self._gathering: asyncio.TimerHandle | None = None
        self._stopping = False
        self._queued = 0
        self.behind = False
        self._work: queue.SimpleQueue[Batch[Item, Outcome] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name=name, daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """The weight of the items that wait or are being written."""
        return self._queued

    def put(self, item: Item, weight: int = 1) -> tuple[Batch[Item, Outcome], int]:
        """Take an item: the batch that it travels in, and its place there. Raises Overflow.

        `weight` (1 or more) is what the item counts against the bounds; one heavier than a batch travels alone.
        """
        if weight < 1:
            raise ValueError("an item weighs something")
        if self._queued >= self._queue_max or self._stopping:
            raise Overflow
        batches = self._open
        if not batches or batches[-1].weight + weight > self._batch_max:
            batches.append(Batch(self._loop))
            if self._wait_s_max:
                batches[-1].timer = self._loop.call_later(self._wait_s_max, self._expire, batches[-1])
        batch = batches[-1]
        batch.items.append(item)
        batch.weight += weight
        self._queued += weight
        if self._writing is None and not self._scheduled and self._queued >= self._enough:
            # Not at once: what else is ready in this turn of the loop shares the flush.
            self._scheduled = True
            self._loop.call_soon(self._hand_over)
        return batch, len(batch.items) - 1

    def _expire(self, batch: Batch[Item, Outcome]) -> None:
        if not batch.done.done():
            self.behind = True
            batch.done.set_result(None)

    def _gather(self, released: int) -> None:
        """Hand the next batch over, once those just released have had a moment to come back.

        Without it two halves of the callers take turns, and every flush serves only one of them.
        """
        self._enough = (released + self._queued) * 3 // 4
        if self._queued >= self._enough:
            self._hand_over()
        else:
            self._gathering = self._loop.call_later(GATHER_S, self._hand_over)

    def _hand_over(self) -> None:
        self._scheduled = False
        self._enough = 1
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if self._writing is None and self._open:
            self._writing = self._open.pop(0)
            self._work.put(self._writing)

    def _write(self) -> None:
        while (batch := self._work.get()) is not None:
            try:
                outcomes: list[Outcome] | Exception = self._commit(batch.items)
            except Exception as error:
                outcomes = error
            try:
                self._loop.call_soon_threadsafe(self._finish, batch, outcomes)
            except RuntimeError:
                return  # The loop is gone; what was committed is committed.

    def _finish(self, batch: Batch[Item, Outcome], outcomes: list[Outcome] | Exception) -> None:
        self._writing = None
        self._queued -= batch.weight
        if not self._queued:
            self.behind = False
        if batch.timer is not None:
            batch.timer.cancel()
        if not batch.done.done():
            if isinstance(outcomes, Exception):
                batch.done.set_exception(outcomes)
                batch.done.exception()  # Seen, even when nobody waits any more.
            else:
                batch.done.set_result(outcomes)
        self._gather(batch.weight)

    async def close(self) -> None:
        """Take no more, write what waits, end the thread."""
        self._stopping = True
        while self._queued:
            batch = self._writing or self._open[0]
            self._hand_over()
            await asyncio.wait([batch.done])
            await asyncio.sleep(0.001)  # A batch past its deadline is done, yet still being written.
        self._work.put(None)
        await asyncio.to_thread(self._thread.join)
