"""Tallies: who was shown which variant, and what they brought, from the columnar tables."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from nimriz.analytics.duck import Store
from nimriz.analytics.tables import columns_of
from nimriz.analytics.tallies import Experiment, tallied

SHOP, LINK, ELSEWHERE = (str(uuid.UUID(int=n)) for n in (1, 2, 3))
A, B, OTHER = 7, 8, 9
CHANGED_MS, END_MS = 1_000, 10_000
ANN, BOB, CY = 11, 12, 13


class Told:
    """A store in memory, and short words for what it is told."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._number = 0

    def append(self, table: str, **values: Any) -> None:
        """One row; what is not said is nothing."""
        self._number += 1
        common = {"seq": self._number, "workspace_id": SHOP, "mode": "live", "link_id": LINK}
        row = {name: "[]" if name == "tags" else _nothing(kind) for name, kind in columns_of(table)}
        row |= {name: value for name, value in {**common, **values}.items() if name in row}
        self._store.write(lambda rows: rows.append(table, [list(row.values())]))

    def click(self, decision: int, visitor: int | None, at_ms: int = 100, **values: Any) -> str:
        """Somebody clicks; the click's id."""
        click_id = str(uuid.UUID(int=1_000 + self._number))
        made = {"click_id": click_id, "decision": decision, "visitor": visitor, "clicked_ms": at_ms, "tracked": 1}
        self.append("clicks", **{**made, "quality": "human", **values})
        return click_id

    def event(
        self, name: str, click_id: str, decision: int, minor: int | None = None, currency: str = "USD", **values: Any
    ) -> str:
        """Something comes of a click; the event's id. The click was made at 100."""
        event_id = f"e-{self._number}"
        money = {"value_minor": minor, "currency": currency if minor is not None else ""}
        self.append("outcomes", event_id=event_id, event_name=name, event_ms=200, **money)
        judged = {"status": "attributed", "click_id": click_id, "decision": decision, "clicked_ms": 100}
        self.append("verdicts", event_id=event_id, **{**judged, **values})
        return event_id

    def taken(self, event_id: str, sale_event_id: str, minor: int) -> None:
        """A follow-on takes so much from a sale."""
        self.append("movements", event_id=event_id, sale_event_id=sale_event_id, amount_minor=minor)

    def tallies(self, **asked: Any) -> dict[str, Any]:
        """What came of variants A and B, whose weights changed at 1,000; rows in order."""
        question = Experiment(SHOP, "live", LINK, [A, B], [0, CHANGED_MS], 0, END_MS, ["bot"])._replace(**asked)
        told = self._store.read(lambda rows: tallied(rows, question))
        return {name: sorted(rows) if isinstance(rows, list) else rows for name, rows in told.items()}


def _nothing(kind: str) -> Any:
    if kind == "varchar":
        return ""
    return str(uuid.UUID(int=0)) if kind == "UUID" else 0


@pytest.fixture
def told() -> Iterator[Told]:
    store = Store(None, 64, 1)
    yield Told(store)
    store.close()


def test_a_visitor_who_clicks_twice_is_one_and_counts_where_the_weights_stood(told: Told) -> None:
    told.click(A, ANN)
    told.click(A, ANN)
    told.click(A, BOB, CHANGED_MS)
    told.click(B, CY, CHANGED_MS - 1)
    found = told.tallies()
    assert found["clicks"] == [[0, A, 2, 2, 0], [0, B, 1, 1, 0], [1, A, 1, 1, 0]]
    assert found["visitors"] == [[0, A, 1], [0, B, 1], [1, A, 1]]
    assert found["unit"] == "visitor"


def test_other_decisions_links_times_and_bots_are_left_out(told: Told) -> None:
    told.click(OTHER, ANN)
    told.click(0, ANN)
    told.click(A, ANN, link_id=ELSEWHERE)
    told.click(A, ANN, END_MS)
    told.click(A, ANN, quality="bot")
    told.click(A, ANN, workspace_id=ELSEWHERE)
    told.event("lead", told.click(OTHER, BOB), OTHER)
    told.event("lead", told.click(A, BOB, quality="bot", link_id=ELSEWHERE), A, status="unattributed")
    assert told.tallies() == {"unit": "visitor", **{n: [] for n in ("clicks", "visitors", "events", "money", "nets")}}
    assert told.tallies(left_out=[])["clicks"] == [[0, A, 1, 1, 0]]
    assert told.tallies(decisions=[])["clicks"] == []


def test_one_who_converts_twice_is_one_visitor_with_all_the_money(told: Told) -> None:
    first, second = told.click(A, ANN), told.click(A, ANN)
    told.event("lead", first, A)
    told.event("lead", second, A)
    told.event("sale", first, A, 500)
    told.event("sale", second, A, 300)
    told.event("sale", told.click(A, BOB), A, 800)
    found = told.tallies()
    assert found["events"] == [[0, A, "lead", 2, 1], [0, A, "sale", 3, 2]]
    assert found["money"] == [[0, A, "USD", 1_600, 0]]
    assert found["nets"] == [[0, A, "USD", 800, 2]]


def test_what_is_taken_back_is_taken_from_its_visitor(told: Told) -> None:
    click_id = told.click(B, ANN)
    sold, whole = told.event("sale", click_id, B, 500), told.event("sale", told.click(B, BOB), B, 700)
    told.taken(told.event("refund", click_id, B, 200), sold, 200)
    told.taken(told.event("cancellation", click_id, B), whole, 700)
    found = told.tallies()
    assert found["events"] == [[0, B, "cancellation", 1, 1], [0, B, "refund", 1, 1], [0, B, "sale", 2, 2]]
    assert found["money"] == [[0, B, "USD", 1_200, 900]]
    assert found["nets"] == [[0, B, "USD", 300, 1]]


def test_currencies_stand_apart_and_a_sale_without_a_value_is_a_sale(told: Told) -> None:
    click_id = told.click(A, ANN)
    told.event("sale", click_id, A, 500)
    told.event("sale", click_id, A, 70, "EUR")
    told.event("sale", click_id, A)
    found = told.tallies()
    assert found["events"] == [[0, A, "sale", 3, 1]]
    assert found["money"] == [[0, A, "EUR", 70, 0], [0, A, "USD", 500, 0]]


def test_who_converts_is_a_visitor_whatever_is_known_of_the_click(told: Told) -> None:
    """One whose click looked like a bot's, and one whose click's row is not there yet."""
    told.click(A, ANN)
    told.event("lead", told.click(A, BOB, quality="bot"), A)
    told.event("lead", str(uuid.UUID(int=5)), A)
    found = told.tallies()
    assert found["clicks"] == [[0, A, 1, 1, 0]]
    assert found["visitors"] == [[0, A, 3]]
    assert found["events"] == [[0, A, "lead", 2, 2]]


def test_where_one_click_has_no_visitor_every_click_counts_as_one(told: Told) -> None:
    told.click(A, ANN)
    told.click(B, None)
    told.event("lead", told.click(A, ANN), A)
    found = told.tallies()
    assert found["unit"] == "click"
    assert found["visitors"] == [[0, A, 2], [0, B, 1]]
    assert found["events"] == [[0, A, "lead", 1, 1]]


def test_the_newest_verdict_stands_and_modes_stay_apart(told: Told) -> None:
    click_id = told.click(A, ANN)
    event_id = told.event("lead", click_id, A)
    told.append("verdicts", event_id=event_id, status="unattributed")
    told.append("outcomes", event_id="t", event_name="lead", mode="test")
    told.append(
        "verdicts", event_id="t", status="attributed", click_id=click_id, decision=A, clicked_ms=100, mode="test"
    )
    assert told.tallies()["events"] == []
    assert told.tallies(mode="test")["events"] == [[0, A, "lead", 1, 1]]


def test_amounts_of_any_size_are_exact(told: Told) -> None:
    click_id = told.click(A, ANN)
    for _ in range(120):
        told.event("sale", click_id, A, 10**17)
    assert told.tallies()["nets"] == [[0, A, "USD", 120 * 10**17, 1]]
