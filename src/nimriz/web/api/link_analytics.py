"""What became of one link: its clicks in all, by day, and broken down."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from nimriz.analytics import figures
from nimriz.analytics.dimensions import Question
from nimriz.base.clock import to_rfc3339
from nimriz.base.errors import Refused
from nimriz.core.clicks import retention
from nimriz.core.clicks.clicks import LEFT_OUT
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
    touch_type: Literal["short_link_click", "qr_scan"] | None = None
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

    filters = {"link": [link_id]} | ({"touch_type": [query.touch_type]} if query.touch_type else {})
    question = Question(
        key.workspace_id, "live", *period.bounds, timezone, now_ms, ("day",), filters=filters,
        left_out=tuple(filter(None, LEFT_OUT[audience])), shown_from_ms=shown_from_ms,
    )  # fmt: skip
    told = await desk.ask("link", question._asdict())
    first_day = retention.first_day_shown(shown_from_ms, period.zone) if hidden else ""
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
            "totals": dict.fromkeys(_TOTALS) if hidden else _totals(told),
            "by_day": _by_day(told["by_day"], period, first_day),
            "breakdowns": None if hidden else _breakdowns(told["breakdowns"]),
            "fresh_as_of": to_rfc3339(told["fresh_ms"]),
        }
    )


def _totals(told: dict[str, Any]) -> dict[str, object]:
    totals = figures.from_wire(told["totals"])
    values = (totals.clicks, totals.tracked_clicks, totals.unique_clicks, told["bots"], told["suspects"])
    return dict(zip(_TOTALS, values, strict=True))


def _breakdowns(told: dict[str, list[tuple[str | None, int]]]) -> dict[str, object]:
    return {name: [{"key": key, "clicks": clicks} for key, clicks in keys] for name, keys in told.items()}


def _by_day(told: dict[str, int], period: Period, first_day: str) -> list[dict[str, object]]:
    """Every day of the period, those without a click too; those before the first one that is shown are not told."""
    first, last = date.fromisoformat(period.from_text), date.fromisoformat(period.to_text)
    days = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    return [{"day": day, "clicks": None if day < first_day else told.get(day, 0)} for day in days]
