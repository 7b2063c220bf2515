"""What a workspace chooses for itself: its name, its window, its time zone, its privacy."""

from __future__ import annotations

import json

import httpx2
import pytest

from nimriz.base.tokens import Keyring
from nimriz.installation import open_installation
from tests.patience import until
from tests.world import Body, Workspace


def change(world: Workspace, **fields: object) -> httpx2.Response:
    """Change the workspace."""
    return world.call("PATCH", "/api/v1/workspace", fields)


def test_a_workspace_is_shown_to_its_keys(world: Workspace) -> None:
    told = world.get("/api/v1/workspace").json()
    shown = told.pop("workspace")
    assert shown == told
    whoami = world.get("/api/v1/whoami").json()
    assert shown == {
        "workspace_id": world.workspace_id, "name": "Alice's shop", "plan": "enterprise",
        "surfaces": whoami["surfaces"], "conversion_window_days": 30, "privacy": "standard",
        "privacy_suppresses_token": False, "sticky_cookie": False, "timezone": "UTC",
        "created_at": shown["created_at"],
    }  # fmt: skip
    assert world.client.get("/api/v1/workspace").status_code == 401


def test_what_is_sent_changes_and_the_rest_stays(world: Workspace) -> None:
    chosen: Body = {
        "name": "Bücher & more", "conversion_window_days": 7, "privacy": "strict", "privacy_suppresses_token": True,
        "timezone": "Asia/Tokyo",
    }  # fmt: skip
    for name, value in chosen.items():
        before = world.get("/api/v1/workspace").json()["workspace"]
        response = change(world, **{name: value})
        assert response.status_code == 200
        assert response.json()["workspace"] == {**before, name: value}
    assert chosen.items() <= world.get("/api/v1/workspace").json().items()
    assert world.get("/api/v1/whoami").json()["workspace_name"] == "Bücher & more"
    assert change(world).json()["workspace"] == world.get("/api/v1/workspace").json()["workspace"]
    assert change(world, name=None).json()["name"] == "Bücher & more"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("name", "", "field_length"), ("name", "x" * 101, "field_length"), ("name", "a\nb", "field_type"),
        ("name", "\u0000", "json_malformed"), ("name", 1, "field_type"),
        ("conversion_window_days", 0, "field_type"), ("conversion_window_days", 31, "field_type"),
        ("conversion_window_days", "7", "field_type"), ("conversion_window_days", True, "field_type"),
        ("privacy", "none", "field_type"), ("timezone", "Mars/Olympus", "timezone_unknown"),
        ("timezone", "../etc/passwd", "timezone_unknown"), ("timezone", "", "timezone_unknown"),
        ("timezone", "europe/berlin", "timezone_unknown"), ("plan", "enterprise", "field_unknown"),
        ("workspace_id", "x", "field_unknown"),
    ],
)  # fmt: skip
def test_a_choice_that_makes_no_sense_is_refused(shop: Workspace, field: str, value: object, code: str) -> None:
    before = shop.get("/api/v1/workspace").json()
    refused = change(shop, **{field: value})
    if code == "json_malformed":
        assert (refused.status_code, refused.json()["code"]) == (400, code)
    else:
        assert refused.status_code == 422
        assert [(error["field"], error["code"]) for error in refused.json()["errors"]] == [(field, code)]
    assert shop.get("/api/v1/workspace").json() == before


def test_reading_takes_any_key_and_changing_the_scope_admin(world: Workspace) -> None:
    made = world.served.run("key", "create", world.workspace_id, "--name", "x", "--scope", "exports", "--json")
    world.api_key = json.loads(made.stdout)["api_key"]
    assert world.get("/api/v1/workspace").status_code == 200
    assert change(world, name="mine").json()["code"] == "scope_missing"


def window_days(keyring: Keyring, token: str) -> int:
    """The window that a click's token carries."""
    return keyring.open(token).window_days


def test_a_new_window_is_in_the_tokens_of_a_second_later_and_not_in_those_of_before(world: Workspace) -> None:
    installation = open_installation(world.served.settings())
    installation.close()
    link, own = world.link(), world.link(conversion_window_days=3)
    before = world.click(link["short_code"])
    change(world, conversion_window_days=5)
    until(lambda: window_days(installation.keyring, world.click(link["short_code"])) == 5)
    assert window_days(installation.keyring, before) == 30
    assert window_days(installation.keyring, world.click(own["short_code"])) == 3


def test_an_expiry_without_an_offset_is_read_in_the_workspaces_time_zone(world: Workspace) -> None:
    change(world, timezone="Asia/Tokyo")
    assert world.link(expires_at="2030-01-02T09:00:00")["expires_at"] == "2030-01-02T00:00:00.000Z"
