"""Erasures: forgetting a person, and the certificates of it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from nimriz.base.clock import to_rfc3339
from nimriz.base.errors import FieldError, Refused
from nimriz.base.ids import is_id, new_reference
from nimriz.core.ledger import erasures
from nimriz.core.ledger.erasures import Erasure
from nimriz.core.links import drafts
from nimriz.web.api.desk import Desk, answer, caller

router = APIRouter()


_Id = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class NewErasure(BaseModel):
    """POST /api/v1/erasures"""

    model_config = drafts.STRICT
    external_id: _Id | None = None
    event_id: _Id | None = None


class ErasureQuery(BaseModel):
    """GET /api/v1/erasures"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    cursor: str = ""


@router.post("/api/v1/erasures")
async def erase(request: Request, new: NewErasure) -> Response:
    """Forget a person, or what came with an event without an external id; 202 when the last copy goes later."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    if (new.external_id is None) == (new.event_id is None):
        raise Refused("validation_failed", errors=(FieldError("external_id", "external_or_event_id"),))
    now_ms = desk.clock.now_ms()
    if new.event_id is not None:
        forget = partial(desk.eraser.erase_event, key.workspace_id, new.event_id, now_ms)
    else:
        forget = partial(desk.eraser.erase, key.workspace_id, new.external_id or "", now_ms)
    erased = await asyncio.to_thread(forget)
    return answer(_shown(desk, erased), 202 if erased.finished_at_ms is None else 201)


@router.get("/api/v1/erasures")
async def list_erasures(request: Request, query: Annotated[ErasureQuery, Query()]) -> Response:
    """The erasures of the workspace, the newest first; they do not say who was erased."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    if query.cursor and not is_id(query.cursor):
        raise Refused("validation_failed", errors=(FieldError("cursor", "field_type"),))
    found = await desk.read(lambda tx: erasures.page(tx, key.workspace_id, query.cursor, query.limit + 1))
    page = found[: query.limit]
    cursor = page[-1].erasure_id if len(found) > query.limit else None
    return answer({"erasures": [_told(desk, erased) for erased in page], "next_cursor": cursor})


@router.get("/api/v1/erasures/{erasure_id}")
async def get_erasure(request: Request, erasure_id: str) -> Response:
    """One erasure with its certificate."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    return answer(_shown(desk, await desk.read(lambda tx: erasures.find(tx, key.workspace_id, erasure_id))))


def _shown(desk: Desk, erased: Erasure) -> dict[str, object]:
    return {"erasure": _told(desk, erased), "support_reference": new_reference()}


def _told(desk: Desk, erased: Erasure) -> dict[str, object]:
    finished = erased.finished_at_ms
    certificate = {
        "statement": erased.statement,
        "signature": erased.signature.hex(),
        "public_key": desk.eraser.signet.public_key,
    }
    return {
        "id": erased.erasure_id,
        "status": "pending" if finished is None else "finished",
        "asked_at": to_rfc3339(erased.asked_at_ms),
        "finished_at": None if finished is None else to_rfc3339(finished),
        "destroyed": erased.destroyed,
        "certificate": None if finished is None else certificate,
    }
