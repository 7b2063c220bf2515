"""Roots: signed seals appended to a file outside the database, for whoever keeps it out of our reach.

The file itself says how far it has come, so that one that was moved away begins anew, and two processes add no line
twice. A line that was torn by a kill is ended, and the same seal follows again.
"""

from __future__ import annotations

import fcntl
import os
from functools import partial
from pathlib import Path

from nimriz.core.proof import seals
from nimriz.core.proof.seals import Signed
from nimriz.store.db import Database, Tx

FILE_NAME = "nimriz-roots.ndjson"
_TAIL_BYTES = 65_536
_PAGE = 500


def file_of(place: Path) -> Path:
    """The file that a setting names: itself, or one of ours in a folder."""
    return place / FILE_NAME if place.is_dir() else place


def publish(records: Database, place: Path) -> int:
    """Append every seal that the file does not have yet; how many. Raises OSError and StoreError."""
    handle = os.open(file_of(place), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        tail = _tail(handle)
        seq = records.read(partial(_place_of, tail=tail))
        if tail and not tail.endswith(b"\n"):
            os.write(handle, b"\n")
        count = 0
        while page := records.read(partial(seals.page, after_seq=seq, limit=_PAGE)):
            _write(handle, "".join(f"{signed.line}\n" for _, signed in page).encode())
            seq, count = page[-1][0], count + len(page)
        if count:
            os.fsync(handle)
        return count
    finally:
        os.close(handle)


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _tail(handle: int) -> bytes:
    size = os.fstat(handle).st_size
    return os.pread(handle, _TAIL_BYTES, max(0, size - _TAIL_BYTES))


def _place_of(tx: Tx, tail: bytes) -> int:
    """The seq of the newest seal of ours at the end of a file; 0 when none is there."""
    for line in reversed(tail.splitlines()):
        try:
            signed = seals.read_line(line.decode())
            number, workspace_id = (seal := seals.read_statement(signed.statement)).number, seal.workspace_id
        except ValueError:
            continue
        row = tx.one(
            "select seq, statement, signature from seals where workspace_id = :workspace_id and number = :number",
            {"workspace_id": workspace_id, "number": number},
        )
        if row is not None and Signed(row[1], row[2]).statement == signed.statement:
            return int(row[0])
    return 0
