"""Days, weeks, months and hours of a time zone, as arithmetic on milliseconds that any engine does alike.

Within a period a zone has few offsets from UTC. A local instant is the instant with the offset of its step added; the
start of its day is that without the rest by a day's length. So a day with 23 or 25 hours is one day.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from nimriz.base.clock import DAY_MS

Unit = Literal["hour", "day", "week", "month"]
UNITS: tuple[Unit, ...] = ("hour", "day", "week", "month")
_HOUR_MS, _WEEK_MS = 3_600_000, 7 * DAY_MS
_MONDAY_MS = 4 * DAY_MS
"""1970-01-05 was the first Monday."""
_SECOND_MS = 1_000


class Step(NamedTuple):
    """Up to `until_ms`, excluded, local time is `offset_ms` ahead of UTC."""

    until_ms: int
    offset_ms: int


@lru_cache(maxsize=64)
def steps(zone: ZoneInfo, from_ms: int, to_ms: int) -> tuple[Step, ...]:
    """The offsets of a zone in [from_ms, to_ms), one step after the other; at least one."""
    found: list[Step] = []
    at_ms = from_ms
    while at_ms < to_ms:
        next_ms = min(at_ms + DAY_MS, to_ms)
        if _offset(zone, next_ms) != _offset(zone, at_ms):
            change_ms = _change(zone, at_ms, next_ms)
            found.append(Step(change_ms, _offset(zone, at_ms)))
            at_ms = change_ms
        else:
            at_ms = next_ms
    return (*found, Step(max(to_ms, from_ms), _offset(zone, max(to_ms - 1, from_ms))))


def _change(zone: ZoneInfo, low_ms: int, high_ms: int) -> int:
    """The first instant with another offset than `low_ms` has; it is a whole second."""
    before = _offset(zone, low_ms)
    while high_ms - low_ms > _SECOND_MS:
        middle_ms = (low_ms + high_ms) // 2 // _SECOND_MS * _SECOND_MS
        if middle_ms <= low_ms:
            break
        low_ms, high_ms = (middle_ms, high_ms) if _offset(zone, middle_ms) == before else (low_ms, middle_ms)
    return high_ms


def _offset(zone: ZoneInfo, instant_ms: int) -> int:
    offset = datetime.fromtimestamp(instant_ms // 1000, zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds()) * 1000


def local(instant: str, all_steps: tuple[Step, ...]) -> str:
    """SQL: the local instant of an expression."""
    *first, last = all_steps
    if not first:
        return f"({instant} + {last.offset_ms:d})"
    cases = " ".join(f"when {instant} < {step.until_ms:d} then {step.offset_ms:d}" for step in first)
    return f"({instant} + case {cases} else {last.offset_ms:d} end)"


def start(instant: str, unit: Unit, zone: ZoneInfo, from_ms: int, to_ms: int) -> str:
    """SQL: where the unit begins in which an instant of [from_ms, to_ms) lies; see `label`."""
    all_steps = steps(zone, from_ms, to_ms)
    here = local(instant, all_steps)
    if unit == "hour":
        # As an instant: an hour that is put back twice is two hours.
        return f"({instant} - {here} % {_HOUR_MS})"
    if unit == "day":
        return f"({here} - {here} % {DAY_MS})"
    if unit == "week":
        return f"({here} - ({here} - {_MONDAY_MS}) % {_WEEK_MS})"
    months = _months(zone, from_ms, to_ms)
    cases = " ".join(f"when {instant} < {end:d} then {begin:d}" for begin, end in months[:-1])
    return f"(case {cases} else {months[-1][0]:d} end)" if cases else f"{months[-1][0]:d}"


def _months(zone: ZoneInfo, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
    """The months of a period: where each begins as if it were UTC, and the instant at which it is over."""
    day = datetime.fromtimestamp(from_ms // 1000, zone).date().replace(day=1)
    found: list[tuple[int, int]] = []
    while not found or found[-1][1] < to_ms:
        after = (day + timedelta(days=32)).replace(day=1)
        found.append((_ms(day), int(datetime(after.year, after.month, 1, tzinfo=zone).timestamp()) * 1000))
        day = after
    return found


def label(begin_ms: int, unit: Unit, zone: ZoneInfo) -> str:
    """`2026-11-23` for a day, `2026-W48` for a week, `2026-11` for a month, RFC 3339 with its offset for an hour."""
    if unit == "hour":
        return datetime.fromtimestamp(begin_ms // 1000, zone).isoformat()
    day = _utc(begin_ms)
    if unit == "week":
        year, week, _ = day.isocalendar()
        return f"{year:04d}-W{week:02d}"
    return day.isoformat() if unit == "day" else day.isoformat()[:7]


def labels(unit: Unit, zone: ZoneInfo, from_ms: int, to_ms: int) -> list[str]:
    """Every unit that has an instant in [from_ms, to_ms), in order."""
    found: dict[str, None] = {}
    if unit == "hour":
        at_ms = from_ms - (from_ms + _offset(zone, from_ms)) % _HOUR_MS
        while at_ms < to_ms:
            found[label(at_ms, unit, zone)] = None
            at_ms += _HOUR_MS
            at_ms -= (at_ms + _offset(zone, at_ms)) % _HOUR_MS
        return list(found)
    day_ms, end_ms = from_ms + _offset(zone, from_ms), to_ms + _offset(zone, max(to_ms - 1, from_ms))
    day_ms -= day_ms % DAY_MS
    while day_ms < end_ms:
        found[label(day_ms, unit, zone)] = None
        day_ms += DAY_MS
    return list(found)


def _utc(instant_ms: int) -> date:
    return datetime.fromtimestamp(instant_ms // 1000, UTC).date()


def _ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
