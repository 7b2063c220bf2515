"""Answers: what can be asked of the columnar store, by name, as plain values."""

from __future__ import annotations

from typing import Any

from nimriz.analytics import figures, reports, tallies
from nimriz.analytics.dimensions import Question
from nimriz.analytics.duck import Rows


def answer(rows: Rows, asked: str, question: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question. Raises KeyError for what cannot be asked."""
    return _ANSWERS[asked](rows, question)


def read_question(values: dict[str, Any]) -> Question:
    """A question from its plain values."""
    return Question(**{**values, "by": tuple(values["by"]), "left_out": tuple(values["left_out"])})


def _report(rows: Rows, values: dict[str, Any]) -> dict[str, Any]:
    question = read_question(values)
    report = reports.build(rows, question)
    ranked = figures.ranked((key, told) for key, told in report.rows.items())
    page = ranked[question.offset : question.offset + question.limit]
    return {
        "rows": [[list(key), told.as_wire()] for key, told in page],
        "row_count": len(ranked),
        "totals": report.totals.as_wire(),
        "unattributed": report.unattributed.as_wire(),
        "reasons": report.reasons,
    }


def _experiment(rows: Rows, values: dict[str, Any]) -> dict[str, Any]:
    return tallies.tallied(rows, tallies.Experiment(**values))


_ANSWERS = {"report": _report, "experiment": _experiment}
