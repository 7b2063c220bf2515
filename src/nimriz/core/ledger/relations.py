"""Relations: who names whom among the outcomes of one workspace and mode, read once for a hearing.

The roles are those of sections 3.6 and 3.7 of the wire contract: a follow-on names a lead or sale, by
event or by order; a sale that names a reversal reinstates it and is no sale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum

from nimriz.core.directory.mode import Mode
from nimriz.core.ledger import exclusions, ledger
from nimriz.core.ledger.exclusions import Exclusions
from nimriz.core.ledger.ledger import Outcome
from nimriz.store.db import Tx


class Unnamed(Enum):
    """Why a follow-on names no lead or sale."""

    PENDING = "what it names is not there yet"
    INVALID = "what it names is no lead or sale, or is of another order"


class Relations:
    """Reads outcomes as they are asked for, and remembers them.

    Of those who name one event or order at most `limit` are read: as many mean that there may be more.
    """

    def __init__(
        self, tx: Tx, mode: Mode, workspace_id: str, limit: int, exclusions: Exclusions = exclusions.NONE
    ) -> None:
        self._tx, self._mode, self._workspace_id, self._limit = tx, mode, workspace_id, limit
        self._exclusions = exclusions
        self._outcomes: dict[str, Outcome | None] = {}
        self._naming_event: dict[str, list[Outcome]] = {}
        self._naming_order: dict[str, list[Outcome]] = {}
        self._order_sales: dict[str, list[Outcome]] = {}

    def read_around(self, new: Sequence[Outcome], is_crowded: Callable[[str], bool]) -> None:
        """Read at once what will be asked about outcomes just appended, but not who names a crowded order."""
        for outcome in new:
            self._outcomes[outcome.event_id] = outcome
        self._read_named_by([outcome.event_id for outcome in new])
        named = {o.related_event_id for o in new if o.related_event_id} - self._outcomes.keys()
        for found in ledger.find_each(self._tx, self._mode, self._workspace_id, list(named)):
            self._outcomes[found.event_id] = found
        orders = {o.order_id for o in new if o.order_id and o.event_name == "sale"}
        orders |= {o.related_order_id for o in new if o.is_follow_on and o.related_order_id}
        self._read_sales(list(orders))
        self._read_named_by_orders([order_id for order_id in orders if not is_crowded(order_id)])

    def _read_named_by(self, event_ids: Sequence[str]) -> None:
        naming = ledger.naming_events(self._tx, self._mode, self._workspace_id, event_ids, self._limit)
        if len(naming) < self._limit or len(event_ids) == 1:
            self._naming_event.update((event_id, []) for event_id in event_ids)
            for outcome in naming:
                self._naming_event[outcome.related_event_id].append(outcome)

    def _read_sales(self, order_ids: Sequence[str]) -> None:
        sales = ledger.sales_of_orders(self._tx, self._mode, self._workspace_id, order_ids)
        self._order_sales.update((order_id, []) for order_id in order_ids)
        for sale in sorted(sales, key=lambda sale: sale.turn):
            self._order_sales[sale.order_id].append(sale)

    def _read_named_by_orders(self, order_ids: Sequence[str]) -> None:
        naming = ledger.naming_orders(self._tx, self._mode, self._workspace_id, order_ids, self._limit)
        if len(naming) < self._limit or len(order_ids) == 1:
            self._naming_order.update((order_id, []) for order_id in order_ids)
            for follow_on in naming:
                self._naming_order[follow_on.related_order_id].append(follow_on)

    def excluded(self, outcome: Outcome) -> bool:
        """Whether an outcome counts in nothing."""
        return self._exclusions.cover(outcome)

    def outcome(self, event_id: str) -> Outcome | None:
        """The outcome of an event id."""
        if event_id not in self._outcomes:
            self._outcomes[event_id] = ledger.find(self._tx, self._mode, self._workspace_id, event_id)
        return self._outcomes[event_id]

    def named_by(self, event_id: str) -> list[Outcome]:
        """Who names this event."""
        if event_id not in self._naming_event:
            self._read_named_by([event_id])
        return self._naming_event[event_id]

    def named_by_order(self, order_id: str) -> list[Outcome]:
        """The follow-ons that name this order, and no event."""
        if order_id not in self._naming_order:
            self._read_named_by_orders([order_id])
        return self._naming_order[order_id]

    def reinstating(self, reversals: Iterable[Outcome]) -> list[Outcome]:
        """The sales that name one of these reversals, earliest first."""
        naming = [o for reversal in reversals for o in self.named_by(reversal.event_id) if o.event_name == "sale"]
        return sorted(naming, key=lambda sale: sale.turn)

    def reinstated(self, outcome: Outcome) -> Outcome | None:
        """The reversal that this sale reinstates; None for every other outcome."""
        if outcome.event_name != "sale" or not outcome.related_event_id:
            return None
        named = self.outcome(outcome.related_event_id)
        return named if named is not None and named.event_name == "reversal" else None

    def sale_events_of(self, order_id: str) -> list[Outcome]:
        """The order's sale events in every currency, earliest first, those that reinstate included."""
        if order_id not in self._order_sales:
            self._read_sales([order_id])
        return self._order_sales[order_id]

    def sales_of(self, order_id: str) -> list[Outcome]:
        """The order's sales in every currency, earliest first; what reinstates is no sale."""
        return [sale for sale in self.sale_events_of(order_id) if self.reinstated(sale) is None]

    def named(self, follow_on: Outcome) -> Outcome | Unnamed:
        """The lead or sale that a follow-on names."""
        if follow_on.related_event_id:
            named = self.outcome(follow_on.related_event_id)
            if named is None:
                return Unnamed.PENDING
            other_order = follow_on.related_order_id and follow_on.related_order_id != named.order_id
            if named.is_follow_on or other_order or self.reinstated(named) is not None:
                return Unnamed.INVALID
            return named
        sales = [s for s in self.sales_of(follow_on.related_order_id) if follow_on.currency in ("", s.currency)]
        # An excluded sale is named only where the order has no other.
        for sale in sorted(sales, key=self.excluded):
            return sale
        return Unnamed.PENDING
