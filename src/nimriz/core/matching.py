"""Matching: conditions compiled into plain tests of what a visitor shows.

Pure: the same traits at the same instant give the same answer. What is not known of a visitor (no country, no
language) is in no list: `in` does not hold for it, `not_in` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from nimriz.base.clock import from_rfc3339
from nimriz.core.conditions import DAYS, NAMES, When

_MINUTE_MS = 60_000
_DAY_MINUTES = 1_440
_WEEK_MINUTES = 7 * _DAY_MINUTES
# 1970-01-01 was a Thursday, and a week begins on Monday.
_EPOCH_MINUTES = 3 * _DAY_MINUTES


class Traits(NamedTuple):
    """What rules may ask of a visitor; '' for what is not known, and for what no rule of the link asks.

    `query` holds decoded names and values. `shown` is what the request shows, for the hash of experiments, and `kept`
    the decision numbers that a cookie keeps.
    """

    country: str = ""
    device: str = ""
    os: str = ""
    browser: str = ""
    language: str = ""
    referrer_host: str = ""
    query: tuple[tuple[bytes, bytes], ...] = ()
    qr: bool = False
    shown: bytes = b""
    kept: frozenset[int] = frozenset()


Test = Callable[[Traits, int], bool]


class Condition(NamedTuple):
    """One condition: the name under which it was written, and whether it holds for (traits, now_ms)."""

    name: str
    holds: Test


def compiled(when: When) -> tuple[Condition, ...]:
    """The tests of stored conditions, in a fixed order."""
    return tuple(Condition(name, test) for name in NAMES if name in when for test in _tests(name, when[name]))


def _tests(name: str, written: Any) -> Iterator[Test]:
    if name == "query":
        for parameter in written:
            yield partial(_has_parameter, parameter["name"].encode(), _values(parameter.get("in")))
    elif name == "time":
        begins, ends = (written.get(end) for end in ("from", "to"))
        yield partial(_in_window, _instant(begins, 0), _instant(ends, 2**63))
    elif name == "weekly":
        yield partial(_in_week, tuple(span for hours in written for span in _spans(hours)))
    elif name == "qr":
        yield partial(_is, Traits._fields.index("qr"), frozenset({written}), True)
    else:
        wanted = "in" in written
        values = frozenset(written["in" if wanted else "not_in"])
        test = _under if name == "referrer_host" else _is
        yield partial(test, Traits._fields.index(name), values, wanted)


def _is(index: int, values: frozenset[object], wanted: bool, traits: Traits, _: int) -> bool:
    return (traits[index] in values) is wanted


def _under(index: int, hosts: frozenset[str], wanted: bool, traits: Traits, _: int) -> bool:
    labels = str(traits[index]).split(".")
    return any(".".join(labels[start:]) in hosts for start in range(len(labels))) is wanted


def _has_parameter(name: bytes, values: frozenset[bytes] | None, traits: Traits, _: int) -> bool:
    return any(key == name and (values is None or value in values) for key, value in traits.query)


def _in_window(from_ms: int, to_ms: int, _: Traits, now_ms: int) -> bool:
    return from_ms <= now_ms < to_ms


def _in_week(spans: tuple[tuple[int, int], ...], _: Traits, now_ms: int) -> bool:
    minute = (now_ms // _MINUTE_MS + _EPOCH_MINUTES) % _WEEK_MINUTES
    return any(begins <= minute < ends or begins <= minute + _WEEK_MINUTES < ends for begins, ends in spans)


def _values(values: list[str] | None) -> frozenset[bytes] | None:
    return None if values is None else frozenset(value.encode() for value in values)


def _instant(text: str | None, otherwise_ms: int) -> int:
    return otherwise_ms if text is None else from_rfc3339(text)


def _spans(hours: Any) -> Iterator[tuple[int, int]]:
    """Minutes of the week [begins, ends); one that passes the end of Sunday goes on beyond the week."""
    begins, ends = (int(text[:2]) * 60 + int(text[3:]) for text in (hours["from"], hours["to"]))
    if ends <= begins:
        ends += _DAY_MINUTES
    for day in hours["days"]:
        midnight = DAYS.index(day) * _DAY_MINUTES
        yield midnight + begins, midnight + ends
