"""A columnar store in memory, filled by the real projector from a ledger and from click logs of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from nimriz.analytics import answers, reports
from nimriz.analytics.differences import Between
from nimriz.analytics.dimensions import Question
from nimriz.analytics.duck import Store
from nimriz.analytics.projector import Projector
from nimriz.analytics.reports import Report
from nimriz.analytics.rows import Rows
from nimriz.analytics.tables import TABLES
from nimriz.analytics.tallies import Experiment
from nimriz.store.db import Database


@cache
def _shared() -> Store:
    """One store for all tests of a process: opening one takes longer than emptying it."""
    return Store(None, memory_mib=256, threads=1)


def _emptied(rows: Rows) -> None:
    for name in TABLES:
        rows.all(f"delete from {name}" + (" where name <> 'version'" if name == "cursors" else ""))


@contextmanager
def projected(
    records: Database, logs: Mapping[int, Database], now_ms: Callable[[], int] = lambda: 1
) -> Iterator[Columnar]:
    """A store that holds what these hold, for the time of a test."""
    store = _shared()
    store.write(_emptied)
    columnar = Columnar(store, Projector(store, records, lambda: logs, now_ms))
    columnar.projector.catch_up()
    yield columnar


class Columnar:
    """A filled store, and what can be asked of it."""

    def __init__(self, store: Store, projector: Projector) -> None:
        self.store, self.projector = store, projector

    def report(self, question: Question) -> Report:
        """The report over what has been copied."""
        return self.store.read(lambda rows: reports.build(rows, question))

    def answer(self, asked: str, question: Question | Between | Experiment) -> dict[str, Any]:
        """Any answer, as plain values."""
        return self.store.read(lambda rows: answers.answer(rows, asked, question._asdict()))

    def count_of(self, table: str) -> int:
        """How many rows a table has."""
        return int(self.store.read(lambda rows: rows.all(f"select count(*) from {table}"))[0][0])
