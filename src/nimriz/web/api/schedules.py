"""Export schedules: exports that are made by themselves, and laid into the operator's folder."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field, StringConstraints
from starlette.responses import Response

from nimriz.base.clock import to_rfc3339
from nimriz.base.errors import Refused
from nimriz.core.exports import exports, schedules
from nimriz.core.exports.schedules import Every, Schedule
from nimriz.core.links import history
from nimriz.store.db import Tx
from nimriz.web.api.asking import bad
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.exports import NewExport, asked_for

router = APIRouter()

_PERIOD = ("from_", "to", "timezone", "after")


class NewSchedule(NewExport):
    """POST /api/v1/export-schedules: what a single export takes, without a period of its own."""

    name: Annotated[str, StringConstraints(max_length=100)] = ""
    every: Every
    folder: str = Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    since_last: bool = False


@router.post("/api/v1/export-schedules")
async def make_schedule(request: Request, new: NewSchedule) -> Response:
    """Have an export made every day, week or month of the workspace's time zone, and laid into a folder."""
    desk: Desk = request.app.state.desk
    key = caller(request, "exports")
    if not desk.schedules_allowed:
        raise Refused("schedules_unavailable")
    for name in _PERIOD:
        if name in new.model_fields_set:
            raise bad(name.rstrip("_"))
    if {"from", "to", "timezone", "series", "as_of"} & new.question.keys():
        raise bad("question")
    if new.include_customer_data:
        raise bad("include_customer_data")
    if new.since_last and new.subject == "report":
        raise bad("since_last")
    now_ms = desk.clock.now_ms()
    plan = await desk.read(lambda tx: exports.require_surface(tx, key.workspace_id))
    asked = await asked_for(desk, key.workspace_id, new, plan, now_ms)
    for name in ("name", "every", "folder", "since_last"):
        asked["told"].pop(name, None)
    draft = Schedule(
        "", key.workspace_id, new.name, new.every, new.subject, new.format, json.dumps(asked), new.folder,
        int(new.since_last), history.by_key(key.key_id), now_ms, "", 0, "", "",
    )  # fmt: skip
    return answer({"schedule": shown(await desk.write(lambda tx: schedules.add(tx, draft, now_ms)))}, 201)


@router.get("/api/v1/export-schedules")
async def list_schedules(request: Request) -> Response:
    """The schedules of the workspace, the newest first."""
    desk: Desk = request.app.state.desk
    key = caller(request, "exports")

    def read(tx: Tx) -> list[Schedule]:
        exports.require_surface(tx, key.workspace_id)
        return schedules.page(tx, key.workspace_id)

    return answer({"schedules": [shown(schedule) for schedule in await desk.read(read)], "next_cursor": None})


@router.delete("/api/v1/export-schedules/{schedule_id}")
async def delete_schedule(request: Request, schedule_id: str) -> Response:
    """Stop a schedule. What it laid into the folder stays."""
    desk: Desk = request.app.state.desk
    key = caller(request, "exports")
    await desk.write(lambda tx: schedules.remove(tx, key.workspace_id, schedule_id))
    return answer({"deleted": True})


def shown(schedule: Schedule) -> dict[str, object]:
    """A schedule on the wire."""
    return {
        "id": schedule.schedule_id,
        "name": schedule.name or None,
        "every": schedule.every,
        "subject": schedule.subject,
        "format": schedule.format,
        "folder": schedule.folder,
        "since_last": bool(schedule.since_last),
        "asked": json.loads(schedule.asked)["told"],
        "next_period_from": schedule.next_day,
        "next_run_at": to_rfc3339(schedule.due_ms),
        "last_export_id": schedule.last_export_id or None,
        "created_at": to_rfc3339(schedule.created_at_ms),
    }
