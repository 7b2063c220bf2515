"""Changes of rules: the list of a link replaced, and its experiments started, paused, stopped, promoted.

Each change makes a new version of the list, a row of the link's history, and a note that every process reads within a
second. Whoever names the version that they read is refused when somebody else was quicker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nimriz.base.errors import Refused
from nimriz.base.ids import new_id
from nimriz.core.directory import changes
from nimriz.core.links import destinations, history
from nimriz.core.links.destinations import Policy
from nimriz.core.links.history import Action
from nimriz.core.links.links import Link
from nimriz.core.routing import decisions, experiments, rule_drafts, rules
from nimriz.core.routing.decisions import Kind
from nimriz.core.routing.experiments import Verb
from nimriz.core.routing.rule_drafts import RuleDraft
from nimriz.core.routing.rules import Placed, Route, RuleList
from nimriz.store.db import Tx

_ACTIONS: dict[Verb, Action] = {
    "start": "experiment_started",
    "pause": "experiment_paused",
    "stop": "experiment_stopped",
}


def drafted(tx: Tx, link: Link, given: Sequence[RuleDraft], policy: Policy, now_ms: int) -> RuleList:
    """The list of a link as it would be with these rules; nothing is stored.

    Raises Refused: what `rule_drafts.applied` raises, destination_blocked for a destination that the list had not.
    """
    before = rules.find(tx, link.link_id)
    taken = {one.variant for one in decisions.of_link(tx, link.link_id)}
    after = RuleList(before.version + 1, rule_drafts.applied(given, before, link, taken, now_ms))
    _check_destinations(tx, link, before, after, policy)
    return after


def replace(
    tx: Tx,
    link: Link,
    given: Sequence[RuleDraft],
    versions: frozenset[int] | None,
    policy: Policy,
    actor: str,
    now_ms: int,
) -> RuleList:
    """Replace the list of a link. `versions` are those that the caller expects, None for any.

    Raises Refused: precondition_failed, what `drafted` raises, experiment_running when one that is not stopped is left
    out, variant_key_taken.
    """
    before = _expected(tx, link, versions)
    after = drafted(tx, link, given, policy, now_ms)
    old = {rule.rule_id: rule.experiment for rule in before.rules if isinstance(rule, Placed)}
    new = {rule.rule_id: rule.experiment for rule in after.rules if isinstance(rule, Placed)}
    for experiment in (one for rule_id, one in old.items() if rule_id not in new):
        if experiment.state in ("running", "paused"):
            raise Refused("experiment_running")
        experiments.remove_draft(tx, experiment)
    for rule_id, experiment in new.items():
        experiments.save(tx, old.get(rule_id), experiment, now_ms)
    return _store(tx, link, before, after, actor, "rules_changed", now_ms)


def move(
    tx: Tx, link: Link, experiment_id: str, verb: Verb, versions: frozenset[int] | None, actor: str, now_ms: int
) -> RuleList:
    """Start, pause or stop an experiment in the list of a link.

    Raises Refused: precondition_failed, experiment_not_found, experiment_state.
    """
    before = _expected(tx, link, versions)
    placed = _placed(tx, link, before, experiment_id)
    after = experiments.moved(placed.experiment, verb, now_ms)
    experiments.save(tx, placed.experiment, after, now_ms)
    changed = tuple(Placed(after, rule.enabled) if rule is placed else rule for rule in before.rules)
    return _store(tx, link, before, RuleList(before.version + 1, changed), actor, _ACTIONS[verb], now_ms)


def promote(
    tx: Tx, link: Link, experiment_id: str, key: str, versions: frozenset[int] | None, actor: str, now_ms: int
) -> RuleList:
    """The variant `key` becomes a route in its experiment's place, for the same visitors; the experiment is history.

    Raises Refused: precondition_failed, experiment_not_found, experiment_state for a draft, variant_not_found.
    """
    before = _expected(tx, link, versions)
    placed = _placed(tx, link, before, experiment_id)
    experiment = placed.experiment
    winner = next((variant for variant in experiment.arms if variant.key == key), None)
    if experiment.state == "draft":
        raise Refused("experiment_state", state=experiment.state)
    if winner is None:
        raise Refused("variant_not_found")
    over = experiment if experiment.state == "stopped" else experiments.moved(experiment, "stop", now_ms)
    experiments.save(tx, experiment, over._replace(promoted=key), now_ms)
    route = Route(new_id(now_ms), winner.name or experiment.name, placed.enabled, placed.when, winner.destination)
    changed = tuple(route if rule is placed else rule for rule in before.rules)
    return _store(tx, link, before, RuleList(before.version + 1, changed), actor, "experiment_promoted", now_ms)


def _expected(tx: Tx, link: Link, versions: frozenset[int] | None) -> RuleList:
    found = rules.find(tx, link.link_id)
    if versions is not None and found.version not in versions:
        raise Refused("precondition_failed")
    return found


def _placed(tx: Tx, link: Link, found: RuleList, experiment_id: str) -> Placed:
    for rule in found.rules:
        if isinstance(rule, Placed) and rule.rule_id == experiment_id:
            return rule
    # What is no longer in the list is over.
    raise Refused("experiment_state", state=experiments.find(tx, link.link_id, experiment_id).state)


def _check_destinations(tx: Tx, link: Link, before: RuleList, after: RuleList, policy: Policy) -> None:
    """What the list had already was judged when it came; only what is new is judged now."""
    known = set(rules.destinations_of(before.rules))
    for n, rule in enumerate(after.rules):
        for destination in rules.destinations_of([rule]):
            if destination not in known:
                known.add(destination)
                try:
                    destinations.check(tx, link.workspace_id, destinations.parsed(destination), policy)
                except Refused as refused:
                    raise rule_drafts.at(f"rules.{n}", refused) from None


def _store(tx: Tx, link: Link, before: RuleList, after: RuleList, actor: str, action: Action, now_ms: int) -> RuleList:
    wanted = [pair for rule in after.rules for pair in _decisions(rule)]
    decisions.give(tx, link.workspace_id, link.link_id, wanted, now_ms)
    rules.store(tx, link, after, now_ms)
    told = _told(before.rules), _told(after.rules)
    history.append(tx, [history.entry(link.workspace_id, link.link_id, actor, action, *told, now_ms)])
    changes.note(tx, "link", f"{link.domain_id}/{link.slug}", now_ms)
    return after


def _decisions(rule: Route | Placed) -> Iterable[tuple[Kind, str, str]]:
    if isinstance(rule, Route):
        return [("route", rule.rule_id, "")]
    return [("variant", rule.rule_id, variant.key) for variant in rule.experiment.arms]


def _told(found: Iterable[Route | Placed]) -> dict[str, object]:
    """What the history tells of a list: its order, and each rule by its id, so that what changed stands out."""
    listed = list(found)
    return {
        **{rule.rule_id: written(rule) for rule in listed},
        "order": [rule.rule_id for rule in listed],
        **{f"{rule.rule_id}.state": rule.experiment.state for rule in listed if isinstance(rule, Placed)},
    }


def written(rule: Route | Placed) -> dict[str, Any]:
    """A rule as it is written: what a caller may send back."""
    if isinstance(rule, Placed):
        experiment = rule.experiment
        return {
            "id": rule.rule_id,
            "kind": "experiment",
            "name": experiment.name,
            "enabled": rule.enabled,
            "when": rule.when,
            "variants": [variant._asdict() for variant in experiment.arms],
        }
    route = {
        "id": rule.rule_id,
        "kind": "route",
        "name": rule.name,
        "enabled": rule.enabled,
        "when": rule.when,
        "destination": rule.destination,
    }
    if rule.app:
        route["app"] = {name.lower(): app for name, app in rule.app.items()}
    return route
