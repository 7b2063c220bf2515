"""Logbooks for tests: one on a file whose writes can fail, what surrounds it, and clicks that arrive."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nimriz.base.ids import to_bytes
from nimriz.core.clicks import judgments
from nimriz.core.clicks.agents import Agents
from nimriz.core.clicks.clicks import AGENT
from nimriz.core.clicks.logbook import Arrival, Logbook
from nimriz.core.clicks.networks import Networks
from nimriz.core.clicks.places import Places
from nimriz.core.clicks.visitors import DayKeys
from nimriz.store.db import Result, StoreError, Tx
from nimriz.store.sqlite import Sqlite
from tests.clicklogs import click, opened, standing

NOW_MS = 1_790_000_000_000
FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
ADDRESS = "203.0.113.77"


class Failing:
    """A database whose writes fail when told to, before or after they are on disk."""

    def __init__(self, database: Sqlite) -> None:
        self.database = database
        self.how = ""

    def read(self, fn: Callable[[Tx], Result]) -> Result:
        """Read."""
        return self.database.read(fn)

    def write(self, fn: Callable[[Tx], Result]) -> Result:
        """Write, or not, or not sure."""
        if self.how == "before":
            raise StoreError("FullError")
        result = self.database.write(fn)
        if self.how == "after":
            raise StoreError("IOError")
        return result

    def close(self) -> None:
        """Close."""


class Bench:
    """A logbook on a file, and what it skipped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = opened(folder / "clicks-0.db")
        self.failing = Failing(self.file)
        self.agents = Agents()
        self.skipped: list[int] = []
        self.places = Places(None)
        self.networks = Networks(None)
        self.opened: list[Logbook] = []

    def book(self) -> Logbook:
        """Open the logbook as a process does that starts."""
        days = DayKeys(self.folder / "day-key", NOW_MS)
        book = Logbook(self.failing, self.agents, self.places, self.networks, days, self.skipped.append)
        self.opened.append(book)
        return book

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the log."""
        return self.file.read(lambda tx: tx.all(sql))

    def end(self) -> None:
        """Close what was opened."""
        self.failing.how = ""
        for book in self.opened:
            book.close()


def arrival(
    at_ms: int = NOW_MS, user_agent: bytes = FIREFOX, link_id: str = "l", country: str = "", strict: bool = False,
    crawler: int = 0, purpose: str = "", address: str = ADDRESS, placement: str = "",
) -> Arrival:  # fmt: skip
    """A click that arrives."""
    made = click(at_ms, link_id, crawler=crawler)
    facts = made.facts._replace(placement=placement, tags='["t"]')
    click_id = to_bytes(made.click_id)
    return Arrival(click_id, at_ms, facts, purpose, country, address, user_agent, b"de-DE,en;q=0.5", strict)


def changed_by_judging_again(bench: Bench) -> int:
    """How many clicks the rules judge otherwise now."""
    return sum(changed.qualities.total() for changed in judgments.judge_again(bench.file, NOW_MS))


def stands(bench: Bench, expected: dict[int, tuple[str, str]]) -> None:
    """Wait until this is what is thought of the clicks, and see that judging again leaves it so."""
    ends_s = time.monotonic() + 60
    while standing(bench.file) != expected and time.monotonic() < ends_s:
        time.sleep(0.005)
    assert standing(bench.file) == expected
    assert changed_by_judging_again(bench) == 0


def settled(book: Logbook, bench: Bench, clicks: int) -> None:
    """Wait until so many clicks have their agent."""
    ends_s = time.monotonic() + 60
    while told(bench) < clicks and time.monotonic() < ends_s:
        time.sleep(0.005)
    assert told(bench) == clicks


def told(bench: Bench) -> int:
    """How many clicks have an agent, in their own row or in a second one."""
    return int(bench.rows(f"select count(agents.agent_id) from clicks {AGENT}")[0][0])
