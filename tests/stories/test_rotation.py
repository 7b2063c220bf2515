"""Rotation: an old and a new secret sign side by side, each with its dates, until the old one is revoked."""

from __future__ import annotations

import json
import time
from typing import Any

from nimriz.base.clock import DAY_MS
from nimriz.core.directory.credentials import SigningSecret
from tests.world import Workspace, lead

WAIT_S = 20.0


def secrets(world: Workspace) -> dict[str, dict[str, Any]]:
    response = world.get("/api/v1/signing-secrets")
    assert response.status_code == 200, response.text
    return {secret["secret_id"]: secret for secret in response.json()["signing_secrets"]}


def test_a_secret_is_replaced_without_a_gap(world: Workspace) -> None:
    (old,) = (secret for secret in secrets(world).values() if secret["mode"] == "live")
    made = world.call("POST", "/api/v1/signing-secrets", {"mode": "live"})
    assert made.status_code == 201
    new = made.json()
    assert new["signing_secret"].endswith(new["ends_in"])
    for number, secret in enumerate((world.signing_secret, new["signing_secret"])):
        assert world.post(lead(f"l-{number}"), secret=secret).status_code == 201
    ends_s = time.monotonic() + WAIT_S
    while secrets(world)[new["secret_id"]]["last_used_at"] is None and time.monotonic() < ends_s:
        time.sleep(0.1)
    assert secrets(world)[new["secret_id"]]["last_used_at"] is not None
    assert secrets(world)[old["secret_id"]]["last_used_at"] is not None
    assert world.call("DELETE", f"/api/v1/signing-secrets/{old['secret_id']}", {}).json() == {"revoked": True}
    ends_s = time.monotonic() + WAIT_S
    while world.post(lead("after"), secret=world.signing_secret).status_code != 401 and time.monotonic() < ends_s:
        time.sleep(0.1)
    assert world.post(lead("after"), secret=world.signing_secret).status_code == 401
    assert world.post(lead("after"), secret=new["signing_secret"]).status_code in (200, 201)
    assert secrets(world)[old["secret_id"]]["revoked_at"] is not None
    again = world.call("DELETE", f"/api/v1/signing-secrets/{old['secret_id']}", {})
    assert again.json()["code"] == "signing_secret_not_found"


def test_the_list_never_shows_a_secret(world: Workspace) -> None:
    text = world.get("/api/v1/signing-secrets").text
    assert world.signing_secret not in text
    assert world.signing_secret[-4:] in text


def test_at_most_eight_are_live_at_once(world: Workspace) -> None:
    made = [world.call("POST", "/api/v1/signing-secrets", {}).json() for _ in range(7)]
    refused = world.call("POST", "/api/v1/signing-secrets", {})
    assert (refused.status_code, refused.json()["code"]) == (403, "quota_exceeded")
    world.call("DELETE", f"/api/v1/signing-secrets/{made[0]['secret_id']}", {})
    assert world.call("POST", "/api/v1/signing-secrets", {}).status_code == 201


def test_a_secret_of_another_workspace_cannot_be_revoked(world: Workspace, stranger: Workspace) -> None:
    secret_id = next(iter(secrets(world)))
    answer = stranger.call("DELETE", f"/api/v1/signing-secrets/{secret_id}", {})
    assert answer.json()["code"] == "signing_secret_not_found"
    assert secrets(world)[secret_id]["revoked_at"] is None


def test_a_secret_that_signed_nothing_for_90_days_is_pointed_out() -> None:
    now_ms = 200 * DAY_MS
    secret = SigningSecret("s", "w", "live", "abcd", now_ms - 90 * DAY_MS, None, None)
    assert secret.unused(now_ms)
    assert not secret._replace(created_at_ms=secret.created_at_ms + 1).unused(now_ms)
    assert not secret._replace(last_used_at_ms=now_ms - 89 * DAY_MS).unused(now_ms)
    assert secret._replace(last_used_at_ms=now_ms - 90 * DAY_MS).unused(now_ms)
    assert not secret._replace(revoked_at_ms=now_ms).unused(now_ms)


def test_the_command_line_and_the_doctor_point_it_out_too(world: Workspace) -> None:
    world.served.env["NIMRIZ_CLOCK_OFFSET_S"] = str(91 * 86_400)
    try:
        listed = json.loads(world.served.run("secret", "list", world.workspace_id, "--json").stdout)
        checks = json.loads(world.served.run("doctor", "--json", check=False).stdout)["checks"]
    finally:
        del world.served.env["NIMRIZ_CLOCK_OFFSET_S"]
    assert [secret["unused_90_days"] for secret in listed] == [True, True]
    (check,) = [check for check in checks if check["name"] == "unused secrets"]
    assert check["status"] == "warn"
