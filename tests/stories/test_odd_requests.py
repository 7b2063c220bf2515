"""Requests that nobody sends by accident are refused, and cost nothing."""

from __future__ import annotations

import base64

import pytest

from tests.world import Served, Workspace


def test_a_host_longer_than_any_name_is_unknown_and_not_remembered(world: Workspace) -> None:
    response = world.client.get("/", headers={"Host": "a" * 20_000})
    assert (response.status_code, response.json()["code"]) == (421, "host_unknown")


@pytest.mark.parametrize("path", ["/_health", "/_ready", "/robots.txt"])
def test_the_operators_pages_are_read_and_nothing_else(world: Workspace, path: str) -> None:
    assert world.client.get(path).status_code == 200
    refused = world.client.post(path)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert world.client.get(f"{path}/more").status_code == 404


@pytest.mark.parametrize("destination", ["http:loop", "https:shop.example/x", "https:/shop.example", "http:\\\\loop"])
def test_a_destination_that_a_browser_reads_as_our_own_path_is_refused(world: Workspace, destination: str) -> None:
    body = {"domain_id": world.domain_id, "long_url": destination}
    assert world.call("POST", "/api/shorten", body).json()["code"] == "destination_invalid"


SURROGATE = base64.urlsafe_b64encode(b'[1,"\\ud800"]').decode()


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/analytics/conversions?to=0001-01-05",
        "/api/v1/analytics/conversions?from=9999-12-31&to=9999-12-31",
        "/api/v1/analytics/conversions?by=link&by=day",
        "/api/v1/conversions?mode=live&mode=test",
        f"/api/v1/conversions?cursor={SURROGATE}",
        "/api/v1/conversions?cursor=W10=",
        "/api/v1/links?tags=summer",
        "/api/v1/links/find",
        "/api/v1/links/find?short_url=x&domain_id=y&short_code=z",
        "/api/v1/links?limit=0",
        "/api/v1/links?cursor=x",
    ],
)
def test_a_question_that_cannot_be_meant_is_a_validation_problem(world: Workspace, path: str) -> None:
    response = world.client.get(path, headers={"X-Nim-Api-Key": world.api_key})
    assert (response.status_code, response.json()["code"]) == (422, "validation_failed")


def test_a_key_sent_in_both_headers_is_one_key(world: Workspace, stranger: Workspace) -> None:
    both = {"X-Nim-Api-Key": world.api_key, "Authorization": f"Bearer {world.api_key}"}
    assert world.client.get("/api/v1/whoami", headers=both).status_code == 200
    other = {**both, "X-Nim-Api-Key": stranger.api_key}
    assert world.client.get("/api/v1/whoami", headers=other).status_code == 401


def test_a_link_tells_how_often_it_was_clicked(world: Workspace, served: Served) -> None:
    one, other = world.link(), world.link()
    for _ in range(3):
        world.click(one["short_code"])
    listed = {link["id"]: link["clicks"] for link in world.get("/api/v1/links").json()["links"]}
    assert listed == {one["id"]: 3, other["id"]: 0}
    assert world.get(f"/api/v1/links/{one['id']}").json()["link"]["clicks"] == 3
