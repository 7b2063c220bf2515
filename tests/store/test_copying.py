"""A copy of a database is one snapshot of it, in one file."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nimriz.store import copying, tables
from nimriz.store.db import StoreError
from nimriz.store.sqlite import Sqlite


def test_a_copy_is_one_snapshot_however_much_is_written_meanwhile(tmp_path: Path) -> None:
    """Somebody else commits at every step; without a snapshot the copy would begin anew each time, and never end."""
    source = Sqlite(tmp_path / "source.db")
    source.write(lambda tx: tx.run("create table t (x blob)"))
    source.write(lambda tx: tx.many("insert into t (x) values (:x)", [(bytes(4_000),) for _ in range(10_000)]))
    over = threading.Event()

    def write_on() -> None:
        while not over.is_set():
            source.write(lambda tx: tx.run("insert into t (x) values (zeroblob(4000))"))

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        copying.copy(source.path, tmp_path / "copy.db")
    finally:
        over.set()
        writer.join()
    frozen = Sqlite(tmp_path / "copy.db", frozen=True)
    assert frozen.read(copying.is_whole)
    assert frozen.read(tables.counts)["t"] >= 10_000
    with pytest.raises(StoreError):
        frozen.write(lambda tx: tx.run("delete from t"))
    frozen.close()
    source.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "source.db"]
