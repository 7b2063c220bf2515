"""Figures: what a report adds up, how its rate is rounded and its rows are ranked. Integers, exact at any size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

Key = tuple[str, ...]
"""What stands at the head of a row: a value for each dimension."""
COUNTS = ("leads", "sales", "refunds", "cancellations", "reversals", "reinstatements")
COUNTED = {
    "lead": "leads",
    "sale": "sales",
    "refund": "refunds",
    "cancellation": "cancellations",
    "reversal": "reversals",
    "reinstatement": "reinstatements",
}


@dataclass(slots=True)
class Revenue:
    """Money in one currency, in minor units."""

    gross_minor: int = 0
    taken_back_minor: int = 0

    @property
    def net_minor(self) -> int:
        """Gross without what was taken back; below zero for a day when the sale was on another."""
        return self.gross_minor - self.taken_back_minor


@dataclass(slots=True)
class Figures:
    """The members of a row. `unique_clicks` is None where nobody can say."""

    clicks: int = 0
    tracked_clicks: int = 0
    unique_clicks: int | None = 0
    leads: int = 0
    sales: int = 0
    refunds: int = 0
    cancellations: int = 0
    reversals: int = 0
    reinstatements: int = 0
    attributed: int = 0
    revenue: dict[str, Revenue] = field(default_factory=dict)

    def money(self, currency: str) -> Revenue:
        """The sums in a currency."""
        return self.revenue.setdefault(currency, Revenue())

    def as_wire(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def from_wire(values: dict[str, Any]) -> Figures:
    """Figures from their plain values."""
    revenue = {currency: Revenue(**money) for currency, money in values["revenue"].items()}
    return Figures(**{**values, "revenue": revenue})


def rate(attributed: int, tracked_clicks: int) -> float | None:
    """Attributed events per tracked click, rounded half up to four digits; None without clicks."""
    if not tracked_clicks:
        return None
    return (attributed * 20_000 + tracked_clicks) // (2 * tracked_clicks) / 10_000


def ranked(rows: Iterable[tuple[Key, Figures]]) -> list[tuple[Key, Figures]]:
    """The rows by net revenue, then conversions, then clicks, then key.

    Currencies are never added together: net revenue is compared in the currency that has the most rows here, the
    first by alphabet among equals, and then in the others.
    """
    rows = list(rows)
    having: dict[str, int] = {}
    for _, figures in rows:
        for currency in figures.revenue:
            having[currency] = having.get(currency, 0) + 1
    currencies = sorted(having, key=lambda c: (-having[c], c))

    def rank(item: tuple[Key, Figures]) -> tuple[list[int], int, int, Key]:
        key, figures = item
        nets = [-figures.revenue[c].net_minor if c in figures.revenue else 0 for c in currencies]
        return nets, -(figures.leads + figures.sales), -figures.clicks, key

    return sorted(rows, key=rank)
