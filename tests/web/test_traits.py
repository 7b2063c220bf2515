"""Traits: who is alike is decided alike, and what was found out before holds for exactly as long as it is true."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.core.clicks.agents import Agents
from nimriz.core.clicks.places import Places
from nimriz.core.routing import routing
from nimriz.core.routing.routing import decide, put_together
from nimriz.web.traits import TraitReader
from nimriz.web.visitor import Visitor
from tests.core.routing.test_routing import EXAMPLES, OWN, WHEN, experiment, rule

AGENTS = (
    b"",
    b"curl/8.0",
    b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    b"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    b"Mobile/15E148 Safari/604.1",
)
VISITOR = st.builds(
    Visitor,
    st.sampled_from(["198.51.100.1", "198.51.100.2"]),
    st.sampled_from(["", "DE", "FR"]),
    st.sampled_from(AGENTS),
    st.sampled_from([b"", b"", b"https://www.news.example/a"]),
    st.sampled_from([b"", b"de", b"en,de;q=0.5"]),
)
# Of this week and the next, where windows and weekly hours begin and end.
INSTANT = st.one_of(st.integers(0, 3_000), st.integers(0, 14 * 86_400_000))
READER = TraitReader(Agents(), Places(None))


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(WHEN, min_size=1, max_size=6),
    st.lists(st.tuples(VISITOR, st.sampled_from([b"", b"", b"a=1", b"nr=qr"]), INSTANT), min_size=1, max_size=12),
)
def test_whoever_comes_after_whomever_is_decided_as_the_rules_say(
    written: list[dict[str, Any]], visits: list[tuple[Visitor, bytes, int]]
) -> None:
    rules = put_together((*(rule(str(n), n + 1, when) for n, when in enumerate(written)), experiment([50, 50])))
    assert rules is not None
    for visitor, query, now_ms in visits:
        plainly = decide(rules, OWN, READER.read(rules, visitor, query, frozenset()), now_ms)
        assert READER.decide(rules, OWN, visitor, query, frozenset(), now_ms) == plainly


def test_a_window_opens_and_closes_at_its_millisecond_for_those_who_are_known_too() -> None:
    rules = put_together((rule("a", 1, {"time": {"from": "1970-01-01T00:00:01Z", "to": "1970-01-01T00:00:02Z"}}),))
    assert rules is not None
    found = [
        READER.decide(rules, OWN, Visitor("198.51.100.1"), b"", frozenset(), now_ms).target.decision
        for now_ms in (0, 999, 1_000, 1_999, 2_000, 1_500, 5)
    ]
    assert found == [0, 0, 1, 1, 0, 1, 0]


def test_what_is_remembered_of_a_link_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "KNOWN_MAX", 3)
    rules = put_together((rule("a", 1, {"country": {"in": ["DE"]}}),))
    assert rules is not None
    for n in range(20):
        country = f"A{chr(65 + n)}"
        READER.decide(rules, OWN, Visitor("198.51.100.1", country), b"", frozenset(), 0)
        assert len(rules.known) <= 3
