"""Group commit: who is held back a moment so that more share the next flush, and who never is."""

from __future__ import annotations

import asyncio

import pytest

from nimriz.store import batch as module
from nimriz.store.batch import Batcher
from tests.store.disk import Disk, batching, keep, keeping, run, until

FOR_EVER_S = 3_600.0


async def again(batcher: Batcher[int, int], item: int, times: int) -> None:
    """A caller that comes back as soon as it was released."""
    for _ in range(times):
        await keep(batcher, item)


def test_a_lone_caller_is_never_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", FOR_EVER_S)  # Were it held, this would not end.

    async def story() -> None:
        disk = Disk()
        async with batching(disk) as batcher:
            for n in range(50):
                assert await keep(batcher, n) == n * 10
            assert disk.batches == [[n] for n in range(50)]

    run(story)


def test_those_who_were_released_together_come_back_into_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", FOR_EVER_S)

    async def story() -> None:
        disk = Disk()

        async with batching(disk) as batcher:
            await asyncio.gather(*(again(batcher, item, 10) for item in range(8)))
            assert [sorted(items) for items in disk.batches] == [list(range(8))] * 10

    run(story)


def test_two_halves_of_the_callers_do_not_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", FOR_EVER_S)

    async def story() -> None:
        disk = Disk()

        async with batching(disk) as batcher:
            disk.free.clear()
            early = [asyncio.create_task(again(batcher, item, 6)) for item in range(4)]
            await until(lambda: disk.begun == 1)
            late = [asyncio.create_task(again(batcher, item, 5)) for item in range(4, 8)]
            await until(lambda: batcher.queued == 8)
            disk.free.set()
            await asyncio.gather(*early, *late)
            assert [len(items) for items in disk.batches] == [4, 8, 8, 8, 8, 8]

    run(story)


def test_those_who_did_not_come_back_are_not_waited_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        disk = Disk()
        async with batching(disk) as batcher:
            await asyncio.gather(*keeping(batcher, *range(8)))
            await asyncio.sleep(5 * module.GATHER_S)
            monkeypatch.setattr(module, "GATHER_S", FOR_EVER_S)
            assert await keep(batcher, 8) == 80

    run(story)


def test_those_who_wait_for_others_to_come_back_wait_a_moment_only() -> None:
    async def story() -> None:
        disk = Disk()
        async with batching(disk) as batcher:
            await asyncio.gather(*keeping(batcher, *range(8)))
            assert await keep(batcher, 8) == 80  # Seven of eight never come back.
            assert disk.batches == [list(range(8)), [8]]

    run(story)
