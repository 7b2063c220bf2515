"""The model of reports (contract, section 4), on top of the model of attribution and money.

Imports nothing of nimriz either. A report is added up from lines: every event once, every movement of money once.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from tests.laws.facts import Click, Event, Money, Report, Row, Verdict
from tests.laws.histories import CONTEXT
from tests.laws.model import (
    FOLLOW_ONS,
    GRACE_MS,
    book,
    credit,
    is_sale,
    judge,
    known,
    named,
    objection,
    rank,
    reinstated,
    verdict,
)

Filters = Mapping[str, Sequence[str]]
UNITS = ("hour", "day", "week", "month")

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


def touches(world: Mapping[str, Event], event: Event) -> list[Click]:
    """The clicks that would each have earned a lead or a sale, the earliest first.

    READING: a click in the grace after the event counts too; an event whose verdict is `excluded` ties nothing.
    """
    tied = set()
    for other in world.values():
        same = other == event or (event.external_id is not None and other.external_id == event.external_id)
        ties = same and other.name in ("lead", "sale") and verdict(world, other).reason != "excluded"
        if ties and isinstance(other.click, Click) and other.time_ms - GRACE_MS <= event.time_ms:
            tied.add(other.click)
    fit = [click for click in tied if objection(click, event.time_ms) is None]
    return sorted(fit, key=lambda click: (click.time_ms, click.click_id))


def origin(world: Mapping[str, Event], event: Event) -> Event:
    """The lead or sale that an attributed event goes back to."""
    reversal = reinstated(world, event)
    if reversal is not None:
        return origin(world, reversal)
    found = named(world, event) if event.name in FOLLOW_ONS else event
    assert isinstance(found, Event)
    return found


def credited(events: Iterable[Event], model: str) -> list[Entry]:
    """The same book, where the first click of a person earns, or all do: minor units are dealt out like cards."""
    world = known(events)
    lines = entries(world.values())
    movements: dict[tuple[str, str], int] = {}
    for by, sale_id, minor in book(world.values())[1]:
        movements[by, sale_id] = movements.get((by, sale_id), 0) + minor
    dealt_lines = []

    def deal(line: Entry, of: Event, gross: range = range(0), taken: range = range(0)) -> None:
        clicks = touches(world, of)[: 1 if model == "first" else None]
        for place, click in enumerate(clicks):
            mine = [sum(unit % len(clicks) == place for unit in units) for units in (gross, taken)]
            sign = 1 if taken.step > 0 else -1
            column = line.column if place == 0 else None
            if column is not None or any(mine):
                own = credit(click, line.verdict.method or "")
                dealt_lines.append(Entry(line.event, own, column, line.currency, mine[0], sign * mine[1]))

    for line in lines:
        if line.verdict.status != "attributed":
            dealt_lines.append(line)
        elif line.column is not None:
            deal(line, origin(world, line.event), gross=range(line.gross))
    for sale in world.values():
        if verdict(world, sale).status != "attributed":
            continue
        dealt, mine = 0, [(minor, world[by]) for (by, of), minor in movements.items() if of == sale.event_id and minor]
        for minor, event in sorted(mine, key=lambda move: (move[0] < 0, rank(move[1]))):
            units = range(dealt, dealt + minor) if minor > 0 else range(dealt - 1, dealt + minor - 1, -1)
            deal(Entry(event, verdict(world, sale), currency=sale.currency), sale, taken=units)
            dealt += minor
    return dealt_lines


def day(time_ms: int) -> str:
    """The UTC day of an instant."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).date().isoformat()


def tally(lines: Sequence[Entry], clicks: int | None, base: int | None, rated: Container[str]) -> Row:
    """Add up. `base` is what the rate is over; none, or 0, gives no rate. `rated` are the columns that it is of."""
    count = {name: sum(e.column == name for e in lines) for name in (*COLUMNS.values(), "reinstatements")}
    revenue = {}
    for currency in sorted({e.currency for e in lines if e.currency is not None}):
        gross = sum(e.gross for e in lines if e.currency == currency)
        taken = sum(e.taken for e in lines if e.currency == currency)
        revenue[currency] = Money(gross, taken, gross - taken)
    attributed = sum(e.column in rated and e.verdict.status == "attributed" for e in lines)
    rate = (Decimal(attributed) / base).quantize(Decimal("0.0001"), ROUND_HALF_UP) if base else None
    return Row(clicks=clicks, attributed=attributed, rate=rate, revenue=revenue, **count)


def _variant(link: str, variant: str | None) -> str:
    return link if variant is None else f"{link}/{variant}"


def unit(time_ms: int, name: str, zone: str) -> str:
    """The hour, day, week or month of an instant in a zone, as a report names it."""
    here = datetime.fromtimestamp(time_ms / 1000, ZoneInfo(zone))
    if name == "hour":
        return here.replace(minute=0, second=0, microsecond=0).isoformat()
    year, week, _ = here.isocalendar()
    return {"day": f"{here:%Y-%m-%d}", "week": f"{year:04d}-W{week:02d}", "month": f"{here:%Y-%m}"}[name]


def click_keys(click: Click, by: str, zone: str) -> list[str]:
    """Under which keys a click stands."""
    source, tags = CONTEXT[click.click_id]
    if by == "tag":
        return list(tags)
    if by in UNITS:
        return [unit(click.time_ms, by, zone)]
    return [
        {"link": click.link_id, "variant": _variant(click.link_id, click.variant), "utm_source": source}[by],
    ]


def meant(click: Click, filters: Filters) -> bool:
    """Whether a click is one that the filters ask for."""
    return all(
        set(values) & set(click_keys(click, name, "UTC")) for name, values in filters.items() if name != "event_name"
    )


def report(
    events: Iterable[Event],
    clicks: Sequence[Click],
    by: str = "link",
    clock: str = "event",
    from_ms: int | None = None,
    to_ms: int | None = None,
    zone: str = "UTC",
    filters: Filters = {},  # noqa: B006 - nobody changes it
    model: str = "last",
) -> Report:
    """The report by link, variant, event_name, utm_source, tag, or a unit of time; `clicks` are the tracked ones.

    READING: by event_name, what is taken or given back stands with the event that does it, gross with `sale`;
    a click without a variant has its link's id as key; what no click earned is no filter's but event_name's.
    """
    world = known(events)
    clicked = {e.click.click_id: e.click for e in world.values() if isinstance(e.click, Click)}

    def at_ms(line: Entry) -> int:
        on_click = clock == "click" and line.verdict.status == "attributed"
        return clicked[line.verdict.click_id or ""].time_ms if on_click else line.event.time_ms

    def inside(time_ms: int) -> bool:
        return (from_ms is None or from_ms <= time_ms) and (to_ms is None or time_ms < to_ms)

    def asked(line: Entry) -> bool:
        if line.event.name not in filters.get("event_name", [line.event.name]):
            return False
        won = line.verdict.status == "attributed"
        return meant(clicked[line.verdict.click_id or ""], filters) if won else not (filters.keys() - {"event_name"})

    def keys(line: Entry) -> list[str]:
        if by == "event_name":
            return [line.event.name]
        if by in UNITS:
            return [unit(at_ms(line), by, zone)]
        return click_keys(clicked[line.verdict.click_id or ""], by, zone)

    names = {"leads", "sales"} | {COLUMNS[name] for name in filters.get("event_name", [])}
    written = entries(world.values()) if model == "last" else credited(world.values(), model)
    lines = [line for line in written if inside(at_ms(line)) and asked(line)]
    won = [line for line in lines if line.verdict.status == "attributed"]
    lost = [line for line in lines if line.verdict.status != "attributed"]
    counted = [line for line in lost if line.verdict.reason != "excluded"]  # that is visible as a reason, and no more
    made = [click for click in clicks if inside(click.time_ms) and meant(click, filters)]
    clicks_of: dict[str, int] = {}
    for click in made if by != "event_name" else []:
        for where in click_keys(click, by, zone):
            clicks_of[where] = clicks_of.get(where, 0) + 1
    rows = {}
    for where in {key for line in won for key in keys(line)} | clicks_of.keys():
        own = clicks_of.get(where, 0) if by != "event_name" else None
        base = len(made) if by == "event_name" else own
        rows[where] = tally([line for line in won if where in keys(line)], own, base, names)
    reasons = [line.verdict.reason for line in lost if line.column is not None]
    return Report(
        rows,
        tally(won, len(made), len(made), names),
        tally(counted, None, None, names),
        {reason: reasons.count(reason) for reason in sorted({r for r in reasons if r is not None})},
    )
