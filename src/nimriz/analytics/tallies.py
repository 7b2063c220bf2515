"""Tallies: what came of the visitors of an experiment, by the weights that stood and by decision number.

Whatever a conversion's click was worth, and also when its row is not known, its visitor counts: the verdict says which
decision the click had. The SQL is the subset that DuckDB and ClickHouse share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nimriz.analytics.lines import AS_OF_NOW_MS, LINES_AS_OF
from nimriz.analytics.rows import Rows
from nimriz.core.directory.mode import Mode


class Experiment(NamedTuple):
    """What is asked: clicks of a link with these decision numbers, made in [from_ms, to_ms), and what they brought.

    `begins_ms` are the instants from which on other weights stood, the oldest first.
    """

    workspace_id: str
    mode: Mode
    link_id: str
    decisions: list[int]
    begins_ms: list[int]
    from_ms: int
    to_ms: int
    left_out: list[str]


def tallied(rows: Rows, question: Experiment) -> dict[str, Any]:
    """Figures as `core.results.Counted` has them, and `unit`: whether visitors are told apart, or clicks alone."""
    params, seen = _params(question), _seen(question)
    clicks = rows.all(f"with {seen} {_CLICKS}", params)
    unit = "click" if any(row[_HASHLESS] for row in clicks) else "visitor"
    found: dict[str, list[list[str | int]]] = {
        "clicks": [_plain(row) for row in clicks],
        **{name: [] for name in _SUMS},
    }
    asked = " union all ".join(f"select '{name}' as figure, {sql}" for name, sql in _SUMS.items())
    begun = f"{LINES_AS_OF}, {seen}, {_brought(question, unit)}, {_met(unit)}, {_EACH}"
    for name, *row in rows.all(f"{begun} {asked}", params):
        found[name].append([value for value in _plain(row) if value != _NO_LABEL])
    return {"unit": unit, **found}


_CLICKS = (
    "select place, decision, count(*), sum(tracked), sum(case when visitor is null then 1 else 0 end) from seen "
    "group by place, decision"
)
_HASHLESS = 4
_EACH = (
    "each_one as (select place, decision, currency, who, sum(gross_minor) - sum(taken_minor) as net from brought "
    "where currency <> '' group by place, decision, currency, who)"
)
_NO_LABEL = ""
# One statement for all, so that what conversions brought is found once.
_SUMS = {
    "visitors": (
        "place, decision, '' as label, cast(count(distinct who) as decimal(38, 0)) as first, "
        "cast(null as decimal(38, 0)) as second from met group by place, decision"
    ),
    "events": (
        "place, decision, counted, sum(events), count(distinct who) from brought where counted <> '' "
        "group by place, decision, counted"
    ),
    "money": (
        "place, decision, currency, sum(gross_minor), sum(taken_minor) from brought where currency <> '' "
        "group by place, decision, currency"
    ),
    "nets": (
        "place, decision, currency, net, count(*) from each_one where net <> 0 group by place, decision, currency, net"
    ),
}


def _plain(row: Sequence[Any]) -> list[str | int]:
    """Sums come as decimals, and are whole; what a figure has not is null."""
    return [value if isinstance(value, str) else int(value) for value in row if value is not None]


def _params(question: Experiment) -> Mapping[str, Any]:
    numbered = {f"decision_{n}": decision for n, decision in enumerate(question.decisions)}
    numbered |= {f"begin_{n}": begins_ms for n, begins_ms in enumerate(question.begins_ms)}
    left_out = {f"left_out_{n}": quality for n, quality in enumerate(question.left_out)}
    return {
        "workspace_id": question.workspace_id,
        "mode": question.mode,
        "link_id": question.link_id,
        "from_ms": question.from_ms,
        "to_ms": question.to_ms,
        "as_of_ms": AS_OF_NOW_MS,
        **numbered,
        **left_out,
    }


def _asked(question: Experiment, table: str) -> str:
    decisions = ", ".join(f":decision_{n}" for n in range(len(question.decisions))) or "null"
    return (
        f"{table}.link_id = cast(:link_id as UUID) and {table}.decision in ({decisions}) "
        f"and {table}.clicked_ms >= :from_ms and {table}.clicked_ms < :to_ms"
    )


def _place(question: Experiment, table: str) -> str:
    """Which weights stood when a click was made: how many of the later ones had begun."""
    later = [f"case when {table}.clicked_ms >= :begin_{n} then 1 else 0 end" for n in range(1, len(question.begins_ms))]
    return " + ".join(later) or "0"


def _seen(question: Experiment) -> str:
    qualities = "".join(f" and c.quality <> :left_out_{n}" for n in range(len(question.left_out)))
    return (
        f"seen as (select {_place(question, 'c')} as place, c.decision, c.click_id, c.visitor, c.tracked "
        f"from clicks as c where c.workspace_id = cast(:workspace_id as UUID) and {_asked(question, 'c')}{qualities})"
    )


def _brought(question: Experiment, unit: str) -> str:
    return (
        f"brought as (select {_place(question, 'l')} as place, l.decision, {_who('l', unit, 'c')} as who, l.counted, "
        "l.currency, l.events, cast(l.gross_minor as decimal(38, 0)) as gross_minor, l.taken_minor from lines as l "
        "left join (select click_id, visitor from clicks where workspace_id = cast(:workspace_id as UUID) "
        "and link_id = cast(:link_id as UUID)) as c on c.click_id = l.click_id "
        f"where l.status = 'attributed' and {_asked(question, 'l')})"
    )


def _met(unit: str) -> str:
    """Everybody of whom anything is known."""
    return (
        f"met as (select place, decision, {_who('seen', unit)} as who from seen union all "
        "select place, decision, who from brought)"
    )


def _who(table: str, unit: str, visitors: str = "") -> str:
    """Who made a click: the visitor of the day, or nobody but the click itself."""
    click = f"cast({table}.click_id as varchar)"
    return click if unit == "click" else f"coalesce(cast({visitors or table}.visitor as varchar), {click})"
