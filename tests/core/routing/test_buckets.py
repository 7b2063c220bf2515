"""Buckets: everybody always falls into the same one, and a change of weights moves nobody who may stay."""

from __future__ import annotations

import math
import os
import random
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.core.routing.buckets import BUCKETS, VARIANTS_MAX, bucket_of, dealt, dealt_again, table

VISITORS = int(os.environ.get("NIMRIZ_TEST_VISITORS", "100000"))
SALT = b"0123456789abcdef"


def visitors(count: int = VISITORS) -> list[bytes]:
    """What so many visitors show: the same ones in every run."""
    source = random.Random(5)
    agents = [f"Mozilla/5.0 ({n}) Firefox/{140 + n}" for n in range(12)]
    return [
        f"198.{source.randrange(256)}.{source.randrange(256)}.{source.randrange(256)}\0{source.choice(agents)}\0de".encode()
        for _ in range(count)
    ]


@cache
def fallen() -> list[int]:
    """The buckets of the visitors."""
    return [bucket_of(SALT, shown) for shown in visitors()]


def weights_of(count: int, cuts: list[int]) -> list[int]:
    """Whole percents between the cuts."""
    ends = [0, *sorted(cuts[: count - 1]), BUCKETS]
    return [after - before for before, after in pairwise(ends)]


WEIGHTS = st.integers(2, VARIANTS_MAX).flatmap(
    lambda count: st.lists(st.integers(0, BUCKETS), min_size=count - 1, max_size=count - 1).map(
        lambda cuts: weights_of(count, cuts)
    )
)


def two_sided(successes: int, count: int, share: float) -> float:
    """The exact two-sided binomial probability of a count at least as unlikely (twice the smaller tail)."""

    def log_of(k: int) -> float:
        return (
            math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
            + k * math.log(share) + (count - k) * math.log1p(-share)
        )  # fmt: skip

    tail = range(successes + 1) if successes <= count * share else range(successes, count + 1)
    return min(1.0, 2 * math.fsum(math.exp(log_of(k)) for k in tail))


@pytest.mark.parametrize("weights", [[50, 50], [60, 40], [90, 10], [1, 99], [34, 33, 33], [10] * 10])
def test_visitors_divide_as_the_weights_say_within_exact_binomial_bounds(weights: list[int]) -> None:
    places = table(dealt(weights))
    counts = [0] * len(weights)
    for bucket in fallen():
        counts[places[bucket]] += 1
    # These visitors are always the same: a hash without flaw passes with 0.9999 for each weight, once and for all.
    for successes, weight in zip(counts, weights, strict=True):
        assert two_sided(successes, VISITORS, weight / 100) > 1e-4, (weights, counts)


def test_the_bound_would_notice_a_skew_of_one_percent() -> None:
    assert two_sided(50_000, 100_000, 0.5) == 1.0
    assert two_sided(51_000, 100_000, 0.5) < 1e-4


def test_a_visitor_always_falls_into_the_same_bucket_and_another_salt_is_another_dealing() -> None:
    some = visitors(2_000)
    again = [bucket_of(SALT, shown) for shown in some]
    assert [bucket_of(SALT, shown) for shown in some] == again
    other = [bucket_of(b"another salt 123", shown) for shown in some]
    same = sum(a == b for a, b in zip(again, other, strict=True))
    assert same < 2_000 // 20


def test_from_half_and_half_to_sixty_forty_at_most_a_tenth_move() -> None:
    half = dealt([50, 50])
    before, after = table(half), table(dealt_again(half, [60, 40]))
    moved = [(before[bucket], after[bucket]) for bucket in fallen() if before[bucket] != after[bucket]]
    assert set(moved) == {(1, 0)}
    # A tenth of the buckets, and of the visitors as many as fall into them.
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 10
    assert two_sided(len(moved), VISITORS, 0.1) > 1e-4


@given(WEIGHTS, st.data())
def test_no_change_of_weights_moves_more_than_it_must(weights: list[int], data: st.DataObject) -> None:
    cuts = st.lists(st.integers(0, BUCKETS), min_size=len(weights) - 1, max_size=len(weights) - 1)
    before = dealt(weights)
    for _ in range(3):
        others = weights_of(len(weights), data.draw(cuts))
        after = dealt_again(before, others)
        assert [len(held) for held in after] == others
        assert sorted(bucket for held in after for bucket in held) == list(range(BUCKETS))
        moved = sum(a != b for a, b in zip(table(before), table(after), strict=True))
        assert moved == sum(abs(a - b) for a, b in zip(weights, others, strict=True)) // 2
        if len(weights) == 2:
            assert dealt_again(after, weights) == before, "taking a change back brings everybody back"
        before, weights = after, others


@pytest.mark.parametrize("weights", [[], [100, 1], [50, 49], [-1, 101], [10] * 9 + [5, 5]])
def test_weights_that_do_not_sum_to_100_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="100"):
        dealt(weights)
