"""Backups beside a running server: under load, killed, after an erasure, and put back."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from nimriz.backups import manifest as manifests
from tests.patience import until
from tests.world import Body, Served, Workspace, create_workspace, follow_on, sale, serving

ANN = "ann@shop.example"
PERIOD = {"from": "2020-01-01", "to": "2100-01-01"}


@contextmanager
def load(served: Served) -> Iterator[list[tuple[str, str]]]:
    """Customers who click and buy, until they are told to stop; what was acknowledged, event and click."""
    world, acknowledged, over = create_workspace(served), list[tuple[str, str]](), threading.Event()
    code = world.link()["short_code"]

    def buy() -> None:
        number = 0
        while not over.is_set():
            number += 1
            told = world.post(sale(f"e{number}", click_id=world.click(code), external_id=f"c{number}")).json()
            acknowledged.append((f"e{number}", told["attribution"]["click_id"]))

    customer = threading.Thread(target=buy)
    customer.start()
    try:
        until(lambda: len(acknowledged) > 5)
        yield acknowledged
    finally:
        over.set()
        customer.join()
        world.client.close()


def read(path: Path, sql: str) -> set[Any]:
    """The first column of a query on a copy."""
    connection = apsw.Connection(f"file:{path}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    try:
        return {row[0] for row in connection.execute(sql)}
    finally:
        connection.close()


def back_up(served: Served, folder: Path) -> Body:
    """Back up, and what was told."""
    told: Body = json.loads(served.run("backup", str(folder), "--json").stdout)
    return told


def kill_at(served: Served, folder: Path, file: str) -> None:
    """Begin a backup, and kill it as soon as a file of it is there."""
    part = folder.with_name(folder.name + ".part")
    process = subprocess.Popen([sys.executable, "-m", "nimriz", "backup", str(folder)], env=served.environment())
    until(lambda: (part / file).exists() or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_killed_under_load_there_is_no_backup_and_else_it_has_all_that_was_acknowledged(
    served: Served, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    with load(served) as acknowledged:
        for file in ("", "records.db", "deliveries.db", "clicks-0.db", "manifest.json"):
            kill_at(served, folder, file)
            assert not folder.exists()
        # A file of it is torn: what a kill has left is never taken for a backup, nor for a part of the next one.
        part = folder.with_name("backup.part")
        (part / "clicks-0.db").write_bytes(b"torn")
        assert served.run("backup", "--verify", str(part), check=False).returncode == 1
        before = list(acknowledged)
        told = back_up(served, folder)
        until(lambda: len(acknowledged) > len(before) + 5)
    assert told["ledger"].startswith("everything fits")
    assert [path.name for path in tmp_path.iterdir()] == ["backup"]
    assert json.loads(served.run("backup", "--verify", str(folder), "--json").stdout) == told
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json", "erasures.ndjson", "records.db", "deliveries.db", "clicks-0.db",
    }  # fmt: skip
    assert {event_id for event_id, _ in before} <= read(folder / "records.db", "select event_id from outcomes")
    named = read(folder / "records.db", "select click_id from verdicts where click_id is not null")
    clicks = {click_id.hex() for click_id in read(folder / "clicks-0.db", "select click_id from click_rows")}
    assert {click_id for _, click_id in before} <= named
    assert {click_id.replace("-", "") for click_id in named} <= clicks


# --- erasures -------------------------------------------------------------------------------------------


def needles_in(records: Path, workspace_id: str) -> list[bytes]:
    """Whatever is kept apart of a workspace's persons: hashes, keys, and what they seal."""
    found = [ANN.encode(), b"her mother"]
    for columns, table in (("lookup", "persons"), ("key_salt", "persons"), ("sealed", "metadata")):
        found += read(records, f"select {columns} from {table} where workspace_id = '{workspace_id}'")
    return found


def held(folder: Path, needles: list[bytes]) -> list[str]:
    """The files under a folder that hold any of these."""
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    ]


def reports(world: Workspace) -> list[Body]:
    """What reports say of the money, and of the clicks."""
    asked = [world.get(f"/api/v1/analytics/{what}", **PERIOD) for what in ("conversions", "clicks")]
    assert [response.status_code for response in asked] == [200, 200]
    return [response.json()["totals"] for response in asked]


def elsewhere(served: Served, data_dir: Path) -> Served:
    """A new machine: the master key, and nothing else."""
    data_dir.parent.mkdir()
    shutil.copy(served.settings().key_file, data_dir.with_name(data_dir.name + ".master-key"))
    return Served(data_dir)


def test_who_was_erased_is_in_no_backup_made_afterwards_and_in_no_older_one_put_back(
    served: Served, world: Workspace, tmp_path: Path
) -> None:
    token = world.click(world.link()["short_code"])
    bought = sale("sale", "100.00", click_id=token, external_id=ANN, order_id="o", metadata={"note": "for her mother"})
    assert world.post(bought).status_code == 201
    assert world.post(follow_on("refund", "refund", "30.00", related_order_id="o")).status_code == 201
    served.run("ledger", "seal")
    told, before = back_up(served, tmp_path / "older"), reports(world)
    needles = needles_in(tmp_path / "older" / "records.db", world.workspace_id)
    assert len(needles) == 5
    assert held(tmp_path / "older", needles[2:]) == ["records.db"]

    served.run("erase", "--workspace", world.workspace_id, "--external-id", ANN)
    back_up(served, tmp_path / "newer")
    assert held(tmp_path / "newer", needles) == []
    assert reports(world) == before

    # The machine is gone. What is left: the master key, the older backup, and the newer one's file of erasures.
    target = elsewhere(served, tmp_path / "machine" / "data")
    journal = tmp_path / "newer" / manifests.JOURNAL
    restored = json.loads(target.run("restore", str(tmp_path / "older"), "--erasures", str(journal), "--json").stdout)
    same = ("taken_at", "workspaces", "links", "events", "clicks", "ledger")
    assert {name: restored[name] for name in same} == {name: told[name] for name in same}
    assert restored["erased_again"] == 1
    assert held(tmp_path / "machine", needles) == []
    assert target.settings().erasures_path.read_bytes() == journal.read_bytes()
    with serving(target.data_dir) as running:
        again = Workspace(**{**vars(world), "served": running, "client": create_workspace(running, "Other").client})
        assert reports(again) == before
        assert again.event("sale")["event"]["external_id"] is None
        assert again.post(sale("later", "1.00", click_id=token)).json()["attribution"]["status"] == "attributed"
        assert running.run("ledger", "verify").returncode == 0
        again.client.close()
