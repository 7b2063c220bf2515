"""What the Conversion API answers, as values and exceptions.

Owns the reading of a reply: recorded, refused for good, or not answered in a way that can be relied on. Promises that
only an answer of nimriz itself counts as recorded, and that no exception holds what the caller sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

RETRIED_STATUSES = frozenset({408, 429})
"""Besides 5xx: said for now, not for good."""

RETRIED_CODES = frozenset({"timestamp_outside_tolerance"})
"""Refusals that a new signature at a later moment may mend."""

NOT_OURS = "answer_unknown"
"""The code of an answer that nimriz did not give: a proxy's, a captive portal's."""


class ClientError(Exception):
    """Whatever the client raises of its own."""


class OutboxFull(ClientError):
    """The outbox has as many bytes as it may have: the event was not kept."""

    def __init__(self) -> None:
        super().__init__("the outbox is full: the event was not kept")


class GaveUp(ClientError):
    """The deadline passed. The event may or may not be recorded: send it again with the same event_id.

    `code` tells the last reason: a code of the service, or the name of what broke.
    """

    def __init__(self, code: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"gave up: {code}")
        self.code = code
        self.retry_after_s = retry_after_s


class FieldError(NamedTuple):
    """One field that is wrong, by its path and a stable code."""

    field: str
    code: str
    message: str


class Refused(ClientError):
    """The service said no, for good: sending the same again changes nothing. `code` is stable."""

    def __init__(
        self, status: int, code: str, detail: str = "", errors: tuple[FieldError, ...] = (), support_reference: str = ""
    ) -> None:
        wrong = "".join(f" {error.field}: {error.code}." for error in errors)
        super().__init__(f"{status} {code}: {detail}{wrong}".rstrip(": "))
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.support_reference = support_reference


@dataclass(frozen=True, slots=True)
class Recorded:
    """The event as it is kept, and the verdict on it as it stands."""

    body: dict[str, Any] = field(repr=False)

    @property
    def duplicate(self) -> bool:
        """Whether it was there already."""
        return bool(self.body.get("duplicate"))

    @property
    def differences(self) -> tuple[str, ...]:
        """The fields in which a repeat means something else than the event that is kept: a bug on one side."""
        return tuple(self.body.get("differences") or ())

    @property
    def event(self) -> dict[str, Any]:
        """The event as it is kept."""
        return dict(self.body["event"])

    @property
    def attribution(self) -> dict[str, Any]:
        """Who earned it: `status`, `method`, `reason`, `link_id` and more."""
        return dict(self.body["attribution"])

    @property
    def settlement(self) -> dict[str, Any] | None:
        """What a follow-on took, and what is left of its order."""
        settlement = self.body.get("settlement")
        return settlement if isinstance(settlement, dict) else None

    @property
    def attributed(self) -> bool:
        """Whether a link earned it."""
        return bool(self.attribution.get("status") == "attributed")


class Trouble(NamedTuple):
    """Nothing that can be relied on was said: try again, not before `retry_after_s`."""

    code: str
    retry_after_s: float | None = None


class Reply(NamedTuple):
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def read_single(reply: Reply) -> Recorded | Refused | Trouble:
    """What became of one event."""
    body = _object(reply.body)
    if reply.status in (200, 201):
        return read_item(reply.status, body)
    return refusal(reply.status, body, retry_after_s(reply.headers))


def read_batch(reply: Reply, count: int) -> list[Recorded | Refused | Trouble] | Refused | Trouble:
    """What became of each of `count` events, or of the whole request."""
    body = _object(reply.body)
    if reply.status != 200:
        return refusal(reply.status, body, retry_after_s(reply.headers))
    results = body.get("results")
    if not isinstance(results, list) or len(results) != count or not all(isinstance(item, dict) for item in results):
        return Trouble(NOT_OURS)
    return [read_item(item.get("http_status"), item) for item in results]


def read_item(status: object, body: dict[str, Any]) -> Recorded | Refused | Trouble:
    """One answer, alone or out of a batch."""
    if not isinstance(status, int):
        return Trouble(NOT_OURS)
    if status not in (200, 201):
        return refusal(status, body, None)
    whole = all(isinstance(body.get(name), dict) for name in ("event", "attribution"))
    return Recorded(body) if whole and body.get("status") in ("recorded", "valid") else Trouble(NOT_OURS)


def refusal(status: int, body: dict[str, Any], wait_s: float | None) -> Refused | Trouble:
    """A no, for good or for now."""
    code = body.get("code")
    if not isinstance(code, str):
        code = NOT_OURS
    # What is below 300 and no answer of ours came from something in between.
    if status >= 500 or status < 300 or status in RETRIED_STATUSES or code in RETRIED_CODES:
        return Trouble(code if code != NOT_OURS else f"status_{status}", wait_s)
    errors = tuple(
        FieldError(str(error.get("field", "")), str(error.get("code", "")), str(error.get("message", "")))
        for error in body.get("errors") or ()
        if isinstance(error, dict)
    )
    return Refused(status, code, str(body.get("detail", "")), errors, str(body.get("support_reference", "")))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The seconds of Retry-After, which may also be a date (RFC 9110 section 10.2.3); None when it says nothing."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
