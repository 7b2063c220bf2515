"""nimriz ledger: proof on the command line, beside a running server that seals by itself."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from typer.testing import CliRunner

from nimriz.cli.main import app
from tests.world import Served, Workspace, create_workspace, follow_on, sale, serving

SEALED_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the roots go."""
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, published: Path) -> Iterator[Workspace]:
    """A shop with a sale and a refund, whose server seals every second and publishes into a folder."""
    data_dir = tmp_path_factory.mktemp("sealing") / "data"
    with serving(data_dir, ledger_seal_s="1", ledger_roots=str(published)) as served:
        shop = create_workspace(served)
        token = shop.click(shop.link()["short_code"])
        assert shop.post(sale("sale-1", "100.00", click_id=token, external_id="ann", order_id="o")).status_code == 201
        assert shop.post(follow_on("refund", "refund-1", "30.00", related_order_id="o")).status_code == 201
        wait_until_sealed(served, published)
        yield shop
        shop.client.close()


def wait_until_sealed(served: Served, published: Path) -> None:
    ends_s = time.monotonic() + SEALED_WITHIN_S
    while time.monotonic() < ends_s:
        told = run(served, "verify")[1]
        if told["not_sealed_yet"] == 0 and len(roots_file(published).read_text().splitlines()) == told["seals"]:
            return
        time.sleep(0.2)
    raise AssertionError("the server does not seal")


def roots_file(published: Path) -> Path:
    return published / "nimriz-roots.ndjson"


def run(served: Served, *arguments: str) -> tuple[int, dict[str, Any]]:
    # In this process: starting another one takes longer than all that is asked here.
    done = CliRunner().invoke(app, ["ledger", *arguments, "--json"], env=served.environment())
    assert done.stdout, done.stderr
    return done.exit_code, json.loads(done.stdout)


def test_a_running_server_seals_and_publishes_and_everything_fits(world: Workspace, published: Path) -> None:
    printed = world.served.run("ledger", "roots").stdout
    assert printed.decode() == roots_file(published).read_text()
    status, told = run(world.served, "verify", "--roots", str(roots_file(published)))
    assert (status, told["verdict"], told["flaws"], told["note"]) == (0, "everything fits", [], None)
    assert told["published_roots"] == told["seals"] >= 1
    assert (told["outcomes"], told["verdicts"], told["settlements"], told["movements"], told["ties"]) == (2, 2, 1, 1, 1)
    assert "shows nothing against whoever has it" in run(world.served, "verify")[1]["note"]


def test_an_export_is_checked_by_the_public_key_alone(world: Workspace, published: Path, tmp_path: Path) -> None:
    path = tmp_path / "ledger.ndjson"
    world.served.run("ledger", "export", "--workspace", world.workspace_id, "--output", str(path))
    assert b"ann" not in path.read_bytes()
    _, told = run(world.served, "key")
    elsewhere = Served(tmp_path / "nothing-here")
    arguments = ("verify", "--export", str(path), "--public-key", told["public_key"])
    status, told = run(elsewhere, *arguments, "--roots", str(roots_file(published)))
    assert (status, told["verdict"], told["whole_ledger"], told["note"]) == (0, "everything fits", True, None)
    assert not elsewhere.data_dir.exists()
    assert "agrees with itself" in run(elsewhere, "verify", "--export", str(path))[1]["note"]
    path.write_bytes(path.read_bytes().replace(b'"sale-1","sale",', b'"sale-1","lead",'))
    status, told = run(elsewhere, *arguments)
    assert (status, told["verdict"]) == (1, "something does not fit")
    assert (told["flaws"][0]["table"], told["flaws"][0]["event_id"]) == ("outcomes", "sale-1")
    path.write_text("no export")
    refused = elsewhere.run("ledger", *arguments, check=False)
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert elsewhere.run("ledger", "verify", "--public-key", "x", check=False).returncode == 2


def test_the_proof_of_one_event_holds_nothing_of_the_others(world: Workspace, tmp_path: Path) -> None:
    arguments = ("ledger", "export", "--workspace", world.workspace_id, "--event", "refund-1")
    path = tmp_path / "one.ndjson"
    path.write_bytes(world.served.run(*arguments).stdout)
    status, told = run(world.served, "verify", "--export", str(path))
    assert (status, told["whole_ledger"]) == (0, False)
    assert (told["outcomes"], told["verdicts"], told["settlements"], told["movements"]) == (1, 1, 1, 1)


def test_a_row_that_somebody_edits_is_named_and_a_kill_costs_nothing(
    tmp_path: Path, world: Workspace, published: Path
) -> None:
    """The last one: it ends the server."""
    assert world.post(sale("sale-2", "5.00")).status_code == 201
    world.served.stop(signal.SIGKILL)
    assert run(world.served, "seal")[0] == 0
    status, told = run(world.served, "verify", "--roots", str(roots_file(published)))
    assert (status, told["not_sealed_yet"], told["outcomes"]) == (0, 0, 3)
    connection = apsw.Connection(str(world.served.data_dir / "records.db"))
    connection.execute("drop trigger outcomes_no_update").fetchall()
    connection.execute("update outcomes set value_minor = 1 where event_id = 'sale-1'").fetchall()
    connection.close()
    status, told = run(world.served, "verify")
    assert status == 1
    assert [(f["table"], f["event_id"], f["what"]) for f in told["flaws"]] == [
        ("outcomes", "sale-1", "the row is not the one that was sealed")
    ]
    shown = world.served.run("ledger", "verify", check=False)
    assert b"something does not fit" in shown.stdout
    assert b"sale-1" in shown.stdout
