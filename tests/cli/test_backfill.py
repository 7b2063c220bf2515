"""nimriz import conversions, beside a running server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nimriz.cli.main import app
from tests.world import Workspace


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file lies."""
    return tmp_path / "before.csv"


def run(world: Workspace, path: Path, *options: str) -> tuple[int, Any, str]:
    arguments = ["import", "conversions", str(path), "--workspace", world.workspace_id, "--json", *options]
    done = CliRunner().invoke(app, arguments, env=world.served.environment())
    return done.exit_code, json.loads(done.stdout) if done.stdout else None, done.stderr


def test_a_file_is_tried_imported_and_imported_again(world: Workspace, path: Path) -> None:
    token = world.click(world.link()["short_code"])
    path.write_text(
        "event_name,event_id,click_id,external_id,value,currency,order_id,related_order_id,metadata\n"
        f'lead,l,{token},ann,,,,,"{{""form"": ""old""}}"\nsale,s,,ann,100.00,USD,o,,\nrefund,r,,,30.00,USD,,o,\n'
    )
    status, told, _ = run(world, path, "--dry-run")
    assert (status, told["valid"], told["attributed"], told["written"]) == (0, 3, 3, False)
    assert world.get("/api/v1/conversions").json()["conversions"] == []
    status, told, _ = run(world, path)
    assert (status, told["recorded"], told["attributed"], told["mode"], told["refused"]) == (0, 3, 3, "live", 0)
    assert world.event("s")["order"]["net"] == "70.00"
    assert world.event("l")["event"]["metadata"] == {"form": "old"}
    status, told, _ = run(world, path)
    assert (status, told["recorded"], told["repeated"], told["different"]) == (0, 0, 3, 0)
    status, told, _ = run(world, path, "--test", "--report", str(path.with_suffix(".test")))
    assert (status, told["recorded"], told["mode"]) == (0, 3, "test")


def test_bad_rows_are_refused_alone_and_told_by_the_exit_status(world: Workspace, path: Path) -> None:
    path = path.with_suffix(".ndjson")
    good = json.dumps({"event_name": "lead", "event_id": "good"})
    path.write_text(f'{{"event_name": "lead"}}\n{good}\nrubbish\n')
    status, told, _ = run(world, path)
    assert (status, told["recorded"], told["refused"], told["rows"]) == (1, 1, 2, 3)
    report = [json.loads(line) for line in Path(told["report"]).read_text().splitlines()]
    assert [one.get("code") for one in report[1:-1]] == ["validation_failed", None, "json_malformed"]
    assert world.event("good")["attribution"]["reason"] == "no_identity"


def test_what_cannot_be_imported_is_said_in_one_sentence(world: Workspace, path: Path) -> None:
    path.write_text("event_name,event_id,valeu\nlead,1,2\n")
    status, _, said = run(world, path)
    assert (status, said.startswith("The file cannot be imported: its column 3 has a name that is none of")) == (
        1,
        True,
    )
    other = path.with_suffix(".txt")
    other.write_text("x")
    assert run(world, other)[0] == 2
    path.write_text("event_name,event_id\nlead,1\n")
    Path(f"{path}.report.ndjson").write_text("my diary\n")
    assert "name another with --report" in run(world, path)[2]
    world.served.run("workspace", "plan", world.workspace_id, "--disable", "conversion_tracking")
    assert run(world, path)[0] == 1
