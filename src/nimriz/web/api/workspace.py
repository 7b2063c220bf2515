"""Who am I, and which domains may I use."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from nimriz.base.errors import Refused
from nimriz.core import domains, entitlements, workspaces
from nimriz.core.credentials import ApiKey
from nimriz.store.db import Tx
from nimriz.web import wire
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.door import CALLER

router = APIRouter()


@router.get("/api/v1/whoami")
async def whoami(request: Request) -> Response:
    """The workspace that an API key belongs to, with its plan and open surfaces."""
    desk: Desk = request.app.state.desk
    key: ApiKey = request.scope[CALLER]

    def read(tx: Tx) -> dict[str, object]:
        workspace = workspaces.find(tx, key.workspace_id)
        if workspace is None:
            raise Refused("unauthorized")
        surfaces = entitlements.open_surfaces(tx, workspace.workspace_id, workspace.plan)
        return {
            "account_id": workspace.workspace_id,
            "workspace_id": workspace.workspace_id,
            "workspace_name": workspace.name,
            "plan": workspace.plan,
            "surfaces": sorted(surfaces),
        }

    return answer(await desk.read(read))


@router.get("/api/v1/domains")
async def list_domains(request: Request) -> Response:
    """The domains that the workspace may put links on."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")
    found = await desk.read(lambda tx: domains.of_workspace(tx, key.workspace_id))
    return answer({"domains": [wire.domain(domain) for domain in found]})
