"""Purging: bytes that were deleted from an SQLite file are in none of its parts any more.

`secure_delete` overwrites what is deleted. Two things it leaves: the write-ahead log, which holds the pages as they
were, until it is cut to nothing; and copies that stay in the gaps of pages when a tree is balanced. The second are
rare, so they are looked for, and what holds them is written anew.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import apsw

_CHUNK_BYTES = 4 * 1024 * 1024
# How long the writers may be held up by one try; readers of an older state are waited for in several.
_TRY_MS = 250
_TRY_MS_MAX = 4_000
_PAUSE_S = 0.05


def purge(
    connection: apsw.Connection, path: Path, remains: Sequence[bytes] | None, tables: Sequence[str], wait_s: float
) -> bool:
    """Whether none of `remains` is in a file of the database; False when a reader kept that from being done in time.

    Without remains (None) all is written anew. Raises apsw.Error and OSError.
    """
    ends_s = time.monotonic() + wait_s
    if not _cut_log(connection, ends_s):
        return False
    if remains is not None and not _held(path, remains):
        return True
    connection.set_busy_timeout(int(max(wait_s, 1) * 1_000))
    for table in tables:
        connection.execute(f"reindex {table}").fetchall()
    if not _cut_log(connection, ends_s):
        return False
    if remains is not None and not _held(path, remains):
        return True
    connection.set_busy_timeout(int(max(wait_s, 1) * 1_000))
    connection.execute("vacuum").fetchall()
    return _cut_log(connection, ends_s) and not _held(path, remains or ())


def _cut_log(connection: apsw.Connection, ends_s: float) -> bool:
    """Bring the write-ahead log's pages home and cut it to nothing; False when a reader did not leave in time."""
    try_ms = _TRY_MS
    while True:
        connection.set_busy_timeout(try_ms)
        try:
            (busy, _, _) = connection.execute("pragma wal_checkpoint(truncate)").fetchall()[0]
        except apsw.BusyError:
            busy = 1
        if not busy:
            return True
        if time.monotonic() >= ends_s:
            return False
        # One that reads for long is met in the end: each try waits longer than the one before.
        try_ms = min(2 * try_ms, _TRY_MS_MAX)
        time.sleep(_PAUSE_S)


def _held(path: Path, remains: Sequence[bytes]) -> bool:
    log = path.with_name(path.name + "-wal")
    return _holds(path, apsw.SQLITE_OPEN_MAIN_DB, remains) or (
        log.exists() and _holds(log, apsw.SQLITE_OPEN_WAL, remains)
    )


def _holds(path: Path, kind: int, remains: Sequence[bytes]) -> bool:
    # Read through SQLite's own file layer and no other: closing a file of which this process has locks gives them all
    # up (POSIX), and then nothing keeps writers apart.
    file = apsw.VFSFile("", str(path), [kind | apsw.SQLITE_OPEN_READWRITE, 0])
    try:
        overlap = max(map(len, remains), default=1) - 1
        size, at, tail = file.xFileSize(), 0, b""
        while at < size:
            chunk = file.xRead(min(_CHUNK_BYTES, size - at), at)
            at += len(chunk)
            seen = tail + chunk
            if not chunk or any(part in seen for part in remains):
                return bool(chunk)
            tail = seen[-overlap:] if overlap else b""
        return False
    finally:
        file.xClose()
