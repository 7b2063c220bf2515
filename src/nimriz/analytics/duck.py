"""DuckDB: one file, opened by one process, written by one thread and read by any.

What does not open, or was made by another version, is thrown away: everything in it can be made anew.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import msgspec

from nimriz.analytics.tables import TABLES, VERSION, columns_of

Result = TypeVar("Result")
Row = tuple[Any, ...]
_NAME = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_DAMAGE = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)


class Damaged(Exception):
    """The file is not what was written to it."""


class Rows:
    """One connection with a transaction, or with a snapshot, on it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def all(self, sql: str, params: Mapping[str, Any] | None = None) -> list[Row]:
        """Every row of a query; `:name` stands for a value."""
        wanted = _NAME.findall(sql)
        bound = {name: (params or {})[name] for name in dict.fromkeys(wanted)}
        return self._connection.execute(_NAME.sub(r"$\1", sql), bound or None).fetchall()

    def append(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Append rows, their values in the order of the table's columns."""
        if rows:
            text = msgspec.json.encode(rows).decode()
            self.all(f"insert into {table} {_unpacked(columns_of(table))}", {"rows": text})

    def stage(self, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> None:
        """Keep rows in the table `staged` until the next ones: names and types of its columns, and their values."""
        text = msgspec.json.encode(rows).decode()
        self.all(f"create or replace temp table staged as {_unpacked(columns)}", {"rows": text})


def _unpacked(columns: Sequence[tuple[str, str]]) -> str:
    """The query that makes rows from JSON: one value to bind, however many there are."""
    values = ", ".join(f"cast(r[{n}] as {kind}) as {name}" for n, (name, kind) in enumerate(columns, 1))
    return f"select {values} from (select unnest(from_json(:rows, '[[\"varchar\"]]')) as r)"


class Store:
    """The columnar store. `path` None keeps it in memory, for a while."""

    def __init__(self, path: Path | None, memory_mib: int, threads: int) -> None:
        self.path = path
        self._memory_mib, self._threads = memory_mib, threads
        self._guard = threading.Condition()
        self._readers = 0
        self._connection = self._opened()

    def _opened(self) -> duckdb.DuckDBPyConnection:
        try:
            return self._connect()
        except (duckdb.Error, Damaged):
            if self.path is None:
                raise
            remove(self.path)
            return self._connect()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        config: dict[str, Any] = {
            "memory_limit": f"{self._memory_mib}MiB",
            "threads": self._threads,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
        }
        if self.path is not None:
            config["temp_directory"] = f"{self.path}.tmp"
        connection = duckdb.connect(":memory:" if self.path is None else str(self.path), config=config)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("begin")
        known = connection.execute("select table_name from information_schema.tables").fetchall()
        if not known:
            for name, definition in TABLES.items():
                connection.execute(f"create table {name} ({definition})")
            connection.execute("insert into cursors (name, value) values ('version', ?)", [VERSION])
        elif connection.execute("select value from cursors where name = 'version'").fetchall() != [(VERSION,)]:
            raise Damaged("another version's")
        connection.execute("commit")

    def write(self, fn: Callable[[Rows], Result]) -> Result:
        """Run `fn` in a transaction that is on disk when `write` returns; from one thread. Raises Damaged."""
        connection = self._connection
        with _telling_damage():
            connection.execute("begin")
            try:
                result = fn(Rows(connection))
                connection.execute("commit")
            except BaseException:
                try:
                    connection.execute("rollback")
                except duckdb.Error:
                    raise Damaged("it takes nothing back") from None
                raise
            return result

    def read(self, fn: Callable[[Rows], Result]) -> Result:
        """Run `fn` against one snapshot. Raises Damaged."""
        with self._guard:
            self._readers += 1
            cursor = self._connection.cursor()
        try:
            with _telling_damage():
                cursor.execute("begin")
                try:
                    return fn(Rows(cursor))
                finally:
                    cursor.execute("rollback")
        finally:
            cursor.close()
            with self._guard:
                self._readers -= 1
                self._guard.notify_all()

    def replace_with(self, other: Store) -> None:
        """Take the place of this store's file with another one's, once nobody reads it."""
        if self.path is None or other.path is None:
            raise ValueError("both are files")
        with self._guard:
            while self._readers:
                self._guard.wait()
            other.close()
            self._connection.close()
            remove(self.path)
            other.path.replace(self.path)
            self._connection = self._opened()

    def start_anew(self) -> None:
        """Throw everything away, once nobody reads it."""
        with self._guard:
            while self._readers:
                self._guard.wait()
            self._connection.close()
            if self.path is not None:
                remove(self.path)
            self._connection = self._opened()

    def close(self) -> None:
        """Fold the log into the file, and close it."""
        self._connection.close()


@contextmanager
def _telling_damage() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise Damaged(type(error).__name__) from error


def remove(path: Path) -> None:
    """Delete a store's file and its log."""
    for name in (path.name, f"{path.name}.wal"):
        path.with_name(name).unlink(missing_ok=True)
