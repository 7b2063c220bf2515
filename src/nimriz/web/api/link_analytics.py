"""What became of one link: its clicks in all, by day, and broken down."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from nimriz.base.errors import Refused
from nimriz.core.clicks import link_clicks, retention
from nimriz.core.clicks.link_clicks import BREAKDOWNS, LinkClicks, TouchType
from nimriz.core.directory import workspaces
from nimriz.core.directory.workspaces import Workspace
from nimriz.store.db import Tx
from nimriz.web.api.audience import audience_of
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.links import found
from nimriz.web.api.period import Period, read_period, the_last

router = APIRouter()

RANGE_DAYS_MAX = 3_660
_TOTALS = ("clicks", "tracked_clicks", "unique_clicks", "bots", "suspects")


class LinkAnalyticsQuery(BaseModel):
    """GET /api/v1/links/{link_id}/analytics: the last `range_days` days, today included."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    range_days: Annotated[int, Field(ge=1, le=RANGE_DAYS_MAX)] = 30
    touch_type: TouchType | None = None
    include_bots: Literal["0", "1"] = "0"
    include_suspects: Literal["0", "1"] = "1"


@router.get("/api/v1/links/{link_id}/analytics")
async def link_analytics(request: Request, link_id: str, query: Annotated[LinkAnalyticsQuery, Query()]) -> Response:
    """A link's clicks over the last days, in the workspace's time zone: in all, by day, and broken down."""
    desk: Desk = request.app.state.desk
    key = caller(request, "analytics:read")

    def workspace_of(tx: Tx) -> Workspace:
        found(tx, key.workspace_id, link_id)
        workspace = workspaces.find(tx, key.workspace_id)
        if workspace is None:
            raise Refused("link_not_found")
        return workspace

    workspace = await desk.read(workspace_of)
    timezone = workspace.timezone
    now_ms = desk.clock.now_ms()
    audience = audience_of(query.include_bots == "1", query.include_suspects == "1")
    period = read_period(*the_last(query.range_days, timezone, now_ms), timezone, now_ms)

    shown_from_ms = retention.shown_from_ms(workspace.plan, now_ms)
    # Figures that reach beyond what the plan shows are not told, rather than what is left of them.
    hidden = period.from_ms < shown_from_ms

    def count() -> LinkClicks:
        from_ms, to_ms = period.bounds
        return link_clicks.summed(
            desk.click_logs(), link_id, max(from_ms, shown_from_ms), to_ms, period.zone, query.touch_type, audience
        )

    async with desk.reporting:
        clicks = await asyncio.to_thread(count)
    return answer(
        {
            "link_id": link_id,
            "range_days": query.range_days,
            "from": period.from_text,
            "to": period.to_text,
            "timezone": timezone,
            "touch_type": query.touch_type,
            "include_bots": query.include_bots == "1",
            "include_suspects": query.include_suspects == "1",
            "totals": dict.fromkeys(_TOTALS) if hidden else _totals(clicks),
            "by_day": _by_day(clicks, period, retention.first_day_shown(shown_from_ms, period.zone) if hidden else ""),
            "breakdowns": None if hidden else _breakdowns(clicks),
        }
    )


def _totals(clicks: LinkClicks) -> dict[str, object]:
    unique_clicks = None if clicks.hashless else len(clicks.visitors)
    figures = (clicks.clicks, clicks.tracked_clicks, unique_clicks, clicks.bots, clicks.suspects)
    return dict(zip(_TOTALS, figures, strict=True))


def _breakdowns(clicks: LinkClicks) -> dict[str, object]:
    return {
        name: [{"key": key, "clicks": n} for key, n in link_clicks.top(clicks.breakdowns[name])] for name in BREAKDOWNS
    }


def _by_day(clicks: LinkClicks, period: Period, first_day: str) -> list[dict[str, object]]:
    """Every day of the period, those without a click too; those before the first one that is shown are not told."""
    first, last = date.fromisoformat(period.from_text), date.fromisoformat(period.to_text)
    days = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    return [{"day": day, "clicks": None if day < first_day else clicks.by_day[day]} for day in days]
