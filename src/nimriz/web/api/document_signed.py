"""What the document tells of the calls that stand in front of the framework: conversions, and whether we are there."""

from __future__ import annotations

from typing import NamedTuple

from nimriz.base.errors import FieldError, Refused
from nimriz.core.ledger import claims
from nimriz.web import conversions
from nimriz.web.api import document_examples as examples
from nimriz.web.api.document_call import Answer, Call
from nimriz.web.api.document_schemas import CURRENCY, TEXT, Schema, closed, maybe, one_of, ref

_ID: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
_SIGNED = (
    "timestamp_missing", "timestamp_malformed", "timestamp_outside_tolerance", "signature_missing",
    "signature_malformed", "signature_mismatch",
)  # fmt: skip
_REFUSALS = (
    *_SIGNED, "surface_not_enabled", "not_found", "rate_limited", "json_malformed", "json_duplicate_key",
    "validation_failed", "body_too_large", "body_timeout", "content_type_unsupported", "store_unavailable",
)  # fmt: skip
_REFUSED_EVENT = {
    "http_status": 422,
    **Refused("validation_failed", errors=(FieldError("custom_data.currency", "currency_missing"),)).problem(
        examples.REFERENCE
    ),
}
_CUSTOM_DATA = closed(
    {
        "value": {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]{1,18}(\.[0-9]{1,18})?$"},
                {"type": "number", "minimum": 0},
                {"type": "null"},
            ],
            "description": "An amount, read exactly as written. Needs `currency`.",
        },
        "currency": {
            **maybe({**CURRENCY, "pattern": "^[A-Za-z]{3}$"}),
            "description": "ISO 4217, any case. Needs `value`.",
        },
        "order_id": {**maybe(_ID), "description": "The order that a sale belongs to."},
        "quantity": {
            **maybe({"type": "integer", "minimum": 1, "maximum": claims.QUANTITY_MAX}),
            "description": "How many were bought.",
        },
        "related_order_id": {**maybe(_ID), "description": "The order that a follow-on is about."},
        "related_event_id": {**maybe(_ID), "description": "The event that a follow-on is about."},
        "metadata": {
            **maybe({"type": "object"}),
            "description": f"Your own data, at most {claims.METADATA_BYTES_MAX:,} bytes; kept as sent.",
        },
    },
    optional=(
        "value", "currency", "order_id", "quantity", "related_order_id", "related_event_id", "metadata",
    ),
)  # fmt: skip
_USER_DATA = closed(
    {
        "click_id": {
            **maybe({"type": "string", "minLength": 1, "maxLength": 512}),
            "description": "The `nim_ct` value of the click.",
        },
        "external_id": {**maybe(_ID), "description": "Your own customer id."},
    },
    optional=("click_id", "external_id"),
)
_EVENT = closed(
    {
        "event_name": {
            **one_of(*sorted(claims.EVENT_NAMES)),
            "description": "A refund, cancellation or reversal names a related event or order.",
        },
        "event_id": {**_ID, "description": "Your own name of the business outcome, unique for ever."},
        "event_time": {
            "anyOf": [{"type": "integer"}, {"type": "string", "format": "date-time"}, {"type": "null"}],
            "description": "Unix seconds, or RFC 3339 with an offset. Default: the time of arrival.",
        },
        "user_data": {**maybe(ref("UserData")), "description": "Who it was."},
        "custom_data": {**maybe(ref("CustomData")), "description": "What it was worth."},
    },
    optional=("event_time", "user_data", "custom_data"),
)
SCHEMAS: dict[str, Schema] = {
    "NewEvent": _EVENT,
    "UserData": _USER_DATA,
    "CustomData": _CUSTOM_DATA,
    "NewEvents": closed(
        {
            "events": {
                "type": "array", "items": ref("NewEvent"),
                "minItems": 1, "maxItems": conversions.BATCH_EVENTS_MAX,
            }
        }
    ),
}  # fmt: skip

_TIMESTAMP = {"type": "string", "pattern": "^[0-9]{1,15}$"}
_SIGNATURE = {"type": "string", "pattern": "^v1=[0-9a-f]{64}$"}
_WORKSPACE = {"name": "workspace_id", "in": "path", "required": True, "schema": TEXT}
_VALIDATE = {"name": "validate_only", "in": "query", "required": False, "schema": one_of("true", "false")}
_HEADERS = [
    {"name": "X-Nim-Timestamp", "in": "header", "required": True, "schema": _TIMESTAMP},
    {"name": "X-Nim-Signature", "in": "header", "required": True, "schema": _SIGNATURE},
]
_KEY = {
    "name": "Idempotency-Key", "in": "header", "required": False,
    "description": "Protects the transport of one attempt; `event_id` decides what is a repeat.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}  # fmt: skip
_SENT = {
    "workspace_id": examples.WORKSPACE_ID,
    "X-Nim-Timestamp": "1795428000",
    "X-Nim-Signature": f"v1={'5f0d3c1b' * 8}",
}
_STATES = {"ready": True, "records": "ok", "reports": "ok"}


class PlainCall(NamedTuple):
    """A call that no framework knows: its overlay, and its parameters and body too."""

    call: Call
    description: str
    parameters: list[Schema]
    body: str = ""


PLAIN: dict[tuple[str, str], PlainCall] = {
    ("POST", f"{conversions.PREFIX}{{workspace_id}}"): PlainCall(
        Call(
            "Conversions", "Send an event", "",
            {
                201: Answer("It is on disk, and judged.", ref("Recorded"), examples.RECORDED),
                200: Answer(
                    "It was there already, or `validate_only` was asked for.", ref("Recorded"),
                    {**examples.RECORDED, "duplicate": True},
                ),
            },
            (*_REFUSALS, "idempotency_key_reused"), examples.SALE, _SENT,
        ),
        f"Signed, without an API key. At most {conversions.BODY_BYTES_MAX:,} bytes. Sent again with the same "
        "`event_id`, it is a repeat.",
        [_WORKSPACE, *_HEADERS, _KEY, _VALIDATE], "NewEvent",
    ),
    ("POST", f"{conversions.PREFIX}{{workspace_id}}/batch"): PlainCall(
        Call(
            "Conversions", "Send many events", "",
            {200: Answer(
                "A result for each event, in order: read every `http_status`.", ref("BatchRecorded"),
                {
                    "results": [{"http_status": 201, **examples.RECORDED}, _REFUSED_EVENT],
                    "support_reference": examples.REFERENCE,
                },
            )},
            _REFUSALS,
            {"events": [examples.SALE, {
                "event_name": "sale", "event_id": "shop:payment-2", "custom_data": {"value": "10"},
            }]},
            _SENT,
        ),
        f"Signed the same way. At most {conversions.BATCH_BYTES_MAX:,} bytes. A bad event never takes the others "
        "with it.",
        [_WORKSPACE, *_HEADERS, _VALIDATE], "NewEvents",
    ),
    ("GET", "/_health"): PlainCall(
        Call("Operations", "Ask whether the process is up", "", {
            200: Answer("It is.", ref("Health"), {
                "status": "ok", "version": "0.1.0", "time": "2026-11-23T10:00:00.000Z", "clock_offset_s": 0,
            }),
        }),
        "The process is up: its version, its clock, and the clock's offset.", [],
    ),
    ("GET", "/_ready"): PlainCall(
        Call("Operations", "Ask whether the store is there", "", {
            200: Answer("Reads and writes are taken.", ref("Readiness"), _STATES),
            503: Answer("They are not.", ref("Readiness"), {"ready": False, "records": "unavailable"}),
        }),
        "Whether the store can be read, and written; beside it, what the store behind reports waits for.", [],
    ),
}  # fmt: skip
