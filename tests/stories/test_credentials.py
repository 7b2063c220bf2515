"""Who may do what, until when: scopes, revocation, plans, and other people's things."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from nimriz.core.links import links
from nimriz.installation import open_installation
from nimriz.store.db import Tx
from tests.patience import until
from tests.world import Served, Workspace, lead, sale

ID = "00000000-0000-7000-8000-000000000000"
SCOPES = ("links:read", "links:write", "analytics:read", "conversions:read", "exports", "webhooks")
ENDPOINTS: list[tuple[str, str, str]] = [
    ("GET", "/api/v1/domains", "links:read"),
    ("GET", "/api/v1/links", "links:read"),
    ("GET", f"/api/v1/links/{ID}", "links:read"),
    ("PATCH", f"/api/v1/links/{ID}", "links:write"),
    ("POST", "/api/shorten", "links:write"),
    ("POST", "/api/delete-link", "links:write"),
    ("GET", "/api/v1/conversions", "conversions:read"),
    ("GET", "/api/v1/conversions/x", "conversions:read"),
    ("GET", "/api/v1/analytics/conversions", "analytics:read"),
]


def new_key(world: Workspace, *scopes: str) -> tuple[str, str]:
    """A key with these scopes: (id, text)."""
    options = [part for scope in scopes for part in ("--scope", scope)]
    made = json.loads(world.served.run("key", "create", world.workspace_id, *options, "--json").stdout)
    return made["key_id"], made["api_key"]


def ask(world: Workspace, method: str, path: str, key: str) -> httpx2.Response:
    """A call with a well-formed body, where one is needed."""
    body: dict[str, Any] | None = None
    if path == "/api/shorten":
        body = {"domain_id": world.domain_id, "long_url": "https://shop.example/"}
    elif method in ("POST", "PATCH"):
        body = {"url_id": ID} if "delete" in path else {"title": "x"}
    return world.client.request(method, path, json=body, headers={"Authorization": f"Bearer {key}"})


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_opens_what_its_scope_names_and_nothing_else(shop: Workspace, scope: str) -> None:
    _, key = new_key(shop, scope)
    for method, path, needed in ENDPOINTS:
        response = ask(shop, method, path, key)
        if scope == needed:
            assert response.status_code in (200, 201, 404), (method, path, response.text)
        else:
            assert response.status_code == 403, (method, path, response.text)
            problem = response.json()
            assert (problem["code"], problem["scope"]) == ("scope_missing", needed)


def test_an_admin_key_opens_everything(shop: Workspace) -> None:
    for method, path, _ in ENDPOINTS:
        assert ask(shop, method, path, shop.api_key).status_code in (200, 201, 404), path


def test_every_endpoint_wants_a_key(shop: Workspace) -> None:
    sent: list[dict[str, str]] = [
        {}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"X-Nim-Api-Key": ""},
        {"Authorization": f"Basic {shop.api_key}"}, {"Authorization": shop.api_key}, {"X-Nim-Api-Key": "nimkey_x"},
        {"Authorization": f"Bearer {shop.api_key}x"}, {"Authorization": f"Bearer {shop.signing_secret}"},
        {"X-Nim-Api-Key": shop.api_key, "Authorization": f"Bearer {shop.api_key}x"}, {"Cookie": shop.api_key},
    ]  # fmt: skip
    for method, path, _ in [*ENDPOINTS, ("GET", "/api/v1/whoami", "")]:
        for headers in sent:
            body = {"url_id": ID} if "delete" in path else {"title": "x"}
            if path == "/api/shorten":
                body = {"domain_id": shop.domain_id, "long_url": "https://shop.example/"}
            response = shop.client.request(method, path, json=body if method != "GET" else None, headers=headers)
            assert (response.status_code, response.json()["code"]) == (401, "unauthorized"), (path, headers)
            assert response.headers["www-authenticate"]


def test_who_has_no_key_learns_nothing_from_a_bad_request(shop: Workspace) -> None:
    for method, path in (("POST", "/api/shorten"), ("PATCH", f"/api/v1/links/{ID}"), ("POST", "/api/delete-link")):
        response = shop.client.request(method, path, content=b"{", headers={"Content-Type": "application/json"})
        assert response.status_code == 401, (path, response.text)
    for path in ("/api/v1/conversions?mode=x", "/api/v1/links?limit=x", "/api/v1/analytics/conversions?by=x"):
        assert shop.client.get(path).status_code == 401, path


def test_both_headers_carry_a_key(shop: Workspace) -> None:
    for headers in ({"X-Nim-Api-Key": shop.api_key}, {"Authorization": f"bearer {shop.api_key}"}):
        answer = shop.client.get("/api/v1/whoami", headers=headers).json()
        assert (answer["workspace_id"], answer["account_id"]) == (shop.workspace_id, shop.workspace_id)
        assert answer["surfaces"] == ["conversion_reporting", "conversion_tracking", "exports"]


def test_a_revoked_key_stops_within_a_second(world: Workspace) -> None:
    key_id, key = new_key(world, "links:read")
    assert ask(world, "GET", "/api/v1/links", key).status_code == 200
    world.served.run("key", "revoke", world.workspace_id, key_id)
    until(lambda: ask(world, "GET", "/api/v1/links", key).status_code == 401)
    assert ask(world, "GET", "/api/v1/links", world.api_key).status_code == 200


def test_a_revoked_secret_stops_within_a_second_and_a_new_one_works_at_once(world: Workspace) -> None:
    assert world.post(lead("a")).status_code == 201
    (first,) = [
        s["secret_id"]
        for s in json.loads(world.served.run("secret", "list", world.workspace_id, "--json").stdout)
        if s["mode"] == "live"
    ]
    made = json.loads(world.served.run("secret", "create", world.workspace_id, "--json").stdout)
    until(lambda: world.post(lead("b"), secret=made["signing_secret"]).status_code in (200, 201))
    assert world.post(lead("c")).status_code == 201  # Both sign while the caller rotates.
    world.served.run("secret", "revoke", world.workspace_id, first)
    until(lambda: world.post(lead("d")).status_code == 401)
    assert world.post(lead("e"), secret=made["signing_secret"]).status_code == 201


def test_a_workspace_holds_at_most_eight_live_secrets_and_all_of_them_sign(world: Workspace) -> None:
    made = [world.signing_secret]
    for _ in range(7):
        made.append(
            json.loads(world.served.run("secret", "create", world.workspace_id, "--json").stdout)["signing_secret"]
        )
    assert world.served.run("secret", "create", world.workspace_id, "--json", check=False).returncode == 1
    until(lambda: world.post(lead("last"), secret=made[-1]).is_success)
    for number, secret in enumerate(made):
        assert world.post(lead(f"e{number}"), secret=secret).status_code == 201
    raw = b'{"event_name":"lead","event_id":"many"}'
    signatures = [world.sign(raw, secret)["X-Nim-Signature"] for secret in made]
    for count, status in ((8, 201), (9, 401)):
        header = ",".join((signatures * 2)[:count])
        assert world.post_raw(raw, headers={"X-Nim-Signature": header}).status_code == status


def test_what_belongs_to_another_workspace_is_not_there(world: Workspace, stranger: Workspace) -> None:
    link = world.link()
    token = world.click(link["short_code"])
    assert world.post(sale("x", "1.00", click_id=token, external_id="c")).status_code == 201
    assert stranger.get(f"/api/v1/links/{link['id']}").status_code == 404
    assert stranger.call("PATCH", f"/api/v1/links/{link['id']}", {"title": "mine"}).status_code == 404
    assert stranger.call("POST", "/api/delete-link", {"url_id": link["id"]}).status_code == 404
    assert stranger.get("/api/v1/conversions/x").status_code == 404
    assert stranger.get("/api/v1/conversions").json()["conversions"] == []
    assert stranger.get("/api/v1/conversions", external_id="c").json()["conversions"] == []
    assert stranger.get("/api/v1/conversions", link_id=link["id"]).json()["conversions"] == []
    assert stranger.get("/api/v1/links").json()["links"] == []
    assert stranger.get("/api/v1/analytics/conversions").json()["rows"] == []
    there = stranger.get(f"/api/v1/links/{link['id']}").json()
    nowhere = stranger.get(f"/api/v1/links/{ID}").json()
    assert {**there, "support_reference": ""} == {**nowhere, "support_reference": ""}
    verdict = stranger.post(lead("y", token, "c")).json()["attribution"]
    assert (verdict["status"], verdict["reason"], verdict["link_id"]) == ("unattributed", "token_other_workspace", None)
    assert stranger.post(lead("z", external_id="c")).json()["attribution"]["reason"] == "external_id_unknown"
    assert stranger.post(sale("x", "2.00")).status_code == 201
    assert world.event("x")["event"]["value"] == "1.00"
    assert world.client.get(f"/{link['short_code']}").status_code == 302
    body = json.dumps(lead("w")).encode()
    path = f"/api/conversions/callback/{stranger.workspace_id}"
    assert world.client.post(path, content=body, headers=world.sign(body)).status_code == 401


def set_plan(world: Workspace, *arguments: str) -> None:
    world.served.run("workspace", "plan", world.workspace_id, *arguments)


@pytest.mark.parametrize(
    ("closing", "opening"),
    [(("starter",), ("plus",)), (("--disable", "conversion_tracking"), ("--enable", "conversion_tracking"))],
    ids=["plan", "flag"],
)
def test_a_surface_closes_and_opens_within_a_second_and_links_keep_redirecting(
    world: Workspace, closing: tuple[str, ...], opening: tuple[str, ...]
) -> None:
    code = world.link()["short_code"]
    token = world.click(code)
    set_plan(world, *closing)
    until(lambda: world.post(lead("a", token)).status_code == 403)
    problem = world.post(lead("b", token)).json()
    assert (problem["code"], problem["surface"]) == ("surface_not_enabled", "conversion_tracking")
    until(lambda: "nim_ct" not in world.location(code))
    assert world.location(code) == "https://shop.example/landing"
    assert "conversion_tracking" not in world.get("/api/v1/whoami").json()["surfaces"]
    set_plan(world, *opening)
    until(lambda: world.post(lead("c", token)).status_code in (200, 201))
    until(lambda: "nim_ct" in world.location(code))


def test_a_closed_report_names_its_surface(world: Workspace) -> None:
    set_plan(world, "plus")
    until(lambda: world.get("/api/v1/analytics/conversions").status_code == 403)
    problem = world.get("/api/v1/analytics/conversions").json()
    assert (problem["code"], problem["surface"]) == ("surface_not_enabled", "conversion_reporting")


def test_a_link_changed_by_another_process_is_followed_within_a_second(world: Workspace, served: Served) -> None:
    link = world.link()
    code = link["short_code"]
    assert world.location(code).startswith("https://shop.example/landing?nim_ct=")
    assert world.client.get("/made-elsewhere").status_code == 404
    installation = open_installation(served.settings())

    def write(fn: Callable[[Tx, links.Link], object]) -> None:
        def change(tx: Tx) -> None:
            found = links.find(tx, world.workspace_id, link["id"])
            assert found is not None
            fn(tx, found)

        installation.records.write(change)

    now_ms = installation.clock.now_ms()
    try:
        elsewhere = "https://other.example/"
        write(lambda tx, found: links.change(tx, found, found._replace(long_url=elsewhere), "operator", now_ms))
        until(lambda: world.location(code).startswith("https://other.example/?nim_ct="))
        write(lambda tx, found: links.change(tx, found, found._replace(status="disabled"), "operator", now_ms))
        until(lambda: world.client.get(f"/{code}").status_code == 404)
        slug = "made-elsewhere"
        write(lambda tx, found: links.create(tx, found._replace(slug=slug, status="active"), "operator", now_ms))
        until(lambda: world.client.get("/made-elsewhere").status_code == 302)
        write(lambda tx, found: links.change(tx, found, found._replace(status="active"), "operator", now_ms))
        until(lambda: world.client.get(f"/{code}").status_code == 302)
        write(lambda tx, found: links.delete(tx, found, "operator", now_ms))
        until(lambda: world.client.get(f"/{code}").status_code == 404)
    finally:
        installation.close()
