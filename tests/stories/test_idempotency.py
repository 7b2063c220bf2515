"""One event_id, one event: whatever is sent again, by whom, and how often at once."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.world import Served, Workspace, create_workspace, follow_on, lead, sale

Body = dict[str, Any]
FULL: Body = {
    "event_name": "sale",
    "event_time": "2026-01-02T03:04:05.678Z",
    "user_data": {"click_id": "nimct_x", "external_id": "customer-7"},
    "custom_data": {
        "value": "129.90",
        "currency": "USD",
        "order_id": "A-1",
        "quantity": 2,
        "related_order_id": "B-1",
        "related_event_id": "b-1",
        "metadata": {"a": 1, "b": {"c": [1, 2.50]}, "d": "é"},
    },
}


def changed(path: str, value: Any) -> Body:
    """The full body with one field changed."""
    body: Body = json.loads(json.dumps(FULL))
    *groups, name = path.split(".")
    target = body
    for group in groups:
        target = target[group]
    target[name] = value
    return body


DIFFERENT: list[tuple[str, Any]] = [
    ("event_name", "lead"),
    ("event_name", "refund"),
    ("event_time", "2026-01-02T03:04:05.679Z"),
    ("event_time", 1_767_323_045),
    ("user_data.click_id", "nimct_y"),
    ("user_data.click_id", "NIMCT_X"),
    ("user_data.click_id", None),
    ("user_data.external_id", "Customer-7"),
    ("user_data.external_id", None),
    ("custom_data.value", "129.91"),
    ("custom_data.currency", "EUR"),
    ("custom_data.order_id", "a-1"),
    ("custom_data.order_id", None),
    ("custom_data.quantity", 3),
    ("custom_data.quantity", None),
    ("custom_data.related_order_id", "B-2"),
    ("custom_data.related_event_id", "b-1 "),
    ("custom_data.metadata", {"a": 1, "b": {"c": [2.50, 1]}, "d": "é"}),
    ("custom_data.metadata", {"a": True, "b": {"c": [1, 2.50]}, "d": "é"}),
    ("custom_data.metadata", {"a": "1", "b": {"c": [1, 2.50]}, "d": "é"}),
    ("custom_data.metadata", {"a": 1, "b": {"c": [1, 2.50]}, "d": "é", "e": None}),
    ("custom_data.metadata", {"a": 1, "b": {"c": [1, 2.50]}, "d": "e\u0301"}),
    ("custom_data.metadata", {}),
    ("custom_data.metadata", None),
]
SAME: list[tuple[str, Any]] = [
    ("event_time", None),
    ("event_time", "2026-01-02t03:04:05.6789z"),
    ("event_time", "2026-01-02T04:04:05.678+01:00"),
    ("custom_data.value", "129.9"),
    ("custom_data.value", "129.9000"),
    ("custom_data.value", "000129.90"),
    ("custom_data.value", 129.9),
    ("custom_data.currency", "usd"),
    ("custom_data.metadata", {"d": "é", "b": {"c": [1.0, 2.5]}, "a": 1.00}),
]


@pytest.mark.parametrize(("path", "value"), DIFFERENT, ids=str)
def test_a_repeat_that_means_something_else_names_the_field_and_changes_nothing(
    shop: Workspace, path: str, value: Any
) -> None:
    event_id = f"differs-{path}-{value}"
    first = shop.post({**FULL, "event_id": event_id})
    before = shop.event(event_id)["event"]
    response = shop.post({**changed(path, value), "event_id": event_id})
    assert (first.status_code, response.status_code) == (201, 200)
    assert response.json()["duplicate"] is True
    assert response.json()["differences"] == [path]
    assert response.json()["event"] == first.json()["event"] == before == shop.event(event_id)["event"]


@pytest.mark.parametrize(("path", "value"), SAME, ids=str)
def test_a_repeat_that_means_the_same_has_no_differences(shop: Workspace, path: str, value: Any) -> None:
    event_id = f"same-{path}-{value!r}"
    assert shop.post({**FULL, "event_id": event_id}).status_code == 201
    response = shop.post({**changed(path, value), "event_id": event_id})
    assert response.status_code == 200
    assert not response.json().get("differences")


@pytest.mark.parametrize("text", ["1.299e2", "12990e-2", "129.90", "0.12990E+3"])
def test_a_number_is_compared_by_its_amount(shop: Workspace, text: str) -> None:
    event_id = f"number-{text}"
    assert shop.post({**FULL, "event_id": event_id}).status_code == 201
    raw = json.dumps({**FULL, "event_id": event_id}).replace('"129.90"', text)
    response = shop.post_raw(raw.encode())
    assert response.status_code == 200
    assert not response.json().get("differences")


def test_unix_seconds_and_rfc_3339_are_the_same_instant(shop: Workspace) -> None:
    assert shop.post(lead("instant", event_time=1_767_323_045)).status_code == 201
    for again in ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.0004Z", 1_767_323_045, None):
        assert not shop.post(lead("instant", event_time=again)).json().get("differences")
    assert shop.post(lead("instant", event_time=1_767_323_046)).json()["differences"] == ["event_time"]


def test_every_difference_is_named_at_once_and_none_twice(shop: Workspace) -> None:
    shop.post({**FULL, "event_id": "all"})
    other = {"event_name": "lead", "event_id": "all", "event_time": 1_767_000_000}
    differences = shop.post(other).json()["differences"]
    assert len(differences) == len(set(differences))
    assert set(differences) == {path for path, _ in DIFFERENT}


def test_a_repeat_brings_the_verdict_and_settlement_that_stand_now(world: Workspace) -> None:
    refund = follow_on("refund", "refund", "30.00", related_event_id="order")
    first = world.post(refund).json()
    assert (first["attribution"]["status"], first["settlement"]["status"]) == ("pending", "pending")
    token = world.click(world.link()["short_code"])
    world.post(sale("order", "100.00", click_id=token))
    again = world.post(refund).json()
    assert again["duplicate"] is True
    assert (again["attribution"]["status"], again["attribution"]["method"]) == ("attributed", "related")
    assert (again["settlement"]["status"], again["settlement"]["remaining"]) == ("settled", "70.00")
    assert again["event"] == first["event"]


def test_a_key_belongs_to_one_event(world: Workspace) -> None:
    def send(event_id: str, key: str, **more: Any) -> tuple[int, str]:
        response = world.post(lead(event_id, **more), Idempotency_Key=key)
        return response.status_code, response.json().get("code", "")

    assert send("a", "k") == (201, "")
    assert send("a", "k") == (200, "")
    assert send("a", "fresh") == (200, "")
    assert send("b", "k") == (409, "idempotency_key_reused")
    assert send("b", "fresh") == (409, "idempotency_key_reused")
    assert world.get("/api/v1/conversions/b").status_code == 404
    assert send("b", "K") == (201, "")
    assert world.post(lead("b")).status_code == 200
    # A refused delivery binds nothing.
    assert send("", "unbound")[0] == 422
    assert send("c", "unbound") == (201, "")


@pytest.mark.parametrize(
    ("key", "good"),
    [
        ("a", True),
        ("!~", True),
        ("a" * 255, True),
        ("a" * 256, False),
        ("a b", False),
        ("", False),
        ("é", False),
        ("a\tb", False),
    ],
)
def test_a_key_has_1_to_255_visible_characters(world: Workspace, key: str, good: bool) -> None:
    body = json.dumps(lead("x")).encode()
    headers = [(name.encode(), value.encode()) for name, value in world.sign(body).items()]
    headers.append((b"Idempotency-Key", key.encode()))
    response = world.client.post(f"/api/conversions/callback/{world.workspace_id}", content=body, headers=headers)
    assert response.status_code == (201 if good else 422)
    if not good:
        assert [e["code"] for e in response.json()["errors"]] == ["idempotency_key_malformed"]


def test_a_key_is_of_one_workspace_and_one_mode(world: Workspace, stranger: Workspace) -> None:
    assert world.post(lead("a"), Idempotency_Key="k").status_code == 201
    assert stranger.post(lead("b"), Idempotency_Key="k").status_code == 201
    assert world.post(lead("b"), secret=world.test_signing_secret, Idempotency_Key="k").status_code == 201
    assert world.post(lead("c"), secret=world.test_signing_secret, Idempotency_Key="k").status_code == 409


def test_a_key_is_free_again_after_24_hours(tmp_path: Path) -> None:
    served = Served(tmp_path / "data")
    world = create_workspace(served)
    for offset_s, event_id, status in ((0, "a", 201), (86_340, "b", 409), (86_340, "a", 200), (86_460, "b", 201)):
        served.env["NIMRIZ_CLOCK_OFFSET_S"] = str(offset_s)
        served.start()
        assert world.post(lead(event_id), Idempotency_Key="k").status_code == status, offset_s
        served.stop()
    world.client.close()


def test_a_thousand_posts_of_one_event_at_once_make_one_event_and_one_201(world: Workspace) -> None:
    bodies = [json.dumps({**FULL, "event_id": "one"}).encode(), json.dumps(lead("one", external_id="else")).encode()]

    async def post_all() -> list[httpx2.Response]:
        limits = httpx2.Limits(max_connections=64)
        async with httpx2.AsyncClient(base_url=world.served.url, limits=limits, timeout=180) as client:

            async def post(number: int) -> httpx2.Response:
                body = bodies[number % 2]
                keys = [{}, {"Idempotency-Key": f"fresh-{number}"}, {"Idempotency-Key": "reused"}]
                headers = {**world.sign(body), **keys[number % 3]}
                return await client.post(
                    f"/api/conversions/callback/{world.workspace_id}", content=body, headers=headers
                )

            numbers = list(range(1_000))
            random.shuffle(numbers)
            return await asyncio.gather(*(post(number) for number in numbers))

    answers = asyncio.run(post_all())
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 999}
    (first,) = [answer.json() for answer in answers if answer.status_code == 201]
    assert first["duplicate"] is False
    assert all(answer.json()["event"] == first["event"] for answer in answers)
    assert [c["event"] for c in world.get("/api/v1/conversions").json()["conversions"]] == [first["event"]]


def test_one_key_for_many_events_at_once_serves_exactly_one(world: Workspace) -> None:
    async def post_all() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(base_url=world.served.url, timeout=180) as client:

            async def post(number: int) -> httpx2.Response:
                body = json.dumps(lead(f"event-{number}")).encode()
                headers = {**world.sign(body), "Idempotency-Key": "k"}
                return await client.post(
                    f"/api/conversions/callback/{world.workspace_id}", content=body, headers=headers
                )

            return await asyncio.gather(*(post(number) for number in range(60)))

    assert Counter(answer.status_code for answer in asyncio.run(post_all())) == {201: 1, 409: 59}
    assert len(world.get("/api/v1/conversions").json()["conversions"]) == 1


def test_a_test_event_lives_in_a_ledger_of_its_own(world: Workspace) -> None:
    secret = world.test_signing_secret
    token = world.click(world.link()["short_code"])
    assert (
        world.post(sale("x", "5.00", click_id=token, external_id="c"), secret=secret).json()["event"]["mode"] == "test"
    )
    assert world.get("/api/v1/conversions/x").status_code == 404
    assert world.get("/api/v1/conversions").json()["conversions"] == []
    assert world.event("x", "test")["attribution"]["status"] == "attributed"
    assert world.get("/api/v1/analytics/conversions").json()["totals"]["sales"] == 0
    assert world.get("/api/v1/analytics/conversions", mode="test").json()["totals"]["sales"] == 1
    # Neither its tie nor its event is known to the live ledger.
    live = world.post(lead("later", external_id="c")).json()
    assert (live["event"]["mode"], live["attribution"]["reason"]) == ("live", "external_id_unknown")
    refund = world.post(follow_on("refund", "r", "1.00", related_event_id="x")).json()
    assert refund["attribution"]["reason"] == "related_pending"
    first = world.post(sale("x", "7.00", click_id=token))
    assert first.status_code == 201
    assert first.json()["event"]["value"] == "7.00"
    assert world.event("x", "test")["event"]["value"] == "5.00"


def test_live_wins_when_both_modes_signed(world: Workspace) -> None:
    body = json.dumps(lead("both")).encode()
    both = [world.sign(body, secret)["X-Nim-Signature"] for secret in (world.test_signing_secret, world.signing_secret)]
    response = world.post_raw(body, headers={"X-Nim-Signature": ",".join(both)})
    assert response.json()["event"]["mode"] == "live"
