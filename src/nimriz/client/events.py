"""Events as the Conversion API takes them, and the one text in which each is sent.

Owns the five builders and the encoding. Promises that money never passes through a float and that whatever no
server would take (no id, no JSON, too long) is refused here, where it is made, as ValueError or TypeError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypedDict, Unpack, cast

EVENT_BYTES_MAX = 65_536
EVENT_ID_CHARS_MAX = 255

EventName = Literal["lead", "sale", "refund", "cancellation", "reversal"]
Amount = Decimal | str | int
"""What money is written as: never a float."""

Instant = datetime | int
"""An aware datetime, or Unix seconds."""


class UserData(TypedDict, total=False):
    """Who it was."""

    click_id: str
    external_id: str


class CustomData(TypedDict, total=False):
    """What it was worth, and what it belongs to."""

    value: str
    currency: str
    order_id: str
    quantity: int
    related_order_id: str
    related_event_id: str
    metadata: dict[str, Any]


class _Named(TypedDict):
    event_name: EventName
    event_id: str


class Event(_Named, total=False):
    """The body of a delivery."""

    event_time: str | int
    user_data: UserData
    custom_data: CustomData


def lead(
    event_id: str,
    *,
    click_id: str | None = None,
    external_id: str | None = None,
    event_time: Instant | None = None,
    value: Amount | None = None,
    currency: str | None = None,
    order_id: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Event:
    """Somebody signed up."""
    custom = _custom(value, currency, order_id=order_id, metadata=metadata)
    return _event("lead", event_id, event_time, _user(click_id, external_id), custom)


def sale(
    event_id: str,
    *,
    click_id: str | None = None,
    external_id: str | None = None,
    event_time: Instant | None = None,
    value: Amount | None = None,
    currency: str | None = None,
    order_id: str | None = None,
    quantity: int | None = None,
    related_event_id: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Event:
    """Somebody paid; with the reversal as `related_event_id`, a dispute was won."""
    custom = _custom(
        value, currency, order_id=order_id, quantity=quantity, related_event_id=related_event_id, metadata=metadata
    )
    return _event("sale", event_id, event_time, _user(click_id, external_id), custom)


class FollowsOn(TypedDict, total=False):
    """What a refund, a cancellation or a reversal says; one of both references is needed."""

    related_order_id: str | None
    related_event_id: str | None
    event_time: Instant | None
    value: Amount | None
    currency: str | None
    metadata: dict[str, Any] | None


def refund(event_id: str, **said: Unpack[FollowsOn]) -> Event:
    """Money went back; without a value, all that is left."""
    return _follow_on("refund", event_id, said)


def cancellation(event_id: str, **said: Unpack[FollowsOn]) -> Event:
    """The deal is off; `value=0` gives no money back, no value all that is left."""
    return _follow_on("cancellation", event_id, said)


def reversal(event_id: str, **said: Unpack[FollowsOn]) -> Event:
    """The bank took the money back; without a value, all that is left."""
    return _follow_on("reversal", event_id, said)


def _follow_on(event_name: EventName, event_id: str, said: FollowsOn) -> Event:
    related = {name: said.get(name) for name in ("related_order_id", "related_event_id")}
    if not any(related.values()):
        raise ValueError("a follow-on names related_order_id or related_event_id")
    custom = _custom(said.get("value"), said.get("currency"), **related, metadata=said.get("metadata"))
    return _event(event_name, event_id, said.get("event_time"), {}, custom)


def _event(
    event_name: EventName, event_id: str, event_time: Instant | None, user: UserData, custom: CustomData
) -> Event:
    event: Event = {"event_name": event_name, "event_id": event_id}
    if event_time is not None:
        event["event_time"] = spell_instant(event_time)
    if user:
        event["user_data"] = user
    if custom:
        event["custom_data"] = custom
    return event


def _user(click_id: str | None, external_id: str | None) -> UserData:
    user: UserData = {}
    if click_id is not None:
        user["click_id"] = click_id
    if external_id is not None:
        user["external_id"] = external_id
    return user


def _custom(value: Amount | None, currency: str | None, **more: Any) -> CustomData:
    if (value is None) != (currency is None):
        raise ValueError("value and currency come together")
    custom: dict[str, Any] = {} if value is None else {"value": spell_amount(value), "currency": currency}
    custom.update({name: given for name, given in more.items() if given is not None})
    return cast(CustomData, custom)


def spell_amount(value: Amount) -> str:
    """An amount as plain digits. Raises TypeError for a float, whose digits nobody has written."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("an amount is a Decimal, a string or an integer")
    return str(value)


def spell_instant(instant: Instant) -> str | int:
    """An instant as the contract reads it. Raises ValueError for a datetime without a zone."""
    if not isinstance(instant, datetime):
        return instant
    if instant.utcoffset() is None:
        raise ValueError("an event_time needs a time zone")
    return instant.isoformat(timespec="milliseconds")


def event_id_of(event: Mapping[str, Any]) -> str:
    """The id by which the event is known for ever. Raises ValueError."""
    event_id = event.get("event_id")
    if not isinstance(event_id, str) or not 1 <= len(event_id) <= EVENT_ID_CHARS_MAX:
        raise ValueError("an event needs an event_id of 1 to 255 characters")
    return event_id


def encode(event: Mapping[str, Any]) -> bytes:
    """The bytes that are signed and sent. Raises ValueError for what is no event, and for one that is too long."""
    event_id_of(event)
    raw = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    if len(raw) > EVENT_BYTES_MAX:
        raise ValueError("an event has at most 64 KiB")
    return raw
