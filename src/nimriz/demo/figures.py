"""The figures of the demo: what they must be, what they are, and the table that shows them.

EXPECTED was worked out by hand from the story; nothing of the service computes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

Figures = Mapping[str, Any]
TOTALS, UNATTRIBUTED = "all links", "unattributed"
_REVENUE = ("gross", "taken_back", "net")


def _row(
    clicks: int | None, leads: int, sales: int, refunds: int, attributed: int, rate: float | None, **revenue: str
) -> dict[str, Any]:
    money = {currency: dict(zip(_REVENUE, amounts.split(), strict=True)) for currency, amounts in revenue.items()}
    return {
        "clicks": clicks, "tracked_clicks": clicks, "leads": leads, "sales": sales, "refunds": refunds,
        "cancellations": 0, "reversals": 0, "reinstatements": 0, "attributed": attributed, "attribution_rate": rate,
        "revenue": money,
    }  # fmt: skip


EXPECTED: dict[str, dict[str, Any]] = {
    "launch": _row(142, 12, 6, 1, 18, 0.1268, USD="626.70 29.90 596.80"),
    "newsletter": _row(90, 5, 3, 2, 8, 0.0889, EUR="200.00 0.00 200.00", USD="124.00 75.00 49.00"),
    "podcast": _row(60, 4, 1, 0, 5, 0.0833, USD="79.00 0.00 79.00"),
    "brochure": _row(12, 0, 0, 0, 0, 0.0),
    TOTALS: _row(304, 21, 10, 3, 31, 0.102, EUR="200.00 0.00 200.00", USD="829.70 104.90 724.80"),
    UNATTRIBUTED: _row(None, 1, 2, 0, 0, None, USD="75.00 0.00 75.00"),
    "unattributed, by reason": {"before_click": 1, "outside_window": 1, "token_forged": 1},
}


def found(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The figures of a report by link, under the names that EXPECTED has."""
    figures = {str(row["label"]).rpartition("/")[2]: _figures(row) for row in report["rows"]}
    figures[TOTALS] = _figures(report["totals"])
    figures[UNATTRIBUTED] = _figures(report["unattributed"])
    figures["unattributed, by reason"] = {r: n for r, n in report["unattributed"]["reasons"].items() if n}
    return figures


def _figures(row: Mapping[str, Any]) -> dict[str, Any]:
    revenue = {money["currency"]: {name: money.get(name) for name in _REVENUE} for money in row["revenue"]}
    return {**{name: row.get(name) for name in EXPECTED[TOTALS]}, "revenue": revenue}


def differences(expected: object, got: object, where: str) -> list[str]:
    """A line for every figure that is not what it should be."""
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        names = [*expected, *(name for name in got if name not in expected)]
        return [
            line
            for name in names
            for line in differences(expected.get(name), got.get(name), f"{where}, {name}" if where else str(name))
        ]
    return [] if expected == got else [f"{where}: expected {expected}, got {got}"]


def count(expected: object) -> int:
    """How many figures these are."""
    return sum(map(count, expected.values())) if isinstance(expected, Mapping) else 1


def table(figures: Mapping[str, Figures]) -> Table:
    """The report as a person reads it, in 80 columns: the rows in their order, the totals, what nobody earned."""
    drawn = Table(
        title="Conversions by link", title_justify="left", title_style="bold",
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    drawn.add_column("link", no_wrap=True)
    for heading in ("clicks", "leads", "sales", "refunds", "rate", "", "gross", "taken\nback", "net"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    last = [TOTALS, UNATTRIBUTED]
    names = [name for name in figures if "clicks" in figures[name] and name not in last]
    for name in (*names, *last):
        if name == TOTALS:
            drawn.add_section()
        row = figures[name]
        rate, revenue = row["attribution_rate"], row["revenue"]
        drawn.add_row(
            name,
            *("-" if row[member] is None else str(row[member]) for member in ("clicks", "leads", "sales", "refunds")),
            "-" if rate is None else f"{100 * rate:.2f}%",
            "\n".join(revenue) or "-",
            *("\n".join(str(money[member]) for money in revenue.values()) or "-" for member in _REVENUE),
        )
    return drawn
