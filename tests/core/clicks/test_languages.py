"""The language that a browser asks for first."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.core.clicks.languages import HEADER_BYTES_MAX, RANGES_MAX, first_language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (b"de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "de"),
        (b"en", "en"),
        (b"EN-us", "en"),
        (b"zh-Hant-TW, zh;q=0.5", "zh"),
        (b"fil-PH", "fil"),
        (b"en;q=0.5, fr;q=0.9, it;q=0.9", "fr"),
        (b"da, en-gb;q=0.8, en;q=0.7", "da"),
        (b"*, pl;q=0.5", "pl"),
        (b"en;q=0, sv;q=0.001", "sv"),
        (b"en ; q=0.2 ,\tnl", "nl"),
        (b",, ,es", "es"),
        (b"sl-rozaj-biske-1994", "sl"),
    ],
)
def test_the_heaviest_language_is_the_first_of_equals(header: bytes, language: str) -> None:
    assert first_language(header) == language


@pytest.mark.parametrize(
    "header",
    [
        b"", b"*", b"en;q=0", b"en;q=0.000", b"en;q=2", b"en;q=0.1234", b"en;q=-1", b"en;q=nan", b"en;q=",
        b"en;level=1", b"i-klingon", b"x-private", b"english", b"e", b"en_US", b"en-", b"e\0n", b"\xff\xfe",
        "ßß".encode(), b"d e", b"12",
    ],
)  # fmt: skip
def test_what_names_no_acceptable_language_names_none(header: bytes) -> None:
    assert first_language(header) == ""


def test_a_range_that_the_bound_cuts_is_not_read() -> None:
    long = b"x-" + b"a" * (HEADER_BYTES_MAX - 5) + b","
    assert first_language(long + b"de") == "de"
    assert first_language(long + b"deu") == ""
    assert first_language(b"a" * 1_000_000) == ""


def test_only_the_first_ranges_are_read() -> None:
    assert first_language(b"*," * (RANGES_MAX - 1) + b"de,fr") == "de"
    assert first_language(b"*," * RANGES_MAX + b"de") == ""


@given(st.binary(max_size=2_000) | st.text(alphabet="deEN-;q=0.91, *\t\0", max_size=700).map(str.encode))
def test_no_header_makes_it_fail(header: bytes) -> None:
    assert re.fullmatch(r"([a-z]{2,3})?", first_language(header))
