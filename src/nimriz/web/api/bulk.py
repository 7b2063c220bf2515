"""Making many links at once: a result for each row, in order; a bad row takes no other with it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StringConstraints, ValidationError
from starlette.responses import Response

from nimriz.base.errors import Refused
from nimriz.base.ids import new_reference
from nimriz.core.links import creation, drafts, history
from nimriz.core.links.creation import Made, Order
from nimriz.core.links.drafts import NewLink
from nimriz.store.db import Tx
from nimriz.web import wire
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.refusals import invalid

router = APIRouter()

ROWS_MAX = 1_000
# Each is hashed, which takes some 20 ms; the rows after so many are refused.
PASSWORDS_MAX = 100
_RowId = Annotated[str, StringConstraints(min_length=1, max_length=255)]
_Key = Annotated[str, StringConstraints(min_length=1, max_length=creation.KEY_CHARS_MAX)]


class BulkRow(NewLink):
    """One row: a link, what the caller calls the row, and the key under which it is made once."""

    client_row_id: _RowId | None = None
    idempotency_key: _Key | None = None


class BulkRows(BaseModel):
    """POST /api/shorten/bulk"""

    model_config = drafts.STRICT
    # Each row is checked by itself, so that one that is wrong is a result and not the end.
    rows: Annotated[list[Any], Field(min_length=1, max_length=ROWS_MAX)]


@router.post("/api/shorten/bulk")
async def shorten_bulk(request: Request, bulk: BulkRows) -> Response:
    """Make up to 1,000 links, at most 100 with a password. A row sent again with its key answers `idempotent: true`."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:write")
    now_ms = desk.clock.now_ms()
    orders = await desk.in_turn(lambda: _read_all(bulk.rows))
    actor = history.by_key(key.key_id)

    def write(tx: Tx) -> list[Made | Refused]:
        return creation.create_many(tx, key.workspace_id, orders, desk.policy, actor, now_ms)

    results = await desk.write(write)

    def spelled() -> list[dict[str, object]]:
        return [
            {"client_row_id": _row_id(row), **_result(made, desk, now_ms)}
            for row, made in zip(bulk.rows, results, strict=True)
        ]

    return answer({"results": await asyncio.to_thread(spelled)})


def _read_all(rows: list[Any]) -> list[Order]:
    orders, passwords = [], 0
    for row in rows:
        has_password = isinstance(row, dict) and row.get("password") is not None
        passwords += has_password
        too_many = has_password and passwords > PASSWORDS_MAX
        orders.append(Order(Refused("quota_exceeded")) if too_many else _read(row))
    return orders


def _read(raw: Any) -> Order:
    try:
        row = BulkRow.model_validate(raw)
    except ValidationError as error:
        return Order(invalid(error.errors()))
    try:
        return Order(drafts.read(row), row.idempotency_key or "")
    except Refused as refused:
        return Order(refused, row.idempotency_key or "")


def _row_id(raw: Any) -> object:
    """The caller's name for the row, told back when it is one."""
    row_id = raw.get("client_row_id") if isinstance(raw, dict) else None
    return row_id if isinstance(row_id, str) and 1 <= len(row_id) <= 255 else None


def _result(made: Made | Refused, desk: Desk, now_ms: int) -> dict[str, object]:
    if isinstance(made, Refused):
        return {"http_status": made.status, **made.problem(new_reference())}
    return {
        "http_status": 200 if made.replayed else 201,
        "idempotent": made.replayed,
        **wire.made(made, desk.base_url, now_ms),
    }
