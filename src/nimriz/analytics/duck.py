"""DuckDB: one file, opened by one process, written by one thread and read by any.

What does not open, or was made by another version, is thrown away: everything in it can be made anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from nimriz.analytics.rows import Rows
from nimriz.analytics.tables import TABLES, VERSION

Result = TypeVar("Result")
_DAMAGE = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)


class Damaged(Exception):
    """The file is not what was written to it."""


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
            "checkpoint_threshold": "64MiB",
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
