"""Claim: the body of a delivery, authentic and well-formed, not yet believed."""

from __future__ import annotations

from typing import NamedTuple


class Claim(NamedTuple):
    """What a caller says happened. None means that the field was not sent."""

    event_name: str
    event_id: str
    event_time_ms: int | None
    click_id: str | None
    external_id: str | None
    value_minor: int | None
    currency: str | None
    order_id: str | None
    quantity: int | None
    related_order_id: str | None
    related_event_id: str | None
    metadata: bytes | None
