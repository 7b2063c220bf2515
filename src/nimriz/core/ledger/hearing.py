"""Hearing: everything that new outcomes concern is judged and settled again, in one transaction.

The order of arrival must not matter, so nothing is decided by it: an outcome's verdict and settlement
are functions of the set of outcomes. A Hearing finds who is concerned, asks `attribution` and
`settlement`, and appends what has changed. Past its budget the rest goes to the docket.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeGuard

from nimriz.base.clock import to_rfc3339
from nimriz.core.directory.mode import Mode
from nimriz.core.ledger import attribution, docket, exclusions, settlement
from nimriz.core.ledger.attribution import EXCLUDED, RELATED_INVALID, RELATED_PENDING, Click, TokenReader, Verdict
from nimriz.core.ledger.docket import Entry, Subject
from nimriz.core.ledger.exclusions import Exclusions
from nimriz.core.ledger.ledger import Outcome
from nimriz.core.ledger.relations import Relations, Unnamed
from nimriz.core.ledger.settlement import NO_MONEY, Replayed, Settlement
from nimriz.core.ledger.trace import Facts, Step, Trace
from nimriz.store.db import Tx

# The sales that settle together: (order id, currency), or ('', event id) for a sale without order id.
Order = tuple[str, str]

# An order that very many name: mode, workspace, and its order id, or the event id of a sale without one.
Crowd = tuple[Mode, str, str]
CROWDED_MAX = 10_000

NO_CLICKS: Mapping[str, Click | str] = {}
_NOT_ASKED = Step("identity", "identity_not_asked", {})


class Seen(NamedTuple):
    """What a hearing's result hangs on: events, orders by their ids, and persons; and whether it changes a verdict."""

    events: set[str]
    orders: set[str]
    persons: set[str]
    verdicts_changed: bool


class Hearing:
    """One transaction's judging for one workspace and mode. Remembers what it has read."""

    def __init__(
        self,
        tx: Tx,
        mode: Mode,
        workspace_id: str,
        reader: TokenReader,
        now_ms: int,
        budget: int,
        clicks: Mapping[str, Click | str] = NO_CLICKS,
        crowd_max: int = 0,
        crowded: set[Crowd] | None = None,
        breathe: Callable[[], None] = lambda: None,
        excluded: Exclusions | None = None,
    ) -> None:
        """`budget` bounds how many events are judged, `crowd_max` (0: the same) how many may name one event or order.

        `crowded` remembers, beyond this hearing, orders that more name than that: they are not even read. `breathe` is
        called again and again in what may take long.
        """
        self._tx, self._mode, self._workspace_id, self._now_ms = tx, mode, workspace_id, now_ms
        self._reader = reader
        self._budget = budget
        # What tokens have been opened already, by event id.
        self._clicks = clicks
        self._crowd_max = crowd_max or budget
        self._breathe = breathe
        self._crowded: set[Crowd] = set() if crowded is None else crowded
        self._exclusions = exclusions.read(tx, workspace_id) if excluded is None else excluded
        self._relations = Relations(tx, mode, workspace_id, self._crowd_max + 1, self._exclusions)
        self._new: set[str] = set()
        self._stood: dict[str, Verdict | None] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._settlements: dict[str, Settlement] = {}
        # The orders to settle, each with an event that asked for it.
        self._orders: dict[Order, str] = {}
        self._heard: dict[str, Outcome] = {}

    def hear(self, new: Sequence[Outcome], again: Iterable[Outcome] = ()) -> None:
        """Judge outcomes just appended, and those to be judged `again`, and all that they concern."""
        if new:
            self._relations.read_around(new, lambda order_id: self._crowd(order_id) in self._crowded)
        self._new = {outcome.event_id for outcome in new}
        queue: deque[Outcome] = deque(new)
        for outcome in new:
            queue.extend(self._concerned(outcome))
        queue.extend(again)
        self._judge_all(queue)
        self._settle_all()

    def hear_again(self, event_ids: Iterable[str]) -> None:
        """Judge events that are in the ledger already, and all that they concern."""
        outcomes = [found for event_id in event_ids if (found := self._relations.outcome(event_id)) is not None]
        self.hear((), [*outcomes, *(other for outcome in outcomes for other in self._concerned(outcome))])

    def postpone_person(self, person_id: str, from_ms: int) -> None:
        """Have the leads and sales of a person judged again, from an event time on, in the background."""
        self._postpone("person", person_id, from_ms)

    def verdict(self, event_id: str) -> Verdict:
        """The verdict that stands after this hearing."""
        verdict = self._verdicts.get(event_id) or self._standing(event_id)
        if verdict is None:
            raise LookupError("an outcome without a verdict")
        return verdict

    def settlement(self, outcome: Outcome) -> Settlement | None:
        """The settlement that stands after this hearing; None for what moves no money."""
        if not outcome.is_follow_on:
            return None
        stands = self._settlements.get(outcome.event_id) or settlement.standing(
            self._tx, self._mode, self._workspace_id, outcome.event_id
        )
        return None if stands == NO_MONEY else stands

    def seen(self) -> Seen:
        """What the result hangs on, after it was heard."""
        heard = self._heard.values()
        settling = [outcome for order in self._orders for outcome in self._parties(order)[0]]
        events = {*self._heard, *self._settlements, *(outcome.event_id for outcome in settling)}
        orders = (
            {order[0] for order in self._orders} | {o.order_id for o in heard} | {o.related_order_id for o in heard}
        )
        return Seen(
            (events | {outcome.related_event_id for outcome in heard}) - {""},
            orders - {""},
            {outcome.person_id for outcome in heard} - {""},
            any(verdict != self._standing(event_id) for event_id, verdict in self._verdicts.items()),
        )

    def _concerned(self, outcome: Outcome) -> list[Outcome]:
        """Whom it concerns that an outcome is there, whatever its verdict."""
        concerned = self._dependents(outcome)
        if outcome.event_name == "reversal":
            # A sale that names it was a sale until now, and is a reinstatement from now on.
            for sale in self._relations.reinstating([outcome]):
                concerned = concerned + self._dependents(sale)
                self._orders[_order(sale)] = sale.event_id
        return concerned

    def _dependents(self, outcome: Outcome) -> list[Outcome]:
        """Whose verdict is made from this outcome's."""
        dependents = self._relations.named_by(outcome.event_id)
        if outcome.event_name == "sale" and outcome.order_id:
            dependents = dependents + self._relations.named_by_order(outcome.order_id)
        if len(dependents) > self._crowd_max:
            self._postpone("event", outcome.event_id)
            return []
        return dependents

    # --- verdicts -----------------------------------------------------------------------------------

    def _standing(self, event_id: str) -> Verdict | None:
        if event_id in self._new:
            return None
        if event_id not in self._stood:
            self._stood[event_id] = attribution.standing(self._tx, self._mode, self._workspace_id, event_id)
        return self._stood[event_id]

    def _judge_all(self, queue: deque[Outcome]) -> None:
        while queue:
            outcome = queue.popleft()
            if outcome.event_id not in self._heard and len(self._heard) >= self._budget:
                self._postpone("event", outcome.event_id)
                continue
            self._heard[outcome.event_id] = outcome
            before = self._verdicts.get(outcome.event_id) or self._standing(outcome.event_id)
            after = self._judge(outcome)
            self._touch_orders(outcome)
            if after != before:
                self._verdicts[outcome.event_id] = after
                # A new outcome's dependents wait in the queue already.
                if before is not None:
                    queue.extend(self._dependents(outcome))
        changed = [(e, v) for e, v in self._verdicts.items() if v != self._standing(e)]
        attribution.append(self._tx, self._mode, self._workspace_id, changed, self._now_ms)

    def _judge(self, outcome: Outcome, trace: Trace | None = None) -> Verdict:
        relations = self._relations
        if relations.excluded(outcome):
            if trace is not None:
                trace.append(self._exclusion_step(outcome))
            return EXCLUDED
        named = relations.named(outcome) if outcome.is_follow_on else relations.reinstated(outcome)
        if trace is not None:
            trace += self._related_steps(outcome, named)
        if isinstance(named, Unnamed):
            return RELATED_PENDING if named is Unnamed.PENDING else RELATED_INVALID
        if named is not None:
            # Not judged yet: it waits in the queue, and we are asked again after it.
            known = self._verdicts.get(named.event_id) or self._standing(named.event_id)
            return RELATED_PENDING if known is None else attribution.by_named(known)
        click = None
        if outcome.click_token:
            click = self._clicks.get(outcome.event_id) or self._reader.read(
                self._tx, self._workspace_id, outcome.click_token
            )
        return attribution.by_identity(self._tx, self._mode, outcome, click, trace, self._exclusions)

    def _exclusion_step(self, outcome: Outcome) -> Step:
        decision = self._exclusions.standing(outcome.secret_id, outcome.received_at_ms)
        facts: Facts = {"secret_id": outcome.secret_id}
        if decision is not None:
            facts |= {"exclusion_id": decision.exclusion_id, "decided_at": to_rfc3339(decision.decided_at_ms)}
        return Step("exclusion", "excluded", facts)

    def _related_steps(self, outcome: Outcome, named: Outcome | Unnamed | None) -> Trace:
        """What was asked of the outcome that this one names, for those that name one."""
        facts: Facts = {"related_event_id": outcome.related_event_id, "related_order_id": outcome.related_order_id}
        facts = {name: value for name, value in facts.items() if value}
        there = named if isinstance(named, Outcome) else None
        if there is None and outcome.related_event_id:
            there = self._relations.outcome(outcome.related_event_id)
        if there is not None:
            facts |= {"named_event_id": there.event_id, "named_event_name": there.event_name}
            facts |= {"named_order_id": there.order_id} if there.order_id else {}
        if isinstance(named, Unnamed):
            return [_NOT_ASKED, Step("related", f"related_{named.name.lower()}", facts)]
        if named is None:
            return [Step("related", "no_reversal_named", facts)] if facts else []
        return [_NOT_ASKED, Step("related", "related_found" if outcome.is_follow_on else "reversal_found", facts)]

    def explain(self, outcome: Outcome) -> tuple[Verdict, Settlement | None, Trace]:
        """The verdict and settlement that judging an outcome of the ledger anew gives, step by step; writes nothing.

        In an order of more follow-ons than the budget the settlement is not made anew: the one that stands is told.
        """
        trace: Trace = []
        verdict = self._judge(outcome, trace)
        trace.append(Step("verdict", verdict.reason or verdict.status, {"method": verdict.method or None}))
        return verdict, self._explain_money(outcome, trace), trace

    def _explain_money(self, outcome: Outcome, trace: Trace) -> Settlement | None:
        follow_on = self._relations.reinstated(outcome) or outcome
        if not follow_on.is_follow_on:
            return None
        named = self._relations.named(follow_on)
        if not _settles_with(named, follow_on):
            if not outcome.is_follow_on:
                return None
            settled = self._unsettled(outcome, named)
            trace.append(Step("settlement", settled.status or "no_money", {}))
            return None if settled == NO_MONEY else settled
        sale_events, naming = self._parties(_order(named))
        if self._too_many(naming):
            trace.append(Step("settlement", "order_too_large", {}))
            return self.settlement(outcome)
        replayed = self._replay(_order(named), sale_events, naming)
        trace.append(settlement.step(outcome, replayed, named.currency))
        return replayed.settlements.get(outcome.event_id)

    # --- money --------------------------------------------------------------------------------------

    def _touch_orders(self, outcome: Outcome) -> None:
        """Note the orders that must be settled again because of this outcome."""
        relations = self._relations
        if outcome.event_name == "lead":
            return
        reversal = relations.reinstated(outcome)
        if outcome.event_name == "sale" and reversal is None:
            if outcome.order_id or relations.named_by(outcome.event_id):
                self._orders[_order(outcome)] = outcome.event_id
            return
        follow_on = reversal or outcome
        named = relations.named(follow_on)
        if _settles_with(named, follow_on):
            self._orders[_order(named)] = outcome.event_id
        elif reversal is None:
            self._settlements[outcome.event_id] = self._unsettled(outcome, named)
        if outcome.event_id not in self._new:
            # It may have taken money from another order before.
            for sale_id in settlement.moved_by(self._tx, self._mode, self._workspace_id, outcome.event_id):
                sale = relations.outcome(sale_id)
                if sale is not None:
                    self._orders[_order(sale)] = sale_id

    def _unsettled(self, follow_on: Outcome, named: Outcome | Unnamed) -> Settlement:
        """Where a follow-on stands that belongs to no order."""
        if isinstance(named, Outcome) and named.event_name == "lead":
            return NO_MONEY
        missing = named is Unnamed.PENDING and (
            follow_on.related_event_id or not self._relations.sales_of(follow_on.related_order_id)
        )
        return Settlement("pending" if missing else "mismatch", follow_on.currency)

    def _settle_all(self) -> None:
        for order, asked_by in self._orders.items():
            self._settle(order, asked_by)
        stand = settlement.standing_each(self._tx, self._mode, self._workspace_id, list(self._settlements))
        changed = [(e, new) for e, new in self._settlements.items() if new != stand.get(e, NO_MONEY)]
        settlement.append(self._tx, self._mode, self._workspace_id, changed, self._now_ms)

    def _settle(self, order: Order, asked_by: str) -> None:
        known = self._crowd(order[0] or order[1]) in self._crowded
        sale_events, naming = ([], []) if known else self._parties(order)
        if not (known or naming):
            return
        if known or self._too_many(naming):
            self._remember_crowd(order)
            self._postpone("event", asked_by)
            self._settlements.update(self._pending_in(order))
            return
        replayed = self._replay(order, sale_events, naming)
        self._settlements.update(replayed.settlements)
        sale_ids = [sale.event_id for sale in sale_events]
        settlement.move(self._tx, self._mode, self._workspace_id, sale_ids, replayed.moved, self._now_ms)

    def _crowd(self, order_id: str) -> Crowd:
        return self._mode, self._workspace_id, order_id

    def _remember_crowd(self, order: Order) -> None:
        # The live ledger only grows; that of test events may be emptied.
        if self._mode == "live":
            if len(self._crowded) >= CROWDED_MAX:
                self._crowded.clear()
            self._crowded.add(self._crowd(order[0] or order[1]))

    def _parties(self, order: Order) -> tuple[list[Outcome], list[Outcome]]:
        """The sale events of an order, and who names the order or one of them."""
        relations = self._relations
        order_id, currency_or_event = order
        if order_id:
            sale_events = [s for s in relations.sale_events_of(order_id) if s.currency == currency_or_event]
            naming = list(relations.named_by_order(order_id))
        else:
            sale = relations.outcome(currency_or_event)
            sale_events = [] if sale is None else [sale]
            naming = []
        for sale in sale_events:
            naming += relations.named_by(sale.event_id)
        return sale_events, naming

    def _too_many(self, naming: Sequence[Outcome]) -> bool:
        reversals = [outcome for outcome in naming if outcome.event_name == "reversal"]
        most = max(len(naming), *(len(self._relations.named_by(o.event_id)) for o in reversals), 0)
        return most > self._crowd_max

    def _replay(self, order: Order, sale_events: Sequence[Outcome], naming: Sequence[Outcome]) -> Replayed:
        relations = self._relations
        follow_ons: dict[str, tuple[Outcome, Outcome]] = {}
        out: dict[str, Settlement] = {}
        for follow_on in naming:
            self._breathe()
            named = relations.named(follow_on) if follow_on.is_follow_on else Unnamed.INVALID
            if _settles_with(named, follow_on) and _order(named) == order:
                if relations.excluded(follow_on) or relations.excluded(named):
                    out[follow_on.event_id] = Settlement("mismatch", follow_on.currency)
                else:
                    follow_ons[follow_on.event_id] = (follow_on, named)
        reinstating = relations.reinstating(pair[0] for pair in follow_ons.values() if pair[0].event_name == "reversal")
        reinstating = [sale for sale in reinstating if not relations.excluded(sale)]
        sales = [s for s in sale_events if relations.reinstated(s) is None and not relations.excluded(s)]
        replayed = settlement.replay(sales, follow_ons, reinstating, self._breathe)
        replayed.settlements.update(out)
        return replayed

    def _pending_in(self, order: Order) -> dict[str, Settlement]:
        """What is new in an order that is left to the background is pending until then."""
        pending: dict[str, Settlement] = {}
        for event_id in self._new:
            outcome = self._relations.outcome(event_id)
            if outcome is not None and outcome.is_follow_on:
                named = self._relations.named(outcome)
                if _settles_with(named, outcome) and _order(named) == order:
                    pending[event_id] = Settlement("pending", outcome.currency or named.currency)
        return pending

    def _postpone(self, subject: Subject, subject_id: str, from_ms: int = 0) -> None:
        entry = Entry(self._workspace_id, subject, subject_id)
        docket.enter(self._tx, self._mode, entry, from_ms, self._now_ms)


def _order(sale: Outcome) -> Order:
    return (sale.order_id, sale.currency) if sale.order_id else ("", sale.event_id)


def _settles_with(named: Outcome | Unnamed, follow_on: Outcome) -> TypeGuard[Outcome]:
    """Whether what a follow-on names is a sale whose money it moves."""
    return isinstance(named, Outcome) and named.event_name == "sale" and follow_on.currency in ("", named.currency)
