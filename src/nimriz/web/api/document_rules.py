"""Rules, experiments and the simulator in the document: schemas of what is answered, and examples."""

from __future__ import annotations

from typing import Any, get_args

from nimriz.core.routing.conditions import NAMES
from nimriz.core.routing.experiments import State
from nimriz.web.api.document_examples import LINK_ID, LONG_URL
from nimriz.web.api.document_schemas import (
    COUNT,
    FLAG,
    ID,
    INSTANT,
    SUPPRESSED,
    TEXT,
    Schema,
    closed,
    many,
    maybe,
    one_of,
    ref,
)  # fmt: skip
from nimriz.web.api.simulator import SIMULATED

_STATES = get_args(State)
_IDLE = maybe(one_of("disabled", "draft", "paused", "stopped"))
_CONDITION = one_of(*NAMES)

SCHEMAS: dict[str, Schema] = {
    "RuleList": closed({
        "version": COUNT,
        "rules": many({"anyOf": [ref("Route"), ref("ExperimentRule")]}),
        "states": many(closed({
            "id": ID, "idle": _IDLE, "experiment": maybe(one_of(*_STATES)),
            "destinations": many(closed({
                "variant": maybe(TEXT), "decision": maybe(COUNT), "destination_host": TEXT,
                "token_suppressed": maybe(one_of(*SUPPRESSED)), "blocked": FLAG,
            })),
        })),
        "warnings": many(closed({"code": one_of("shadowed"), "rule_id": ID, "by": ID, "message": TEXT})),
    }),
    "Route": closed({
        "id": ID, "kind": one_of("route"), "name": TEXT, "enabled": FLAG, "when": ref("Conditions"),
        "destination": TEXT, "app": ref("Apps"),
    }, optional=("app",)),
    "ExperimentRule": closed({
        "id": ID, "kind": one_of("experiment"), "name": TEXT, "enabled": FLAG, "when": ref("Conditions"),
        "variants": many(closed({"key": TEXT, "name": TEXT, "weight": COUNT, "destination": TEXT})),
    }),
    "Experiment": closed({
        "id": ID, "link_id": ID, "name": TEXT, "state": one_of(*_STATES), "when": ref("Conditions"),
        "variants": many(closed({
            "key": TEXT, "name": TEXT, "weight": COUNT, "destination": TEXT, "variant_key": TEXT,
            "decision": maybe(COUNT),
        })),
        "promoted": maybe(TEXT), "created_at": INSTANT, "started_at": maybe(INSTANT), "stopped_at": maybe(INSTANT),
        "phases": many(closed({
            "began_at": INSTANT, "state": one_of(*_STATES),
            "weights": {"type": "object", "additionalProperties": COUNT},
        })),
    }),
    "ExperimentAnswer": closed({"experiment": ref("Experiment")}),
    "ExperimentList": closed({"experiments": many(ref("Experiment"))}),
    "Simulated": closed({
        "version": maybe(COUNT), "at": INSTANT,
        "stopped_by": maybe(one_of(
            "other_address", "domain_not_ready", "taken_down", "expired", "password", "disabled", "destination_blocked",
        )),
        "decided_by": one_of("link", "route", "experiment"), "position": maybe(COUNT), "rule_id": maybe(ID),
        "variant": maybe(TEXT),
        "bucket": maybe(COUNT), "decision": maybe(COUNT),
        "passed_over": many(closed({
            "position": COUNT, "rule_id": maybe(ID), "idle": _IDLE, "failing": many(_CONDITION),
        })),
        "status": maybe(COUNT), "location": maybe(TEXT),
        "opens_app": maybe(closed({"link": TEXT, "fallback": TEXT})),
        "token": closed({"appended": FLAG, "suppressed": maybe(one_of(*SUPPRESSED, "bot", "privacy"))}),
        "touch_type": one_of("short_link_click", "qr_scan"),
    }),
}  # fmt: skip

Example = dict[str, Any]
ROUTE_ID, EXPERIMENT_ID = "019ab1f8-1000-7000-8000-00000000000a", "019ab1f8-1000-7000-8000-00000000000b"
_ROUTE: Example = {
    "kind": "route", "name": "Austria", "enabled": True, "when": {"country": {"in": ["AT"]}},
    "destination": "https://shop.example/at",
}  # fmt: skip
_VARIANTS = [
    {"key": "v1", "name": "Today's page", "weight": 50, "destination": LONG_URL},
    {"key": "v2", "name": "Short page", "weight": 50, "destination": "https://shop.example/short"},
]
_EXPERIMENT: Example = {
    "kind": "experiment", "name": "Short page", "enabled": True, "when": {"device": {"in": ["mobile"]}},
    "variants": _VARIANTS,
}  # fmt: skip
NEW_RULES: Example = {
    "rules": [_ROUTE, {**_EXPERIMENT, "variants": [{n: v for n, v in one.items() if n != "key"} for one in _VARIANTS]}]
}


def _led(host: str, decision: int, variant: str | None = None) -> Example:
    return {
        "variant": variant, "decision": decision, "destination_host": host, "token_suppressed": None, "blocked": False,
    }  # fmt: skip


RULES: Example = {
    "version": 2,
    "rules": [{"id": ROUTE_ID, **_ROUTE}, {"id": EXPERIMENT_ID, **_EXPERIMENT}],
    "states": [
        {"id": ROUTE_ID, "idle": None, "experiment": None, "destinations": [_led("shop.example", 1)]},
        {"id": EXPERIMENT_ID, "idle": None, "experiment": "running",
         "destinations": [_led("shop.example", 2, "v1"), _led("shop.example", 3, "v2")]},
    ],
    "warnings": [],
}  # fmt: skip
EXPERIMENT: Example = {
    "id": EXPERIMENT_ID, "link_id": LINK_ID, "name": "Short page", "state": "running",
    "when": {"device": {"in": ["mobile"]}},
    "variants": [
        {**variant, "variant_key": f"{LINK_ID}/{variant['key']}", "decision": number}
        for number, variant in enumerate(_VARIANTS, 2)
    ],
    "promoted": None, "created_at": "2026-11-22T16:00:00.000Z", "started_at": "2026-11-22T17:00:00.000Z",
    "stopped_at": None,
    "phases": [{"began_at": "2026-11-22T17:00:00.000Z", "state": "running", "weights": {"v1": 50, "v2": 50}}],
}  # fmt: skip
VISIT: Example = {
    "country": "DE",
    "device": "mobile",
    "os": "iOS",
    "query": "utm_source=mail",
    "at": "2026-11-23T10:00:00Z",
}
SIMULATION: Example = {
    "version": 2, "at": "2026-11-23T10:00:00.000Z", "stopped_by": None, "decided_by": "experiment",
    "position": 1, "rule_id": EXPERIMENT_ID, "variant": "v2", "bucket": 71, "decision": 3,
    "passed_over": [{"position": 0, "rule_id": ROUTE_ID, "idle": None, "failing": ["country"]}],
    "status": 302, "location": f"https://shop.example/short?nim_ct={SIMULATED}", "opens_app": None,
    "token": {"appended": True, "suppressed": None}, "touch_type": "short_link_click",
}  # fmt: skip
