"""When the process that makes exports is wanted: while something is to be made, or to be let go of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nimriz.core.directory import workspaces
from nimriz.core.exports import exports
from nimriz.core.exports.exports import Export
from nimriz.exporting.watch import wanted
from nimriz.store.db import Tx
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite

NOW_MS = 1_790_000_000_000


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Sqlite]:
    database = Sqlite(tmp_path / "records.db")
    migrate(database, "records", NOW_MS)
    yield database
    database.close()


def put(records: Sqlite, status: str, expires_at_ms: int | None = None) -> str:
    """An export that stands so."""

    def add(tx: Tx) -> Export:
        workspace_id = workspaces.create(tx, "Shop", NOW_MS).workspace_id
        return exports.add(tx, workspace_id, "clicks", "csv", {}, "", NOW_MS, readable=False)

    export = records.write(add)
    records.write(
        lambda tx: tx.run(
            "update exports set status = :status, expires_at_ms = :expires_at_ms where export_id = :export_id",
            {"status": status, "expires_at_ms": expires_at_ms, "export_id": export.export_id},
        )
    )
    return export.export_id


def test_nobody_is_wanted_where_nothing_is_to_be_done(records: Sqlite, tmp_path: Path) -> None:
    assert not wanted(records, tmp_path / "exports", NOW_MS)
    kept = put(records, "finished", NOW_MS + 1)
    (tmp_path / "exports" / kept).mkdir(parents=True)
    put(records, "failed")
    assert not wanted(records, tmp_path / "exports", NOW_MS)


@pytest.mark.parametrize(("status", "expires_at_ms"), [("queued", None), ("running", None), ("finished", NOW_MS)])
def test_somebody_is_wanted_for_what_waits_broke_off_or_was_kept_long_enough(
    records: Sqlite, tmp_path: Path, status: str, expires_at_ms: int | None
) -> None:
    put(records, status, expires_at_ms)
    assert wanted(records, tmp_path / "exports", NOW_MS)


def test_somebody_is_wanted_for_files_that_no_export_has_any_more(records: Sqlite, tmp_path: Path) -> None:
    (tmp_path / "exports" / put(records, "cancelled")).mkdir(parents=True)
    assert wanted(records, tmp_path / "exports", NOW_MS)


def test_nobody_is_wanted_while_the_records_cannot_be_read(records: Sqlite, tmp_path: Path) -> None:
    put(records, "queued")
    records.write(lambda tx: tx.run("alter table exports rename to elsewhere", {}))
    assert not wanted(records, tmp_path / "exports", NOW_MS)


def test_what_is_finished_of_an_export_is_kept_until_somebody_is_erased(records: Sqlite, tmp_path: Path) -> None:
    export_id = put(records, "queued")
    taken = records.write(lambda tx: exports.take(tx, NOW_MS + 5))
    assert taken is not None
    folder = tmp_path / "exports"
    (folder / export_id).mkdir(parents=True)
    records.write(lambda tx: tx.run("update exports set readable = 1, rows_done = 9", {}))
    records.write(exports.queue_interrupted)
    # It waits, and its parts wait with it.
    assert exports.forgotten(records, folder) == []
    again = records.write(lambda tx: exports.take(tx, NOW_MS + 6))
    assert again is not None
    assert (again.attempt, again.started_at_ms, again.rows_done) == (2, NOW_MS + 5, 9)
    records.write(exports.queue_interrupted)
    records.write(lambda tx: exports.forget_readable(tx, taken.workspace_id))
    assert exports.forgotten(records, folder) == [folder / export_id]
    anew = records.write(lambda tx: exports.take(tx, NOW_MS + 7))
    assert anew is not None
    assert (anew.attempt, anew.started_at_ms, anew.rows_done) == (3, NOW_MS + 7, 0)
