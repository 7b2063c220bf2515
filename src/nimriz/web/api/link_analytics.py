"""What became of one link: its clicks in all, by day, and broken down."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from nimriz.core import link_clicks, workspaces
from nimriz.core.link_clicks import BREAKDOWNS, LinkClicks, TouchType
from nimriz.store.db import Tx
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.links import found
from nimriz.web.api.period import Period, read_period, the_last

router = APIRouter()

RANGE_DAYS_MAX = 3_660


class LinkAnalyticsQuery(BaseModel):
    """GET /api/v1/links/{link_id}/analytics: the last `range_days` days, today included."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    range_days: Annotated[int, Field(ge=1, le=RANGE_DAYS_MAX)] = 30
    touch_type: TouchType | None = None
    include_bots: Literal["0", "1"] = "0"


@router.get("/api/v1/links/{link_id}/analytics")
async def link_analytics(request: Request, link_id: str, query: Annotated[LinkAnalyticsQuery, Query()]) -> Response:
    """A link's clicks over the last days, in the workspace's time zone: in all, by day, and broken down."""
    desk: Desk = request.app.state.desk
    key = caller(request, "analytics:read")

    def timezone_of(tx: Tx) -> str:
        found(tx, key.workspace_id, link_id)
        workspace = workspaces.find(tx, key.workspace_id)
        return "UTC" if workspace is None else workspace.timezone

    timezone = await desk.read(timezone_of)
    now_ms = desk.clock.now_ms()
    period = read_period(*the_last(query.range_days, timezone, now_ms), timezone, now_ms)

    def count() -> LinkClicks:
        with_bots = query.include_bots == "1"
        return link_clicks.summed(
            desk.click_logs(), link_id, *period.bounds, period.zone, query.touch_type, include_crawlers=with_bots
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
            "totals": {
                "clicks": clicks.clicks,
                "tracked_clicks": clicks.tracked_clicks,
                "unique_clicks": None,
                "bots": clicks.crawlers,
            },
            "by_day": _by_day(clicks, period),
            "breakdowns": {
                name: [{"key": key, "clicks": n} for key, n in link_clicks.top(clicks.breakdowns[name])]
                for name in BREAKDOWNS
            },
        }
    )


def _by_day(clicks: LinkClicks, period: Period) -> list[dict[str, object]]:
    """Every day of the period, those without a click too."""
    first, last = date.fromisoformat(period.from_text), date.fromisoformat(period.to_text)
    days = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    return [{"day": day, "clicks": clicks.by_day[day]} for day in days]
