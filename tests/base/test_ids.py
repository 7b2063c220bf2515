"""Ids: UUIDv7 that sort by their millisecond, and slugs that can be read out."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.base import ids

instants = st.integers(0, 2**48 - 1)


@given(instants)
def test_an_id_is_a_version_7_uuid_of_its_millisecond(now_ms: int) -> None:
    raw = ids.uuid7_bytes(now_ms)
    known = uuid.UUID(bytes=raw)
    assert (known.version, known.variant) == (7, uuid.RFC_4122)
    assert int.from_bytes(raw[:6], "big") == now_ms


@given(instants, instants)
def test_ids_sort_by_the_millisecond_as_bytes_and_as_text(first_ms: int, second_ms: int) -> None:
    first, second = ids.uuid7_bytes(first_ms), ids.uuid7_bytes(second_ms)
    if first_ms != second_ms:
        assert (first < second) == (first_ms < second_ms) == (ids.to_text(first) < ids.to_text(second))


@given(st.binary(min_size=16, max_size=16))
def test_text_and_bytes_are_the_same_id(raw: bytes) -> None:
    text = ids.to_text(raw)
    assert ids.to_bytes(text) == raw
    assert text == str(uuid.UUID(bytes=raw))
    assert ids.is_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "01900000-0000-7000-8000-00000000000",
        "01900000-0000-7000-8000-0000000000AA",
        "0190000000007000800000000000000a",
        "{01900000-0000-7000-8000-00000000000a}",
        "01900000-0000-7000-8000-00000000000a\n",
        "01900000-0000-7000-8000-00000000000\u0661",
    ],
)
def test_any_other_spelling_is_no_id(text: str) -> None:
    assert not ids.is_id(text)
    with pytest.raises(ValueError):
        ids.to_bytes(text)


def test_ids_of_one_millisecond_differ() -> None:
    assert len({ids.new_id(1) for _ in range(10_000)}) == 10_000


def test_a_slug_has_seven_characters_without_look_alikes() -> None:
    slugs = [ids.new_slug() for _ in range(2_000)]
    assert {len(slug) for slug in slugs} == {ids.SLUG_GENERATED_CHARS}
    assert not set("".join(slugs)) & set("0O1lI")
    assert len(set(slugs)) == len(slugs)


def test_a_reference_says_what_it_is_and_is_unique() -> None:
    references = {ids.new_reference() for _ in range(1_000)}
    assert len(references) == 1_000
    assert all(reference.startswith("req_") and len(reference) == 28 for reference in references)
