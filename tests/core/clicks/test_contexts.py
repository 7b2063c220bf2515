"""Contexts: what clicks have in common is written once, and every click still tells all of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nimriz.base.clock import DAY_MS
from nimriz.core.clicks import contexts, retention
from nimriz.core.directory import workspaces
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite
from tests.clicklogs import count_of
from tests.logbooks import FIREFOX, NOW_MS, Bench, arrival


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A logbook's surroundings, the browser met before."""
    made = Bench(tmp_path)
    made.agents.read(FIREFOX)
    yield made
    made.end()


def test_clicks_that_are_alike_share_a_context_and_others_do_not(bench: Bench) -> None:
    book = bench.book()
    book.write([arrival(NOW_MS + n * 60_000, link_id=f"l{n % 2}") for n in range(10)])
    book.write([arrival(NOW_MS + 700_000, link_id="l1"), arrival(NOW_MS + 800_000, link_id="l1", placement="top")])
    assert count_of(bench.file, "click_contexts") == 3
    told = bench.rows("select link_id, placement, count(*) from clicks group by link_id, placement order by 1, 2")
    assert told == [("l0", "", 5), ("l1", "", 6), ("l1", "top", 1)]


def test_a_context_is_named_on_its_own_day_only(bench: Bench) -> None:
    book = bench.book()
    for n, days in enumerate((0, 0, 1, 0)):
        book.write([arrival(NOW_MS + days * DAY_MS, address=f"198.51.100.{n}")])
    named = bench.rows("select context_id from click_rows order by seq")
    assert named == [(1,), (1,), (2,), (3,)]


def test_what_is_remembered_is_bounded_and_what_comes_again_is_written_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contexts, "CONTEXTS_MAX", 5)
    book = bench.book()
    for n in (*range(10), 0):
        book.write([arrival(NOW_MS + n, placement=f"p{n}", address=f"198.51.100.{n}")])
        assert len(book._contexts._named) <= 6
    assert bench.rows("select placement from clicks order by seq") == [(f"p{n}",) for n in (*range(10), 0)]
    assert count_of(bench.file, "click_contexts") == 11


def test_a_process_that_starts_anew_gives_no_number_twice(bench: Bench) -> None:
    bench.book().write([arrival()])
    bench.book().write([arrival(NOW_MS + 1), arrival(NOW_MS + 2, placement="top", address="198.51.100.1")])
    assert bench.rows("select context_id, made_at_ms from click_contexts order by 1") == [
        (1, NOW_MS), (2, NOW_MS + 1), (3, NOW_MS + 1),
    ]  # fmt: skip
    assert bench.rows("select workspace_no, workspace_id from click_workspaces") == [(1, "w")]


def test_a_context_goes_with_the_last_of_its_clicks(bench: Bench, tmp_path: Path) -> None:
    records = Sqlite(tmp_path / "records.db")
    migrate(records, "records", 0)
    workspace_id = records.write(lambda tx: workspaces.create(tx, "shop", NOW_MS)).workspace_id
    records.write(lambda tx: workspaces.set_plan(tx, workspace_id, "starter", NOW_MS))
    book = bench.book()
    for days_ago in (400, 399, 0):
        made = arrival(NOW_MS - days_ago * DAY_MS)
        book.write([made._replace(facts=made.facts._replace(workspace_id=workspace_id))])
    assert retention.forget_clicks(records, bench.file, NOW_MS) == 2
    assert bench.rows("select context_id from click_contexts") == [(3,)]
    assert bench.rows("select seq, link_id from clicks") == [(3, "l")]


def test_no_number_of_a_context_is_given_twice_even_when_every_click_is_old(bench: Bench, tmp_path: Path) -> None:
    records = Sqlite(tmp_path / "records.db")
    migrate(records, "records", 0)
    workspace_id = records.write(lambda tx: workspaces.create(tx, "shop", NOW_MS)).workspace_id
    records.write(lambda tx: workspaces.set_plan(tx, workspace_id, "starter", NOW_MS))
    old_ms = NOW_MS - 400 * DAY_MS
    first, second = arrival(old_ms, strict=True), arrival(old_ms + 1, strict=True, placement="top")
    book = bench.book()
    for made in (first, second, first._replace(click_id=arrival(old_ms + 2).click_id, clicked_at_ms=old_ms + 2)):
        book.write([made._replace(facts=made.facts._replace(workspace_id=workspace_id))])
    assert retention.forget_clicks(records, bench.file, NOW_MS) == 2
    # The click that is left names the first context; a process that starts now goes on behind the second.
    bench.book().write([arrival()])
    assert bench.rows("select context_id from click_rows order by seq") == [(1,), (3,)]
