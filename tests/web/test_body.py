"""Bodies: whole or refused, in time, and never more of them in memory than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from nimriz.base.errors import Refused
from nimriz.web.body import Bodies
from nimriz.web.http import Message
from nimriz.web.metrics import Counters

PATIENCE_S = 60.0


class Sender:
    """The other side: sends chunks as a test lets it, and says nothing more when it has none left."""

    def __init__(self, *messages: Message) -> None:
        self._queue: asyncio.Queue[Message] = asyncio.Queue()
        self.sent = 0
        for message in messages:
            self.send(message)

    def send(self, message: Message) -> None:
        """One message more."""
        self._queue.put_nowait(message)

    async def receive(self) -> Message:
        """What the server reads."""
        message = await self._queue.get()
        self.sent += 1
        return message


def chunk(body: bytes, *, more: bool) -> Message:
    """A piece of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


GONE: Message = {"type": "http.disconnect"}


def run(story: Callable[[Counters], Coroutine[Any, Any, None]]) -> Counters:
    """Run a story to its end, or fail; what was counted."""
    counters = Counters()

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await story(counters)

    asyncio.run(bounded())
    return counters


def bodies(counters: Counters, *, timeout_s: float = PATIENCE_S, in_flight_max: int = 1_000) -> Bodies:
    """A reader of bodies."""
    return Bodies(counters, timeout_s=timeout_s, in_flight_max=in_flight_max)


async def refusal(reading: Coroutine[Any, Any, bytes]) -> Refused:
    """With what a body is refused."""
    with pytest.raises(Refused) as refused:
        await reading
    return refused.value


@pytest.mark.parametrize(
    "messages",
    [
        [chunk(b"the whole body", more=False)],
        [chunk(b"the ", more=True), chunk(b"", more=True), chunk(b"whole body", more=False)],
        [chunk(b"the whole body", more=True), {"type": "http.request"}],
    ],
    ids=["at once", "in chunks", "with an empty end"],
)
def test_a_body_is_read_whole(messages: list[Message]) -> None:
    async def story(counters: Counters) -> None:
        assert await bodies(counters).read(Sender(*messages).receive, 14) == b"the whole body"

    run(story)


def test_a_body_too_large_is_refused_at_the_chunk_that_passes_the_bound() -> None:
    async def story(counters: Counters) -> None:
        reader = bodies(counters)
        assert (await refusal(reader.read(Sender(chunk(b"123456", more=False)).receive, 5))).code == "body_too_large"
        sender = Sender(chunk(b"123", more=True), chunk(b"456", more=True), chunk(b"7", more=False))
        assert (await refusal(reader.read(sender.receive, 5))).code == "body_too_large"
        assert sender.sent == 2
        assert await reader.read(Sender(chunk(b"12345", more=False)).receive, 5) == b"12345"

    run(story)


def test_a_body_that_does_not_come_in_time_is_refused_and_its_task_goes_on() -> None:
    async def story(counters: Counters) -> None:
        reader = bodies(counters, timeout_s=0.02)
        for sender in (Sender(), Sender(chunk(b"a", more=True))):
            assert (await refusal(reader.read(sender.receive, 5))).code == "body_timeout"
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0.05)  # What is left over of the deadline would strike here.
        assert await reader.read(Sender(chunk(b"in time", more=False)).receive, 10) == b"in time"

    run(story)


def test_a_body_that_drips_is_refused_when_its_time_is_over() -> None:
    async def story(counters: Counters) -> None:
        reader = bodies(counters, timeout_s=0.05)

        async def drip() -> Message:
            await asyncio.sleep(0.005)
            return chunk(b".", more=True)

        assert (await refusal(reader.read(drip, 1_000_000))).code == "body_timeout"

    run(story)


def test_one_late_body_does_not_hurt_another() -> None:
    async def story(counters: Counters) -> None:
        reader = bodies(counters, timeout_s=2.0)
        late = asyncio.create_task(refusal(reader.read(Sender().receive, 5)))
        await asyncio.sleep(1.5)
        sender = Sender()
        in_time = asyncio.create_task(reader.read(sender.receive, 5))
        assert (await late).code == "body_timeout"
        sender.send(chunk(b"ok", more=False))
        assert await in_time == b"ok"

    run(story)


def test_a_caller_that_goes_away_is_refused() -> None:
    async def story(counters: Counters) -> None:
        for messages in ([GONE], [chunk(b"half", more=True), GONE]):
            assert (await refusal(bodies(counters).read(Sender(*messages).receive, 9))).code == "body_timeout"

    run(story)


@pytest.mark.parametrize("end", ["whole", "gone", "cancelled", "late", "too large"])
def test_all_bodies_together_are_bounded_and_give_back_what_they_held(end: str) -> None:
    async def story(counters: Counters) -> None:
        reader = bodies(counters, in_flight_max=10, timeout_s=2.0 if end == "late" else PATIENCE_S)
        first = Sender(chunk(b"12345678", more=True))
        holding = asyncio.create_task(reader.read(first.receive, 20))
        await asyncio.sleep(0)
        second = Sender(chunk(b"123", more=True), chunk(b"4", more=False))
        refused = await refusal(reader.read(second.receive, 20))
        assert (refused.code, refused.retry_after_s) == ("store_unavailable", 1)
        if end == "cancelled":
            holding.cancel()
        elif end != "late":
            last = {"whole": chunk(b"9", more=False), "gone": GONE, "too large": chunk(b"9" * 20, more=True)}
            first.send(last[end])
        await asyncio.wait([holding])
        assert holding.cancelled() or end == "whole" or isinstance(holding.exception(), Refused)
        again = Sender(chunk(b"1234567890", more=True), chunk(b"!", more=False))
        assert await reader.read(again.receive, 20) == b"1234567890!"

    assert run(story).bodies_over_bound == 1


def test_a_cancellation_from_outside_is_passed_on() -> None:
    async def story(counters: Counters) -> None:
        reading = asyncio.create_task(bodies(counters).read(Sender().receive, 5))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    run(story)


def test_a_cancellation_from_outside_is_passed_on_even_when_the_body_is_late() -> None:
    async def story(counters: Counters) -> None:
        reader = bodies(counters, timeout_s=10)
        reading = asyncio.create_task(reader.read(Sender().receive, 5))
        await asyncio.sleep(0)
        reader._readers[reading] = 0.0
        reader._look()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    run(story)
