"""Matching: conditions compiled into plain tests of what a visitor shows.

Pure: the same traits at the same instant give the same answer. What is not known of a visitor (no country, no
language) is in no list: `in` does not hold for it, `not_in` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from nimriz.base.clock import from_rfc3339
from nimriz.core.routing.conditions import DAYS, NAMES, When

MINUTE_MS = 60_000
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
UNLISTED = "\0"
"""A value that no list has."""
_NO_QUERY: tuple[()] = ()


class Condition(NamedTuple):
    """One condition: the name under which it was written, and whether it holds for (traits, now_ms).

    `values` are those of its trait that it tells apart one by one; `settled` when all others are alike to it. `turns`
    are the instants at which it may change by itself.
    """

    name: str
    holds: Test
    values: frozenset[object] = frozenset()
    settled: bool = False
    turns: tuple[int, ...] = ()


def compiled(when: When) -> tuple[Condition, ...]:
    """The tests of stored conditions, in a fixed order."""
    return tuple(condition for name in NAMES if name in when for condition in _conditions(name, when[name]))


def _conditions(name: str, written: Any) -> Iterator[Condition]:
    if name == "query":
        for parameter in written:
            test = _has_parameter(parameter["name"].encode(), _values(parameter.get("in")))
            yield Condition(name, test, frozenset({_NO_QUERY}))
    elif name == "time":
        begins, ends = (written.get(end) for end in ("from", "to"))
        from_ms, to_ms = _instant(begins, 0), _instant(ends, 2**63)
        yield Condition(name, _in_window(from_ms, to_ms), turns=(from_ms, to_ms))
    elif name == "weekly":
        yield Condition(name, _in_week(tuple(span for hours in written for span in _spans(hours))))
    elif name == "qr":
        yield Condition(name, _is("qr", frozenset({written}), wanted=True), frozenset({True, False}), settled=True)
    else:
        wanted = "in" in written
        values = frozenset(written["in" if wanted else "not_in"])
        if name == "referrer_host":
            yield Condition(name, _under(values, wanted=wanted), frozenset({""}))
        else:
            yield Condition(name, _is(name, values, wanted=wanted), values, settled=True)


def _is(name: str, values: frozenset[Any], *, wanted: bool) -> Test:
    index = Traits._fields.index(name)
    return lambda traits, _: (traits[index] in values) is wanted


def _under(hosts: frozenset[str], *, wanted: bool) -> Test:
    def holds(traits: Traits, _: int) -> bool:
        labels = traits.referrer_host.split(".")
        return any(".".join(labels[start:]) in hosts for start in range(len(labels))) is wanted

    return holds


def _has_parameter(name: bytes, values: frozenset[bytes] | None) -> Test:
    return lambda traits, _: any(key == name and (values is None or value in values) for key, value in traits.query)


def _in_window(from_ms: int, to_ms: int) -> Test:
    return lambda _, now_ms: from_ms <= now_ms < to_ms


def _in_week(spans: tuple[tuple[int, int], ...]) -> Test:
    def holds(_: Traits, now_ms: int) -> bool:
        minute = (now_ms // MINUTE_MS + _EPOCH_MINUTES) % _WEEK_MINUTES
        for begins, ends in spans:  # noqa: SIM110 - twice as fast as any().
            if begins <= minute < ends or begins <= minute + _WEEK_MINUTES < ends:
                return True
        return False

    return holds


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
