"""The home page of a workspace: what came of its links in the last days, against the days before.

The figures are those of the API's reports, asked by the same questions in the time zone of the workspace.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from nimriz.base.errors import Refused
from nimriz.core.links import domains, links
from nimriz.store.db import Tx
from nimriz.web.api.period import the_last
from nimriz.web.api.reports import ReportQuery, conversions_told
from nimriz.web.dashboard import words
from nimriz.web.dashboard.call import Call
from nimriz.web.dashboard.passage import Passage
from nimriz.web.dashboard.replies import Reply

PERIODS = {"7": 7, "30": 30, "90": 90}
_DEFAULT = "30"
_ROWS = 10
_UNAVAILABLE = {
    "surface_not_enabled": "Reports are not part of this workspace's plan. Its links go on redirecting.",
    "reports_unavailable": "Reports are being prepared. Nothing else is affected; look again in a minute.",
}


class Figure(NamedTuple):
    """One figure of now and of the period before; `change` is a part of that, None where it says nothing."""

    name: str
    now: str
    before: str
    change: float | None


class Bar(NamedTuple):
    """One day of the chart: its place and height in percent of the chart's own."""

    day: str
    clicks: int
    conversions: int
    x: float
    height: float


async def show(passage: Passage, call: Call) -> Reply:
    """The page."""
    workspace = call.known_workspace
    chosen = call.query.get("days", _DEFAULT)
    days = PERIODS.get(chosen, PERIODS[_DEFAULT])
    begins, ends = the_last(days, workspace.timezone, call.now_ms)
    asked = {"from": begins, "to": ends, "timezone": workspace.timezone}

    def read(tx: Tx) -> tuple[bool, str]:
        found = domains.of_workspace(tx, workspace.workspace_id)
        return bool(links.page(tx, workspace.workspace_id, "", 1)), found[0].domain_id

    has_links, domain_id = await passage.desk.read(read)
    values: dict[str, Any] = {
        "days": days, "periods": list(PERIODS.values()), "begins": begins, "ends": ends, "has_links": has_links,
        "domain_id": domain_id, "base_url": passage.desk.base_url,
    }  # fmt: skip
    try:
        told = await conversions_told(
            passage.desk, workspace.workspace_id,
            ReportQuery.model_validate({**asked, "by": "link", "compare": "previous", "limit": _ROWS}),
        )  # fmt: skip
        daily = await conversions_told(
            passage.desk, workspace.workspace_id, ReportQuery.model_validate({**asked, "by": "day", "series": True})
        )  # fmt: skip
    except Refused as refused:
        if refused.code not in _UNAVAILABLE:
            raise
        return passage.pages.page(call, "home.html", told=None, why=_UNAVAILABLE[refused.code], **values)
    return passage.pages.page(
        call, "home.html", told=told, figures=_figures(told), money=_money(told), bars=_bars(daily["rows"]), **values
    )


def _figures(told: dict[str, Any]) -> list[Figure]:
    now, before = told["totals"], told["compared"]["totals"]
    counts = {"Clicks": "clicks", "Leads": "leads", "Sales": "sales"}
    figures = [
        Figure(word, words.number(now[name]), words.number(before[name]), _part(now[name], before[name]))
        for word, name in counts.items()
    ]
    rates = now["attribution_rate"], before["attribution_rate"]
    figures.append(Figure("Attribution rate", words.percent(rates[0]), words.percent(rates[1]), _part(*rates)))
    return figures


def _money(told: dict[str, Any]) -> list[Figure]:
    """Net revenue by currency, each by itself."""
    now = {money["currency"]: money for money in told["totals"]["revenue"]}
    before = {money["currency"]: money for money in told["compared"]["totals"]["revenue"]}
    found = []
    for currency in sorted({*now, *before}):
        mine, theirs = now.get(currency), before.get(currency)
        minor = mine["net_minor"] if mine else 0, theirs["net_minor"] if theirs else 0
        found.append(Figure(currency, _net(mine), _net(theirs), _part(*minor)))
    return found


def _net(money: dict[str, Any] | None) -> str:
    return "0" if money is None else words.amount(money["net"])


def _bars(rows: list[dict[str, Any]]) -> list[Bar]:
    highest = max((row["clicks"] or 0 for row in rows), default=0) or 1
    return [
        Bar(
            row["key"], row["clicks"] or 0, row["leads"] + row["sales"], 100 * place / len(rows),
            100 * (row["clicks"] or 0) / highest,
        )
        for place, row in enumerate(rows)
    ]  # fmt: skip


def _part(now: float | None, before: float | None) -> float | None:
    if now is None or not before or before < 0:
        return None
    return (now - before) / before
