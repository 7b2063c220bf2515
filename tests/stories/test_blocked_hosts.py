"""A workspace's own block list: none of its links leads there, old ones included."""

from __future__ import annotations

import json

import httpx2
import pytest

from nimriz.core.links import blocklist
from nimriz.installation import open_installation
from tests.patience import until
from tests.world import HUMAN, Workspace


def block(world: Workspace, host: str, **fields: object) -> httpx2.Response:
    """Put a host on the list."""
    return world.call("POST", "/api/v1/blocked-hosts", {"host": host, **fields})


def hosts(world: Workspace) -> list[str]:
    """The hosts on the list."""
    return [blocked["host"] for blocked in world.get("/api/v1/blocked-hosts").json()["blocked_hosts"]]


def test_a_host_is_put_on_the_list_and_taken_off(world: Workspace, stranger: Workspace) -> None:
    made = block(world, "Evil.Example", reason="phishing")
    assert made.status_code == 201
    blocked = made.json()["blocked_host"]
    assert (blocked["host"], blocked["reason"]) == ("evil.example", "phishing")
    again = block(world, "evil.example").json()["blocked_host"]
    assert again == {**blocked, "reason": None}
    assert block(world, "bücher.example").json()["blocked_host"]["host_unicode"] == "bücher.example"
    assert block(world, "192.0.2.7").status_code == 201
    assert hosts(world) == ["192.0.2.7", "evil.example", "xn--bcher-kva.example"]
    assert hosts(stranger) == []
    for path in ("EVIL.example", "b%C3%BCcher.example", "192.0.2.7"):
        assert stranger.call("DELETE", f"/api/v1/blocked-hosts/{path}", {}).status_code == 404
        assert world.call("DELETE", f"/api/v1/blocked-hosts/{path}", {}).json() == {"deleted": True}
        gone = world.call("DELETE", f"/api/v1/blocked-hosts/{path}", {})
        assert (gone.status_code, gone.json()["code"]) == (404, "blocked_host_not_found")


def test_links_that_lead_there_stop_within_a_second_and_go_on(world: Workspace, stranger: Workspace) -> None:
    code = world.link("https://a.evil.example/x")["short_code"]
    others = stranger.link("https://a.evil.example/x")["short_code"]

    def status(slug: str) -> int:
        return world.client.get(f"/{slug}", headers={"User-Agent": HUMAN}).status_code

    assert status(code) == 302
    block(world, "evil.example")
    until(lambda: status(code) in (404, 410))
    assert status(others) == 302
    body = {"domain_id": world.domain_id, "long_url": "https://evil.example./"}
    assert world.call("POST", "/api/shorten", body).json()["code"] == "destination_blocked"
    assert world.call("POST", "/api/shorten", {**body, "long_url": "https://notevil.example/"}).status_code == 201
    assert world.call("DELETE", "/api/v1/blocked-hosts/evil.example", {}).status_code == 200
    until(lambda: status(code) == 302)


def test_the_installations_own_list_is_not_shown_and_not_changed(world: Workspace) -> None:
    installation = open_installation(world.served.settings())
    try:
        installation.records.write(
            lambda tx: blocklist.add(tx, blocklist.INSTALLATION, "worse.example", "", installation.clock.now_ms())
        )
    finally:
        installation.close()
    assert hosts(world) == []
    assert world.call("DELETE", "/api/v1/blocked-hosts/worse.example", {}).status_code == 404
    body = {"domain_id": world.domain_id, "long_url": "https://worse.example/"}
    assert world.call("POST", "/api/shorten", body).json()["code"] == "destination_blocked"


@pytest.mark.parametrize(
    "host", ["", "https://evil.example", "evil.example/x", "evil.example:80", "a b", "x@evil.example"]
)
def test_what_is_no_host_is_refused(shop: Workspace, host: str) -> None:
    refused = block(shop, host)
    assert refused.status_code == 422
    assert [error["code"] for error in refused.json()["errors"]] == ["host_malformed"]
    assert hosts(shop) == []


def test_a_reason_has_its_bound_and_a_field_its_name(shop: Workspace) -> None:
    assert block(shop, "evil.example", reason="x" * 501).json()["errors"][0]["code"] == "field_length"
    assert block(shop, "evil.example", why="x").json()["errors"][0]["code"] == "field_unknown"


def test_reading_takes_one_scope_and_changing_another(world: Workspace) -> None:
    made = world.served.run("key", "create", world.workspace_id, "--name", "x", "--scope", "links:read", "--json")
    world.api_key = json.loads(made.stdout)["api_key"]
    assert hosts(world) == []
    assert block(world, "evil.example").json()["code"] == "scope_missing"
    assert world.call("DELETE", "/api/v1/blocked-hosts/evil.example", {}).json()["code"] == "scope_missing"


def test_a_link_whose_host_is_blocked_says_so_wherever_it_is_shown(world: Workspace, stranger: Workspace) -> None:
    body = {"domain_id": world.domain_id, "long_url": "https://a.evil.example/x"}
    headers = {"Authorization": f"Bearer {world.api_key}", "Idempotency-Key": "once"}
    made = world.client.post("/api/shorten", json=body, headers=headers).json()["link"]
    fine, others = world.link("https://fine.example/"), stranger.link("https://a.evil.example/x")

    def told(link: dict[str, object]) -> tuple[object, object, object]:
        return link["status"], link["blocked"], link["taken_down"]

    def everywhere() -> set[tuple[object, object, object]]:
        row = {**body, "idempotency_key": "once"}
        shown = [
            world.get(f"/api/v1/links/{made['id']}").json()["link"],
            world.get("/api/v1/links/find", short_url=made["short_url"]).json()["link"],
            next(link for link in world.get("/api/v1/links").json()["links"] if link["id"] == made["id"]),
            world.call("PATCH", f"/api/v1/links/{made['id']}", {"title": "x"}).json()["link"],
            world.call("PUT", "/api/update-expiration", {"url_id": made["id"], "expires_at": None}).json()["link"],
            world.client.post("/api/shorten", json=body, headers=headers).json()["link"],
            world.call("POST", "/api/shorten/bulk", {"rows": [row]}).json()["results"][0]["link"],
        ]
        return {told(link) for link in shown}

    assert told(made) == ("active", False, False)
    assert everywhere() == {("active", False, False)}
    assert block(world, "evil.example").status_code == 201
    assert everywhere() == {("disabled", True, False)}
    assert told(world.get(f"/api/v1/links/{fine['id']}").json()["link"]) == ("active", False, False)
    assert told(stranger.get(f"/api/v1/links/{others['id']}").json()["link"]) == ("active", False, False)
    assert world.call("DELETE", "/api/v1/blocked-hosts/evil.example", {}).status_code == 200
    assert everywhere() == {("active", False, False)}
