"""Findings: what the data of an experiment allow to be said of its variants, and what not yet.

Pure: from counts and sums by variant to codes. Everything holds at all times at once, so that looking every day and
stopping whenever one likes keeps its promise: of a hundred experiments whose variants do not differ, at most five ever
show a difference in leads, five in sales, five in the revenue of a currency, and one a mismatch. The methods and their
sources are in `evidence` and `means`.

The unit is the visitor of a day. Every variant is compared with every other one, and an experiment's level is divided
by the number of these comparisons (Bonferroni), so that "ahead of all others" may be said of whichever it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal, NamedTuple

from nimriz.core.results import evidence
from nimriz.core.results.evidence import Drawn, Interval
from nimriz.core.results.means import Sums, difference, mean_interval

LEVEL = 0.05
"""The chance that an experiment whose variants do not differ ever shows a difference, for each of its figures."""
MISMATCH_LEVEL = 0.005
"""Half of the one in a hundred that is promised of visitors who were divided as planned.

The other half is for those who come back on another day: they count again, with the same variant, which no bet
foresees. Strict, since an alarm stops all other findings.
"""
VISITORS_MIN = 100
"""Of fewer visitors of a variant nothing is said."""
CONVERTED_MIN = 20
"""Nor of fewer visitors of a pair of variants, together, who did what is compared."""
EFFECTIVE_MIN = 25
"""Nor of revenue that tells less than so many equal sales of each variant would (`Sums.effective`)."""

Code = Literal[
    "not_enough_data", "no_difference_yet", "variant_ahead", "variant_behind", "sample_ratio_mismatch", "as_planned"
]


@dataclass(slots=True)
class Tally:
    """What came of the visitors of one variant: how many they were, how many of them became a lead, and bought.

    `revenue` has by currency the sums of their net revenue, in minor units; of those who brought any.
    """

    visitors: int = 0
    leads: int = 0
    sales: int = 0
    revenue: dict[str, Sums] = field(default_factory=dict)

    def money(self, currency: str) -> Sums:
        """The net revenue of all visitors, of whom most bring none."""
        return self.revenue.get(currency, Sums())._replace(size=self.visitors)


class Stretch(NamedTuple):
    """A time in which the weights stood: weights in percent and tallies by variant.

    `divided` is False where visitors may have kept a variant from an earlier stretch: then not the weights but how many
    came says which shares the variants had.
    """

    weights: Mapping[str, int]
    tallies: Mapping[str, Tally]
    divided: bool = True

    def drawn(self, variants: Sequence[str], count: Callable[[Tally], int]) -> Drawn:
        """Counts of these variants, beside the shares that they had."""
        tallies = [self.tallies[variant] for variant in variants]
        shares = [self.weights[v] for v in variants] if self.divided else [tally.visitors for tally in tallies]
        return Drawn([count(tally) for tally in tallies], shares)


class Comparison(NamedTuple):
    """Two variants. Of rates, `estimate` and `interval` say how many times as high the second's is as the first's; of
    revenue, by how many minor units a visitor the second brings more. `ahead` is the one that is, '' if none is yet."""

    first: str
    second: str
    estimate: float | None
    interval: Interval
    enough: bool
    ahead: str = ""


class Finding(NamedTuple):
    """What may be said of one figure. `variants` are those that the code is about."""

    code: Code
    variants: tuple[str, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    p_value: float | None = None


def together(stretches: Sequence[Stretch], variant: str) -> Tally:
    """The tally of a variant over all stretches."""
    whole = Tally()
    for stretch in stretches:
        tally = stretch.tallies[variant]
        whole.visitors += tally.visitors
        whole.leads += tally.leads
        whole.sales += tally.sales
        for currency, sums in tally.revenue.items():
            whole.revenue[currency] = whole.revenue.get(currency, Sums()).plus(sums)
    return whole


def sample_ratio(variants: Sequence[str], stretches: Sequence[Stretch]) -> Finding:
    """Whether the visitors were divided as the weights say. The alarm says that something is broken, not what."""
    draws = [stretch.drawn(variants, _visitors) for stretch in stretches if stretch.divided]
    log_e = evidence.log_evidence(draws)
    p_value = evidence.p_value(log_e)
    if p_value <= MISMATCH_LEVEL:
        return Finding("sample_ratio_mismatch", tuple(variants), p_value=p_value)
    counted = sum(sum(draw.counts) for draw in draws)
    return Finding("as_planned" if counted >= VISITORS_MIN else "not_enough_data", p_value=p_value)


def of_rates(
    variants: Sequence[str], stretches: Sequence[Stretch], converted: Callable[[Tally], int], *, mismatch: bool
) -> Finding:
    """What may be said of the part of its visitors that did something, variant beside variant."""
    pairs = list(combinations(variants, 2))
    level = LEVEL / len(pairs)
    comparisons = []
    for pair in pairs:
        draws = [stretch.drawn(pair, converted) for stretch in stretches]
        interval = evidence.ratio_interval(draws, level)
        seen = [together(stretches, variant) for variant in pair]
        enough = min(t.visitors for t in seen) >= VISITORS_MIN and sum(map(converted, seen)) >= CONVERTED_MIN
        ahead = _ahead(pair, interval, 1.0) if enough and not mismatch else ""
        comparisons.append(Comparison(*pair, evidence.ratio(draws), interval, enough, ahead))
    return _finding(variants, comparisons, mismatch=mismatch)


def of_revenue(variants: Sequence[str], stretches: Sequence[Stretch], currency: str, *, mismatch: bool) -> Finding:
    """What may be said of the net revenue in one currency that a visitor brings, variant beside variant."""
    pairs = list(combinations(variants, 2))
    level = LEVEL / len(pairs)
    comparisons = []
    for first, second in pairs:
        seen = [together(stretches, variant) for variant in (first, second)]
        enough = all(tells_enough(tally, currency) for tally in seen)
        sums = [(p.tallies[first].money(currency), p.tallies[second].money(currency)) for p in stretches]
        apart = difference(sums, level)
        interval = apart.interval if apart and enough else Interval(None, None)
        ahead = _ahead((first, second), interval, 0.0) if enough and not mismatch else ""
        comparisons.append(Comparison(first, second, apart.estimate if apart else None, interval, enough, ahead))
    return _finding(variants, comparisons, mismatch=mismatch)


def rate_of(converted: int, visitors: int, variants_count: int) -> Interval:
    """Where the rate of one variant lies; those of all variants hold together."""
    return evidence.rate_interval(converted, visitors, LEVEL / variants_count)


def revenue_of(tally: Tally, currency: str, variants_count: int) -> Interval | None:
    """Where the net revenue of a visitor lies, in minor units; None where the data do not tell."""
    if not tells_enough(tally, currency):
        return None
    return mean_interval(tally.money(currency), LEVEL / variants_count)


def tells_enough(tally: Tally, currency: str) -> bool:
    """Whether there are enough visitors and sales for anything to be said of their revenue."""
    return tally.visitors >= VISITORS_MIN and tally.money(currency).effective >= EFFECTIVE_MIN


def _visitors(tally: Tally) -> int:
    return tally.visitors


def _ahead(pair: tuple[str, str], interval: Interval, same: float) -> str:
    if interval.low is not None and interval.low >= same:
        return pair[1]
    return pair[0] if interval.high is not None and interval.high <= same else ""


def _finding(variants: Sequence[str], comparisons: Sequence[Comparison], *, mismatch: bool) -> Finding:
    told = tuple(comparisons)
    if mismatch:
        return Finding("sample_ratio_mismatch", tuple(variants), told)
    beaten = {({one.first, one.second} - {one.ahead}).pop() for one in comparisons if one.ahead}
    for variant in variants:
        if all(one.ahead == variant for one in comparisons if variant in (one.first, one.second)):
            return Finding("variant_ahead", (variant,), told)
    if beaten:
        return Finding("variant_behind", tuple(variant for variant in variants if variant in beaten), told)
    enough = all(one.enough for one in comparisons)
    return Finding("no_difference_yet" if enough else "not_enough_data", (), told)
