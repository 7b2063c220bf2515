"""A disk that a test can hold, and callers who wait for it together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from nimriz.store.batch import Batcher

PATIENCE_S = 60.0


class Disk:
    """A commit function that a test can hold, and make fail. The outcome of n is n times ten."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.begun = 0
        self.batches: list[list[int]] = []
        self.failures: list[Exception] = []
        self.look: Callable[[], object] = lambda: None
        self.looked: list[object] = []

    def commit(self, items: list[int]) -> list[int]:
        """Write one batch, once nobody holds the disk."""
        self.begun += 1
        assert self.free.wait(PATIENCE_S)
        self.looked.append(self.look())
        self.batches.append(list(items))
        if self.failures:
            raise self.failures.pop(0)
        return [item * 10 for item in items]


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a story to its end, or fail."""

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await story()

    asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    """Let others go on until something is so."""
    while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.001)


@asynccontextmanager
async def batching(
    disk: Disk, *, batch_max: int = 100, queue_max: int = 1_000, wait_ms_max: int = 0
) -> AsyncIterator[Batcher[int, int]]:
    """A batcher in front of a disk; in the end it is closed."""
    batcher = Batcher(disk.commit, name="test", batch_max=batch_max, queue_max=queue_max, wait_ms_max=wait_ms_max)
    try:
        yield batcher
    finally:
        disk.free.set()
        async with asyncio.timeout(PATIENCE_S):
            await batcher.close()


async def keep(batcher: Batcher[int, int], item: int) -> int | None:
    """What a caller does: put an item, wait, and take its outcome."""
    batch, place = batcher.put(item)
    # Shielded, so that a test whose batch never comes back fails: the future itself cannot be cancelled.
    outcomes = await asyncio.shield(batch.done)
    return None if outcomes is None else outcomes[place]


def keeping(batcher: Batcher[int, int], *items: int) -> list[asyncio.Task[int | None]]:
    """As many callers at once."""
    return [asyncio.create_task(keep(batcher, item)) for item in items]
