"""Rules and experiments as they stand on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from nimriz.base.clock import to_rfc3339
from nimriz.core.links import destinations
from nimriz.core.links.links import Link
from nimriz.core.routing import rule_changes, rules, targets
from nimriz.core.routing.experiments import Experiment, Phase
from nimriz.core.routing.rules import Numbers, Placed, Route, RuleList


def rule_list(found: RuleList, link: Link, numbers: Numbers, blocked: frozenset[str]) -> dict[str, object]:
    """The list as it is written, and apart from it what a caller cannot write: states, destinations, warnings."""
    return {
        "version": found.version,
        "rules": [rule_changes.written(rule) for rule in found.rules],
        "states": [_state(rule, link, numbers, blocked) for rule in found.rules],
        "warnings": [
            {
                "code": "shadowed",
                "rule_id": shadow.rule_id,
                "by": shadow.by,
                "message": "This rule never decides: whoever it is for goes by an earlier one.",
            }
            for shadow in rules.shadowed(found.rules)
        ],
    }


def _state(rule: Route | Placed, link: Link, numbers: Numbers, blocked: frozenset[str]) -> dict[str, object]:
    if isinstance(rule, Route):
        led = {"": rule.destination}
    else:
        led = {variant.key: variant.destination for variant in rule.experiment.arms}
    return {
        "id": rule.rule_id,
        "idle": rule.idle or None,
        "experiment": rule.experiment.state if isinstance(rule, Placed) else None,
        "destinations": [
            {
                "variant": key or None,
                "decision": numbers.get((rule.rule_id, key)),
                "destination_host": destinations.parsed(destination).host,
                "token_suppressed": targets.token_suppression(link._replace(long_url=destination)),
                "blocked": destination in blocked,
            }
            for key, destination in led.items()
        ],
    }


def experiment(found: Experiment, numbers: Mapping[tuple[str, str], int], phases: Iterable[Phase]) -> dict[str, object]:
    """An experiment, with its past."""
    return {
        "id": found.experiment_id,
        "link_id": found.link_id,
        "name": found.name,
        "state": found.state,
        "when": json.loads(found.conditions),
        "variants": [
            {
                **variant._asdict(),
                "variant_key": f"{found.link_id}/{variant.key}",
                "decision": numbers.get((found.experiment_id, variant.key)),
            }
            for variant in found.arms
        ],
        "promoted": found.promoted or None,
        "created_at": to_rfc3339(found.created_at_ms),
        "started_at": None if found.started_at_ms is None else to_rfc3339(found.started_at_ms),
        "stopped_at": None if found.stopped_at_ms is None else to_rfc3339(found.stopped_at_ms),
        "phases": [
            {"began_at": to_rfc3339(phase.began_at_ms), "state": phase.state, "weights": json.loads(phase.weights)}
            for phase in phases
        ],
    }
