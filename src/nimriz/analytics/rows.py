"""Rows: what a statement of the columnar store is run with, and what it answers.

Apart from the engine, so that whoever only asks need not load it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from nimriz.analytics.tables import columns_of

Row = tuple[Any, ...]
_NAME = re.compile(r"(?<![:\w]):([a-z_]\w*)")


class Rows:
    """One connection with a transaction, or with a snapshot, on it. `expected`: how many rows a long statement has."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.expected = 0

    def progress(self) -> float:
        """How many percent of what runs are done, or less than 0: asked from another thread."""
        return float(self._connection.query_progress())

    def interrupt(self) -> None:
        """Stop what runs: from another thread."""
        self._connection.interrupt()

    def all(self, sql: str, params: Mapping[str, Any] | None = None) -> list[Row]:
        """Every row of a query; `:name` stands for a value."""
        wanted = _NAME.findall(sql)
        bound = {name: (params or {})[name] for name in dict.fromkeys(wanted)}
        return list(self._connection.execute(_NAME.sub(r"$\1", sql), bound or None).fetchall())

    def append(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Append rows, their values in the order of the table's columns."""
        if rows:
            text = msgspec.json.encode(rows).decode()
            self.all(f"insert into {table} {_unpacked(columns_of(table))}", {"rows": text})

    def stage(self, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> None:
        """Keep rows in the table `staged` until the next ones: names and types of its columns, and their values."""
        text = msgspec.json.encode(rows).decode()
        self.all(f"create or replace temp table staged as {_unpacked(columns)}", {"rows": text})

    def stage_lines(self, columns: Sequence[tuple[str, str]], lines: str) -> None:
        """The same of lines, their values between commas, none of which has either in it; an empty one is null."""
        values = ", ".join(f"cast(nullif(r[{n}], '') as {kind}) as {name}" for n, (name, kind) in enumerate(columns, 1))
        self.all(
            f"create or replace temp table staged as select {values} from (select string_split(line, ',') as r "
            "from (select unnest(string_split(:lines, chr(10))) as line))",
            {"lines": lines},
        )


def _unpacked(columns: Sequence[tuple[str, str]]) -> str:
    """The query that makes rows from JSON: one value to bind, however many there are."""
    values = ", ".join(f"cast(r[{n}] as {kind}) as {name}" for n, (name, kind) in enumerate(columns, 1))
    return f"select {values} from (select unnest(from_json(:rows, '[[\"varchar\"]]')) as r)"
