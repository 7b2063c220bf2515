"""Instants: RFC 3339 read strictly, written in one way, and a clock that can be shifted."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.base.clock import Clock, from_rfc3339, to_rfc3339

# 0001-01-01 to 9999-12-31.
calendar_ms = st.integers(-62_135_596_800_000, 253_402_300_799_999)


@given(calendar_ms)
def test_what_is_written_is_read_back(instant_ms: int) -> None:
    assert from_rfc3339(to_rfc3339(instant_ms)) == instant_ms


@given(calendar_ms)
def test_an_instant_is_written_as_the_calendar_says(instant_ms: int) -> None:
    known = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant_ms)
    assert to_rfc3339(instant_ms) == known.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


@given(st.datetimes(), st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_an_offset_is_taken_away(local: datetime, minutes: int) -> None:
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    text = f"{local.isoformat(timespec='milliseconds')}{sign}{hours:02d}:{rest:02d}"
    utc_ms = (local - datetime(1970, 1, 1)) // timedelta(milliseconds=1)  # noqa: DTZ001 - offsets are what is tested
    assert from_rfc3339(text) == utc_ms - minutes * 60_000


@pytest.mark.parametrize(
    ("text", "instant_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01 00:00:00+00:00", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1970-01-01T00:00:00.1Z", 100),
        ("1970-01-01T00:00:00.001999999Z", 1),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2024-02-29T12:00:00+05:45", 1_709_187_300_000),
        ("0001-01-01T00:00:00+23:59", -62_135_596_800_000 - (23 * 60 + 59) * 60_000),
    ],
)
def test_every_form_that_rfc_3339_allows_is_read(text: str, instant_ms: int) -> None:
    assert from_rfc3339(text) == instant_ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23",
        "2026-11-23T10:00:00",
        "2026-11-23T10:00Z",
        "2026-11-23T10:00:60Z",
        "2026-11-23T24:00:00Z",
        "2026-02-29T10:00:00Z",
        "2026-13-01T10:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-11-23T10:00:00.Z",
        "2026-11-23T10:00:00.1234567890Z",
        "2026-11-23T10:00:00+24:00",
        "2026-11-23T10:00:00+01:60",
        "2026-11-23T10:00:00+0100",
        "2026-11-23T10:00:00Z\n",
        " 2026-11-23T10:00:00Z",
        "2026-11-23T10:00:0\u0660Z",
        "+2026-11-23T10:00:00Z",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_rfc3339(text)


@given(st.text())
def test_no_text_raises_anything_but_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        from_rfc3339(text)


def test_the_clock_is_the_machines_moved_by_its_offset() -> None:
    before_ms = time.time_ns() // 1_000_000
    assert before_ms <= Clock().now_ms() <= before_ms + 60_000
    assert before_ms + 86_400_000 <= Clock(86_400).now_ms() <= before_ms + 86_460_000
    assert Clock(-86_400).now_ms() < before_ms
