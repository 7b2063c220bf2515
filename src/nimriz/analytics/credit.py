"""Credit: the lines of a report when not the verdict alone earns, but the first click, or every click of the person.

The clicks of a lead or sale are those that would each have earned it alone (section 3.6 of the wire contract): its own,
and those tied to its person by then, from 300 s after the event back to the end of their window. The earliest takes
all, or money is split into equal portions by largest remainder, the earliest first, and the count goes to the earliest.
What was taken back is dealt out over the same portions, one movement going on where the one before has stopped: so no
portion is below zero, and all together are what the report by last click gives to the verdict's.

The SQL is the subset that DuckDB and ClickHouse share.
"""

from __future__ import annotations

from typing import Literal

from nimriz.base.clock import DAY_MS
from nimriz.core.ledger.attribution import EXCLUDED, GRACE_MS

Model = Literal["last", "first", "linear"]
PERSON_CLICKS_MAX = 100
"""Who is tied to more clicks is no one customer: their events stay with the click of the verdict."""

_CLICK = ("link_id", "decision", "click_id", "clicked_ms")


def _told(table: str, *names: str) -> str:
    """Columns of a joined table under their own names: engines differ in what they call them otherwise."""
    return ", ".join(f"{table}.{name} as {name}" for name in names)


_HERE = "{table}.workspace_id = cast(:workspace_id as UUID) and {table}.mode = :mode"
_KNOWN = _HERE.format(table="o") + " and o.received_ms <= :as_of_ms"
# A tie counts while the event that made it does.
_TIED = (
    f"tied as (select {_told('t', 'person_id', *_CLICK, 'window_days')}, "
    "min(t.from_ms) as from_ms from ties as t join lines as w on w.event_id = t.event_id and w.counted <> '' "
    f"and w.reason <> '{EXCLUDED.reason}' where {_HERE.format(table='t')} and t.tied_ms <= :as_of_ms "
    "group by t.person_id, t.click_id, t.link_id, t.decision, t.clicked_ms, t.window_days), "
    "persons as (select person_id from tied group by person_id "
    f"having count(*) <= {PERSON_CLICKS_MAX})"
)
_EARNED = (
    f"earned as (select {_told('l', 'event_id', 'event_ms', *_CLICK)}, o.person_id as person_id "
    "from lines as l join outcomes as o on o.event_id = l.event_id "
    f"where {_KNOWN} and o.identified = 1 and l.status = 'attributed' and l.counted in ('lead', 'sale'))"
)
_PORTIONS = (
    f"reached as (select e.event_id as event_id, {_told('t', *_CLICK)} from earned as e "
    "join persons as p on p.person_id = e.person_id join tied as t on t.person_id = e.person_id "
    f"where t.from_ms <= e.event_ms and t.clicked_ms <= e.event_ms + {GRACE_MS} "
    f"and t.clicked_ms >= e.event_ms - cast(t.window_days as bigint) * {DAY_MS} "
    "union distinct select event_id, link_id, decision, click_id, clicked_ms from earned), "
    "placed as (select event_id, link_id, decision, click_id, clicked_ms, "
    "row_number() over (partition by event_id order by clicked_ms, cast(click_id as varchar)) as place, "
    "count(*) over (partition by event_id) as portions from reached)"
)
_TAKING = {
    "first": "taking as (select event_id, link_id, decision, click_id, clicked_ms, 1 as place, 1 as portions "
    "from placed as p where p.place = 1)",
    "linear": "taking as (select * from placed)",
}
# Whose portions a follow-on, or a sale that reinstates, counts with: those of the lead or sale that it goes back to.
_SALES = (
    "order_sales as (select {told}, "
    "row_number() over (partition by o.order_id, o.currency order by {turn}) as of_currency, "
    "row_number() over (partition by o.order_id order by {turn}) as of_order "
    "from outcomes as o join lines as l on l.event_id = o.event_id and l.counted = 'sale' "
    f"where {_KNOWN} and o.order_id <> '')"
).format(
    told=_told("o", "order_id", "currency", "event_id"),
    turn=f"case when l.reason = '{EXCLUDED.reason}' then 1 else 0 end, o.event_ms, o.event_id",
)
_NAMED = (
    "named as (select o.event_id as event_id, case when o.related_event_id <> '' then o.related_event_id "
    "else coalesce(same.event_id, earliest.event_id, '') end as of_event_id from outcomes as o "
    "left join order_sales as same on same.order_id = o.related_order_id and same.currency = o.currency "
    "and same.of_currency = 1 and o.currency <> '' "
    "left join order_sales as earliest on earliest.order_id = o.related_order_id and earliest.of_order = 1 "
    "and o.currency = '' "
    f"where {_KNOWN} and o.event_name not in ('lead', 'sale')), "
    "followed as (select event_id, of_event_id from named union all "
    "select o.event_id, n.of_event_id from outcomes as o join named as n on n.event_id = o.related_event_id "
    f"where {_KNOWN} and o.event_name = 'sale')"
)
_LINE = _told("l", "event_id", "sale_event_id", "event_name", "event_ms", "status", "reason")
_AMOUNTS = _told("l", "counted", "currency", "events", "gross_minor", "taken_minor")
# What has been taken from a sale up to each line, never below zero: first all that takes, then all that gives back.
_UPTO = (
    f"upto as (select {_LINE}, {_told('l', *_CLICK)}, {_AMOUNTS}, "
    "case when l.counted in ('lead', 'sale') then l.event_id else coalesce(f.of_event_id, '') end as of_event_id, "
    "cast(0 as Int128) as upto_minor "
    "from lines as l left join followed as f on f.event_id = l.event_id where l.counted <> '' "
    f"union all select {_LINE}, {_told('l', *_CLICK)}, {_AMOUNTS}, "
    "l.sale_event_id, cast(sum(l.taken_minor) over (partition by l.sale_event_id "
    "order by case when l.taken_minor < 0 then 1 else 0 end, l.event_ms, l.event_id "
    "rows between unbounded preceding and current row) as Int128) from lines as l where l.counted = '')"
)


def _portion(amount: str) -> str:
    """The part of a whole amount that falls to a place: the remainder goes to the earliest, one unit each."""
    whole = f"intDiv({amount}, coalesce(s.portions, 1))"
    return f"({whole} + case when coalesce(s.place, 1) <= ({amount}) % coalesce(s.portions, 1) then 1 else 0 end)"


_CREDITED = (
    f"credited as (select {_LINE}, {', '.join(f'coalesce(s.{name}, l.{name}) as {name}' for name in _CLICK)}, "
    f"{_told('l', 'counted', 'currency')}, case when coalesce(s.place, 1) = 1 then l.events else 0 end as events, "
    f"{_portion('l.gross_minor')} as gross_minor, "
    f"{_portion('l.upto_minor')} - {_portion('l.upto_minor - cast(l.taken_minor as Int128)')} as taken_minor "
    "from upto as l left join taking as s on s.event_id = l.of_event_id and l.status = 'attributed'), "
    # A portion of nothing is no line.
    "credited_lines as (select * from credited where events <> 0 or gross_minor <> 0 or taken_minor <> 0)"
)


def credited(model: Model) -> str:
    """SQL that goes on after `lines`: `credited_lines` have the clicks that a model credits.

    It is bound what `lines` are. Raises KeyError for `last`, whose lines are `lines`.
    """
    return ", ".join((_TIED, _EARNED, _PORTIONS, _TAKING[model], _SALES, _NAMED, _UPTO, _CREDITED))
