"""Reports: clicks, leads, sales and net revenue, by link, event name or day.

The definitions are section 4 of the wire contract. Rows and totals hold attributed events; all else
stands in `unattributed`; together they make the workspace. Sums are Python integers, exact at any size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from nimriz.core.clicks import Counted, RowOf
from nimriz.core.mode import Mode, by_mode
from nimriz.store.db import Params, Row, Tx

By = Literal["link", "event_name", "day"]
BYS: tuple[By, ...] = ("link", "event_name", "day")
ClockName = Literal["event", "click"]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: events in [from_ms, to_ms), grouped. Empty filters ask for all."""

    workspace_id: str
    mode: Mode
    from_ms: int
    to_ms: int
    zone: ZoneInfo
    by: By
    clock: ClockName = "event"
    link_id: str = ""
    event_name: str = ""


@dataclass(slots=True)
class Revenue:
    """Money in one currency, in minor units."""

    gross_minor: int = 0
    taken_back_minor: int = 0

    @property
    def net_minor(self) -> int:
        """Gross without what was taken back; below zero for a day when the sale was on another."""
        return self.gross_minor - self.taken_back_minor


@dataclass(slots=True)
class Figures:
    """The members of a row."""

    clicks: int = 0
    tracked_clicks: int = 0
    unique_clicks: int | None = 0
    leads: int = 0
    sales: int = 0
    refunds: int = 0
    cancellations: int = 0
    reversals: int = 0
    reinstatements: int = 0
    attributed: int = 0
    revenue: dict[str, Revenue] = field(default_factory=dict)

    def money(self, currency: str) -> Revenue:
        """The sums in a currency."""
        return self.revenue.setdefault(currency, Revenue())


@dataclass(slots=True)
class Report:
    """The answer to a Question. `rows` by key, unsorted."""

    rows: dict[str, Figures] = field(default_factory=dict)
    totals: Figures = field(default_factory=Figures)
    unattributed: Figures = field(default_factory=Figures)
    reasons: dict[str, int] = field(default_factory=dict)

    def row(self, key: str) -> Figures:
        """The row of a key."""
        return self.rows.setdefault(key, Figures())


_COUNTED = {
    "lead": "leads",
    "sale": "sales",
    "refund": "refunds",
    "cancellation": "cancellations",
    "reversal": "reversals",
    "reinstatement": "reinstatements",
}
_STANDING = (
    "@verdicts as {v} on {v}.seq = (select max(w.seq) from @verdicts as w "
    "where w.workspace_id = {o}.workspace_id and w.event_id = {o}.event_id)"
)
_PERIOD = (
    "(v.status = 'attributed' and :clock = 'click' and v.clicked_at_ms >= :from_ms and v.clicked_at_ms < :to_ms "
    "or (v.status <> 'attributed' or :clock = 'event') and o.event_time_ms >= :from_ms and o.event_time_ms < :to_ms)"
)
_EVENTS = by_mode(
    "select o.event_name, o.event_time_ms, o.value_minor, o.currency, v.status, v.reason, v.link_id, "
    "v.clicked_at_ms, (select count(*) from @outcomes as r where r.workspace_id = o.workspace_id "
    "and o.event_name = 'sale' and o.related_event_id <> '' and r.event_id = o.related_event_id "
    "and r.event_name = 'reversal') "
    f"from @outcomes as o join {_STANDING.format(v='v', o='o')} "
    "where o.workspace_id = :workspace_id and (:link_id = '' or v.link_id = :link_id) "
    f"and (:event_name = '' or o.event_name = :event_name) and {_PERIOD}"
)
# What stands between an event and a sale counts with the sale's link and click, and under the event clock
# on the event's own day. Corrections that came to nothing leave no trace.
_MOVEMENTS = by_mode(
    "select o.event_name, o.event_time_ms, m.amount_minor, s.currency, v.status, '', v.link_id, v.clicked_at_ms "
    "from (select workspace_id, event_id, sale_event_id, sum(amount_minor) as amount_minor from @movements "
    "where workspace_id = :workspace_id group by workspace_id, event_id, sale_event_id "
    "having sum(amount_minor) <> 0) as m "
    "join @outcomes as o on o.workspace_id = m.workspace_id and o.event_id = m.event_id "
    "join @outcomes as s on s.workspace_id = m.workspace_id and s.event_id = m.sale_event_id "
    f"join {_STANDING.format(v='v', o='s')} "
    "where (:link_id = '' or v.link_id = :link_id) "
    f"and (:event_name = '' or o.event_name = :event_name) and {_PERIOD}"
)


def row_of(question: Question) -> RowOf:
    """In which row a report counts clicks: by event name in none."""
    day_of = _day_of(question.zone)
    if question.by == "link":
        return lambda link_id, _: link_id
    return lambda _, quarter_ms: day_of(quarter_ms) if question.by == "day" else None


def build(tx: Tx, question: Question, clicks: Counted) -> Report:
    """The report over what stands now. `clicks` are those that the question asks for, counted by its rows."""
    report = Report()
    day_of = _day_of(question.zone)
    _add_clicks(report, row_of(question), clicks)
    params: Params = {
        "workspace_id": question.workspace_id,
        "from_ms": question.from_ms,
        "to_ms": question.to_ms,
        "clock": question.clock,
        "link_id": question.link_id,
        "event_name": question.event_name,
    }
    for row in tx.all(_EVENTS[question.mode], params):
        for figures_of_event in _places(report, question, row, day_of):
            _count_event(figures_of_event, row, question.event_name)
        if row[4] != "attributed":
            report.reasons[str(row[5])] = report.reasons.get(str(row[5]), 0) + 1
    for row in tx.all(_MOVEMENTS[question.mode], params):
        for figures_of_event in _places(report, question, row, day_of):
            figures_of_event.money(str(row[3])).taken_back_minor += int(row[2])
    return report


def _add_clicks(report: Report, key_of: RowOf, clicks: Counted) -> None:
    for counted in clicks.counts:
        key = key_of(counted.link_id, counted.quarter_ms)
        for f in (report.totals,) if key is None else (report.totals, report.row(key)):
            f.clicks += counted.clicks
            f.tracked_clicks += counted.tracked_clicks
    for key, unique_clicks in clicks.unique.items():
        (report.totals if key is None else report.row(key)).unique_clicks = unique_clicks


def _day_of(zone: ZoneInfo) -> Callable[[int], str]:
    return lru_cache(1_024)(lambda instant_ms: datetime.fromtimestamp(instant_ms // 1000, zone).date().isoformat())


def _places(report: Report, question: Question, row: Row, day_of: Callable[[int], str]) -> list[Figures]:
    """Where an event or a movement counts: its row and the totals, or `unattributed`."""
    event_name, event_time_ms, _, _, status, _, link_id, clicked_at_ms = row[:8]
    if status != "attributed":
        return [report.unattributed]
    if question.by == "link":
        key = str(link_id)
    elif question.by == "event_name":
        key = str(event_name)
    else:
        key = day_of(int((clicked_at_ms if question.clock == "click" else event_time_ms) or 0))
    return [report.totals, report.row(key)]


def _count_event(figures: Figures, row: Row, asked_for: str) -> None:
    name, value_minor, currency, reinstates = str(row[0]), row[2], str(row[3]), bool(row[8])
    member = _COUNTED["reinstatement" if reinstates else name]
    setattr(figures, member, getattr(figures, member) + 1)
    if row[4] == "attributed" and not reinstates and (name in ("lead", "sale") or name == asked_for):
        figures.attributed += 1
    if name == "sale" and not reinstates and value_minor is not None:
        figures.money(currency).gross_minor += int(value_minor)


def rate(attributed: int, tracked_clicks: int) -> float | None:
    """Attributed events per tracked click, rounded half up to four digits; None without clicks."""
    if not tracked_clicks:
        return None
    return (attributed * 20_000 + tracked_clicks) // (2 * tracked_clicks) / 10_000


def ranked(report: Report) -> list[tuple[str, Figures]]:
    """The rows by net revenue, then conversions, then clicks, then key.

    Currencies are never added together: net revenue is compared in the currency that has the most gross
    rows' events here, the first by alphabet among equals, and then in the others.
    """
    currencies = sorted(report.totals.revenue, key=lambda c: (-sum(c in f.revenue for f in report.rows.values()), c))

    def rank(item: tuple[str, Figures]) -> tuple[list[int], int, int, str]:
        key, figures = item
        nets = [-figures.revenue[c].net_minor if c in figures.revenue else 0 for c in currencies]
        return nets, -(figures.leads + figures.sales), -figures.clicks, key

    return sorted(report.rows.items(), key=rank)
