"""Reading conversions: one, or a page of them."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from nimriz.base.errors import FieldError, Refused
from nimriz.base.ids import new_reference
from nimriz.core.directory.mode import Mode
from nimriz.core.ledger import conversions, ledger
from nimriz.core.ledger.conversions import Conversion, Filters, Order
from nimriz.store.db import Tx
from nimriz.web import wire
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.period import read_period

router = APIRouter()


class _Whole(Convertor[str]):
    """All that is left of a path. The framework's own `path` ends at a line break, which an event_id may hold."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("whole", _Whole())

_END = (10**18, "")


class ListQuery(BaseModel):
    """GET /api/v1/conversions"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    from_: str = Field(default="", alias="from")
    to: str = ""
    timezone: str = "UTC"
    mode: Mode = "live"
    link_id: str = ""
    event_name: Literal["", "lead", "sale", "refund", "cancellation", "reversal"] = ""
    status: Literal["", "attributed", "unattributed", "pending"] = ""
    reason: str = ""
    external_id: str = ""
    order_id: str = ""
    event_id: str = ""
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    cursor: str = ""


@router.get("/api/v1/conversions")
async def list_conversions(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """Events, the latest event time first."""
    desk: Desk = request.app.state.desk
    key = caller(request, "conversions:read")
    from_ms, to_ms = 0, _END[0]
    if query.from_ or query.to:
        from_ms, to_ms = read_period(query.from_, query.to, query.timezone, desk.clock.now_ms()).bounds
    filters = Filters(
        from_ms,
        to_ms,
        query.link_id,
        query.event_name,
        query.status,
        query.reason,
        query.external_id,
        query.order_id,
        query.event_id,
    )
    before = _read_cursor(query.cursor) if query.cursor else _END

    def read(tx: Tx) -> list[Conversion]:
        return conversions.page(tx, query.mode, desk.vault, key.workspace_id, filters, before, query.limit + 1)

    found = await desk.read(read)
    page = found[: query.limit]
    cursor = _cursor(page[-1]) if len(found) > query.limit else None
    return answer({"conversions": [wire.standing(conversion) for conversion in page], "next_cursor": cursor})


@router.delete("/api/v1/conversions")
async def empty_test_ledger(request: Request, _: Annotated[Literal["test"], Query(alias="mode")]) -> Response:
    """Empty the workspace's test ledger, as a whole; live events cannot be deleted."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    deleted = await desk.write(lambda tx: ledger.empty_test(tx, key.workspace_id, desk.clock.now_ms()))
    return answer({"deleted": deleted})


@router.get("/api/v1/conversions/{event_id:whole}")
async def get_conversion(request: Request, event_id: str, mode: Mode = "live") -> Response:
    """One event as it stands; a sale with its order."""
    desk: Desk = request.app.state.desk
    key = caller(request, "conversions:read")

    def read(tx: Tx) -> tuple[Conversion, Order | None]:
        conversion = conversions.find(tx, mode, desk.vault, key.workspace_id, event_id)
        if conversion is None:
            raise Refused("conversion_not_found")
        is_sale = conversion.outcome.event_name == "sale"
        return conversion, conversions.order_of(tx, mode, conversion.outcome) if is_sale else None

    conversion, order = await desk.read(read)
    body = {**wire.standing(conversion), "support_reference": new_reference()}
    if conversion.outcome.event_name == "sale":
        body["order"] = wire.order(order)
    return answer(body)


def _cursor(last: Conversion) -> str:
    turn = json.dumps([last.outcome.event_time_ms, last.outcome.event_id])
    return base64.urlsafe_b64encode(turn.encode()).decode()


def _read_cursor(text: str) -> tuple[int, str]:
    try:
        instant_ms, event_id = json.loads(base64.urlsafe_b64decode(text.encode()))
        if type(instant_ms) is int and abs(instant_ms) < _END[0]:
            return instant_ms, event_id.encode().decode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    raise Refused("validation_failed", errors=(FieldError("cursor", "field_type"),))
