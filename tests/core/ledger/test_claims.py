"""Claims: the door's rules for a body, one by one, and nothing but Refused for everything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.base import jsontext
from nimriz.base.errors import FIELD_CODES, Refused
from nimriz.core.ledger.claim import Claim
from nimriz.core.ledger.claims import EVENT_NAMES, METADATA_BYTES_MAX, read_claim

NOW_MS = 1_795_392_000_000
SALE: dict[str, Any] = {"event_name": "sale", "event_id": "e-1", "custom_data": {"value": "129.90", "currency": "usd"}}


def read(body: object) -> Claim:
    """The claim in a body, through its JSON text."""
    return read_claim(jsontext.parse(json.dumps(body).encode()), NOW_MS)


def errors(body: object) -> list[tuple[str, str]]:
    """Which fields are refused, with which codes."""
    with pytest.raises(Refused) as refused:
        read(body)
    assert refused.value.code == "validation_failed"
    return [(error.field, error.code) for error in refused.value.errors]


def custom(**fields: object) -> dict[str, object]:
    """A sale with these members of custom_data."""
    return {**SALE, "custom_data": {**SALE["custom_data"], **fields}}


def test_a_whole_body_is_a_claim() -> None:
    user = {"click_id": "nimct_x", "external_id": "ann"}
    body = custom(order_id="o", quantity=2, related_event_id="r", related_order_id="p", metadata={"a": 1})
    claim = read({**body, "user_data": user, "event_time": 1_795_391_000})
    assert claim == Claim(
        "sale", "e-1", 1_795_391_000_000, "nimct_x", "ann", 12990, "USD", "o", 2, "p", "r", b'{"a":1}'
    )


def test_null_is_the_same_as_absent() -> None:
    nothing = {"event_time": None, "user_data": None, "custom_data": None}
    assert read({"event_name": "lead", "event_id": "e", **nothing}) == read({"event_name": "lead", "event_id": "e"})
    assert errors({"event_name": None, "event_id": None}) == [
        ("event_name", "field_missing"),
        ("event_id", "field_missing"),
    ]


def test_metadata_keeps_null_and_the_text_of_its_numbers() -> None:
    raw = b'{"event_name":"lead","event_id":"e","custom_data":{"metadata":{"n":1.50,"z":null,"u":"\\u00e9"}}}'
    assert read_claim(jsontext.parse(raw), NOW_MS).metadata == '{"n":1.50,"z":null,"u":"é"}'.encode()


def test_metadata_has_4096_bytes_at_most() -> None:
    fits = "x" * (METADATA_BYTES_MAX - len('{"a":""}'))
    assert read(custom(metadata={"a": fits})).metadata is not None
    assert errors(custom(metadata={"a": fits + "x"})) == [("custom_data.metadata", "metadata_too_large")]
    assert errors(custom(metadata={"a": "é" * 2_050})) == [("custom_data.metadata", "metadata_too_large")]


def test_every_field_at_fault_is_named_at_once() -> None:
    body = {"event_name": "sale", "event_id": "", "user_data": {"click_id": "", "clickid": "x"}, "evnt": 1}
    assert sorted(errors(body)) == [
        ("event_id", "field_length"),
        ("evnt", "field_unknown"),
        ("user_data.click_id", "field_length"),
        ("user_data.clickid", "field_unknown"),
    ]


def test_a_name_that_could_be_no_field_is_not_told_back() -> None:
    assert errors({**SALE, "<script>": 1}) == [("?", "field_unknown")]
    assert errors(custom(**{"a b": 1})) == [("custom_data.?", "field_unknown")]


@pytest.mark.parametrize("text", [" e", "E-1", "é", "\u2028", "e" * 255, "\U0001f600" * 255])
def test_ids_are_kept_untrimmed_and_in_their_case(text: str) -> None:
    assert read({**SALE, "event_id": text}).event_id == text


def test_an_id_has_255_characters_at_most() -> None:
    assert errors({**SALE, "event_id": "e" * 256}) == [("event_id", "field_length")]
    assert errors({**SALE, "user_data": {"click_id": "c" * 513}}) == [("user_data.click_id", "field_length")]


@pytest.mark.parametrize(
    ("event_time", "instant_ms"),
    [
        (1_795_391_000, 1_795_391_000_000),
        ("2026-11-23T00:00:00.123Z", NOW_MS + 123),
        (NOW_MS // 1000 + 300, NOW_MS + 300_000),
        (946_684_800, 946_684_800_000),
    ],
)
def test_a_time_is_seconds_or_rfc_3339_up_to_300_s_ahead(event_time: object, instant_ms: int) -> None:
    assert read({**SALE, "event_time": event_time}).event_time_ms == instant_ms


@pytest.mark.parametrize(
    ("event_time", "code"),
    [
        (NOW_MS // 1000 + 301, "event_time_in_future"),
        (NOW_MS, "event_time_in_future"),
        (10**40, "event_time_in_future"),
        (946_684_799, "event_time_too_old"),
        (-(10**40), "event_time_too_old"),
        (1.5, "event_time_malformed"),
        ("1795391000", "event_time_malformed"),
        ("2026-11-23T00:00:00", "event_time_malformed"),
        (True, "field_type"),
        ([], "field_type"),
    ],
)
def test_any_other_time_is_refused(event_time: object, code: str) -> None:
    assert errors({**SALE, "event_time": event_time}) == [("event_time", code)]


@pytest.mark.parametrize(
    ("value", "currency", "error"),
    [
        ("1.234", "USD", ("value", "value_precision")),
        ("-1", "USD", ("value", "value_negative")),
        ("1e2", "USD", ("value", "value_malformed")),
        ("1000000000000000.01", "USD", ("value", "value_too_large")),
        ("1", None, ("currency", "currency_missing")),
        ("1", "XYZ", ("currency", "currency_unknown")),
        (None, "USD", ("value", "field_missing")),
        (True, "USD", ("value", "field_type")),
        ({}, "USD", ("value", "field_type")),
    ],
)
def test_an_amount_is_refused_by_its_text(value: object, currency: object, error: tuple[str, str]) -> None:
    field, code = error
    assert errors(custom(value=value, currency=currency)) == [(f"custom_data.{field}", code)]


@pytest.mark.parametrize(
    ("quantity", "code"),
    [(0, "field_length"), (2**31, "field_length"), (1.0, "field_type"), ("1", "field_type"), (True, "field_type")],
)
def test_a_quantity_is_a_positive_32_bit_integer(quantity: object, code: str) -> None:
    assert errors(custom(quantity=quantity)) == [("custom_data.quantity", code)]
    assert read(custom(quantity=2**31 - 1)).quantity == 2**31 - 1


@pytest.mark.parametrize("name", ["refund", "cancellation", "reversal"])
def test_a_follow_on_names_an_order_or_an_event(name: str) -> None:
    assert errors({"event_name": name, "event_id": "r"}) == [("custom_data.related_event_id", "related_missing")]
    for field in ("related_order_id", "related_event_id"):
        assert read({"event_name": name, "event_id": "r", "custom_data": {field: "x"}}).event_name == name


def test_an_event_has_one_of_five_names() -> None:
    assert errors({**SALE, "event_name": "Sale"}) == [("event_name", "field_type")]
    assert errors({**SALE, "event_name": 1}) == [("event_name", "field_type")]


FIELDS = ["event_name", "event_id", "event_time", "user_data", "custom_data", "click_id", "external_id", "value"]
FIELDS += ["currency", "order_id", "quantity", "related_order_id", "related_event_id", "metadata", "x"]
WORDS = [*sorted(EVENT_NAMES), "USD", "1.00", "2026-11-23T00:00:00Z"]
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS)
    | st.text(st.characters(codec="utf-8"), max_size=8)
)
fields = st.sampled_from(FIELDS)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=8),
    max_leaves=20,
)
nearly_right = st.fixed_dictionaries(
    {"event_name": st.sampled_from(sorted(EVENT_NAMES)), "event_id": st.just("e")},
    optional={
        "event_time": leaves,
        "user_data": st.dictionaries(fields, leaves),
        "custom_data": st.dictionaries(fields, leaves | anything),
    },
)


@given(anything | nearly_right)
def test_no_input_raises_anything_but_refused(body: object) -> None:
    told: Claim | Refused
    try:
        told = read_claim(jsontext.parse(json.dumps(body).encode()), NOW_MS)
    except Refused as refused:
        told = refused
    if isinstance(told, Refused):
        assert told.code == "json_malformed" or (told.code == "validation_failed" and told.errors)
        assert all(error.code in FIELD_CODES for error in told.errors)
    else:
        assert told.event_name in EVENT_NAMES
        assert told.event_id
        assert (told.value_minor is None) == (told.currency is None)
