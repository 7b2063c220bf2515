"""Evidence: bets against planned shares are fair, and the intervals are what no bet refutes."""

from __future__ import annotations

from math import comb, exp, log, pi, prod, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.core.results import evidence
from nimriz.core.results.evidence import (
    CONCENTRATIONS,
    Drawn,
    Interval,
    log_evidence,
    p_value,
    rate_interval,
    ratio_interval,
)

COUNTS = st.integers(0, 400)
LEVEL = 0.05


def chance(counts: tuple[int, ...], shares: tuple[float, ...]) -> float:
    """The multinomial chance of counts."""
    ways = prod(comb(sum(counts[: place + 1]), count) for place, count in enumerate(counts))
    return ways * prod(share**count for share, count in zip(shares, counts, strict=True))


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.01, 0.99)])
def test_a_bet_against_a_true_claim_wins_nothing_on_average(shares: tuple[float, float]) -> None:
    stakes = [chance((x, 12 - x), shares) * exp(log_evidence([Drawn((x, 12 - x), shares)])) for x in range(13)]
    assert sum(stakes) == pytest.approx(1)


def test_nor_does_one_among_three_variants_or_one_over_two_times() -> None:
    shares = (0.2, 0.3, 0.5)
    every = [(a, b, 6 - a - b) for a in range(7) for b in range(7 - a)]
    assert sum(chance(c, shares) * exp(log_evidence([Drawn(c, shares)])) for c in every) == pytest.approx(1)
    twice = [((x, 5 - x), (y, 4 - y)) for x in range(6) for y in range(5)]
    first, then = (0.5, 0.5), (0.8, 0.2)
    stakes = [
        chance(a, first) * chance(b, then) * exp(log_evidence([Drawn(a, first), Drawn(b, then)])) for a, b in twice
    ]
    assert sum(stakes) == pytest.approx(1)


def test_the_stake_grows_with_each_count_as_the_odds_of_the_bet_say() -> None:
    """The closed form, beside the bet placed anew on each visitor, as Lindon and Malek derive it."""
    shares, seen = (0.25, 0.75), "abbabaaabaab"
    stakes = []
    for concentration in CONCENTRATIONS:
        stake, counts = 1.0, {"a": 0, "b": 0}
        for one in seen:
            share = dict(zip("ab", shares, strict=True))[one]
            stake *= (concentration * share + counts[one]) / (concentration + sum(counts.values())) / share
            counts[one] += 1
        stakes.append(stake)
    drawn = Drawn((seen.count("a"), seen.count("b")), shares)
    assert exp(log_evidence([drawn])) == pytest.approx(sum(stakes) / len(stakes))


def test_equal_counts_are_no_evidence_and_a_great_skew_is_much() -> None:
    assert p_value(log_evidence([Drawn((500, 500), (50, 50))])) == 1
    assert p_value(log_evidence([Drawn((600, 400), (50, 50))])) < 1e-6
    assert p_value(log_evidence([Drawn((600, 400), (60, 40))])) == 1


def test_a_p_value_is_the_stake_that_was_won() -> None:
    assert p_value(log(1_000)) == pytest.approx(0.001)
    assert p_value(log(0.5)) == 1


@given(a=COUNTS, b=COUNTS, kept=COUNTS)
def test_a_variant_without_a_share_is_left_out(a: int, b: int, kept: int) -> None:
    with_it, without = Drawn((a, kept, b), (30, 0, 70)), Drawn((a, b), (30, 70))
    assert log_evidence([with_it]) == pytest.approx(log_evidence([without]))


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (12, 400), (400, 400)])
def test_the_interval_of_a_rate_ends_where_the_mixture_outweighs_it(successes: int, trials: int) -> None:
    """Robbins' mixture, integrated by numbers: under the prior of Jeffreys the arc sine of the root is uniform."""
    steps = 20_000
    chances = [sin(pi / 2 * (step + 0.5) / steps) ** 2 for step in range(steps)]
    mixture = sum(c**successes * (1 - c) ** (trials - successes) for c in chances) / steps
    low, high = rate_interval(successes, trials, LEVEL)
    for end in (low, high):
        if end not in (0.0, 1.0):
            assert end is not None
            assert end**successes * (1 - end) ** (trials - successes) == pytest.approx(LEVEL * mixture, rel=1e-3)
    assert low is not None
    assert high is not None
    assert low <= successes / trials <= high


def test_nothing_is_said_of_a_rate_without_trials() -> None:
    assert rate_interval(0, 0, LEVEL) == Interval(0.0, 1.0)


@given(x=COUNTS, y=COUNTS, x2=COUNTS, y2=COUNTS)
def test_the_interval_of_a_ratio_leaves_one_out_when_the_p_value_says_so(x: int, y: int, x2: int, y2: int) -> None:
    draws = [Drawn((x, y), (50, 50)), Drawn((x2, y2), (80, 20))]
    interval, estimate = ratio_interval(draws, LEVEL), evidence.ratio(draws)
    if interval != Interval(0.0, None):
        assert interval.has(1.0) is (p_value(log_evidence(draws)) > LEVEL)
        assert estimate is None or interval.has(estimate) or estimate == interval.low == 0.0


def test_times_that_contradict_each_other_say_nothing_of_a_ratio() -> None:
    assert ratio_interval([Drawn((90, 10), (50, 50)), Drawn((10, 90), (50, 50))], LEVEL) == Interval(0.0, None)


@pytest.mark.parametrize(
    ("counts", "shares", "expected"),
    [((100, 150), (50, 50), 1.5), ((180, 20), (90, 10), 1.0), ((0, 7), (50, 50), None), ((7, 0), (50, 50), 0.0)],
)
def test_a_ratio_is_of_counts_beside_their_shares(
    counts: tuple[int, int], shares: tuple[int, int], expected: float | None
) -> None:
    assert evidence.ratio([Drawn(counts, shares)]) == (expected if expected is None else pytest.approx(expected))


def test_a_ratio_has_no_upper_end_while_the_first_variant_has_none() -> None:
    low, high = ratio_interval([Drawn((0, 40), (50, 50))], LEVEL)
    assert low is not None
    assert low > 1
    assert high is None
    assert ratio_interval([Drawn((0, 0), (50, 50))], LEVEL) == Interval(0.0, None)


def test_times_with_other_shares_are_compared_each_for_itself() -> None:
    """In both times the rates are equal; added up, the second variant would seem to be twice as good."""
    draws = [Drawn((900, 100), (90, 10)), Drawn((10, 90), (10, 90))]
    assert evidence.ratio(draws) == pytest.approx(1)
    assert ratio_interval(draws, LEVEL).has(1.0)
