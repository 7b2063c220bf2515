"""Clicks one by one, and the live view: what is told of them, in which order, and how much is read for it."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.base import ids
from nimriz.core.clicks import click_list, judgments, live_view
from nimriz.core.clicks.click_list import Asked, Listed
from nimriz.core.clicks.clicks import Audience, first_id
from nimriz.core.clicks.judgments import Judgment
from nimriz.core.clicks.live_view import MINUTE_MS, LiveView
from nimriz.store.db import Database
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite
from tests.clicklogs import FACTS, Made, append

NOON_MS = 1_790_078_400_000


class Written:
    """Two click logs, and what was written into them."""

    def __init__(self, folder: Path) -> None:
        self.logs: list[Database] = []
        self.sizes = [0, 0]
        for number in range(2):
            log = Sqlite(folder / f"clicks-{number}.db")
            migrate(log, "clicks", 0)
            self.logs.append(log)

    def click(self, at_ms: int, log: int = 0, *, visitor: bytes | None = b"v", country: str = "", **facts: Any) -> str:
        """A click of this instant; its id."""
        made = Made(ids.new_id(at_ms), at_ms, FACTS._replace(**facts), visitor, country)
        self.sizes[log] += 1
        append(self.logs[log], [made])
        return made.click_id

    def judge(self, quality: str, reason: str, log: int = 0) -> None:
        """Judge the newest click of a log."""
        made = [Judgment(self.sizes[log], "l", NOON_MS, quality, reason)]
        self.logs[log].write(partial(judgments.append, judgments=made))

    def page(self, limit: int = 1_000, **asked: Any) -> list[Listed]:
        """One page."""
        return click_list.page(self.logs, Asked(**ASKED | asked), limit).clicks

    def all_pages(self, limit: int, **asked: Any) -> list[str]:
        """The ids of page after page."""
        found, before_id = [], ""
        while True:
            page = click_list.page(self.logs, Asked(**ASKED | asked | {"before_id": before_id}), limit)
            assert len(page.clicks) <= limit
            found += [click.click_id for click in page.clicks]
            before_id = page.before_id
            if not before_id:
                return found


ASKED: dict[str, Any] = {"workspace_id": "w", "from_ms": 0, "to_ms": 2 * NOON_MS}


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)


# --- pages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scanned_max", [50_000, 3])
@settings(max_examples=25)
@given(
    landed=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1), st.sampled_from("lm"), st.booleans()), max_size=30),
    limit=st.integers(1, 7),
)
def test_the_pages_together_are_every_click_once_the_newest_first(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    scanned_max: int,
    landed: list[tuple[int, int, str, bool]],
    limit: int,
) -> None:
    monkeypatch.setattr(click_list, "SCANNED_MAX", scanned_max)
    monkeypatch.setattr(click_list, "FEW_MAX", scanned_max)
    written = Written(tmp_path_factory.mktemp("logs"))
    made = []
    for at, log, link_id, bot in landed:
        made.append((written.click(NOON_MS + at, log, link_id=link_id), link_id, bot))
        if bot:
            written.judge("bot", "declared_crawler", log)
    newest_first = sorted(made, reverse=True)
    assert written.all_pages(limit) == [click_id for click_id, _, _ in newest_first]
    assert written.all_pages(limit, link_id="m") == [click_id for click_id, link, _ in newest_first if link == "m"]
    assert written.all_pages(limit, audience="no_bots") == [click_id for click_id, _, bot in newest_first if not bot]


def test_a_period_begins_with_its_first_millisecond_and_ends_before_its_last(written: Written) -> None:
    made = [written.click(NOON_MS + at, at % 2) for at in range(4)]
    assert [click.click_id for click in written.page(from_ms=NOON_MS + 1, to_ms=NOON_MS + 3)] == [made[2], made[1]]
    assert written.page(from_ms=-(10**18), to_ms=10**18) == written.page()


def test_another_workspace_has_clicks_of_its_own(written: Written) -> None:
    written.click(NOON_MS, workspace_id="x", link_id="l")
    assert written.page() == []
    assert written.page(link_id="l") == []
    assert len(written.page(workspace_id="x", link_id="l")) == 1


def test_the_newest_judgment_is_told_and_that_a_click_converted_once(written: Written) -> None:
    written.click(NOON_MS)
    (plain,) = written.page()
    assert (plain.quality, plain.reason, plain.converted, plain.agent) == ("human", "", 0, "")
    written.judge("suspect", "http_library")
    written.judge("human", "converted")
    written.judge("bot", "declared_crawler")
    (judged,) = written.page()
    assert (judged.quality, judged.reason, judged.converted) == ("bot", "declared_crawler", 1)


def test_what_lands_is_read_by_its_number_and_not_by_its_time(written: Written) -> None:
    late, early = written.click(NOON_MS + 1), written.click(NOON_MS)
    read = partial(click_list.landed, limit=10)
    assert [c.click_id for c in written.logs[0].read(partial(read, after_seq=0))] == [late, early]
    assert [c.click_id for c in written.logs[0].read(partial(read, after_seq=1))] == [early]


@pytest.mark.parametrize("instant_ms", [-1, 0, 1, NOON_MS, 2**48 - 1, 10**18])
def test_the_first_id_of_an_instant_is_before_every_other_of_it(instant_ms: int) -> None:
    least = first_id(instant_ms)
    assert ids.is_id(ids.to_text(least))
    if 0 <= instant_ms < 2**48:
        assert least < ids.uuid7_bytes(instant_ms)
        assert instant_ms == 0 or ids.uuid7_bytes(instant_ms - 1) < least


# --- the live view -----------------------------------------------------------------------------------------------


def look(written: Written, audience: Audience = "no_bots") -> LiveView:
    return live_view.look(written.logs, "w", audience, NOON_MS)


def test_the_last_thirty_minutes_are_shown_the_running_one_included(written: Written) -> None:
    for ago in (0, 0, 1, 29, 30, 90):
        written.click(NOON_MS - ago * MINUTE_MS, ago % 2, country="DE" if ago else "")
    view = look(written)
    shown = live_view.minutes(NOON_MS + 59_999)
    assert (len(shown), shown[-1], shown[0]) == (30, NOON_MS, NOON_MS - 29 * MINUTE_MS)
    assert [view.by_minute[minute] for minute in shown] == [1, *[0] * 27, 1, 2]
    assert (view.by_link, view.by_country) == ({"l": 4}, {"DE": 2})
    assert view.known_from_ms == shown[0]


def test_visitors_are_those_of_five_minutes_and_nobody_can_say_without_a_hash(written: Written) -> None:
    for number, ago in enumerate((0, 1, 4, 6)):
        written.click(NOON_MS - ago * MINUTE_MS, visitor=b"%d" % min(number, 1 if number < 3 else 3))
    assert look(written).visitor_count(NOON_MS) == 2
    written.click(NOON_MS, visitor=None)
    written.judge("bot", "prefetch")
    assert look(written).visitor_count(NOON_MS) == 2
    assert look(written, "all").visitor_count(NOON_MS) is None


def test_of_too_many_clicks_the_newest_are_looked_at_and_the_rest_is_unknown(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_view, "CLICKS_MAX", 5)
    for ago in random.sample(range(10), 10):
        written.click(NOON_MS - ago * MINUTE_MS)
    view = look(written)
    assert sum(view.by_minute.values()) == 5
    assert view.known_from_ms == NOON_MS - 3 * MINUTE_MS
    assert view.visitor_count(NOON_MS) is None
