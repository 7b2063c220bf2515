"""SQLite in trouble: locked, damaged or full, and a connection that is not trusted after it failed to flush."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import apsw
import pytest

from nimriz.store import sqlite
from nimriz.store.db import StoreError, Tx
from nimriz.store.sqlite import Sqlite
from tests.store.notes import add, bodies


def test_a_locked_database_is_a_store_error_and_serves_again_once_it_is_free(
    path: Path, monkeypatch: pytest.MonkeyPatch, database: Sqlite
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 10)
    impatient = Sqlite(path)
    holder = apsw.Connection(str(path))
    holder.execute("begin immediate")
    with pytest.raises(StoreError, match="BusyError"):
        add(impatient)
    assert impatient.read(bodies) == []  # Readers do not wait for a writer.
    holder.execute("rollback")
    holder.close()
    add(impatient)
    assert impatient.read(bodies) == ["a note"]
    impatient.close()


@pytest.mark.parametrize("verb", ["read", "write"])
def test_a_file_that_is_no_database_or_cannot_be_opened_is_a_store_error(tmp_path: Path, verb: str) -> None:
    rubbish = tmp_path / "rubbish.db"
    rubbish.write_bytes(b"not a database " * 1_000)
    for path in (rubbish, tmp_path / "no such folder" / "records.db"):
        database = Sqlite(path)
        with pytest.raises(StoreError):
            getattr(database, verb)(lambda tx: tx.all("select 1"))
        database.close()


def test_a_damaged_page_is_a_store_error(database: Sqlite, path: Path) -> None:
    for _ in range(20):
        add(database, "x" * 1_000)
    database.close()
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xff" * 8_192)
    damaged = Sqlite(path)
    with pytest.raises(StoreError, match="CorruptError"):
        damaged.read(bodies)
    damaged.close()


class Failing(apsw.Connection):
    """A connection whose next commit fails as it does when the disk cannot flush."""

    made: ClassVar[list[Failing]] = []
    next_commit_fails: ClassVar[bool] = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commits = 0
        Failing.made.append(self)

    def execute(self, *args: Any, **kwargs: Any) -> apsw.Cursor:
        """Run a statement, or fail."""
        if args[0] == "commit":
            self.commits += 1
            if Failing.next_commit_fails:
                Failing.next_commit_fails = False
                raise apsw.IOError("disk I/O error")
        return super().execute(*args, **kwargs)


def test_a_connection_that_failed_to_flush_is_dropped_and_never_asked_again(
    path: Path, database: Sqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Failing, "made", [])
    monkeypatch.setattr(apsw, "Connection", Failing)
    failing = Sqlite(path)
    add(failing, "first")
    monkeypatch.setattr(Failing, "next_commit_fails", True)
    with pytest.raises(StoreError, match="IOError"):
        add(failing, "lost")
    add(failing, "third")
    old, new = Failing.made
    assert (old.commits, new.commits) == (2, 1)
    with pytest.raises(apsw.ConnectionClosedError):
        old.get_autocommit()
    assert failing.read(bodies) == ["first", "third"]
    failing.close()


def test_a_connection_that_met_a_full_disk_is_dropped_and_the_next_write_opens_another(database: Sqlite) -> None:
    def fill(tx: Tx) -> None:
        tx.run("pragma max_page_count = 3")  # Holds for this connection alone.
        tx.run("insert into notes (body) values (:body)", {"body": "x" * 100_000})

    with pytest.raises(StoreError, match="FullError"):
        database.write(fill)
    add(database, "y" * 100_000)
    assert database.read(bodies) == ["y" * 100_000]
