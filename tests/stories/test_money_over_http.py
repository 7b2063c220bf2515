"""The money vectors, as sales on the wire: the amount is read by its text, in a string or as a JSON number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nimriz.base.money import CURRENCIES, to_decimal
from tests.world import Workspace

Case = dict[str, Any]
CASES: list[Case] = json.loads((Path(__file__).parents[1] / "vectors" / "money.json").read_text("utf-8"))["cases"]


def number(value: str, minor: int | None, code: str | None = None, currency: str = "USD") -> Case:
    return {"value": value, "json_number": True, "currency": currency, "minor": minor, "code": code}


# What the contract says of numbers and the vectors do not ask.
NUMBERS = [
    number("1e20", None, "value_too_large"),
    number("1e21", None, "value_malformed"),
    number("0e-21", None, "value_malformed"),
    number("1e-2", 1),
    number("100e-4", 1),
    number("1.50E+1", 1500),
    number("-1", None, "value_negative"),
    number("-0", None, "value_negative"),
    number("-0.0", None, "value_negative"),
    number("1000000000000000", 10**17),
    number("1000000000000000.01", None, "value_too_large"),
    number("0." + "0" * 38, 0),
    number("0." + "0" * 39, None, "value_malformed"),
    number("1" * 41, None, "value_malformed"),
    number("1" * 4_000, None, "value_malformed"),
    number("0.001", None, "value_precision"),
    number("5000.0", 5000, currency="JPY"),
    number("1.2340", 1234, currency="KWD"),
    number("0.0001", 1, currency="clf"),
    number("1e9999999999", None, "value_malformed"),
]


def identify(case: Case) -> str:
    return f"{case['value'][:24]!r} {case['currency']}{' number' if case['json_number'] else ''}"


@pytest.mark.parametrize("case", [*CASES, *NUMBERS], ids=identify)
def test_an_amount_is_recorded_exactly_or_refused_by_its_code(shop: Workspace, case: Case) -> None:
    value = case["value"] if case["json_number"] else json.dumps(case["value"])
    body = (
        f'{{"event_name":"sale","event_id":{json.dumps(identify(case))},'
        f'"custom_data":{{"value":{value},"currency":{json.dumps(case["currency"])}}}}}'
    )
    response = shop.post_raw(body.encode())
    answer = response.json()
    if case["code"] is None:
        assert response.status_code == 201, answer
        currency = case["currency"].upper()
        assert answer["event"]["value_minor"] == case["minor"]
        assert answer["event"]["currency"] == currency
        assert answer["event"]["value"] == to_decimal(case["minor"], currency)
    else:
        assert response.status_code == 422, answer
        assert answer["code"] == "validation_failed"
        assert [error["code"] for error in answer["errors"]] == [case["code"]]
        assert answer["errors"][0]["field"].startswith("custom_data.")


def test_every_currency_has_its_own_number_of_digits_and_takes_not_one_more(shop: Workspace) -> None:
    events = []
    for code, digits in CURRENCIES.items():
        for more in (0, 1):
            places = digits + more
            value = "1" if not places else "1." + "1" * places
            money = {"value": value, "currency": code.lower()}
            events.append({"event_name": "sale", "event_id": f"{code}{more}", "custom_data": money})
    results = shop.post({"events": events}, path="/batch").json()["results"]
    for result, (code, digits) in zip(results[::2], CURRENCIES.items(), strict=True):
        assert result["http_status"] == 201, code
        assert result["event"]["value_minor"] == int("1" * (digits + 1)), code
        assert result["event"]["currency"] == code
    assert {r["errors"][0]["code"] for r in results[1::2]} == {"value_precision"}


@pytest.mark.parametrize(
    "code", ["XAU", "XDR", "XTS", "XXX", "DEM", "usd ", "US", "USDT", "ſek", "uſd", "ılS", "US\u212a"]
)
def test_what_is_no_active_currency_with_a_minor_unit_is_unknown(shop: Workspace, code: str) -> None:
    response = shop.post({"event_name": "sale", "event_id": "x", "custom_data": {"value": "1", "currency": code}})
    assert response.status_code == 422
    assert [(e["field"], e["code"]) for e in response.json()["errors"]] == [
        ("custom_data.currency", "currency_unknown")
    ]
