"""SQLite: one snapshot to read from, commits that are on disk, and a set-up that keeps what it is given."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest

from nimriz.store.db import StoreError, Tx
from nimriz.store.sqlite import Sqlite, SqliteTooOld, refuse_affected_version
from tests.store.notes import CREATE, add, bodies

MARKER = "a marker that nothing else contains"
# Writes one row and dies the moment the write has returned.
WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from nimriz.store.sqlite import Sqlite
Sqlite(Path(sys.argv[1])).write(lambda tx: tx.run("insert into notes (body) values ('from the other process')"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_read_sees_one_snapshot_whatever_is_written_meanwhile(database: Sqlite) -> None:
    add(database, "before")

    def twice(tx: Tx) -> tuple[list[str], list[str]]:
        first = bodies(tx)
        add(database, "meanwhile")
        return first, bodies(tx)

    assert database.read(twice) == (["before"], ["before"])
    assert database.read(bodies) == ["before", "meanwhile"]


def test_a_read_cannot_write(database: Sqlite) -> None:
    with pytest.raises(StoreError, match="ReadOnlyError"):
        database.read(lambda tx: tx.run("insert into notes (body) values ('sneaked in')"))
    assert database.read(bodies) == []


def test_what_is_written_is_on_disk_when_the_write_returns(database: Sqlite, path: Path) -> None:
    died = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(path)], timeout=180)
    assert died.returncode == -signal.SIGKILL
    assert database.read(bodies) == ["from the other process"]


def test_another_connection_sees_a_write_as_soon_as_it_returns(database: Sqlite, path: Path) -> None:
    add(database)
    other = Sqlite(path)
    assert other.read(bodies) == ["a note"]
    other.close()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failing_write_leaves_nothing(database: Sqlite, error: type[BaseException]) -> None:
    def half(tx: Tx) -> None:
        tx.run("insert into notes (body) values ('half')")
        raise error

    with pytest.raises(error):
        database.write(half)
    assert database.read(bodies) == []
    add(database)
    assert database.read(bodies) == ["a note"]


def test_a_write_that_the_database_refuses_leaves_nothing_and_says_nothing_of_the_row(database: Sqlite) -> None:
    def half(tx: Tx) -> None:
        tx.run("insert into notes (body) values ('half')")
        tx.run("insert into notes (body) values (:body)", {"body": None})

    with pytest.raises(StoreError) as refused:
        database.write(half)
    assert str(refused.value) == "ConstraintError"
    assert database.read(bodies) == []


def test_writers_take_turns_across_threads(database: Sqlite, path: Path) -> None:
    database.write(lambda tx: tx.run("create table counter (value integer not null)"))
    database.write(lambda tx: tx.run("insert into counter (value) values (0)"))
    beside = Sqlite(path)

    def add_one(tx: Tx) -> None:
        row = tx.one("select value from counter")
        assert row is not None
        tx.run("update counter set value = :value", {"value": row[0] + 1})

    def work(through: Sqlite) -> None:
        for _ in range(25):
            through.write(add_one)

    threads = [threading.Thread(target=work, args=(through,)) for through in (database, database, database, beside)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.read(lambda tx: tx.one("select value from counter")) == (100,)
    beside.close()


@pytest.mark.parametrize("version", ["3.7.0", "3.40.1", "3.51.2"])
def test_a_version_that_can_lose_commits_is_refused(version: str) -> None:
    with pytest.raises(SqliteTooOld, match=version):
        refuse_affected_version(version)


@pytest.mark.parametrize("version", [None, "3.51.3", "3.54.1", "3.100.0", "4.0.0"])
def test_a_version_that_keeps_its_commits_is_taken(version: str | None) -> None:
    refuse_affected_version(version)


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("recursive_triggers", 1)],
)
def test_every_connection_is_set_up_to_keep_what_it_is_given(database: Sqlite, pragma: str, value: object) -> None:
    assert database.write(lambda tx: tx.one(f"pragma {pragma}")) == (value,)
    assert database.read(lambda tx: tx.one(f"pragma {pragma}")) == (value,)


@pytest.mark.parametrize("secure", [True, False])
def test_what_is_deleted_securely_is_in_neither_file_after_a_checkpoint(path: Path, secure: bool) -> None:
    database = Sqlite(path, secure_delete=secure)
    database.write(lambda tx: tx.run(CREATE))
    for body in ("one", MARKER, "three"):
        add(database, body)
    log = path.with_name("records.db-wal")
    beside = apsw.Connection(str(path))
    beside.execute("pragma wal_checkpoint(truncate)").fetchall()
    assert MARKER.encode() in path.read_bytes()
    database.write(lambda tx: tx.run("delete from notes where body = :body", {"body": MARKER}))
    beside.execute("pragma wal_checkpoint(truncate)").fetchall()
    # Without the setting the row stays legible, which is what shows that this test can see it.
    assert (MARKER.encode() in path.read_bytes() + log.read_bytes()) is not secure
    beside.close()
    database.close()


def test_closing_folds_the_log_into_the_file(database: Sqlite, path: Path) -> None:
    add(database)
    assert path.with_name("records.db-wal").exists()
    database.read(bodies)
    database.close()
    assert [entry.name for entry in path.parent.iterdir()] == ["records.db"]


def test_a_closed_database_neither_reads_nor_writes(tmp_path: Path) -> None:
    database = Sqlite(tmp_path / "closed.db")
    database.write(lambda tx: tx.run("create table t (a integer)"))
    database.close()
    for verb in (database.read, database.write):
        with pytest.raises(StoreError):
            verb(lambda tx: tx.all("select a from t"))
