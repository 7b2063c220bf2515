"""Bulk creation: a result for each row, and a row sent again makes no other link."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nimriz.web.api.bulk import PASSWORDS_MAX
from tests.world import Workspace

URL = "https://shop.example/"


def bulk(shop: Workspace, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of rows that lack nothing but their domain."""
    response = shop.call("POST", "/api/shorten/bulk", {"rows": [{"domain_id": shop.domain_id, **row} for row in rows]})
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def test_a_bad_row_takes_no_other_with_it(world: Workspace) -> None:
    results = bulk(
        world,
        {"client_row_id": "1", "long_url": URL, "custom_slug": "bulk-a"},
        {"client_row_id": "2", "long_url": URL, "custom_slug": "bulk-a"},
        {"client_row_id": "3", "long_url": "nowhere"},
        {"client_row_id": "4"},
        {"client_row_id": "5", "long_url": URL, "domain_id": "x"},
        {"client_row_id": "6", "long_url": URL, "tags": 1, "unheard_of": 1},
        {"client_row_id": 7, "long_url": URL},
        {"long_url": "http://10.0.0.1/"},
        {"client_row_id": "9", "long_url": URL},
    )
    told = [(r["client_row_id"], r["http_status"], r.get("code")) for r in results]
    assert told == [
        ("1", 201, None),
        ("2", 409, "slug_taken"),
        ("3", 422, "destination_invalid"),
        ("4", 422, "validation_failed"),
        ("5", 404, "domain_not_found"),
        ("6", 422, "validation_failed"),
        (None, 422, "validation_failed"),
        (None, 422, "destination_blocked"),
        ("9", 201, None),
    ]
    assert [error["field"] for error in results[5]["errors"]] == ["tags", "unheard_of"]
    assert len(world.get("/api/v1/links").json()["links"]) == 2
    assert world.location("bulk-a") == URL


def test_a_row_sent_again_answers_with_the_link_that_it_made(world: Workspace) -> None:
    row = {"client_row_id": "1", "idempotency_key": "k", "long_url": URL, "title": "One"}
    first = bulk(world, row)[0]
    again, other, fresh = bulk(world, {**row, "client_row_id": "2"}, {**row, "title": "Two"}, {"long_url": URL})
    assert (first["idempotent"], again["idempotent"], fresh["idempotent"]) == (False, True, False)
    assert (again["http_status"], again["link"]) == (200, first["link"])
    assert (other["http_status"], other["code"]) == (409, "idempotency_key_reused")
    world.call("POST", "/api/delete-link", {"url_id": first["id"]})
    assert bulk(world, row)[0]["code"] == "link_not_found"


def test_one_key_on_two_rows_of_a_request_makes_one_link(world: Workspace) -> None:
    row = {"idempotency_key": "k", "long_url": URL}
    first, second, third = bulk(world, row, row, {**row, "long_url": URL + "2"})
    assert (first["idempotent"], second["idempotent"]) == (False, True)
    assert second["id"] == first["id"]
    assert third["code"] == "idempotency_key_reused"


def test_a_refused_row_binds_no_key(world: Workspace) -> None:
    assert bulk(world, {"idempotency_key": "k", "long_url": URL, "custom_slug": "api"})[0]["code"] == "slug_reserved"
    assert bulk(world, {"idempotency_key": "k", "long_url": URL, "custom_slug": "mended"})[0]["http_status"] == 201


def test_a_thousand_rows_are_taken_and_no_more(world: Workspace) -> None:
    results = bulk(world, *[{"long_url": URL, "title": f"{n}"} for n in range(1_000)])
    assert {result["http_status"] for result in results} == {201}
    assert [result["link"]["title"] for result in results] == [f"{n}" for n in range(1_000)]
    rows = [{"domain_id": world.domain_id, "long_url": URL}] * 1_001
    wrongs: list[Any] = [{"rows": rows}, {"rows": []}, {"rows": None}, {}, [], {"rows": [], "x": 1}]
    for wrong in wrongs:
        response = world.call("POST", "/api/shorten/bulk", wrong)
        assert (response.status_code, response.json()["code"]) == (422, "validation_failed")


def test_a_row_that_is_no_object_is_a_result_too(world: Workspace) -> None:
    row = {"domain_id": world.domain_id, "long_url": URL}
    response = world.call("POST", "/api/shorten/bulk", {"rows": [1, None, [], "x", row]})
    assert [result["http_status"] for result in response.json()["results"]] == [422, 422, 422, 422, 201]


def test_a_key_means_another_row_when_a_password_is_given(world: Workspace) -> None:
    row = {"idempotency_key": "k", "long_url": URL}
    assert bulk(world, row)[0]["http_status"] == 201
    assert bulk(world, {**row, "password": "secret"})[0]["code"] == "idempotency_key_reused"


def test_passwords_of_many_rows_keep_nobody_waiting_and_are_bounded(world: Workspace) -> None:
    rows = [{"domain_id": world.domain_id, "long_url": URL, "password": f"p{n}"} for n in range(PASSWORDS_MAX + 2)]
    rows.append({"domain_id": world.domain_id, "long_url": URL})
    with ThreadPoolExecutor(2) as threads:
        some = [{"rows": rows}, {"rows": rows[:20]}]
        bulks = [threads.submit(world.call, "POST", "/api/shorten/bulk", body) for body in some]
        answered = 0
        while not all(done.done() for done in bulks):
            assert world.client.get("/_ready").status_code == 200
            assert world.get("/api/v1/links", limit=1).status_code == 200
            answered += 1
    assert answered > 3
    statuses = [result["http_status"] for result in bulks[0].result().json()["results"]]
    assert statuses == [201] * PASSWORDS_MAX + [403] * 2 + [201]


def test_two_mebibytes_of_rows_are_taken(world: Workspace) -> None:
    results = bulk(world, *[{"long_url": URL + "?" + "x" * 8_000} for _ in range(240)])
    assert {result["http_status"] for result in results} == {201}
