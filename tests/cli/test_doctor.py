"""nimriz doctor: it finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from nimriz.cli import checks
from nimriz.store.sqlite import SqliteTooOld, refuse_affected_version
from tests.mmdb import mmdb
from tests.world import Served, Workspace


@pytest.fixture
def made(data_dir: Path) -> Served:
    """An installation with one workspace, not served."""
    installation = Served(data_dir)
    installation.run("workspace", "create", "Alice's shop")
    return installation


def examine(served: Served) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit status, and (status, sentence) of each check."""
    done = served.run("doctor", "--json", check=False)
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["ok"] is (done.returncode == 0)
    return done.returncode, {check["name"]: (check["status"], check["sentence"]) for check in told["checks"]}


def key_file(served: Served) -> Path:
    return served.data_dir.with_name("data.master-key")


def test_where_there_is_no_installation_it_says_what_to_run_and_makes_nothing(data_dir: Path) -> None:
    status, told = examine(Served(data_dir))
    assert status == 1
    assert told["data directory"] == (
        "fail",
        f"{data_dir} holds no installation: nimriz serve makes one there, NIMRIZ_DATA_DIR names another.",
    )
    assert "master key" not in told
    assert list(data_dir.parent.iterdir()) == []


def test_a_healthy_installation_passes_and_is_left_as_it_was(made: Served) -> None:
    before = contents(made.data_dir.parent)
    status, told = examine(made)
    assert status == 0
    assert {name for name, (state, _) in told.items() if state != "ok"} == {"server"}
    assert told["server"][0] == "warn"
    assert contents(made.data_dir.parent) == before


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, with a digest of it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_beside_a_running_server_every_check_passes(world: Workspace) -> None:
    world.click(world.link()["short_code"])
    status, told = examine(world.served)
    assert status == 0
    assert {state for state, _ in told.values()} == {"ok"}
    assert told["server"][1] == f"It answers at {world.served.url}, and its clock agrees."


def test_the_table_shows_the_same_checks(made: Served) -> None:
    printed = made.run("doctor").stdout.decode()
    assert all(name in printed for name in examine(made)[1])


def test_a_missing_master_key_fails_and_is_not_made_anew(made: Served) -> None:
    key_file(made).unlink()
    status, told = examine(made)
    assert status == 1
    assert told["master key"][0] == "fail"
    assert told["master key"][1].startswith(f"The master key is missing: {key_file(made)} is not there")
    assert told["records"][0] == "ok"
    assert not key_file(made).exists()


def test_a_master_key_of_other_data_fails(made: Served) -> None:
    key_file(made).write_bytes(base64.b64encode(b"x" * 32))
    status, told = examine(made)
    assert (status, told["master key"][0]) == (1, "fail")
    assert told["master key"][1].startswith("It is not the one that this data was made with")


@pytest.mark.parametrize("text", ["", "not base64!", base64.b64encode(b"short").decode()])
def test_what_is_no_master_key_fails(made: Served, text: str) -> None:
    key_file(made).write_text(text)
    status, told = examine(made)
    assert (status, told["master key"][0]) == (1, "fail")


def test_a_master_key_that_others_may_read_is_warned_of(made: Served) -> None:
    key_file(made).chmod(0o640)
    status, told = examine(made)
    assert (status, *told["master key"]) == (
        0,
        "warn",
        f"It fits the data, but others may read it: chmod 600 {key_file(made)}",
    )


def test_damaged_records_fail(made: Served) -> None:
    with (made.data_dir / "records.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 65_536)
    status, told = examine(made)
    assert (status, told["records"][0]) == (1, "fail")


def test_records_that_are_no_database_fail(made: Served) -> None:
    (made.data_dir / "records.db").write_bytes(b"not a database" * 1_000)
    status, told = examine(made)
    assert (status, told["records"][0]) == (1, "fail")


def test_records_of_a_newer_version_fail_and_migrations_that_wait_are_warned_of(made: Served) -> None:
    records = apsw.Connection(str(made.data_dir / "records.db"))
    (newest,) = records.execute("select number, name, checksum from migrations order by number desc limit 1").fetchall()
    records.execute("delete from migrations where number = ?", newest[:1]).fetchall()
    status, told = examine(made)
    assert (status, told["migrations"][0]) == (0, "warn")
    assert told["migrations"][1].startswith("1 wait:")
    records.execute("insert into migrations values (?, ?, ?, 0)", newest).fetchall()
    records.execute("insert into migrations values (9999, 'later', '', 0)").fetchall()
    records.close()
    status, told = examine(made)
    assert (status, told["migrations"][0]) == (1, "fail")


def test_a_shifted_clock_is_warned_of(made: Served) -> None:
    made.env["NIMRIZ_CLOCK_OFFSET_S"] = "-3600"
    status, told = examine(made)
    assert (status, told["clock"][0]) == (0, "warn")
    assert "-3600 s" in told["clock"][1]


def test_a_clock_that_is_not_the_servers_fails(world: Workspace) -> None:
    other = Served(world.served.data_dir, {"NIMRIZ_CLOCK_OFFSET_S": "3600"}, port=world.served.port)
    status, told = examine(other)
    assert (status, told["server"][0]) == (1, "fail")


def test_a_workspace_that_can_post_nothing_is_warned_of(world: Workspace) -> None:
    for secret in json.loads(world.served.run("secret", "list", world.workspace_id, "--json").stdout):
        world.served.run("secret", "revoke", world.workspace_id, secret["secret_id"])
    status, told = examine(world.served)
    assert (status, told["signing secrets"][0]) == (0, "warn")


@pytest.fixture
def stranger_port() -> Iterator[int]:
    """The port of a server that is not nimriz."""
    with http.server.HTTPServer(("127.0.0.1", 0), Quiet) as stranger:
        thread = threading.Thread(target=stranger.serve_forever, daemon=True)
        thread.start()
        yield stranger.server_port
        stranger.shutdown()
        thread.join()


class Quiet(http.server.BaseHTTPRequestHandler):
    """Answers 501 to everything, and logs nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Say nothing."""


def test_a_port_that_something_else_answers_at_fails(made: Served, stranger_port: int) -> None:
    made.port = stranger_port
    status, told = examine(made)
    assert (status, told["server"][0]) == (1, "fail")
    assert told["server"][1].startswith("Something else than nimriz answers")


@pytest.mark.parametrize(("kind", "state"), [("nfs4", "fail"), ("tmpfs", "warn"), ("ext4", "ok")])
def test_the_data_directory_belongs_on_a_disk_of_this_machine(
    made: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str, state: str
) -> None:
    monkeypatch.setenv("NIMRIZ_DATA_DIR", str(made.data_dir))
    monkeypatch.setenv("NIMRIZ_PORT", str(made.port))
    monkeypatch.setattr(checks, "_filesystem", lambda path: kind)
    assert checks.run(True) == (state == "fail")
    told = {check["name"]: check["status"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert told["data directory"] == state


def test_an_sqlite_that_can_lose_commits_is_refused() -> None:
    for version in ("3.7.0", "3.50.4", "3.51.2"):
        with pytest.raises(SqliteTooOld, match=f"^SQLite {version} can lose commits"):
            refuse_affected_version(version)
    for version in ("3.51.3", "3.54.1", "4.0.0"):
        refuse_affected_version(version)


def test_the_doctor_finds_an_sqlite_that_can_lose_commits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data_dir: Path
) -> None:
    monkeypatch.setenv("NIMRIZ_DATA_DIR", str(data_dir))
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    assert checks.run(True) == 1
    (sqlite, *_) = json.loads(capsys.readouterr().out)["checks"]
    assert (sqlite["name"], sqlite["status"]) == ("sqlite", "fail")


# --- visitors ----------------------------------------------------------------------------------------------------


def test_proxies_and_files_of_addresses_are_looked_at(made: Served, tmp_path: Path) -> None:
    def told(**env: str) -> tuple[str, str, str]:
        made.env = {f"NIMRIZ_{name.upper()}": value for name, value in env.items()}
        checks_made = examine(made)[1]
        return checks_made["proxies"][0], checks_made["countries"][0], checks_made["networks"][0]

    assert told() == told(trusted_proxies="127.0.0.1", country_header="CF-IPCountry") == ("ok", "ok", "ok")
    assert told(app_url="https://go.example.com") == told(country_header="CF-IPCountry") == ("warn", "ok", "ok")
    files = {"geo_file": str(tmp_path / "places.mmdb"), "network_file": str(tmp_path / "networks.mmdb")}
    assert told(**files) == ("ok", "fail", "fail")
    (tmp_path / "places.mmdb").write_bytes(mmdb({"203.0.113.0/24": {"country": {"iso_code": "DE"}}}))
    (tmp_path / "networks.mmdb").write_bytes(mmdb({"203.0.113.0/24": {"autonomous_system_number": 64496}}))
    assert told(**files) == ("ok", "ok", "ok")


def test_the_key_of_the_day_is_its_owners_and_is_not_made_here(made: Served) -> None:
    path = made.data_dir.with_name("data.day-key")
    assert examine(made)[1]["day key"] == ("ok", f"nimriz serve makes it: {path}; keep it out of backups.")
    assert not path.exists()
    path.write_bytes(b"anything")
    path.chmod(0o644)
    assert examine(made)[1]["day key"] == ("warn", f"Others may read it: chmod 600 {path}")
    path.chmod(0o600)
    assert examine(made)[1]["day key"][0] == "ok"
    path.unlink()
    path.mkdir()
    status, told = examine(made)
    assert (status, told["day key"][0]) == (1, "fail")
    made.env = {"NIMRIZ_DAY_KEY_FILE": str(path / "gone" / "key")}
    status, told = examine(made)
    assert (status, told["day key"][0]) == (1, "fail")
