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
            assert batcher.waiting_s() > 0
            disk.free.set()
            assert await asyncio.gather(*callers) == [n * 10 for n in range(50)]
            assert disk.batches == [list(range(50))]
            assert (batcher.queued, batcher.waiting_s(), batcher.behind) == (0, 0.0, False)

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
        async with batching(disk, wait_ms_max=20) as batcher:
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
        async with batching(disk) as batcher:
            disk.free.clear()
            gone, *others = keeping(batcher, 1, 2, 3)
            await until(lambda: disk.begun == 1)
            gone.cancel()
            await asyncio.sleep(0.01)
            disk.free.set()
            assert await asyncio.gather(*others) == [20, 30]
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

        async def again_and_again(batcher: Batcher[int, int], item: int) -> None:
            for _ in range(10):
                await keep(batcher, item)

        async with batching(disk) as batcher:
            await asyncio.gather(*(again_and_again(batcher, item) for item in range(8)))
            assert [sorted(items) for items in disk.batches] == [list(range(8))] * 10

    run(story)


def test_two_halves_of_the_callers_do_not_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", FOR_EVER_S)

    async def story() -> None:
        disk = Disk()

        async def again(batcher: Batcher[int, int], item: int, times: int) -> None:
            for _ in range(times):
                await keep(batcher, item)

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


def test_a_batch_holds_as_many_items_as_it_may_and_the_rest_follow_in_order() -> None:
    async def story() -> None:
        disk = Disk()
        async with batching(disk, batch_max=3) as batcher:
            assert await asyncio.gather(*keeping(batcher, *range(8))) == [n * 10 for n in range(8)]
            assert disk.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]

    run(story)
