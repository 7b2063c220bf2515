"""Deliveries: recent attempts at the Conversion API, refused ones too, and what to do about them."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from nimriz.base.clock import to_rfc3339
from nimriz.base.errors import CODES, FieldError, Refused
from nimriz.core.directory.mode import Mode
from nimriz.core.ledger.deliveries import KINDS, Delivery, Filters
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.period import read_period

router = APIRouter()


class ListQuery(BaseModel):
    """GET /api/v1/deliveries"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    from_: str = Field(default="", alias="from")
    to: str = ""
    timezone: str = "UTC"
    kind: Literal["", "accepted", "refused", "unsigned"] = ""
    code: str = ""
    http_status: Annotated[int, Field(ge=200, le=599)] | None = None
    mode: Mode | None = None
    event_id: str = ""
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    cursor: str = Field(default="", pattern=r"^(req_[0-9a-f]{24})?$")


@router.get("/api/v1/deliveries")
async def list_deliveries(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """Recent attempts at the Conversion API, the newest first, accepted and refused."""
    desk: Desk = request.app.state.desk
    key = caller(request, "conversions:read")
    filters = Filters(code=query.code, http_status=query.http_status or 0, mode=query.mode or "")
    filters = filters._replace(event_id=query.event_id, kinds=(query.kind,) if query.kind else KINDS)
    if query.from_ or query.to:
        from_ms, to_ms = read_period(query.from_, query.to, query.timezone, desk.clock.now_ms()).bounds
        filters = filters._replace(from_ms=from_ms, to_ms=to_ms)
    found, left_out = await desk.deliveries.page(key.workspace_id, filters, query.cursor, query.limit + 1)
    page = found[: query.limit]
    return answer({
        "deliveries": [told(delivery) for delivery in page],
        "left_out": left_out,
        "next_cursor": page[-1].support_reference if len(found) > query.limit else None,
    })  # fmt: skip


@router.get("/api/v1/deliveries/{support_reference}")
async def get_delivery(request: Request, support_reference: str) -> Response:
    """What became of one attempt, and what to do about it."""
    desk: Desk = request.app.state.desk
    key = caller(request, "conversions:read")
    delivery = await desk.deliveries.find(key.workspace_id, support_reference)
    if delivery is None:
        raise Refused("delivery_not_found")
    return answer(told(delivery))


def told(delivery: Delivery) -> dict[str, object]:
    """A delivery on the wire."""
    details: dict[str, Any] = json.loads(delivery.details) if delivery.details else {}
    events = details.get("events")
    if events is not None:
        rows = [{**row, "errors": _errors(row["errors"])} for row in events["refused_rows"]]
        events = {**events, "refused_rows": rows}
    return {
        "support_reference": delivery.support_reference,
        "received_at": to_rfc3339(delivery.received_at_ms),
        "took_ms": delivery.took_us / 1000,
        "kind": delivery.kind,
        "http_status": delivery.http_status,
        "code": delivery.code or None,
        "advice": CODES[delivery.code].detail if delivery.code in CODES else None,
        "mode": delivery.mode or None,
        "secret_id": delivery.secret_id or None,
        "batch": bool(delivery.is_batch),
        "validate_only": bool(delivery.is_rehearsal),
        "body_bytes": delivery.body_bytes,
        "event_id": delivery.event_id or None,
        "fields": details.get("fields"),
        "errors": _errors(details.get("errors", [])),
        "events": events,
    }


def _errors(pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [FieldError(field, code).as_wire() for field, code in pairs]
