"""Routing: the first rule at work whose conditions all hold decides; else the link itself."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.core.routing import matching, routing
from nimriz.core.routing.buckets import bucket_of, dealt, table
from nimriz.core.routing.conditions import Conditions
from nimriz.core.routing.matching import Traits
from nimriz.core.routing.routing import Considered, Rule, decide, passed_over, put_together
from nimriz.core.routing.targets import Target

EXAMPLES = int(os.environ.get("NIMRIZ_TEST_RULES", "150"))
SALT = b"0123456789abcdef"


def target(decision: int) -> Target:
    """A destination."""
    return Target(decision, b"https://shop.example/%d" % decision, b"?", b"", "shop.example", "", frozenset())


OWN = target(0)


def rule(rule_id: str, decision: int, when: dict[str, Any] | None = None, idle: str = "") -> Rule:
    """A route."""
    return Rule(rule_id, idle, matching.compiled(Conditions.model_validate(when or {}).stored()), (target(decision),))


def experiment(weights: list[int], *, idle: str = "", sticky: bool = False) -> Rule:
    """An experiment, its variants numbered from 10 on."""
    variants = tuple(target(10 + place) for place in range(len(weights)))
    return Rule("test", idle, (), variants, None, table(dealt(weights)), SALT, sticky)


def decided(rules: tuple[Rule, ...], **traits: Any) -> int:
    """The number of the decision."""
    found = put_together(rules)
    assert found is not None
    return decide(found, OWN, Traits(**traits), 0).target.decision


GERMANS = {"country": {"in": ["DE"]}}


def test_the_first_enabled_match_wins_and_else_the_link_itself() -> None:
    rules = (
        rule("a", 1, GERMANS, "disabled"),
        rule("b", 2, GERMANS),
        rule("c", 3, GERMANS),
        rule("d", 4, {"qr": True}),
    )
    assert decided(rules, country="DE") == 2
    assert decided(rules, country="DE", qr=True) == 2
    assert decided(rules, qr=True) == 4
    assert decided(rules) == 0


@pytest.mark.parametrize("state", ["draft", "paused", "stopped", "disabled"])
def test_an_experiment_that_is_not_at_work_lets_visitors_go_on(state: str) -> None:
    assert decided((experiment([50, 50], idle=state), rule("next", 3))) == 3


def test_an_experiment_sends_everybody_by_their_bucket() -> None:
    for n in range(200):
        shown = b"%d" % n
        expected = 10 if bucket_of(SALT, shown) < 30 else 11
        assert decided((experiment([30, 70]),), shown=shown) == expected


def test_a_kept_variant_stays_unless_it_has_no_share_any_more() -> None:
    for kept in (10, 11):
        assert decided((experiment([99, 1]),), kept=frozenset({kept})) == kept
    assert decided((experiment([100, 0]),), kept=frozenset({11})) == 10
    assert decided((experiment([100, 0]),), kept=frozenset({77})) == 10


def test_only_what_some_rule_at_work_wants_to_know_is_asked() -> None:
    def asked(*rules: Rule) -> set[str]:
        found = put_together(rules)
        return set() if found is None else {name for name, asked in found.asks._asdict().items() if asked}

    assert asked(rule("a", 1)) == set()
    assert asked(rule("a", 1, {"device": {"in": ["mobile"]}, "os": {"in": ["iOS"]}})) == {"agent"}
    assert asked(rule("a", 1, GERMANS), experiment([50, 50])) == {"country", "shown"}
    assert asked(rule("a", 1, GERMANS, "disabled"), experiment([50, 50], idle="draft")) == set()
    assert put_together(()) is None


def test_a_route_into_an_app_leads_each_system_its_own_way() -> None:
    app = Rule("app", "", (), (target(5),), {"iOS": target(6), "Android": target(7)})
    found = put_together((app,))
    assert found is not None
    assert found.asks.agent
    assert [decided((app,), os=system) for system in ("iOS", "Android", "Windows", "")] == [6, 7, 5, 5]


def test_every_earlier_rule_says_why_it_did_not_decide() -> None:
    rules = put_together(
        (
            rule("a", 1, GERMANS | {"qr": True}),
            rule("b", 2, idle="disabled"),
            experiment([50, 50], idle="paused"),
            rule("c", 3),
        )
    )
    assert rules is not None
    traits = Traits()
    decision = decide(rules, OWN, traits, 0)
    assert decision.rule is rules.rules[3]
    assert passed_over(rules, decision, traits, 0) == [
        Considered("a", "", ("country", "qr")),
        Considered("b", "disabled", ()),
        Considered("test", "paused", ()),
    ]
    assert routing.passed_over(rules, routing.Decision(OWN, None), traits, 0)[-1].rule_id == "c"


# --- the tables are only a quicker way to ask the conditions ------------------------------------------------------

COUNTRIES, HOSTS = ["DE", "AT", "US"], ["news.example", "example", "other.test"]


def listed(values: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """`in` or `not_in` some of the values."""
    return st.builds(
        lambda key, some: {key: some},
        st.sampled_from(["in", "not_in"]),
        st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True),
    )


WHEN = st.fixed_dictionaries(
    {},
    optional={
        "country": listed(COUNTRIES),
        "device": listed(["mobile", "desktop"]),
        "os": listed(["iOS", "Android"]),
        "browser": listed(["Safari", "Firefox"]),
        "language": listed(["de", "en"]),
        "referrer_host": listed(HOSTS),
        "query": st.lists(
            st.sampled_from([{"name": "a"}, {"name": "a", "in": ["1"]}, {"name": "b"}]), min_size=1, max_size=2
        ),
        "qr": st.booleans(),
        "time": st.sampled_from([{"from": "1970-01-01T00:00:01Z"}, {"to": "1970-01-01T00:00:01Z"}]),
        "weekly": st.sampled_from([[{"days": ["thu"]}], [{"days": ["fri"]}]]),
    },
)
TRAITS = st.builds(
    Traits,
    country=st.sampled_from(["", *COUNTRIES]),
    device=st.sampled_from(["", "mobile", "desktop", "tv"]),
    os=st.sampled_from(["", "iOS", "Android", "Other"]),
    browser=st.sampled_from(["", "Safari", "Firefox", "Other"]),
    language=st.sampled_from(["", "de", "en", "fr"]),
    referrer_host=st.sampled_from(["", "example", "www.news.example", "other.test.example"]),
    query=st.sampled_from([(), ((b"a", b"1"),), ((b"b", b""), (b"a", b"2"))]),
    qr=st.booleans(),
)

NOW_S = st.integers(0, 5)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.tuples(WHEN, st.sampled_from(["", "", "disabled"])), min_size=1, max_size=8), TRAITS, NOW_S)
def test_the_tables_decide_as_the_conditions_do(
    written: list[tuple[dict[str, Any], str]], traits: Traits, now_s: int
) -> None:
    rules = tuple(rule(str(n), n + 1, when, idle) for n, (when, idle) in enumerate(written))
    found = put_together(rules)
    assert found is not None
    plainly = next((one for one in rules if not one.idle and not list(one.failing(traits, now_s * 1_000))), None)
    assert decide(found, OWN, traits, now_s * 1_000).rule is plainly
