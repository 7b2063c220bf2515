"""After a leak: what a secret signed in a period goes out of every figure, stays visible, and comes back."""

from __future__ import annotations

import json
import time

from typer.testing import CliRunner

from nimriz.cli.main import app
from tests.world import Body, Workspace, follow_on, sale

JUDGED_WITHIN_S = 60.0


def becomes(world: Workspace, event_id: str, reason: str | None) -> Body:
    """Wait until an event's verdict has this reason; the event."""
    ends_s = time.monotonic() + JUDGED_WITHIN_S
    while time.monotonic() < ends_s:
        event = world.event(event_id)
        if event["attribution"]["reason"] == reason:
            return event
        time.sleep(0.1)
    raise AssertionError(f"{event_id} was not judged again")


def secret_id(world: Workspace) -> str:
    listed = world.get("/api/v1/signing-secrets").json()["signing_secrets"]
    return str(next(one["secret_id"] for one in listed if one["mode"] == "live"))


def test_what_a_secret_signed_goes_out_and_comes_back(world: Workspace) -> None:
    token = world.click(world.link()["short_code"])
    assert world.post(sale("forged", "100.00", click_id=token, order_id="o")).status_code == 201
    assert world.post(follow_on("refund", "refund", "30.00", related_order_id="o")).status_code == 201
    leaked = secret_id(world)
    path = f"/api/v1/signing-secrets/{leaked}/exclusions"
    made = world.call("POST", path, {"excludes": True, "note": "in a public repository"})
    assert made.status_code == 201, made.text
    assert (made.json()["exclusion"]["events"], made.json()["exclusion"]["excludes"]) == (2, True)
    assert becomes(world, "forged", "excluded")["order"] is None
    assert becomes(world, "refund", "excluded")["settlement"]["status"] == "mismatch"
    listed = world.get("/api/v1/conversions", reason="excluded").json()["conversions"]
    assert {one["event"]["event_id"] for one in listed} == {"forged", "refund"}
    steps = world.get("/api/v1/conversions/forged/explain").json()["steps"]
    assert [step["code"] for step in steps] == ["excluded", "excluded"]
    assert world.call("POST", path, {"excludes": False}).status_code == 201
    assert becomes(world, "forged", None)["order"]["net"] == "70.00"
    told = world.get(path).json()["exclusions"]
    assert [(one["excludes"], one["note"]) for one in told] == [(True, "in a public repository"), (False, None)]
    verdicts = world.get("/api/v1/conversions/forged/explain").json()["verdicts"]
    assert [one["attribution"]["reason"] for one in verdicts] == [None, "excluded", None]


def test_bad_decisions_are_refused(world: Workspace, stranger: Workspace) -> None:
    path = f"/api/v1/signing-secrets/{secret_id(world)}/exclusions"
    assert stranger.call("POST", path, {"excludes": True}).json()["code"] == "signing_secret_not_found"
    assert stranger.get(path).status_code == 404
    for body in ({}, {"excludes": 1}, {"excludes": True, "from": "yesterday"}, {"excludes": True, "to": "2001-01-01"}):
        assert world.call("POST", path, body).json()["code"] == "validation_failed", body
    backwards = {"excludes": True, "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
    assert world.call("POST", path, backwards).status_code == 422


def test_the_command_excludes_beside_the_server_and_says_what_was_decided(world: Workspace) -> None:
    assert world.post(sale("sale", "5.00")).status_code == 201

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["secret", *arguments], env=world.served.environment())
        return done.exit_code, done.stdout

    leaked = secret_id(world)
    status, printed = run("exclude", world.workspace_id, leaked, "--note", "leaked", "--json")
    assert (status, json.loads(printed)["events"]) == (0, 1)
    assert becomes(world, "sale", "excluded")
    assert run("include", world.workspace_id, leaked, "--from", "2020-01-01T00:00:00Z")[0] == 0
    assert becomes(world, "sale", "no_identity")
    decided = json.loads(run("exclusions", world.workspace_id, "--json")[1])
    assert [one["decision"] for one in decided] == ["excluded", "included"]
    assert run("exclude", world.workspace_id, "import-none")[0] == 1
    assert run("exclude", world.workspace_id, leaked, "--from", "yesterday")[0] == 2
    assert run("exclude", world.workspace_id, leaked, "--from", "2100-01-01T00:00:00Z")[0] == 2
