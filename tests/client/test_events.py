"""An event is built right, or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.base import jsontext
from nimriz.client import lead, refund, sale
from nimriz.client.events import encode


def test_a_sale_is_written_as_the_contract_says() -> None:
    event = sale(
        "s-1",
        click_id="nimct_x",
        external_id="c-1",
        event_time=datetime(2026, 11, 23, 10, 0, 0, 123_000, UTC),
        value=Decimal("129.90"),
        currency="USD",
        order_id="1001",
        quantity=2,
    )
    assert json.loads(encode(event)) == {
        "event_name": "sale",
        "event_id": "s-1",
        "event_time": "2026-11-23T10:00:00.123+00:00",
        "user_data": {"click_id": "nimct_x", "external_id": "c-1"},
        "custom_data": {"value": "129.90", "currency": "USD", "order_id": "1001", "quantity": 2},
    }


@given(st.decimals(min_value=0, max_value=10**15, allow_nan=False, allow_infinity=False))
def test_a_decimal_is_written_in_plain_digits_and_means_the_same(value: Decimal) -> None:
    written = sale("s", value=value, currency="USD")["custom_data"]["value"]
    assert set(written) <= set("-0123456789.")
    assert Decimal(written) == value


@given(st.text(max_size=50), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_what_is_encoded_is_one_text_of_the_same_meaning_or_is_refused(name: str, value: Any) -> None:
    event = lead("e", metadata={name: value})
    try:
        raw = encode(event)
    except ValueError:
        return
    assert json.loads(raw) == event
    if "\\u0000" not in raw.decode():
        assert jsontext.parse(raw) is not None


def test_money_is_never_a_float() -> None:
    with pytest.raises(TypeError):
        sale("s", value=129.9, currency="USD")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda: refund("r"),
        lambda: sale("s", value="1.00"),
        lambda: sale("s", currency="USD"),
        lambda: lead("l", event_time=datetime(2026, 1, 1)),  # noqa: DTZ001 - that is the point
        lambda: encode(lead("")),
        lambda: encode(lead("x" * 256)),
        lambda: encode({"event_name": "lead"}),
        lambda: encode(lead("l", metadata={"x": float("nan")})),
        lambda: encode(lead("l", metadata={"x": "\ud800"})),
        lambda: encode(lead("l", metadata={"x": "x" * 65_536})),
    ],
)
def test_what_no_server_would_take_is_refused_where_it_is_made(make: Any) -> None:
    with pytest.raises(ValueError):
        make()


def test_the_client_loads_nothing_of_the_server() -> None:
    listed = "import nimriz.client, nimriz.client.landing, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True).stdout.split()
    own = {name for name in loaded if name.startswith("nimriz.")}
    assert "nimriz.client" in own
    assert [name for name in own if not name.startswith(("nimriz.base", "nimriz.client"))] == []
    assert set(loaded) & {"apsw", "duckdb", "fastapi", "granian", "starlette", "pydantic"} == set()
