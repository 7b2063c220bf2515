"""Answers: what can be asked of the columnar store, by name, as plain values."""

from __future__ import annotations

from typing import Any

from nimriz.analytics import figures, reports
from nimriz.analytics.dimensions import Question
from nimriz.analytics.duck import Rows


def answer(rows: Rows, asked: str, question: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question. Raises KeyError for what cannot be asked."""
    return _ANSWERS[asked](rows, read_question(question))


def read_question(values: dict[str, Any]) -> Question:
    """A question from its plain values."""
    return Question(**{**values, "by": tuple(values["by"]), "left_out": tuple(values["left_out"])})


def _report(rows: Rows, question: Question) -> dict[str, Any]:
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


_ANSWERS = {"report": _report}
