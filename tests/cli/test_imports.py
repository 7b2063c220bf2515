"""nimriz import and nimriz export: what they say, what they write, and what a kill leaves behind."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.cli import exports
from nimriz.core.directory import workspaces
from nimriz.core.links import domains, importing, link_files
from nimriz.core.links.destinations import Policy
from nimriz.core.links.importing import Target
from nimriz.store.db import Tx
from nimriz.store.sqlite import Sqlite
from tests.laws.ledger import NOW_MS, opened
from tests.world import Served, Workspace, create_workspace, serving

URL = "https://shop.example/landing"
# Perform half of the writes, and die.
KILLED = """
import os, signal, sys
from nimriz.cli.main import main
from nimriz.store.prepared import Prepared
def die(self, tx):
    for sql, rows in self._kept[: len(self._kept) // 2 + 1]:
        tx.many(sql, rows)
    os.kill(os.getpid(), signal.SIGKILL)
Prepared.perform = die
main()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file lies."""
    return tmp_path / "links.csv"


def imported(world: Workspace, path: Path, *options: str) -> tuple[int, Any]:
    done = world.served.run(
        "import", "links", str(path), "--workspace", world.workspace_id, "--json", *options, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def sentence(world: Workspace, *arguments: str) -> str:
    done = world.served.run(*arguments, check=False)
    assert (done.returncode, done.stdout) == (1, b""), done
    return done.stderr.decode()


def test_a_file_is_imported_and_its_links_redirect(world: Workspace, path: Path) -> None:
    path.write_text(f"keyword,url,title,timestamp,ip,clicks\nold-one,{URL},One,,,\nold-two,{URL}?2,Two,,,\n")
    status, report = imported(world, path, "--dry-run")
    assert (status, report["made"], report["written"]) == (0, 2, False)
    assert world.get("/api/v1/links").json()["links"] == []
    status, report = imported(world, path)
    assert (status, report) == (
        0,
        {
            "format": "yourls", "domain": "localhost", "written": True, "rows": 2, "made": 2, "there_already": 0,
            "refused": 0, "refusals": [],
        },
    )  # fmt: skip
    assert world.location("old-two") == URL + "?2"
    status, report = imported(world, path, "--from", "yourls", "--domain", world.domain_id)
    assert (status, report["made"], report["there_already"], report["written"]) == (0, 0, 2, False)


def test_refused_rows_are_told_by_line_and_slug_without_their_destination(world: Workspace, path: Path) -> None:
    path.write_text(
        "Link,Custom Link,Destination URL\nhttps://bit.ly/good,,https://shop.example\n"
        "https://bit.ly/a,https://bit.ly/n%C3%B6,https://secret.example\nhttps://bit.ly/bad,,http://10.9.8.7/secret\n"
    )
    status, report = imported(world, path)
    assert (status, report["written"], report["made"], report["refused"]) == (1, False, 1, 2)
    assert (report["slug_invalid"], report["destination_blocked"]) == (1, 1)
    assert [(one["line"], one["slug"], one["code"]) for one in report["refusals"]] == [
        (3, None, "slug_invalid"),
        (4, "bad", "destination_blocked"),
    ]
    shown = world.served.run("import", "links", str(path), "--workspace", world.workspace_id, check=False)
    assert b"Nothing was written." in shown.stdout
    assert b"secret" not in shown.stdout + shown.stderr
    status, report = imported(world, path, "--skip-refused")
    assert (status, report["written"], report["made"]) == (1, True, 1)


def test_what_cannot_be_imported_is_said_in_one_sentence(world: Workspace, path: Path) -> None:
    path.write_text("a,b\n1,2\n")
    command = ("import", "links", str(path), "--workspace", world.workspace_id)
    assert "none of the formats" in sentence(world, *command)
    assert "lacks the columns of a dub file" in sentence(world, *command, "--from", "dub")
    path.write_bytes("keyword,url\n".encode("utf-16"))
    assert "not UTF-8" in sentence(world, *command)
    assert "no domain of this name" in sentence(world, *command, "--domain", "other.example")
    nobody = world.workspace_id[:-4] + "0000"
    assert "no workspace with this id" in sentence(world, *command[:-1], nobody)
    with path.open("wb") as file:
        file.truncate(link_files.FILE_BYTES_MAX + 1)
    assert "at most 100,000,000 bytes" in sentence(world, *command)


def test_a_kill_in_the_middle_of_the_writing_leaves_nothing(world: Workspace, path: Path) -> None:
    path.write_text("keyword,url\n" + "".join(f"killed{n},{URL}?{n}\n" for n in range(2_500)))
    arguments = ["import", "links", str(path), "--workspace", world.workspace_id]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], env=world.served.environment(), capture_output=True, timeout=180
    )
    assert done.returncode == -signal.SIGKILL, done
    assert world.get("/api/v1/links").json()["links"] == []
    status, report = imported(world, path)
    assert (status, report["made"]) == (0, 2_500)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Another installation."""
    with serving(tmp_path_factory.mktemp("elsewhere") / "data") as running:
        yield running


def test_an_export_is_imported_elsewhere_and_exported_as_it_was(
    world: Workspace, elsewhere: Served, path: Path
) -> None:
    world.link(custom_slug="-dash", title="=1+1", notes='a "b",\r\nc', tags=["ä, b", "c"], utm={"source": "news"})
    world.link(
        custom_slug="odd", clicks_max=5, expires_at="2030-01-01T00:00:00.123Z", redirect_status_code=301, archived=True,
        append_token="never", forward_query=True, conversion_window_days=7, conversion_tracking=False,
    )  # fmt: skip
    off = world.link(custom_slug="off")
    world.call("PATCH", f"/api/v1/links/{off['id']}", {"status": "disabled"})
    world.link(custom_slug="closed", password="open sesame")
    world.served.run("export", "links", "--workspace", world.workspace_id, "--output", str(path))
    assert not path.with_name(path.name + ".part").exists()
    assert path.read_bytes() == world.served.run("export", "links", "--workspace", world.workspace_id).stdout
    other = create_workspace(elsewhere)
    assert imported(other, path)[0] == 0
    ours, theirs = (
        sorted(csv.DictReader(text.decode().splitlines(keepends=True)), key=lambda row: row["short_code"])
        for text in (
            path.read_bytes(),
            elsewhere.run("export", "links", "--workspace", other.workspace_id, "--domain", "localhost").stdout,
        )
    )
    (closed,) = [row for row in ours if row["short_code"] == "closed"]
    assert "sesame" not in path.read_text()
    assert closed["password_protected"] == "true"
    # Without its password it must not be open to everybody.
    closed |= {"password_protected": "false", "status": "disabled"}
    assert theirs == ours


@pytest.fixture(scope="module")
def records() -> Iterator[Sqlite]:
    """A database of records."""
    with opened() as ledger:
        yield ledger.database


_said = st.fixed_dictionaries(
    {"long_url": st.sampled_from([URL, URL + '?a="b",c', URL + "/ü'=", "http://shop.example?=@"])},
    optional={
        "title": st.text(st.characters(codec="utf-8"), max_size=40) | st.text("'=+-@\t\r\n\",", max_size=8),
        "notes": st.text(st.characters(codec="utf-8"), max_size=40) | st.text("'=+-@\t\r\n\",", max_size=8),
        "tags": st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=10), max_size=3),
        "archived": st.booleans(),
        "clicks_max": st.integers(1, 9),
        "expires_at": st.sampled_from(["2030-01-01", "2029-02-03T04:05:06.789+01:00"]),
    },
)


@settings(max_examples=25)
@given(said=st.lists(_said, max_size=4))
def test_whatever_links_say_their_export_imported_and_exported_again_is_the_same(
    records: Sqlite, said: list[dict[str, Any]]
) -> None:
    texts = []
    rows = [link_files.FileRow(n, f"-slug{n}", one, ()) for n, one in enumerate(said)]
    for _ in range(2):
        target = records.write(_new_place)
        importing.bring_in(records, target, rows, lambda: NOW_MS, lambda _: None)
        exported = list(exports._rows(records, target.workspace_id, ""))
        texts.append(sorted(cells[1:] for cells in exported))
        rows = list(link_files.read(link_files.written(exported))[1])
    assert len(texts[0]) == 1 + len(said)
    assert texts[0] == texts[1]


def _new_place(tx: Tx) -> Target:
    workspace = workspaces.create(tx, "x", NOW_MS)
    domain = domains.add(tx, workspace.workspace_id, f"{workspace.workspace_id}.example", NOW_MS, ready=True)
    return Target(workspace.workspace_id, domain, Policy(frozenset(), private_allowed=False))
