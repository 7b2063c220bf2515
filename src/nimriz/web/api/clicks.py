"""Clicks one by one, and what is going on now."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from nimriz.base.clock import to_rfc3339
from nimriz.core.clicks import click_list, live_view, retention
from nimriz.core.clicks.click_list import PLANTED_CUSTOMERS, Asked, Listed, Page
from nimriz.core.clicks.live_view import LiveView
from nimriz.core.directory import workspaces
from nimriz.core.directory.workspaces import Workspace
from nimriz.core.links import links
from nimriz.core.routing import decisions
from nimriz.core.routing.decisions import Decided, Pair
from nimriz.store.db import Tx
from nimriz.web import wire
from nimriz.web.api.audience import audience_of
from nimriz.web.api.click_stream import ID_PATTERN
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.period import read_period

router = APIRouter()

TOP = 10
RECENT = 20
_AHEAD_MS = 86_400_000

Flag = Literal["0", "1"]


class ClicksQuery(BaseModel):
    """GET /api/v1/clicks: everybody's clicks; without suspects, without bots too unless these are asked for."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    from_: str = Field(default="", alias="from")
    to: str = ""
    timezone: str = "UTC"
    link_id: str = ""
    include_bots: Flag | None = None
    include_suspects: Flag = "1"
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    cursor: str = Field(default="", pattern=ID_PATTERN)


class LiveViewQuery(BaseModel):
    """GET /api/live-view"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    include_bots: Flag = "0"
    include_suspects: Flag = "1"


@router.get("/api/v1/clicks")
async def list_clicks(request: Request, query: Annotated[ClicksQuery, Query()]) -> Response:
    """Clicks, the newest first, as far back as the plan shows them. A page may hold fewer and not be the last."""
    desk: Desk = request.app.state.desk
    key = caller(request, "analytics:read")
    suspects = query.include_suspects == "1"
    audience = audience_of(suspects if query.include_bots is None else query.include_bots == "1", suspects)
    now_ms = desk.clock.now_ms()
    from_ms, to_ms = 0, now_ms + _AHEAD_MS
    if query.from_ or query.to:
        from_ms, to_ms = read_period(query.from_, query.to, query.timezone, now_ms).bounds
    workspace = await desk.read(lambda tx: workspaces.find(tx, key.workspace_id))
    shown_from_ms = now_ms if workspace is None else retention.shown_from_ms(workspace.plan, now_ms)
    asked = Asked(
        key.workspace_id, max(from_ms, shown_from_ms), to_ms, query.link_id, query.cursor, audience
    )  # fmt: skip

    def read() -> Page:
        return click_list.page(desk.click_logs(), asked, query.limit)

    async with desk.reporting:
        page = await asyncio.to_thread(read)
    return answer({"clicks": await _whole(desk, key.workspace_id, page.clicks), "next_cursor": page.before_id or None})


@router.get("/api/live-view")
async def live_view_now(request: Request, query: Annotated[LiveViewQuery, Query()]) -> Response:
    """What is going on now: the clicks of the last half hour, bots left out unless they are asked for."""
    desk: Desk = request.app.state.desk
    key = caller(request, "analytics:read")
    audience = audience_of(query.include_bots == "1", query.include_suspects == "1")
    now_ms = desk.clock.now_ms()
    asked = Asked(key.workspace_id, live_view.minutes(now_ms)[0], now_ms + _AHEAD_MS, audience=audience)

    def look() -> tuple[LiveView, list[Listed]]:
        logs = desk.click_logs()
        view = live_view.look(logs, key.workspace_id, audience, now_ms)
        return view, click_list.page(logs, asked, RECENT).clicks

    async with desk.reporting:
        view, recent = await asyncio.to_thread(look)
    top_links = _top(view.by_link)

    def read(tx: Tx) -> tuple[Workspace | None, dict[str, str]]:
        labels = links.labels(tx, key.workspace_id, [link_id for link_id, _ in top_links])
        return workspaces.find(tx, key.workspace_id), labels

    workspace, labels = await desk.read(read)
    strict = workspace is not None and workspace.privacy == "strict"
    return answer(
        {
            "now": to_rfc3339(now_ms),
            "minutes": live_view.MINUTES,
            "include_bots": query.include_bots == "1",
            "include_suspects": query.include_suspects == "1",
            "clicks_by_minute": [
                {
                    "minute": to_rfc3339(minute_ms),
                    "clicks": view.by_minute[minute_ms] if minute_ms >= view.known_from_ms else None,
                }
                for minute_ms in live_view.minutes(now_ms)
            ],
            "visitors": None if strict else view.visitor_count(now_ms),
            "top_links": [
                {"link_id": link_id, "label": labels.get(link_id, link_id), "clicks": n} for link_id, n in top_links
            ],
            "top_countries": [{"country": country, "clicks": n} for country, n in _top(view.by_country)],
            "recent": await _whole(desk, key.workspace_id, recent),
        }
    )


async def _whole(desk: Desk, workspace_id: str, listed: list[Listed]) -> list[dict[str, object]]:
    """Clicks on the wire, with what decided where they went, and how many customers each is tied to."""
    click_ids = [click.click_id for click in listed]

    def read(tx: Tx) -> tuple[dict[str, int], dict[Pair, Decided]]:
        decided = decisions.named(tx, [(click.link_id, click.decision) for click in listed])
        return click_list.customers(tx, workspace_id, click_ids), decided

    tied, decided = await desk.read(read) if listed else ({}, {})
    told = []
    for click in listed:
        customers = tied.get(click.click_id, 0)
        whole = wire.click(click, decided.get((click.link_id, click.decision)))
        told.append({**whole, "customers": customers, "planted": customers >= PLANTED_CUSTOMERS})
    return told


def _top(counted: Counter[str]) -> list[tuple[str, int]]:
    """The keys with the most clicks, equal ones by name."""
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:TOP]
