"""Routing: which of a link's destinations a visitor is sent to. Pure, and the same for redirect and simulator.

A link has one ordered list of rules. The first that is at work and whose conditions all hold decides; else the link's
own destination does. A route leads to one destination, an experiment divides its visitors among variants.

Asking every condition of every rule would cost a third of a redirect. So the rules are laid out the other way round:
for each trait a table says which rules are still in question, as bits of one number, and few are left to be asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import NamedTuple

from nimriz.core.clicks.agents import Agent
from nimriz.core.routing.buckets import bucket_of
from nimriz.core.routing.matching import MINUTE_MS, UNLISTED, Condition, Test, Traits
from nimriz.core.routing.targets import Target

RULE_BYTES = 400
CONDITION_BYTES = 500
VALUE_BYTES = 150
KNOWN_MAX = 32
"""So many kinds of visitors are remembered for a link; then all are forgotten."""
KNOWN_BYTES = 300
_AGENT = frozenset({"device", "os", "browser"})
_EMPTY = (Traits._fields, Traits())


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, compiled. `idle` says why it does not take part, '' when it does.

    A route has one target, and `apps` has others for some systems. An experiment has one for each variant, and a table
    that says which of them has which bucket; only where `sticky` may a cookie keep a variant.
    """

    rule_id: str
    idle: str
    conditions: tuple[Condition, ...]
    targets: tuple[Target, ...]
    apps: Mapping[str, Target] | None = None
    table: bytes = b""
    salt: bytes = b""
    sticky: bool = False

    def failing(self, traits: Traits, now_ms: int) -> Iterator[str]:
        """The conditions that do not hold."""
        return (condition.name for condition in self.conditions if not condition.holds(traits, now_ms))

    def target(self, system: str, shown: bytes, kept: frozenset[int]) -> Target:
        """The target of a visitor for whom the rule is: their system, and the traits `shown` and `kept`.

        A variant that has no bucket any more keeps nobody.
        """
        if not self.table:
            return self.apps.get(system, self.targets[0]) if self.apps else self.targets[0]
        if kept:
            for place, target in enumerate(self.targets):
                if target.decision in kept and place in self.table:
                    return target
        return self.targets[self.table[bucket_of(self.salt, shown)]]


class Asks(NamedTuple):
    """What some rule at work wants to know of a visitor."""

    country: bool
    agent: bool
    language: bool
    referrer_host: bool
    query: bool
    qr: bool
    shown: bool


Alike = tuple[str, Agent, str]
"""Country, agent and language of a visitor, as far as the rules of the link ask for them."""
Known = tuple[int, int, "Rule | None"]
"""From when until when (excluded) which rule is for such visitors."""
Table = tuple[int, Mapping[object, int], int]
"""The place of a trait; for its values the rules that stay in question; and the rules that do for any other value."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a link in their order; rule n is bit n.

    `at_work` are those that are not idle; `open_tests` what is still to be asked of each when the tables have
    spoken. `turns` are the instants at which one of them may change by itself; `weekly` is whether one does by the
    minute. `known` remembers what `learn` found. `sticky` is whether a cookie may keep what one of them decides.
    """

    rules: tuple[Rule, ...]
    asks: Asks
    at_work: int
    tables: tuple[Table, ...]
    open_tests: tuple[tuple[Test, ...], ...]
    turns: tuple[int, ...]
    weekly: bool
    sticky: bool
    known: dict[Alike, Known] = field(default_factory=dict, compare=False)

    def learn(self, alike: Alike, traits: Traits, now_ms: int) -> Known:
        """Which rule is for visitors who bring neither query nor referrer and are alike, and from when until when."""
        turns = self.turns
        if self.weekly:
            minute_ms = now_ms - now_ms % MINUTE_MS
            turns = (*turns, minute_ms, minute_ms + MINUTE_MS)
        from_ms = max((turn for turn in turns if turn <= now_ms), default=0)
        until_ms = min((turn for turn in turns if turn > now_ms), default=2**63)
        if len(self.known) >= KNOWN_MAX:
            self.known.clear()
        known = self.known[alike] = (from_ms, until_ms, first(self, traits, now_ms))
        return known

    @property
    def bytes_count(self) -> int:
        """About how much memory they take."""
        values = sum(len(by_value) for _, by_value, _ in self.tables)
        return (
            KNOWN_MAX * KNOWN_BYTES
            + VALUE_BYTES * values
            + sum(
                RULE_BYTES
                + sum(CONDITION_BYTES + VALUE_BYTES * len(condition.values) for condition in rule.conditions)
                + sum(target.bytes_count for target in (*rule.targets, *(rule.apps or {}).values()))
                for rule in self.rules
            )
        )


class Decision(NamedTuple):
    """Where a visitor is sent, and by which rule; None when it is the link itself."""

    target: Target
    rule: Rule | None


class Considered(NamedTuple):
    """A rule that did not decide, and why: it is idle, or these conditions do not hold."""

    rule_id: str
    idle: str
    failing: tuple[str, ...]


def put_together(rules: tuple[Rule, ...]) -> Rules | None:
    """The rules of a link, None when there are none; what idle ones ask is asked of nobody."""
    if not rules:
        return None
    active = [(n, rule) for n, rule in enumerate(rules) if not rule.idle]
    names = {condition.name for _, rule in active for condition in rule.conditions}
    asks = Asks(
        "country" in names,
        not names.isdisjoint(_AGENT) or any(rule.apps for _, rule in active),
        "language" in names,
        "referrer_host" in names,
        "query" in names,
        "qr" in names,
        any(rule.table for _, rule in active),
    )
    return Rules(
        rules,
        asks,
        reduce(or_, (1 << n for n, _ in active), 0),
        tuple(_table(name, active) for name in Traits._fields if name in names),
        tuple(tuple(one.holds for one in rule.conditions if not one.settled) for rule in rules),
        tuple({turn for _, rule in active for condition in rule.conditions for turn in condition.turns}),
        "weekly" in names,
        any(rule.sticky for _, rule in active),
    )


def _table(name: str, active: Sequence[tuple[int, Rule]]) -> Table:
    """The table of one trait: the conditions themselves say for which values a rule stays in question."""
    asking = [(n, condition) for n, rule in active for condition in rule.conditions if condition.name == name]

    def left(value: object) -> int:
        traits = Traits._make(value if field == name else empty for field, empty in zip(*_EMPTY, strict=True))
        # A rule that does not ask stays in question whatever the value is.
        return ~sum({1 << n for n, condition in asking if not condition.holds(traits, 0)})

    values = {value for _, condition in asking for value in condition.values}
    settled = all(condition.settled for _, condition in asking)
    by_value = {value: left(value) for value in values}
    return Traits._fields.index(name), by_value, left(UNLISTED) if settled else -1


def decide(rules: Rules, own: Target, traits: Traits, now_ms: int) -> Decision:
    """Where a visitor with these traits is sent at this instant; `own` is the link's own target."""
    return decided(first(rules, traits, now_ms), own, traits.os, traits.shown, traits.kept)


def decided(rule: Rule | None, own: Target, system: str, shown: bytes, kept: frozenset[int]) -> Decision:
    """Where the rule that is for a visitor sends them."""
    if rule is None:
        return Decision(own, None)
    # Past the constructor of named tuples, which costs as much as three tables.
    return tuple.__new__(Decision, (rule.target(system, shown, kept), rule))


def first(rules: Rules, traits: Traits, now_ms: int) -> Rule | None:
    """The first rule at work whose conditions all hold."""
    in_question = rules.at_work
    for trait, by_value, otherwise in rules.tables:
        in_question &= by_value.get(traits[trait], otherwise)
    while in_question:
        lowest = in_question & -in_question
        n = lowest.bit_length() - 1
        for holds in rules.open_tests[n]:
            if not holds(traits, now_ms):
                break
        else:
            return rules.rules[n]
        in_question ^= lowest
    return None


def passed_over(rules: Rules, decision: Decision, traits: Traits, now_ms: int) -> list[Considered]:
    """The rules before the one that decided, in their order, and why each of them did not."""
    before = []
    for rule in rules.rules:
        if rule is decision.rule:
            break
        before.append(Considered(rule.rule_id, rule.idle, () if rule.idle else tuple(rule.failing(traits, now_ms))))
    return before
