"""Tables as files: columns by their kind, and rows written by DuckDB as CSV, NDJSON or Parquet, never all in memory.

What a spreadsheet would take for a formula gets an apostrophe in front in CSV (OWASP, CSV Injection); so does what has
an apostrophe before it already, so that taking one away gives back what was there. Numbers are ours and stay.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import duckdb

Kind = Literal["text", "id", "json", "instant", "count", "minor", "amount", "rate", "flag"]
"""What a column holds. `text` is anybody's and '' where there is nothing; `id` is ours; `json` is a JSON text;
`instant` is in milliseconds; `minor` is money in minor units, and `amount` the same as a decimal."""
Written = Literal["csv", "ndjson", "parquet"]

TYPES: dict[Kind, str] = {
    "text": "varchar",
    "id": "varchar",
    "json": "varchar",
    "instant": "bigint",
    "count": "bigint",
    "minor": "decimal(38, 0)",
    "amount": "varchar",
    "rate": "double",
    "flag": "boolean",
}
_MEMORY_MIB = 200
_FETCHED_ROWS = 2_000
_FORMULA = "^''*[=+@\\t\\r\\n＝＋－＠-]"
# The first characters of what the expression above finds; asking for these first costs much less.
_SUSPECT = ", ".join(str(ord(letter)) for letter in "'=+@\t\r\n＝＋－＠-")
_OPTIONS: dict[Written, str] = {
    # Heads are written apart, once for all parts of a file.
    "csv": "format csv, header false",
    # One column of JSON texts, as they are: a JSON text holds no control character.
    "ndjson": "format csv, header false, quote '', escape '', delimiter '\x01'",
    "parquet": "format parquet, compression zstd",
}


class Column(NamedTuple):
    """One column of a file: what it is called, what it holds, and the SQL that tells it ('': its name)."""

    name: str
    kind: Kind
    sql: str = ""

    @property
    def source(self) -> str:
        """The SQL that tells it."""
        return self.sql or self.name


def copy_statement(columns: Sequence[Column], source: str, path: Path, written: Written) -> str:
    """SQL that writes what follows `from` in `source` to a file."""
    target = str(path).replace("'", "''")
    return f"copy (select {_selected(columns, written)} from {source}) to '{target}' ({_OPTIONS[written]})"


def _selected(columns: Sequence[Column], written: Written) -> str:
    told = [(column.name, _told(column, written)) for column in columns]
    if written == "ndjson":
        return f"to_json({{{', '.join(f'{_quoted(name)}: {sql}' for name, sql in told)}}})"
    return ", ".join(f"{sql} as {_quoted(name)}" for name, sql in told)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _told(column: Column, written: Written) -> str:
    sql = column.source
    if column.kind == "instant":
        if written == "parquet":
            return f"to_timestamp({sql} / 1000.0)"
        return f"strftime(epoch_ms({sql}), '%Y-%m-%dT%H:%M:%S.%gZ')"
    if column.kind == "flag":
        return f"cast({sql} as boolean)"
    if column.kind == "json":
        return f"cast(nullif({sql}, '') as json)" if written == "ndjson" else _disarmed(sql, written)
    if column.kind == "text":
        return _disarmed(sql, written)
    return f"cast({sql} as varchar)" if column.kind == "id" else sql


def _disarmed(sql: str, written: Written) -> str:
    if written != "csv":
        return f"nullif({sql}, '')"
    return (
        f"case when ascii({sql}) in ({_SUSPECT}) and regexp_matches({sql}, '{_FORMULA}') "
        f"then '''' || {sql} else nullif({sql}, '') end"
    )


def convert(staged_rows: Path, columns: Sequence[Column], path: Path, written: Written) -> int:
    """Write rows that lie in a file as NDJSON to another; how many they were. Raises duckdb.Error."""
    with _engine(path.parent) as connection:
        source = staged(staged_rows, columns)
        plain = [Column(column.name, column.kind, _quoted(column.name)) for column in columns]
        return int(connection.execute(copy_statement(plain, source, path, written)).fetchall()[0][0])


def head(columns: Sequence[Column], written: Written) -> bytes:
    """What stands before the rows of a file."""
    if written != "csv":
        return b""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([column.name for column in columns])
    return line.getvalue().encode()


def join(parts: Sequence[Path], path: Path) -> int:
    """Write the rows of Parquet files of ours to one, in their order; how many they were. Raises duckdb.Error."""
    target = str(path).replace("'", "''")
    with _engine(path.parent) as connection:
        copied = connection.execute(f"copy (select * from {_parquet(parts)}) to '{target}' ({_OPTIONS['parquet']})")
        return int(copied.fetchall()[0][0])


def rows_of(parts: Sequence[Path], columns: Sequence[Column]) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of Parquet files of ours, some at a time; instants as RFC 3339. Raises duckdb.Error."""
    told = ", ".join(
        f"strftime({name} at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%gZ')" if column.kind == "instant" else name
        for column in columns
        for name in [_quoted(column.name)]
    )
    with _engine(parts[0].parent) as connection:
        cursor = connection.execute(f"select {told} from {_parquet(parts)}")
        while found := cursor.fetchmany(_FETCHED_ROWS):
            yield found


def _parquet(parts: Sequence[Path]) -> str:
    told = ", ".join("'" + str(part).replace("'", "''") + "'" for part in parts)
    return f"read_parquet([{told}])"


def _engine(folder: Path) -> duckdb.DuckDBPyConnection:
    """An engine of its own for a while, which holds nothing."""
    return duckdb.connect(
        config={
            "memory_limit": f"{_MEMORY_MIB}MiB",
            "threads": 1,
            "temp_directory": str(folder / "spilled"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
        }
    )


def staged(path: Path, columns: Sequence[Column]) -> str:
    """What to select from for rows that lie in a file as NDJSON, their members named and typed as these columns."""
    types = ", ".join(f"{_quoted(column.name)}: '{TYPES[column.kind]}'" for column in columns)
    source = str(path).replace("'", "''")
    return f"read_json('{source}', format = 'newline_delimited', columns = {{{types}}})"
