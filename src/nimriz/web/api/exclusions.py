"""Exclusions: after a leak, what one secret signed in a period counts in nothing, or counts again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import Response

from nimriz.base.clock import from_rfc3339, to_rfc3339
from nimriz.base.errors import FieldError, Refused
from nimriz.base.ids import new_id
from nimriz.core.ledger import exclusions
from nimriz.core.ledger.exclusions import Exclusion
from nimriz.core.links import drafts
from nimriz.store.db import Tx
from nimriz.web.api.desk import Desk, answer, caller

router = APIRouter()


class NewExclusion(BaseModel):
    """POST /api/v1/signing-secrets/{secret_id}/exclusions"""

    model_config = drafts.STRICT
    excludes: bool
    from_: Annotated[
        str | None, Field(alias="from", description="From this instant of arrival on; null: the first.")
    ] = None
    to: Annotated[str | None, Field(description="Before this instant of arrival; null: now.")] = None
    note: Annotated[str, StringConstraints(max_length=exclusions.NOTE_CHARS_MAX)] = ""


@router.post("/api/v1/signing-secrets/{secret_id}/exclusions")
async def decide_exclusion(request: Request, secret_id: str, new: NewExclusion) -> Response:
    """Exclude what a secret signed and what arrived in a period, or include it again; judged within seconds."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    now_ms = desk.clock.now_ms()
    from_ms, to_ms = _instant("from", new.from_, 0), _instant("to", new.to, now_ms)
    if from_ms >= to_ms:
        raise Refused("validation_failed", errors=(FieldError("to", "instant_malformed"),))
    decision = Exclusion(
        new_id(now_ms), key.workspace_id, secret_id, int(new.excludes), from_ms, to_ms, new.note, key.key_id, now_ms
    )

    def write(tx: Tx) -> None:
        if not exclusions.signed_anything(tx, key.workspace_id, secret_id):
            raise Refused("signing_secret_not_found")
        exclusions.decide(tx, decision)

    await desk.write(write)
    events = await desk.read(lambda tx: exclusions.covered(tx, decision))
    return answer({"exclusion": {**_told(decision), "events": events}}, 201)


@router.get("/api/v1/signing-secrets/{secret_id}/exclusions")
async def list_exclusions(request: Request, secret_id: str) -> Response:
    """What was decided about a secret's events, oldest first; of those that cover an event the newest stands."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")

    def read(tx: Tx) -> list[Exclusion]:
        if not exclusions.signed_anything(tx, key.workspace_id, secret_id):
            raise Refused("signing_secret_not_found")
        return [one for one in exclusions.history(tx, key.workspace_id) if one.secret_id == secret_id]

    return answer({"exclusions": [_told(decision) for decision in await desk.read(read)]})


def _instant(name: str, text: str | None, default_ms: int) -> int:
    if text is None:
        return default_ms
    try:
        return from_rfc3339(text)
    except ValueError:
        raise Refused("validation_failed", errors=(FieldError(name, "instant_malformed"),)) from None


def _told(decision: Exclusion) -> dict[str, object]:
    return {
        "id": decision.exclusion_id,
        "secret_id": decision.secret_id,
        "excludes": bool(decision.excludes),
        "from": to_rfc3339(decision.from_ms),
        "to": to_rfc3339(decision.to_ms),
        "note": decision.note or None,
        "actor": decision.actor,
        "decided_at": to_rfc3339(decision.decided_at_ms),
    }
