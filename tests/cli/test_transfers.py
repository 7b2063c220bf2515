"""An installation is exported, imported elsewhere and exported again: not one byte differs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nimriz.cli.main import app
from nimriz.core.exports.transfer import LEFT_OUT
from tests.world import Served, Workspace, create_workspace, follow_on, sale, serving


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """An installation with something in most of its tables, which is served no more."""
    with serving(tmp_path_factory.mktemp("transfer") / "data") as served:
        world = create_workspace(served)
        link = world.link(title="naïve ✓ \u2028", tags=["spring"], password=None)
        other = world.link(password="secret")
        token = world.click(link["short_code"])
        world.call("POST", "/api/v1/domains", {"domain_name": "go.brand-a.example"})
        world.post(follow_on("refund", "refund", "3.00", related_event_id="sale"))
        world.post(sale("sale", "10.00", click_id=token, external_id="ann", metadata={"n": 1}))
        world.post(sale("test", "10.00", external_id="ann"), secret=world.test_signing_secret)
        world.post(sale("gone", "1.00", external_id="bob"))
        world.call("POST", "/api/v1/erasures", {"external_id": "bob"})
        world.call("POST", "/api/delete-link", {"url_id": other["id"]})
        served.stop()
        yield world
        world.client.close()


def run(served: Served, *arguments: str) -> tuple[int, str]:
    """A command in the environment of an installation."""
    done = CliRunner().invoke(app, list(arguments), env={**served.environment()})
    return done.exit_code, done.stdout or done.stderr


def elsewhere(filled: Workspace, data_dir: Path, *, with_key: bool = True) -> Served:
    """Another place for the installation, with its master key."""
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    if with_key:
        key = filled.served.settings().key_file
        shutil.copy(key, data_dir.with_name(data_dir.name + ".master-key"))
    return Served(data_dir, dict(filled.served.env))


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_exported_imported_and_exported_again_no_byte_differs(filled: Workspace, tmp_path: Path) -> None:
    assert run(filled.served, "export", "installation", str(tmp_path / "first"), "--json")[0] == 0
    first = files_of(tmp_path / "first")
    for table in ("links", "outcomes", "verdicts", "settlements", "test_outcomes", "domains", "erasures", "persons"):
        assert first[f"records.{table}.ndjson"], table
    assert first["clicks-0.click_rows.ndjson"]
    assert not [name for name in first if name.split(".")[1] in LEFT_OUT]
    for secret in (filled.api_key, filled.signing_secret, "ann"):
        assert not [name for name, content in first.items() if f'"{secret}"'.encode() in content]

    target = elsewhere(filled, tmp_path / "other" / "data")
    code, told = run(target, "import", "installation", str(tmp_path / "first"), "--json")
    assert code == 0, told
    assert json.loads(told)["rows"] == sum(content.count(b"\n") for n, content in first.items() if n[-6:] == "ndjson")
    assert run(target, "export", "installation", str(tmp_path / "second"))[0] == 0
    assert files_of(tmp_path / "second") == first
    # And it is the same installation: its chain is whole, and its server would start.
    assert run(target, "ledger", "verify")[0] == 0
    code, told = run(target, "import", "installation", str(tmp_path / "first"))
    assert (code, "not empty" in told) == (1, True)


def test_what_is_damaged_or_of_another_key_is_refused_and_nothing_is_left(filled: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    assert run(filled.served, "export", "installation", str(folder))[0] == 0
    target = elsewhere(filled, tmp_path / "a" / "data", with_key=False)
    assert run(target, "import", "installation", str(folder))[0] == 1
    foreign = Served(tmp_path / "b" / "data", dict(filled.served.env))
    foreign.data_dir.parent.mkdir()
    assert run(foreign, "workspace", "create", "Other")[0] == 0
    shutil.rmtree(foreign.data_dir)
    code, told = run(foreign, "import", "installation", str(folder))
    assert (code, "master key" in told) == (1, True), told
    with (folder / "records.links.ndjson").open("ab") as file:
        file.write(b"{}\n")
    code, told = run(elsewhere(filled, tmp_path / "c" / "data"), "import", "installation", str(folder))
    assert (code, "not what the manifest says" in told) == (1, True), told
    for name in "abc":
        assert [path.name for path in (tmp_path / name).glob("*") if path.is_dir()] == []


def test_a_terminal_sees_how_far_it_is_and_a_file_does_not(filled: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert run(filled.served, "export", "installation", str(folder))[0] == 0

    def brought_in(name: str, error: int) -> subprocess.CompletedProcess[bytes]:
        environment = elsewhere(filled, tmp_path / name / "data").environment() | {"TERM": "xterm"}
        command = [sys.executable, "-m", "nimriz", "import", "installation", str(folder)]
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=error, check=True)

    screen, terminal = os.openpty()
    assert b"rows" in brought_in("seen", terminal).stdout
    assert brought_in("unseen", subprocess.PIPE).stderr == b""
    seen = os.read(screen, 100_000)
    os.close(screen)
    os.close(terminal)
    assert b"Checking rows" in seen
    assert b"Importing rows" in seen
    assert b"100%" in seen
