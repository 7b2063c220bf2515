"""Amounts are read by their text, exactly, or refused with a stable code."""

import json
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.base.money import AMOUNT_MINOR_MAX, CURRENCIES, AmountRefused, currency_code, to_decimal, to_minor

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "money.json").read_text("utf-8"))

currencies = st.sampled_from(sorted(CURRENCIES))
amounts = st.integers(0, AMOUNT_MINOR_MAX)

# An upgrade of the table that drops or rescales a currency would make stored amounts unreadable or wrong.
SCALED = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
CENTS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW "
    "CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK "
    "MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP "
    "SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG "
    "YER ZAR ZMW ZWG"
)


CODES = {
    "value_malformed",
    "value_negative",
    "value_precision",
    "value_too_large",
    "currency_missing",
    "currency_unknown",
}


def outcome(text: str, currency: str, *, json_number: bool) -> int | str:
    try:
        return to_minor(text, currency, json_number=json_number)
    except AmountRefused as refused:
        return refused.code


def refusal(text: str, currency: str, *, json_number: bool = False) -> tuple[str, str]:
    with pytest.raises(AmountRefused) as caught:
        to_minor(text, currency, json_number=json_number)
    return caught.value.field, caught.value.code


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: f"{case['value']}-{case['currency']}")
def test_the_vector_gives_its_minor_units_or_its_code(case: dict[str, Any]) -> None:
    got = outcome(case["value"], case["currency"], json_number=case["json_number"])
    assert got == (case["minor"] if case["code"] is None else case["code"])


def test_the_table_of_currencies_keeps_every_code_and_every_exponent() -> None:
    expected = {code: exponent for exponent, codes in SCALED.items() for code in codes.split()}
    expected |= dict.fromkeys(CENTS.split(), 2)
    missing_or_rescaled = {code: unit for code, unit in expected.items() if CURRENCIES.get(code) != unit}
    assert missing_or_rescaled == {}


def test_metals_test_codes_and_drawing_rights_are_no_currencies() -> None:
    assert {"XAU", "XTS", "XXX", "XDR", "", None}.isdisjoint(set(CURRENCIES))


@pytest.mark.parametrize(
    "text", ["u\u017fd", "\u0131nr", "usd ", " USD", "US", "USDT", "840", "\uff35\uff33\uff24", "xau", "\ud800"]
)
def test_a_text_that_only_resembles_a_code_is_unknown(text: str) -> None:
    with pytest.raises(AmountRefused, match="currency_unknown"):
        currency_code(text)


@given(currencies, st.lists(st.booleans(), min_size=3, max_size=3))
def test_a_code_is_known_in_any_ascii_case(code: str, lower: list[bool]) -> None:
    spelled = "".join(c.lower() if small else c for c, small in zip(code, lower, strict=True))
    assert currency_code(spelled) == code


@given(amounts, currencies, st.booleans())
def test_what_is_written_is_read_back(minor: int, currency: str, json_number: bool) -> None:
    assert to_minor(to_decimal(minor, currency), currency, json_number=json_number) == minor


@given(st.integers(-(10**30), 10**30), currencies)
def test_a_total_of_any_size_and_sign_is_written_exactly(minor: int, currency: str) -> None:
    assert Fraction(to_decimal(minor, currency)) == Fraction(minor, 10 ** CURRENCIES[currency])


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (12990, "USD", "129.90"),
        (5000, "JPY", "5000"),
        (-5, "USD", "-0.05"),
        (0, "KWD", "0.000"),
        (2**63, None, "9223372036854775808"),
        (93 * AMOUNT_MINOR_MAX, "USD", "93000000000000000.00"),
        (-7, "jpy", "-7"),
    ],
)
def test_minor_units_are_written_with_exactly_the_digits_of_their_currency(
    minor: int, currency: str | None, text: str
) -> None:
    assert to_decimal(minor, currency) == text


def test_an_amount_in_an_unknown_currency_is_refused_rather_than_scaled_wrongly() -> None:
    with pytest.raises(AmountRefused, match="currency_unknown"):
        to_decimal(1, "XXQ")


@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    currencies,
)
def test_a_json_number_means_what_its_exact_decimal_means(text: str, currency: str) -> None:
    """Decimal, with digits to spare, as the oracle for amounts and for each reason."""
    power = int(text.lower().partition("e")[2] or 0)
    with localcontext(prec=200):
        exact = Decimal(text).scaleb(CURRENCIES[currency])
        fractional = exact != exact.to_integral_value()
    reasons = {
        "value_malformed": abs(power) > 20 or len(text) > 40,
        "value_negative": text.startswith("-"),
        "value_precision": fractional,
        "value_too_large": exact > AMOUNT_MINOR_MAX,
    }
    expected = next((code for code, holds in reasons.items() if holds), exact)
    assert outcome(text, currency, json_number=True) == expected


@given(st.text() | st.text("0123456789.-+eE ", max_size=45), st.text(max_size=4) | currencies, st.booleans())
def test_any_text_gives_an_amount_within_bounds_or_one_refusal(text: str, currency: str, json_number: bool) -> None:
    got = outcome(text, currency, json_number=json_number)
    assert got in CODES if isinstance(got, str) else 0 <= got <= AMOUNT_MINOR_MAX


@pytest.mark.parametrize(
    "text",
    ["", ".", "1.", ".5", "+1", "1_0", "0x1", "1e2", "1E-2", "1 ", "1\n", "-", "--1", "- 1", "-x", "\u0661", "\uff11",
     "Infinity", "1" * 19, "0." + "1" * 19, "-" + "1" * 19, "-1e2", "9" * 100_000],
)  # fmt: skip
def test_a_string_of_another_shape_is_malformed(text: str) -> None:
    assert refusal(text, "USD") == ("value", "value_malformed")


@pytest.mark.parametrize("text", ["01", "1e21", "1e-21", "1e999999999", "0e21", "1e", "1" * 41, "1.", "-1e21", "1e2\n"])
def test_a_number_outside_the_grammar_or_its_bounds_is_malformed(text: str) -> None:
    assert refusal(text, "USD", json_number=True) == ("value", "value_malformed")


@pytest.mark.parametrize("text", ["-0", "-0.0", "-1", "-0e0", "-12345678901234567890"])
def test_a_minus_sign_makes_a_number_negative_even_before_zero(text: str) -> None:
    assert refusal(text, "USD", json_number=True) == ("value", "value_negative")


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("1e15", "USD", AMOUNT_MINOR_MAX),
        ("1.50e1", "JPY", 15),
        ("100e-2", "JPY", 1),
        ("0e20", "USD", 0),
        ("0.000e-20", "JPY", 0),
        ("1e+02", "USD", 10000),
        ("1" + "0" * 17, "JPY", AMOUNT_MINOR_MAX),
        ("1000000000000000." + "0" * 23, "USD", AMOUNT_MINOR_MAX),
    ],
)
def test_a_number_may_move_its_point_without_losing_a_digit(text: str, currency: str, minor: int) -> None:
    assert to_minor(text, currency, json_number=True) == minor


@pytest.mark.parametrize("text", ["1e20", "1" * 40, "1000000000000000.01"])
def test_one_unit_above_the_largest_amount_is_too_large(text: str) -> None:
    assert refusal(text, "USD", json_number=True) == ("value", "value_too_large")


def test_the_shape_is_judged_before_the_currency_and_the_currency_before_the_precision() -> None:
    assert refusal("x", "")[1] == "value_malformed"
    assert refusal("-1", "")[1] == "value_negative"
    assert refusal("1.23456", "") == ("currency", "currency_missing")
    assert refusal("999999999999999999.001", "USD")[1] == "value_precision"


def test_a_refusal_never_repeats_the_callers_text() -> None:
    with pytest.raises(AmountRefused) as caught:
        to_minor("secret-4711", "USD")
    assert "4711" not in str(caught.value)
