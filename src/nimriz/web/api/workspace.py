"""Who am I, and what has my workspace chosen."""

from __future__ import annotations

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import Response

from nimriz.base.errors import FieldError, Refused
from nimriz.core.directory import entitlements, workspaces
from nimriz.core.directory.credentials import ApiKey
from nimriz.core.directory.workspaces import Privacy, Workspace
from nimriz.core.links import drafts, history
from nimriz.store.db import Tx
from nimriz.web import wire
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.door import CALLER

router = APIRouter()

# Without control characters: it stands in lists, on the command line and in files.
_Name = Annotated[
    str, StringConstraints(min_length=1, max_length=workspaces.NAME_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
]


class WorkspaceChange(BaseModel):
    """PATCH /api/v1/workspace: only what is sent changes"""

    model_config = drafts.STRICT
    name: _Name | None = None
    conversion_window_days: Annotated[int, Field(ge=1, le=30)] | None = None
    privacy: Privacy | None = None
    privacy_suppresses_token: bool | None = None
    sticky_cookie: bool | None = None
    timezone: str | None = None


@router.get("/api/v1/whoami")
async def whoami(request: Request) -> Response:
    """The workspace that an API key belongs to, with its plan and open surfaces."""
    workspace, surfaces = await _own(request)
    return answer(
        {
            "account_id": workspace.workspace_id,
            "workspace_id": workspace.workspace_id,
            "workspace_name": workspace.name,
            "plan": workspace.plan,
            "surfaces": sorted(surfaces),
        }
    )


@router.get("/api/v1/workspace")
async def get_workspace(request: Request) -> Response:
    """The workspace that an API key belongs to, with everything that it has chosen."""
    return _shown(*await _own(request))


@router.patch("/api/v1/workspace")
async def change_workspace(request: Request, change: WorkspaceChange) -> Response:
    """Change the workspace's name and choices; clicks and events of before keep what they had."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    if change.timezone is not None and change.timezone not in _timezones():
        raise Refused("validation_failed", errors=(FieldError("timezone", "timezone_unknown"),))
    chosen = change.model_dump(exclude_none=True)
    chosen |= {name: int(chosen[name]) for name in ("privacy_suppresses_token", "sticky_cookie") if name in chosen}
    now_ms = desk.clock.now_ms()

    def write(tx: Tx) -> tuple[Workspace, frozenset[str]]:
        workspace, surfaces = _find(tx, key)
        return workspaces.update(tx, workspace._replace(**chosen), now_ms, history.by_key(key.key_id)), surfaces

    return _shown(*await desk.write(write))


async def _own(request: Request) -> tuple[Workspace, frozenset[str]]:
    desk: Desk = request.app.state.desk
    key: ApiKey = request.scope[CALLER]
    return await desk.read(lambda tx: _find(tx, key))


def _find(tx: Tx, key: ApiKey) -> tuple[Workspace, frozenset[str]]:
    workspace = workspaces.find(tx, key.workspace_id)
    if workspace is None:
        raise Refused("unauthorized")
    return workspace, entitlements.open_surfaces(tx, workspace.workspace_id, workspace.plan)


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def _shown(workspace: Workspace, surfaces: frozenset[str]) -> Response:
    shown = wire.workspace(workspace, surfaces)
    return answer({**shown, "workspace": shown})
