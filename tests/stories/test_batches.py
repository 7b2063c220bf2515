"""Batches and rehearsals: many events in one body, and the verdict without the record."""

from __future__ import annotations

from typing import Any

import pytest

from tests.world import Workspace, follow_on, lead, sale

Body = dict[str, Any]


def batch(world: Workspace, events: list[Any], query: str = "", **headers: str) -> list[Body]:
    response = world.post({"events": events}, path=f"/batch{query}", **headers)
    assert response.status_code == 200, response.text
    results: list[Body] = response.json()["results"]
    assert len(results) == len(events)
    return results


def test_results_come_in_order_and_a_bad_event_takes_nobody_with_it(world: Workspace) -> None:
    events: list[Any] = [
        lead("a"),
        {"event_name": "nonsense"},
        lead("b"),
        "x",
        None,
        1,
        [],
        {},
        sale("c", "1.001"),
        lead("d"),
    ]
    results = batch(world, events)
    assert [r["http_status"] for r in results] == [201, 422, 201, 422, 422, 422, 422, 422, 422, 201]
    assert [r["event"]["event_id"] for r in results if r["http_status"] == 201] == ["a", "b", "d"]
    for result in results:
        if result["http_status"] == 422:
            assert result["code"] == "validation_failed"
            assert result["status"] == 422
            assert result["errors"]
            assert {"type", "title", "detail", "support_reference"} <= set(result)
        else:
            assert {"status", "duplicate", "event", "attribution", "settlement", "support_reference"} <= set(result)
            assert (result["status"], result["duplicate"]) == ("recorded", False)
    listed = world.get("/api/v1/conversions").json()["conversions"]
    assert sorted(c["event"]["event_id"] for c in listed) == ["a", "b", "d"]


def test_a_repeat_inside_a_batch_is_a_repeat_and_the_first_wins(world: Workspace) -> None:
    world.post(lead("old"))
    results = batch(
        world, [sale("x", "1.00"), sale("x", "2.00"), lead("old"), sale("x", "1.0"), {**lead("x"), "bad": 1}]
    )
    assert [r["http_status"] for r in results] == [201, 200, 200, 200, 422]
    assert results[1]["differences"] == ["custom_data.value"]
    assert not results[3].get("differences")
    assert results[0]["event"] == results[1]["event"] == results[3]["event"]
    assert world.event("x")["event"]["value"] == "1.00"


def test_what_a_batch_concerns_is_judged_over_the_whole_of_it(world: Workspace) -> None:
    token = world.click(world.link()["short_code"])
    refund = follow_on("refund", "refund", "30.00", related_order_id="o")
    tied = lead("lead", token, "c")
    results = batch(world, [refund, sale("late", "100.00", external_id="c", order_id="o"), tied])
    assert [r["attribution"]["status"] for r in results] == ["attributed"] * 3
    assert results[0]["settlement"]["remaining"] == "70.00"
    for result in results:
        assert world.event(result["event"]["event_id"])["attribution"] == result["attribution"]


@pytest.mark.parametrize("count", [1, 999, 1_000])
def test_a_batch_holds_1_to_1000_events(world: Workspace, count: int) -> None:
    results = batch(world, [lead(f"e{number}") for number in range(count)])
    assert {r["http_status"] for r in results} == {201}
    assert [r["event"]["event_id"] for r in results] == [f"e{number}" for number in range(count)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"events": []}, "field_length"),
        ({"events": [lead("x")] * 1_001}, "field_length"),
        ({"events": None}, "field_missing"),
        ({"events": {}}, "field_type"),
        ({"events": "x"}, "field_type"),
        ({}, "field_missing"),
        ({"events": [lead("x")], "more": 1}, "field_unknown"),
        ({"events": [lead("x")], **lead("x")}, "field_unknown"),
    ],
)
def test_a_body_that_is_no_batch_is_refused_whole(world: Workspace, body: Body, code: str) -> None:
    response = world.post(body, path="/batch")
    assert response.status_code == 422
    assert code in [e["code"] for e in response.json()["errors"]]
    assert world.get("/api/v1/conversions").json()["conversions"] == []


def test_neither_endpoint_takes_the_others_body(world: Workspace) -> None:
    for body in ({"events": [lead("x")]}, {**lead("x"), "events": []}, {**lead("x"), "events": None}, {"events": 1}):
        response = world.post(body)
        assert response.status_code == 422, body
        assert "events" in [e["field"] for e in response.json()["errors"]]
    assert world.post(lead("x"), path="/batch").status_code == 422
    assert world.get("/api/v1/conversions").json()["conversions"] == []


def test_an_idempotency_key_means_nothing_to_a_batch(world: Workspace) -> None:
    assert world.post(lead("a"), Idempotency_Key="k").status_code == 201
    assert [r["http_status"] for r in batch(world, [lead("b"), lead("c")], Idempotency_Key="k")] == [201, 201]
    assert [r["http_status"] for r in batch(world, [lead("d")], Idempotency_Key="two words")] == [201]
    batch(world, [lead("e")], Idempotency_Key="never bound".replace(" ", "-"))
    assert world.post(lead("f"), Idempotency_Key="never-bound").status_code == 201


def test_a_batch_in_test_mode_is_test_events(world: Workspace) -> None:
    response = world.post({"events": [lead("a")]}, path="/batch", secret=world.test_signing_secret)
    assert response.json()["results"][0]["event"]["mode"] == "test"
    assert world.get("/api/v1/conversions/a").status_code == 404


def snapshot(world: Workspace) -> tuple[Any, Any]:
    return world.get("/api/v1/conversions").json(), world.get("/api/v1/analytics/conversions").json()["totals"]


def test_a_rehearsal_says_the_full_verdict_and_records_nothing(world: Workspace) -> None:
    token = world.click(world.link()["short_code"])
    before = snapshot(world)
    response = world.post(
        sale("x", "9.99", click_id=token, external_id="c"), path="?validate_only=true", Idempotency_Key="k"
    )
    answer = response.json()
    assert (response.status_code, answer["status"], answer["duplicate"]) == (200, "valid", False)
    assert (answer["attribution"]["status"], answer["event"]["value_minor"]) == ("attributed", 999)
    assert snapshot(world) == before
    # No tie was left, and no key was bound.
    assert (
        world.post(lead("y", external_id="c"), Idempotency_Key="k").json()["attribution"]["reason"]
        == "external_id_unknown"
    )
    assert world.post(sale("x", "9.99", click_id=token)).status_code == 201


def test_a_rehearsal_of_a_batch_is_one_too(world: Workspace) -> None:
    token = world.click(world.link()["short_code"])
    before = snapshot(world)
    events = [
        sale("x", "9.00", click_id=token),
        follow_on("refund", "r", "4.00", related_event_id="x"),
        {"bad": 1},
        sale("x", "8.00"),
    ]
    results = batch(world, events, "?validate_only=true")
    assert [r["http_status"] for r in results] == [200, 200, 422, 200]
    assert [r["status"] for r in results] == ["valid", "valid", 422, "valid"]
    assert results[1]["settlement"]["remaining"] == "5.00"
    assert (results[3]["duplicate"], results[3]["differences"]) == (True, ["user_data.click_id", "custom_data.value"])
    assert snapshot(world) == before


def test_a_rehearsal_sees_what_is_there(world: Workspace) -> None:
    world.post(sale("x", "9.00"), Idempotency_Key="k")
    answer = world.post(sale("x", "8.00"), path="?validate_only=true").json()
    assert (answer["status"], answer["duplicate"], answer["differences"]) == ("valid", True, ["custom_data.value"])
    refused = world.post(lead("y"), path="?validate_only=true", Idempotency_Key="k")
    assert refused.status_code == 409
    assert world.post(lead(""), path="?validate_only=true").status_code == 422
    assert world.post(lead("y"), path="?validate_only=false").status_code == 201
