"""Two clicks and short words for events, so that a rule is shown in a line or two."""

from __future__ import annotations

from tests.laws.facts import Click, Event, Settlement, Verdict
from tests.laws.histories import BASE_MS
from tests.laws.model import settle

T = BASE_MS
A = Click("01", "link-a", None, T, 30)
B = Click("02", "link-b", "x", T, 30)


def lead(event_id: str, at: int = 1_000, click: Click | str | None = None, person: str | None = None) -> Event:
    return Event(event_id, "lead", T + at, click, person)


def sale(
    event_id: str,
    minor: int | None = 100,
    at: int = 1_000,
    *,
    click: Click | str | None = A,
    person: str | None = None,
    order: str | None = None,
    currency: str = "USD",
    names: str | None = None,
) -> Event:
    return Event(event_id, "sale", T + at, click, person, minor, None if minor is None else currency, order, names)


def back(
    event_id: str,
    minor: int | None = None,
    at: int = 2_000,
    *,
    of: str | None = None,
    order: str | None = None,
    currency: str = "USD",
    name: str = "refund",
) -> Event:
    money = None if minor is None else currency
    return Event(event_id, name, T + at, None, None, minor, money, None, of, order)


def settled(event_id: str, *events: Event) -> Settlement:
    settlement = settle(events)[event_id]
    assert settlement is not None
    return settlement


def unattributed(reason: str) -> Verdict:
    return Verdict("unattributed", None, reason)
