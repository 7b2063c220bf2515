"""Saved reports, and the links by which others read one."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import Response

from nimriz.base.clock import from_rfc3339, to_rfc3339
from nimriz.core.directory import passwords
from nimriz.core.exports import saved_reports
from nimriz.core.exports.saved_reports import SavedReport, Share
from nimriz.core.links import drafts, history
from nimriz.store.db import Tx
from nimriz.web.api import asking
from nimriz.web.api.asking import bad
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.exports import read_question
from nimriz.web.api.reports import dimensions_of

router = APIRouter()

PREFIX = "/app/shared/"


class NewSavedReport(BaseModel):
    """POST /api/v1/saved-reports"""

    model_config = drafts.STRICT
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    report: Literal["conversions", "clicks"] = "conversions"
    question: dict[str, Any] = Field(default_factory=dict)


class NewShare(BaseModel):
    """POST /api/v1/saved-reports/{report_id}/shares"""

    model_config = drafts.STRICT
    password: drafts.Password | None = None
    expires_at: str | None = None


@router.post("/api/v1/saved-reports")
async def save_report(request: Request, new: NewSavedReport) -> Response:
    """Keep a report by name; without a period of its own it tells the last 30 days, whenever it is read."""
    desk: Desk = request.app.state.desk
    key = caller(request, "exports")
    query = read_question(new.report, new.question)
    if query.cursor:
        raise bad("question")
    # Whoever may not ask it may not keep it either.
    await asking.read(desk, key.workspace_id, query, dimensions_of(query.by, query.then_by))
    now_ms, actor, question = desk.clock.now_ms(), history.by_key(key.key_id), json.dumps(new.question)

    def write(tx: Tx) -> SavedReport:
        return saved_reports.add(tx, key.workspace_id, new.name, new.report, question, actor, now_ms)

    return answer({"saved_report": shown(await desk.write(write))}, 201)


@router.get("/api/v1/saved-reports")
async def list_saved_reports(request: Request) -> Response:
    """The saved reports of the workspace, the newest first."""
    desk: Desk = request.app.state.desk
    key = caller(request, "exports")
    found = await desk.read(lambda tx: saved_reports.page(tx, key.workspace_id))
    return answer({"saved_reports": [shown(saved) for saved in found], "next_cursor": None})


@router.delete("/api/v1/saved-reports/{report_id}")
async def delete_saved_report(request: Request, report_id: str) -> Response:
    """Forget a saved report; the links to it lead nowhere any more."""
    desk: Desk = request.app.state.desk
    key = caller(request, "exports")
    await desk.write(lambda tx: saved_reports.remove(tx, key.workspace_id, report_id))
    return answer({"deleted": True})


@router.post("/api/v1/saved-reports/{report_id}/shares")
async def share_report(request: Request, report_id: str, new: NewShare) -> Response:
    """A link by which anybody reads this report and nothing else; it is shown this once."""
    desk: Desk = request.app.state.desk
    key = caller(request, "exports")
    expires_at_ms = _expiry(new.expires_at, desk.clock.now_ms())
    password = new.password
    hashed = await desk.in_turn(lambda: passwords.hashed(password)) if password else ""

    def write(tx: Tx) -> tuple[str, Share]:
        saved = saved_reports.find(tx, key.workspace_id, report_id)
        return saved_reports.share(tx, desk.vault, saved, hashed, expires_at_ms, desk.clock.now_ms())

    token, share = await desk.write(write)
    return answer({"share": {**shown_share(share), "url": f"{desk.base_url}{PREFIX}{token}"}}, 201)


@router.get("/api/v1/saved-reports/{report_id}/shares")
async def list_shares(request: Request, report_id: str) -> Response:
    """The shares of a saved report, the newest first, without their links."""
    desk: Desk = request.app.state.desk
    key = caller(request, "exports")
    found = await desk.read(lambda tx: saved_reports.shares(tx, key.workspace_id, report_id))
    return answer({"shares": [shown_share(share) for share in found], "next_cursor": None})


@router.delete("/api/v1/saved-reports/{report_id}/shares/{share_id}")
async def revoke_share(request: Request, report_id: str, share_id: str) -> Response:
    """Take a share back: its link leads nowhere from now on."""
    desk: Desk = request.app.state.desk
    key = caller(request, "exports")
    await desk.write(lambda tx: saved_reports.revoke(tx, key.workspace_id, report_id, share_id))
    return answer({"revoked": True})


def _expiry(text: str | None, now_ms: int) -> int | None:
    if text is None:
        return None
    try:
        expires_at_ms = from_rfc3339(text)
    except ValueError:
        raise bad("expires_at", "instant_malformed") from None
    if expires_at_ms <= now_ms:
        raise bad("expires_at", "field_type")
    return expires_at_ms


def shown(saved: SavedReport) -> dict[str, object]:
    """A saved report on the wire."""
    return {
        "id": saved.report_id,
        "name": saved.name,
        "report": saved.report,
        "question": json.loads(saved.question),
        "created_at": to_rfc3339(saved.created_at_ms),
    }


def shown_share(share: Share) -> dict[str, object]:
    """A share on the wire, without its link."""
    return {
        "id": share.share_id,
        "password_protected": bool(share.password_hash),
        "created_at": to_rfc3339(share.created_at_ms),
        "expires_at": None if share.expires_at_ms is None else to_rfc3339(share.expires_at_ms),
    }
