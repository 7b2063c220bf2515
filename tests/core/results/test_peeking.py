"""Peeking: shops of made-up visitors, looked at every day, whatever the findings say then.

Fixed seeds, so that a run is the same every time. NIMRIZ_PEEKING_TRIALS sets how many experiments each promise is tried
on; what is asserted are the promised rates themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import exp, sqrt
from random import Random

from nimriz.core.results import findings
from nimriz.core.results.findings import (
    LEVEL,
    MISMATCH_LEVEL,
    Finding,
    Stretch,
    Tally,
    of_rates,
    of_revenue,
    sample_ratio,
)
from nimriz.core.results.means import Sums

TRIALS = int(os.environ.get("NIMRIZ_PEEKING_TRIALS", "100"))
AB = {"a": 50, "b": 50}
Look = list[Stretch]
SPREAD = 1.0
"""Of the logarithm of an order's value: the largest of a thousand orders is about 25 times the middle one."""
MEAN_ORDER = 5_000 * exp(SPREAD**2 / 2)


def leads(tally: Tally) -> int:
    return tally.leads


@dataclass(frozen=True)
class Shop:
    """An experiment of so many days. `better` says by variant how many times as often its visitors convert.

    Of all visitors `lead_rate` become a lead, and half as many buy, all of them up to a week later; a tenth of sales
    are taken back, later still. From `change_day` on the weights are `then`, and visitors convert twice as often.
    """

    weights: Mapping[str, int]
    better: Mapping[str, float]
    days: int = 21
    visitors: int = 120
    lead_rate: float = 0.06
    change_day: int = 1_000
    then: Mapping[str, int] | None = None
    planted: Mapping[str, int] | None = None
    returning: float = 0.0

    def looks(self, rng: Random) -> Iterator[Look]:
        """What is known at the end of each day."""
        due: dict[int, list[tuple[Tally, Sums]]] = {}
        back: list[str] = []
        stretches: Look = []
        for day in range(self.days):
            if day in (0, self.change_day):
                weights = self.then if day and self.then else self.weights
                stretches.append(Stretch(weights, {variant: Tally() for variant in weights}))
            share = self.planted or stretches[-1].weights
            today = rng.choices(list(share), list(share.values()), k=self.visitors) + back
            back = [variant for variant in today[: self.visitors] if rng.random() < self.returning]
            for variant in today:
                self._visit(rng, stretches[-1].tallies[variant], self.better.get(variant, 1.0), day, due)
            for tally, change in due.pop(day, []):
                tally.revenue["USD"] = tally.revenue.get("USD", Sums()).plus(change)
                tally.sales += change.size
            yield stretches

    def _visit(
        self, rng: Random, tally: Tally, better: float, day: int, due: dict[int, list[tuple[Tally, Sums]]]
    ) -> None:
        rate = self.lead_rate * better * (2 if day >= self.change_day else 1)
        tally.visitors += 1
        tally.leads += rng.random() < rate
        if rng.random() < rate / 2:
            value = int(5_000 * rng.lognormvariate(0, SPREAD))
            sold = day + rng.randrange(8)
            due.setdefault(sold, []).append((tally, Sums().with_amount(value)))
            if rng.random() < 0.1:
                due.setdefault(sold + rng.randrange(1, 8), []).append((tally, Sums(0, -value, -value * value)))


def ever(shop: Shop, said: Callable[[Look], bool], seed: int) -> float:
    """The part of experiments in which it was said on some day."""
    rng = Random(seed)
    return sum(any(said(look) for look in shop.looks(rng)) for _ in range(TRIALS)) / TRIALS


def shows_a_difference(finding: Finding) -> bool:
    return finding.code in ("variant_ahead", "variant_behind")


def of_leads(look: Look) -> Finding:
    return of_rates(list(look[0].weights), look, leads, mismatch=False)


def of_money(look: Look) -> Finding:
    return of_revenue(list(look[0].weights), look, "USD", mismatch=False)


def alarms(look: Look) -> bool:
    return sample_ratio(list(look[0].weights), look).code == "sample_ratio_mismatch"


def misleads(look: Look) -> bool:
    """What a test that is meant for one look says on some day."""
    a, b = (findings.together(look, variant) for variant in "ab")
    pooled = (a.leads + b.leads) / (a.visitors + b.visitors)
    spread = sqrt(pooled * (1 - pooled) * (1 / a.visitors + 1 / b.visitors))
    return spread > 0 and abs(a.leads / a.visitors - b.leads / b.visitors) > 1.96 * spread


def test_leads_that_do_not_differ_are_seldom_said_to() -> None:
    shop = Shop(AB, {})
    assert ever(shop, lambda look: shows_a_difference(of_leads(look)), 1) <= LEVEL
    assert ever(shop, misleads, 1) > 2 * LEVEL


def test_nor_is_revenue_that_does_not_differ() -> None:
    shop = Shop(AB, {}, visitors=200, lead_rate=0.12)
    assert ever(shop, lambda look: shows_a_difference(of_money(look)), 2) <= LEVEL
    assert ever(shop, lambda look: of_money(look).code == "no_difference_yet", 2) > 0.9


def test_nor_where_few_visitors_get_a_variant() -> None:
    shop = Shop({"a": 90, "b": 10}, {}, visitors=400, lead_rate=0.3)
    assert ever(shop, lambda look: shows_a_difference(of_money(look)), 3) <= LEVEL
    assert ever(shop, lambda look: of_money(look).code == "no_difference_yet", 3) > 0.8


def test_nor_among_several_variants_whose_weights_change_as_sales_do() -> None:
    weights, then = {"a": 60, "b": 20, "c": 20}, {"a": 20, "b": 60, "c": 20}
    shop = Shop(weights, {}, days=14, visitors=200, lead_rate=0.1, change_day=7, then=then)
    assert ever(shop, lambda look: shows_a_difference(of_money(look)), 4) <= LEVEL
    assert ever(shop, lambda look: shows_a_difference(of_leads(look)), 4) <= LEVEL


def test_the_alarm_is_seldom_raised_without_cause() -> None:
    assert ever(Shop(AB, {}, days=60), alarms, 5) <= MISMATCH_LEVEL
    shop = Shop({"a": 80, "b": 10, "c": 10}, {}, days=60, change_day=20, then={"a": 20, "b": 20, "c": 60})
    assert ever(shop, alarms, 6) <= MISMATCH_LEVEL


def test_nor_where_one_in_five_comes_back_on_the_next_day() -> None:
    """They count again with the same variant; what is promised is twice the level for that."""
    assert ever(Shop(AB, {}, days=60, returning=0.2), alarms, 5) <= 2 * MISMATCH_LEVEL


def test_a_planted_skew_raises_the_alarm() -> None:
    assert ever(Shop(AB, {}, planted={"a": 60, "b": 40}), alarms, 7) == 1
    assert ever(Shop(AB, {}, planted={"a": 53, "b": 47}, visitors=600), alarms, 8) > 0.9
    thirds = Shop({"a": 34, "b": 33, "c": 33}, {}, planted={"a": 34, "b": 39, "c": 27})
    assert ever(thirds, alarms, 9) > 0.9


def test_a_real_lift_is_found_and_never_given_to_the_wrong_variant() -> None:
    shop = Shop(AB, {"b": 1.8}, visitors=300)
    assert ever(shop, lambda look: of_leads(look)[:2] == ("variant_ahead", ("b",)), 10) > 0.9
    assert ever(shop, lambda look: of_leads(look)[:2] == ("variant_ahead", ("a",)), 10) == 0
    shop = Shop(AB, {"b": 2.5}, visitors=400)
    assert ever(shop, lambda look: of_money(look)[:2] == ("variant_ahead", ("b",)), 11) > 0.9


def test_intervals_hold_the_truth_every_day() -> None:
    shop = Shop(AB, {"b": 1.5}, visitors=300)

    def lift_missed(look: Look) -> bool:
        return not of_leads(look).comparisons[0].interval.has(1.5)

    def rate_missed(look: Look) -> bool:
        tallies = look[0].tallies
        return any(
            not findings.rate_of(tallies[v].leads, tallies[v].visitors, 2).has(0.06 * shop.better.get(v, 1))
            for v in tallies
        )

    assert ever(shop, lift_missed, 12) <= LEVEL
    assert ever(shop, rate_missed, 12) <= LEVEL


def test_intervals_of_revenue_hold_the_truth_every_day() -> None:
    """Sold at once and never taken back, so that the truth is known on every day."""
    rng, missed = Random(13), 0
    truths = {"a": 0.03 * MEAN_ORDER, "b": 0.06 * MEAN_ORDER}
    for _ in range(TRIALS):
        tallies = {"a": Tally(), "b": Tally()}
        held = True
        for _day in range(21):
            for variant, rate in (("a", 0.03), ("b", 0.06)):
                tally = tallies[variant]
                tally.visitors += 200
                for _ in range(sum(rng.random() < rate for _ in range(200))):
                    order = int(5_000 * rng.lognormvariate(0, SPREAD))
                    tally.revenue["USD"] = tally.revenue.get("USD", Sums()).with_amount(order)
            apart = of_money([Stretch(AB, tallies)]).comparisons[0]
            held &= not apart.enough or apart.interval.has(truths["b"] - truths["a"])
            for variant, truth in truths.items():
                interval = findings.revenue_of(tallies[variant], "USD", 2)
                held &= interval is None or interval.has(truth)
        missed += not held
    # The two kinds of intervals are promised apart from each other.
    assert missed / TRIALS <= 2 * LEVEL
