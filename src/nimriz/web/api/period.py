"""The period of a report: days in a time zone, or instants."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nimriz.base.clock import from_rfc3339
from nimriz.base.errors import FieldError, Refused

DAYS_DEFAULT = 30
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Period:
    """[from_ms, to_ms), and the words in which it was asked for."""

    from_text: str
    to_text: str
    from_ms: int
    to_ms: int
    zone: ZoneInfo

    @property
    def bounds(self) -> tuple[int, int]:
        """The two instants."""
        return self.from_ms, self.to_ms


def read_period(from_text: str, to_text: str, timezone: str, now_ms: int) -> Period:
    """Days are both included; instants are RFC 3339, the last one excluded. Default: the last 30 days.

    Raises Refused(validation_failed) naming the parameter.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _bad("timezone") from None
    today = datetime.fromtimestamp(now_ms // 1000, zone).date()
    to_text = to_text or today.isoformat()
    if not from_text:
        last = _day(to_text, "to") if _DAY.fullmatch(to_text) else today
        try:
            from_text = (last - timedelta(days=DAYS_DEFAULT - 1)).isoformat()
        except OverflowError:
            raise _bad("to") from None
    from_ms = _instant(from_text, "from", zone, days_after=0)
    to_ms = _instant(to_text, "to", zone, days_after=1)
    if to_ms < from_ms:
        raise _bad("to")
    return Period(from_text, to_text, from_ms, to_ms, zone)


def the_last(days: int, timezone: str, now_ms: int) -> tuple[str, str]:
    """The first and the last of so many days, today included. The time zone is one that is known."""
    today = datetime.fromtimestamp(now_ms // 1000, ZoneInfo(timezone)).date()
    return (today - timedelta(days=days - 1)).isoformat(), today.isoformat()


def _instant(text: str, field: str, zone: ZoneInfo, days_after: int) -> int:
    if not _DAY.fullmatch(text):
        try:
            return from_rfc3339(text)
        except ValueError:
            raise _bad(field) from None
    try:
        midnight = datetime.combine(_day(text, field) + timedelta(days=days_after), time(), zone)
        return int(midnight.astimezone(UTC).timestamp()) * 1000
    except OverflowError:
        raise _bad(field) from None


def _day(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _bad(field) from None


def _bad(field: str) -> Refused:
    return Refused("validation_failed", errors=(FieldError(field, "field_type"),))
