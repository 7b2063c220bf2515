"""Identities: which external ids are tied to which clicks, and which of them are nobody's."""

from __future__ import annotations

import base64
import json
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from nimriz.base.clock import to_rfc3339
from nimriz.base.errors import FieldError, Refused
from nimriz.core.directory.mode import Mode
from nimriz.core.ledger import identities
from nimriz.core.ledger.identities import Cursor, Shared, Tie
from nimriz.store.db import Tx
from nimriz.web.api.desk import Desk, answer, caller

router = APIRouter()


class ListQuery(BaseModel):
    """GET /api/v1/identities"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    external_id: Annotated[str, Field(max_length=255)] = ""
    click_id: Annotated[str, Field(max_length=64)] = ""
    mode: Mode = "live"
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    cursor: str = ""


@router.get("/api/v1/identities")
async def list_identities(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """The ties of one external id or of one click, the latest click first, each with its date."""
    desk: Desk = request.app.state.desk
    key = caller(request, "conversions:read")
    if bool(query.external_id) == bool(query.click_id):
        name = "click_id" if query.click_id else "external_id"
        raise Refused(
            "validation_failed", errors=(FieldError(name, "field_unknown" if query.click_id else "field_missing"),)
        )
    after = _read_cursor(query.cursor) if query.cursor else identities.NEWEST

    def read(tx: Tx) -> list[Tie]:
        wanted = (query.mode, desk.vault, key.workspace_id)
        if query.external_id:
            return identities.of_external_id(tx, *wanted, query.external_id, after, query.limit + 1)
        return identities.of_click(tx, *wanted, query.click_id, after, query.limit + 1)

    found = await desk.read(read)
    page = found[: query.limit]
    cursor = _cursor(page[-1]) if len(found) > query.limit else None
    return answer({"identities": [_tie(tie) for tie in page], "next_cursor": cursor})


@router.get("/api/v1/identities/shared")
async def list_shared_identities(request: Request, mode: Mode = "live") -> Response:
    """External ids that tie more clicks than one customer makes, such as `null` or `guest`; at most 100."""
    desk: Desk = request.app.state.desk
    key = caller(request, "conversions:read")
    clicks_min = desk.shared_identity_clicks_min
    async with desk.reporting:
        found = await desk.read(lambda tx: identities.shared(tx, mode, desk.vault, key.workspace_id, clicks_min))
    return answer({"clicks_min": clicks_min, "identities": [_shared(one) for one in found]})


def _tie(tie: Tie) -> dict[str, object]:
    return {
        "external_id": tie.external_id,
        "click_id": tie.click_id,
        "link_id": tie.link_id,
        "variant": None,
        "clicked_at": to_rfc3339(tie.clicked_at_ms),
        "window_days": tie.window_days,
        "holds_from": to_rfc3339(tie.from_ms),
        "tied_at": to_rfc3339(tie.tied_at_ms),
        "event_id": tie.event_id,
    }


def _shared(one: Shared) -> dict[str, object]:
    return {
        "external_id": one.external_id,
        "clicks": one.clicks_count,
        "first_tied_at": to_rfc3339(one.first_tied_at_ms),
        "last_tied_at": to_rfc3339(one.last_tied_at_ms),
        "why": one.why,
    }


def _cursor(last: Tie) -> str:
    return base64.urlsafe_b64encode(json.dumps([last.clicked_at_ms, last.click_id, last.seq]).encode()).decode()


def _read_cursor(text: str) -> Cursor:
    try:
        clicked_at_ms, click_id, seq = json.loads(base64.urlsafe_b64decode(text.encode()))
        if type(clicked_at_ms) is int and type(seq) is int and max(abs(clicked_at_ms), abs(seq)) < 2**62:
            return clicked_at_ms, click_id.encode().decode(), seq
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    raise Refused("validation_failed", errors=(FieldError("cursor", "field_type"),))
