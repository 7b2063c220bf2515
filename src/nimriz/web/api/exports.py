"""Exports: what a workspace has as files, made in the background and fetched when they are whole."""

from __future__ import annotations

import base64
import json
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import FileResponse, Response

from nimriz.base.clock import to_rfc3339
from nimriz.base.errors import Refused
from nimriz.base.ids import is_id
from nimriz.core.clicks import retention
from nimriz.core.clicks.clicks import LEFT_OUT
from nimriz.core.directory.mode import Mode
from nimriz.core.exports import exports
from nimriz.core.exports.exports import FOLDER, Export, Format, Subject
from nimriz.core.links import drafts, history
from nimriz.store.db import Tx
from nimriz.web.api import asking
from nimriz.web.api.asking import bad
from nimriz.web.api.audience import audience_of
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.period import read_period
from nimriz.web.api.reports import ClicksQuery, ReportQuery, dimensions_of

router = APIRouter()

_MEDIA: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
}
MEDIA = tuple(media.partition(";")[0] for media in _MEDIA.values())
_ROWS_MAX = 1_000_000_000
_END_MS = 10**15
_AHEAD_MS = 86_400_000
_CURSOR_CHARS_MAX = 4_000


class NewExport(BaseModel):
    """POST /api/v1/exports"""

    model_config = drafts.STRICT
    subject: Subject
    format: Format = "csv"
    from_: str = Field(default="", alias="from")
    to: str = ""
    timezone: str = "UTC"
    mode: Mode = "live"
    link_id: str = Field(default="", pattern=r"^(|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$")
    event_name: Literal["", "lead", "sale", "refund", "cancellation", "reversal"] = ""
    include_bots: bool = True
    include_suspects: bool = True
    include_customer_data: bool = False
    after: Annotated[str, StringConstraints(max_length=_CURSOR_CHARS_MAX)] = ""
    report: Literal["conversions", "clicks"] = "conversions"
    question: dict[str, Any] = Field(default_factory=dict)


class ExportsQuery(BaseModel):
    """GET /api/v1/exports"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    cursor: str = ""


@router.post("/api/v1/exports")
async def make_export(request: Request, new: NewExport) -> Response:
    """Ask for clicks, conversions, links or a report as a file; it is made in the background."""
    desk: Desk = request.app.state.desk
    key = caller(request, "exports")
    readable = new.include_customer_data and new.subject == "conversions"
    if readable:
        caller(request, "conversions:read")
    now_ms = desk.clock.now_ms()
    plan = await desk.read(lambda tx: exports.require_surface(tx, key.workspace_id))
    asked = await asked_for(desk, key.workspace_id, new, plan, now_ms)
    add = partial(
        exports.add, workspace_id=key.workspace_id, subject=new.subject, format_=new.format, asked=asked,
        actor=history.by_key(key.key_id), now_ms=now_ms, readable=readable,
    )  # fmt: skip
    return answer({"export": shown(await desk.write(add))}, 202)


@router.get("/api/v1/exports")
async def list_exports(request: Request, query: Annotated[ExportsQuery, Query()]) -> Response:
    """The exports of the workspace, the newest first."""
    desk: Desk = request.app.state.desk
    key = caller(request, "exports")
    if query.cursor and not is_id(query.cursor):
        raise bad("cursor")

    def read(tx: Tx) -> list[Export]:
        exports.require_surface(tx, key.workspace_id)
        return exports.page(tx, key.workspace_id, query.cursor, query.limit + 1)

    found = await desk.read(read)
    page = found[: query.limit]
    more = page[-1].export_id if len(found) > query.limit else None
    return answer({"exports": [shown(export) for export in page], "next_cursor": more})


@router.get("/api/v1/exports/{export_id}")
async def get_export(request: Request, export_id: str) -> Response:
    """One export: how far it is, and what came of it."""
    return answer({"export": shown(await _found(request, export_id))})


@router.delete("/api/v1/exports/{export_id}")
async def cancel_export(request: Request, export_id: str) -> Response:
    """Stop an export that is not finished, or delete the file of one that is."""
    desk: Desk = request.app.state.desk
    export = await _found(request, export_id)
    return answer({"export": shown(await desk.write(lambda tx: exports.cancel(tx, export, desk.clock.now_ms())))})


@router.get("/api/v1/exports/{export_id}/download")
async def download_export(request: Request, export_id: str) -> Response:
    """The file of a finished export; parts of it, where a Range is sent."""
    desk: Desk = request.app.state.desk
    export = await _found(request, export_id)
    if export.readable:
        caller(request, "conversions:read")
    file = json.loads(export.manifest)["files"][0] if export.status == "finished" else None
    path = desk.data_dir / FOLDER / export.export_id / (file["name"] if file else "none")
    if file is None or not path.is_file():
        raise Refused("export_not_ready")
    etag = f'"{file["sha256"]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    name = f"nimriz-{export.subject}-{to_rfc3339(export.created_at_ms)[:10]}-{export.export_id[-6:]}.{export.format}"
    return FileResponse(path, media_type=_MEDIA[export.format], filename=name, headers=headers)


async def _found(request: Request, export_id: str) -> Export:
    desk: Desk = request.app.state.desk
    key = caller(request, "exports")

    def read(tx: Tx) -> Export:
        exports.require_surface(tx, key.workspace_id)
        return exports.find(tx, key.workspace_id, export_id)

    return await desk.read(read)


def shown(export: Export) -> dict[str, object]:
    """An export on the wire."""
    manifest = json.loads(export.manifest) if export.manifest else {}
    asked = export.parameters["told"]
    return {
        "id": export.export_id,
        "subject": export.subject,
        "format": export.format,
        "status": export.status,
        "reason": export.reason or None,
        "asked": asked,
        "include_customer_data": bool(export.readable),
        "rows_done": export.rows_done,
        "rows_total": export.rows_total,
        "rows": manifest.get("rows"),
        "columns": manifest.get("columns"),
        "files": manifest.get("files"),
        "fresh_as_of": manifest.get("fresh_as_of"),
        "next_after": _cursor(export) if export.next_after else None,
        "created_at": to_rfc3339(export.created_at_ms),
        "started_at": _instant(export.started_at_ms),
        "finished_at": _instant(export.finished_at_ms),
        "expires_at": _instant(export.expires_at_ms),
    }


def _instant(instant_ms: int | None) -> str | None:
    return None if instant_ms is None else to_rfc3339(instant_ms)


# --- what is asked for ----------------------------------------------------------------------------------


async def asked_for(desk: Desk, workspace_id: str, new: NewExport, plan: str, now_ms: int) -> dict[str, Any]:
    """What whoever makes the export needs to know, and under `told` what the caller said. Raises Refused."""
    told = new.model_dump(by_alias=True, exclude_defaults=True, exclude={"subject", "format", "include_customer_data"})
    if new.subject == "report":
        if new.after:
            raise bad("after")
        return {"told": told, "report": await _report(desk, workspace_id, new)}
    if new.question:
        raise bad("question")
    after = _read_after(new)
    from_ms, to_ms = 0, _END_MS
    if new.from_ or new.to:
        from_ms, to_ms = read_period(new.from_, new.to, new.timezone, now_ms).bounds
    if new.subject == "links":
        return {"told": told, "after": after}
    if new.subject == "clicks":
        left_out = LEFT_OUT[audience_of(new.include_bots, new.include_suspects)]
        shown_from_ms = retention.shown_from_ms(plan, now_ms)
        clicks = {
            "from_ms": max(from_ms, shown_from_ms),
            "to_ms": min(to_ms, now_ms + _AHEAD_MS),
            "link_id": new.link_id,
            "left_out": [quality for quality in left_out if quality],
            "after": after,
        }
        return {"told": told, "clicks": clicks}
    event = {"mode": new.mode, "link_id": new.link_id, "event_name": new.event_name}
    return {"told": told, "from_ms": from_ms, "to_ms": to_ms, "after": after, **event}


async def _report(desk: Desk, workspace_id: str, new: NewExport) -> dict[str, Any]:
    """The question of a report, with every row in one page."""
    if {"limit", "cursor", "compare"} & new.question.keys():
        raise bad("question")
    query = read_question(new.report, new.question)
    dimensions = dimensions_of(query.by, query.then_by)
    if isinstance(query, ReportQuery):
        asked = await asking.read(
            desk, workspace_id, query, dimensions,
            mode=query.mode, clock=query.clock, model=query.model, event_names=query.event_name,
        )  # fmt: skip
    else:
        asked = await asking.read(desk, workspace_id, query, dimensions)
    first_day = retention.first_day_shown(asked.question.shown_from_ms, asked.period.zone)
    question = asked.question._replace(offset=0, limit=_ROWS_MAX)._asdict()
    of = "clicks" if new.report == "clicks" else "report"
    return {"of": of, "question": question, "hidden": asked.hidden, "first_day": first_day}


def read_question(report: str, question: dict[str, Any]) -> ReportQuery | ClicksQuery:
    """The parameters of a report's call, as a body has them. Raises Refused(validation_failed)."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in question.items()}
    try:
        if report == "clicks":
            return ClicksQuery.model_validate(_single(lists, ClicksQuery))
        return ReportQuery.model_validate(_single(lists, ReportQuery))
    except ValueError:
        raise bad("question") from None


def _single(lists: dict[str, list[Any]], query: type[BaseModel]) -> dict[str, Any]:
    """Parameters as the query has them: those that may be sent several times as lists. Raises ValueError."""
    found = {}
    for name, values in lists.items():
        field = query.model_fields.get(name)
        takes_many = field is not None and "list" in str(field.annotation)
        if not takes_many and len(values) != 1:
            raise ValueError("sent several times")
        found[name] = values if takes_many else values[0]
    return found


def _cursor(export: Export) -> str:
    at = {"subject": export.subject, "mode": export.parameters.get("mode"), "at": json.loads(export.next_after)}
    return base64.urlsafe_b64encode(json.dumps(at).encode()).decode()


def _read_after(new: NewExport) -> dict[str, int]:
    """How far an earlier export was. Raises Refused(validation_failed)."""
    if not new.after:
        return {}
    mode = new.mode if new.subject == "conversions" else None
    try:
        found = json.loads(base64.urlsafe_b64decode(new.after.encode()))
        at = found["at"]
        fits = all(type(seq) is int and 0 <= seq < 2**62 for seq in at.values())
        fits = fits and all(name.isidentifier() or name.isdecimal() for name in at)
        if fits and (found["subject"], found["mode"]) == (new.subject, mode):
            return dict(at)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise bad("after")
