"""The clicks of one link, added up from every click log."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from nimriz.base import ids
from nimriz.core.clicks import judgments, link_clicks
from nimriz.core.clicks.clicks import Audience
from nimriz.core.clicks.judgments import Judgment
from nimriz.core.clicks.link_clicks import KEYS_MAX, LinkClicks, TouchType
from nimriz.store.db import Database, Tx
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite
from tests.clicklogs import FACTS, Made, append

DAY_MS = 86_400_000
MIDNIGHT_MS = 1_790_035_200_000  # 2026-09-22 in UTC
UTC = ZoneInfo("UTC")


def row(
    number: int,
    at_ms: int,
    link_id: str = "l",
    crawler: int = 0,
    touch_type: str = "short_link_click",
    visitor: bytes | None = b"somebody",
) -> Made:
    """A click with a referrer and a number of its own."""
    source = f"source-{number % 2}"
    facts = FACTS._replace(
        link_id=link_id, tracked=1 - crawler, crawler=crawler, touch_type=touch_type,
        referrer_host=f"site-{number}.example", utm_source=source,
    )  # fmt: skip
    return Made(ids.new_id(at_ms), at_ms, facts, visitor, "DE")


@pytest.fixture
def logs(tmp_path: Path) -> list[Database]:
    """Two click logs: one click an hour in each from midnight on, a crawler's and another link's beside them."""
    opened: list[Database] = []
    for number in range(2):
        log = Sqlite(tmp_path / f"clicks-{number}.db")
        migrate(log, "clicks", 0)
        rows = [row(n, MIDNIGHT_MS + n * DAY_MS // 24, visitor=b"visitor%d" % (n % 3)) for n in range(48)]
        rows += [
            row(99, MIDNIGHT_MS, crawler=1),
            row(98, MIDNIGHT_MS, "m"),
            row(97, MIDNIGHT_MS, touch_type="qr_scan"),
        ]
        append(log, rows[:48])
        for first_seq, made in zip((100, 99, 98), rows[48:], strict=True):
            append(log, [made], first_seq)
        judged = [Judgment(100, "l", 0, "bot", "declared_crawler"), Judgment(1, "l", 0, "suspect", "repeat")]
        log.write(partial(judgments.append, judgments=judged))
        opened.append(log)
    return opened


def asked(
    logs: list[Database],
    from_ms: int = 0,
    to_ms: int = 10**15,
    zone: ZoneInfo = UTC,
    touch_type: TouchType | None = None,
    audience: Audience = "no_bots",
) -> LinkClicks:
    """The clicks of link l."""
    return link_clicks.summed(logs, "l", from_ms, to_ms, zone, touch_type, audience)


def test_clicks_of_all_logs_are_added_up_and_bots_apart(logs: list[Database]) -> None:
    found = asked(logs)
    assert (found.clicks, found.tracked_clicks, found.bots, found.suspects) == (98, 98, 2, 2)
    assert found.by_day == {"2026-09-22": 50, "2026-09-23": 48}
    assert found.breakdowns["utm_source"] == {"source-0": 48, "source-1": 50}
    assert found.breakdowns["country"] == {"DE": 98}
    with_bots = asked(logs, audience="all")
    assert (with_bots.clicks, with_bots.tracked_clicks) == (100, 98)
    people = asked(logs, audience="people")
    assert (people.clicks, people.bots, people.suspects) == (96, 2, 2)
    assert asked(logs, touch_type="qr_scan").clicks == 2


def test_visitors_are_counted_once_over_all_logs_unless_one_is_unknown(logs: list[Database]) -> None:
    found = asked(logs)
    assert (len(found.visitors), found.hashless) == (4, False)
    append(logs[1], [row(200, MIDNIGHT_MS, visitor=None)])
    assert asked(logs).hashless
    assert not asked(logs, MIDNIGHT_MS + 1).hashless


def test_which_agent_made_a_click_is_a_row_of_its_own(logs: list[Database]) -> None:
    def name(tx: Tx) -> None:
        tx.run("insert into agents (agent_id, kind, device, os, browser) values (1, 'browser', 'mobile', 'iOS', 'x')")
        tx.run("insert into click_agents (click_seq, agent_id) values (2, 1)")

    logs[0].write(name)
    found = asked(logs)
    assert (found.breakdowns["device"], found.clicks) == ({"mobile": 1, "": 97}, 98)


def test_a_period_begins_with_its_first_instant_and_ends_before_its_last(logs: list[Database]) -> None:
    hour_ms = DAY_MS // 24
    assert asked(logs, MIDNIGHT_MS + hour_ms, MIDNIGHT_MS + 3 * hour_ms).clicks == 4
    assert asked(logs, MIDNIGHT_MS + 47 * hour_ms, MIDNIGHT_MS + 48 * hour_ms).clicks == 2


def test_a_day_is_one_of_the_time_zone(logs: list[Database]) -> None:
    assert asked(logs, zone=ZoneInfo("America/New_York")).by_day == {
        "2026-09-21": 10,
        "2026-09-22": 48,
        "2026-09-23": 40,
    }


def test_every_page_is_read_once(logs: list[Database], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = asked(logs)
    monkeypatch.setattr(link_clicks, "PAGE_ROWS", 7)
    assert asked(logs) == whole


def test_beyond_the_most_told_the_rest_is_added_up() -> None:
    counted = Counter({f"k{n:03d}": 2 for n in range(KEYS_MAX)} | {"a": 3, "z": 1, "y": 1, "": 9})
    told = link_clicks.top(counted)
    assert told[0] == ("a", 3)
    assert told[1] == ("k000", 2)
    assert told[-1] == (None, 4)
    assert len(told) == KEYS_MAX + 1
    assert sum(clicks for _, clicks in told) == sum(counted.values()) - 9
