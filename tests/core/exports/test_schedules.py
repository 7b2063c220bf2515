"""Scheduled exports: one run for each period, whoever looks, and none left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nimriz.base.errors import Refused
from nimriz.core.directory import workspaces
from nimriz.core.exports import exports, schedules
from nimriz.core.exports.schedules import Every, Schedule
from nimriz.exporting.process import Press
from nimriz.installation import Installation, open_installation
from nimriz.store.db import Tx
from tests.world import Served

DAY_MS = 86_400_000


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    served = Served(tmp_path / "data")
    settings = served.settings().model_copy(update={"export_folder": tmp_path / "handed"})
    opened = open_installation(settings)
    yield opened
    opened.close()


@pytest.fixture
def workspace_id(installation: Installation) -> str:
    now_ms = installation.clock.now_ms()
    return installation.records.write(lambda tx: workspaces.create(tx, "Shop", now_ms)).workspace_id


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def draft(workspace_id: str, every: Every = "day", **more: Any) -> Schedule:
    asked = json.dumps({"told": {}, "mode": "live", "link_id": "", "event_name": "", "after": {}})
    values: dict[str, Any] = {"subject": "conversions", "asked": asked, "folder": "books", "since_last": 0, **more}
    return Schedule(
        "", workspace_id, "", every, values["subject"], "csv", values["asked"], values["folder"],
        values["since_last"], "", 0, "", 0, "", "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("every", "zone", "now", "first", "due"),
    [
        ("day", "UTC", "2026-03-31T12:00:00", "2026-03-31", "2026-04-01T00:10:00"),
        ("week", "UTC", "2026-03-29T23:59:59", "2026-03-23", "2026-03-30T00:10:00"),
        ("month", "UTC", "2026-12-31T12:00:00", "2026-12-01", "2027-01-01T00:10:00"),
        ("day", "Europe/Berlin", "2026-03-28T23:30:00", "2026-03-29", "2026-03-29T22:10:00"),
        ("day", "Pacific/Auckland", "2026-03-31T12:00:00", "2026-04-01", "2026-04-01T11:10:00"),
    ],
)
def test_a_period_ends_at_midnight_of_the_workspace(
    installation: Installation, workspace_id: str, every: Every, zone: str, now: str, first: str, due: str
) -> None:
    def make(tx: Tx) -> Schedule:
        found = workspaces.find(tx, workspace_id)
        assert found is not None
        workspaces.update(tx, found._replace(timezone=zone), at(now))
        return schedules.add(tx, draft(workspace_id, every), at(now))

    schedule = installation.records.write(make)
    assert (schedule.next_day, schedule.due_ms) == (first, at(due))


def test_what_was_missed_is_caught_up_and_each_period_is_laid_down_once(
    installation: Installation, workspace_id: str, tmp_path: Path
) -> None:
    records, now_ms = installation.records, installation.clock.now_ms()
    records.write(lambda tx: schedules.add(tx, draft(workspace_id), now_ms - 3 * DAY_MS - schedules.SETTLING_MS))
    press, other = Press(installation), Press(installation)
    while press.turn() or other.turn():
        pass
    (schedule,) = records.read(lambda tx: schedules.page(tx, workspace_id))
    assert schedule.due_ms > now_ms
    folder = tmp_path / "handed" / workspace_id / "books"
    files = sorted(path.name for path in folder.iterdir())
    assert len([name for name in files if name.endswith(".csv")]) == 3 == len(files) / 2
    days = [name.split("_")[0].removeprefix("conversions-") for name in files if name.endswith(".csv")]
    assert days == sorted(set(days))
    manifest = json.loads((folder / files[1]).read_text())
    assert (manifest["rows"], manifest["files"][0]["bytes"]) == (0, (folder / files[0]).stat().st_size)
    runs = records.read(lambda tx: exports.page(tx, workspace_id, "", 10))
    assert [run.status for run in runs] == ["finished"] * 3
    assert json.loads(schedule.last_after)["outcomes"] == 0


def test_a_run_is_asked_for_once_although_two_look(installation: Installation, workspace_id: str) -> None:
    records, now_ms = installation.records, installation.clock.now_ms()
    records.write(lambda tx: schedules.add(tx, draft(workspace_id), now_ms - 2 * DAY_MS))
    (seen,) = records.read(lambda tx: schedules.due(tx, now_ms))
    asked = [records.write(lambda tx: schedules.run(tx, seen, now_ms)) for _ in range(2)]
    assert [run is not None for run in asked] == [True, False]
    # And the next period waits until this one has come to its end.
    assert records.read(lambda tx: schedules.due(tx, now_ms)) == []


def test_a_run_goes_on_where_the_one_before_was(installation: Installation, workspace_id: str) -> None:
    records, now_ms = installation.records, installation.clock.now_ms()
    records.write(lambda tx: schedules.add(tx, draft(workspace_id, since_last=1), now_ms - 2 * DAY_MS))
    records.write(lambda tx: tx.run("update export_schedules set last_after = '{\"outcomes\": 7}'"))
    (seen,) = records.read(lambda tx: schedules.due(tx, now_ms))
    export = records.write(lambda tx: schedules.run(tx, seen, now_ms))
    assert export is not None
    assert (export.parameters["after"], export.parameters["from_ms"]) == ({"outcomes": 7}, 0)


def test_while_the_surface_is_closed_no_period_is_lost(installation: Installation, workspace_id: str) -> None:
    records, now_ms = installation.records, installation.clock.now_ms()
    schedule = records.write(lambda tx: schedules.add(tx, draft(workspace_id), now_ms - 2 * DAY_MS))
    records.write(lambda tx: workspaces.set_plan(tx, workspace_id, "starter", now_ms))
    (seen,) = records.read(lambda tx: schedules.due(tx, now_ms))
    assert records.write(lambda tx: schedules.run(tx, seen, now_ms)) is None
    (later,) = records.read(lambda tx: schedules.page(tx, workspace_id))
    assert (later.next_day, later.due_ms > now_ms) == (schedule.next_day, True)
    with pytest.raises(Refused):
        records.write(lambda tx: schedules.add(tx, draft(workspace_id), now_ms))


def test_a_folder_that_cannot_be_written_is_said(installation: Installation, workspace_id: str, tmp_path: Path) -> None:
    (tmp_path / "handed").write_text("a file where the folder should be")
    records, now_ms = installation.records, installation.clock.now_ms()
    records.write(lambda tx: schedules.add(tx, draft(workspace_id), now_ms - DAY_MS - schedules.SETTLING_MS))
    assert Press(installation).turn()
    (run,) = records.read(lambda tx: exports.page(tx, workspace_id, "", 10))
    assert (run.status, run.reason) == ("failed", "folder_unwritable")
