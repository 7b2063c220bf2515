"""The body of an event: every field's rule, said back as a path and a code."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any
from urllib.parse import quote

import pytest

from tests.world import Workspace

Body = dict[str, Any]
_numbers = itertools.count()
U, C = "user_data.", "custom_data."

SALE: Body = {"event_name": "sale", "event_id": "x", "custom_data": {"value": "1", "currency": "USD"}}
REFUND: Body = {"event_name": "refund", "event_id": "x", "custom_data": {"related_order_id": "o"}}


def body(**top: Any) -> Body:
    """A lead with these members."""
    return {"event_name": "lead", "event_id": f"body-{next(_numbers)}", **top}


def custom(**members: Any) -> Body:
    return body(custom_data=members)


def user(**members: Any) -> Body:
    return body(user_data=members)


FOLLOW_ONS = ("refund", "cancellation", "reversal")
NOT_STRINGS: list[Any] = [1, 1.5, True, False, [], {}, ["a"], {"a": "b"}]
REFUSED: list[tuple[Body, dict[str, str]]] = [
    ({}, {"event_name": "field_missing", "event_id": "field_missing"}),
    ({"event_name": "lead"}, {"event_id": "field_missing"}),
    ({"event_id": "x"}, {"event_name": "field_missing"}),
    (body(event_name=None), {"event_name": "field_missing"}),
    (body(event_id=None), {"event_id": "field_missing"}),
    *((body(event_name=v), {"event_name": "field_type"}) for v in [*NOT_STRINGS, "Lead", " lead", "click", "leads"]),
    *((body(event_id=v), {"event_id": "field_type"}) for v in NOT_STRINGS),
    (body(event_id=""), {"event_id": "field_length"}),
    (body(event_id="a" * 256), {"event_id": "field_length"}),
    (body(event_id="é" * 256), {"event_id": "field_length"}),
    *((user(click_id=v), {U + "click_id": "field_type"}) for v in NOT_STRINGS),
    (user(click_id=""), {U + "click_id": "field_length"}),
    (user(click_id="a" * 513), {U + "click_id": "field_length"}),
    *((user(external_id=v), {U + "external_id": "field_type"}) for v in NOT_STRINGS),
    (user(external_id=""), {U + "external_id": "field_length"}),
    (user(external_id="a" * 256), {U + "external_id": "field_length"}),
    *(
        (custom(**{name: v}), {C + name: code})
        for name in ("order_id", "related_order_id", "related_event_id")
        for v, code in [("", "field_length"), ("a" * 256, "field_length"), *((v, "field_type") for v in NOT_STRINGS)]
    ),
    *((body(user_data=v), {"user_data": "field_type"}) for v in ["", "x", 1, True, [], [{}]]),
    *((body(custom_data=v), {"custom_data": "field_type"}) for v in ["", "x", 1, False, [], [{}]]),
    *((custom(metadata=v), {C + "metadata": "field_type"}) for v in ["", "x", 1, True, [], [{}]]),
    *((custom(quantity=v), {C + "quantity": "field_type"}) for v in ["1", 1.5, True, [], {}, ""]),
    *((custom(quantity=v), {C + "quantity": "field_length"}) for v in [0, -1, 2**31, 2**63, 10**40, -(10**40)]),
    *((custom(value=v, currency="USD"), {C + "value": "field_type"}) for v in [True, [], {}, ["1"]]),
    *((custom(value="1", currency=v), {C + "currency": "field_type"}) for v in NOT_STRINGS),
    (custom(value="", currency="USD"), {C + "value": "value_malformed"}),
    *((custom(value=v, currency="USD"), {C + "value": "value_malformed"}) for v in ["1e2", "1.", ".5", "+1", "１"]),
    (custom(value="1"), {C + "currency": "currency_missing"}),
    (custom(value="1", currency=None), {C + "currency": "currency_missing"}),
    (custom(value=0), {C + "currency": "currency_missing"}),
    (custom(currency="USD"), {C + "value": "field_missing"}),
    (body(event_time="2026-01-01T00:00:00"), {"event_time": "event_time_malformed"}),
    *((body(event_time=v), {"event_time": "field_type"}) for v in [True, [], {}]),
    *((body(event_time=v), {"event_time": "event_time_too_old"}) for v in [0, -1, 946_684_799, -(10**30)]),
    *((body(event_time=v), {"event_time": "event_time_in_future"}) for v in [10**13, 10**30, "9999-12-31T23:59:59Z"]),
    (body(event_time="1999-12-31T23:59:59.999Z"), {"event_time": "event_time_too_old"}),
    (body(event_time="2000-01-01T00:00:00+00:01"), {"event_time": "event_time_too_old"}),
    (body(event_time="0001-01-01T00:00:00+23:59"), {"event_time": "event_time_too_old"}),
    *((body(event_name=n), {C + "related_event_id": "related_missing"}) for n in FOLLOW_ONS),
    (body(click_id="x"), {"click_id": "field_unknown"}),
    (body(eventId="x"), {"eventId": "field_unknown"}),
    (user(clickid="x"), {U + "clickid": "field_unknown"}),
    (user(external_id="x", email="x"), {U + "email": "field_unknown"}),
    (custom(valu="1"), {C + "valu": "field_unknown"}),
    (custom(valu=None), {C + "valu": "field_unknown"}),
    (body(a=1, b=2), {"a": "field_unknown", "b": "field_unknown"}),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "errors"), REFUSED, ids=lambda v: json.dumps(v)[:70])
def test_a_body_that_breaks_a_rule_is_refused_with_path_and_code(
    shop: Workspace, sent: Body, errors: dict[str, str]
) -> None:
    response = shop.post(sent)
    assert response.status_code == 422, response.text
    assert {error["field"]: error["code"] for error in response.json()["errors"]} == errors


@pytest.mark.parametrize(
    "event_time",
    [
        "2026-01-01", "2026-01-01T00:00Z", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:60Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+01:60", " 2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z\n", "1764000000", "now", "",
        "２026-01-01T00:00:00Z", "2026-01-01T00:00:00,5Z", "0000-01-01T00:00:00Z", "-2026-01-01T00:00:00Z",
    ],
)  # fmt: skip
def test_an_event_time_that_is_no_instant_is_malformed(shop: Workspace, event_time: str) -> None:
    response = shop.post(body(event_time=event_time))
    assert response.status_code == 422, response.text
    assert [e["code"] for e in response.json()["errors"]] == ["event_time_malformed"]


@pytest.mark.parametrize("text", ["1764000000.5", "1764000000.0", "1.764e9", "1764000000E0"])
def test_unix_seconds_are_an_integer(shop: Workspace, text: str) -> None:
    response = shop.post_raw(b'{"event_name":"lead","event_id":"x","event_time":%s}' % text.encode())
    assert response.status_code == 422
    assert [e["code"] for e in response.json()["errors"]] == ["event_time_malformed"]


@pytest.mark.parametrize(
    ("event_time", "shown"),
    [
        (946_684_800, "2000-01-01T00:00:00.000Z"),
        (1_764_000_000, "2025-11-24T16:00:00.000Z"),
        ("2000-01-01T00:00:00Z", "2000-01-01T00:00:00.000Z"),
        ("2000-01-01T00:00:00-00:01", "2000-01-01T00:01:00.000Z"),
        ("2024-02-29T12:00:00.5+05:30", "2024-02-29T06:30:00.500Z"),
        ("2024-02-29t12:00:00.123456789z", "2024-02-29T12:00:00.123Z"),
        ("2024-02-29T23:59:59.9999Z", "2024-02-29T23:59:59.999Z"),
        ("2024-02-29T12:00:00-23:59", "2024-03-01T11:59:00.000Z"),
        ("2024-02-29T12:00:00-00:00", "2024-02-29T12:00:00.000Z"),
    ],
)
def test_an_instant_is_kept_to_the_millisecond(shop: Workspace, event_time: int | str, shown: str) -> None:
    response = shop.post(body(event_time=event_time))
    assert response.status_code == 201, response.text
    assert response.json()["event"]["event_time"] == shown


def test_an_event_may_be_300_s_ahead_of_the_clock_and_no_more(shop: Workspace) -> None:
    now_s = int(time.time())
    assert shop.post(body(event_time=now_s + 300)).status_code == 201
    response = shop.post(body(event_time=now_s + 303))
    assert response.status_code == 422
    assert [e["code"] for e in response.json()["errors"]] == ["event_time_in_future"]


@pytest.mark.parametrize(
    "sent",
    [
        body(event_id="a"), body(event_id="a" * 255), body(event_id="é" * 255), body(event_id="😀" * 255),
        body(event_id=" padded "), body(event_id="\t"), body(event_id="0"), body(event_id="\u202e<script>"),
        user(click_id="a" * 512), user(external_id="a" * 255), user(click_id=None, external_id=None),
        custom(order_id="o" * 255, quantity=1), custom(quantity=2**31 - 1), custom(value=None, currency=None),
        custom(value="1", currency="uSd"), custom(metadata={}), custom(metadata={"": ""}), custom(metadata=None),
        custom(metadata={"a": [1, 2.50, -0.0, 1e300, None, True, {"b": "é😀"}]}),
        body(user_data=None, custom_data=None, event_time=None), body(user_data={}, custom_data={}),
        {**body(), "custom_data": {"related_event_id": "x", "related_order_id": "y"}},
        {**body(), "event_name": "refund", "custom_data": {"related_event_id": "x"}},
        {**body(), "event_name": "reversal", "custom_data": {"related_order_id": "x", "related_event_id": None}},
    ],
    ids=lambda v: json.dumps(v)[:70],
)  # fmt: skip
def test_what_keeps_the_rules_is_recorded_as_sent(shop: Workspace, sent: Body) -> None:
    response = shop.post(sent)
    assert response.status_code == 201, response.text
    event = response.json()["event"]
    assert event["event_id"] == sent["event_id"]
    for group in ("user_data", "custom_data"):
        for name, value in (sent.get(group) or {}).items():
            if name in event and name not in ("value", "currency"):
                assert event[name] == value, name
    assert shop.get("/api/v1/conversions", event_id=sent["event_id"]).json()["conversions"][0]["event"] == event


@pytest.mark.parametrize("text", ['{"a": 1.50}', '{"b":1e2,"a":-0}', '{"n":1e400,"m":123456789012345678901234567890}'])
def test_numbers_in_metadata_are_kept_as_they_were_written(shop: Workspace, text: str) -> None:
    raw = f'{{"event_name":"lead","event_id":"m{next(_numbers)}","custom_data":{{"metadata":{text}}}}}'
    response = shop.post_raw(raw.encode())
    assert response.status_code == 201
    assert f'"metadata":{text.replace(" ", "")}' in response.text


def test_metadata_has_at_most_4_kib_in_bytes(shop: Workspace) -> None:
    frame = len('{"a":""}')
    for fill, size in (("x", 4_096), ("é", 4_096), ("x", 4_097), ("é", 4_098)):
        count = (size - frame) // len(fill.encode())
        response = shop.post(custom(metadata={"a": fill * count}))
        if size <= 4_096:
            assert response.status_code == 201, response.text
        else:
            assert response.status_code == 422
            assert response.json()["errors"][0]["code"] == "metadata_too_large"
            assert response.json()["errors"][0]["field"] == C + "metadata"


def test_ids_are_compared_by_their_bytes(world: Workspace) -> None:
    ids = ["Case", "case", " case", "case ", "e\u0301", "\u00e9", "a\u200b", "a", "1", "01", "1.0"]
    answers = [world.post(body(event_id=event_id)) for event_id in ids]
    assert [a.status_code for a in answers] == [201] * len(ids)
    token = world.click(world.link()["short_code"])
    for external_id in ("Anna", "anna"):
        world.post(body(user_data={"external_id": external_id, "click_id": token if external_id == "Anna" else None}))
    later = [
        world.post(user(external_id=external_id)).json()["attribution"] for external_id in ("Anna", "anna", "Anna ")
    ]
    assert [a["status"] for a in later] == ["attributed", "unattributed", "unattributed"]
    assert later[1]["reason"] == "external_id_unknown"


@pytest.mark.parametrize(
    "event_id", ["a/b", "a%2Fb", "a?b=c", "a#b", "é", "a b", "/", "a//b", "%", "+", "a/explain2", "'; --", "\u0001"]
)
def test_an_event_is_found_under_its_id_whatever_it_looks_like(shop: Workspace, event_id: str) -> None:
    assert shop.post(body(event_id=event_id)).status_code in (200, 201)
    response = shop.get(f"/api/v1/conversions/{quote(event_id, safe='')}")
    assert response.status_code == 200, response.text
    assert response.json()["event"]["event_id"] == event_id
