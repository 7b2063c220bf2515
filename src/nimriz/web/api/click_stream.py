"""Clicks as they land, as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from nimriz.base.errors import Refused
from nimriz.store.db import StoreError
from nimriz.web.api.desk import Desk, caller
from nimriz.web.api.door import ASK_AGAIN
from nimriz.web.api.links import found
from nimriz.web.feed import Listener
from nimriz.web.http import Receive, Scope, Send

router = APIRouter()

ID_PATTERN = "^(|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$"
HEARTBEAT_S = 15.0
KEY_CHECK_S = 2.0
# Whoever takes nothing for so long has gone, or never will.
SEND_S_MAX = 30.0
_LAST_S_MAX = 1.0
_BEGIN = b": clicks as they land\nretry: 2000\n\n"
_HEARTBEAT = b": still here\n\n"


class StreamQuery(BaseModel):
    """GET /api/v1/clicks/stream"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    link_id: str = ""


@router.get("/api/v1/clicks/stream")
async def click_stream(
    request: Request,
    query: Annotated[StreamQuery, Query()],
    last_event_id: Annotated[str, Header(alias="Last-Event-ID", pattern=ID_PATTERN)] = "",
) -> Response:
    """Clicks within about a second of landing, as server-sent events `click`; bots' too, which `quality` says."""
    desk: Desk = request.app.state.desk
    key = caller(request, "analytics:read")
    if query.link_id:
        await desk.read(lambda tx: found(tx, key.workspace_id, query.link_id))
    stack = contextlib.AsyncExitStack()
    listener = await stack.enter_async_context(desk.feed.listen(key.workspace_id, query.link_id, last_event_id))
    return EventStream(listener, stack)


class EventStream(Response):
    """Sends what a listener hears, until somebody ends it: either side, or the key's owner."""

    media_type = "text/event-stream"

    def __init__(self, listener: Listener, stack: contextlib.AsyncExitStack) -> None:
        # A proxy that gathers a response before it passes it on would keep the clicks.
        super().__init__(headers={"Cache-Control": "private, no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._listener = listener
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and stay."""
        async with self._stack:
            ends = [
                asyncio.ensure_future(end)
                for end in (self._send(send), _gone(receive), _revoked(scope), self._listener.ended.wait())
            ]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S_MAX):
                await _part(send, b"", more=False)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await _part(send, _BEGIN)
        while True:
            await _part(send, await self._listener.heard(HEARTBEAT_S) or _HEARTBEAT)


async def _part(send: Send, body: bytes, *, more: bool = True) -> None:
    async with asyncio.timeout(SEND_S_MAX):
        await send({"type": "http.response.body", "body": body, "more_body": more})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _revoked(scope: Scope) -> None:
    """Ends when the key is no longer one, or nobody can say."""
    while True:
        await asyncio.sleep(KEY_CHECK_S)
        try:
            await scope[ASK_AGAIN]()
        except (Refused, StoreError):
            return
