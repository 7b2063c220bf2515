"""The logbook: a click with who made it and what it is worth, and nothing of who that was."""

from __future__ import annotations

import gc
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from nimriz.base.ids import to_text
from nimriz.core.clicks import judgments, logbook
from nimriz.core.clicks.agents import Agent
from nimriz.core.clicks.bursts import Sighting
from nimriz.core.clicks.clicks import AGENT
from nimriz.core.clicks.logbook import Arrival
from nimriz.core.clicks.places import Place, Places
from nimriz.store.db import StoreError
from tests.clicklogs import count_of, standing
from tests.logbooks import FIREFOX, NOW_MS, Bench, arrival, changed_by_judging_again, settled, told


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A logbook's surroundings."""
    made = Bench(tmp_path)
    yield made
    made.end()


def test_an_agent_is_told_of_each_click_whether_it_was_met_before_or_not(bench: Bench) -> None:
    book = bench.book()
    book.write([arrival(), arrival(NOW_MS + 60_000, b"curl/8.0")])
    settled(book, bench, 2)
    book.write([arrival(NOW_MS + 120_000), arrival(NOW_MS + 180_000, b"curl/8.0")])
    made = bench.rows(f"select clicks.seq, kind, browser from clicks {AGENT} order by clicks.seq")
    assert made == [(1, "browser", "Firefox"), (2, "library", ""), (3, "browser", "Firefox"), (4, "library", "")]
    # Only what had to be read first takes a second row.
    assert bench.rows("select click_seq from click_agents order by click_seq") == [(1,), (2,)]
    assert standing(bench.file) == {2: ("suspect", "http_library"), 4: ("suspect", "http_library")}
    assert bench.rows("select language, visitor is null from clicks where seq = 1") == [("de", 0)]


@pytest.mark.parametrize("how", ["before", "after"])
def test_after_a_write_that_failed_or_seemed_to_the_next_ones_succeed(bench: Bench, how: str) -> None:
    book = bench.book()
    bench.agents.read(FIREFOX)
    bench.agents.read(b"curl/8.0")
    book.write([arrival()])
    bench.failing.how = how
    with pytest.raises(StoreError):
        book.write([arrival(NOW_MS + 1), arrival(NOW_MS + 2, b"curl/8.0")])
    bench.failing.how = ""
    book.write([arrival(NOW_MS + 3), arrival(NOW_MS + 4, b"curl/8.0")])
    expected = 3 if how == "before" else 5
    assert [row[0] for row in bench.rows("select seq from clicks order by seq")] == list(range(1, expected + 1))
    assert (told(bench), count_of(bench.file, "agents")) == (expected, 2)


def test_a_process_that_starts_anew_goes_on_with_the_numbers_of_the_file(bench: Bench) -> None:
    first = bench.book()
    first.write([arrival(), arrival(NOW_MS + 1, b"curl/8.0")])
    settled(first, bench, 2)
    # Killed: nothing is closed.
    second = bench.book()
    second.write([arrival(NOW_MS + 2, b"curl/8.0"), arrival(NOW_MS + 3)])
    settled(second, bench, 4)
    assert [row[0] for row in bench.rows("select seq from clicks order by seq")] == [1, 2, 3, 4]
    assert count_of(bench.file, "agents") == 2


def test_two_threads_may_meet_the_same_new_agents_at_the_same_time(bench: Bench) -> None:
    book = bench.book()
    systems = (b"Windows NT 10.0", b"X11; Linux x86_64", b"Macintosh; Intel Mac OS X 10_15_7")
    strings = [
        b"Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36" % s for s in systems
    ]
    strings *= 30
    for n, user_agent in enumerate(strings):
        book.write([arrival(NOW_MS + n, user_agent + b" v%d" % (n % 7), address=f"198.51.100.{n}")])
    settled(book, bench, len(strings))
    assert bench.skipped == []
    assert count_of(bench.file, "agents") == len(set(bench.rows("select kind, device, os, browser from agents")))


def test_an_agent_read_late_is_judged_as_one_that_was_known(bench: Bench) -> None:
    made = [arrival(NOW_MS + n, b"curl/8.0") for n in range(3)] + [arrival(NOW_MS + 3, b"Googlebot/2.1")]
    book = bench.book()
    book.write(made)
    settled(book, bench, 4)
    late = standing(bench.file)
    assert late == {**dict.fromkeys((1, 2, 3), ("suspect", "http_library")), 4: ("bot", "declared_crawler")}
    assert changed_by_judging_again(bench) == 0


def test_a_conversion_that_came_before_the_agent_was_read_stands(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = threading.Event()

    def read_late(user_agent: bytes) -> Agent:
        converted.wait(60)
        return Agent("crawler", "other", "", "")

    monkeypatch.setattr(bench.agents, "read", read_late)
    book, made = bench.book(), arrival()
    book.write([made])
    bench.file.write(lambda tx: judgments.mark_converted(tx, "w", [to_text(made.click_id)], NOW_MS))
    converted.set()
    settled(book, bench, 1)
    assert standing(bench.file) == {1: ("human", "converted")}


def test_the_queue_is_bounded_and_what_does_not_fit_is_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logbook, "UNREAD_MAX", 5)
    reading, go_on = threading.Event(), threading.Event()

    def read_slowly(user_agent: bytes) -> Agent:
        reading.set()
        go_on.wait(60)
        return Agent("browser", "other", "", "")

    monkeypatch.setattr(bench.agents, "read", read_slowly)
    book = bench.book()
    book.write([arrival()])
    assert reading.wait(60)
    book.write([arrival(NOW_MS + n, b"agent %d" % n) for n in range(1, 9)])
    assert (book.unread, sum(bench.skipped)) == (5, 3)
    go_on.set()
    settled(book, bench, 6)
    assert count_of(bench.file, "clicks") == 9


def test_whatever_goes_wrong_with_an_agent_the_next_ones_are_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.agents, "read", lambda user_agent: 1 // 0)
    book = bench.book()
    book.write([arrival()])
    ends_s = time.monotonic() + 60
    while not bench.skipped and time.monotonic() < ends_s:
        time.sleep(0.005)
    assert bench.skipped == [1]
    monkeypatch.undo()
    book.write([arrival(NOW_MS + 60_000)])
    settled(book, bench, 1)


def test_nothing_of_address_and_user_agent_is_kept_once_it_is_written(bench: Bench) -> None:
    book = bench.book()
    marked = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 marked-agent"
    book.write([arrival(user_agent=marked, address="198.51.100.234")])
    settled(book, bench, 1)
    on_disk = b"".join(path.read_bytes() for path in bench.folder.iterdir())
    assert b"marked-agent" not in on_disk
    assert b"198.51.100.234" not in on_disk
    ends_s = time.monotonic() + 60
    while time.monotonic() < ends_s:
        gc.collect()
        # By their type: some libraries' objects do something when they are asked for their class.
        kept = [o for o in gc.get_objects() if type(o) in (Arrival, logbook._Later, Sighting)]
        if not kept:
            return
        time.sleep(0.05)
    raise AssertionError("a click that is written is still in memory")


def test_strict_privacy_keeps_the_hash_away_and_judges_no_pace(bench: Bench) -> None:
    book = bench.book()
    bench.agents.read(FIREFOX)
    book.write([arrival(NOW_MS + n, strict=True) for n in range(20)])
    assert standing(bench.file) == {}
    assert bench.rows("select count(visitor) from clicks") == [(0,)]


def test_a_proxys_country_is_not_mixed_with_another_countrys_region(bench: Bench) -> None:
    here = Place("FR", "FR-75", "Paris")
    bench.places = cast(Places, type("Here", (), {"find": lambda self, address: here})())
    book = bench.book()
    book.write([arrival(), arrival(country="FR"), arrival(country="DE")])
    told = bench.rows("select country, region, city from clicks order by seq")
    assert told == [("FR", "FR-75", "Paris"), ("FR", "FR-75", "Paris"), ("DE", "", "")]


def test_closing_reads_what_waits(bench: Bench) -> None:
    book = bench.book()
    book.write([arrival(NOW_MS + n, b"curl/%d" % n) for n in range(500)])
    book.close()
    bench.opened.clear()
    assert count_of(bench.file, "click_agents") == 500
    assert isinstance(book._unread, queue.SimpleQueue)
    assert book.unread == 0
