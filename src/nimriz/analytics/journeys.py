"""Journeys: how far clicks come, and how long it takes them: the funnel, and cohorts of clicks.

Both follow the clicks made in a period, whenever they brought something; clicks are those that were tracked.
"""

from __future__ import annotations

from typing import Any

from nimriz.analytics import zones
from nimriz.analytics.dimensions import Question
from nimriz.analytics.lines import clamped, lines_asked, lines_at
from nimriz.analytics.reports import Report, build, clicks_asked
from nimriz.analytics.rows import Rows
from nimriz.analytics.zones import UNITS
from nimriz.base.clock import DAY_MS

DAYS_MAX = 30
"""A window has no more days, so no conversion comes later."""

# One row for each click that brought something: when it first brought a lead, and a sale.
_EACH = (
    "each_click as (select l.click_id as click_id, min(l.clicked_ms) as clicked_ms, "
    "min(case when l.counted = 'lead' then l.event_ms end) as lead_ms, "
    "min(case when l.counted = 'sale' then l.event_ms end) as sale_ms from {source} where {condition} "
    "and l.status = 'attributed' and l.counted in ('lead', 'sale') group by l.click_id)"
)
_SPANS = ("lead_ms - clicked_ms", "sale_ms - clicked_ms", "case when sale_ms >= lead_ms then sale_ms - lead_ms end")
_STEPS = (
    "select count(lead_ms), count(sale_ms), "
    "sum(case when lead_ms is not null and sale_ms is not null then 1 else 0 end), "
    + ", ".join(f"medianExactLow({span}), medianExactHigh({span}), avg({span})" for span in _SPANS)
    + " from each_click"
)


def funnel(rows: Rows, question: Question) -> tuple[Report, dict[str, Any]]:
    """The report of clicks made in the period, and how many of them brought what, after how many milliseconds."""
    question = question._replace(clock="click")
    source, condition = lines_asked(question)
    each = _EACH.format(source=source, condition=condition.sql)
    (found,) = rows.all(f"{lines_at(question)}, {each} {_STEPS}", condition.params)
    leads, sales, both = (int(value or 0) for value in found[:3])
    after = [_median_and_mean(*found[first : first + 3]) for first in (3, 6, 9)]
    return build(rows, question), {
        "leads": leads,
        "sales": sales,
        "leads_and_sales": both,
        "to_lead_ms": after[0],
        "to_sale_ms": after[1],
        "lead_to_sale_ms": after[2],
    }


def _median_and_mean(low: int | None, high: int | None, mean: float | None) -> list[int | None]:
    """Whole milliseconds; None where no click came so far."""
    if low is None or high is None or mean is None:
        return [None, None]
    return [int((low + high) / 2), int(mean)]


def cohorts(rows: Rows, question: Question) -> dict[str, Any]:
    """For each day, week or month of clicks: its tracked clicks, and how many first brought something after n days."""
    (unit,) = (unit for unit in UNITS if unit == question.by[0])
    question = question._replace(clock="click")
    source, condition = clicks_asked(question)
    begins = zones.start("c.clicked_ms", unit, question.zone, *clamped(question))
    clicks = rows.all(
        f"select {begins} as k0, count(*) from {source} where {condition.sql} and c.tracked = 1 group by k0",
        condition.params,
    )
    source, condition = lines_asked(question)
    each = _EACH.format(source=source, condition=condition.sql)
    begins = zones.start("clicked_ms", unit, question.zone, *clamped(question))
    after = "(least(coalesce(lead_ms, sale_ms), coalesce(sale_ms, lead_ms)) - clicked_ms)"
    # An event may be timed a little before its click.
    days = f"case when {after} < 0 then 0 else ({after} - {after} % {DAY_MS}) end"
    brought = rows.all(
        f"{lines_at(question)}, {each} select {begins} as k0, {days} as k1, count(*) from each_click group by k0, k1",
        condition.params,
    )
    found: dict[str, dict[str, Any]] = {}
    for begin, count in clicks:
        found[zones.label(int(begin), unit, question.zone)] = {"clicks": int(count), "by_days": [0] * (DAYS_MAX + 1)}
    for begin, after_ms, count in brought:
        row = found.setdefault(
            zones.label(int(begin), unit, question.zone), {"clicks": 0, "by_days": [0] * (DAYS_MAX + 1)}
        )
        row["by_days"][min(int(after_ms) // DAY_MS, DAYS_MAX)] += int(count)
    return {"rows": [[key, row] for key, row in sorted(found.items())]}
