"""The words of the model: what goes in (Event, Click) and what comes out. No behaviour.

Events are taken as the door lets them in: `currency` stands exactly where `minor` stands, a follow-on names
an order or an event, and one click id always carries the same facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Click:
    """What a token that opens here says; nothing else is ever known of a click."""

    click_id: str
    link_id: str
    variant: str | None
    time_ms: int
    window_days: int


@dataclass(frozen=True)
class Event:
    """One stored event. `click` is the opened token, or the reason why it does not open."""

    event_id: str
    name: str
    time_ms: int
    click: Click | str | None = None
    external_id: str | None = None
    minor: int | None = None
    currency: str | None = None
    order_id: str | None = None
    related_event_id: str | None = None
    related_order_id: str | None = None
    excluded: bool = False


@dataclass(frozen=True)
class Verdict:
    """Who is credited, or why nobody is. READING: link, variant and click are told only when attributed."""

    status: str
    method: str | None = None
    reason: str | None = None
    link_id: str | None = None
    variant: str | None = None
    click_id: str | None = None


@dataclass(frozen=True)
class Settlement:
    """What a follow-on did to its order; `taken` says from which sale how much."""

    status: str
    currency: str | None
    applied: int = 0
    excess: int = 0
    remaining: int | None = None
    taken: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Order:
    """Sales that settle together, and what happened to them, as it stands now."""

    currency: str | None
    gross: int
    taken_back: int
    net: int
    excess: int
    sales: list[str]
    follow_ons: list[str]


@dataclass(frozen=True)
class Money:
    """Revenue in one currency."""

    gross: int
    taken_back: int
    net: int


@dataclass(frozen=True)
class Row:
    """One row of a report. `clicks` are tracked clicks, None where a row has none of its own."""

    clicks: int | None
    leads: int
    sales: int
    refunds: int
    cancellations: int
    reversals: int
    reinstatements: int
    attributed: int
    rate: Decimal | None
    revenue: dict[str, Money]


@dataclass(frozen=True)
class Report:
    """Rows and totals hold what is attributed; with `unattributed` they make the workspace."""

    rows: dict[str, Row]
    totals: Row
    unattributed: Row
    reasons: dict[str, int]
