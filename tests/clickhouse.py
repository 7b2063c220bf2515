"""The tables of a columnar store once more, in a real ClickHouse engine in this process, and its rows to ask.

Where the engine is not installed, the tests that import this are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import pytest

from nimriz.analytics.duck import Store
from nimriz.analytics.rows import Row, Rows
from nimriz.analytics.tables import TABLES, columns_of

_NO_ENGINE = "ClickHouse is not installed: make clickhouse"
pytest.importorskip("chdb", reason=_NO_ENGINE)
clickhouse_connect = pytest.importorskip("clickhouse_connect", reason=_NO_ENGINE)

# What makes of ClickHouse an engine of standard SQL: a column may be null where it says no other, and stays so when it
# is cast, and what a left join does not find is null.
SETTINGS = {"data_type_default_nullable": 1, "cast_keep_nullable": 1, "join_use_nulls": 1}
_NAME = re.compile(r"(?<![:\w]):([a-z_]\w*)")


class ClickHouse(Rows):
    """The one engine of this process, asked as DuckDB is."""

    def all(self, sql: str, params: Mapping[str, Any] | None = None) -> list[Row]:
        """Every row of a query; `:name` stands for a value."""
        values = params or {}
        bound = {name: values[name] for name in _NAME.findall(sql)}

        def typed(found: re.Match[str]) -> str:
            kind = "Int64" if isinstance(values[found[1]], int) else "String"
            return f"{{{found[1]}:{kind}}}"

        return [tuple(row) for row in self._connection.query(_NAME.sub(typed, sql), bound).result_rows]

    def fill_from(self, store: Store) -> None:
        """Hold what the store holds, and nothing else."""
        for name in TABLES:
            columns = [column for column, _ in columns_of(name)]
            found = store.read(partial(Rows.all, sql=f"select {', '.join(columns)} from {name}"))
            self._connection.command(f"truncate table {name}")
            if found:
                self._connection.insert(name, found, columns)


@cache
def engine() -> ClickHouse:
    """The engine, with its tables made."""
    client = clickhouse_connect.create_client(interface="chdb", settings=SETTINGS)
    for name, definition in TABLES.items():
        client.command(f"create table {name} ({definition}) engine = Memory")
    return ClickHouse(client)
