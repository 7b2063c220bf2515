"""Rules: the ordered list of a link that says where which visitors go. Owns the table rule_lists.

Kept as JSON: a route whole, an experiment by its id, since its own row outlives its place here. Every change makes a
new version, which is what optimistic concurrency compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from nimriz.core.links.links import Link
from nimriz.core.routing import app_links, conditions, experiments, matching, routing, targets
from nimriz.core.routing.conditions import When
from nimriz.core.routing.experiments import Experiment
from nimriz.core.routing.routing import Rules
from nimriz.core.routing.targets import App, Target
from nimriz.store.db import Tx

RULES_MAX = 50
NAME_CHARS_MAX = 100
IOS, ANDROID = "iOS", "Android"
Numbers = Mapping[tuple[str, str], int]
"""Decision numbers by (rule id, variant key); the variant is '' for a route."""


class Route(NamedTuple):
    """Sends the visitors for whom it is to one destination. `app` says how some of them come into an app."""

    rule_id: str
    name: str
    enabled: bool
    when: When
    destination: str
    app: dict[str, Any] | None = None

    @property
    def idle(self) -> str:
        """Why it takes no part, '' when it does."""
        return "" if self.enabled else "disabled"


class Placed(NamedTuple):
    """An experiment in its place in the list."""

    experiment: Experiment
    enabled: bool

    @property
    def rule_id(self) -> str:
        """The experiment's id."""
        return self.experiment.experiment_id

    @property
    def when(self) -> When:
        """For whom it is."""
        when: When = json.loads(self.experiment.conditions)
        return when

    @property
    def idle(self) -> str:
        """Why it takes no part, '' when it does."""
        if self.experiment.state != "running":
            return self.experiment.state
        return "" if self.enabled else "disabled"


class RuleList(NamedTuple):
    """The rules of a link, in their order. Version 0: there never were any."""

    version: int
    rules: tuple[Route | Placed, ...]


class Shadow(NamedTuple):
    """A rule that can never decide: whoever it is for goes by an earlier one, `by`."""

    rule_id: str
    by: str


def find(tx: Tx, link_id: str) -> RuleList:
    """The rules of a link."""
    row = tx.one("select version, rules from rule_lists where link_id = :link_id", {"link_id": link_id})
    if row is None:
        return RuleList(0, ())
    entries = json.loads(row[1])
    known: dict[str, Experiment] = {}
    if any("experiment" in entry for entry in entries):
        known = {one.experiment_id: one for one in experiments.of_link(tx, link_id)}
    return RuleList(row[0], tuple(_placed(entry, known) for entry in entries))


def _placed(entry: dict[str, Any], known: Mapping[str, Experiment]) -> Route | Placed:
    if "experiment" in entry:
        return Placed(known[entry["experiment"]], entry["enabled"])
    return Route(**entry)


def store(tx: Tx, link: Link, rules: RuleList, now_ms: int) -> None:
    """Store the list of a link; its experiments are stored by whoever changes them."""
    entries = [
        {"experiment": rule.rule_id, "enabled": rule.enabled} if isinstance(rule, Placed) else rule._asdict()
        for rule in rules.rules
    ]
    tx.run(
        "insert into rule_lists (link_id, workspace_id, version, rules, updated_at_ms) "
        "values (:link_id, :workspace_id, :version, :rules, :now_ms) on conflict (link_id) do update set "
        "version = excluded.version, rules = excluded.rules, updated_at_ms = excluded.updated_at_ms",
        {
            "link_id": link.link_id,
            "workspace_id": link.workspace_id,
            "version": rules.version,
            "rules": json.dumps(entries, ensure_ascii=False),
            "now_ms": now_ms,
        },
    )


def destinations_of(rules: Iterable[Route | Placed]) -> Iterator[str]:
    """Every web address that some rule leads to."""
    for rule in rules:
        if isinstance(rule, Placed):
            yield from (variant.destination for variant in rule.experiment.arms)
        else:
            yield rule.destination
            yield from (app["store"] for app in (rule.app or {}).values() if app.get("store"))


def compiled(rules: RuleList, link: Link, numbers: Numbers, blocked: frozenset[str], *, sticky: bool) -> Rules | None:
    """The rules as the redirect reads them; None where there are none.

    `blocked` are destinations that have stopped, `sticky` whether a cookie may keep a visitor's variant. A rule that
    has no number yet gets 0.
    """
    return routing.put_together(
        tuple(
            _experiment(rule, link, numbers, blocked, sticky=sticky)
            if isinstance(rule, Placed)
            else _route(rule, link, numbers, blocked)
            for rule in rules.rules
        )
    )


def _experiment(placed: Placed, link: Link, numbers: Numbers, blocked: frozenset[str], *, sticky: bool) -> routing.Rule:
    experiment = placed.experiment
    return routing.Rule(
        placed.rule_id,
        placed.idle,
        matching.compiled(placed.when),
        tuple(
            targets.compiled(link, variant.destination, numbers.get((placed.rule_id, variant.key), 0), blocked)
            for variant in experiment.arms
        ),
        table=experiment.table,
        salt=experiment.salt,
        sticky=sticky,
    )


def _route(route: Route, link: Link, numbers: Numbers, blocked: frozenset[str]) -> routing.Rule:
    number = numbers.get((route.rule_id, ""), 0)
    own = targets.compiled(link, route.destination, number, blocked)
    apps = {system: _app(system, app, route, link, own, blocked) for system, app in (route.app or {}).items()}
    return routing.Rule(route.rule_id, route.idle, matching.compiled(route.when), (own,), apps=apps or None)


def _app(name: str, app: Mapping[str, str], route: Route, link: Link, own: Target, blocked: frozenset[str]) -> Target:
    """What opens an app, else its store, else the route's own destination. Nothing is ever appended."""
    fallback = app.get("store") or route.destination
    if name == ANDROID:
        address, opener = app_links.intent(app["link"], app["package"], fallback), None
    else:
        address, opener = app["link"], App(app["link"], fallback)
    suppression = targets.token_suppression(link._replace(long_url=app["link"])) or "not_http"
    stopped = own.stopped or fallback in blocked
    return Target(own.decision, address.encode(), b"", b"", "", suppression, frozenset(), stopped, opener)


def shadowed(rules: Iterable[Route | Placed]) -> list[Shadow]:
    """The rules that never decide, or will not once they are started, as far as can be read off their conditions."""
    at_work: list[Route | Placed] = []
    found = []
    for rule in rules:
        if rule.idle in ("disabled", "stopped"):
            continue
        by = next((one for one in at_work if conditions.implies(rule.when, one.when)), None)
        if by is not None:
            found.append(Shadow(rule.rule_id, by.rule_id))
        if not rule.idle:
            at_work.append(rule)
    return found
