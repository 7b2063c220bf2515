"""Erasing a person beside a running server: nothing is left in any file, and every total stays."""

from __future__ import annotations

import json

import apsw
from typer.testing import CliRunner

from nimriz.cli.main import app
from nimriz.core.directory import signet
from tests.world import Workspace, follow_on, sale

ANN = "ann@shop.example"
PERIOD = {"from": "2020-01-01", "to": "2100-01-01"}


def remains(world: Workspace) -> list[bytes]:
    """Whatever the database keeps apart of the workspace's persons."""
    connection = apsw.Connection(str(world.served.data_dir / "records.db"))
    found: list[bytes] = []
    for prefix in ("", "test_"):
        for table, columns in (("persons", ("lookup", "key_salt", "external_id_sealed")), ("metadata", ("sealed",))):
            for row in connection.execute(
                f"select {', '.join(columns)} from {prefix}{table} where workspace_id = ?", (world.workspace_id,)
            ):
                found += [bytes(value) for value in row]
    connection.close()
    return found


def held(world: Workspace, needles: list[bytes]) -> list[str]:
    """The files of the data directory that hold any of these."""
    parts = [part for part in world.served.data_dir.rglob("*") if part.is_file()]
    return [part.name for part in parts if any(needle in part.read_bytes() for needle in needles)]


def test_an_erased_person_is_in_no_file_and_every_figure_stays(world: Workspace) -> None:
    token = world.click(world.link()["short_code"])
    bought = sale("sale", "100.00", click_id=token, external_id=ANN, order_id="o", metadata={"note": "for her mother"})
    for secret in (world.signing_secret, world.test_signing_secret):
        assert world.post(bought, secret=secret).status_code == 201
        assert (
            world.post(follow_on("refund", "refund", "30.00", related_order_id="o"), secret=secret).status_code == 201
        )
    needles = remains(world)
    assert len(needles) == 8
    assert held(world, needles)
    before = [world.get("/api/v1/analytics/conversions", mode=mode, **PERIOD).json() for mode in ("live", "test")]

    erased = world.call("POST", "/api/v1/erasures", {"external_id": ANN})
    assert erased.status_code == 201, erased.text
    told = erased.json()["erasure"]
    assert told["destroyed"] == {"live_persons": 1, "live_metadata": 1, "test_persons": 1, "test_metadata": 1}
    assert held(world, [*needles, ANN.encode(), b"her mother"]) == []
    after = [world.get("/api/v1/analytics/conversions", mode=mode, **PERIOD).json() for mode in ("live", "test")]
    assert [report["totals"] for report in after] == [report["totals"] for report in before]
    event = world.event("sale")
    assert (event["event"]["external_id"], event["event"]["metadata"]) == (None, None)
    assert event["attribution"]["status"] == "attributed"
    assert "differences" not in world.post(bought).json()

    certificate = told["certificate"]
    assert signet.signed(
        certificate["public_key"], certificate["statement"].encode(), bytes.fromhex(certificate["signature"])
    )
    assert ANN not in erased.text
    assert world.get(f"/api/v1/erasures/{told['id']}").json()["erasure"] == told
    assert world.get("/api/v1/erasures").json() == {"erasures": [told], "next_cursor": None}
    assert world.get("/api/v1/erasures", cursor="x").status_code == 422


def test_who_is_not_known_and_who_may_not_ask_are_told_so(world: Workspace, stranger: Workspace) -> None:
    world.post(sale("sale", external_id=ANN))
    assert stranger.call("POST", "/api/v1/erasures", {"external_id": ANN}).json()["code"] == "person_not_found"
    assert stranger.get("/api/v1/erasures/01934f2a-7c11-7d3e-9c55-1f0d6f3a2b10").json()["code"] == "erasure_not_found"
    assert world.call("POST", "/api/v1/erasures", {"external_id": ""}).status_code == 422
    for both_or_neither in ({}, {"external_id": ANN, "event_id": "sale"}):
        refused = world.call("POST", "/api/v1/erasures", both_or_neither)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "external_or_event_id")
    assert world.call("POST", "/api/v1/erasures", {"event_id": "sale"}).json()["code"] == "person_not_found"
    made = world.served.run("key", "create", world.workspace_id, "--scope", "conversions:read", "--json")
    headers = {"Authorization": f"Bearer {json.loads(made.stdout)['api_key']}"}
    refused = world.client.post("/api/v1/erasures", json={"external_id": ANN}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert world.event("sale")["event"]["external_id"] == ANN


def test_the_command_erases_beside_the_server_and_lists_what_was_done(world: Workspace) -> None:
    assert world.post(sale("sale", external_id=ANN)).status_code == 201
    needles = remains(world)
    assert len(needles) == 3

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*arguments, "--workspace", world.workspace_id], env=world.served.environment())
        assert done.stdout or done.stderr.startswith("No event"), done.stderr
        return done.exit_code, done.stdout

    assert run("erase", "--external-id", "nobody") == (1, "")
    assert world.post(sale("alone", metadata={"note": "her own"})).status_code == 201
    assert world.event("alone")["event"]["metadata"] == {"note": "her own"}
    status, printed = run("erase", "--event-id", "alone", "--json")
    assert (status, json.loads(printed)["live_metadata"]) == (0, 1)
    assert world.event("alone")["event"]["metadata"] is None
    first = json.loads(printed)["erasure_id"]
    status, printed = run("erase", "--external-id", ANN, "--json")
    told = json.loads(printed)
    assert (status, told["status"], told["live_persons"]) == (0, "finished", 1)
    assert held(world, needles) == []
    assert [one["erasure_id"] for one in json.loads(run("erasures", "list", "--json")[1])] == [
        told["erasure_id"],
        first,
    ]
    assert json.loads(run("erasures", "show", told["erasure_id"], "--json")[1]) == told
    journal = world.served.settings().erasures_path
    assert told["erasure_id"] in journal.read_text()
    assert ANN not in journal.read_text()
