"""Group commit: who shares a flush, who waits for it, and what happens when it fails or takes too long."""

from __future__ import annotations

import asyncio

import pytest

from nimriz.store import batch as module
from nimriz.store.batch import Batcher, Overflow
from tests.store.disk import Disk, batching, keep, keeping, run, until

FOR_EVER_S = 3_600.0


def test_everybody_in_a_batch_waits_for_one_commit_and_gets_its_own_outcome() -> None:
    async def story() -> None:
        disk = Disk()
        async with batching(disk) as batcher:
            disk.free.clear()
            callers = keeping(batcher, *range(50))
            await until(lambda: disk.begun == 1)
            await asyncio.sleep(0.01)
            assert not any(caller.done() for caller in callers)
            assert batcher.queued == 50
            disk.free.set()
            assert await asyncio.gather(*callers) == [n * 10 for n in range(50)]
            assert disk.batches == [list(range(50))]
            assert (batcher.queued, batcher.behind) == (0, False)

    run(story)


def test_what_arrives_during_a_commit_forms_the_next_batch() -> None:
    async def story() -> None:
        disk = Disk()
        async with batching(disk) as batcher:
            disk.free.clear()
            first = keeping(batcher, 1)
            await until(lambda: disk.begun == 1)
            late = keeping(batcher, 2, 3)
            await until(lambda: batcher.queued == 3)
            later = keeping(batcher, 4)
            await until(lambda: batcher.queued == 4)
            disk.free.set()
            assert await asyncio.gather(*first, *late, *later) == [10, 20, 30, 40]
            assert disk.batches == [[1], [2, 3, 4]]

    run(story)


def test_an_exception_reaches_everybody_in_its_batch_and_nobody_else() -> None:
    async def story() -> None:
        disk = Disk()
        async with batching(disk) as batcher:
            disk.free.clear()
            disk.failures.append(OSError("the disk"))
            poisoned = keeping(batcher, 1, 2)
            await until(lambda: disk.begun == 1)
            unhurt = keeping(batcher, 3)
            await until(lambda: batcher.queued == 3)
            disk.free.set()
            results = await asyncio.gather(*poisoned, *unhurt, return_exceptions=True)
            assert [str(result) for result in results] == ["the disk", "the disk", "30"]
            assert await keep(batcher, 4) == 40

    run(story)


def test_a_full_queue_takes_nothing_more_until_it_was_written() -> None:
    async def story() -> None:
        disk = Disk()
        async with batching(disk, queue_max=3) as batcher:
            disk.free.clear()
            callers = keeping(batcher, 1, 2)
            await until(lambda: disk.begun == 1)
            callers += keeping(batcher, 3)
            await until(lambda: batcher.queued == 3)
            with pytest.raises(Overflow):
                batcher.put(4)
            disk.free.set()
            assert await asyncio.gather(*callers) == [10, 20, 30]
            assert await keep(batcher, 5) == 50
            assert disk.batches == [[1, 2], [3], [5]]

    run(story)


def test_past_the_deadline_nobody_waits_and_everything_is_still_written() -> None:
    async def story() -> None:
        disk = Disk()
        async with batching(disk, wait_ms_max=1_000) as batcher:
            disk.free.clear()
            callers = keeping(batcher, 1)
            await until(lambda: disk.begun == 1)
            callers += keeping(batcher, 2, 3)  # These have not even reached the disk.
            assert not batcher.behind
            assert await asyncio.gather(*callers) == [None, None, None]
            assert (batcher.behind, batcher.queued, disk.batches) == (True, 3, [])
            disk.free.set()
            await until(lambda: batcher.queued == 0)
            assert disk.batches == [[1], [2, 3]]
            assert not batcher.behind
            assert await keep(batcher, 4) == 40

    run(story)


def test_the_writer_is_behind_until_the_last_item_of_the_queue_is_written() -> None:
    async def story() -> None:
        disk = Disk()
        async with batching(disk, batch_max=1, wait_ms_max=20) as batcher:
            disk.look = lambda: batcher.behind
            disk.free.clear()
            assert await asyncio.gather(*keeping(batcher, 1, 2, 3)) == [None, None, None]
            disk.free.set()
            await until(lambda: batcher.queued == 0)
            assert disk.looked == [True, True, True]
            assert not batcher.behind

    run(story)


def test_cancelling_one_who_waits_leaves_the_commit_to_the_others() -> None:
    async def story() -> None:
        disk = Disk()

        async def wait(batcher: Batcher[int, int], item: int) -> list[int] | None:
            return await batcher.put(item)[0].done

        async with batching(disk) as batcher:
            disk.free.clear()
            gone, *others = [asyncio.create_task(wait(batcher, item)) for item in (1, 2, 3)]
            await until(lambda: disk.begun == 1)
            gone.cancel()
            await asyncio.sleep(0.01)
            disk.free.set()
            assert await asyncio.gather(*others) == [[10, 20, 30]] * 2
            with pytest.raises(asyncio.CancelledError):
                await gone
            assert disk.batches == [[1, 2, 3]]

    run(story)


@pytest.mark.parametrize("wait_ms_max", [0, 5])
def test_closing_takes_nothing_more_and_writes_what_waits(wait_ms_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", FOR_EVER_S)  # Not even those who gather are waited for.

    async def story() -> None:
        disk = Disk()
        async with batching(disk, batch_max=2, wait_ms_max=wait_ms_max) as batcher:
            disk.free.clear()
            callers = keeping(batcher, 1, 2, 3, 4, 5)
            await until(lambda: disk.begun == 1)
            closing = asyncio.create_task(batcher.close())
            await asyncio.sleep(0.02)
            with pytest.raises(Overflow):
                batcher.put(6)
            assert not closing.done()
            disk.free.set()
            await closing
            assert await asyncio.gather(*callers) == ([None] * 5 if wait_ms_max else [10, 20, 30, 40, 50])
            assert disk.batches == [[1, 2], [3, 4], [5]]
            assert not batcher._thread.is_alive()

    run(story)


def test_a_batch_holds_as_many_items_as_it_may_and_the_rest_follow_in_order() -> None:
    async def story() -> None:
        disk = Disk()
        async with batching(disk, batch_max=3) as batcher:
            assert await asyncio.gather(*keeping(batcher, *range(8))) == [n * 10 for n in range(8)]
            assert disk.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]

    run(story)


def test_a_heavy_item_counts_for_as_many_as_it_holds() -> None:
    async def story() -> None:
        disk = Disk()
        async with batching(disk, batch_max=10, queue_max=40) as batcher:
            disk.free.clear()
            for item, weight in ((1, 6), (2, 4), (3, 6), (4, 5), (5, 15), (6, 1)):
                batcher.put(item, weight)
            assert batcher.queued == 37
            batcher.put(7, 9)  # Whoever finds room comes in, whatever it weighs.
            with pytest.raises(Overflow):
                batcher.put(8)
            disk.free.set()
            await until(lambda: batcher.queued == 0)
            assert disk.batches == [[1, 2], [3], [4], [5], [6, 7]]

    run(story)
