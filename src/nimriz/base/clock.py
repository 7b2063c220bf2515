"""Instants: integer milliseconds since the Unix epoch, UTC, and their RFC 3339 form.

The only place that asks the machine what time it is. `NIMRIZ_CLOCK_OFFSET_S` shifts the whole
service's clock, for rehearsals; durations are measured on the monotonic clock elsewhere.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY_MS = 86_400_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# RFC 3339 section 5.6; a leap second (:60) is refused, since Unix time has none. [0-9] and not \d:
# \d would take the digits of every script.
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))"
)


class Clock:
    """The service's clock: the machine's, moved by `offset_s` seconds."""

    def __init__(self, offset_s: int = 0) -> None:
        self.offset_s = offset_s
        self._offset_ns = offset_s * 1_000_000_000

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return (time.time_ns() + self._offset_ns) // 1_000_000


def to_rfc3339(instant_ms: int) -> str:
    """`2026-11-23T10:00:00.000Z`: UTC, always with milliseconds."""
    seconds, ms = divmod(instant_ms, 1000)
    return f"{_second(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=1_024)
def _second(seconds: int) -> str:
    # Most instants that are written are of the last few seconds.
    t = time.gmtime(seconds)
    return f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}T{t[3]:02d}:{t[4]:02d}:{t[5]:02d}"


def from_rfc3339(text: str) -> int:
    """Milliseconds of an RFC 3339 instant with an offset; finer digits are cut off.

    Raises ValueError for anything else, a date that does not exist included.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 instant")
    year, month, day, hour, minute, second = (int(part) for part in match.group(1, 2, 3, 4, 5, 6))
    ms = int((match[7] or "").ljust(3, "0")[:3])
    offset = timedelta()
    if match[9]:
        offset_hours, offset_minutes = int(match[10]), int(match[11])
        if offset_hours > 23 or offset_minutes > 59:
            raise ValueError("not an offset")
        offset = timedelta(hours=offset_hours, minutes=offset_minutes)
        if match[9] == "-":
            offset = -offset
    instant = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    # Not `instant - offset`: that overflows at both ends of the calendar.
    return ((instant - _EPOCH) - offset) // timedelta(milliseconds=1) + ms


def from_iso(text: str, zone: ZoneInfo) -> int:
    """Milliseconds of an ISO 8601 instant; without an offset it is read in `zone`, and a day alone begins at midnight.

    Raises ValueError for anything else.
    """
    try:
        return from_rfc3339(text)
    except ValueError:
        pass
    if not text.isascii():
        raise ValueError("not an ISO 8601 instant")
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=zone)
    try:
        return (instant - _EPOCH) // timedelta(milliseconds=1)
    except OverflowError:
        raise ValueError("not an instant that can be told") from None
