"""Clicks counted over all logs: how many, by how many visitors, for which audience."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.base.clock import DAY_MS
from nimriz.core import clicks, judgments
from nimriz.core.clicks import Audience, Counted
from nimriz.core.judgments import Judgment
from nimriz.store.sqlite import Sqlite
from tests.clicklogs import click, opened, write

MIDNIGHT_MS = 1_795_392_000_000  # 2026-11-23 in UTC
HOUR_MS = 3_600_000
ALL = (0, 2**47)


@pytest.fixture
def logs(tmp_path: Path) -> list[Sqlite]:
    """Two click logs without a click."""
    return [opened(tmp_path / f"clicks-{number}.db") for number in range(2)]


def by_link(
    logs: list[Sqlite], audience: Audience = "no_bots", link_id: str = "", bounds: tuple[int, int] = ALL
) -> Counted:
    """Counted by link."""
    return clicks.count(logs, "w", *bounds, audience, lambda link, _: link, link_id)


def sums(counted: Counted) -> tuple[int, int]:
    """Clicks, and tracked clicks."""
    return sum(c.clicks for c in counted.counts), sum(c.tracked_clicks for c in counted.counts)


def test_clicks_and_visitors_are_counted_over_all_logs_and_the_whole_is_no_sum(logs: list[Sqlite]) -> None:
    write(logs[0], click(MIDNIGHT_MS, "a"), click(MIDNIGHT_MS + 1, "b", tracked=0), visitor=b"one")
    write(logs[1], click(MIDNIGHT_MS + 2, "a"), visitor=b"one")
    write(logs[1], click(MIDNIGHT_MS + 3, "a"), click(MIDNIGHT_MS, "a", workspace_id="other"), visitor=b"two")
    found = by_link(logs)
    assert (sums(found), found.unique) == ((4, 3), {None: 2, "a": 2, "b": 1})
    assert by_link(logs, link_id="b").unique == {None: 1, "b": 1}
    assert clicks.count(logs, "w", *ALL, "all", lambda *_: None).unique == {None: 2}


def test_a_click_without_a_hash_makes_its_row_and_the_whole_unknown(logs: list[Sqlite]) -> None:
    write(logs[0], click(MIDNIGHT_MS, "a"), click(MIDNIGHT_MS + DAY_MS, "b"), visitor=b"one")
    write(logs[1], click(MIDNIGHT_MS, "b"), click(MIDNIGHT_MS, "b"))
    assert by_link(logs).unique == {None: None, "a": 1, "b": None}
    assert by_link(logs, bounds=(MIDNIGHT_MS + 1, MIDNIGHT_MS + 2 * DAY_MS)).unique == {None: 1, "b": 1}
    assert by_link(logs, link_id="a").unique == {None: 1, "a": 1}


def test_the_period_begins_with_its_first_instant_and_ends_before_its_last(logs: list[Sqlite]) -> None:
    write(logs[0], *[click(MIDNIGHT_MS + n) for n in range(10)], visitor=b"one")
    assert sums(by_link(logs, bounds=(MIDNIGHT_MS + 3, MIDNIGHT_MS + 7))) == (4, 4)
    assert sums(by_link(logs, bounds=(MIDNIGHT_MS + 7, MIDNIGHT_MS + 7))) == (0, 0)
    assert sums(by_link(logs, bounds=(-(10**17), 10**17))) == (10, 10)


def test_whoever_asks_chooses_the_audience(logs: list[Sqlite]) -> None:
    seqs = write(logs[0], *[click(MIDNIGHT_MS) for _ in range(6)], visitor=b"one")
    judged = [
        Judgment(seqs[0], "l", 0, "bot", "prefetch"),
        Judgment(seqs[1], "l", 0, "suspect", "repeat"),
        Judgment(seqs[2], "l", 0, "bot", "prefetch"),
        Judgment(seqs[2], "l", 0, "human", "converted"),
    ]
    logs[0].write(partial(judgments.append, judgments=judged))
    counted = {audience: sums(by_link(logs, audience))[0] for audience in clicks.LEFT_OUT}
    assert counted == {"all": 6, "no_bots": 5, "people": 4}
    assert clicks.count_by_link(logs, ["l"]) == {"l": 5}


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3 * 24 * 4), st.sampled_from("ab"), st.sampled_from([b"x", b"y", None]), st.booleans()
        ),
        max_size=40,
    ),
    st.integers(1, 5),
)
def test_counting_page_by_page_is_counting(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[int, str, bytes | None, bool]], page_rows: int
) -> None:
    logs = [opened(tmp_path_factory.mktemp("logs") / "clicks-0.db") for _ in range(2)]
    by_day: dict[str | None, tuple[set[object], bool]] = {}
    for quarters, link_id, visitor, second in made:
        at_ms = MIDNIGHT_MS + quarters * clicks.QUARTER_MS
        # A hash is of one day.
        hashed = visitor and visitor + str(at_ms // DAY_MS).encode()
        write(logs[second], click(at_ms, link_id), visitor=hashed)
        for key in (None, datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()):
            hashes, unknown = by_day.get(key, (set(), False))
            by_day[key] = (hashes | {hashed}, unknown or hashed is None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clicks, "PAGE_ROWS", page_rows)
        found = clicks.count(
            logs, "w", *ALL, "no_bots", lambda _, at: datetime.fromtimestamp(at / 1000, UTC).date().isoformat()
        )
    assert sums(found)[0] == len(made)
    assert found.unique == {key: None if unknown else len(hashes) for key, (hashes, unknown) in by_day.items()}
    for log in logs:
        log.close()
