"""Conversions: events as they stand now, for whoever reads them: outcome, verdict, settlement, order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from nimriz.core.directory.mode import Mode, by_mode
from nimriz.core.directory.vault import Vault
from nimriz.core.ledger import attribution, exclusions, ledger, persons, settlement
from nimriz.core.ledger.attribution import Verdict
from nimriz.core.ledger.ledger import Outcome
from nimriz.core.ledger.persons import Readable
from nimriz.core.ledger.relations import Relations
from nimriz.core.ledger.settlement import Settlement
from nimriz.core.routing import decisions
from nimriz.store.db import Params, Tx

_ALL = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Conversion:
    """One event as it stands. `variant` is the key of its click's variant, '' for none."""

    mode: Mode
    outcome: Outcome
    readable: Readable
    verdict: Verdict
    settlement: Settlement | None
    variant: str


@dataclass(frozen=True, slots=True)
class Order:
    """What a sale's order has come to. Amounts in minor units of `currency` ('' without any)."""

    currency: str
    gross_minor: int
    taken_back_minor: int
    excess_minor: int
    sales: list[str]
    follow_ons: list[str]
    reinstatements: list[str]


class Filters(NamedTuple):
    """Which conversions; '' and None ask for all."""

    from_ms: int = 0
    to_ms: int = _ALL * _ALL
    link_id: str = ""
    event_name: str = ""
    status: str = ""
    reason: str = ""
    external_id: str = ""
    order_id: str = ""
    event_id: str = ""


_OUTCOME = ", ".join(f"o.{f}" for f in Outcome._fields)
_VERDICT = ", ".join(f"v.{f}" for f in Verdict._fields)
_PAGE = by_mode(
    f"select {_OUTCOME}, {_VERDICT} from @outcomes as o join @verdicts as v on v.seq = "
    "(select max(w.seq) from @verdicts as w where w.workspace_id = o.workspace_id and w.event_id = o.event_id) "
    "where o.workspace_id = :workspace_id and o.event_time_ms >= :from_ms and o.event_time_ms < :to_ms "
    "and (o.event_time_ms < :before_ms or o.event_time_ms = :before_ms and o.event_id < :before_id) "
    "and (:link_id = '' or v.link_id = :link_id) and (:event_name = '' or o.event_name = :event_name) "
    "and (:status = '' or v.status = :status) and (:reason = '' or v.reason = :reason) "
    "and (:person_id = '' or o.person_id = :person_id) and (:order_id = '' or o.order_id = :order_id) "
    "and (:event_id = '' or o.event_id = :event_id) "
    "order by o.event_time_ms desc, o.event_id desc limit :limit_count"
)
# What is new since a cursor, in the order in which the events were committed: an event that came, or stands otherwise.
_SINCE = by_mode(
    f"select o.seq, {_OUTCOME}, {_VERDICT} from @outcomes as o join @verdicts as v on v.seq = "
    "(select max(w.seq) from @verdicts as w where w.workspace_id = o.workspace_id and w.event_id = o.event_id) "
    "where o.workspace_id = :workspace_id and o.seq > :behind_seq and o.seq <= :upto_seq "
    "and o.event_time_ms >= :from_ms and o.event_time_ms < :to_ms "
    "and (:link_id = '' or v.link_id = :link_id) and (:event_name = '' or o.event_name = :event_name) "
    "and (o.seq > :outcomes or v.seq > :verdicts "
    "or exists (select 1 from @settlements as s where s.workspace_id = o.workspace_id and s.event_id = o.event_id "
    "and s.seq > :settlements) "
    "or exists (select 1 from @movements as m where m.workspace_id = o.workspace_id "
    "and m.sale_event_id = o.event_id and m.seq > :movements)) "
    "order by o.seq limit :limit_count"
)
_COUNT = by_mode(
    "select count(*) from @outcomes where workspace_id = :workspace_id "
    "and event_time_ms >= :from_ms and event_time_ms < :to_ms"
)
CURSORS = ("outcomes", "verdicts", "settlements", "movements")
"""The tables whose newest numbers say how far the ledger was."""
_NEWEST = by_mode(f"select {', '.join(f'(select coalesce(max(seq), 0) from @{name})' for name in CURSORS)}")


class Since(NamedTuple):
    """Events one after the other: `cursors` are those of the question, `behind_seq` where the page before ended."""

    cursors: dict[str, int]
    upto_seq: int
    behind_seq: int
    filters: Filters


def newest(tx: Tx, mode: Mode) -> dict[str, int]:
    """How far the ledger is, by table; what is committed later has greater numbers."""
    row = tx.one(_NEWEST[mode]) or (0,) * len(CURSORS)
    return dict(zip(CURSORS, map(int, row), strict=True))


def count(tx: Tx, mode: Mode, workspace_id: str, filters: Filters) -> int:
    """How many events a workspace has in a period, whatever else is filtered."""
    params: Params = {"workspace_id": workspace_id, "from_ms": filters.from_ms, "to_ms": filters.to_ms}
    row = tx.one(_COUNT[mode], params)
    return 0 if row is None else int(row[0])


def since(
    tx: Tx, mode: Mode, vault: Vault | None, workspace_id: str, asked: Since, limit: int
) -> tuple[list[Conversion], int]:
    """At most `limit` events that came or changed after the cursors, and where to go on; 0 at the end.

    Without a vault nothing of persons is read.
    """
    params: Params = {
        "workspace_id": workspace_id,
        "from_ms": asked.filters.from_ms,
        "to_ms": asked.filters.to_ms,
        "link_id": asked.filters.link_id,
        "event_name": asked.filters.event_name,
        "upto_seq": asked.upto_seq,
        "behind_seq": asked.behind_seq,
        "limit_count": limit,
        **{name: asked.cursors.get(name, 0) for name in CURSORS},
    }
    rows = tx.all(_SINCE[mode], params)
    end = len(Outcome._fields) + 1
    found = [
        _conversion(tx, mode, vault, Outcome._make(row[1:end]), Verdict._make(row[end:])) for row in rows
    ]  # fmt: skip
    return found, int(rows[-1][0]) if len(rows) == limit else 0


def find(tx: Tx, mode: Mode, vault: Vault, workspace_id: str, event_id: str) -> Conversion | None:
    """One event as it stands."""
    outcome = ledger.find(tx, mode, workspace_id, event_id)
    verdict = attribution.standing(tx, mode, workspace_id, event_id)
    if outcome is None or verdict is None:
        return None
    return _conversion(tx, mode, vault, outcome, verdict)


def page(
    tx: Tx, mode: Mode, vault: Vault, workspace_id: str, filters: Filters, before: tuple[int, str], limit: int
) -> list[Conversion]:
    """At most `limit` events, the latest event time first, whose turn comes before `before`."""
    person_id = ""
    if filters.external_id:
        person_id = persons.find_id(tx, mode, vault, workspace_id, filters.external_id) or "none"
    params: Params = {
        **filters._asdict(),
        "workspace_id": workspace_id,
        "person_id": person_id,
        "before_ms": before[0],
        "before_id": before[1],
        "limit_count": limit,
    }
    width = len(Outcome._fields)
    return [
        _conversion(tx, mode, vault, Outcome._make(row[:width]), Verdict._make(row[width:]))
        for row in tx.all(_PAGE[mode], {k: v for k, v in params.items() if k != "external_id"})
    ]


def _conversion(tx: Tx, mode: Mode, vault: Vault | None, outcome: Outcome, verdict: Verdict) -> Conversion:
    readable = persons.NOTHING
    if vault is not None:
        readable = persons.read(tx, mode, vault, outcome.workspace_id, outcome.event_id, outcome.person_id)
    settled = None
    if outcome.is_follow_on:
        settled = settlement.standing(tx, mode, outcome.workspace_id, outcome.event_id)
        settled = None if settled == settlement.NO_MONEY else settled
    variant = decisions.variant_key(tx, verdict.link_id, verdict.decision)
    return Conversion(mode, outcome, readable, verdict, settled, variant)


def order_of(tx: Tx, mode: Mode, sale: Outcome) -> Order | None:
    """The order that a sale belongs to; None for a sale that reinstates, which is no sale, or is excluded."""
    relations = Relations(tx, mode, sale.workspace_id, _ALL, exclusions.read(tx, sale.workspace_id))
    if relations.reinstated(sale) is not None or relations.excluded(sale):
        return None
    sales = [sale]
    named_by: list[Outcome] = []
    if sale.order_id:
        sales = [other for other in relations.sales_of(sale.order_id) if other.currency == sale.currency]
        sales = [other for other in sales if not relations.excluded(other)]
        named_by = list(relations.named_by_order(sale.order_id))
    for member in sales:
        named_by += relations.named_by(member.event_id)
    named_by = [o for o in named_by if not relations.excluded(o)]
    follow_ons = [o for o in sorted(named_by, key=lambda o: o.turn) if o.is_follow_on and relations.named(o) in sales]
    settled = [settlement.standing(tx, mode, sale.workspace_id, o.event_id) for o in follow_ons]
    moved = [settlement.moved_from(tx, mode, sale.workspace_id, member.event_id) for member in sales]
    reversals = [o for o in follow_ons if o.event_name == "reversal"]
    return Order(
        sale.currency,
        gross_minor=sum(member.value_minor or 0 for member in sales),
        taken_back_minor=sum(sum(amounts.values()) for amounts in moved),
        excess_minor=sum(s.excess_minor for s in settled if s is not None),
        sales=[member.event_id for member in sales],
        follow_ons=[o.event_id for o in follow_ons],
        reinstatements=[o.event_id for o in relations.reinstating(reversals) if not relations.excluded(o)],
    )
