"""Reports: which link earned the money, and who clicked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from nimriz.analytics import figures
from nimriz.analytics.credit import Model
from nimriz.analytics.dimensions import BYS, CLICK_BYS
from nimriz.analytics.figures import Figures
from nimriz.base.clock import to_rfc3339
from nimriz.base.money import to_decimal
from nimriz.core.clicks import retention
from nimriz.core.directory.mode import Mode
from nimriz.core.links import domains, links
from nimriz.store.db import Tx
from nimriz.web.api import asking
from nimriz.web.api.asking import Asked, EventNames, PageQuery, bad
from nimriz.web.api.desk import Desk, answer, caller

router = APIRouter()

_DATED = ("day", "hour")
"""Units whose keys can be compared with the first day that is shown."""


class ReportQuery(PageQuery):
    """GET /api/v1/analytics/conversions"""

    by: str = Field(default="link", pattern=f"^({'|'.join(BYS)})$")
    then_by: str = Field(default="", pattern=f"^(|{'|'.join(BYS)})$")
    clock: Literal["event", "click"] = "event"
    model: Model = "last"
    mode: Mode = "live"
    event_name: EventNames = Field(default_factory=list)


class ClicksQuery(PageQuery):
    """GET /api/v1/analytics/clicks"""

    by: str = Field(default="link", pattern=f"^({'|'.join(CLICK_BYS)})$")
    then_by: str = Field(default="", pattern=f"^(|{'|'.join(CLICK_BYS)})$")


@router.get("/api/v1/analytics/conversions")
async def conversions_report(request: Request, query: Annotated[ReportQuery, Query()]) -> Response:
    """Clicks, leads, sales and net revenue, broken down by one or two dimensions."""
    desk: Desk = request.app.state.desk
    return answer(await conversions_told(desk, caller(request, "analytics:read").workspace_id, query))


async def conversions_told(desk: Desk, workspace_id: str, query: ReportQuery) -> dict[str, Any]:
    """A report on conversions as it is told. Raises Refused."""
    asked = await asking.read(
        desk, workspace_id, query, dimensions_of(query.by, query.then_by),
        mode=query.mode, clock=query.clock, model=query.model, event_names=query.event_name,
    )  # fmt: skip
    told = await desk.ask("report", asked.question._asdict())
    totals = figures.from_wire(told["totals"])
    # By event name a row has no clicks of its own.
    clickless = "event_name" in asked.question.by
    base = totals.tracked_clicks if clickless else None
    whole = {"totals": Shape(asked.hidden), "unattributed": Shape(clickless=True, base=0)}

    def of_row(keys: Sequence[str]) -> Shape:
        return Shape(_hides(asked, keys), clickless, base)

    body = await _told(desk, asked, told, of_row)
    return {
        **_head(asked, query),
        "clock": query.clock,
        **({} if query.model == "last" else {"model": query.model}),
        "mode": query.mode,
        "as_of": to_rfc3339(asked.as_of_ms) if asked.as_of_ms else None,
        "rows": body,
        "totals": whole["totals"].members(totals),
        "unattributed": {
            **whole["unattributed"].members(figures.from_wire(told["unattributed"])),
            "reasons": dict(sorted(told["reasons"].items())),
        },
        **_compared(asked, told, whole),
        **_foot(asked, told),
    }


@router.get("/api/v1/analytics/clicks")
async def clicks_report(request: Request, query: Annotated[ClicksQuery, Query()]) -> Response:
    """Clicks and visitors, broken down by one or two dimensions."""
    desk: Desk = request.app.state.desk
    return answer(await clicks_told(desk, caller(request, "analytics:read").workspace_id, query))


async def clicks_told(desk: Desk, workspace_id: str, query: ClicksQuery) -> dict[str, Any]:
    """A report on clicks as it is told. Raises Refused."""
    asked = await asking.read(desk, workspace_id, query, dimensions_of(query.by, query.then_by))
    told = await desk.ask("clicks", asked.question._asdict())

    def of_row(keys: Sequence[str]) -> Shape:
        return Shape(_hides(asked, keys), clicks_only=True)

    whole = {"totals": Shape(asked.hidden, clicks_only=True)}
    return {
        **_head(asked, query),
        "as_of": to_rfc3339(asked.as_of_ms) if asked.as_of_ms else None,
        "rows": await _told(desk, asked, told, of_row),
        "totals": whole["totals"].members(figures.from_wire(told["totals"])),
        "suppressed": None if asked.hidden else told["suppressed"],
        "quality": None if asked.hidden else told["quality"],
        **_compared(asked, told, whole),
        **_foot(asked, told),
    }


def dimensions_of(by: str, then_by: str) -> tuple[str, ...]:
    """One dimension or two. Raises Refused(validation_failed) for the same one twice."""
    if by == then_by:
        raise bad("then_by")
    return (by, then_by) if then_by else (by,)


def _head(asked: Asked, query: ReportQuery | ClicksQuery) -> dict[str, Any]:
    head = {
        "from": asked.period.from_text,
        "to": asked.period.to_text,
        "timezone": query.timezone,
        "by": query.by,
    }
    return {**head, "then_by": query.then_by} if query.then_by else head


def _foot(asked: Asked, told: dict[str, Any]) -> dict[str, Any]:
    after = asked.question.offset + asked.question.limit
    return {
        "fresh_as_of": to_rfc3339(told["fresh_ms"]),
        "next_cursor": str(after) if after < told["row_count"] else None,
    }


def _hides(asked: Asked, keys: Sequence[str]) -> bool:
    """Whether the clicks of a row are not told: they reach beyond what the plan shows, and would be a remainder."""
    if not asked.hidden:
        return False
    first_day = retention.first_day_shown(asked.question.shown_from_ms, asked.period.zone)
    dated = [key for name, key in zip(asked.question.by, keys, strict=True) if name in _DATED]
    return not dated or dated[0] < first_day


async def _told(
    desk: Desk, asked: Asked, told: dict[str, Any], of_row: Callable[[Sequence[str]], Shape]
) -> list[dict[str, Any]]:
    """The rows of a page, with labels for people."""
    if asked.question.offset > told["row_count"]:
        raise bad("cursor")
    rows = told["rows"]
    workspace_id, by = asked.question.workspace_id, asked.question.by
    labels = await desk.read(lambda tx: _labels(tx, workspace_id, by, [keys for keys, _ in rows]))
    body = []
    others = told.get("compared", {}).get("rows", [None] * len(rows))
    for (keys, values), other in zip(rows, others, strict=True):
        shape = of_row(keys)
        row: dict[str, Any] = {"key": keys[0], "label": labels[0].get(keys[0], keys[0])}
        if len(keys) > 1:
            row |= {"then_key": keys[1], "then_label": labels[1].get(keys[1], keys[1])}
        row |= shape.members(figures.from_wire(values))
        if other is not None:
            row["compared"] = _of_other_period(asked, shape).members(figures.from_wire(other))
        body.append(row)
    return body


def _labels(tx: Tx, workspace_id: str, by: Sequence[str], keys: list[list[str]]) -> list[dict[str, str]]:
    """For each dimension what its keys are called, where that is something else."""
    found = []
    for place, name in enumerate(by):
        mine = list(dict.fromkeys(row[place] for row in keys))
        if name in ("link", "variant", "rule"):
            known = links.labels(tx, workspace_id, list(dict.fromkeys(key.partition("/")[0] for key in mine)))
            found.append(
                {key: known[link] + key.removeprefix(link) for key in mine if (link := key.partition("/")[0]) in known}
            )
        elif name == "domain":
            found.append({d.domain_id: d.domain_name for d in domains.of_workspace(tx, workspace_id)})
        else:
            found.append({})
    return found


def _compared(asked: Asked, told: dict[str, Any], whole: dict[str, Shape]) -> dict[str, Any]:
    """The member that tells the other period's figures, where one was asked for."""
    if asked.compared is None:
        return {}
    period = asked.compared
    figures_of = {
        name: _of_other_period(asked, shape).members(figures.from_wire(told["compared"][name]))
        for name, shape in whole.items()
    }
    begins, ends = period.from_text or to_rfc3339(period.from_ms), period.to_text or to_rfc3339(period.to_ms)
    return {"compared": {"from": begins, "to": ends, **figures_of}}


def _of_other_period(asked: Asked, shape: Shape) -> Shape:
    hidden = asked.compared is not None and asked.compared.from_ms < asked.question.shown_from_ms
    # Nobody is told a rate over another period's clicks.
    return Shape(hidden, shape.clickless, None if shape.base is None else 0, shape.clicks_only)


class Shape:
    """How figures are told: without clicks where they have none (`clickless`) or must not be told (`hidden`).

    `base` is what the rate is over, None for the figures' own tracked clicks.
    """

    def __init__(
        self, hidden: bool = False, clickless: bool = False, base: int | None = None, clicks_only: bool = False
    ) -> None:
        self.hidden, self.clickless, self.base, self.clicks_only = hidden, clickless, base, clicks_only

    def members(self, told: Figures) -> dict[str, Any]:
        """The members of a row."""
        shown = not (self.clickless or self.hidden)
        clicks = {
            "clicks": told.clicks if shown else None,
            "tracked_clicks": told.tracked_clicks if shown else None,
            "unique_clicks": told.unique_clicks if shown else None,
        }
        if self.clicks_only:
            return clicks
        base = told.tracked_clicks if self.base is None else self.base
        return {
            **clicks,
            **{name: getattr(told, name) for name in figures.COUNTS},
            "attributed": told.attributed,
            "attribution_rate": None if self.hidden else figures.rate(told.attributed, base),
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
                for currency, money in sorted(told.revenue.items())
            ],
        }
