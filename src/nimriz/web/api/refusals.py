"""Refusals as responses: what the framework finds wrong becomes our codes, without the caller's values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.responses import Response

from nimriz.base.errors import FIELD_CODES, FieldError, Refused, told_back
from nimriz.web.http import encode

_FIELD_CODES = {
    "extra_forbidden": "field_unknown",
    "missing": "field_missing",
    "string_too_short": "field_length",
    "string_too_long": "field_length",
    "too_short": "field_length",
    "too_long": "field_length",
}

# Where it was sent, and the kind of a rule, by which the framework tells one schema from another: no names of fields.
_PLACES = ("body", "query", "header", "path")
_KINDS = ("route", "experiment")


def invalid(found: Iterable[Any]) -> Refused:
    """What pydantic found wrong, as one refusal."""
    errors = []
    for error in found:
        if error["type"] in ("json_invalid", "json_type"):
            return Refused("json_malformed")
        parts = error["loc"][1:] if error["loc"][:1] and error["loc"][0] in _PLACES else error["loc"]
        path = [str(part) if isinstance(part, int) else told_back(part) for part in parts if part not in _KINDS]
        code = error["type"] if error["type"] in FIELD_CODES else _FIELD_CODES.get(error["type"], "field_type")
        errors.append(FieldError(".".join(path) or "body", code))
    return Refused("validation_failed", errors=tuple(errors))


def refusal(refused: Refused, reference: str) -> Response:
    """A problem response (RFC 9457)."""
    headers = {"Cache-Control": "private, no-store"}
    if refused.retry_after_s is not None:
        headers["Retry-After"] = str(refused.retry_after_s)
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = encode(refused.problem(reference))
    return Response(body, refused.status, media_type="application/problem+json", headers=headers)
