"""Prepared writes: what a function would write, kept instead of written.

It reads from a snapshot and keeps no lock, so that what takes long is done before the transaction begins and
not inside it. It does not see its own writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nimriz.store import sql as widen
from nimriz.store.db import NO_PARAMS, Params, Row, Scalar, Tx


class Prepared:
    """A transaction that reads, and keeps its writes for `perform`."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._kept: list[tuple[str, list[Params | Sequence[Scalar]]]] = []

    def all(self, sql: str, params: Params = NO_PARAMS) -> list[Row]:
        """Every row of a query."""
        return self._tx.all(sql, params)

    def one(self, sql: str, params: Params = NO_PARAMS) -> Row | None:
        """The first row of a query, or None."""
        return self._tx.one(sql, params)

    def each(self, sql: str, keys: Sequence[Scalar], params: Params = NO_PARAMS) -> list[Row]:
        """Every row of a query about many keys."""
        return self._tx.each(sql, keys, params)

    def run(self, sql: str, params: Params = NO_PARAMS) -> None:
        """Keep a statement."""
        self.many(sql, [params])

    def many(self, sql: str, rows: Iterable[Params | Sequence[Scalar]]) -> None:
        """Keep a statement for many rows."""
        names = widen.values_names(sql)
        self._kept.append(
            (sql, [[row[name] for name in names] if names and isinstance(row, Mapping) else row for row in rows])
        )

    def perform(self, tx: Tx) -> None:
        """Write in a transaction what was kept, in the order in which it came."""
        for sql, rows in self._kept:
            tx.many(sql, rows)
