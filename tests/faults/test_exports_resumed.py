"""A large export is killed in its midst: it goes on from what is finished, and nothing is doubled or lost."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pytest

from nimriz.analytics.duck import Store
from nimriz.analytics.tables import columns_of
from nimriz.core.exports import exports
from nimriz.core.exports.exports import Export
from nimriz.installation import Installation, open_installation
from tests.patience import until
from tests.world import Served, create_workspace, lead, serving

CLICKS, EVENTS, LINKS = 30_000, 1_000, 400
_MAKER = (
    "from nimriz.exporting import gathering, ledger_rows, link_rows, process\n"
    "gathering.PART_ROWS, ledger_rows.PAGE_ROWS, link_rows.PAGE_ROWS = 40, 20, 20\n"
    "process.main()"
)
_OWNER = (
    "from nimriz.analytics import click_rows, process\n"
    "click_rows.PIECE_ROWS, click_rows._BLOCK_SEQS = 1_000, 250\n"
    "process.main()"
)
_ASKED: dict[str, dict[str, Any]] = {
    "clicks": {"clicks": {"from_ms": 0, "to_ms": 10**15, "link_id": "", "left_out": [], "after": {}}},
    "conversions": {"mode": "live", "after": {}, "from_ms": 0, "to_ms": 10**15, "link_id": "", "event_name": ""},
    "links": {"after": {}},
}
_COUNTS = {"clicks": CLICKS, "conversions": EVENTS, "links": LINKS}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Served, str]:
    """An installation that has been stopped, with many clicks, events and links; and its workspace."""
    with serving(tmp_path_factory.mktemp("resumed") / "data") as served:
        world = create_workspace(served)
        token = world.click(world.link()["short_code"])
        events = [lead(f"e{number}", click_id=token) for number in range(EVENTS)]
        assert world.post({"events": events}, path="/batch").status_code == 200
        rows = [
            {"domain_id": world.domain_id, "long_url": f"https://shop.example/{number}"} for number in range(LINKS - 1)
        ]
        made = world.call("POST", "/api/shorten/bulk", {"rows": rows}).json()["results"]
        assert all("link" in row for row in made), made[0]
        world.client.close()
        served.stop()
    (served.data_dir / "analytics.duckdb").unlink()
    (served.data_dir / "analytics.duckdb.wal").unlink(missing_ok=True)
    store = Store(served.data_dir / "analytics.duckdb", 256, 2)
    known = {
        "log": "n % 2 + 60", "seq": "n // 2 + 1", "workspace_id": f"cast('{world.workspace_id}' as uuid)",
        "clicked_ms": "1790000000000 + n", "decision": "0", "tracked": "1", "visitor": "n",
        "click_id": "cast(md5(cast(n as varchar)) as uuid)", "link_id": "cast(md5('link') as uuid)",
        "domain_id": "cast(md5('domain') as uuid)", "city": "'=city ' || n",
    }  # fmt: skip
    told = ", ".join(f"{known.get(name, chr(39) * 2)} as {name}" for name, _ in columns_of("clicks"))
    # The click through the server is in its log, and comes beside these.
    store.write(lambda rows: rows.all(f"insert into clicks select {told} from range({CLICKS - 1}) as made(n)"))
    store.close()
    return served, world.workspace_id


@contextmanager
def running(served: Served, program: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the installation, until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], env=served.environment())
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def parts_of(folder: Path) -> list[list[Any]]:
    """What the journal says is on disk."""
    try:
        found: list[list[Any]] = json.loads((folder / "journal").read_bytes())[2]
    except FileNotFoundError:
        return []
    return found


def ids_of(path: Path, format_: str) -> list[str]:
    """The first cell of every row."""
    if format_ == "parquet":
        with duckdb.connect() as connection:
            return [str(row[0]) for row in connection.execute(f"select #1 from read_parquet('{path}')").fetchall()]
    if format_ == "ndjson":
        return [str(next(iter(json.loads(line).values()))) for line in path.read_bytes().splitlines()]
    if format_ == "csv":
        return [row[0] for row in list(csv.reader(io.StringIO(path.read_text("utf-8"))))[1:]]
    with zipfile.ZipFile(path) as book:
        rows = book.read("xl/worksheets/sheet1.xml").decode().split("<row ")[2:]
    return [row.split("<t>")[1].split("</t>")[0] for row in rows]


def asked(installation: Installation, workspace_id: str, subject: Any, format_: Any) -> Export:
    """An export that waits."""
    now_ms = installation.clock.now_ms()
    question = {"told": {}, **_ASKED[subject]}
    return installation.records.write(
        lambda tx: exports.add(tx, workspace_id, subject, format_, question, "", now_ms, readable=False)
    )


@pytest.mark.parametrize(
    ("subject", "format_"),
    [("clicks", "csv"), ("clicks", "xlsx"), ("conversions", "parquet"), ("links", "ndjson")],
)
def test_killed_in_its_midst_an_export_goes_on(kept: tuple[Served, str], subject: str, format_: str) -> None:
    served, workspace_id = kept
    installation = open_installation(served.settings())
    export = asked(installation, workspace_id, subject, format_)
    folder = served.data_dir / exports.FOLDER / export.export_id
    first = folder / ("growing" if format_ in ("csv", "ndjson") else "000000.parquet")
    options = {"data_dir": str(served.data_dir), "memory_mib": 256, "threads": 1, "clock_offset_s": 0}
    with ExitStack() as open_files:
        if subject == "clicks":
            open_files.enter_context(running(served, _OWNER, json.dumps(options)))
        before: list[list[Any]] = []
        held: list[BinaryIO] = []
        for _ in range(2):
            with running(served, _MAKER) as maker:
                until(lambda: len(parts_of(folder)) > len(before) + 1)  # noqa: B023
                os.kill(maker.pid, signal.SIGKILL)
                maker.wait()
            if before:
                # What was there is the very same file, which this test holds open, and its parts are those of before.
                assert os.path.samestat(os.fstat(held[-1].fileno()), first.stat())
                assert parts_of(folder)[: len(before)] == before
            before = parts_of(folder)
            held.append(open_files.enter_context(first.open("rb")))
            # What nobody noted is not trusted.
            with (folder / ("growing" if first.name == "growing" else "000999.parquet")).open("ab") as torn:
                torn.write(b"half a row")
        with running(served, _MAKER):
            until(lambda: installation.records.read(lambda tx: exports.find(tx, workspace_id, export.export_id)).status
                  == "finished")  # fmt: skip
    ended = installation.records.read(lambda tx: exports.find(tx, workspace_id, export.export_id))
    manifest = json.loads(ended.manifest)
    (file,) = manifest["files"]
    content = (folder / file["name"]).read_bytes()
    assert (ended.attempt, manifest["rows"], file["rows"]) == (3, _COUNTS[subject], _COUNTS[subject])
    assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    found = ids_of(folder / file["name"], format_)
    assert len(found) == len(set(found)) == _COUNTS[subject]
    assert [path.name for path in folder.iterdir()] == [file["name"]]
    installation.close()
