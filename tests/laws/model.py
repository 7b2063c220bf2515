"""A slow, obvious model of attribution and money (contract, sections 3.5 to 3.7); reports are in model_report.

Imports nothing of nimriz, on purpose: it is the second opinion that the real code is held against. It answers
from the *set* of events of one workspace and mode, all at once and from scratch, so that the order of arrival
cannot matter; only of two events with one event_id the first arrival wins. Where the contract is silent, the
reading taken is marked READING, so that it is found and changed in one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.laws.facts import Click, Event, Order, Settlement, Verdict

GRACE_MS = 300_000
DAY_MS = 86_400_000
FOLLOW_ONS = ("refund", "cancellation", "reversal")
EXCLUDED = Verdict("unattributed", reason="excluded")
Move = tuple[str, str, int]  # the event, the sale, and the minor units taken from it; negative: given back


def known(events: Iterable[Event]) -> dict[str, Event]:
    """The events by id; a repeat changes nothing, so the first arrival wins."""
    first: dict[str, Event] = {}
    for event in events:
        first.setdefault(event.event_id, event)
    return first


def rank(event: Event) -> tuple[int, bytes]:
    """What "earlier" means: by time, then by the bytes of the id; never by arrival."""
    return (event.time_ms, event.event_id.encode())


def reinstated(world: Mapping[str, Event], event: Event) -> Event | None:
    """The reversal that this sale undoes, if any. Decided by names alone, so no ring can form."""
    other = world.get(event.related_event_id or "")
    return other if event.name == "sale" and other is not None and other.name == "reversal" else None


def is_sale(world: Mapping[str, Event], event: Event) -> bool:
    """A sale that brings money of its own: one that reinstates is no sale."""
    return event.name == "sale" and reinstated(world, event) is None


# --- 3.6 Attribution ---


def objection(click: Click, time_ms: int) -> str | None:
    """What rule 1 has against crediting this click with something at that time."""
    age_ms = time_ms - click.time_ms
    if age_ms < -GRACE_MS:
        return "before_click"
    return "outside_window" if age_ms > click.window_days * DAY_MS else None


def credit(click: Click, method: str) -> Verdict:
    """The verdict that credits this click."""
    return Verdict("attributed", method, None, click.link_id, click.variant, click.click_id)


def by_external(world: Mapping[str, Event], event: Event) -> Verdict:
    """Rule 2: the clicks known to be this person's at that time, the latest that is not in the future first.

    READING: a reinstating sale ties like any sale; of several clicks that fail, `before_click` is told first.
    """
    people = [e for e in world.values() if not e.excluded and e.external_id == event.external_id]
    ties = [e for e in people if e.name in ("lead", "sale")]
    clicks = {e.click for e in ties if isinstance(e.click, Click) and e.time_ms - GRACE_MS <= event.time_ms}
    fit = [click for click in clicks if objection(click, event.time_ms) is None]
    past = [click for click in fit if click.time_ms <= event.time_ms]
    if past:
        return credit(max(past, key=lambda click: (click.time_ms, click.click_id)), "external_id")
    if fit:
        return credit(max(fit, key=lambda click: (-click.time_ms, click.click_id)), "external_id")
    reasons = sorted(str(objection(click, event.time_ms)) for click in clicks)
    return Verdict("unattributed", reason=reasons[0] if reasons else "external_id_unknown")


def by_identity(world: Mapping[str, Event], event: Event) -> Verdict:
    """Rules 1, 2 and 4 for a lead or a sale: if neither helps, the reason is the click's, where sent."""
    reason = objection(event.click, event.time_ms) if isinstance(event.click, Click) else event.click
    if isinstance(event.click, Click) and reason is None:
        return credit(event.click, "click_id")
    person = by_external(world, event) if event.external_id is not None else None
    if person is not None and (person.status == "attributed" or reason is None):
        return person
    return Verdict("unattributed", reason=reason or "no_identity")


def sales_of(world: Mapping[str, Event], order_id: str | None) -> list[Event]:
    """All sales under one order id, the earliest first. Leads and reinstating sales are never among them."""
    return sorted((e for e in world.values() if is_sale(world, e) and e.order_id == order_id), key=rank)


def named(world: Mapping[str, Event], event: Event) -> Event | str:
    """The lead or sale that a follow-on names, or the reason why there is none."""
    if event.related_event_id is not None:
        found = world.get(event.related_event_id)
        if found is None:
            return "related_pending"  # READING: also when the order given beside it is there
        if found.name != "lead" and not is_sale(world, found):
            return "related_invalid"
        agree = event.related_order_id in (None, found.order_id)
        return found if agree else "related_invalid"
    sales = sales_of(world, event.related_order_id)
    if event.currency is not None:  # READING: no currency means any, a sale without value included
        sales = [sale for sale in sales if sale.currency == event.currency]
    sales = [sale for sale in sales if not sale.excluded] or sales  # an excluded one only where there is no other
    return sales[0] if sales else "related_pending"


def verdict(world: Mapping[str, Event], event: Event) -> Verdict:
    """The verdict of one event. Terminates: a named lead or sale is always judged by its own identity."""
    if event.excluded:
        return EXCLUDED
    reversal = reinstated(world, event)
    if reversal is not None:
        return verdict(world, reversal)  # which is "related" already, if attributed
    if event.name not in FOLLOW_ONS:
        return by_identity(world, event)
    found = named(world, event)
    if isinstance(found, str):
        return Verdict("pending" if found == "related_pending" else "unattributed", reason=found)
    of = verdict(world, found)
    method = "related" if of.status == "attributed" else None
    return Verdict(of.status, method, of.reason, of.link_id, of.variant, of.click_id)


def judge(events: Iterable[Event]) -> dict[str, Verdict]:
    """The verdict that stands for every event."""
    world = known(events)
    return {event_id: verdict(world, event) for event_id, event in world.items()}


# --- 3.7 Money ---


def settles_with(world: Mapping[str, Event], sale: Event) -> list[Event]:
    """The order of a sale: those that share its order_id and currency, or the sale alone."""
    if sale.order_id is None:
        return [sale]
    order = sales_of(world, sale.order_id)
    return [other for other in order if other.currency == sale.currency and not other.excluded]


def sources(world: Mapping[str, Event], event: Event, sale: Event) -> list[Event]:
    """The sales that a follow-on may take from, in the order in which it does."""
    order = settles_with(world, sale)
    if event.related_event_id is not None:
        return [sale] if event.minor is None else [sale] + [other for other in order if other != sale]
    if event.minor is not None:
        return order
    upto = [other for other in order if other.time_ms <= event.time_ms]  # READING: at equal times too
    return upto or order[:1]


def unsettled(world: Mapping[str, Event], event: Event) -> Settlement | None:
    """What stands for a follow-on that never gets a turn: no sale, no money, or the wrong one.

    READING: it then shows its own currency, nothing applied and no excess.
    """
    found = named(world, event)
    if isinstance(found, Event) and found.name == "sale" and (event.excluded or found.excluded):
        return Settlement("mismatch", event.currency)  # it counts in nothing, or there is nothing to take from
    if isinstance(found, Event):
        wrong = found.name == "sale" and event.currency not in (None, found.currency)
        return Settlement("mismatch", event.currency) if wrong else None
    # READING: an order that is there in other currencies only is a mismatch, though the verdict still waits
    elsewhere = event.related_event_id is None and sales_of(world, event.related_order_id)
    waits = found == "related_pending" and not elsewhere
    return Settlement("pending" if waits else "mismatch", event.currency)


def turn(world: Mapping[str, Event], event: Event) -> tuple[tuple[int, bytes], bool, tuple[int, bytes]]:
    """When an event moves money: in its own order, but a reinstatement never before its reversal's turn."""
    own, reversal = rank(event), reinstated(world, event)
    return (own, False, own) if reversal is None else (max(own, rank(reversal)), True, own)


def book(events: Iterable[Event]) -> tuple[dict[str, Settlement | None], list[Move]]:
    """Play all turns, the earliest first.

    READING: a reinstating sale is no follow-on: no settlement. One in another currency gives nothing back.
    """
    world = known(events)
    left = {e.event_id: e.minor or 0 for e in world.values() if is_sale(world, e)}
    settlements: dict[str, Settlement | None] = dict.fromkeys(world)
    moves: list[Move] = []

    def take(event: Event, sale: Event) -> Settlement:
        pool = [source.event_id for source in sources(world, event, sale)]
        rest = wanted = sum(left[s] for s in pool) if event.minor is None else event.minor
        taken = []
        for sale_id in pool:
            part = min(rest, left[sale_id])
            rest, left[sale_id] = rest - part, left[sale_id] - part
            taken += [(sale_id, part)] if part else []
        moves.extend((event.event_id, sale_id, part) for sale_id, part in taken)
        remaining = sum(left[s.event_id] for s in settles_with(world, sale))
        status = "excess" if rest else "settled"
        return Settlement(status, sale.currency, wanted - rest, rest, remaining, tuple(taken))

    def give_back(event: Event, reversal: Event) -> None:
        settled = settlements[reversal.event_id]
        if event.excluded or settled is None or event.currency not in (None, settled.currency):
            return
        held = dict(settled.taken)
        for by, sale_id, minor in moves:
            if minor < 0 and reinstated(world, world[by]) == reversal:
                held[sale_id] += minor
        rest = sum(held.values()) if event.minor is None else event.minor
        for sale_id in sorted(held, key=lambda s: rank(world[s]), reverse=True):
            part = min(rest, held[sale_id])
            rest, left[sale_id] = rest - part, left[sale_id] + part
            moves.extend([(event.event_id, sale_id, -part)] if part else [])

    for event in sorted(world.values(), key=lambda e: turn(world, e)):
        reversal = reinstated(world, event)
        if reversal is not None:
            give_back(event, reversal)
        elif event.name in FOLLOW_ONS:
            found, stuck = named(world, event), unsettled(world, event)
            moved = stuck is None and isinstance(found, Event) and found.name == "sale"
            settlements[event.event_id] = take(event, found) if moved and isinstance(found, Event) else stuck
    return settlements, moves


def settle(events: Iterable[Event]) -> dict[str, Settlement | None]:
    """The settlement that stands for every event; None for all but the follow-ons of sales."""
    return book(events)[0]


def order_of(events: Iterable[Event], event_id: str) -> Order | None:
    """The order of a sale; None for anything that is no sale.

    READING: its follow-ons are all that name one of its sales, in a wrong currency too; not reinstatements.
    """
    world = known(events)
    if not is_sale(world, world[event_id]) or world[event_id].excluded:
        return None
    sales = settles_with(world, world[event_id])
    settlements, moves = book(world.values())
    counted = [e for e in world.values() if not e.excluded]
    follow_ons = [e for e in counted if e.name in FOLLOW_ONS and named(world, e) in sales]
    gross = sum(sale.minor or 0 for sale in sales)
    taken = sum(minor for _, sale_id, minor in moves if world[sale_id] in sales)
    settled = [settlements[e.event_id] for e in follow_ons]
    excess = sum(s.excess for s in settled if s is not None)
    return Order(
        sales[0].currency,
        gross,
        taken,
        gross - taken,
        excess,
        [s.event_id for s in sales],
        [e.event_id for e in sorted(follow_ons, key=rank)],
    )
