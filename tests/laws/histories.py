"""Small random histories, rich in corner cases: the food of the laws.

Everything is drawn from small pools, and every history first draws a few values of each pool for itself, because
rules break where things coincide: one millisecond, one order, one person, ids that differ only in case.
Histories hold what the door lets in and nothing else (see tests.laws.facts); ids are unique in them, except in
`repeated`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from tests.laws.facts import Click, Event

DAY_MS = 86_400_000
GRACE_MS = 300_000
BASE_MS = 1_795_391_880_000  # 2026-11-22T23:58:00Z: the grace and the window both cross a midnight

CLICKS = (
    Click("01", "link-a", None, BASE_MS, 1),
    Click("02", "link-b", "x", BASE_MS, 1),  # the same millisecond, the greater id
    Click("03", "link-a", "x", BASE_MS + 1, 30),
    Click("04", "link-b", None, BASE_MS + 100_000, 1),
    Click("05", "link-a", "X", BASE_MS - DAY_MS, 1),
)
# What is told of each click: its utm_source and its tags.
CONTEXT = {
    "01": ("mail", ("spring", "sale")),
    "02": ("fair", ("spring",)),
    "03": ("", ()),
    "04": ("mail", ("sale",)),
    "05": ("fair", ("spring", "sale")),
}
BAD_TOKENS = ("token_malformed", "token_forged", "token_other_workspace")
# Both edges of window and grace of every click, exactly and one millisecond to either side, and a calm hour.
EDGES = sorted(
    {
        click.time_ms + edge + beside
        for click in CLICKS
        for edge in (-GRACE_MS, 0, GRACE_MS, click.window_days * DAY_MS)
        for beside in (-1, 0, 1)
    }
)
CALM = [BASE_MS + 3_600_000 + step for step in (0, 1, 1_000, DAY_MS // 2)]
# Case alone tells some apart, and the last two sort the other way round by UTF-16 than by UTF-8.
EVENT_IDS = ("a", "A", "b", "B", "c", "C", "d", "ab", "é", "\uff5e", "\U0001f600")
ORDER_IDS = ("o", "O", "p")
PEOPLE = ("ann", "Ann")
VALUES = (0, 1, 5, 10, 100)
NAMES = ("sale",) * 4 + ("lead",) + ("refund", "cancellation", "reversal") * 2
MISSING = "never sent"


@dataclass(frozen=True)
class Pools:
    """What one history is made of; repeating an entry makes it likelier."""

    event_ids: tuple[str, ...]
    names: tuple[str, ...]
    times: tuple[int, ...]
    clicks: tuple[Click | str | None, ...]
    people: tuple[str | None, ...]
    orders: tuple[str | None, ...]
    currencies: tuple[str | None, ...]
    values: tuple[int, ...]


@st.composite
def _event(draw: st.DrawFn, event_id: str, pools: Pools) -> Event:
    name = draw(st.sampled_from(pools.names))
    currency = draw(st.sampled_from(pools.currencies))
    event = Event(
        event_id,
        name,
        draw(st.sampled_from(pools.times)),
        click=draw(st.sampled_from(pools.clicks)),
        external_id=draw(st.sampled_from(pools.people)),
        minor=None if currency is None else draw(st.sampled_from(pools.values)),
        currency=currency,
        order_id=draw(st.sampled_from(pools.orders)),
    )
    others = st.sampled_from((*pools.event_ids, MISSING))
    orders = st.sampled_from(tuple(order for order in pools.orders if order is not None) or ORDER_IDS)
    if name in ("lead", "sale"):  # a sale may name a reversal, or anything else, or nothing
        return replace(event, related_event_id=draw(st.none() | others))
    how = draw(st.sampled_from(("event", "order", "both")))
    return replace(
        event,
        related_event_id=None if how == "order" else draw(others),
        related_order_id=None if how == "event" else draw(orders),
    )


@st.composite
def _history(draw: st.DrawFn, pools: Pools, size_max: int) -> list[Event]:
    ids = draw(st.lists(st.sampled_from(EVENT_IDS), min_size=1, max_size=size_max, unique=True))
    mine = replace(
        pools,
        event_ids=tuple(ids),
        times=tuple(draw(st.lists(st.sampled_from(pools.times), min_size=1, max_size=4))),
    )
    return [draw(_event(event_id, mine)) for event_id in ids]


def identities(size_max: int = 6) -> st.SearchStrategy[list[Event]]:
    """Who did it: leads and sales around every edge, people with several clicks, bad tokens."""
    return _history(
        Pools(
            event_ids=(),
            names=("lead", "sale", "sale", "refund"),
            times=tuple(EDGES),
            clicks=(None, None, *CLICKS, *BAD_TOKENS),
            people=(None, *PEOPLE, PEOPLE[0]),
            orders=(None, "o"),
            currencies=("USD",),
            values=VALUES,
        ),
        size_max,
    )


def orders(size_max: int = 9) -> st.SearchStrategy[list[Event]]:
    """What it is worth: one order in instalments over two links, and everything that can happen to it."""
    return _history(
        Pools(
            event_ids=(),
            names=NAMES,
            times=tuple(CALM),
            clicks=(CLICKS[0], CLICKS[1], CLICKS[2], None),
            people=(None,),
            orders=("o", "o", "o", "O", None),
            currencies=("USD", "USD", "USD", "JPY", None),
            values=VALUES,
        ),
        size_max,
    )


def anything(size_max: int = 9) -> st.SearchStrategy[list[Event]]:
    """Everything at once: two currencies, missing values, rings of references, leads in between."""
    return _history(
        Pools(
            event_ids=(),
            names=NAMES,
            times=tuple(EDGES + CALM),
            clicks=(None, None, *CLICKS, *BAD_TOKENS),
            people=(None, *PEOPLE),
            orders=(None, *ORDER_IDS),
            currencies=("USD", "USD", "JPY", None),
            values=VALUES,
        ),
        size_max,
    )


def returning(size_max: int = 9) -> st.SearchStrategy[list[Event]]:
    """People who click again and again, and buy, and give back: many clicks that would each have earned a sale."""
    return _history(
        Pools(
            event_ids=(),
            names=("lead", "sale", "sale", "sale", "refund", "reversal"),
            times=(BASE_MS, BASE_MS + 200_000, *CALM),
            clicks=(None, *CLICKS),
            people=("ann", "ann", "ann", "Ann", None),
            orders=("o", "o", None),
            currencies=("USD", "USD", "JPY", None),
            values=VALUES,
        ),
        size_max,
    )


@st.composite
def disputes(draw: st.DrawFn) -> list[Event]:
    """A dispute lost and won again, in any order of times: instalments, reversals, sales that reinstate them.

    Chance alone hardly ever lets the right sale name the right reversal, so these references are set on purpose.
    """
    when = st.sampled_from(CALM)
    amount = st.none() | st.sampled_from(VALUES)

    def event(event_id: str, name: str, related: str | None = None) -> Event:
        minor = draw(amount)
        click = draw(st.sampled_from((CLICKS[0], CLICKS[1], None)))
        currency = None if minor is None else draw(st.sampled_from(("USD", "USD", "USD", "JPY")))
        order_id = draw(st.sampled_from(("o", "o", None))) if name == "sale" else None
        by_order = related is not None and name != "sale" and draw(st.booleans())
        return Event(
            event_id, name, draw(when), click, None, minor, currency, order_id,
            None if by_order else related, "o" if by_order else None,
        )  # fmt: skip

    sales = [event(name, "sale") for name in ("s", "S", "t")]
    reversals = [event(name, "reversal", draw(st.sampled_from(("s", "S", "w")))) for name in ("r", "R")]
    won = [event(name, "sale", draw(st.sampled_from(("r", "R")))) for name in ("w", "q", "x")]
    late = [event(name, draw(st.sampled_from(("refund", "cancellation"))), "s") for name in ("m", "z")]
    everything = sales + reversals + won + late
    return draw(st.lists(st.sampled_from(everything), min_size=1, unique_by=lambda e: e.event_id))


def histories() -> st.SearchStrategy[list[Event]]:
    """Any history, in some order of arrival; every event_id once."""
    return st.one_of(identities(), orders(), anything(), disputes())


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """One history twice, in two orders of arrival."""
    history = draw(histories())
    return history, draw(st.permutations(history))


@st.composite
def repeated(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """A history, and the same with repeats that come later and may mean something else."""
    history = draw(histories())
    pairs = st.tuples(st.sampled_from(history), st.sampled_from(history))
    again = [replace(other, event_id=event.event_id) for event, other in draw(st.lists(pairs, max_size=4))]
    return history, history + again
