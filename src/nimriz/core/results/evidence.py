"""Evidence from counts that may be looked at every day: how far they speak against the shares that were planned.

An e-value is how many times over a stake grows when one bets against a claim at fair odds. If the claim is true, the
stake ever reaches 1/level with a chance of at most level, however often one looks and whenever one stops (Ville
1939). So 1 / e-value is a p-value that stays valid under peeking, and what no bet refutes is an interval that does.

The bet is Dirichlet-multinomial: Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data", NeurIPS 2022
(arXiv 2011.03567), after Robbins, "Statistical methods related to the law of the iterated logarithm", Annals of
Mathematical Statistics 41, 1970. It is exact: no sample is too small for it, and no normal distribution is assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, lgamma, log, log1p
from typing import NamedTuple

CONCENTRATIONS = (10.0, 100.0, 1_000.0)
"""How close to the planned shares the bets look; the stake is divided among them evenly.

100 is what Lindon's own code has by default; 10 finds a great difference sooner, 1,000 a small one. The mean of bets
is a bet (Shafer, "Testing by betting", Journal of the Royal Statistical Society A 184, 2021).
"""
_LOG_RATIO_MAX = 20.0
_HALVINGS = 44


class Interval(NamedTuple):
    """From low to high; None where there is no end."""

    low: float | None
    high: float | None

    def has(self, value: float) -> bool:
        """Whether a value lies inside."""
        return (self.low is None or self.low < value) and (self.high is None or value < self.high)


class Drawn(NamedTuple):
    """Counts drawn while the planned shares stood: `counts` and `shares` by variant; shares need not sum to 1."""

    counts: Sequence[int]
    shares: Sequence[float]


def log_evidence(draws: Sequence[Drawn]) -> float:
    """The log of the e-value against the claim that each of `draws` came by its shares.

    Shares that changed make several draws, and their bets are multiplied: each is fair given what went before. A
    variant whose share is 0 gets nobody new, so who is counted there came earlier: it is left out of that draw.
    """
    return sum(_log_bet(draw) - _log_likelihood(draw) for draw in map(_taken_part, draws))


def p_value(log_e: float) -> float:
    """The always-valid p-value of an e-value."""
    return exp(-max(log_e, 0.0))


def rate_interval(successes: int, trials: int, level: float) -> Interval:
    """Where the chance of success lies, at all times at once, but for a chance of `level`.

    Robbins' mixture with the prior of Jeffreys, Beta(1/2, 1/2); Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform,
    nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49, 2021, section 3.
    """
    if trials == 0:
        return Interval(0.0, 1.0)
    failures = trials - successes
    bound = _log_beta(successes + 0.5, failures + 0.5) - _log_beta(0.5, 0.5) + log(level)

    def refuted(chance: float) -> bool:
        return successes * log(chance) + failures * log1p(-chance) < bound

    at = successes / trials
    low = 0.0 if successes == 0 else _edge(refuted, at, 0.0)
    high = 1.0 if failures == 0 else _edge(refuted, at, 1.0)
    return Interval(low, high)


def ratio(draws: Sequence[Drawn]) -> float | None:
    """How many times as often the second of two variants was drawn as the first, each beside its share.

    The likeliest value over all draws; 0 when the second has none, None when the first has none.
    """
    pairs = [pair for pair in map(_taken_part, draws) if len(pair.counts) == 2]
    firsts, seconds = (sum(pair.counts[place] for pair in pairs) for place in (0, 1))
    if not firsts or not seconds:
        return 0.0 if firsts else None

    def too_great(log_ratio: float) -> bool:
        return sum(sum(p.counts) * _chance(p, log_ratio) for p in pairs) > seconds

    return exp(_edge(too_great, -_LOG_RATIO_MAX, _LOG_RATIO_MAX))


def ratio_interval(draws: Sequence[Drawn], level: float) -> Interval:
    """Where that ratio lies, at all times at once, but for a chance of `level`.

    It leaves 1 out when `p_value` is at most `level`. When every ratio is refuted, the draws do not have one in common
    (a variant was better in one time and worse in another): then nothing is said, from 0 without an end.

    Of those who did something, which variant they had is a draw by share times rate (Lindon and Malek, section 3);
    so a ratio of rates is refuted when the shares that it makes are. Neither the rates nor how they change with the
    hours and days matters, nor how late what they do is heard of, as long as it is the same for both.
    """
    pairs = [pair for pair in map(_taken_part, draws) if len(pair.counts) == 2]
    best = ratio(draws)
    if not sum(sum(pair.counts) for pair in pairs):
        return Interval(0.0, None)
    bound = sum(map(_log_bet, pairs)) + log(level)

    def refuted(log_ratio: float) -> bool:
        return sum(_log_likelihood_at(pair, log_ratio) for pair in pairs) < bound

    at = _LOG_RATIO_MAX if best is None else max(-_LOG_RATIO_MAX, log(best) if best else -_LOG_RATIO_MAX)
    if refuted(at):
        return Interval(0.0, None)
    low = exp(_edge(refuted, at, -_LOG_RATIO_MAX)) if refuted(-_LOG_RATIO_MAX) else 0.0
    high = exp(_edge(refuted, at, _LOG_RATIO_MAX)) if refuted(_LOG_RATIO_MAX) else None
    return Interval(low, high)


def _taken_part(draw: Drawn) -> Drawn:
    """A draw without the variants that had no share in it, and its shares as parts of 1."""
    whole = sum(share for share in draw.shares if share > 0)
    kept = [(count, share / whole) for count, share in zip(draw.counts, draw.shares, strict=True) if share > 0]
    return Drawn([count for count, _ in kept], [share for _, share in kept])


def _log_bet(draw: Drawn) -> float:
    """The log of the chance that the mixture of bets gives to counts, up to the ways of ordering them."""
    logs = [_log_dirichlet(draw, concentration) for concentration in CONCENTRATIONS]
    greatest = max(logs)
    return greatest + log(sum(exp(each - greatest) for each in logs) / len(logs))


def _log_dirichlet(draw: Drawn, concentration: float) -> float:
    kept = zip(draw.counts, draw.shares, strict=True)
    each = sum(lgamma(concentration * s + count) - lgamma(concentration * s) for count, s in kept)
    return lgamma(concentration) - lgamma(concentration + sum(draw.counts)) + each


def _log_likelihood(draw: Drawn) -> float:
    return sum(count * log(share) for count, share in zip(draw.counts, draw.shares, strict=True) if count)


def _log_likelihood_at(pair: Drawn, log_ratio: float) -> float:
    """The same for a pair whose second variant has a rate of exp(log_ratio) times the first's."""
    log_odds = log_ratio + log(pair.shares[1] / pair.shares[0])
    return pair.counts[1] * log_odds - sum(pair.counts) * log1p(exp(log_odds))


def _chance(pair: Drawn, log_ratio: float) -> float:
    """The chance that one of a pair is of the second variant, when its rate is exp(log_ratio) times the first's."""
    return 1 / (1 + exp(-log_ratio) * pair.shares[0] / pair.shares[1])


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _edge(beyond: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where, between a place inside and one that is beyond, the edge is; on the side of what is beyond."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if beyond(middle):
            outside = middle
        else:
            inside = middle
    return outside
