"""What is no whole backup is refused, and a backup is put back as a whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from typer.testing import CliRunner

from nimriz.cli.main import app
from nimriz.core.clicks import retention
from nimriz.core.exports import exports
from nimriz.core.ledger import erasures
from nimriz.installation import ClickLogs, open_deliveries, open_installation
from nimriz.store import copying
from nimriz.store.db import Tx
from nimriz.store.sqlite import Sqlite
from tests.world import Served


@pytest.fixture
def served(tmp_path: Path) -> Served:
    """An installation that nobody serves."""
    made = Served(tmp_path / "data")
    assert run(made, "workspace", "create", "Alone")[0] == 0
    open_deliveries(made.data_dir, 0).close()
    ClickLogs(made.data_dir, 0).close()
    return made


def run(served: Served, *arguments: str) -> tuple[int, str]:
    """A command in the environment of an installation; what it printed, wherever."""
    done = CliRunner().invoke(app, list(arguments), env=served.environment())
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout + done.stderr


def write(path: Path, *statements: str) -> None:
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement).fetchall()
    connection.close()


def flip(path: Path) -> None:
    """One bit, in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def say(folder: Path, **said: object) -> None:
    """Have the manifest say something else."""
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **said}))


def rename_a_database(folder: Path) -> None:
    """A name that leads out of the folder."""
    databases = json.loads((folder / "manifest.json").read_text())["databases"]
    say(folder, databases=[{**databases[0], "name": "../records.db"}])


SPOILT: dict[str, Callable[[Path], object]] = {
    "records.db is not what": lambda folder: flip(folder / "records.db"),
    "clicks-0.db is not what": lambda folder: (folder / "clicks-0.db").write_bytes(b""),
    "deliveries.db is missing": lambda folder: (folder / "deliveries.db").unlink(),
    "erasures.ndjson is not what": lambda folder: (folder / "erasures.ndjson").write_bytes(b"{}\n"),
    "interrupted": lambda folder: (folder / "manifest.json").unlink(),
    "cannot be read": lambda folder: (folder / "manifest.json").write_bytes(b'{"nimriz_backup": 1,'),
    "another version": lambda folder: say(folder, nimriz_backup=2),
    "newest root": lambda folder: say(folder, newest_root="{}"),
    "none of ours": rename_a_database,
    "does not tell of": lambda folder: say(folder, databases=[]),
}


def test_what_was_spoilt_is_named_and_nothing_is_put_back(served: Served, tmp_path: Path) -> None:
    good = tmp_path / "good"
    assert run(served, "backup", str(good))[0] == 0
    shutil.rmtree(served.data_dir)
    for sentence, spoil in SPOILT.items():
        folder = tmp_path / "spoilt"
        shutil.copytree(good, folder)
        spoil(folder)
        for command in (("backup", "--verify"), ("restore",)):
            code, told = run(served, *command, str(folder))
            assert (code, sentence in told) == (1, True), (command, sentence, told)
        shutil.rmtree(folder)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith("data") and path.is_dir()]
    assert run(served, "restore", str(good))[0] == 0
    assert {path.name for path in served.data_dir.iterdir()} == {"records.db", "deliveries.db", "clicks-0.db"}


def test_a_backup_is_neither_written_over_nor_put_where_something_is(served: Served, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    (tmp_path / "backup.part").mkdir()
    handle = os.open(tmp_path / "backup.part", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    code, told = run(served, "backup", str(folder))
    assert (code, "another command is writing" in told) == (1, True)
    os.close(handle)
    assert run(served, "backup", str(folder))[0] == 0
    before = (folder / "manifest.json").read_bytes()
    assert run(served, "backup", str(folder))[0] == 1
    assert (folder / "manifest.json").read_bytes() == before
    code, told = run(served, "restore", str(folder))
    assert (code, "not empty" in told) == (1, True)
    code, told = run(Served(tmp_path / "nothing"), "backup", str(tmp_path / "b"))
    assert (code, "master key" in told) == (1, True)


def test_the_records_are_copied_before_any_click_log_that_of_a_process_begun_meanwhile_included(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied, copy = list[str](), copying.copy

    def watched(source: Path, target: Path) -> None:
        copy(source, target)
        copied.append(source.name)
        if source.name == "records.db":
            first, second = ClickLogs(served.data_dir, 0), ClickLogs(served.data_dir, 0)
            first.close()
            second.close()

    monkeypatch.setattr(copying, "copy", watched)
    assert run(served, "backup", str(tmp_path / "backup"))[0] == 0
    assert copied == ["records.db", "deliveries.db", "clicks-0.db", "clicks-1.db"]


def test_it_is_put_back_under_its_own_master_key_only(served: Served, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    assert run(served, "backup", str(folder))[0] == 0
    foreign = Served(tmp_path / "foreign")
    assert run(foreign, "workspace", "create", "Other")[0] == 0
    shutil.rmtree(foreign.data_dir)
    for command in (("restore",), ("backup", "--verify")):
        code, told = run(foreign, *command, str(folder))
        assert (code, "not the one that this data was made with" in told) == (1, True), told
    assert not foreign.data_dir.exists()
    foreign.settings().key_file.unlink()
    code, told = run(foreign, "restore", str(folder))
    assert (code, "master key is missing" in told) == (1, True), told
    assert not foreign.settings().key_file.exists()


def test_a_file_that_tells_of_no_erasures_is_not_taken_for_one(served: Served, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    assert run(served, "backup", str(folder))[0] == 0
    shutil.rmtree(served.data_dir)
    for content in (b"{}\n", b"\xff\xfe", b'{"statement": "{}"}\n'):
        (tmp_path / "wrong").write_bytes(content)
        code, told = run(served, "restore", str(folder), "--erasures", str(tmp_path / "wrong"))
        assert (code, "erasures" in told) == (1, True), told
        assert not served.data_dir.exists()


def test_what_was_left_behind_is_put_right(served: Served, tmp_path: Path) -> None:
    """The files of exports, and how far a log has read a ledger that was copied a moment earlier."""
    export = exports.Export(
        "e", "w", "links", "csv", "{}", 0, "finished", "", 1, 0, None, "", "", "", 1, None, None, None
    )
    records = Sqlite(served.data_dir / "records.db")
    columns = ", ".join(export._fields)
    values = ", ".join(f":{name}" for name in export._fields)
    records.write(lambda tx: tx.run(f"insert into exports ({columns}) values ({values})", export._asdict()))
    records.close()
    write(served.data_dir / "clicks-0.db", "insert into marks values ('ledger_seq', 7), ('forget_before_ms', 7)")
    assert run(served, "backup", str(tmp_path / "backup"))[0] == 0
    shutil.rmtree(served.data_dir)
    assert run(served, "restore", str(tmp_path / "backup"))[0] == 0
    records, log = Sqlite(served.data_dir / "records.db"), Sqlite(served.data_dir / "clicks-0.db")
    assert records.read(lambda tx: tx.all("select status from exports")) == [("expired",)]
    assert log.read(lambda tx: tx.all("select name, value from marks order by name")) == [
        ("forget_before_ms", 7),
        ("ledger_seq", 0),
    ]
    log.write(lambda tx: retention.read_no_further(tx, 9))
    assert ("ledger_seq", 0) in log.read(lambda tx: tx.all("select name, value from marks"))
    records.close()
    log.close()


def test_an_erasure_that_is_under_way_leaves_nothing_in_the_gaps_of_a_copy(served: Served, tmp_path: Path) -> None:
    remains = b"nobody looks for this any more"
    begun = "insert into erasures values ('e', 'w', 1, '{}', null, '', x'')"
    write(
        served.data_dir / "records.db",
        "pragma secure_delete = off",
        "create table gone (x blob)",
        f"insert into gone values (x'{remains.hex()}')",
        "delete from gone",
        begun,
    )
    assert run(served, "backup", str(tmp_path / "backup"))[0] == 0
    assert remains not in (tmp_path / "backup" / "records.db").read_bytes()

    # And a copy of the directory, taken by other means, forgets when it learns that the erasure was finished.
    installation = open_installation(served.settings())
    finished = erasures.Erasure("e", "w", 1, "{}", 2, '{"erasure_id":"e","workspace_id":"w","destroyed":{}}', b"s")
    erasures._note(installation.eraser.journal, finished, ["p"])
    assert installation.eraser.repeat() == 1
    installation.close()
    assert remains not in (served.data_dir / "records.db").read_bytes()


def test_a_backup_of_a_ledger_that_does_not_fit_is_kept_and_said_to_be_one(served: Served, tmp_path: Path) -> None:
    def cut(tx: Tx) -> None:
        tx.run("delete from installation where name = 'ledger_cursor'")

    installation = open_installation(served.settings())
    installation.records.write(cut)
    installation.close()
    code, told = run(served, "backup", str(tmp_path / "backup"))
    assert (code, "newest seal is missing" in told) == (1, True), told
    assert (tmp_path / "backup" / "manifest.json").exists()
