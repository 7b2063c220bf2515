"""Findings: what is said of an experiment, and when nothing is."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from nimriz.core.results.findings import (
    Finding,
    Stretch,
    Tally,
    of_rates,
    of_revenue,
    rate_of,
    revenue_of,
    sample_ratio,
    together,
)
from nimriz.core.results.means import Sums

HALVES = {"a": 50, "b": 50}


def tally(visitors: int, leads: int = 0, order: int = 0, orders: int = 0) -> Tally:
    """Visitors of whom so many became a lead, and so many bought, all for the same."""
    revenue = {"USD": Sums(orders, order * orders, order * order * orders)} if orders else {}
    return Tally(visitors, leads, orders, revenue)


def stretch(weights: Mapping[str, int] = HALVES, *, divided: bool = True, **tallies: Tally) -> Stretch:
    return Stretch(weights, tallies, divided)


def leads(*stretches: Stretch, mismatch: bool = False) -> Finding:
    return of_rates(list(stretches[0].weights), stretches, lambda tally: tally.leads, mismatch=mismatch)


def money(*stretches: Stretch) -> Finding:
    return of_revenue(list(stretches[0].weights), stretches, "USD", mismatch=False)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (tally(0), tally(0)),
        (tally(99, 50), tally(5_000, 50)),
        (tally(1_000, 9), tally(1_000, 10)),
    ],
)
def test_of_few_visitors_or_leads_nothing_is_said(a: Tally, b: Tally) -> None:
    assert leads(stretch(a=a, b=b)).code == "not_enough_data"


def test_a_difference_that_is_plain_is_said_as_soon_as_there_is_enough() -> None:
    assert leads(stretch(a=tally(100, 1), b=tally(100, 40)))[:2] == ("variant_ahead", ("b",))
    assert leads(stretch(a=tally(100, 40), b=tally(100, 1)))[:2] == ("variant_ahead", ("a",))
    assert leads(stretch(a=tally(99, 1), b=tally(99, 40))).code == "not_enough_data"


def test_a_small_difference_is_not_said_yet() -> None:
    found = leads(stretch(a=tally(1_000, 50), b=tally(1_000, 55)))
    assert found.code == "no_difference_yet"
    assert found.comparisons[0].estimate == pytest.approx(1.1)
    assert found.comparisons[0].interval.has(1.0)


def test_ahead_is_who_is_ahead_of_all_others() -> None:
    weights = {"a": 34, "b": 33, "c": 33}
    far = stretch(weights, a=tally(1_000, 20), b=tally(1_000, 25), c=tally(1_000, 120))
    assert leads(far)[:2] == ("variant_ahead", ("c",))
    near = stretch(weights, a=tally(1_000, 20), b=tally(1_000, 110), c=tally(1_000, 120))
    assert leads(near)[:2] == ("variant_behind", ("a",))
    few = stretch({"a": 49, "b": 49, "c": 2}, a=tally(1_000, 60), b=tally(1_000, 60), c=tally(40, 3))
    assert leads(few).code == "not_enough_data"


def test_more_comparisons_ask_for_more() -> None:
    two = leads(stretch(a=tally(1_000, 50), b=tally(1_000, 90)))
    ten = dict.fromkeys("abcdefghij", 10)
    tallies = {variant: tally(1_000, 50 if variant == "a" else 90) for variant in ten}
    of_ten = leads(Stretch(ten, tallies)).comparisons
    assert len(of_ten) == 45
    wider, narrow = of_ten[0].interval, two.comparisons[0].interval
    assert (wider.low or 0) < (narrow.low or 0)


def test_a_mismatch_stops_every_other_finding() -> None:
    skewed = stretch(a=tally(1_000, 10), b=tally(600, 90))
    found = sample_ratio(["a", "b"], [skewed])
    assert found.code == "sample_ratio_mismatch"
    assert found.p_value is not None
    assert found.p_value < 1e-6
    stopped = leads(skewed, mismatch=True)
    assert stopped.code == "sample_ratio_mismatch"
    assert [one.ahead for one in stopped.comparisons] == [""]


def test_visitors_divided_as_planned_raise_no_alarm_whatever_the_weights_were() -> None:
    before, after = stretch(a=tally(500), b=tally(500)), stretch({"a": 90, "b": 10}, a=tally(900), b=tally(100))
    assert sample_ratio(["a", "b"], [before, after]).code == "as_planned"
    assert sample_ratio(["a", "b"], [stretch(a=tally(3), b=tally(4))]).code == "not_enough_data"


def test_where_visitors_kept_their_variant_the_weights_raise_no_alarm_and_shares_are_counted() -> None:
    first = stretch(a=tally(500, 50), b=tally(500, 50))
    kept = stretch({"a": 90, "b": 10}, a=tally(600, 60), b=tally(400, 40), divided=False)
    assert sample_ratio(["a", "b"], [first, kept]).code == "as_planned"
    assert leads(first, kept).comparisons[0].estimate == pytest.approx(1)


def test_revenue_is_compared_by_visitor() -> None:
    found = money(stretch(a=tally(2_000, order=5_000, orders=100), b=tally(2_000, order=5_000, orders=220)))
    assert found[:2] == ("variant_ahead", ("b",))
    apart = found.comparisons[0]
    assert apart.estimate == pytest.approx(300)
    assert apart.interval.has(300)
    assert apart.interval.low is not None
    assert apart.interval.low > 0


def test_one_great_sale_is_not_enough_data() -> None:
    usual = tally(2_000, order=5_000, orders=100)
    lucky = tally(2_000, order=5_000, orders=100)
    lucky.revenue["USD"] = lucky.revenue["USD"].with_amount(10_000_000)
    found = money(stretch(a=usual, b=lucky))
    assert found.code == "not_enough_data"
    assert found.comparisons[0].interval == (None, None)
    assert revenue_of(lucky, "USD", 2) is None
    assert revenue_of(usual, "EUR", 2) is None


def test_intervals_hold_what_was_seen() -> None:
    seen = tally(2_000, 60, order=5_000, orders=100)
    assert rate_of(60, 2_000, 2).has(0.03)
    interval = revenue_of(seen, "USD", 2)
    assert interval is not None
    assert interval.has(250)


def test_tallies_of_stretches_add_up() -> None:
    stretches = [stretch(a=tally(10, 1, 500, 2), b=tally(0)), stretch(a=tally(5, 2, 700, 1), b=tally(0))]
    assert together(stretches, "a") == Tally(15, 3, 3, {"USD": Sums(3, 1_700, 990_000)})
