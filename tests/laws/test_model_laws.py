"""What the model itself must keep for every history, and that the histories reach every corner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import Phase, find, given, settings

from tests.laws.facts import Event, Money
from tests.laws.histories import CLICKS, histories, repeated, shuffled
from tests.laws.model import book, judge, known, order_of, reinstated, settle
from tests.laws.model_report import report

laws = settings(max_examples=200)


@laws
@given(shuffled())
def test_the_order_of_arrival_never_matters(pair: tuple[list[Event], list[Event]]) -> None:
    first, second = pair
    assert judge(first) == judge(second)
    assert settle(first) == settle(second)
    assert {e.event_id: order_of(first, e.event_id) for e in first} == {
        e.event_id: order_of(second, e.event_id) for e in second
    }
    for by in ("link", "variant", "event_name", "day"):
        for clock in ("event", "click"):
            assert report(first, CLICKS, by, clock) == report(second, CLICKS, by, clock)


@laws
@given(repeated())
def test_a_repeat_changes_nothing(pair: tuple[list[Event], list[Event]]) -> None:
    once, again = pair
    assert judge(once) == judge(again)
    assert settle(once) == settle(again)
    assert report(once, CLICKS) == report(again, CLICKS)


@laws
@given(histories())
def test_net_is_never_negative_for_an_order_a_link_a_variant_or_a_click_day(history: list[Event]) -> None:
    for event in history:
        order = order_of(history, event.event_id)
        assert order is None or (0 <= order.taken_back <= order.gross and order.net >= 0)
    for by in ("link", "variant"):
        for row in report(history, CLICKS, by).rows.values():
            assert all(0 <= money.taken_back <= money.gross for money in row.revenue.values())
    for row in report(history, CLICKS, "day", "click").rows.values():
        assert all(0 <= money.taken_back <= money.gross for money in row.revenue.values())


@laws
@given(histories())
def test_rows_make_the_totals_and_with_unattributed_the_workspace(history: list[Event]) -> None:
    world = known(history)
    gross = sum(e.minor or 0 for e in history if e.name == "sale" and reinstated(world, e) is None)
    taken = sum(minor for _, _, minor in book(history)[1])
    for by in ("link", "variant", "event_name", "day"):
        for clock in ("event", "click"):
            result = report(history, CLICKS, by, clock)
            rows = list(result.rows.values())
            for column in ("leads", "sales", "refunds", "cancellations", "reversals", "reinstatements", "attributed"):
                assert sum(getattr(row, column) for row in rows) == getattr(result.totals, column)
            for currency, money in result.totals.revenue.items():
                parts = [row.revenue[currency] for row in rows if currency in row.revenue]
                assert money == Money(*(sum(getattr(p, m) for p in parts) for m in ("gross", "taken_back", "net")))
            both = [*result.totals.revenue.values(), *result.unattributed.revenue.values()]
            assert (sum(m.gross for m in both), sum(m.taken_back for m in both)) == (gross, taken)
            counted = [
                row.leads + row.sales + row.refunds + row.cancellations + row.reversals + row.reinstatements
                for row in (result.totals, result.unattributed)
            ]
            assert sum(counted) == len(history)
            assert sum(result.reasons.values()) == counted[1]


@laws
@given(histories())
def test_excess_is_part_of_no_total(history: list[Event]) -> None:
    def whole(events: list[Event]) -> list[object]:
        result = report(events, CLICKS)
        return [result.totals, result.unattributed, result.rows]

    excess = {event_id: s.excess for event_id, s in settle(history).items() if s is not None}
    without = [replace(e, minor=e.minor - excess.get(e.event_id, 0)) if e.minor is not None else e for e in history]
    assert whole(without) == whole(history)


@laws
@given(histories())
def test_what_is_applied_and_what_exceeds_make_the_amount(history: list[Event]) -> None:
    world = known(history)
    for event_id, s in settle(history).items():
        if s is None:
            continue
        assert s.applied == sum(minor for _, minor in s.taken)
        assert (s.status == "excess") == (s.excess > 0)
        assert (s.remaining is None) == (s.status in ("pending", "mismatch"))
        amount = world[event_id].minor
        if s.status in ("settled", "excess") and amount is not None:
            assert s.applied + s.excess == amount
        if s.status in ("pending", "mismatch"):
            assert s.applied == s.excess == 0


@laws
@given(histories())
def test_a_follow_on_is_judged_and_reports_by_what_it_names(history: list[Event]) -> None:
    verdicts = judge(history)
    for event in history:
        of = verdicts[event.event_id]
        assert (of.status == "attributed") == (of.link_id is not None) == (of.reason is None)
        if event.name not in ("lead", "sale"):
            assert of.method in (None, "related")
            anonymous = [replace(e, click=None, external_id=None) if e == event else e for e in history]
            assert judge(anonymous) == verdicts


CORNERS: dict[str, Callable[[list[Event]], bool]] = {
    "an excess": lambda h: any(s is not None and s.status == "excess" for s in settle(h).values()),
    "a mismatch": lambda h: any(s is not None and s.status == "mismatch" for s in settle(h).values()),
    "two sales taken from": lambda h: any(s is not None and len(s.taken) > 1 for s in settle(h).values()),
    "money given back": lambda h: any(minor < 0 for _, _, minor in book(h)[1]),
    "given back by a sale timed before": lambda h: any(
        minor < 0 and reversal is not None and reversal.time_ms > known(h)[by].time_ms
        for by, _, minor in book(h)[1]
        for reversal in [reinstated(known(h), known(h)[by])]
    ),
    "given back to two sales": lambda h: any(
        len({s for by, s, minor in book(h)[1] if by == e.event_id and minor < 0}) > 1 for e in h
    ),
    "a ring of reversal and reinstatement": lambda h: any(
        reversal is not None and reversal.related_event_id == e.event_id
        for e in h
        for reversal in [reinstated(known(h), e)]
    ),
    "credit by person": lambda h: any(v.method == "external_id" for v in judge(h).values()),
    "a follow-on with credit": lambda h: any(v.method == "related" for v in judge(h).values()),
    "a negative event day": lambda h: any(
        money.net < 0 for row in report(h, (), "day").rows.values() for money in row.revenue.values()
    ),
    "money taken from one link and counted with another": lambda h: any(
        judge(h)[by].link_id != judge(h)[of].link_id for by, of, _ in book(h)[1]
    ),
} | {
    f"the reason {reason}": lambda h, reason=reason: any(v.reason == reason for v in judge(h).values())
    for reason in (
        "token_malformed", "token_forged", "token_other_workspace", "before_click", "outside_window",
        "external_id_unknown", "no_identity", "related_pending", "related_invalid",
    )
}  # fmt: skip


@pytest.mark.parametrize("corner", CORNERS)
def test_the_histories_reach_every_corner(corner: str) -> None:
    quickly = settings(max_examples=3_000, phases=[Phase.generate], derandomize=True, database=None)  # fmt: skip
    find(histories(), CORNERS[corner], settings=quickly)
