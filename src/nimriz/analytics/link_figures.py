"""What the clicks of one link tell: how many, on which days, worth what, and from where."""

from __future__ import annotations

from typing import Any

from nimriz.analytics import reports
from nimriz.analytics.dimensions import OF_CONTEXT, Question
from nimriz.analytics.rows import Rows

KEYS_MAX = 100
"""How many keys of a breakdown are told; the rest is added up under null."""
_GROUPED = ", ".join(f"c.{name}" for name in OF_CONTEXT)
_SETS = ", ".join(f"(c.{name})" for name in OF_CONTEXT)
# The bits of grouping() stand for the columns, the first one highest: 0 for those that a row is grouped by.
_ALL_BITS = (1 << len(OF_CONTEXT)) - 1
_NAME_OF = {_ALL_BITS ^ (1 << place): name for place, name in enumerate(reversed(OF_CONTEXT))}


def told(rows: Rows, question: Question) -> dict[str, Any]:
    """The clicks of a question, which asks for one link by day."""
    report = reports.of_clicks(rows, question)
    quality = reports.clicks_apart(rows, question)["quality"]
    return {
        "totals": report.totals.as_wire(),
        "bots": quality.get("bot", 0),
        "suspects": quality.get("suspect", 0),
        "by_day": {day: figures.clicks for (day,), figures in report.rows.items()},
        "breakdowns": _breakdowns(rows, question),
    }


def _breakdowns(rows: Rows, question: Question) -> dict[str, list[tuple[str | None, int]]]:
    """The clicks by each dimension, all in one pass over them."""
    source, condition = reports.clicks_asked(question)
    found = rows.all(
        f"select grouping({_GROUPED}), concat({_GROUPED}), count(*) from {source} where {condition.sql} "
        f"group by grouping sets ({_SETS})",
        condition.params,
    )
    counted: dict[str, dict[str, int]] = {name: {} for name in OF_CONTEXT}
    for bits, key, clicks in found:
        counted[_NAME_OF[int(bits)]][str(key)] = int(clicks)
    return {name: top(counts) for name, counts in counted.items()}


def top(counted: dict[str, int]) -> list[tuple[str | None, int]]:
    """The keys with the most clicks, '' left out, equal ones by name; what is beyond them under None."""
    keys = sorted((key for key in counted if key), key=lambda key: (-counted[key], key))
    told: list[tuple[str | None, int]] = [(key, counted[key]) for key in keys[:KEYS_MAX]]
    rest = sum(counted[key] for key in keys[KEYS_MAX:])
    return [*told, (None, rest)] if rest else told
