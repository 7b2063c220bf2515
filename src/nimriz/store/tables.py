"""Tables as they lie: which there are, and their rows in the order of their keys, whole, and written back as they were.

Nobody means anything by these statements: whoever copies a database asks for all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nimriz.store.db import Params, Row, Scalar, Tx

PAGE_ROWS = 2_000


class Table(NamedTuple):
    """A table: its columns in their order, and those of its primary key in theirs."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


def find_all(tx: Tx) -> list[Table]:
    """Every table of a database but the record of its migrations, by name."""
    names = tx.all(
        "select name from sqlite_schema where type = 'table' and name <> 'migrations' and name not like 'sqlite_%' "
        "order by name"
    )
    return [_table(tx, str(row[0])) for row in names]


def _table(tx: Tx, name: str) -> Table:
    found = tx.all("select name, pk from pragma_table_info(:name) order by cid", {"name": name})
    key = sorted((int(place), str(column)) for column, place in found if place)
    return Table(name, tuple(str(row[0]) for row in found), tuple(column for _, column in key))


def page(tx: Tx, table: Table, after: Row) -> list[Row]:
    """The next rows of a table behind a key, () for the first ones."""
    params: dict[str, Scalar] = {f"after_{n}": value for n, value in enumerate(after)}
    params["limit_count"] = PAGE_ROWS
    bound = ", ".join(f":after_{n}" for n in range(len(after)))
    behind = f"where ({', '.join(table.key)}) > ({bound})" if after else ""
    return tx.all(
        f"select {', '.join(table.columns)} from {table.name} {behind} order by {', '.join(table.key)} "
        "limit :limit_count",
        params,
    )


def pages(tx: Tx, table: Table) -> Iterator[list[Row]]:
    """All rows of a table, some at a time, in the order of its key."""
    after: Row = ()
    while found := page(tx, table, after):
        yield found
        after = key_of(table, found[-1])


def key_of(table: Table, row: Row) -> Row:
    """The key of a row."""
    return tuple(row[table.columns.index(column)] for column in table.key)


def put_back(tx: Tx, table: Table, rows: Sequence[Sequence[Scalar]]) -> None:
    """Write rows as they were, their values in the order of the table's columns."""
    names = ", ".join(f":{column}" for column in table.columns)
    tx.many(f"insert into {table.name} ({', '.join(table.columns)}) values ({names})", rows)


def counts(tx: Tx) -> dict[str, int]:
    """How many rows each table has."""
    found = {table.name: tx.one(f"select count(*) from {table.name}") for table in find_all(tx)}
    return {name: 0 if row is None else int(row[0]) for name, row in found.items()}


def versions(tx: Tx) -> int:
    """The number of the newest migration."""
    none: Params = {}
    row = tx.one("select coalesce(max(number), 0) from migrations", none)
    return 0 if row is None else int(row[0])
