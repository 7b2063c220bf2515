"""The process that makes exports is killed, at any point: an export is whole in the end, or never presented."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nimriz.core.directory.vault import Vault
from nimriz.core.exports import exports
from nimriz.exporting.process import Press
from nimriz.installation import open_installation
from tests.patience import PATIENCE_S
from tests.world import Body, Served, Workspace, lead, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("killed") / "data") as running:
        yield running


def maker(served: Served) -> int:
    """The process that makes exports of an installation; waits for one that is being started."""
    wanted = f"NIMRIZ_DATA_DIR={served.data_dir}".encode()
    ends_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_s:
        for entry in Path("/proc").iterdir():
            try:
                if b"nimriz.exporting.process" in (entry / "cmdline").read_bytes().split(b"\0") and wanted in (
                    entry / "environ"
                ).read_bytes().split(b"\0"):
                    return int(entry.name)
            except (OSError, ValueError):
                continue
        time.sleep(0.02)
    raise AssertionError("nobody makes exports")


def told(world: Workspace, ids: list[str]) -> list[Body]:
    """What is told of these exports."""
    return [world.get(f"/api/v1/exports/{export_id}").json()["export"] for export_id in ids]


def test_killed_again_and_again_a_file_is_whole_or_not_there(served: Served, world: Workspace) -> None:
    token = world.click(world.link()["short_code"])
    events = [lead(f"e{number}", click_id=token) for number in range(1_000)]
    assert world.post({"events": events}, path="/batch").status_code == 200
    asked = [world.call("POST", "/api/v1/exports", {"subject": "conversions", "format": f}) for f in ("csv", "xlsx")]
    ids = [response.json()["export"]["id"] for response in asked]
    for _ in range(3):
        # Nobody is there to be killed once all is made.
        if all(export["status"] == "finished" for export in told(world, ids)):
            break
        os.kill(maker(served), signal.SIGKILL)
        time.sleep(0.5)
    ends_s = time.monotonic() + 2 * PATIENCE_S
    found: list[Body] = []
    while len(found) < len(ids):
        assert time.monotonic() < ends_s, found
        time.sleep(0.1)
        found = [export for export in told(world, ids) if export["status"] not in ("queued", "running")]
    for export in found:
        assert (export["status"], export["rows"]) == ("finished", 1_000)
        content = world.get(f"/api/v1/exports/{export['id']}/download").content
        assert hashlib.sha256(content).hexdigest() == export["files"][0]["sha256"]
        folder = served.data_dir / exports.FOLDER / export["id"]
        assert [path.name for path in folder.iterdir()] == [export["files"][0]["name"]]


def test_an_attempt_that_was_left_behind_is_taken_up_again_and_given_up_in_the_end(tmp_path: Path) -> None:
    served = Served(tmp_path / "data")
    served.run("workspace", "create", "Alone")
    installation = open_installation(served.settings())
    assert isinstance(installation.vault, Vault)
    records = installation.records
    (workspace_id,) = records.read(lambda tx: [row[0] for row in tx.all("select workspace_id from workspaces")])
    asked: Body = {"told": {}, "after": {}}
    made = [
        records.write(lambda tx: exports.add(tx, workspace_id, "links", "csv", asked, "", 1, readable=False))
        for _ in range(2)
    ]
    taken = records.write(lambda tx: exports.take(tx, 2))
    assert taken is not None
    folder = served.data_dir / exports.FOLDER / taken.export_id
    folder.mkdir(parents=True)
    (folder / "part").write_bytes(b"half of it")
    # Whoever had it is gone, and another begins.
    press = Press(installation)
    assert [press.turn() for _ in range(3)] == [True, True, False]
    for export in made:
        ended = records.read(lambda tx: exports.find(tx, workspace_id, export.export_id))  # noqa: B023
        assert (ended.status, ended.rows_done) == ("finished", 0)
    assert [path.name for path in folder.iterdir()] == ["links.csv"]
    # Nobody presents what an earlier attempt has made.
    assert not records.write(lambda tx: exports.finish(tx, taken, exports.Made("{}", "", 0), 3, 7))
    # What was given up too often fails.
    records.write(lambda tx: tx.run("update exports set status = 'queued', attempt = 5"))
    assert not press.turn()
    assert {e.status for e in records.read(lambda tx: exports.page(tx, workspace_id, "", 10))} == {"failed"}
    # And what is old is let go of.
    records.write(lambda tx: tx.run("update exports set status = 'finished', expires_at_ms = 5"))
    Press(installation).turn()
    assert not any((served.data_dir / exports.FOLDER).iterdir())
    installation.close()
