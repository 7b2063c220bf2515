"""Events as they stand on the wire: section 3.3 of the contract."""

from __future__ import annotations

import msgspec

from nimriz.base.clock import to_rfc3339
from nimriz.base.money import to_decimal
from nimriz.core.attribution import Verdict
from nimriz.core.conversions import Conversion, Order
from nimriz.core.intake import Recorded
from nimriz.core.ledger import Outcome
from nimriz.core.mode import Mode
from nimriz.core.persons import Readable
from nimriz.core.settlement import Settlement


def event(mode: Mode, outcome: Outcome, readable: Readable) -> dict[str, object]:
    """The member `event`."""
    minor, currency = outcome.value_minor, outcome.currency
    return {
        "id": outcome.outcome_id,
        "event_id": outcome.event_id,
        "event_name": outcome.event_name,
        "mode": mode,
        "event_time": to_rfc3339(outcome.event_time_ms),
        "received_at": to_rfc3339(outcome.received_at_ms),
        "value": None if minor is None else to_decimal(minor, currency),
        "value_minor": minor,
        "currency": currency or None,
        "order_id": outcome.order_id or None,
        "external_id": readable.external_id,
        "related_order_id": outcome.related_order_id or None,
        "related_event_id": outcome.related_event_id or None,
        "quantity": outcome.quantity,
        "metadata": None if readable.metadata is None else msgspec.Raw(readable.metadata),
    }


def attribution(verdict: Verdict) -> dict[str, object]:
    """The member `attribution`."""
    return {
        "status": verdict.status,
        "method": verdict.method or None,
        "reason": verdict.reason or None,
        "link_id": verdict.link_id or None,
        "click_id": verdict.click_id or None,
        "variant": None,
        "clicked_at": None if verdict.clicked_at_ms is None else to_rfc3339(verdict.clicked_at_ms),
        "window_days": verdict.window_days,
    }


def settlement(settled: Settlement | None) -> dict[str, object] | None:
    """The member `settlement`."""
    if settled is None:
        return None
    remaining = settled.remaining_minor
    return {
        "status": settled.status,
        "currency": settled.currency or None,
        "applied": _decimal(settled.applied_minor, settled.currency),
        "applied_minor": settled.applied_minor,
        "excess": _decimal(settled.excess_minor, settled.currency),
        "excess_minor": settled.excess_minor,
        "remaining": None if remaining is None else _decimal(remaining, settled.currency),
        "remaining_minor": remaining,
    }


def order(order: Order | None) -> dict[str, object] | None:
    """The member `order` of a sale."""
    if order is None:
        return None
    amounts = {
        "gross": order.gross_minor,
        "taken_back": order.taken_back_minor,
        "net": order.gross_minor - order.taken_back_minor,
        "excess": order.excess_minor,
    }
    return {
        "currency": order.currency or None,
        **{name: _decimal(minor, order.currency) for name, minor in amounts.items()},
        **{f"{name}_minor": minor for name, minor in amounts.items()},
        "sales": order.sales,
        "follow_ons": order.follow_ons,
        "reinstatements": order.reinstatements,
    }


def standing(conversion: Conversion) -> dict[str, object]:
    """An event as it stands, without what belongs to one delivery."""
    return {
        "event": event(conversion.mode, conversion.outcome, conversion.readable),
        "attribution": attribution(conversion.verdict),
        "settlement": settlement(conversion.settlement),
    }


def recorded(answer: Recorded, support_reference: str, status: str = "recorded") -> dict[str, object]:
    """The whole answer to one claim."""
    body: dict[str, object] = {
        "status": status,
        "duplicate": answer.duplicate,
        "event": event(answer.mode, answer.outcome, answer.readable),
        "attribution": attribution(answer.verdict),
        "settlement": settlement(answer.settlement),
        "support_reference": support_reference,
    }
    if answer.differences:
        body["differences"] = answer.differences
    return body


def _decimal(minor: int, currency: str) -> str:
    return to_decimal(minor, currency or None)
