"""Sections 3.7 and 4, sentence by sentence: a test of the model is a test of our reading of the contract."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tests.laws.examples import A, B, T, back, lead, sale, settled, unattributed
from tests.laws.facts import Money, Settlement, Verdict
from tests.laws.histories import DAY_MS
from tests.laws.model import book, judge, order_of, settle
from tests.laws.model_report import day, report


def test_a_refund_leaves_the_sale_untouched() -> None:
    events = [sale("s"), back("r", 30, of="s")]
    assert judge(events)["s"] == judge(events[:1])["s"]
    order = order_of(events, "s")
    assert order is not None
    assert (order.gross, order.taken_back, order.net) == (100, 30, 70)


def test_sales_that_share_order_and_currency_settle_as_one_order() -> None:
    events = [sale("1", 10, order="o"), sale("2", 20, order="o"), sale("3", 5, order="o", currency="JPY")]
    order = order_of(events, "2")
    assert order is not None
    assert (order.gross, order.sales) == (30, ["1", "2"])


def test_a_sale_without_order_settles_alone() -> None:
    events = [sale("1", 10), sale("2", 20), back("r", 15, of="1")]
    assert settled("r", *events) == Settlement("excess", "USD", 10, 5, 0, (("1", 10),))


def test_a_sale_without_value_has_gross_0() -> None:
    order = order_of([sale("s", None)], "s")
    assert order is not None
    assert (order.gross, order.currency) == (0, None)


def test_the_value_of_a_lead_is_never_summed_and_its_follow_ons_move_no_money() -> None:
    valued = replace(lead("l", 0, A), minor=70, currency="USD", order_id="o")
    events = [valued, back("r", 5, of="l"), back("q", 5, order="o")]
    assert settle(events)["r"] is None
    assert judge(events)["r"].method == "related"
    assert settled("q", *events).status == "pending"
    assert report(events, ()).totals.revenue == {}


def test_follow_ons_are_applied_by_time_and_then_by_id() -> None:
    events = [sale("s", 100), back("b", 80, of="s"), back("a", 80, of="s"), back("c", 10, 1_500, of="s")]
    assert settled("c", *events).applied == 10
    assert settled("a", *events) == Settlement("settled", "USD", 80, 0, 10, (("s", 80),))
    assert settled("b", *events) == Settlement("excess", "USD", 10, 70, 0, (("s", 10),))


def test_a_follow_on_takes_from_the_named_sale_first_and_then_from_the_earliest_on() -> None:
    sales = [sale(str(n), 10, n, order="o") for n in (1, 2, 3)]
    assert settled("r", *sales, back("r", 25, of="2")).taken == (("2", 10), ("1", 10), ("3", 5))
    assert settled("r", *sales, back("r", 15, order="o")).taken == (("1", 10), ("2", 5))


def test_what_it_takes_counts_with_the_link_of_the_sale_and_it_is_counted_with_what_it_names() -> None:
    events = [sale("1", 10, 1, order="o"), sale("2", 10, 2, order="o", click=B), back("r", 15, order="o")]
    rows = report(events, ()).rows
    assert rows["link-a"].revenue == {"USD": Money(10, 10, 0)}
    assert rows["link-b"].revenue == {"USD": Money(10, 5, 5)}
    assert (rows["link-a"].refunds, rows["link-b"].refunds) == (1, 0)


def test_one_without_value_takes_what_is_left_of_the_one_sale_it_names() -> None:
    sales = [sale("1", 10, 1, order="o"), sale("2", 20, 2, order="o")]
    events = [*sales, back("p", 5, of="2"), back("r", of="2", order="o")]
    assert settled("r", *events) == Settlement("settled", "USD", 15, 0, 10, (("2", 15),))


def test_one_without_value_by_order_takes_the_sales_timed_up_to_it_and_the_earliest_at_least() -> None:
    sales = [sale("1", 10, 1_000, order="o"), sale("2", 20, 2_000, order="o"), sale("3", 40, 2_001, order="o")]
    taken = settled("!", *sales, back("!", None, 2_000, order="o"))
    assert taken == Settlement("settled", "USD", 30, 0, 40, (("1", 10), ("2", 20)))
    assert settled("r", *sales, back("r", None, 500, order="o")).taken == (("1", 10),)


def test_a_cancellation_that_gives_no_money_back_says_value_0() -> None:
    events = [sale("s"), back("c", 0, of="s", name="cancellation")]
    assert settled("c", *events) == Settlement("settled", "USD", 0, 0, 100)


def test_a_follow_on_in_a_currency_that_the_order_has_not_takes_nothing() -> None:
    events = [sale("s", order="o"), back("r", 5, of="s", currency="JPY"), back("q", 5, order="o", currency="JPY")]
    assert settled("r", *events) == settled("q", *events) == Settlement("mismatch", "JPY")
    assert judge(events)["r"].link_id == "link-a"
    assert judge(events)["q"] == Verdict("pending", None, "related_pending")


def test_a_won_dispute_reinstates_and_is_no_sale() -> None:
    events = [sale("s"), back("x", 60, of="s", name="reversal"), sale("w", 40, 3_000, click=None, names="x")]
    row = report(events, ()).rows["link-a"]
    assert (row.sales, row.reversals, row.reinstatements) == (1, 1, 1)
    assert row.revenue == {"USD": Money(100, 20, 80)}
    assert judge(events)["w"] == Verdict("attributed", "related", None, "link-a", None, "01")
    assert (order_of(events, "w"), settle(events)["w"]) == (None, None)


def test_it_gives_back_no_more_than_the_reversal_holds_and_all_of_it_without_value() -> None:
    events = [sale("s"), back("x", 60, of="s", name="reversal")]
    for amount in (None, 70):
        order = order_of([*events, sale("w", amount, 3_000, names="x")], "s")
        assert order is not None
        assert order.taken_back == 0
    twice = [*events, sale("w", 40, 3_000, names="x"), sale("v", 40, 4_000, names="x")]
    assert [m for m in book(twice)[1] if m[2] < 0] == [("w", "s", -40), ("v", "s", -20)]


def test_it_gives_back_to_the_latest_sale_first() -> None:
    sales = [sale("1", 10, 1, order="o"), sale("2", 10, 2, order="o"), sale("3", 10, 3, order="o")]
    events = [*sales, back("x", 20, of="2", name="reversal"), sale("w", 15, 3_000, names="x")]
    assert [m for m in book(events)[1] if m[2] < 0] == [("w", "2", -10), ("w", "1", -5)]


def test_it_gives_back_never_before_the_turn_of_the_reversal() -> None:
    events = [
        sale("s"), sale("w", None, 1_500, names="x"), back("a", 100, 1_800, of="s"),
        back("x", 100, of="s", name="reversal"), back("z", 30, of="s"),
    ]  # fmt: skip
    assert (settled("x", *events).applied, settled("z", *events).applied) == (0, 0)
    settlements = settle([e for e in events if e.event_id != "a"])
    assert [s.applied for s in (settlements["x"], settlements["z"]) if s is not None] == [100, 30]


def test_until_the_reversal_arrives_or_if_it_names_anything_else_it_is_an_ordinary_sale() -> None:
    events = [sale("s"), sale("w", 40, 3_000, click=B, names="x")]
    assert report(events, ()).totals.sales == 2
    assert report([*events, back("x", 60, of="s")], ()).totals.sales == 2
    assert report([*events, back("x", 60, of="s", name="reversal")], ()).totals.sales == 1


def test_a_reversal_that_names_the_sale_that_reinstates_it_is_invalid() -> None:
    events = [back("x", 60, of="w", name="reversal"), sale("w", 40, names="x")]
    assert judge(events) == {"x": unattributed("related_invalid"), "w": unattributed("related_invalid")}
    assert settled("x", *events).status == "mismatch"


# --- 4, the definitions that money needs ---


def test_the_rate_is_attributed_leads_and_sales_over_tracked_clicks_rounded_half_up() -> None:
    events = [lead(str(n), 0, A) for n in range(18)]
    row = report(events, [A] * 142).rows["link-a"]
    assert (row.attributed, row.clicks, row.rate) == (18, 142, Decimal("0.1268"))
    assert report(events, ()).rows["link-a"].rate is None
    assert report(events[:1], [A] * 32).rows["link-a"].rate == Decimal("0.0313")


def test_the_event_clock_counts_on_its_own_day_and_the_click_clock_on_the_day_of_the_click() -> None:
    events = [sale("s", 100, DAY_MS), back("r", 30, 2 * DAY_MS, of="s")]
    own = report(events, (), "day").rows
    assert own[day(T + DAY_MS)].revenue == {"USD": Money(100, 0, 100)}
    assert own[day(T + 2 * DAY_MS)].revenue == {"USD": Money(0, 30, -30)}
    clicked = report(events, (), "day", "click").rows
    assert {where: row.revenue for where, row in clicked.items()} == {day(T): {"USD": Money(100, 30, 70)}}


def test_what_is_not_attributed_stands_apart_with_its_reasons() -> None:
    events = [sale("s", click=None), back("r", 30, of="s"), back("q", 5, of="never")]
    result = report(events, [A], clock="click")
    assert (result.totals.sales, result.totals.revenue) == (0, {})
    assert (result.unattributed.sales, result.unattributed.refunds) == (1, 2)
    assert result.unattributed.revenue == {"USD": Money(100, 30, 70)}
    assert result.reasons == {"no_identity": 2, "related_pending": 1}


# --- readings: where the contract is silent, so that a change of mind is seen ---


def test_reading_one_without_value_by_order_names_the_earliest_sale_one_without_value_included() -> None:
    sales = [sale("1", None, 1, order="o"), sale("2", 20, 2, order="o", click=B)]
    assert settled("r", *sales, back("r", order="o")) == Settlement("settled", None, 0, 0, 0)
    assert judge([*sales, back("r", order="o")])["r"].link_id == "link-a"
    assert settled("r", *sales, back("r", 5, order="o")).taken == (("2", 5),)


def test_reading_one_without_value_by_order_takes_one_currency_only() -> None:
    sales = [sale("1", 10, 1, order="o", currency="JPY"), sale("2", 20, 2, order="o")]
    assert settled("r", *sales, back("r", order="o")).taken == (("1", 10),)


def test_reading_a_reinstatement_in_another_currency_gives_nothing_back() -> None:
    events = [sale("s"), back("x", 60, of="s", name="reversal"), sale("w", 60, 3_000, currency="JPY", names="x")]
    assert report(events, ()).totals.revenue == {"USD": Money(100, 60, 40)}
