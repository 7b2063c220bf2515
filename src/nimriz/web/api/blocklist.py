"""The workspace's own block list: hosts that none of its links may lead to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, StringConstraints
from starlette.responses import Response

from nimriz.base.errors import Refused
from nimriz.core.links import blocklist, drafts
from nimriz.web import wire
from nimriz.web.api.desk import Desk, answer, caller

router = APIRouter()


class NewBlockedHost(BaseModel):
    """POST /api/v1/blocked-hosts"""

    model_config = drafts.STRICT
    host: str
    reason: Annotated[str, StringConstraints(max_length=blocklist.REASON_CHARS_MAX)] = ""


@router.get("/api/v1/blocked-hosts")
async def list_blocked_hosts(request: Request) -> Response:
    """The hosts on the workspace's own list, by name."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")
    found = await desk.read(lambda tx: blocklist.on_list(tx, key.workspace_id))
    return answer({"blocked_hosts": [wire.blocked_host(blocked) for blocked in found]})


@router.post("/api/v1/blocked-hosts")
async def block_host(request: Request, new: NewBlockedHost) -> Response:
    """Block a host and everything under it; links that lead there stop within a second."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    host = blocklist.read_host(new.host)
    now_ms = desk.clock.now_ms()
    blocked = await desk.write(lambda tx: blocklist.add(tx, key.workspace_id, host, new.reason, now_ms))
    return answer({"blocked_host": wire.blocked_host(blocked)}, 201)


@router.delete("/api/v1/blocked-hosts/{host}")
async def unblock_host(request: Request, host: str) -> Response:
    """Take a host off the list; links that lead there go on."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    name = blocklist.read_host(host)
    now_ms = desk.clock.now_ms()
    if not await desk.write(lambda tx: blocklist.remove(tx, key.workspace_id, name, now_ms)):
        raise Refused("blocked_host_not_found")
    return answer({"deleted": True})
