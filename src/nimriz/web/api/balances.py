"""Reading what ties reports to each other: the bridge between two clocks, what changed since, funnel and cohorts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from nimriz.analytics import figures, zones
from nimriz.analytics.dimensions import UNITS_MAX
from nimriz.base.clock import DAY_MS, from_rfc3339, to_rfc3339
from nimriz.base.money import to_decimal
from nimriz.core.directory.mode import Mode
from nimriz.web.api import asking
from nimriz.web.api.asking import Asked, EventNames, FilterQuery, bad
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.reports import Shape

router = APIRouter()


class BridgeQuery(FilterQuery):
    """GET /api/v1/analytics/reconciliation"""

    mode: Mode = "live"
    event_name: EventNames = Field(default_factory=list)


class FunnelQuery(FilterQuery):
    """GET /api/v1/analytics/funnel"""

    mode: Mode = "live"


class CohortsQuery(FilterQuery):
    """GET /api/v1/analytics/cohorts"""

    mode: Mode = "live"
    by: Literal["day", "week", "month"] = "week"


class ChangesQuery(BaseModel):
    """GET /api/v1/analytics/changes"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    since: str
    until: str = ""
    mode: Mode = "live"
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    cursor: str = Field(default="", max_length=255)


@router.get("/api/v1/analytics/reconciliation")
async def reconciliation(request: Request, query: Annotated[BridgeQuery, Query()]) -> Response:
    """Opening, new, taken back and closing of each day, by the day of the event and by the day of the click."""
    desk: Desk = request.app.state.desk
    key = caller(request, "analytics:read")
    asked = await asking.read(
        desk, key.workspace_id, query, ("link",), mode=query.mode, event_names=query.event_name
    )  # fmt: skip
    question = asked.question
    if (question.to_ms - question.from_ms) // DAY_MS > UNITS_MAX:
        raise bad("from")
    told = await desk.ask("bridge", question._asdict())
    every_day = zones.labels("day", question.zone, question.from_ms, question.to_ms)
    currencies = [_of_currency(currency, sums, every_day) for currency, sums in told["currencies"].items()]
    return answer({**_head(asked, query), "mode": query.mode, "currencies": currencies, **_fresh(told)})


def _of_currency(currency: str, sums: dict[str, Any], every_day: list[str]) -> dict[str, Any]:
    opening = sum(row[1] for row in sums["click_days"])
    moved = {day: (new, taken) for day, new, taken in sums["days"]}
    days, balance = [], opening
    for day in every_day:
        new, taken = moved.get(day, (0, 0))
        closing = balance + new - taken
        days.append({"day": day, **_amounts(currency, opening=balance, new=new, taken_back=taken, closing=closing)})
        balance = closing
    click_days = [
        {
            "click_day": day,
            **_amounts(currency, opening=begins, new=new, taken_back=taken, closing=begins + new - taken, later=later),
        }
        for day, begins, new, taken, later in sums["click_days"]
    ]
    new, taken = (sum(pair[n] for pair in moved.values()) for n in (0, 1))
    totals = _amounts(currency, opening=opening, new=new, taken_back=taken, closing=balance)
    return {"currency": currency, **totals, "days": days, "click_days": click_days}


def _amounts(currency: str, **minor: int) -> dict[str, Any]:
    """Amounts as decimals and in minor units."""
    told: dict[str, Any] = {name: to_decimal(value, currency or None) for name, value in minor.items()}
    return told | {f"{name}_minor": value for name, value in minor.items()}


@router.get("/api/v1/analytics/changes")
async def changes(request: Request, query: Annotated[ChangesQuery, Query()]) -> Response:
    """The events that explain the difference between reports as of two moments."""
    desk: Desk = request.app.state.desk
    key = caller(request, "analytics:read")
    now_ms = desk.clock.now_ms()
    since_ms = _instant(query.since, "since", now_ms)
    until_ms = _instant(query.until, "until", now_ms) if query.until else now_ms
    if until_ms < since_ms:
        raise bad("until")
    await desk.read(lambda tx: asking.plan_with_surface(tx, key.workspace_id))
    told = await desk.ask(
        "changes",
        {
            "workspace_id": key.workspace_id,
            "mode": query.mode,
            "since_ms": since_ms,
            "until_ms": until_ms,
            "after_id": query.cursor,
            "limit": query.limit,
        },
    )
    found = [
        {
            "event_id": change["event_id"],
            "event_name": change["event_name"],
            "event_time": to_rfc3339(change["event_ms"]),
            **{side: [_line(line) for line in change[side]] for side in ("removed", "added")},
        }
        for change in told["changes"]
    ]
    return answer(
        {
            "since": to_rfc3339(since_ms),
            "until": to_rfc3339(until_ms),
            "mode": query.mode,
            "changes": found,
            **_fresh(told),
            "next_cursor": found[-1]["event_id"] if told["more"] else None,
        }
    )


def _instant(text: str, field: str, now_ms: int) -> int:
    try:
        instant_ms = from_rfc3339(text)
    except ValueError:
        raise bad(field, "instant_malformed") from None
    if not 0 < instant_ms <= now_ms:
        raise bad(field, "instant_not_past")
    return instant_ms


def _line(line: dict[str, Any]) -> dict[str, Any]:
    currency = line["currency"]
    money = None
    if currency:
        gross, taken = line["gross_minor"], line["taken_back_minor"]
        money = {"currency": currency, **_amounts(currency, gross=gross, taken_back=taken, net=gross - taken)}
    return {
        "counted_as": line["counted_as"] or None,
        "sale_event_id": line["sale_event_id"] or None,
        "status": line["status"],
        "reason": line["reason"] or None,
        "link_id": line["link_id"] or None,
        "variant": line["variant"] or None,
        "click_id": line["click_id"] or None,
        "clicked_at": to_rfc3339(line["clicked_ms"]) if line["clicked_ms"] else None,
        "money": money,
    }


@router.get("/api/v1/analytics/funnel")
async def funnel(request: Request, query: Annotated[FunnelQuery, Query()]) -> Response:
    """How many clicks came to a lead and to a sale, what was earned, and how long each step took."""
    desk: Desk = request.app.state.desk
    key = caller(request, "analytics:read")
    asked = await asking.read(desk, key.workspace_id, query, ("link",), mode=query.mode)
    told = await desk.ask("funnel", asked.question._asdict())
    totals = figures.from_wire(told["totals"])
    steps = told["steps"]
    base = None if asked.hidden else totals.tracked_clicks
    return answer(
        {
            **_head(asked, query),
            "mode": query.mode,
            "steps": [
                {"step": "click", "clicks": base, "share": None if not base else 1.0},
                {"step": "lead", "clicks": steps["leads"], "share": _share(steps["leads"], base)},
                {"step": "sale", "clicks": steps["sales"], "share": _share(steps["sales"], base)},
            ],
            "leads_and_sales": steps["leads_and_sales"],
            "revenue": Shape(asked.hidden).members(totals)["revenue"],
            "seconds": {
                name: {"median": _seconds(steps[f"{name}_ms"][0]), "mean": _seconds(steps[f"{name}_ms"][1])}
                for name in ("to_lead", "to_sale", "lead_to_sale")
            },
            **_fresh(told),
        }
    )


def _share(part: int, base: int | None) -> float | None:
    return figures.rate(part, base) if base else None


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


@router.get("/api/v1/analytics/cohorts")
async def cohorts(request: Request, query: Annotated[CohortsQuery, Query()]) -> Response:
    """Clicks by when they were made, and how many of them first converted after how many days."""
    desk: Desk = request.app.state.desk
    key = caller(request, "analytics:read")
    asked = await asking.read(desk, key.workspace_id, query, (query.by,), mode=query.mode)
    if (asked.question.to_ms - asked.question.from_ms) // DAY_MS > UNITS_MAX:
        raise bad("from")
    told = await desk.ask("cohorts", asked.question._asdict())
    rows = [
        {
            "key": label,
            "tracked_clicks": None if asked.hidden else row["clicks"],
            "converted": sum(row["by_days"]),
            "by_days": row["by_days"],
        }
        for label, row in told["rows"]
    ]
    return answer({**_head(asked, query), "by": query.by, "mode": query.mode, "rows": rows, **_fresh(told)})


def _head(asked: Asked, query: FilterQuery) -> dict[str, Any]:
    return {
        "from": asked.period.from_text,
        "to": asked.period.to_text,
        "timezone": query.timezone,
        "as_of": to_rfc3339(asked.as_of_ms) if asked.as_of_ms else None,
    }


def _fresh(told: dict[str, Any]) -> dict[str, Any]:
    return {"fresh_as_of": to_rfc3339(told["fresh_ms"])}
