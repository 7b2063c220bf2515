"""Refused: the service said no, with a stable code.

Owns the catalogue of every code that a caller can meet, each with its HTTP status, a title and a
sentence that says what to do. Nothing here ever holds a value that the caller sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One way of saying no: its HTTP status, a title, and what the caller can do about it."""

    status: int
    title: str
    detail: str


CODES: dict[str, Code] = {
    "body_too_large": Code(
        413, "Body too large", "Send a smaller body: 64 KiB for one event, 2 MiB for everything else."
    ),
    "content_type_unsupported": Code(
        415, "Unsupported content type", "Send Content-Type: application/json in UTF-8, without Content-Encoding."
    ),
    "timestamp_missing": Code(401, "Timestamp missing", "Send X-Nim-Timestamp: the Unix time in seconds."),
    "timestamp_malformed": Code(401, "Timestamp malformed", "X-Nim-Timestamp is sent once, as 1 to 15 digits."),
    "timestamp_outside_tolerance": Code(
        401, "Timestamp outside tolerance", "Sign at the moment of sending and check the clock: 300 s are allowed."
    ),
    "signature_missing": Code(401, "Signature missing", "Send X-Nim-Signature: v1= and 64 hex digits."),
    "signature_malformed": Code(
        401, "Signature malformed", "X-Nim-Signature is sent once, as v1= and 64 lower-case hex digits."
    ),
    "signature_mismatch": Code(
        401,
        "Signature mismatch",
        "Sign timestamp, a full stop and the raw body with a live secret of this workspace.",
    ),
    "unauthorized": Code(401, "Unauthorized", "Send Authorization: Bearer with a live API key."),
    "scope_missing": Code(403, "Scope missing", "This API key lacks the scope that the call needs."),
    "surface_not_enabled": Code(
        403, "Surface not enabled", "The plan or the rollout flag of this workspace keeps this surface closed."
    ),
    "rate_limited": Code(429, "Rate limited", "Wait for the seconds in Retry-After, then send again."),
    "json_malformed": Code(400, "JSON malformed", "Send one JSON value in UTF-8, at most 32 levels deep."),
    "json_duplicate_key": Code(400, "Duplicate JSON key", "Send each key of an object once."),
    "validation_failed": Code(422, "Validation failed", "Mend the fields named in errors and send again."),
    "idempotency_key_reused": Code(
        409, "Idempotency key reused", "This idempotency key belongs to something else; use a fresh one."
    ),
    "body_timeout": Code(408, "Body timeout", "Send the whole body within 10 seconds."),
    "store_unavailable": Code(
        503, "Store unavailable", "Not acknowledged: it may or may not be recorded. Send again, same event_id."
    ),
    "reports_unavailable": Code(
        503, "Reports unavailable", "Reports are being prepared; links and conversions are not affected. Ask again."
    ),
    "not_found": Code(404, "Not found", "Nothing is here, or it belongs to another workspace."),
    "method_not_allowed": Code(405, "Method not allowed", "Use the method named in Allow."),
    "host_unknown": Code(421, "Host unknown", "This host is neither the application's nor a registered domain."),
    "link_not_found": Code(404, "Link not found", "No link of this workspace has this id."),
    "conversion_not_found": Code(404, "Conversion not found", "No event of this workspace has this event_id."),
    "person_not_found": Code(
        404,
        "Person not found",
        "No event of this workspace has this external_id, or metadata of its own under this event_id.",
    ),
    "erasure_not_found": Code(404, "Erasure not found", "No erasure of this workspace has this id."),
    "delivery_not_found": Code(
        404, "Delivery not found", "No delivery to this workspace has this support reference, or it is kept no longer."
    ),
    "signing_secret_not_found": Code(
        404, "Signing secret not found", "No live signing secret of this workspace has this id."
    ),
    "export_not_found": Code(404, "Export not found", "No export of this workspace has this id."),
    "saved_report_not_found": Code(404, "Saved report not found", "No saved report or share here has this id."),
    "schedule_not_found": Code(404, "Schedule not found", "No export schedule of this workspace has this id."),
    "schedules_unavailable": Code(
        409, "Schedules unavailable", "The operator has named no folder for scheduled exports: NIMRIZ_EXPORT_FOLDER."
    ),
    "export_not_ready": Code(409, "Export not ready", "This export has no file, or none yet: its `status` says why."),
    "domain_not_found": Code(404, "Domain not found", "No domain of this workspace has this id."),
    "domain_taken": Code(
        409, "Domain taken", "Your workspace has this name already, or it belongs to the installation."
    ),
    "domain_pending": Code(
        409, "Domain pending", "This name is not proved yet, so there is nothing to switch off; delete it instead."
    ),
    "domain_in_use": Code(409, "Domain in use", "Delete the links on this domain first."),
    "blocked_host_not_found": Code(404, "Blocked host not found", "This host is not on the workspace's block list."),
    "slug_taken": Code(409, "Slug taken", "Choose another slug."),
    "slug_reserved": Code(422, "Slug reserved", "This slug is kept for the service; choose another."),
    "slug_tombstoned": Code(409, "Slug tombstoned", "A slug that a link gave up rests for 30 days; choose another."),
    "slug_invalid": Code(422, "Slug invalid", "A slug has 1 to 64 letters, digits, hyphens or underscores."),
    "destination_invalid": Code(
        422, "Destination invalid", "Send an absolute http(s) URL without credentials, at most 8,192 bytes."
    ),
    "destination_blocked": Code(422, "Destination blocked", "Short links may not lead to this host."),
    "experiment_not_found": Code(404, "Experiment not found", "This link has no experiment with this id."),
    "experiment_state": Code(
        409, "Experiment in another state", "This cannot be done in the state of the experiment, which `state` names."
    ),
    "experiment_started": Code(
        409, "Experiment started", "Variants of a started experiment stay as they are; names and weights may change."
    ),
    "experiment_running": Code(409, "Experiment running", "Stop the experiment before you take it off the list."),
    "variant_not_found": Code(404, "Variant not found", "This experiment has no variant with this key."),
    "variant_key_taken": Code(
        409, "Variant key taken", "Another experiment of the link has or had this key; choose another, or none."
    ),
    "precondition_required": Code(428, "Precondition required", "Send If-Match with the ETag of the list you read."),
    "precondition_failed": Code(412, "Precondition failed", "It was changed since you read it; read it again."),
    "member_not_found": Code(404, "Member not found", "No member of this workspace has this id."),
    "member_exists": Code(409, "Member exists", "This member is there already."),
    "role_missing": Code(403, "Role missing", "Your role in this workspace does not allow it."),
    "last_owner": Code(409, "Last owner", "A workspace keeps one owner; make somebody else an owner first."),
    "pass_not_found": Code(
        404, "Link used or expired", "This link works once and for a while; ask whoever gave it to you for a new one."
    ),
    "code_wrong": Code(403, "Wrong code", "That is not the code of this moment, or it was used before."),
    "form_refused": Code(403, "Form refused", "Send the form from the page that shows it, in the same browser."),
    "quota_exceeded": Code(403, "Quota exceeded", "The workspace holds as many of these as it may."),
    "internal_error": Code(500, "Internal error", "Our fault. The support reference finds it in the log."),
}

# Codes of single fields, inside `errors` of validation_failed.
FIELD_CODES: dict[str, str] = {
    "field_unknown": "There is no such field.",
    "field_missing": "This field is needed.",
    "field_type": "This field has another type.",
    "field_length": "This is too short or too long.",
    "value_unknown": "No visitor can have this value.",
    "in_or_not_in": "Send one of in and not_in, with a value at least.",
    "external_or_event_id": "Send one of external_id and event_id.",
    "window_empty": "This begins at its end, or after it.",
    "weights_sum": "Weights are whole percents and sum to 100.",
    "rule_unknown": "This list has no such rule of this kind; leave id out for a new one.",
    "key_repeated": "Each key stands once.",
    "destination_refused": "This is the destination that code is about.",
    "app_id_malformed": "The prefix and the bundle identifier, such as ABCDE12345.com.example.app.",
    "host_malformed": "A host name such as go.example.com, without scheme, port or path.",
    "timezone_unknown": "An IANA time zone such as Europe/Berlin.",
    "instant_not_past": "An instant that has passed.",
    "instant_malformed": "ISO 8601, such as 2026-11-30T12:00:00Z.",
    "value_precision": "More significant fraction digits than the currency has.",
    "value_negative": "Amounts are not negative; a refund is its own event.",
    "value_malformed": "A decimal amount such as 129.90.",
    "value_too_large": "At most 10^17 minor units.",
    "currency_unknown": "An ISO 4217 code.",
    "currency_missing": "value and currency come together.",
    "event_time_malformed": "Unix seconds, or RFC 3339 with an offset.",
    "event_time_in_future": "At most 300 s ahead of our clock.",
    "event_time_too_old": "Not before 2000-01-01.",
    "related_missing": "A refund, cancellation or reversal names related_event_id or related_order_id.",
    "metadata_too_large": "At most 4 KiB of JSON.",
    "idempotency_key_malformed": "Sent once, 1 to 255 visible ASCII characters.",
}


# A name that the caller made up is told back only when it could be a field's.
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


def told_back(name: str) -> str:
    """A field name as it may stand in an answer: "?" for what is no name."""
    return name if _FIELD_NAME.fullmatch(name) else "?"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that was refused: its path, and a code of FIELD_CODES."""

    field: str
    code: str

    def as_wire(self) -> dict[str, str]:
        """The member of `errors` on the wire."""
        return {"field": self.field, "code": self.code, "message": FIELD_CODES[self.code]}


class Refused(Exception):
    """The service said no.

    `code` is a key of CODES. `errors` names fields, for validation_failed. `facts` are further
    members of the problem that are ours, never the caller's (a surface's name, for example).
    """

    def __init__(
        self,
        code: str,
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after_s: int | None = None,
        **facts: str | bool,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.errors = errors
        self.retry_after_s = retry_after_s
        self.facts = facts

    @property
    def status(self) -> int:
        """The HTTP status of this code."""
        return CODES[self.code].status

    def problem(self, support_reference: str) -> dict[str, object]:
        """The body of the answer, as RFC 9457 names it, with our own members."""
        code = CODES[self.code]
        body: dict[str, object] = {
            "type": f"urn:nimriz:problem:{self.code}",
            "title": code.title,
            "status": code.status,
            "detail": code.detail,
            "code": self.code,
            "support_reference": support_reference,
            "errors": [error.as_wire() for error in self.errors],
        }
        body.update(self.facts)
        return body
