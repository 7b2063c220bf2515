"""Retention: what is old enough is forgotten, what brought a conversion never is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from nimriz.base.clock import DAY_MS
from nimriz.base.ids import to_text
from nimriz.core.clicks import clicks, retention
from nimriz.core.directory import workspaces
from nimriz.store.db import StoreError, Tx
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite
from tests.clicklogs import Made, click, count_of, opened, standing, write

NOW_MS = 1_790_000_000_000


@pytest.fixture
def log(tmp_path: Path) -> Sqlite:
    """An empty click log."""
    return opened(tmp_path / "clicks-0.db")


@pytest.fixture
def records(tmp_path: Path) -> Sqlite:
    """A database of records."""
    database = Sqlite(tmp_path / "records.db")
    migrate(database, "records", 0)
    return database


def workspace_on(records: Sqlite, plan: str) -> str:
    """A workspace on a plan; its id."""
    made = records.write(lambda tx: workspaces.create(tx, "shop", NOW_MS))
    records.write(lambda tx: workspaces.set_plan(tx, made.workspace_id, plan, NOW_MS))
    return made.workspace_id


def attribute(records: Sqlite, made: Made, judged_at_ms: int = NOW_MS) -> None:
    """A verdict that a click earned an event."""
    records.write(
        lambda tx: tx.run(
            "insert into verdicts (workspace_id, event_id, judged_at_ms, status, method, reason, link_id, decision, "
            "click_id, clicked_at_ms, window_days) "
            "values (:w, 'e', :at, 'attributed', 'click_id', '', 'l', 0, :c, 1, 1)",
            {"w": made.workspace_id, "at": judged_at_ms, "c": made.click_id},
        )
    )


def left(log: Sqlite) -> set[str]:
    """The ids of the clicks that are there."""
    return {to_text(row[0]) for row in log.read(lambda tx: tx.all("select click_id from clicks"))}


def test_clicks_are_kept_as_long_as_the_plan_says_and_32_days_at_least(records: Sqlite, log: Sqlite) -> None:
    starter, plus = workspace_on(records, "starter"), workspace_on(records, "plus")
    ages = [(days, early) for days in (14, 32, 60) for early in (1, -1)]
    made = {
        (workspace, days, early): click(NOW_MS - days * DAY_MS - early, workspace_id=workspace)
        for workspace in (starter, plus)
        for days, early in ages
    }
    write(log, *made.values(), click(NOW_MS, workspace_id="nobody's"))
    assert retention.forget_clicks(records, log, NOW_MS) == 4
    gone = {key for key, one in made.items() if one.click_id not in left(log)}
    assert gone == {(starter, 32, 1), (starter, 60, 1), (starter, 60, -1), (plus, 60, 1)}
    assert retention.forget_clicks(records, log, NOW_MS) == 0


def test_a_click_that_brought_a_conversion_stays_for_good_with_what_is_told_of_it(records: Sqlite, log: Sqlite) -> None:
    workspace_id = workspace_on(records, "starter")
    kept, gone = (click(NOW_MS - 400 * DAY_MS, workspace_id=workspace_id) for _ in range(2))
    write(log, kept, gone, click(NOW_MS))

    def name(tx: Tx) -> None:
        tx.run("insert into agents (agent_id, kind, device, os, browser) values (1, 'browser', 'mobile', 'iOS', 'x')")
        tx.run("insert into click_agents (click_seq, agent_id) values (1, 1), (2, 1)")

    log.write(name)
    attribute(records, kept)
    assert retention.forget_clicks(records, log, NOW_MS) == 1
    assert gone.click_id not in left(log)
    assert kept.click_id in left(log)
    assert (count_of(log, "click_agents"), standing(log)) == (1, {1: ("human", "converted")})


def test_a_click_that_reaches_the_disk_after_its_conversion_is_found_all_the_same(records: Sqlite, log: Sqlite) -> None:
    late = click(NOW_MS)
    attribute(records, late)
    assert retention.mark_converted(records, log, NOW_MS) == 0
    assert retention.mark_late_ones(records, log, NOW_MS) == 0
    write(log, late)
    assert retention.mark_converted(records, log, NOW_MS) == 0
    assert retention.mark_late_ones(records, log, NOW_MS + retention.SETTLED_MS) == 1
    assert standing(log) == {1: ("human", "converted")}


def test_each_verdict_is_looked_at_once_however_many_there_are(
    records: Sqlite, log: Sqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_TOGETHER", 3)
    made = [click(NOW_MS) for _ in range(10)]
    write(log, *made)
    for one in [*made, *made]:
        attribute(records, one)
    assert [retention.mark_converted(records, log, NOW_MS) for _ in range(2)] == [10, 0]
    attribute(records, made[0])
    assert retention.mark_converted(records, log, NOW_MS) == 0


def test_killed_in_between_it_goes_on_where_it_was(
    records: Sqlite, log: Sqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_FORGOTTEN_TOGETHER", 3)
    workspace_id = workspace_on(records, "starter")
    write(log, *[click(NOW_MS - 40 * DAY_MS, workspace_id=workspace_id) for _ in range(10)], click(NOW_MS))
    forget, rounds = retention._forget, 0

    def killed(tx: Tx, seqs: list[int], before_ms: int) -> int:
        nonlocal rounds
        rounds += 1
        found = forget(tx, seqs, before_ms)
        if rounds == 2:
            raise StoreError("killed")
        return found

    monkeypatch.setattr(retention, "_forget", killed)
    with pytest.raises(StoreError):
        retention.forget_clicks(records, log, NOW_MS)
    assert count_of(log, "clicks") == 8
    assert retention.forget_clicks(records, log, NOW_MS) == 7


def test_the_database_refuses_to_delete_what_is_younger_or_was_judged(log: Sqlite) -> None:
    write(log, click(NOW_MS - 33 * DAY_MS), click(NOW_MS - 31 * DAY_MS))
    for seq in (1, 2):
        with pytest.raises(StoreError):
            log.write(lambda tx, n=seq: tx.run("delete from click_rows where seq = :seq", {"seq": n}))  # type: ignore[misc]
    log.write(partial(retention._forget, seqs=[1], before_ms=NOW_MS - 32 * DAY_MS))
    with pytest.raises(StoreError):
        log.write(partial(retention._forget, seqs=[2], before_ms=NOW_MS - 32 * DAY_MS))
    assert count_of(log, "clicks") == 1


def test_no_number_is_given_twice_even_when_every_click_is_old(records: Sqlite, log: Sqlite) -> None:
    workspace_id = workspace_on(records, "starter")
    write(log, *[click(NOW_MS - 40 * DAY_MS, workspace_id=workspace_id) for _ in range(5)])
    assert retention.forget_clicks(records, log, NOW_MS) == 4
    assert log.read(clicks.newest) == 5


@pytest.mark.parametrize(
    ("zone", "hour", "expected"),
    [("UTC", 0, "2026-11-23"), ("UTC", 1, "2026-11-24"), ("Europe/Berlin", 0, "2026-11-24"),
     ("Europe/Berlin", 23, "2026-11-24"), ("America/New_York", 5, "2026-11-23")],
)  # fmt: skip
def test_the_first_day_shown_begins_no_earlier_than_clicks_are_shown(zone: str, hour: int, expected: str) -> None:
    midnight_ms = 1_795_392_000_000  # 2026-11-23 in UTC
    assert retention.first_day_shown(midnight_ms + hour * 3_600_000, ZoneInfo(zone)) == expected
    assert retention.shown_from_ms("starter", NOW_MS) == NOW_MS - 14 * DAY_MS
    with pytest.raises(StoreError):
        retention.shown_from_ms("other", NOW_MS)
