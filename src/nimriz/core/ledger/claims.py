"""Claims: the body of a delivery, authentic and well-formed, not yet believed.

The door's rules are section 3.2 of the wire contract. Whatever is wrong is said at once, field by
field, with codes that never change and without the values that were sent.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from nimriz.base import jsontext
from nimriz.base.clock import from_rfc3339
from nimriz.base.errors import FieldError, Refused, told_back
from nimriz.base.jsontext import Number
from nimriz.base.money import AmountRefused, currency_code, to_minor
from nimriz.core.ledger.claim import Claim
from nimriz.core.ledger.ledger import FOLLOW_ONS, Outcome
from nimriz.core.ledger.persons import Readable

EVENT_NAMES = frozenset({"lead", "sale"}) | FOLLOW_ONS
EVENT_TIME_MIN_MS = 946_684_800_000  # 2000-01-01
EVENT_TIME_AHEAD_MS_MAX = 300_000
METADATA_BYTES_MAX = 4_096
QUANTITY_MAX = 2**31 - 1
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_LONG_INTEGER = re.compile(r"-?[0-9]+")


_Id = Annotated[str, StringConstraints(min_length=1, max_length=255)]
_Token = Annotated[str, StringConstraints(min_length=1, max_length=512)]
_STRICT = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)


# Typed dicts and not models: a fifth of the time, and a body is needed only until its claim is made.
@with_config(_STRICT)
class _UserData(TypedDict, total=False):
    click_id: _Token | None
    external_id: _Id | None


@with_config(_STRICT)
class _CustomData(TypedDict, total=False):
    value: Any
    currency: str | None
    order_id: _Id | None
    quantity: Any
    related_order_id: _Id | None
    related_event_id: _Id | None
    metadata: Any


@with_config(_STRICT)
class _Body(TypedDict, total=False):
    event_name: str | None
    event_id: _Id | None
    event_time: Any
    user_data: _UserData | None
    custom_data: _CustomData | None


_check = TypeAdapter(_Body).validator.validate_python
_NOBODY: _UserData = {}
_NOTHING: _CustomData = {}

_CODES = {
    "extra_forbidden": "field_unknown",
    "string_too_short": "field_length",
    "string_too_long": "field_length",
}


def read_claim(body: object, now_ms: int) -> Claim:
    """The claim in a parsed JSON body. Raises Refused(validation_failed) naming every field at fault."""
    if not isinstance(body, dict):
        raise Refused("validation_failed", errors=(FieldError("body", "field_type"),))
    try:
        parsed: _Body = _check(body)
    except ValidationError as invalid:
        raise Refused("validation_failed", errors=_field_errors(invalid)) from None
    event_name, event_id = parsed.get("event_name"), parsed.get("event_id")
    user, custom = parsed.get("user_data") or _NOBODY, parsed.get("custom_data") or _NOTHING
    errors: list[FieldError] = []
    if event_name not in EVENT_NAMES:
        errors.append(FieldError("event_name", "field_missing" if event_name is None else "field_type"))
    if event_id is None:
        errors.append(FieldError("event_id", "field_missing"))
    event_time_ms = _event_time(parsed.get("event_time"), now_ms, errors)
    value_minor, currency = _amount(custom.get("value"), custom.get("currency"), errors)
    quantity = _quantity(custom.get("quantity"), errors)
    metadata = _metadata(custom.get("metadata"), errors)
    related_order_id, related_event_id = custom.get("related_order_id"), custom.get("related_event_id")
    if event_name in FOLLOW_ONS and related_event_id is None and related_order_id is None:
        errors.append(FieldError("custom_data.related_event_id", "related_missing"))
    if errors or event_name is None or event_id is None:
        raise Refused("validation_failed", errors=tuple(errors))
    return Claim(
        event_name,
        event_id,
        event_time_ms,
        user.get("click_id"),
        user.get("external_id"),
        value_minor,
        currency,
        custom.get("order_id"),
        quantity,
        related_order_id,
        related_event_id,
        metadata,
    )


def _field_errors(invalid: ValidationError) -> tuple[FieldError, ...]:
    errors = []
    for error in invalid.errors(include_url=False, include_context=False, include_input=False):
        code = _CODES.get(error["type"], "field_type")
        path = [told_back(str(part)) for part in error["loc"]]
        errors.append(FieldError(".".join(path), code))
    return tuple(errors)


def _event_time(value: object, now_ms: int, errors: list[FieldError]) -> int | None:
    if value is None:
        return None
    code = ""
    instant_ms = 0
    if isinstance(value, Number):
        if _INTEGER.fullmatch(value.text):
            instant_ms = int(value.text) * 1000
        elif _LONG_INTEGER.fullmatch(value.text):
            instant_ms = -1 if value.text.startswith("-") else now_ms + EVENT_TIME_AHEAD_MS_MAX + 1
        else:
            code = "event_time_malformed"
    elif isinstance(value, str):
        try:
            instant_ms = from_rfc3339(value)
        except ValueError:
            code = "event_time_malformed"
    else:
        code = "field_type"
    if not code and instant_ms > now_ms + EVENT_TIME_AHEAD_MS_MAX:
        code = "event_time_in_future"
    if not code and instant_ms < EVENT_TIME_MIN_MS:
        code = "event_time_too_old"
    if code:
        errors.append(FieldError("event_time", code))
        return None
    return instant_ms


def _amount(value: object, currency: str | None, errors: list[FieldError]) -> tuple[int | None, str | None]:
    if value is None:
        if currency is not None:
            errors.append(FieldError("custom_data.value", "field_missing"))
        return None, None
    number = isinstance(value, Number)
    text = value.text if isinstance(value, Number) else value
    if not isinstance(text, str):
        errors.append(FieldError("custom_data.value", "field_type"))
        return None, None
    try:
        minor = to_minor(text, currency or "", json_number=number)
        return minor, currency_code(currency or "")
    except AmountRefused as refused:
        errors.append(FieldError(f"custom_data.{refused.field}", refused.code))
        return None, None


def _quantity(value: object, errors: list[FieldError]) -> int | None:
    if value is None:
        return None
    if not isinstance(value, Number) or not _LONG_INTEGER.fullmatch(value.text):
        errors.append(FieldError("custom_data.quantity", "field_type"))
        return None
    if len(value.text) > 10 or not 1 <= int(value.text) <= QUANTITY_MAX:
        errors.append(FieldError("custom_data.quantity", "field_length"))
        return None
    return int(value.text)


def _metadata(value: object, errors: list[FieldError]) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        errors.append(FieldError("custom_data.metadata", "field_type"))
        return None
    written = jsontext.write(value).encode()
    if len(written) > METADATA_BYTES_MAX:
        errors.append(FieldError("custom_data.metadata", "metadata_too_large"))
        return None
    return written


def differences(claim: Claim, outcome: Outcome, readable: Readable) -> tuple[str, ...]:
    """The fields in which a repeat means something else than the stored event.

    Compared by meaning: minor units, instants, parsed metadata. An event time left out and fields that
    were erased are no difference.
    """
    erased = bool(outcome.person_id) and readable == Readable(None, None)
    pairs: list[tuple[str, object, object]] = [
        ("event_name", claim.event_name, outcome.event_name),
        ("event_time", claim.event_time_ms or outcome.event_time_ms, outcome.event_time_ms),
        ("user_data.click_id", claim.click_id or "", outcome.click_token),
        ("custom_data.value", claim.value_minor, outcome.value_minor),
        ("custom_data.currency", claim.currency or "", outcome.currency),
        ("custom_data.order_id", claim.order_id or "", outcome.order_id),
        ("custom_data.quantity", claim.quantity, outcome.quantity),
        ("custom_data.related_order_id", claim.related_order_id or "", outcome.related_order_id),
        ("custom_data.related_event_id", claim.related_event_id or "", outcome.related_event_id),
    ]
    if not erased:
        pairs.append(("user_data.external_id", claim.external_id, readable.external_id))
        pairs.append(("custom_data.metadata", _parsed(claim.metadata), _parsed(readable.metadata)))
    return tuple(name for name, sent, stored in pairs if sent != stored)


def _parsed(metadata: bytes | None) -> object:
    return None if metadata is None else jsontext.parse(metadata)
