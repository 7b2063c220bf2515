"""Hearing: everything that new outcomes concern is judged and settled again, in one transaction.

The order of arrival must not matter, so nothing is decided by it: an outcome's verdict and settlement
are functions of the set of outcomes. A Hearing finds who is concerned, asks `attribution` and
`settlement`, and appends what has changed. Past its budget the rest goes to the docket (table docket,
owned here), which a background job works off within seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from nimriz.core import attribution, ledger, settlement
from nimriz.core.attribution import RELATED_INVALID, RELATED_PENDING, TokenReader, Verdict
from nimriz.core.ledger import Outcome
from nimriz.core.mode import Mode, by_mode
from nimriz.core.settlement import NO_MONEY, Settlement
from nimriz.store.db import Tx

# The sales that settle together: (order id, currency), or ('', event id) for a sale without order id.
Order = tuple[str, str]

_ENTER = by_mode(
    "insert into @docket (workspace_id, subject, subject_id, from_ms, after_event_id, entered_at_ms) "
    "values (:workspace_id, :subject, :subject_id, :from_ms, '', :now_ms) "
    "on conflict (workspace_id, subject, subject_id) do update set after_event_id = '', "
    "from_ms = case when excluded.from_ms < @docket.from_ms then excluded.from_ms else @docket.from_ms end"
)


class Hearing:
    """One transaction's judging for one workspace and mode. Remembers what it has read."""

    def __init__(self, tx: Tx, mode: Mode, workspace_id: str, reader: TokenReader, now_ms: int, budget: int) -> None:
        self._tx, self._mode, self._workspace_id, self._now_ms = tx, mode, workspace_id, now_ms
        self._reader = reader
        self._budget = budget
        self._outcomes: dict[str, Outcome | None] = {}
        self._naming_event: dict[str, list[Outcome]] = {}
        self._naming_order: dict[str, list[Outcome]] = {}
        self._order_sales: dict[str, list[Outcome]] = {}
        self._stood: dict[str, Verdict | None] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._settlements: dict[str, Settlement] = {}
        # The orders to settle, each with an event that asked for it.
        self._orders: dict[Order, str] = {}

    def hear(self, new: Iterable[Outcome], again: Iterable[Outcome] = ()) -> None:
        """Judge outcomes just appended, and those to be judged `again`, and all that they concern."""
        new = list(new)
        for outcome in new:
            self._outcomes[outcome.event_id] = outcome
            self._stood[outcome.event_id] = None
        queue: deque[Outcome] = deque(new)
        for outcome in new:
            # What names a new outcome is concerned by its being there, whatever its verdict.
            queue.extend(self._dependents(outcome))
            if outcome.event_name == "reversal":
                # A sale that names it was a sale until now, and is a reinstatement from now on.
                for sale in self._named_by_sales(outcome):
                    queue.extend(self._dependents(sale))
                    self._orders[_order(sale)] = sale.event_id
        queue.extend(again)
        self._judge_all(queue)
        self._settle_all()

    def hear_again(self, event_ids: Iterable[str]) -> None:
        """Judge events that are in the ledger already, and all that they concern."""
        outcomes = [outcome for event_id in event_ids if (outcome := self._outcome(event_id)) is not None]
        self.hear((), [*outcomes, *(d for outcome in outcomes for d in self._dependents(outcome))])

    def verdict(self, event_id: str) -> Verdict:
        """The verdict that stands after this hearing."""
        verdict = self._verdicts.get(event_id) or self._standing(event_id)
        if verdict is None:
            raise LookupError("an outcome without a verdict")
        return verdict

    def settlement(self, event_id: str) -> Settlement | None:
        """The settlement that stands after this hearing; None for what moves no money."""
        outcome = self._outcome(event_id)
        if outcome is None or not outcome.is_follow_on:
            return None
        stands = self._settlements.get(event_id) or settlement.standing(
            self._tx, self._mode, self._workspace_id, event_id
        )
        return None if stands is None or stands == NO_MONEY else stands

    # --- who names whom -----------------------------------------------------------------------------

    def _outcome(self, event_id: str) -> Outcome | None:
        if event_id not in self._outcomes:
            self._outcomes[event_id] = ledger.find(self._tx, self._mode, self._workspace_id, event_id)
        return self._outcomes[event_id]

    def _named_by(self, event_id: str) -> list[Outcome]:
        """Who names this event. Longer than the budget means: too many for this hearing."""
        if event_id not in self._naming_event:
            self._naming_event[event_id] = ledger.naming_event(
                self._tx, self._mode, self._workspace_id, event_id, self._budget + 1
            )
        return self._naming_event[event_id]

    def _named_by_order(self, order_id: str) -> list[Outcome]:
        if order_id not in self._naming_order:
            self._naming_order[order_id] = ledger.naming_order(
                self._tx, self._mode, self._workspace_id, order_id, self._budget + 1
            )
        return self._naming_order[order_id]

    def _named_by_sales(self, reversal: Outcome) -> list[Outcome]:
        return [o for o in self._named_by(reversal.event_id) if o.event_name == "sale"]

    def _dependents(self, outcome: Outcome) -> list[Outcome]:
        """Whose verdict is made from this outcome's."""
        dependents = self._named_by(outcome.event_id)
        if outcome.event_name == "sale" and outcome.order_id:
            dependents = dependents + self._named_by_order(outcome.order_id)
        if len(dependents) > self._budget:
            self._enter("event", outcome.event_id)
            return []
        return dependents

    def _reinstated(self, outcome: Outcome) -> Outcome | None:
        """The reversal that this sale reinstates; None for every other outcome."""
        if outcome.event_name != "sale" or not outcome.related_event_id:
            return None
        named = self._outcome(outcome.related_event_id)
        return named if named is not None and named.event_name == "reversal" else None

    def _sale_events_of(self, order_id: str) -> list[Outcome]:
        """The order's sale events in every currency, earliest first, those that reinstate included."""
        if order_id not in self._order_sales:
            sales = ledger.sales_of_order(self._tx, self._mode, self._workspace_id, order_id)
            self._order_sales[order_id] = sorted(sales, key=lambda sale: sale.turn)
        return self._order_sales[order_id]

    def _sales_of(self, order_id: str) -> list[Outcome]:
        """The order's sales in every currency, earliest first; what reinstates is no sale."""
        return [sale for sale in self._sale_events_of(order_id) if self._reinstated(sale) is None]

    def _named(self, follow_on: Outcome) -> Outcome | Verdict:
        """The lead or sale that a follow-on names, or the verdict that says why there is none."""
        if follow_on.related_event_id:
            named = self._outcome(follow_on.related_event_id)
            if named is None:
                return RELATED_PENDING
            other_order = follow_on.related_order_id and follow_on.related_order_id != named.order_id
            if named.is_follow_on or other_order or self._reinstated(named) is not None:
                return RELATED_INVALID
            return named
        for sale in self._sales_of(follow_on.related_order_id):
            if follow_on.currency in ("", sale.currency):
                return sale
        return RELATED_PENDING

    # --- verdicts -----------------------------------------------------------------------------------

    def _standing(self, event_id: str) -> Verdict | None:
        if event_id not in self._stood:
            self._stood[event_id] = attribution.standing(self._tx, self._mode, self._workspace_id, event_id)
        return self._stood[event_id]

    def _judge_all(self, queue: deque[Outcome]) -> None:
        heard: dict[str, None] = {}
        while queue:
            outcome = queue.popleft()
            if outcome.event_id not in heard and len(heard) >= self._budget:
                self._enter("event", outcome.event_id)
                continue
            heard[outcome.event_id] = None
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

    def _judge(self, outcome: Outcome) -> Verdict:
        named = self._named(outcome) if outcome.is_follow_on else self._reinstated(outcome)
        if isinstance(named, Verdict):
            return named
        if named is not None:
            # Not judged yet: it waits in the queue, and we are asked again after it.
            known = self._verdicts.get(named.event_id) or self._standing(named.event_id)
            return RELATED_PENDING if known is None else attribution.by_named(known)
        click = None
        if outcome.click_token:
            click = self._reader.read(self._tx, self._workspace_id, outcome.click_token)
        return attribution.by_identity(self._tx, self._mode, outcome, click)

    # --- money --------------------------------------------------------------------------------------

    def _touch_orders(self, outcome: Outcome) -> None:
        """Note the orders that must be settled again because of this outcome."""
        if outcome.event_name == "lead":
            return
        reversal = self._reinstated(outcome)
        if outcome.event_name == "sale" and reversal is None:
            if outcome.order_id or self._named_by(outcome.event_id):
                self._orders[_order(outcome)] = outcome.event_id
            return
        follow_on = reversal or outcome
        named = self._named(follow_on)
        if isinstance(named, Outcome) and named.event_name == "sale" and _same_currency(follow_on, named):
            self._orders[_order(named)] = outcome.event_id
        elif reversal is None:
            self._settlements[outcome.event_id] = self._unsettled(outcome, named)
        if self._standing(outcome.event_id) is not None:
            # It may have taken money from another order before.
            for sale_id in settlement.moved_by(self._tx, self._mode, self._workspace_id, outcome.event_id):
                sale = self._outcome(sale_id)
                if sale is not None:
                    self._orders[_order(sale)] = sale_id

    def _unsettled(self, follow_on: Outcome, named: Outcome | Verdict) -> Settlement:
        """Where a follow-on stands that belongs to no order."""
        if isinstance(named, Outcome) and named.event_name == "lead":
            return NO_MONEY
        missing = named == RELATED_PENDING and not (
            not follow_on.related_event_id and self._sales_of(follow_on.related_order_id)
        )
        return Settlement("pending" if missing else "mismatch", follow_on.currency)

    def _settle_all(self) -> None:
        for order, asked_by in self._orders.items():
            self._settle(order, asked_by)
        changed = [
            (event_id, new)
            for event_id, new in self._settlements.items()
            if new != (settlement.standing(self._tx, self._mode, self._workspace_id, event_id) or NO_MONEY)
        ]
        settlement.append(self._tx, self._mode, self._workspace_id, changed, self._now_ms)

    def _settle(self, order: Order, asked_by: str) -> None:
        order_id, currency_or_event = order
        if order_id:
            sale_events = [s for s in self._sale_events_of(order_id) if s.currency == currency_or_event]
            naming = list(self._named_by_order(order_id))
        else:
            sale = self._outcome(currency_or_event)
            sale_events = [] if sale is None else [sale]
            naming = []
        for sale in sale_events:
            naming += self._named_by(sale.event_id)
        if not naming:
            return
        if len(naming) > self._budget:
            self._postpone(order, asked_by)
            return
        follow_ons: dict[str, tuple[Outcome, Outcome]] = {}
        for follow_on in naming:
            named = self._named(follow_on) if follow_on.is_follow_on else RELATED_INVALID
            if isinstance(named, Outcome) and _order(named) == order and _same_currency(follow_on, named):
                follow_ons[follow_on.event_id] = (follow_on, named)
        reversals = [follow_on for follow_on, _ in follow_ons.values() if follow_on.event_name == "reversal"]
        reinstatements = [sale for reversal in reversals for sale in self._named_by_sales(reversal)]
        sales = [sale for sale in sale_events if self._reinstated(sale) is None]
        replayed = settlement.replay(sales, follow_ons, reinstatements)
        self._settlements.update(replayed.settlements)
        sale_ids = [sale.event_id for sale in sale_events]
        settlement.move(self._tx, self._mode, self._workspace_id, sale_ids, replayed.moved, self._now_ms)

    def _postpone(self, order: Order, asked_by: str) -> None:
        """Leave a crowded order to the background; what is new in it is pending until then."""
        self._enter("event", asked_by)
        for event_id, stood in self._stood.items():
            outcome = self._outcomes.get(event_id)
            if stood is None and outcome is not None and outcome.is_follow_on:
                named = self._named(outcome)
                if isinstance(named, Outcome) and _order(named) == order:
                    self._settlements[event_id] = Settlement("pending", outcome.currency or named.currency)

    def enter_person(self, person_id: str, from_ms: int) -> None:
        """Have the leads and sales of a person judged again, from an event time on, in the background."""
        self._enter("person", person_id, from_ms)

    def _enter(self, subject: str, subject_id: str, from_ms: int = 0) -> None:
        self._tx.run(
            _ENTER[self._mode],
            {
                "workspace_id": self._workspace_id,
                "subject": subject,
                "subject_id": subject_id,
                "from_ms": from_ms,
                "now_ms": self._now_ms,
            },
        )


def _order(sale: Outcome) -> Order:
    return (sale.order_id, sale.currency) if sale.order_id else ("", sale.event_id)


def _same_currency(follow_on: Outcome, named: Outcome) -> bool:
    return follow_on.currency in ("", named.currency)
