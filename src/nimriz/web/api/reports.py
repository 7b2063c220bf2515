"""Reports: which link earned the money."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from nimriz.base.clock import to_rfc3339
from nimriz.base.errors import FieldError, Refused
from nimriz.base.money import to_decimal
from nimriz.core import clicks, entitlements, links, reports, retention, workspaces
from nimriz.core.mode import Mode
from nimriz.core.reports import By, ClockName, Figures, Question, Report
from nimriz.store.db import Tx
from nimriz.web.api.audience import audience_of
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.period import read_period

router = APIRouter()

_SURFACE = "conversion_reporting"


class ReportQuery(BaseModel):
    """GET /api/v1/analytics/conversions"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    from_: str = Field(default="", alias="from")
    to: str = ""
    timezone: str = "UTC"
    by: By = "link"
    clock: ClockName = "event"
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
    question = Question(
        key.workspace_id,
        query.mode,
        *period.bounds,
        period.zone,
        query.by,
        query.clock,
        query.link_id,
        query.event_name,
    )

    audience = audience_of(query.include_bots, query.include_suspects)
    plan = await desk.read(lambda tx: _plan_with_surface(tx, key.workspace_id))
    shown_from_ms = retention.shown_from_ms(plan, now_ms)

    def count() -> clicks.Counted:
        from_ms, to_ms = period.bounds
        return clicks.count(
            desk.click_logs(), key.workspace_id, max(from_ms, shown_from_ms), to_ms, audience,
            reports.row_of(question), query.link_id,
        )  # fmt: skip

    async with desk.reporting:
        counted = await asyncio.to_thread(count)

    def read(tx: Tx) -> tuple[Report, dict[str, str]]:
        report = reports.build(tx, question, counted)
        keys = list(report.rows) if query.by == "link" else []
        return report, links.labels(tx, key.workspace_id, keys)

    async with desk.reporting:
        report, labels = await desk.read(read)
    ranked = reports.ranked(report)
    start = int(query.cursor or 0)
    if start > len(ranked):
        raise Refused("validation_failed", errors=(FieldError("cursor", "field_type"),))
    page = ranked[start : start + query.limit]
    more = start + query.limit < len(ranked)
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
                    "key": key,
                    "label": labels.get(key, key),
                    **_members(
                        f,
                        report.totals.tracked_clicks if by_name else f.tracked_clicks,
                        clickless=by_name,
                        hidden=hidden and (query.by != "day" or key < first_day),
                    ),
                }
                for key, f in page
            ],
            "totals": _members(report.totals, report.totals.tracked_clicks, hidden=hidden),
            "unattributed": {
                **_members(report.unattributed, 0, clickless=True),
                "reasons": dict(sorted(report.reasons.items())),
            },
            "fresh_as_of": to_rfc3339(now_ms),
            "next_cursor": str(start + query.limit) if more else None,
        }
    )


def _plan_with_surface(tx: Tx, workspace_id: str) -> str:
    """A workspace's plan. Raises Refused(surface_not_enabled)."""
    workspace = workspaces.find(tx, workspace_id)
    if workspace is None or _SURFACE not in entitlements.open_surfaces(tx, workspace_id, workspace.plan):
        raise Refused("surface_not_enabled", surface=_SURFACE)
    return workspace.plan


def _members(
    figures: Figures, tracked_clicks: int, *, clickless: bool = False, hidden: bool = False
) -> dict[str, object]:
    """The members of a row; its rate is by `tracked_clicks`. Clicks may have no place in it, or be hidden."""
    told = not (clickless or hidden)
    return {
        "clicks": figures.clicks if told else None,
        "tracked_clicks": figures.tracked_clicks if told else None,
        "unique_clicks": figures.unique_clicks if told else None,
        "leads": figures.leads,
        "sales": figures.sales,
        "refunds": figures.refunds,
        "cancellations": figures.cancellations,
        "reversals": figures.reversals,
        "reinstatements": figures.reinstatements,
        "attributed": figures.attributed,
        "attribution_rate": None if hidden else reports.rate(figures.attributed, tracked_clicks),
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
            for currency, money in sorted(figures.revenue.items())
        ],
    }
