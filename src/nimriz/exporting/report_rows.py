"""A report as rows: its own, then the totals, then what is unattributed. Each currency has columns of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nimriz.analytics import figures
from nimriz.analytics.figures import Figures
from nimriz.analytics.tabular import Column
from nimriz.core.links import domains, links
from nimriz.store.db import Database, Tx
from nimriz.web.api.reports import Shape

_LABELLED = ("link", "variant", "rule", "domain")
_MONEY = ("gross", "taken_back", "net")
_CLICKS = ("clicks", "tracked_clicks", "unique_clicks")


def table(
    records: Database, workspace_id: str, asked: dict[str, Any], told: dict[str, Any]
) -> tuple[list[Column], list[dict[str, Any]]]:
    """The columns and rows of an answer of the columnar store."""
    by: list[str] = asked["question"]["by"]
    keys = [row_keys for row_keys, _ in told["rows"]]
    labels = records.read(lambda tx: [_labels(tx, workspace_id, name, keys, n) for n, name in enumerate(by)])
    totals = figures.from_wire(told["totals"])
    clicks_only = asked["of"] == "clicks"
    clickless = "event_name" in by
    base = totals.tracked_clicks if clickless else None
    rows: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for row_keys, values in told["rows"]:
        shape = Shape(_hides(asked, by, row_keys), clickless, base, clicks_only)
        heads: dict[str, Any] = {"row": "row"}
        for n, name in enumerate(by):
            heads[name] = row_keys[n]
            if name in _LABELLED:
                heads[f"{name}_label"] = labels[n].get(row_keys[n], row_keys[n])
        rows.append((heads, shape.members(figures.from_wire(values))))
    rows.append(({"row": "total"}, Shape(asked["hidden"], clicks_only=clicks_only).members(totals)))
    if not clicks_only:
        unattributed: Figures = figures.from_wire(told["unattributed"])
        rows.append(({"row": "unattributed"}, Shape(clickless=True, base=0).members(unattributed)))
    currencies = sorted({money["currency"] for _, members in rows for money in members.get("revenue", [])})
    return _columns(by, currencies, clicks_only), [{**heads, **_flat(members)} for heads, members in rows]


def _columns(by: Sequence[str], currencies: Sequence[str], clicks_only: bool) -> list[Column]:
    found = [Column("row", "id")]
    for name in by:
        found.append(Column(name, "text"))
        found += [Column(f"{name}_label", "text")] if name in _LABELLED else []
    found += [Column(name, "count") for name in _CLICKS]
    if clicks_only:
        return found
    found += [Column(name, "count") for name in (*figures.COUNTS, "attributed")]
    found.append(Column("attribution_rate", "rate"))
    for currency in currencies:
        for name in _MONEY:
            found += [Column(f"{name}_{currency}", "amount"), Column(f"{name}_minor_{currency}", "minor")]
    return found


def _flat(members: dict[str, Any]) -> dict[str, Any]:
    flat = {name: value for name, value in members.items() if name != "revenue"}
    for money in members.get("revenue", []):
        for name in _MONEY:
            flat[f"{name}_{money['currency']}"] = money[name]
            flat[f"{name}_minor_{money['currency']}"] = money[f"{name}_minor"]
    return flat


def _hides(asked: dict[str, Any], by: Sequence[str], keys: Sequence[str]) -> bool:
    """Whether the clicks of a row reach beyond what the plan shows, and would be a remainder."""
    dated = [key for name, key in zip(by, keys, strict=True) if name in ("day", "hour")]
    return bool(asked["hidden"]) and (not dated or dated[0] < asked["first_day"])


def _labels(tx: Tx, workspace_id: str, name: str, keys: list[list[str]], place: int) -> dict[str, str]:
    mine = list(dict.fromkeys(row[place] for row in keys))
    if name == "domain":
        return {d.domain_id: d.domain_name for d in domains.of_workspace(tx, workspace_id)}
    if name not in _LABELLED:
        return {}
    known = links.labels(tx, workspace_id, list(dict.fromkeys(key.partition("/")[0] for key in mine)))
    return {key: known[link] + key.removeprefix(link) for key in mine if (link := key.partition("/")[0]) in known}
