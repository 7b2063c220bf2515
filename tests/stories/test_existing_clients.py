"""Programs that know nothing but the table of section 5: every call of it, as such a program makes it."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx2
import pytest

from tests.world import HUMAN, Served, Workspace

LINK_MEMBERS = {
    "id", "url_id", "domain_id", "domain", "short_code", "short_url", "long_url", "destination_host", "title",
    "tags", "utm", "status", "expires_at", "password_protected", "redirect_status_code", "conversion_tracking",
    "conversion_window_days", "token_suppressed", "forward_query", "clicks", "created_at", "updated_at",
}  # fmt: skip
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Client:
    """Sends JSON with a bearer key, and reads JSON."""

    def __init__(self, served: Served, api_key: str) -> None:
        self.http = httpx2.Client(base_url=served.url, headers={"Authorization": f"Bearer {api_key}"}, timeout=60)

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, dict[str, Any]]:
        response = self.http.request(method, path, json=body, params=query)
        assert response.headers["cache-control"] == "private, no-store"
        return response.status_code, response.json()


def is_link(link: dict[str, Any]) -> None:
    """The shape of a link on the wire."""
    assert set(link) >= LINK_MEMBERS
    assert link["id"] == link["url_id"]
    assert UUID.fullmatch(link["id"])
    assert UUID.fullmatch(link["domain_id"])
    assert link["short_url"].endswith(f"/{link['short_code']}")
    assert link["status"] in ("active", "disabled", "expired")
    assert link["redirect_status_code"] in (301, 302)


def test_every_call_of_the_table_has_the_documented_shape(served: Served, world: Workspace) -> None:
    call = Client(served, world.api_key)
    with call.http:
        walk_the_table(served, world, call)


def walk_the_table(served: Served, world: Workspace, call: Client) -> None:
    """Every row, one after the other."""
    status, who = call("GET", "/api/v1/whoami")
    assert status == 200
    assert who["account_id"] == who["workspace_id"] == world.workspace_id
    assert (who["workspace_name"], who["plan"]) == ("Alice's shop", "enterprise")
    assert set(who["surfaces"]) == {"conversion_tracking", "conversion_reporting", "exports"}

    status, found = call("GET", "/api/v1/domains")
    assert status == 200
    domain = found["domains"][0]
    assert (domain["domain_name"], domain["status"], domain["ready_for_traffic"]) == ("localhost", "ready", True)

    slug = f"table-{time.monotonic_ns()}"
    assert call("POST", "/api/check-slug", {"domain_id": domain["id"], "slug": slug}) == (200, {"available": True})
    new = {"domain_id": domain["id"], "long_url": "https://example.com/n8n", "custom_slug": slug}
    status, made = call("POST", "/api/shorten", {**new, "redirect_status_code": 302})
    assert status == 201
    assert made["url_id"] == made["id"] == made["link"]["id"]
    assert (made["short_code"], made["short_url"]) == (slug, f"{served.url}/{slug}")
    is_link(made["link"])

    status, taken = call("POST", "/api/check-slug", {"domain_id": domain["id"], "slug": slug})
    assert (status, taken["available"], taken["code"]) == (403, False, "slug_taken")
    status, reserved = call("POST", "/api/check-slug", {"domain_id": domain["id"], "slug": "api"})
    assert (status, reserved["available"], reserved["code"]) == (403, False, "slug_reserved")

    status, listed = call("GET", "/api/v1/links", limit=3)
    assert (status, listed["next_cursor"]) == (200, None)
    assert [link["id"] for link in listed["links"]] == [made["id"]]
    status, got = call("GET", f"/api/v1/links/{made['id']}")
    assert status == 200
    is_link(got["link"])
    assert call("GET", "/api/v1/links/find", short_url=made["short_url"]) == (200, got)
    assert call("GET", "/api/v1/links/find", domain_id=domain["id"], short_code=slug) == (200, got)
    status, missing = call("GET", "/api/v1/links/find", short_url=f"https://rix.to/{slug}")
    assert (status, missing["code"]) == (404, "link_not_found")

    later, instant = "2099-01-01T00:00:00Z", "2099-01-01T00:00:00.000Z"
    steps: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("PUT", "/api/update-slug", {"new_slug": f"{slug}-x"}, {"short_code": f"{slug}-x"}),
        ("PUT", "/api/update-destination", {"long_url": "https://example.com/2"}, {"long_url": "https://example.com/2"}),
        ("PUT", "/api/update-password", {"password": "n8n-e2e-pw"}, {"password_protected": True}),
        ("PUT", "/api/update-password", {"password": None}, {"password_protected": False}),
        ("PUT", "/api/update-password", {"password": None}, {"password_protected": False}),
        ("PUT", "/api/update-expiration", {"expires_at": later}, {"expires_at": instant}),
        ("PUT", "/api/update-expiration", {"expires_at": None}, {"expires_at": None}),
    ]  # fmt: skip
    for method, path, change, expected in steps:
        status, answer = call(method, path, {"url_id": made["id"], **change})
        assert status == 200, path
        is_link(answer["link"])
        assert {name: answer["link"][name] for name in expected} == expected
    status, patched = call("PATCH", f"/api/v1/links/{made['id']}", {"conversion_tracking": True, "tags": ["a"]})
    assert (status, patched["link"]["conversion_tracking"], patched["link"]["tags"]) == (200, True, ["a"])

    query = {"range_days": 30, "touch_type": "short_link_click", "include_bots": "0"}
    status, analytics = call("GET", f"/api/v1/links/{made['id']}/analytics", **query)
    assert (status, analytics["totals"]["clicks"], len(analytics["by_day"])) == (200, 0, 30)
    assert analytics["breakdowns"]

    rows = [
        {"client_row_id": "r1", "idempotency_key": "k1", "domain_id": domain["id"], "long_url": "https://a.example"}
    ]
    status, bulk = call("POST", "/api/shorten/bulk", {"rows": rows})
    result = bulk["results"][0]
    assert (status, result["client_row_id"], result["http_status"], result["idempotent"]) == (200, "r1", 201, False)
    is_link(result["link"])
    status, again = call("POST", "/api/shorten/bulk", {"rows": rows})
    assert again["results"][0]["idempotent"] is True
    assert again["results"][0]["url_id"] == result["url_id"]

    assert call("POST", "/api/delete-link", {"url_id": made["id"]}) == (200, {"deleted": True})
    status, gone = call("GET", f"/api/v1/links/{made['id']}")
    assert (status, gone["code"]) == (404, "link_not_found")
    status, buried = call("POST", "/api/shorten", {**new, "custom_slug": f"{slug}-x"})
    assert (status, buried["code"]) == (409, "slug_tombstoned")

    status, _ = call("PATCH", "/api/v1/workspace", {"name": "Alice & Co", "timezone": "Europe/Berlin"})
    assert (status, call("GET", "/api/v1/whoami")[1]["workspace_name"]) == (200, "Alice & Co")


@pytest.mark.parametrize(
    ("new", "status", "code"),
    [
        ({"custom_slug": "api"}, 422, "slug_reserved"),
        ({"custom_slug": "a/b"}, 422, "slug_invalid"),
        ({"custom_slug": "a" * 65}, 422, "slug_invalid"),
        ({"long_url": "ftp://x.example"}, 422, "destination_invalid"),
        ({"long_url": "https://u:p@x.example"}, 422, "destination_invalid"),
        ({"long_url": "http://192.168.0.1/"}, 422, "destination_blocked"),
        ({"long_url": "http://localhost/x"}, 422, "destination_blocked"),
        ({"domain_id": "0192f0c1-0000-7000-8000-000000000000"}, 404, "domain_not_found"),
        ({"domain_id": "x"}, 404, "domain_not_found"),
        ({"long_url": None}, 422, "validation_failed"),
        ({"unheard_of": 1}, 422, "validation_failed"),
        ({"redirect_status_code": 307}, 422, "validation_failed"),
        ({"expires_at": "tomorrow"}, 422, "validation_failed"),
        ({"tags": ["x" * 65]}, 422, "validation_failed"),
        ({"utm": {"sauce": "x"}}, 422, "validation_failed"),
        ({"clicks_max": 0}, 422, "validation_failed"),
        ({"password": ""}, 422, "validation_failed"),
    ],
)
def test_a_refusal_carries_its_code(shop: Workspace, new: dict[str, Any], status: int, code: str) -> None:
    body = {"domain_id": shop.domain_id, "long_url": "https://shop.example/", **new}
    response = shop.call("POST", "/api/shorten", body)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


def test_a_link_redirects_as_soon_as_it_is_made_and_stops_when_it_is_renamed_or_deleted(shop: Workspace) -> None:
    made = shop.link(conversion_tracking=False)
    slug = made["short_code"]
    assert shop.location(slug) == made["long_url"]
    renamed = shop.call("PUT", "/api/update-slug", {"url_id": made["id"], "new_slug": f"{slug}-new"})
    assert renamed.status_code == 200
    assert shop.client.get(f"/{slug}", headers={"User-Agent": HUMAN}).status_code == 404
    assert shop.location(f"{slug}-new") == made["long_url"]
    shop.call("POST", "/api/delete-link", {"url_id": made["id"]})
    assert shop.client.get(f"/{slug}-new").status_code == 404


def test_a_slug_given_up_rests_for_others_and_not_for_the_link_that_had_it(shop: Workspace) -> None:
    made = shop.link()
    slug = made["short_code"]
    shop.call("PUT", "/api/update-slug", {"url_id": made["id"], "new_slug": f"{slug}-new"})
    other = {"domain_id": shop.domain_id, "long_url": "https://shop.example/", "custom_slug": slug}
    assert shop.call("POST", "/api/shorten", other).json()["code"] == "slug_tombstoned"
    checked = shop.call("POST", "/api/check-slug", {"domain_id": shop.domain_id, "slug": slug})
    assert (checked.status_code, checked.json()["code"]) == (403, "slug_tombstoned")
    back = shop.call("PUT", "/api/update-slug", {"url_id": made["id"], "new_slug": slug})
    assert back.json()["link"]["short_code"] == slug


def test_an_idempotency_key_makes_one_link(shop: Workspace) -> None:
    body = {"domain_id": shop.domain_id, "long_url": "https://shop.example/once"}
    headers = {"Authorization": f"Bearer {shop.api_key}", "Idempotency-Key": "once"}
    first = shop.client.post("/api/shorten", json=body, headers=headers)
    again = shop.client.post("/api/shorten", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    other = shop.client.post("/api/shorten", json={**body, "title": "Other"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


def test_a_stranger_finds_and_changes_nothing_of_ours(shop: Workspace, stranger: Workspace) -> None:
    made = shop.link()
    which = {"url_id": made["id"]}
    calls = [
        stranger.get(f"/api/v1/links/{made['id']}"),
        stranger.get(f"/api/v1/links/{made['id']}/analytics"),
        stranger.get(f"/api/v1/links/{made['id']}/history"),
        stranger.get(f"/api/v1/links/{made['id']}/qr"),
        stranger.get("/api/v1/links/find", short_url=made["short_url"]),
        stranger.get("/api/v1/links/find", domain_id=made["domain_id"], short_code=made["short_code"]),
        stranger.call("PATCH", f"/api/v1/links/{made['id']}", {"title": "x"}),
        stranger.call("PUT", "/api/update-slug", {**which, "new_slug": "stolen"}),
        stranger.call("PUT", "/api/update-destination", {**which, "long_url": "https://evil.example/"}),
        stranger.call("PUT", "/api/update-password", {**which, "password": "x"}),
        stranger.call("PUT", "/api/update-expiration", {**which, "expires_at": None}),
        stranger.call("POST", "/api/delete-link", which),
    ]
    assert {(call.status_code, call.json()["code"]) for call in calls} == {(404, "link_not_found")}
    assert shop.get(f"/api/v1/links/{made['id']}").json()["link"] == made
