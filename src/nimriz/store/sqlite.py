"""SQLite through apsw: write-ahead log, every commit flushed to disk.

One connection writes and a small pool reads. A connection that saw an I/O error is thrown away and
never asked to flush again: after a failed fsync the kernel may have dropped the pages and call the
next fsync a success.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import apsw

from nimriz.store import sql as widen
from nimriz.store.db import NO_PARAMS, Params, Result, Row, Scalar, StoreError, Tx
from nimriz.store.purging import purge

# SQLite 3.7.0 to 3.51.2 can lose commits when one races a checkpoint (the WAL-reset bug).
SQLITE_VERSION_MIN = (3, 51, 3)
BUSY_TIMEOUT_MS = 5_000
READERS_KEPT = 8
# Pages kept by each connection; they are taken as they are needed.
CACHE_KIB = 32_768
# A log this long after a checkpoint is cut back, so a burst does not keep its disk for ever.
JOURNAL_SIZE_LIMIT_BYTES = 64 * 1024 * 1024

_BROKEN = (apsw.IOError, apsw.CorruptError, apsw.FullError, apsw.NotADBError)


class SqliteTooOld(Exception):
    """This Python carries an SQLite that can lose commits."""


def refuse_affected_version(version: str | None = None) -> None:
    """Raise SqliteTooOld when the SQLite in use (or `version`, as "3.51.3") has the WAL-reset bug."""
    text = apsw.sqlite_lib_version() if version is None else version
    if tuple(int(part) for part in text.split(".")[:3]) < SQLITE_VERSION_MIN:
        raise SqliteTooOld(
            f"SQLite {text} can lose commits (the WAL-reset bug of 3.7.0 to 3.51.2); "
            "install an apsw that carries 3.51.3 or newer."
        )


class _SqliteTx:
    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def all(self, sql: str, params: Params = NO_PARAMS) -> list[Row]:
        return cast(list[Row], self._connection.execute(sql, params).fetchall())

    def one(self, sql: str, params: Params = NO_PARAMS) -> Row | None:
        return cast(Row | None, self._connection.execute(sql, params).fetchone())

    def run(self, sql: str, params: Params = NO_PARAMS) -> None:
        self._connection.execute(sql, params).fetchall()

    def many(self, sql: str, rows: Iterable[Params | Sequence[Scalar]]) -> None:
        names = widen.values_names(sql)
        if not names:
            self._connection.executemany(sql, cast(Any, rows))
            return
        # A tuple is asked for first: that is quick, and most rows are one.
        values = [
            row if isinstance(row, tuple) or not isinstance(row, Mapping) else [row[name] for name in names]
            for row in rows
        ]
        for some in widen.in_widths(values, len(names)):
            self._connection.execute(widen.for_rows(sql, len(some)), list(chain.from_iterable(some))).fetchall()

    def each(self, sql: str, keys: Sequence[Scalar], params: Params = NO_PARAMS) -> list[Row]:
        keys = list(dict.fromkeys(keys))  # In two slices a key would be answered twice.
        rows: list[Row] = []
        for start in range(0, len(keys), widen.WIDTHS[0]):
            some = widen.padded(keys[start : start + widen.WIDTHS[0]])
            bound = {**params, **{f"k{number}": key for number, key in enumerate(some)}}
            rows += self._connection.execute(widen.for_keys(sql, len(some)), bound).fetchall()
        return rows


class Sqlite:
    """One SQLite file. Thread-safe: writers take turns, readers do not wait for them.

    A `frozen` one is a copy that nobody writes: it is read without locks, and nothing appears beside it.
    """

    def __init__(self, path: Path, *, secure_delete: bool = False, frozen: bool = False) -> None:
        refuse_affected_version()
        self.path = path
        self._frozen = frozen
        self._secure_delete = secure_delete
        self._write_lock = threading.Lock()
        self._writer: apsw.Connection | None = None
        self._readers: list[apsw.Connection] = []
        self._readers_lock = threading.Lock()
        self._closed = False

    def _connect(self) -> apsw.Connection:
        if self._frozen:
            name = f"file:{quote(str(self.path.absolute()))}?immutable=1"
            return apsw.Connection(name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        connection = apsw.Connection(str(self.path), statementcachesize=500)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        # One plan for a statement whatever is bound to it. Without this SQLite looks at the values when it
        # chooses a partial index, and prepares the statement anew for each: 10 us instead of 1.4.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        for pragma in (
            "journal_mode = wal",
            "synchronous = full",
            f"cache_size = -{CACHE_KIB}",
            "foreign_keys = on",
            # Without it `insert or replace` would go round the triggers that refuse a delete.
            "recursive_triggers = on",
            f"journal_size_limit = {JOURNAL_SIZE_LIMIT_BYTES}",
            f"secure_delete = {'on' if self._secure_delete else 'off'}",
        ):
            connection.execute(f"pragma {pragma}").fetchall()
        return connection

    def read(self, fn: Callable[[Tx], Result]) -> Result:
        """Run `fn` against one snapshot; raises StoreError when SQLite fails, or is closed."""
        with self._readers_lock:
            if self._closed:
                raise StoreError("closed")
            connection = self._readers.pop() if self._readers else None
        try:
            if connection is None:
                connection = self._connect()
                connection.execute("pragma query_only = on").fetchall()
        except apsw.Error as error:
            raise StoreError(type(error).__name__) from error
        broken = False
        try:
            connection.execute("begin").fetchall()
            return fn(_SqliteTx(connection))
        except apsw.Error as error:
            broken = isinstance(error, _BROKEN)
            raise StoreError(type(error).__name__) from error
        finally:
            self._give_back(connection, broken)

    def _give_back(self, connection: apsw.Connection, broken: bool) -> None:
        try:
            if not connection.get_autocommit():
                connection.execute("rollback").fetchall()
        except apsw.Error:
            broken = True
        with self._readers_lock:
            if not (broken or self._closed) and len(self._readers) < READERS_KEPT:
                self._readers.append(connection)
                return
        connection.close(True)

    def write(self, fn: Callable[[Tx], Result]) -> Result:
        """Run `fn` in a durable transaction; raises StoreError when SQLite fails, or is closed."""
        with self._write_lock:
            if self._closed:
                raise StoreError("closed")
            try:
                if self._writer is None:
                    self._writer = self._connect()
                connection = self._writer
                connection.execute("begin immediate").fetchall()
            except apsw.Error as error:
                self._drop_writer()
                raise StoreError(type(error).__name__) from error
            try:
                result = fn(_SqliteTx(connection))
                connection.execute("commit").fetchall()
            except BaseException as error:
                self._roll_back(connection, error)
                if isinstance(error, apsw.Error):
                    raise StoreError(type(error).__name__) from error
                raise
            return result

    def _roll_back(self, connection: apsw.Connection, error: BaseException) -> None:
        try:
            if not connection.get_autocommit():
                connection.execute("rollback").fetchall()
        except apsw.Error:
            self._drop_writer()
        if isinstance(error, _BROKEN):
            self._drop_writer()

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close(True)

    def purge(self, remains: Sequence[bytes] | None, tables: Sequence[str], wait_s: float) -> bool:
        """See to it that bytes which were deleted from `tables` are in no file any more; raises StoreError."""
        with self._write_lock:
            if self._closed:
                raise StoreError("closed")
        try:
            connection = self._connect()
            try:
                return purge(connection, self.path, remains, tables, wait_s)
            finally:
                connection.close(True)
        except (apsw.Error, OSError) as error:
            raise StoreError(type(error).__name__) from error

    def close(self) -> None:
        """Close every connection; the last one out folds the log into the file."""
        self._closed = True
        with self._readers_lock:
            for reader in self._readers:
                reader.close(True)
            self._readers.clear()
        with self._write_lock:
            self._drop_writer()
