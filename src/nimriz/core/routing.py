"""Routing: which of a link's destinations a visitor is sent to. Pure, and the same for redirect and simulator.

A link has one ordered list of rules. The first that is at work and whose conditions all hold decides; else the link's
own destination does. A route leads to one destination, an experiment divides its visitors among variants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from nimriz.core.buckets import bucket_of
from nimriz.core.matching import Condition, Traits
from nimriz.core.targets import Target

RULE_BYTES = 400
CONDITION_BYTES = 500
_AGENT = frozenset({"device", "os", "browser"})


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

    def target(self, traits: Traits) -> Target:
        """The target of a visitor for whom the rule is. A variant that has no bucket any more keeps nobody."""
        if not self.table:
            return self.apps.get(traits.os, self.targets[0]) if self.apps else self.targets[0]
        for place, target in enumerate(self.targets):
            if target.decision in traits.kept and place in self.table:
                return target
        return self.targets[self.table[bucket_of(self.salt, traits.shown)]]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a link in their order. `asks` names the traits that some of them need to know.

    `sticky` is whether a cookie may keep what one of them decides.
    """

    rules: tuple[Rule, ...]
    asks: frozenset[str]
    sticky: bool

    @property
    def bytes_count(self) -> int:
        """About how much memory they take."""
        return sum(
            RULE_BYTES
            + CONDITION_BYTES * len(rule.conditions)
            + sum(target.bytes_count for target in (*rule.targets, *(rule.apps or {}).values()))
            for rule in self.rules
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
    asks: set[str] = set()
    for rule in rules:
        if not rule.idle:
            asks |= {"agent" if condition.name in _AGENT else condition.name for condition in rule.conditions}
            asks |= {"shown"} if rule.table else {"agent"} if rule.apps else set()
    sticky = any(rule.sticky and not rule.idle for rule in rules)
    return Rules(rules, frozenset(asks), sticky) if rules else None


def decide(rules: Rules, own: Target, traits: Traits, now_ms: int) -> Decision:
    """Where a visitor with these traits is sent at this instant; `own` is the link's own target."""
    for rule in rules.rules:
        if not rule.idle and next(rule.failing(traits, now_ms), None) is None:
            return Decision(rule.target(traits), rule)
    return Decision(own, None)


def passed_over(rules: Rules, decision: Decision, traits: Traits, now_ms: int) -> list[Considered]:
    """The rules before the one that decided, in their order, and why each of them did not."""
    before = []
    for rule in rules.rules:
        if rule is decision.rule:
            break
        before.append(Considered(rule.rule_id, rule.idle, () if rule.idle else tuple(rule.failing(traits, now_ms))))
    return before
