"""Copies of a database that others write meanwhile, and whether a copy is whole.

A copy is one snapshot, taken through SQLite's own backup interface: what is in the write-ahead log is in it, the log
itself is not needed. It is one file in rollback mode, which can be read where nothing can be written.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from nimriz.store.db import StoreError, Tx
from nimriz.store.sqlite import BUSY_TIMEOUT_MS, refuse_affected_version

# 16 MiB: between two steps a stop is heard.
_STEP_PAGES = 4_096


def copy(source: Path, target: Path) -> None:
    """Copy a database, which may be in use by other processes, to a file that is not there. Raises StoreError."""
    refuse_affected_version()
    try:
        reader = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            _copy(reader, target)
        finally:
            reader.close(True)
    except apsw.Error as error:
        raise StoreError(type(error).__name__) from error


def _copy(reader: apsw.Connection, target: Path) -> None:
    reader.set_busy_timeout(BUSY_TIMEOUT_MS)
    # A transaction of its own holds the snapshot over all steps. Without it every commit of somebody else would have
    # the copy begin anew, and on a busy database it would never end.
    reader.execute("begin").fetchall()
    reader.execute("select count(*) from sqlite_schema").fetchall()
    writer = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    try:
        with writer.backup("main", reader, "main") as backup:
            while not backup.done:
                backup.step(_STEP_PAGES)
        reader.execute("rollback").fetchall()
        writer.execute("pragma journal_mode = delete").fetchall()
    finally:
        writer.close(True)


def compact(path: Path) -> None:
    """Write a copy anew, without what was deleted and not yet overwritten. Nobody else has it. Raises StoreError."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.execute("vacuum").fetchall()
        finally:
            connection.close(True)
    except apsw.Error as error:
        raise StoreError(type(error).__name__) from error


def is_whole(tx: Tx) -> bool:
    """Whether every page and every index of a database is as it must be; takes as long as reading all of it."""
    return tx.all("pragma integrity_check(1)") == [("ok",)]
