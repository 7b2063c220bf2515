"""Means of amounts: exact sums, and intervals as wide as Robbins' mixture makes them."""

from __future__ import annotations

from math import exp, log, pi, sqrt
from statistics import mean, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.core.results.evidence import Interval
from nimriz.core.results.means import TUNED_FOR, Sums, difference, half_width, mean_interval

LEVEL = 0.05
AMOUNTS = st.lists(st.integers(0, 10**12), min_size=2, max_size=30)


def sums_of(amounts: list[int]) -> Sums:
    sums = Sums()
    for amount in amounts:
        sums = sums.with_amount(amount)
    return sums


@given(amounts=AMOUNTS, more=AMOUNTS)
def test_sums_say_what_the_amounts_say(amounts: list[int], more: list[int]) -> None:
    both = sums_of(amounts).plus(sums_of(more))
    assert both == sums_of(amounts + more)
    assert both.mean == pytest.approx(mean(amounts + more))
    assert both.variance == pytest.approx(variance(amounts + more))


def test_an_amount_that_outweighs_all_others_tells_little() -> None:
    assert sums_of([100] * 40).effective == pytest.approx(40)
    assert sums_of([100] * 40 + [1_000_000]).effective < 1.01
    assert sums_of([0, 0]).effective == 0


@pytest.mark.parametrize("count", [100, TUNED_FOR, 100 * TUNED_FOR])
def test_a_half_width_is_where_the_mixture_of_bets_reaches_one_over_the_level(count: int) -> None:
    """The mixture over normal slopes, integrated by numbers, beside the closed form of theorem 2.2."""
    reached = count * half_width(count, LEVEL)
    rho2 = (-2 * log(LEVEL) + log(-2 * log(LEVEL)) + 1) / TUNED_FOR
    step = sqrt(rho2) / 4_000
    slopes = [step * place for place in range(-40_000, 40_001)]
    stake = sum(exp(slope * reached - count * slope**2 / 2 - slope**2 / (2 * rho2)) for slope in slopes)
    assert stake * step / sqrt(2 * pi * rho2) == pytest.approx(1 / LEVEL, rel=1e-3)


def test_an_interval_is_tightest_beside_a_single_look_where_it_is_tuned() -> None:
    beside_one_look = {n: half_width(n, LEVEL) * sqrt(n) / 1.96 for n in (100, 10_000, 1_000_000)}
    assert min(beside_one_look, key=beside_one_look.__getitem__) == 10_000
    assert beside_one_look[10_000] < 1.6


def test_no_mean_without_amounts_and_none_below_zero() -> None:
    assert mean_interval(Sums(), LEVEL) == Interval(0.0, None)
    assert mean_interval(Sums(10, 0, 0), LEVEL) == Interval(0.0, None)
    low, high = mean_interval(sums_of([0] * 90 + [5_000] * 10), LEVEL)
    assert low is not None
    assert high is not None
    assert 0 < low < 500 < high


def test_a_difference_is_of_those_who_came_at_the_same_time() -> None:
    """Sales are better in the second week, and most of the second variant came then; the variants are alike."""
    good, bad = [0, 1_000] * 450, [0] * 90 + [1_000] * 10
    weeks = [(sums_of(bad * 9), sums_of(bad)), (sums_of(good[:100]), sums_of(good))]
    apart = difference(weeks, LEVEL)
    assert apart is not None
    assert apart.estimate == pytest.approx(0)
    first, second = (weeks[0][place].plus(weeks[1][place]) for place in (0, 1))
    assert second.mean - first.mean > 200


def test_a_small_spread_of_few_amounts_is_not_believed() -> None:
    """By chance the second variant had nothing but small sales; what both have together says how far sales spread."""
    many, few = sums_of([0] * 900 + [100] * 80 + [90_000] * 20), sums_of([0] * 90 + [100] * 10)
    apart = difference([(many, few)], LEVEL)
    assert apart is not None
    both = many.plus(few)
    spread = both.variance * (1 / many.size + 1 / few.size)
    assert apart.interval.high == pytest.approx(
        apart.estimate + sqrt(spread * both.size) * half_width(both.size, LEVEL)
    )


def test_two_times_that_are_alike_tell_as_much_as_one_that_is_twice_as_long() -> None:
    first, second = sums_of([0] * 80 + [100] * 20), sums_of([0] * 30 + [100] * 10)
    assert difference([(first, second)] * 2, LEVEL) == difference([(first.plus(first), second.plus(second))], LEVEL)


def test_a_time_in_which_a_variant_had_nobody_tells_nothing() -> None:
    week = (sums_of([0, 100]), sums_of([0, 300]))
    assert difference([week, (Sums(), sums_of([9] * 50))], LEVEL) == difference([week], LEVEL)
    assert difference([(Sums(), sums_of([1, 2]))], LEVEL) is None
