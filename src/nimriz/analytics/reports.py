"""Reports: clicks, leads, sales and net revenue over a period, by any dimension.

The definitions are section 4 of the wire contract. Rows and totals hold attributed events; all else stands in
`unattributed`; together they make the workspace. The SQL is the subset that DuckDB and ClickHouse share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nimriz.analytics import conditions, zones
from nimriz.analytics.conditions import Condition
from nimriz.analytics.dimensions import Dimension, Question, dimension
from nimriz.analytics.figures import COUNTED, Figures, Key
from nimriz.analytics.lines import DECISIONS_OF, clamped, lines_asked, lines_at
from nimriz.analytics.rows import Row, Rows
from nimriz.analytics.tables import NO_ID
from nimriz.analytics.zones import UNITS
from nimriz.core.ledger.attribution import EXCLUDED

_COUNTS = "count(*), sum(tracked)"
_UNIQUE = "count(distinct visitor), sum(case when visitor is null then 1 else 0 end)"


@dataclass(slots=True)
class Report:
    """The answer to a Question. `rows` by key, unsorted."""

    rows: dict[Key, Figures] = field(default_factory=dict)
    totals: Figures = field(default_factory=Figures)
    unattributed: Figures = field(default_factory=Figures)
    reasons: dict[str, int] = field(default_factory=dict)

    def row(self, key: Key) -> Figures:
        """The row of a key."""
        return self.rows.setdefault(key, Figures())


def build(rows: Rows, question: Question) -> Report:
    """The report over one snapshot of the store."""
    report = Report()
    _add_clicks(report, rows, question)
    _add_lines(report, rows, question)
    return report


def of_clicks(rows: Rows, question: Question) -> Report:
    """Clicks alone."""
    report = Report()
    _add_clicks(report, rows, question)
    return report


def clicks_apart(rows: Rows, question: Question) -> dict[str, dict[str, int]]:
    """The clicks of a question by the reason why nothing was appended to their destination, and what they are worth.

    Those worth too little for the question are counted here as well.
    """
    source, condition = clicks_asked(question)
    suppressed = rows.all(
        f"select token_suppressed, count(*) from {source} where {condition.sql} and token_suppressed <> '' "
        "group by token_suppressed",
        condition.params,
    )
    source, condition = clicks_asked(question._replace(left_out=()))
    quality = _quality(question)
    judged = rows.all(
        f"select {quality} as k0, count(*) from {source} where {condition.sql} group by k0", condition.params
    )
    return {"suppressed": dict(sorted(suppressed)), "quality": dict(sorted(judged))}


def _quality(question: Question) -> str:
    """SQL: what a click `c` is worth at the moment that the question asks about."""
    return "coalesce(j.quality, c.made_quality)" if question.as_of_ms else "c.quality"


# --- clicks ---------------------------------------------------------------------------------------------------------


def _add_clicks(report: Report, rows: Rows, question: Question) -> None:
    source, condition = clicks_asked(question)
    (counts,) = rows.all(f"select {_COUNTS}, {_UNIQUE} from {source} where {condition.sql}", condition.params)
    _set_clicks(report.totals, counts)
    if "event_name" in question.by:
        return
    keyed = _Keyed.of_clicks(question)
    sql = (
        f"select {_COUNTS}, {_UNIQUE}, {keyed.selected} from {source}{keyed.joined} where {condition.sql} "
        f"group by {keyed.grouped}"
    )
    for row in rows.all(sql, condition.params):
        _set_clicks(report.row(keyed.key(row[4:])), row[:4])


def clicks_asked(question: Question) -> tuple[str, Condition]:
    """Where the clicks of a question are looked for, as `c`, and which of them are meant."""
    from_ms, to_ms = clamped(question)
    params: dict[str, Any] = {
        "workspace_id": question.workspace_id,
        "from_ms": max(from_ms, question.shown_from_ms),
        "to_ms": to_ms,
    }
    sql = "c.workspace_id = cast(:workspace_id as UUID) and c.clicked_ms >= :from_ms and c.clicked_ms < :to_ms"
    source, quality = "clicks as c", _quality(question)
    if question.as_of_ms:
        sql += " and c.clicked_ms <= :as_of_ms"
        params["as_of_ms"] = question.as_of_ms
        source += (
            " left join (select log, click_seq, argMax(quality, seq) as quality from judgments "
            "where judged_ms <= :as_of_ms group by log, click_seq) as j on j.log = c.log and j.click_seq = c.seq"
        )
    for n, left_out in enumerate(question.left_out):
        sql += f" and {quality} <> :left_out_{n}"
        params[f"left_out_{n}"] = left_out
    if conditions.needs_decisions(question):
        source += DECISIONS_OF.format(table="c")
    return source, conditions.all_of([Condition(sql, params), conditions.of_click(question, "c", "c")])


def _set_clicks(figures: Figures, counts: Sequence[Any]) -> None:
    clicks, tracked, unique, hashless = counts
    figures.clicks, figures.tracked_clicks = clicks, int(tracked or 0)
    figures.unique_clicks = None if hashless else unique


# --- events and money -----------------------------------------------------------------------------------------------

_SUMS = "sum(l.events), sum(cast(l.gross_minor as decimal(38, 0))), sum(l.taken_minor)"


def _add_lines(report: Report, rows: Rows, question: Question) -> None:
    keyed = _Keyed.of_lines(question)
    for row in _summed(rows, question, keyed):
        attributed = row[0] == "attributed"
        if attributed:
            _count(report.row(keyed.key(row[7:])), question, row)
        if "tag" not in question.by:
            _count_whole(report, question, row)
    if "tag" in question.by:
        # An event whose click has several tags stands in several rows, and once in the totals.
        for row in _summed(rows, question, None):
            _count_whole(report, question, row)


def _summed(rows: Rows, question: Question, keyed: _Keyed | None) -> list[Row]:
    """Status, reason, what is counted, currency, events, gross, taken back, and the columns of the key."""
    source, condition = lines_asked(question)
    sql = f"select l.status, l.reason, l.counted, l.currency, {_SUMS}"
    grouped = "l.status, l.reason, l.counted, l.currency"
    if keyed is not None:
        sql, source, grouped = f"{sql}, {keyed.selected}", f"{source}{keyed.joined}", f"{grouped}, {keyed.grouped}"
    begun = lines_at(question)
    return rows.all(f"{begun} {sql} from {source} where {condition.sql} group by {grouped}", condition.params)


def _count_whole(report: Report, question: Question, row: Row) -> None:
    if row[0] == "attributed":
        _count(report.totals, question, row)
        return
    # What is excluded is visible as a reason, and counts in nothing else.
    if row[1] != EXCLUDED.reason:
        _count(report.unattributed, question, row)
    if row[2]:
        report.reasons[row[1]] = report.reasons.get(row[1], 0) + int(row[4])


def _count(figures: Figures, question: Question, row: Row) -> None:
    status, _, counted, currency, events, gross, taken = row[:7]
    if counted:
        member = COUNTED[counted]
        setattr(figures, member, getattr(figures, member) + int(events))
        asked = question.filters.get("event_name", ("lead", "sale"))
        if status == "attributed" and counted in {"lead", "sale", *asked}:
            figures.attributed += int(events)
    if currency:
        money = figures.money(currency)
        money.gross_minor += int(gross)
        money.taken_back_minor += int(taken)


# --- keys -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Keyed:
    """The columns that make the keys of a question, in SQL, and how their values are told."""

    dimensions: list[Dimension]
    columns: list[str]
    joined: str

    @classmethod
    def of_clicks(cls, question: Question) -> _Keyed:
        """Keys of clicks `c`."""

        def column(name: str) -> str:
            return _quality(question) if name == "quality" else f"c.{name}"

        return cls._of(question, "c.clicked_ms", column, "c")

    @classmethod
    def of_lines(cls, question: Question) -> _Keyed:
        """Keys of lines `l`, with their clicks `t`."""

        def column(name: str) -> str:
            if name in ("link_id", "decision", "event_name"):
                return f"l.{name}"
            return f"coalesce(t.{name}, cast('{NO_ID}' as UUID))" if name == "domain_id" else f"coalesce(t.{name}, '')"

        return cls._of(question, "l.at_ms", column, "l")

    @classmethod
    def _of(cls, question: Question, instant: str, column: Callable[[str], str], table: str) -> _Keyed:
        dimensions = [dimension(name, question.zone) for name in question.by]
        columns, joined = [], ""
        for name, one in zip(question.by, dimensions, strict=True):
            if name == "tag":
                joined = f" join tagsets on tagsets.tags = {'c' if table == 'c' else 't'}.tags"
                columns.append("tagsets.tag")
            elif name in conditions.DECIDED:
                columns += [column("link_id"), conditions.DECIDED[name].format(table=table)]
            elif name in UNITS:
                columns.append(zones.start(instant, name, question.zone, *clamped(question)))
            else:
                columns += [column(each) for each in one.columns]
        return cls(dimensions, columns, joined)

    @property
    def selected(self) -> str:
        """What is selected."""
        return ", ".join(f"{column} as k{n}" for n, column in enumerate(self.columns))

    @property
    def grouped(self) -> str:
        """What is grouped by."""
        return ", ".join(f"k{n}" for n in range(len(self.columns)))

    def key(self, values: Sequence[Any]) -> Key:
        """The key of a row."""
        told, place = [], 0
        for one in self.dimensions:
            told.append(one.key(values[place : place + len(one.columns)]))
            place += len(one.columns)
        return tuple(told)
