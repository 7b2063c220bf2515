"""JSON read strictly and without loss."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.base.errors import Refused
from nimriz.base.jsontext import DEPTH_MAX, Number, parse, write


def code(raw: bytes) -> str:
    """The code with which a text is refused."""
    with pytest.raises(Refused) as refused:
        parse(raw)
    return refused.value.code


@pytest.mark.parametrize("text", ["5000.0", "1e2", "-0", "0.1", "129.90", "1" * 400, "1E+400"])
def test_a_number_keeps_the_text_in_which_it_was_written(text: str) -> None:
    value = parse(text.encode())
    assert isinstance(value, Number)
    assert value.text == text
    assert write(value) == text


def test_numbers_that_mean_the_same_are_equal() -> None:
    assert parse(b"1.0") == parse(b"1e0") == parse(b"1")
    assert parse(b"1") != parse(b"1.01")
    assert parse(b"1e99999999999999999999") != parse(b"1e99999999999999999998")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{} {}",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b'{"a": NaN}',
        b"01",
        b"+1",
        b".5",
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b'"\\u0000"',
        b'"\x00"',
        b'"\n"',
        '{"a": 1}'.encode("utf-16"),
    ],
)
def test_what_is_not_json_is_malformed(raw: bytes) -> None:
    assert code(raw) == "json_malformed"


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize(
    "raw", [b'{"a": 1, "a": 1}', b'{"b": [{"a": 1, "\\u0061": 2}]}', b'{"metadata": {"": 1, "": 2}}']
)
def test_a_key_stands_once_in_an_object(raw: bytes) -> None:
    assert code(raw) == "json_duplicate_key"


def test_the_same_key_may_stand_in_two_objects() -> None:
    assert parse(b'[{"a": "x"}, {"a": "x"}]') == [{"a": "x"}, {"a": "x"}]


def test_a_text_that_is_malformed_too_is_malformed_first() -> None:
    assert code(b'{"a": 1, "a": 1') == "json_malformed"
    assert code(b'{"a": 1, "a": "\\ud800"}') == "json_malformed"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_32_levels_are_read_and_33_refused(opening: bytes, closing: bytes) -> None:
    parse(opening * DEPTH_MAX + b"1" + closing * DEPTH_MAX)
    assert code(opening * (DEPTH_MAX + 1) + b"1" + closing * (DEPTH_MAX + 1)) == "json_malformed"
    assert code(opening * 50_000) == "json_malformed"
    assert code(opening * 30_000 + b"1" + closing * 30_000) == "json_malformed"


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert parse(b"[" + b"[]," * 500 + b"[]]") == [[]] * 501
    assert parse(b'"' + b"[" * 100 + b'"') == "[" * 100


@given(st.binary())
def test_no_bytes_raise_anything_but_refused(raw: bytes) -> None:
    with contextlib.suppress(Refused):
        parse(raw)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_what_is_written_is_read_back_unchanged(value: object) -> None:
    text = json.dumps(value, default=str, ensure_ascii=False)
    once = parse(text.encode())
    assert parse(write(once).encode()) == once
    assert json.loads(write(once), parse_float=Decimal) == json.loads(text, parse_float=Decimal)
