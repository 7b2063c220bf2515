"""Settlement: what is left of a sale after its follow-ons, as dated rows and signed movements.

Owns the tables settlements and movements. `replay` is the whole of section 3.7 of the wire contract as
a pure function of one order's outcomes; the rest keeps what it says, by appending differences only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nimriz.base.money import to_decimal
from nimriz.core.directory.mode import Mode, by_mode
from nimriz.core.ledger.ledger import Outcome
from nimriz.core.ledger.trace import Facts, Step
from nimriz.store.db import Params, Row, Tx


class Settlement(NamedTuple):
    """Where a follow-on stands. `status` '' says that it moves no money: it follows a lead."""

    status: str
    currency: str = ""
    applied_minor: int = 0
    excess_minor: int = 0
    remaining_minor: int | None = None


NO_MONEY = Settlement("")


@dataclass(slots=True)
class Replayed:
    """What the replay of an order says: settlements by event, and amounts by (event, sale)."""

    settlements: dict[str, Settlement] = field(default_factory=dict)
    moved: dict[tuple[str, str], int] = field(default_factory=dict)


def replay(
    sales: Sequence[Outcome],
    follow_ons: Mapping[str, tuple[Outcome, Outcome]],
    reinstatements: Sequence[Outcome],
    breathe: Callable[[], None] = lambda: None,
) -> Replayed:
    """Apply the follow-ons of one order, and the sales that reinstate them, each at its turn.

    `sales` are the order's sales, earliest first. `follow_ons` maps an event id to (follow-on, the sale
    that it names). `reinstatements` name a reversal among the follow-ons. `breathe` is called at each turn.
    """
    left = {sale.event_id: sale.value_minor or 0 for sale in sales}
    order_left = sum(left.values())
    currency = sales[0].currency if sales else ""
    result = Replayed()
    # What each reversal still holds of each sale.
    held: dict[tuple[str, str], int] = {}

    def turn(outcome: Outcome) -> tuple[tuple[int, str], int, tuple[int, str]]:
        # A reinstatement never acts before its reversal's own turn; then it comes right after it.
        reversal = None if outcome.is_follow_on else follow_ons[outcome.related_event_id][0]
        if reversal is not None and outcome.turn < reversal.turn:
            return reversal.turn, 1, outcome.turn
        return outcome.turn, 0, outcome.turn

    for outcome in sorted([*(pair[0] for pair in follow_ons.values()), *reinstatements], key=turn):
        breathe()
        if outcome.is_follow_on:
            parts, wanted = _take(outcome, follow_ons[outcome.event_id][1], sales, left)
        else:
            parts, wanted = _give_back(outcome, sales, held), 0
        moved = sum(parts.values())
        order_left -= moved
        for sale_id, amount in parts.items():
            left[sale_id] -= amount
            result.moved[outcome.event_id, sale_id] = amount
            holder = outcome.event_id if outcome.is_follow_on else outcome.related_event_id
            held[holder, sale_id] = held.get((holder, sale_id), 0) + amount
        if outcome.is_follow_on:
            excess = wanted - moved
            status = "excess" if excess else "settled"
            result.settlements[outcome.event_id] = Settlement(status, currency, moved, excess, order_left)
    return result


def _take(
    follow_on: Outcome, named: Outcome, sales: Sequence[Outcome], left: Mapping[str, int]
) -> tuple[dict[str, int], int]:
    """The parts that a follow-on takes from each sale, and the amount that it wanted."""
    by_event = bool(follow_on.related_event_id)
    if follow_on.value_minor is None:
        # Without a value: all of what it names, and of no other sale.
        if by_event:
            sales = [named]
        else:
            sales = [
                sale
                for sale in sales
                if sale.event_time_ms <= follow_on.event_time_ms or sale.event_id == named.event_id
            ]
        wanted = sum(left[sale.event_id] for sale in sales)
    else:
        wanted = follow_on.value_minor
        if by_event:
            sales = [named, *(sale for sale in sales if sale.event_id != named.event_id)]
    parts: dict[str, int] = {}
    rest = wanted
    for sale in sales:
        if not rest:
            break
        part = min(rest, left[sale.event_id])
        if part:
            parts[sale.event_id] = part
            rest -= part
    return parts, wanted


def _give_back(reinstatement: Outcome, sales: Sequence[Outcome], held: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """The parts (negative) that a reinstatement gives back, to the latest sale first."""
    rest = reinstatement.value_minor
    if rest is not None and sales and reinstatement.currency != sales[0].currency:
        return {}
    parts: dict[str, int] = {}
    for sale in reversed(sales):
        still = held.get((reinstatement.related_event_id, sale.event_id), 0)
        part = still if rest is None else min(rest, still)
        if part:
            parts[sale.event_id] = -part
            rest = None if rest is None else rest - part
    return parts


def step(outcome: Outcome, replayed: Replayed, currency: str) -> Step:
    """What a replay says of one outcome's money, in words: a follow-on's, or a sale's that reinstates."""

    def told(minor: int) -> str:
        return f"{to_decimal(minor, currency or None)} {currency}".strip()

    parts = {sale_id: part for (event_id, sale_id), part in replayed.moved.items() if event_id == outcome.event_id}
    settled = replayed.settlements.get(outcome.event_id)
    if settled is None:
        given: list[dict[str, object]] = [{"event_id": s, "amount": told(-part)} for s, part in parts.items()]
        return Step("settlement", "given_back", {"given_back": told(-sum(parts.values())), "given_to": given})
    remaining = settled.remaining_minor or 0
    taken: list[dict[str, object]] = [{"event_id": s, "amount": told(part)} for s, part in parts.items()]
    facts: Facts = {
        "asked_for": "what was left" if outcome.value_minor is None else told(outcome.value_minor),
        "left_before": told(remaining + settled.applied_minor),
        "applied": told(settled.applied_minor),
        "taken_from": taken,
        "excess": told(settled.excess_minor),
        "remaining": told(remaining),
    }
    return Step("settlement", settled.status, facts)


_SETTLEMENT = ", ".join(Settlement._fields)
_NEWEST = by_mode(
    f"select {_SETTLEMENT} from @settlements where workspace_id = :workspace_id and event_id = :event_id "
    "order by seq desc limit 1"
)
_NEWEST_OF_EACH = by_mode(
    f"select event_id, {_SETTLEMENT} from @settlements as s where workspace_id = :workspace_id and event_id in (:keys) "
    "and seq = (select max(t.seq) from @settlements as t where t.workspace_id = s.workspace_id "
    "and t.event_id = s.event_id)"
)
_ALL = by_mode(
    f"select judged_at_ms, {_SETTLEMENT} from @settlements where workspace_id = :workspace_id "
    "and event_id = :event_id order by seq desc limit :limit_count"
)
_APPEND = by_mode(
    f"insert into @settlements (workspace_id, event_id, judged_at_ms, {_SETTLEMENT}) "
    f"values (:workspace_id, :event_id, :judged_at_ms, {', '.join(':' + f for f in Settlement._fields)})"
)
_MOVED_FROM = by_mode(
    "select event_id, sum(amount_minor) from @movements where workspace_id = :workspace_id "
    "and sale_event_id = :sale_event_id group by event_id having sum(amount_minor) <> 0 order by event_id"
)
_MOVED_BY = by_mode(
    "select sale_event_id from @movements where workspace_id = :workspace_id and event_id = :event_id "
    "group by sale_event_id having sum(amount_minor) <> 0 order by sale_event_id"
)
_MOVE = by_mode(
    "insert into @movements (workspace_id, event_id, sale_event_id, amount_minor, moved_at_ms) "
    "values (:workspace_id, :event_id, :sale_event_id, :amount_minor, :moved_at_ms)"
)


def standing(tx: Tx, mode: Mode, workspace_id: str, event_id: str) -> Settlement | None:
    """The newest settlement of a follow-on."""
    row = tx.one(_NEWEST[mode], {"workspace_id": workspace_id, "event_id": event_id})
    return None if row is None else _settlement(row)


def standing_each(tx: Tx, mode: Mode, workspace_id: str, event_ids: Sequence[str]) -> dict[str, Settlement]:
    """The newest settlement of each of these follow-ons that has one."""
    rows = tx.each(_NEWEST_OF_EACH[mode], event_ids, {"workspace_id": workspace_id})
    return {str(row[0]): _settlement(row[1:]) for row in rows}


def history(tx: Tx, mode: Mode, workspace_id: str, event_id: str, limit: int) -> list[tuple[int, Settlement]]:
    """(judged_at_ms, settlement) of a follow-on, the newest first, at most `limit`."""
    params: Params = {"workspace_id": workspace_id, "event_id": event_id, "limit_count": limit}
    return [(int(row[0]), _settlement(row[1:])) for row in tx.all(_ALL[mode], params)]


def _settlement(row: Row) -> Settlement:
    status, currency, applied, excess, remaining = row
    return Settlement(status, currency, int(applied), int(excess), int(remaining) if remaining else None)


def append(tx: Tx, mode: Mode, workspace_id: str, rows: Iterable[tuple[str, Settlement]], now_ms: int) -> None:
    """Append (event_id, settlement) rows, dated `now_ms`."""
    tx.many(_APPEND[mode], [(workspace_id, event_id, now_ms, *_texts(settled)) for event_id, settled in rows])


def _texts(settled: Settlement) -> tuple[str, ...]:
    # Amounts of an order may pass 64 bits, so the database keeps their digits.
    return tuple("" if value is None else str(value) for value in settled)


def moved_from(tx: Tx, mode: Mode, workspace_id: str, sale_event_id: str) -> dict[str, int]:
    """What each event has taken from a sale (or, below 0, given back), in minor units."""
    rows = tx.all(_MOVED_FROM[mode], {"workspace_id": workspace_id, "sale_event_id": sale_event_id})
    return {str(event_id): int(amount) for event_id, amount in rows}


def moved_by(tx: Tx, mode: Mode, workspace_id: str, event_id: str) -> list[str]:
    """The sales between which and an event money stands."""
    rows = tx.all(_MOVED_BY[mode], {"workspace_id": workspace_id, "event_id": event_id})
    return [str(row[0]) for row in rows]


def move(
    tx: Tx, mode: Mode, workspace_id: str, sale_ids: Iterable[str], wanted: Mapping[tuple[str, str], int], now_ms: int
) -> None:
    """Append what turns the movements on these sales into `wanted`: {(event_id, sale_id): minor units}."""
    rows: list[tuple[str, str, str, int, int]] = []
    for sale_id in sale_ids:
        stands = moved_from(tx, mode, workspace_id, sale_id)
        events = {event_id for event_id, to in wanted if to == sale_id} if wanted else set()
        for event_id in sorted(events | stands.keys()):
            difference = wanted.get((event_id, sale_id), 0) - stands.get(event_id, 0)
            if difference:
                rows.append((workspace_id, event_id, sale_id, difference, now_ms))
    tx.many(_MOVE[mode], rows)
