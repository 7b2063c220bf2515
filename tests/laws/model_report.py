"""The model of reports (contract, section 4), on top of the model of attribution and money.

Imports nothing of nimriz either. A report is added up from lines: every event once, every movement of money once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from tests.laws.facts import Click, Event, Money, Report, Row, Verdict
from tests.laws.model import book, is_sale, judge, known

COLUMNS = {
    "lead": "leads",
    "sale": "sales",
    "refund": "refunds",
    "cancellation": "cancellations",
    "reversal": "reversals",
}


@dataclass(frozen=True)
class Entry:
    """One line of the book that reports add up: `event` says when and what, `verdict` says whose."""

    event: Event
    verdict: Verdict
    column: str | None = None
    currency: str | None = None
    gross: int = 0
    taken: int = 0


def entries(events: Iterable[Event]) -> list[Entry]:
    """Every event counted once, with its own verdict; every movement of money with its *sale*'s verdict."""
    world = known(events)
    verdicts = judge(world.values())
    lines = []
    for e in world.values():
        real = is_sale(world, e)
        column = COLUMNS[e.name] if real or e.name != "sale" else "reinstatements"
        money = (e.currency, e.minor or 0) if real else (None, 0)
        lines.append(Entry(e, verdicts[e.event_id], column, *money))
    return lines + [
        Entry(world[by], verdicts[sale_id], None, world[sale_id].currency, 0, minor)
        for by, sale_id, minor in book(world.values())[1]
    ]


def day(time_ms: int) -> str:
    """The UTC day of an instant."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).date().isoformat()


def tally(lines: Sequence[Entry], clicks: int | None, base: int | None) -> Row:
    """Add up. `base` is what the rate is over; none, or 0, gives no rate."""
    count = {name: sum(e.column == name for e in lines) for name in (*COLUMNS.values(), "reinstatements")}
    revenue = {}
    for currency in sorted({e.currency for e in lines if e.currency is not None}):
        gross = sum(e.gross for e in lines if e.currency == currency)
        taken = sum(e.taken for e in lines if e.currency == currency)
        revenue[currency] = Money(gross, taken, gross - taken)
    attributed = sum(e.column in ("leads", "sales") and e.verdict.status == "attributed" for e in lines)
    rate = (Decimal(attributed) / base).quantize(Decimal("0.0001"), ROUND_HALF_UP) if base else None
    return Row(clicks=clicks, attributed=attributed, rate=rate, revenue=revenue, **count)


def _variant(click: Click) -> str:
    return click.link_id if click.variant is None else f"{click.link_id}/{click.variant}"


def report(
    events: Iterable[Event],
    clicks: Sequence[Click],
    by: str = "link",
    clock: str = "event",
    from_ms: int | None = None,
    to_ms: int | None = None,
) -> Report:
    """The report by link, variant, event_name or day; `clicks` are the tracked ones.

    READING: by event_name, what is taken or given back stands with the event that does it, gross with `sale`;
    a click without a variant has its link's id as key.
    """
    world = known(events)
    clicked = {e.click.click_id: e.click.time_ms for e in world.values() if isinstance(e.click, Click)}

    def at_ms(line: Entry) -> int:
        on_click = clock == "click" and line.verdict.status == "attributed"
        return clicked[line.verdict.click_id or ""] if on_click else line.event.time_ms

    def inside(time_ms: int) -> bool:
        return (from_ms is None or from_ms <= time_ms) and (to_ms is None or time_ms < to_ms)

    def key(line: Entry) -> str:
        link, variant = line.verdict.link_id or "", line.verdict.variant
        return {
            "link": link,
            "variant": link if variant is None else f"{link}/{variant}",
            "event_name": line.event.name,
            "day": day(at_ms(line)),
        }[by]

    lines = [line for line in entries(world.values()) if inside(at_ms(line))]
    won = [line for line in lines if line.verdict.status == "attributed"]
    lost = [line for line in lines if line.verdict.status != "attributed"]
    made = [click for click in clicks if inside(click.time_ms)]
    clicks_of: dict[str, int] = {}
    for click in made if by != "event_name" else []:
        where = {"link": click.link_id, "variant": _variant(click), "day": day(click.time_ms)}[by]
        clicks_of[where] = clicks_of.get(where, 0) + 1
    rows = {}
    for where in {key(line) for line in won} | clicks_of.keys():
        own = clicks_of.get(where, 0) if by != "event_name" else None
        base = len(made) if by == "event_name" else own
        rows[where] = tally([line for line in won if key(line) == where], own, base)
    reasons = [line.verdict.reason for line in lost if line.column is not None]
    return Report(
        rows,
        tally(won, len(made), len(made)),
        tally(lost, None, None),
        {reason: reasons.count(reason) for reason in sorted({r for r in reasons if r is not None})},
    )
