"""The results of an experiment: what became of each variant, and what may be said of them."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from nimriz.analytics import tallies
from nimriz.base.clock import to_rfc3339
from nimriz.base.money import CURRENCIES, to_decimal
from nimriz.core.clicks import retention
from nimriz.core.clicks.clicks import LEFT_OUT
from nimriz.core.directory import workspaces
from nimriz.core.directory.mode import Mode
from nimriz.core.results import findings, results
from nimriz.core.results.evidence import Interval
from nimriz.core.results.findings import Comparison, Finding, Tally
from nimriz.core.results.results import Counted, Results, VariantFigures, Weighed
from nimriz.core.routing import decisions, experiments
from nimriz.core.routing.experiments import Experiment
from nimriz.store.db import Tx
from nimriz.web.api import result_words
from nimriz.web.api.asking import plan_with_surface
from nimriz.web.api.audience import audience_of
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.links import found
from nimriz.web.api.period import read_period

router = APIRouter()

_RATIO_DIGITS = 4
_MORE_DIGITS = 2
"""Money by visitor is told with so many digits more than its currency has."""


class ResultsQuery(BaseModel):
    """GET /api/v1/links/{link_id}/experiments/{experiment_id}/results"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    from_: str = Field(default="", alias="from")
    to: str = ""
    timezone: str = "UTC"
    mode: Mode = "live"
    include_bots: bool = False
    include_suspects: bool = True


class _Known(NamedTuple):
    """What the records say of an experiment."""

    experiment: Experiment
    weights: list[Weighed]
    numbers: dict[int, str]
    plan: str
    sticky: bool


@router.get("/api/v1/links/{link_id}/experiments/{experiment_id}/results")
async def experiment_results(
    request: Request, link_id: str, experiment_id: str, query: Annotated[ResultsQuery, Query()]
) -> Response:
    """Clicks, visitors, leads, sales and net revenue of each variant, and what may be said of them."""
    desk: Desk = request.app.state.desk
    key = caller(request, "analytics:read")
    now_ms = desk.clock.now_ms()
    audience = audience_of(query.include_bots, query.include_suspects)
    known = await desk.read(lambda tx: _known(tx, key.workspace_id, link_id, experiment_id))
    began_ms = known.experiment.started_at_ms or known.experiment.created_at_ms
    ended_ms = max(known.experiment.stopped_at_ms or now_ms, began_ms)
    period = read_period(query.from_ or to_rfc3339(began_ms), query.to or to_rfc3339(ended_ms), query.timezone, now_ms)
    # The clicks of a moment after the end were still decided by the experiment, in a process that had not heard of it.
    to_ms = period.to_ms if query.to else _FAR_MS
    asked = tallies.Experiment(
        key.workspace_id,
        query.mode,
        link_id,
        list(known.numbers),
        [one.from_ms for one in known.weights],
        period.from_ms,
        to_ms,
        list(filter(None, LEFT_OUT[audience])),
    )
    told = await desk.ask("experiment", asked._asdict())
    counted = Counted(*(told[name] for name in Counted._fields))
    # With many variants it takes a while, which nobody else should wait for.
    built = await asyncio.to_thread(results.build, known.numbers, known.weights, counted, kept=known.sticky)
    hidden = period.from_ms < retention.shown_from_ms(known.plan, now_ms)
    return answer(
        {
            "experiment_id": experiment_id,
            "link_id": link_id,
            "name": known.experiment.name,
            "state": known.experiment.state,
            "mode": query.mode,
            "from": period.from_text,
            "to": period.to_text,
            "timezone": query.timezone,
            "unit": told["unit"],
            "weights": [{"from": to_rfc3339(one.from_ms), "weights": dict(one.weights)} for one in known.weights],
            "variants": _variants(known.experiment, built, hidden=hidden),
            **_findings(known.experiment, built, told["unit"], hidden=hidden),
            "fresh_as_of": to_rfc3339(told["fresh_ms"]),
        }
    )


_FAR_MS = 253_402_300_799_000


def _known(tx: Tx, workspace_id: str, link_id: str, experiment_id: str) -> _Known:
    """Raises Refused: surface_not_enabled, link_not_found, experiment_not_found."""
    plan = plan_with_surface(tx, workspace_id)
    found(tx, workspace_id, link_id)
    experiment = experiments.find(tx, link_id, experiment_id)
    given = {one.variant: one.decision for one in decisions.of_link(tx, link_id) if one.rule_id == experiment_id}
    numbers = {given[variant.key]: variant.key for variant in experiment.arms if variant.key in given}
    workspace = workspaces.find(tx, workspace_id)
    sticky = bool(workspace and workspace.sticky_cookie)
    return _Known(experiment, results.weighed(experiments.phases(tx, experiment_id)), numbers, plan, sticky)


# --- by variant -----------------------------------------------------------------------------------------------------


def _variants(experiment: Experiment, built: Results, *, hidden: bool) -> list[dict[str, Any]]:
    count = len(built.variants)
    told = []
    for variant in experiment.arms:
        figures = built.variants.get(variant.key, VariantFigures())
        tally = figures.tally
        told.append(
            {
                "key": variant.key,
                "variant": f"{experiment.link_id}/{variant.key}",
                "name": variant.name,
                "weight": variant.weight,
                "clicks": None if hidden else figures.clicks,
                "tracked_clicks": None if hidden else figures.tracked_clicks,
                "visitors": None if hidden else tally.visitors,
                **figures.events,
                "visitors_with_lead": tally.leads,
                "visitors_with_sale": tally.sales,
                "lead_rate": None if hidden else _rate(tally.leads, tally.visitors, count),
                "sale_rate": None if hidden else _rate(tally.sales, tally.visitors, count),
                "revenue": [
                    _revenue(currency, *money, None if hidden else tally, count)
                    for currency, money in sorted(figures.revenue.items())
                ],
            }
        )
    return told


def _rate(converted: int, visitors: int, count: int) -> dict[str, float | None]:
    interval = findings.rate_of(converted, visitors, count)
    return _ratio_between(converted / visitors if visitors else None, interval)


def _revenue(currency: str, gross: int, taken_back: int, tally: Tally | None, count: int) -> dict[str, Any]:
    net = gross - taken_back
    sums = {"gross": gross, "taken_back": taken_back, "net": net}
    return {
        "currency": currency,
        **{name: to_decimal(minor, currency or None) for name, minor in sums.items()},
        **{f"{name}_minor": minor for name, minor in sums.items()},
        "net_per_visitor": None if tally is None else _by_visitor(currency, net, tally, count),
    }


def _by_visitor(currency: str, net: int, tally: Tally, count: int) -> dict[str, str | None]:
    interval = findings.revenue_of(tally, currency, count) or Interval(None, None)
    estimate = Fraction(net, tally.visitors) if tally.visitors else None
    return _money_between(currency, estimate, interval)


# --- findings -------------------------------------------------------------------------------------------------------


def _findings(experiment: Experiment, built: Results, unit: str, *, hidden: bool) -> dict[str, Any]:
    names = {variant.key: variant.name or variant.key for variant in experiment.arms}
    ratio = None if hidden else built.sample_ratio
    rates = {"leads": built.leads, "sales": built.sales}
    return {
        "sample_ratio": {
            "code": _code(ratio),
            "sentence": result_words.of_sample_ratio(ratio, unit),
            "p_value": None if ratio is None or ratio.p_value is None else float(f"{ratio.p_value:.3g}"),
            "level": findings.MISMATCH_LEVEL,
            "method": result_words.METHODS["sample_ratio"],
        },
        "findings": [
            *(_finding(figure, "", None if hidden else rate, names) for figure, rate in rates.items()),
            *(_finding("revenue", currency, None if hidden else one, names) for currency, one in built.revenue.items()),
        ],
    }


def _finding(figure: str, currency: str, finding: Finding | None, names: result_words.Names) -> dict[str, Any]:
    return {
        "figure": figure,
        "currency": currency or None,
        "code": _code(finding),
        "sentence": result_words.of_figure(finding, figure, names, currency),
        "variants": [] if finding is None else list(finding.variants),
        "comparisons": [] if finding is None else [_comparison(one, currency) for one in finding.comparisons],
        "level": findings.LEVEL,
        "method": result_words.METHODS["revenue" if figure == "revenue" else "rate"],
    }


def _code(finding: Finding | None) -> str:
    return "clicks_not_shown" if finding is None else finding.code


def _comparison(one: Comparison, currency: str) -> dict[str, Any]:
    """The second of two variants beside the first: a lift of rates is 0.2 for a fifth more."""
    low, high = one.interval
    if currency:
        estimate = None if one.estimate is None else Fraction(one.estimate)
        between: dict[str, Any] = {"lift": None, "difference": _money_between(currency, estimate, one.interval)}
    else:
        lifts = Interval(None if low is None else low - 1, None if high is None else high - 1)
        estimated = None if one.estimate is None else one.estimate - 1
        between = {"lift": _ratio_between(estimated, lifts), "difference": None}
    return {"variant": one.second, "against": one.first, "enough": one.enough, "ahead": one.ahead or None, **between}


def _ratio_between(estimate: float | None, interval: Interval) -> dict[str, float | None]:
    told = zip(("estimate", "low", "high"), (estimate, *interval), strict=True)
    return {name: None if value is None else round(value, _RATIO_DIGITS) for name, value in told}


def _money_between(currency: str, estimate: Fraction | None, interval: Interval) -> dict[str, str | None]:
    """Amounts by visitor, in minor units, as decimals of the currency with a few digits more."""
    digits = CURRENCIES.get(currency, 0)
    low, high = (None if end is None else Fraction(end) for end in interval)
    told = {"estimate": estimate, "low": low, "high": high}
    return {name: None if v is None else _decimal(v / 10**digits, digits + _MORE_DIGITS) for name, v in told.items()}


def _decimal(value: Fraction, digits: int) -> str:
    """Rounded half up in size, with exactly so many digits."""
    whole = (2 * abs(value) * 10**digits + 1) // 2
    text = str(int(whole)).rjust(digits + 1, "0")
    sign = "-" if value < 0 and whole else ""
    return f"{sign}{text[:-digits]}.{text[-digits:]}"
