"""Answers: what can be asked of the columnar store, by name, as plain values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nimriz.analytics import bridge, click_rows, differences, figures, journeys, link_figures, reports, tallies, zones
from nimriz.analytics.click_rows import ClicksAsked
from nimriz.analytics.dimensions import Question
from nimriz.analytics.figures import Figures, Key
from nimriz.analytics.reports import Report
from nimriz.analytics.rows import Rows
from nimriz.analytics.zones import UNITS


def answer(rows: Rows, asked: str, question: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question. Raises KeyError for what cannot be asked."""
    return _ANSWERS[asked](rows, question)


def read_question(values: dict[str, Any]) -> Question:
    """A question from its plain values."""
    return Question(**{**values, "by": tuple(values["by"]), "left_out": tuple(values["left_out"])})


def _report(rows: Rows, values: dict[str, Any]) -> dict[str, Any]:
    return _told(rows, read_question(values), reports.build)


def _experiment(rows: Rows, values: dict[str, Any]) -> dict[str, Any]:
    return tallies.tallied(rows, tallies.Experiment(**values))


def _clicks(rows: Rows, values: dict[str, Any]) -> dict[str, Any]:
    question = read_question(values)
    told = _told(rows, question, reports.of_clicks)
    return {**told, **reports.clicks_apart(rows, question)}


def _told(rows: Rows, question: Question, build: Callable[[Rows, Question], Report]) -> dict[str, Any]:
    report = build(rows, question)
    ordered = _ordered(question, report.rows)
    page = ordered[question.offset : question.offset + question.limit]
    told: dict[str, Any] = {
        "rows": [[list(key), found.as_wire()] for key, found in page],
        "row_count": len(ordered),
        "totals": report.totals.as_wire(),
        "unattributed": report.unattributed.as_wire(),
        "reasons": report.reasons,
    }
    if question.compared_to_ms:
        other = build(
            rows, question._replace(from_ms=question.compared_from_ms, to_ms=question.compared_to_ms, series=False)
        )
        told["compared"] = {
            "rows": [other.rows.get(key, Figures()).as_wire() for key, _ in page],
            "totals": other.totals.as_wire(),
            "unattributed": other.unattributed.as_wire(),
        }
    return told


def _ordered(question: Question, rows: dict[Key, Figures]) -> list[tuple[Key, Figures]]:
    """The rows as they are ranked; of a series every unit of the period, in order, those without anything too."""
    if not question.series:
        return figures.ranked(rows.items())
    (name,) = question.by
    (unit,) = (unit for unit in UNITS if unit == name)
    labels = zones.labels(unit, question.zone, question.from_ms, question.to_ms)
    return [(key, rows.get(key, Figures())) for key in ((label,) for label in labels)]


def _funnel(rows: Rows, values: dict[str, Any]) -> dict[str, Any]:
    report, steps = journeys.funnel(rows, read_question(values))
    return {"totals": report.totals.as_wire(), "steps": steps}


def _cohorts(rows: Rows, values: dict[str, Any]) -> dict[str, Any]:
    return journeys.cohorts(rows, read_question(values))


def _bridge(rows: Rows, values: dict[str, Any]) -> dict[str, Any]:
    return bridge.bridged(rows, read_question(values))


def _changes(rows: Rows, values: dict[str, Any]) -> dict[str, Any]:
    return differences.between(rows, differences.Between(**values))


def _link(rows: Rows, values: dict[str, Any]) -> dict[str, Any]:
    return link_figures.told(rows, read_question(values))


def _plan(rows: Rows, values: dict[str, Any]) -> dict[str, Any]:
    return click_rows.plan(rows, ClicksAsked(**values))


_ANSWERS: dict[str, Callable[[Rows, dict[str, Any]], dict[str, Any]]] = {
    "report": _report,
    "clicks": _clicks,
    "experiment": _experiment,
    "funnel": _funnel,
    "cohorts": _cohorts,
    "bridge": _bridge,
    "changes": _changes,
    "link": _link,
    "plan": _plan,
}
