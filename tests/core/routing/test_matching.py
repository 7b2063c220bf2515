"""Conditions: what is written, what is refused, and for whom a rule is."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nimriz.base.clock import from_rfc3339
from nimriz.core.routing.conditions import Conditions, implies
from nimriz.core.routing.matching import Traits, compiled


def stored(when: dict[str, Any]) -> dict[str, Any]:
    """Conditions as they are kept."""
    return Conditions.model_validate(when).stored()


def holds(when: dict[str, Any], at: str = "2026-11-25T12:00:00Z", **traits: Any) -> bool:
    """Whether all conditions hold for a visitor."""
    now_ms = from_rfc3339(at)
    return all(condition.holds(Traits(**traits), now_ms) for condition in compiled(stored(when)))


def hours(day: str, begins: str, ends: str) -> dict[str, Any]:
    """Hours of one day of the week. 2026-11-25 is a Wednesday."""
    return {"weekly": [{"days": [day], "from": begins, "to": ends}]}


@pytest.mark.parametrize(
    ("when", "matching", "failing"),
    [
        ({"country": {"in": ["DE", "AT"]}}, {"country": "AT"}, {"country": "CH"}),
        ({"country": {"not_in": ["DE"]}}, {"country": "AT"}, {"country": "DE"}),
        ({"country": {"not_in": ["DE"]}}, {"country": ""}, {"country": "DE"}),
        ({"country": {"in": ["DE"]}}, {"country": "DE"}, {"country": ""}),
        ({"device": {"in": ["mobile"]}}, {"device": "mobile"}, {"device": "tablet"}),
        ({"os": {"not_in": ["iOS"]}}, {"os": "Android"}, {"os": "iOS"}),
        ({"browser": {"in": ["Firefox", "Other"]}}, {"browser": "Other"}, {"browser": "Chrome"}),
        ({"language": {"in": ["de"]}}, {"language": "de"}, {"language": "en"}),
        ({"referrer_host": {"in": ["n.example"]}}, {"referrer_host": "www.n.example"}, {"referrer_host": "example"}),
        ({"referrer_host": {"in": ["n.example"]}}, {"referrer_host": "n.example"}, {"referrer_host": ""}),
        ({"referrer_host": {"not_in": ["n.example"]}}, {"referrer_host": "an.example"}, {"referrer_host": "n.example"}),
        ({"query": [{"name": "a b"}]}, {"query": ((b"a b", b""),)}, {"query": ((b"A b", b""),)}),
        ({"query": [{"name": "a", "in": ["1", "é"]}]}, {"query": ((b"a", b"2"), (b"a", b"1"))}, {"query": ()}),
        ({"query": [{"name": "a", "in": ["é"]}]}, {"query": ((b"a", "é".encode()),)}, {"query": ((b"a", b"e"),)}),
        ({"query": [{"name": "a"}, {"name": "b"}]}, {"query": ((b"b", b""), (b"a", b""))}, {"query": ((b"a", b""),)}),
        ({"qr": True}, {"qr": True}, {"qr": False}),
        ({"qr": False}, {"qr": False}, {"qr": True}),
        ({"country": {"in": ["DE"]}, "qr": True}, {"country": "DE", "qr": True}, {"country": "DE"}),
    ],
)  # fmt: skip
def test_a_condition_holds_for_some_and_not_for_others(
    when: dict[str, Any], matching: dict[str, Any], failing: dict[str, Any]
) -> None:
    assert holds(when, **matching)
    assert not holds(when, **failing)


@pytest.mark.parametrize(
    ("when", "inside", "outside"),
    [
        ({"time": {"from": "2026-11-25T12:00:00Z"}}, "2026-11-25T12:00:00Z", "2026-11-25T11:59:59.999Z"),
        ({"time": {"to": "2026-11-25T13:00:00+01:00"}}, "2026-11-25T11:59:59.999Z", "2026-11-25T12:00:00Z"),
        ({"weekly": [{"days": ["wed"]}]}, "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"),
        (hours("wed", "09:00", "17:00"), "2026-11-25T09:00:00Z", "2026-11-25T17:00:00Z"),
        (hours("fri", "22:00", "02:00"), "2026-11-28T01:59:00Z", "2026-11-28T02:00:00Z"),
        (hours("sun", "22:00", "02:00"), "2026-11-30T01:59:00Z", "2026-11-29T21:59:00Z"),
        ({"weekly": [{"days": ["mon"]}, {"days": ["thu"]}]}, "2026-11-26T12:00:00Z", "2026-11-25T12:00:00Z"),
    ],
)
def test_windows_and_hours_have_a_first_and_an_excluded_last_moment(
    when: dict[str, Any], inside: str, outside: str
) -> None:
    assert holds(when, inside)
    assert not holds(when, outside)


def test_a_rule_without_conditions_is_for_everybody() -> None:
    assert stored({}) == {}
    assert holds({})


@pytest.mark.parametrize(
    "when",
    [
        {"country": {"in": ["UK"]}},
        {"country": {"in": ["de"]}},
        {"country": {}},
        {"country": {"in": []}},
        {"country": {"in": ["DE"], "not_in": ["AT"]}},
        {"device": {"in": ["phone"]}},
        {"os": {"in": ["ios"]}},
        {"browser": {"in": ["Safarri"]}},
        {"language": {"in": ["de-DE"]}},
        {"referrer_host": {"in": ["News.example"]}},
        {"referrer_host": {"in": ["https://news.example"]}},
        {"query": [{"name": ""}]},
        {"time": {}},
        {"time": {"from": "2026-11-25T12:00:00Z", "to": "2026-11-25T12:00:00Z"}},
        {"time": {"from": "2026-11-25"}},
        {"weekly": [{"days": []}]},
        {"weekly": [{"days": ["wed"], "from": "24:00"}]},
        {"weekly": [{"days": ["wed"], "from": "9:00"}]},
        {"weekday": ["wed"]},
        {"qr": "yes"},
    ],
)
def test_what_could_never_match_or_says_nothing_is_refused(when: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Conditions.model_validate(when)


@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [
        ({"qr": True}, {}, True),
        ({}, {"qr": True}, False),
        ({"qr": True}, {"qr": True}, True),
        ({"qr": True}, {"qr": False}, False),
        ({"country": {"in": ["DE"]}}, {"country": {"in": ["DE", "AT"]}}, True),
        ({"country": {"in": ["DE", "CH"]}}, {"country": {"in": ["DE", "AT"]}}, False),
        ({"country": {"in": ["DE"]}}, {"country": {"not_in": ["FR"]}}, True),
        ({"country": {"in": ["FR"]}}, {"country": {"not_in": ["FR"]}}, False),
        ({"country": {"not_in": ["FR", "DE"]}}, {"country": {"not_in": ["FR"]}}, True),
        ({"country": {"not_in": ["DE"]}}, {"country": {"not_in": ["FR"]}}, False),
        ({"country": {"not_in": ["DE"]}}, {"country": {"in": ["FR"]}}, False),
        ({"country": {"in": ["DE"]}, "qr": True}, {"country": {"in": ["DE"]}}, True),
        ({"weekly": [{"days": ["wed"]}]}, {"weekly": [{"days": ["mon", "wed"]}]}, False),
    ],
)
def test_one_rule_is_known_to_be_for_everybody_whom_another_is_for(
    narrow: dict[str, Any], wide: dict[str, Any], expected: bool
) -> None:
    assert implies(stored(narrow), stored(wide)) is expected
