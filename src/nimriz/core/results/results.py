"""Results: what became of an experiment, by variant, and what may be said of it.

Pure: put together from figures that were counted by decision number. A number is of one variant for ever and travels
in the token, so a conversion counts with its variant whatever became of its click's row, or of the experiment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nimriz.core.results import findings
from nimriz.core.results.findings import Finding, Stretch, Tally
from nimriz.core.results.means import Sums
from nimriz.core.routing.experiments import Phase

EVENTS = {
    "lead": "leads",
    "sale": "sales",
    "refund": "refunds",
    "cancellation": "cancellations",
    "reversal": "reversals",
    "reinstatement": "reinstatements",
}


WEIGHED_MAX = 100
"""Of an experiment whose weights changed more often, the oldest are taken together."""


class Weighed(NamedTuple):
    """From when on visitors were divided by these weights, in percent by variant; none where they are not told."""

    from_ms: int
    weights: Mapping[str, int]


class Counted(NamedTuple):
    """Figures by place among the weights and decision number, each a list of rows.

    clicks: place, decision, clicks, tracked clicks, clicks without a visitor's hash
    visitors: place, decision, visitors, also those of whom only a conversion is known
    events: place, decision, a key of EVENTS, how many, of how many visitors
    money: place, decision, currency, gross and taken back, in minor units
    nets: place, decision, currency, the net revenue of a visitor in minor units, how many brought exactly that
    """

    clicks: Sequence[Sequence[Any]]
    visitors: Sequence[Sequence[Any]]
    events: Sequence[Sequence[Any]]
    money: Sequence[Sequence[Any]]
    nets: Sequence[Sequence[Any]]


@dataclass(slots=True)
class VariantFigures:
    """The figures of one variant, all told. `revenue` has gross and taken back by currency, in minor units."""

    clicks: int = 0
    tracked_clicks: int = 0
    events: dict[str, int] = field(default_factory=lambda: dict.fromkeys(EVENTS.values(), 0))
    revenue: dict[str, tuple[int, int]] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)


class Results(NamedTuple):
    """What became of an experiment. `findings` are by figure: leads, sales, and the net revenue of each currency."""

    variants: Mapping[str, VariantFigures]
    sample_ratio: Finding
    leads: Finding
    sales: Finding
    revenue: Mapping[str, Finding]


def weighed(phases: Iterable[Phase]) -> list[Weighed]:
    """From when on an experiment had which weights. Pauses end nothing: nobody is divided then."""
    found: list[Weighed] = []
    for phase in phases:
        weights = json.loads(phase.weights)
        if phase.state == "running" and (not found or found[-1].weights != weights):
            found.append(Weighed(phase.began_at_ms, weights))
    if len(found) > WEIGHED_MAX:
        found = [Weighed(found[0].from_ms, {}), *found[1 - WEIGHED_MAX :]]
    return found


def build(variants: Mapping[int, str], weights: Sequence[Weighed], counted: Counted, *, kept: bool) -> Results:
    """The results of an experiment. `variants` are their keys by decision number, in the experiment's order.

    `kept`: visitors may have kept a variant when the weights changed, so that only the first of them divided anybody.
    """
    tallies = [{key: Tally() for key in variants.values()} for _ in weights]
    figures = {key: VariantFigures() for key in variants.values()}
    for _, decision, clicks, tracked, _ in counted.clicks:
        figures[variants[decision]].clicks += clicks
        figures[variants[decision]].tracked_clicks += tracked
    for place, decision, visitors in counted.visitors:
        tallies[place][variants[decision]].visitors += visitors
    for place, decision, name, events, visitors in counted.events:
        figures[variants[decision]].events[EVENTS[name]] += events
        tally = tallies[place][variants[decision]]
        tally.leads += visitors if name == "lead" else 0
        tally.sales += visitors if name == "sale" else 0
    for _, decision, currency, gross, taken in counted.money:
        revenue = figures[variants[decision]].revenue
        before = revenue.get(currency, (0, 0))
        revenue[currency] = (before[0] + gross, before[1] + taken)
    for place, decision, currency, net, visitors in counted.nets:
        tally = tallies[place][variants[decision]]
        sums = Sums(visitors, net * visitors, net * net * visitors)
        tally.revenue[currency] = tally.revenue.get(currency, Sums()).plus(sums)
    stretches = [
        Stretch(one.weights, tallies[place], divided=bool(one.weights) and not (kept and place))
        for place, one in enumerate(weights)
    ]
    for key, told in figures.items():
        told.tally = findings.together(stretches, key)
    return _judged(list(variants.values()), figures, _joined(stretches))


def _joined(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Stretches of the same weights as one: what is known of them is known together."""
    found: list[Stretch] = []
    for stretch in stretches:
        alike = next((s for s in found if s.divided == stretch.divided and s.weights == stretch.weights), None)
        if alike is None:
            found.append(stretch)
        else:
            tallies = {key: findings.together([alike, stretch], key) for key in stretch.tallies}
            found[found.index(alike)] = alike._replace(tallies=tallies)
    return found


def _judged(variants: list[str], figures: Mapping[str, VariantFigures], stretches: list[Stretch]) -> Results:
    ratio = findings.sample_ratio(variants, stretches)
    mismatch = ratio.code == "sample_ratio_mismatch"
    currencies = sorted({currency for told in figures.values() for currency in told.revenue})
    return Results(
        figures,
        ratio,
        findings.of_rates(variants, stretches, _leads, mismatch=mismatch),
        findings.of_rates(variants, stretches, _sales, mismatch=mismatch),
        {currency: findings.of_revenue(variants, stretches, currency, mismatch=mismatch) for currency in currencies},
    )


def _leads(tally: Tally) -> int:
    return tally.leads


def _sales(tally: Tally) -> int:
    return tally.sales
