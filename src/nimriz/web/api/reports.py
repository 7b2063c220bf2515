"""Reports: which link earned the money."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from nimriz.analytics import figures
from nimriz.analytics.dimensions import Question
from nimriz.analytics.figures import Figures
from nimriz.base.clock import to_rfc3339
from nimriz.base.errors import FieldError, Refused
from nimriz.base.money import to_decimal
from nimriz.core import entitlements, links, retention, workspaces
from nimriz.core.clicks import LEFT_OUT
from nimriz.core.mode import Mode
from nimriz.store.db import Tx
from nimriz.web.api.audience import audience_of
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.period import read_period

router = APIRouter()

_SURFACE = "conversion_reporting"
By = Literal["link", "event_name", "day"]
BYS: tuple[By, ...] = ("link", "event_name", "day")


class ReportQuery(BaseModel):
    """GET /api/v1/analytics/conversions"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    from_: str = Field(default="", alias="from")
    to: str = ""
    timezone: str = "UTC"
    by: By = "link"
    clock: Literal["event", "click"] = "event"
    mode: Mode = "live"
    link_id: str = ""
    event_name: str = Field(default="", pattern="^(|lead|sale|refund|cancellation|reversal)$")
    include_bots: bool = False
    include_suspects: bool = True
    limit: Annotated[int, Field(ge=1, le=1_000)] = 1_000
    cursor: str = Field(default="", pattern="^[0-9]{0,9}$")


@router.get("/api/v1/analytics/conversions")
async def conversions_report(request: Request, query: Annotated[ReportQuery, Query()]) -> Response:
    """Clicks, leads, sales and net revenue by link, event name or day."""
    desk: Desk = request.app.state.desk
    key = caller(request, "analytics:read")
    now_ms = desk.clock.now_ms()
    period = read_period(query.from_, query.to, query.timezone, now_ms)
    audience = audience_of(query.include_bots, query.include_suspects)
    plan = await desk.read(lambda tx: plan_with_surface(tx, key.workspace_id))
    shown_from_ms = retention.shown_from_ms(plan, now_ms)
    filters = {"link": [query.link_id]} if query.link_id else {}
    if query.event_name:
        filters["event_name"] = [query.event_name]
    question = Question(
        key.workspace_id,
        query.mode,
        *period.bounds,
        query.timezone,
        now_ms,
        (query.by,),
        query.clock,
        filters,
        tuple(filter(None, LEFT_OUT[audience])),
        shown_from_ms=shown_from_ms,
        offset=int(query.cursor or 0),
        limit=query.limit,
    )
    told = await desk.ask("report", question._asdict())
    if question.offset > told["row_count"]:
        raise Refused("validation_failed", errors=(FieldError("cursor", "field_type"),))
    rows = [(keys[0], figures.from_wire(values)) for keys, values in told["rows"]]
    totals, unattributed = figures.from_wire(told["totals"]), figures.from_wire(told["unattributed"])
    labels: dict[str, str] = {}
    if query.by == "link":
        labels = await desk.read(lambda tx: links.labels(tx, key.workspace_id, [row_key for row_key, _ in rows]))
    after = question.offset + question.limit
    by_name = query.by == "event_name"
    # Figures that reach beyond what the plan shows are not told, rather than what is left of them.
    hidden = period.from_ms < shown_from_ms
    first_day = retention.first_day_shown(shown_from_ms, period.zone)
    return answer(
        {
            "from": period.from_text,
            "to": period.to_text,
            "timezone": query.timezone,
            "by": query.by,
            "clock": query.clock,
            "mode": query.mode,
            "as_of": None,
            "rows": [
                {
                    "key": row_key,
                    "label": labels.get(row_key, row_key),
                    **_members(
                        f,
                        totals.tracked_clicks if by_name else f.tracked_clicks,
                        clickless=by_name,
                        hidden=hidden and (query.by != "day" or row_key < first_day),
                    ),
                }
                for row_key, f in rows
            ],
            "totals": _members(totals, totals.tracked_clicks, hidden=hidden),
            "unattributed": {
                **_members(unattributed, 0, clickless=True),
                "reasons": dict(sorted(told["reasons"].items())),
            },
            "fresh_as_of": to_rfc3339(told["fresh_ms"]),
            "next_cursor": str(after) if after < told["row_count"] else None,
        }
    )


def plan_with_surface(tx: Tx, workspace_id: str) -> str:
    """A workspace's plan. Raises Refused(surface_not_enabled)."""
    workspace = workspaces.find(tx, workspace_id)
    if workspace is None or _SURFACE not in entitlements.open_surfaces(tx, workspace_id, workspace.plan):
        raise Refused("surface_not_enabled", surface=_SURFACE)
    return workspace.plan


def _members(
    figures_: Figures, tracked_clicks: int, *, clickless: bool = False, hidden: bool = False
) -> dict[str, Any]:
    """The members of a row; its rate is by `tracked_clicks`. Clicks may have no place in it, or be hidden."""
    told = not (clickless or hidden)
    return {
        "clicks": figures_.clicks if told else None,
        "tracked_clicks": figures_.tracked_clicks if told else None,
        "unique_clicks": figures_.unique_clicks if told else None,
        **{name: getattr(figures_, name) for name in figures.COUNTS},
        "attributed": figures_.attributed,
        "attribution_rate": None if hidden else figures.rate(figures_.attributed, tracked_clicks),
        "revenue": [
            {
                "currency": currency,
                "gross": to_decimal(money.gross_minor, currency or None),
                "taken_back": to_decimal(money.taken_back_minor, currency or None),
                "net": to_decimal(money.net_minor, currency or None),
                "gross_minor": money.gross_minor,
                "taken_back_minor": money.taken_back_minor,
                "net_minor": money.net_minor,
            }
            for currency, money in sorted(figures_.revenue.items())
        ],
    }
