"""DuckDB: one file, opened by one process, written by one thread and read by any.

What is damaged, or was made by another version, is thrown away: everything in it can be made anew. A file that cannot
be used now, because the disk is full or somebody else has it, is well, and is waited for.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from nimriz.analytics.rows import Rows
from nimriz.analytics.tables import TABLES, VERSION, WORDS

Result = TypeVar("Result")
_DAMAGE = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)


_NOT_ITS_FAULT = {
    "disk_full": (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    "refused": (errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE),
}


class Damaged(Exception):
    """The file is not what was written to it."""


class Unusable(Exception):
    """The store cannot be used now, and its file is well: `reason` is `disk_full`, `locked` or `refused`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def trouble(error: duckdb.Error) -> Damaged | Unusable | None:
    """What an error of the engine says of the file; None where it says nothing of it.

    The engine has one class for all of them, so its words tell: those of the system, and the lock's.
    """
    said = str(error)
    if not isinstance(error, (*_DAMAGE, duckdb.TransactionException)):
        return None
    if "Could not set lock on file" in said:
        return Unusable("locked")
    for reason, numbers in _NOT_ITS_FAULT.items():
        if any(os.strerror(number) in said for number in numbers):
            return Unusable(reason)
    return Damaged(type(error).__name__) if isinstance(error, _DAMAGE) else None


class Store:
    """The columnar store. `path` None keeps it in memory, for a while."""

    def __init__(self, path: Path | None, memory_mib: int, threads: int) -> None:
        self.path = path
        self._memory_mib, self._threads = memory_mib, threads
        self._guard = threading.Condition()
        self._readers = 0
        self._connection = self._opened()

    def _opened(self) -> duckdb.DuckDBPyConnection:
        """Open the file, or a new one in place of one that cannot be read. Raises Unusable."""
        try:
            with _telling():
                return self._connect()
        except (duckdb.Error, Damaged):
            if self.path is None:
                raise
            remove(self.path)
            with _telling():
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
            for word, meaning in WORDS.items():
                connection.execute(f"create macro {word} as {meaning}")
            connection.execute("insert into cursors (name, value) values ('version', ?)", [VERSION])
        elif connection.execute("select value from cursors where name = 'version'").fetchall() != [(VERSION,)]:
            raise Damaged("another version's")
        connection.execute("commit")

    def write(self, fn: Callable[[Rows], Result]) -> Result:
        """Run `fn` in a transaction, from one thread; it is on disk then. Raises Damaged and Unusable."""
        connection = self._connection
        with _telling():
            connection.execute("begin")
            try:
                result = fn(Rows(connection))
                connection.execute("commit")
            except BaseException as first:
                try:
                    connection.execute("rollback")
                except duckdb.Error as error:
                    # A commit that failed has been taken back already, and said why.
                    of_first = trouble(first) if isinstance(first, duckdb.Error) else None
                    raise of_first or trouble(error) or Damaged("it takes nothing back") from None
                raise
            return result

    def read(self, fn: Callable[[Rows], Result]) -> Result:
        """Run `fn` against one snapshot. Raises Damaged and Unusable."""
        with self._guard:
            try:
                cursor = self._connection.cursor()
            except duckdb.ConnectionException:
                # It was closed to be opened again, which has not come about yet.
                raise Unusable("closed") from None
            self._readers += 1
        try:
            with _telling():
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

    def reopen(self) -> None:
        """Open the file again, once nobody reads it: the engine serves nobody after a write that failed.

        Raises Unusable.
        """
        with self._guard:
            while self._readers:
                self._guard.wait()
            self._connection.close()
            self._connection = self._opened()

    def replace_with(self, other: Store) -> None:
        """Take the place of this store's file with another one's, once nobody reads it. Raises Unusable."""
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
        """Throw everything away, once nobody reads it. Raises Unusable."""
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
def _telling() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        told = trouble(error)
        if told is None:
            raise
        raise told from error


def remove(path: Path) -> None:
    """Delete a store's file and its log."""
    for name in (path.name, f"{path.name}.wal"):
        path.with_name(name).unlink(missing_ok=True)
