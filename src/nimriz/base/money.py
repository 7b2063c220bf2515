"""Money as exact integers: decimal text to ISO 4217 minor units, and back.

Owns the table of currencies and the two conversions. Promises that an amount is read by its text and
never passes through a float, that every bound is checked before any arithmetic, and that what one function
writes the other reads back. Refusals carry a field and a stable code and never the caller's text.

Rules: ISO 4217 (codes and minor units), RFC 8259 section 6 (the grammar of JSON numbers), and the wire
contract's rows `custom_data.value` and `custom_data.currency`.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import iso4217

AMOUNT_MINOR_MAX = 10**17
"""The largest amount of one event, in minor units of its currency."""

JSON_NUMBER_CHARS_MAX = 40
JSON_EXPONENT_MAX = 20

AmountField = Literal["value", "currency"]


class AmountRefused(ValueError):
    """An amount or its currency cannot be taken.

    `field` is 'value' or 'currency'. `code` is `value_precision`, `value_negative`, `value_malformed`,
    `value_too_large`, `currency_unknown` or `currency_missing`.
    """

    def __init__(self, field: AmountField, code: str) -> None:
        super().__init__(f"{field}: {code}")
        self.field: AmountField = field
        self.code = code


def _active_currencies() -> dict[str, int]:
    # The table also lists places without a currency of their own (no unit) and metals, test codes and drawing
    # rights, whose unit is "N.A.": an amount in those cannot be counted in minor units, so they are unknown.
    units = {code: row["CcyMnrUnts"] for code, row in iso4217.raw_table.items()}
    return {code: int(unit) for code, unit in units.items() if isinstance(unit, str) and unit.isdecimal()}


_EXPONENTS = _active_currencies()

CURRENCIES: Mapping[str, int] = MappingProxyType(_EXPONENTS)
"""Upper-case code -> decimal digits of the minor unit, for every active ISO 4217 currency and fund."""

# The usual amount: a string by the contract's own pattern, or a JSON number that would pass it too.
_match_string = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?").fullmatch
_match_plain_number = re.compile(r"(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?").fullmatch
_match_number = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?").fullmatch


def currency_code(text: str) -> str:
    """The upper-case ISO 4217 code that `text` names, in any ASCII case; nothing is trimmed.

    Raises AmountRefused: `currency_missing` for the empty text, `currency_unknown` for all else that is no
    active currency or fund with a minor unit.
    """
    if text in _EXPONENTS:
        return text
    if not text:
        raise AmountRefused("currency", "currency_missing")
    # Ask for ASCII before changing case: the long s and the dotless i have the capitals S and I, so that some
    # texts that are not 'usd' would pass for it.
    code = text.upper() if text.isascii() else ""
    if code not in _EXPONENTS:
        raise AmountRefused("currency", "currency_unknown")
    return code


def to_minor(text: str, currency: str, *, json_number: bool = False) -> int:
    """The amount `text` in minor units of `currency`: 0 to AMOUNT_MINOR_MAX.

    `text` is the exact text of a JSON string, or with `json_number` of a JSON number. Strings are
    `[0-9]{1,18}(\\.[0-9]{1,18})?`; numbers have at most 40 characters and an exponent within ±20. Trailing
    zeros in the fraction do not count against the currency's precision ('5000.0' is 5000 JPY).

    Raises AmountRefused with the first that holds of `value_malformed`, `value_negative` (well-formed but for
    its minus sign, '-0' too), `currency_missing`, `currency_unknown`, `value_precision`, `value_too_large`.
    """
    if (_match_plain_number(text) if json_number else _match_string(text)) is not None:
        whole, _, fraction = text.partition(".")
    else:
        whole, fraction = _unusual(text, json_number)
    exponent = _EXPONENTS.get(currency)
    if exponent is None:
        exponent = _EXPONENTS[currency_code(currency)]
    if len(fraction) > exponent:
        fraction = fraction.rstrip("0")
        if len(fraction) > exponent:
            raise AmountRefused("value", "value_precision")
    # At most 60 digits here, whatever was sent: the text is bounded and so is its exponent.
    minor = int(whole + fraction.ljust(exponent, "0"))
    if minor > AMOUNT_MINOR_MAX:
        raise AmountRefused("value", "value_too_large")
    return minor


def _unusual(text: str, json_number: bool) -> tuple[str, str]:
    """Whole and fraction digits of a JSON number that is long or has an exponent; refuses everything else."""
    unsigned = text.removeprefix("-")
    if json_number:
        digits = _number_digits(unsigned) if len(text) <= JSON_NUMBER_CHARS_MAX else None
    else:
        digits = ("", "") if _match_string(unsigned) else None
    if digits is None:
        raise AmountRefused("value", "value_malformed")
    if text.startswith("-"):
        raise AmountRefused("value", "value_negative")
    return digits


def _number_digits(unsigned: str) -> tuple[str, str] | None:
    match = _match_number(unsigned)
    if match is None:
        return None
    whole, fraction, power_text = match.group(1), match.group(2) or "", match.group(3)
    power = int(power_text) if power_text else 0
    if abs(power) > JSON_EXPONENT_MAX:
        return None
    # Move the decimal point through the text: exact, and no larger than the bounds above allow.
    if power >= 0:
        fraction = fraction.ljust(power, "0")
        return whole + fraction[:power], fraction[power:]
    whole = whole.rjust(1 - power, "0")
    return whole[:power], whole[power:] + fraction


def to_decimal(minor: int, currency: str | None) -> str:
    """`minor` units as a decimal with exactly the currency's digits: 12990 USD is '129.90', 5000 JPY '5000'.

    Exact for integers of any size and sign (sums pass 2**63, a net may be negative). Without a currency the
    integer itself. Raises AmountRefused `currency_unknown`: a wrong scale would be worse than no number.
    """
    if currency is None:
        return str(minor)
    exponent = _EXPONENTS[currency_code(currency)]
    if exponent == 0:
        return str(minor)
    digits = str(abs(minor)).rjust(exponent + 1, "0")
    sign = "-" if minor < 0 else ""
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"
