"""The turnstile: as many pass as may, and nobody on the word of a store that cannot be asked."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from nimriz.base.clock import Clock
from nimriz.core.directory import changes
from nimriz.core.links import links
from nimriz.core.links.links import Link
from nimriz.store.db import StoreError
from nimriz.web import turnstile
from nimriz.web.turnstile import Turnstile
from tests.web.place import NOW_MS, PATIENCE_S, Place, run


def bounded(place: Place, slug: str, clicks_max: int | None) -> Link:
    """A link with a bound on its clicks."""
    link = place.link(slug)
    place.other.write(lambda tx: links.change(tx, link, link._replace(clicks_max=clicks_max), "operator", NOW_MS))
    return link


async def answers(gate: Turnstile, *asked: str) -> list[bool]:
    return list(await asyncio.gather(*(gate.lets_through(link_id) for link_id in asked)))


def test_two_processes_let_no_more_through_than_the_bound_says(place: Place) -> None:
    async def story() -> None:
        seven, two = bounded(place, "seven", 7).link_id, bounded(place, "two", 2).link_id
        gates = [Turnstile(place.other, Clock()), Turnstile(place.own, Clock())]
        found = await asyncio.gather(*(answers(gate, *([seven, two] * 20)) for gate in gates))
        assert sum(sum(let[0::2]) for let in found) == 7
        assert sum(sum(let[1::2]) for let in found) == 2
        for gate in gates:
            await gate.close()

    run(story())


def test_the_last_click_is_noted_and_the_others_are_not(place: Place) -> None:
    link = bounded(place, "launch", 3)
    newest = place.other.read(changes.newest)
    assert place.other.write(lambda tx: links.use_clicks(tx, [link.link_id] * 2, NOW_MS)) == [True, True]
    assert place.other.read(changes.newest) == newest
    assert place.other.write(lambda tx: links.use_clicks(tx, [link.link_id] * 2, NOW_MS)) == [True, False]
    (note,) = place.other.read(lambda tx: changes.since(tx, newest, 10))
    assert (note.topic, note.subject) == ("link", f"{place.domain.domain_id}/launch")


def test_a_bound_that_was_taken_away_a_moment_ago_holds_nobody_back(place: Place) -> None:
    link = bounded(place, "launch", None)
    assert place.other.write(lambda tx: links.use_clicks(tx, [link.link_id, "no such link"], NOW_MS)) == [True, False]


class Stuck:
    """A database that cannot write, or not soon."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def write(self, _: object) -> Any:
        """Wait, then fail."""
        self.free.wait(PATIENCE_S)
        raise StoreError("IOError")

    read = write

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("fails", ["at once", "too late", "crowded"])
def test_a_store_that_does_not_answer_lets_nobody_through(monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    monkeypatch.setattr(turnstile, "WAIT_MS_MAX", 50)
    if fails == "crowded":
        monkeypatch.setattr(turnstile, "_QUEUE_MAX", 0)

    async def story() -> None:
        stuck = Stuck()
        if fails != "too late":
            stuck.free.set()
        gate = Turnstile(stuck, Clock())
        with pytest.raises(StoreError):
            await gate.lets_through("link")
        stuck.free.set()
        await gate.close()

    run(story())
