"""Means of amounts that may be looked at every day: where they lie, and how far two of them are apart.

Amounts of money have a long tail and no bound, so nothing exact can be said of their mean (Bahadur and Savage 1956).
What is used is the asymptotic confidence sequence: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences", Annals of Statistics 52, 2024 (arXiv 2103.06476). It is for
many looks what the normal interval is for one; and like that one it needs enough data before it is believed. How
much is the caller's to ask for: `Sums.effective` says how much there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt
from typing import NamedTuple

from nimriz.core.results.evidence import Interval

TUNED_FOR = 10_000
"""The number of amounts at which an interval is tightest; at a hundredth of it or a hundred times as many it still
is a usable one."""


class Sums(NamedTuple):
    """Amounts, of which only this is kept: how many, their sum, and the sum of their squares; exact at any size."""

    size: int = 0
    total: int = 0
    squares: int = 0

    def with_amount(self, amount: int) -> Sums:
        """One more amount."""
        return Sums(self.size + 1, self.total + amount, self.squares + amount * amount)

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(*(mine + others for mine, others in zip(self, other, strict=True)))

    @property
    def mean(self) -> float:
        """The mean; 0 of nothing."""
        return self.total / self.size if self.size else 0.0

    @property
    def effective(self) -> float:
        """How many equal amounts would tell as much (Kish, "Survey Sampling", 1965): few where one outweighs all."""
        return self.total * self.total / self.squares if self.squares else 0.0

    @property
    def variance(self) -> float:
        """The variance of the sample, exact until the last division; 0 of fewer than two."""
        if self.size < 2:
            return 0.0
        return (self.size * self.squares - self.total * self.total) / (self.size * (self.size - 1))


def half_width(count: int, level: float) -> float:
    """Half the width, in standard deviations, of the interval of a mean of `count` amounts.

    Theorem 2.2 of the source, with the parameter that its appendix gives for being tightest at TUNED_FOR.
    """
    rho2 = (-2 * log(level) + log(-2 * log(level)) + 1) / TUNED_FOR
    grown = count * rho2 + 1
    return sqrt(2 * grown / (count * count * rho2) * log(sqrt(grown) / level))


def mean_interval(sums: Sums, level: float) -> Interval:
    """Where the mean of amounts that are not below zero lies, at all times at once, but for a chance of `level`.

    Taken on the logarithm of the mean (the delta method): amounts have a long tail to one side, and so has the
    interval. An interval of equal halves is too low too often, by measure.
    """
    if sums.total <= 0 or sums.size < 2:
        return Interval(0.0, None)
    half = sqrt(sums.variance) * half_width(sums.size, level) / sums.mean
    return Interval(sums.mean * exp(-half), sums.mean * exp(half))


class Difference(NamedTuple):
    """By how much the second of two means is greater than the first."""

    estimate: float
    interval: Interval


def difference(pairs: Sequence[tuple[Sums, Sums]], level: float) -> Difference | None:
    """By how much, at all times at once, but for a chance of `level`; None where nothing can be compared.

    Each pair is of a time in which the shares stood. Who came then is compared with who else came then, so that a
    better week with more of one variant does not make that variant better; the pairs count by how many came. This is
    the doubly robust estimate of the source (section 3) with one mean for each time and variant.

    The spread is the greater of two: with a variance for each variant, and with one for both, as when they do not
    differ. Where few had a variant and its amounts were small by chance, its own variance is too small as well.
    """
    kept = [pair for pair in pairs if pair[0].size and pair[1].size]
    firsts, seconds = Sums(), Sums()
    for first, second in kept:
        firsts, seconds = firsts.plus(first), seconds.plus(second)
    both = firsts.plus(seconds)
    count = both.size
    if min(firsts.size, seconds.size) < 2:
        return None
    estimate = spread = 0.0
    for first, second in kept:
        part = (first.size + second.size) / count
        estimate += part * (second.mean - first.mean)
        apart = firsts.variance / first.size + seconds.variance / second.size
        together = both.variance * (1 / first.size + 1 / second.size)
        spread += part * part * max(apart, together)
    half = sqrt(spread * count) * half_width(count, level)
    return Difference(estimate, Interval(estimate - half, estimate + half))
