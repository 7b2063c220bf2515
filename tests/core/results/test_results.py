"""Results: figures by decision number become figures by variant, beside the weights that stood."""

from __future__ import annotations

from nimriz.core.results import results
from nimriz.core.results.means import Sums
from nimriz.core.results.results import Counted, Results, Weighed
from nimriz.core.routing.experiments import Phase

VARIANTS = {7: "a", 8: "b"}
HALVES, MOSTLY_A = Weighed(1_000, {"a": 50, "b": 50}), Weighed(2_000, {"a": 90, "b": 10})
NOTHING = Counted([], [], [], [], [])


def build(counted: Counted, *weights: Weighed, kept: bool = False) -> Results:
    return results.build(VARIANTS, weights or (HALVES,), counted, kept=kept)


def test_weights_are_those_of_the_times_in_which_visitors_were_divided() -> None:
    phases = [
        Phase(1, 1_000, "running", '{"a": 50, "b": 50}'),
        Phase(2, 1_500, "paused", '{"a": 50, "b": 50}'),
        Phase(3, 1_600, "paused", '{"a": 10, "b": 90}'),
        Phase(4, 1_700, "running", '{"a": 50, "b": 50}'),
        Phase(5, 2_000, "running", '{"a": 90, "b": 10}'),
        Phase(6, 3_000, "stopped", '{"a": 90, "b": 10}'),
    ]
    assert results.weighed(phases) == [HALVES, MOSTLY_A]
    assert results.weighed([]) == []


def test_of_weights_that_changed_very_often_the_oldest_are_taken_together() -> None:
    changes = [Phase(n, n, "running", f'{{"a": {n % 100}, "b": {100 - n % 100}}}') for n in range(500)]
    found = results.weighed(changes)
    assert len(found) == results.WEIGHED_MAX
    assert found[0] == Weighed(0, {})
    assert [one.from_ms for one in found[1:]] == list(range(401, 500))
    skewed = build(NOTHING._replace(visitors=[[0, 7, 900], [0, 8, 100]]), *found)
    assert skewed.sample_ratio.code == "not_enough_data"
    assert skewed.variants["a"].tally.visitors == 900


def test_figures_of_a_decision_are_its_variants() -> None:
    counted = Counted(
        clicks=[[0, 7, 10, 9, 0], [1, 7, 5, 5, 0], [0, 8, 3, 3, 0]],
        visitors=[[0, 7, 8], [1, 7, 4], [0, 8, 3]],
        events=[[0, 7, "lead", 3, 2], [1, 7, "sale", 2, 1], [1, 7, "refund", 1, 1], [0, 8, "reinstatement", 1, 1]],
        money=[[0, 7, "USD", 100, 0], [1, 7, "USD", 900, 300], [0, 8, "EUR", 5, 0]],
        nets=[[0, 7, "USD", 50, 2], [1, 7, "USD", 600, 1], [0, 8, "EUR", 5, 1]],
    )
    built = build(counted, HALVES, MOSTLY_A)
    a, b = built.variants["a"], built.variants["b"]
    assert (a.clicks, a.tracked_clicks, b.clicks) == (15, 14, 3)
    assert (a.events["leads"], a.events["sales"], a.events["refunds"], b.events["reinstatements"]) == (3, 2, 1, 1)
    assert (a.tally.visitors, a.tally.leads, a.tally.sales) == (12, 2, 1)
    assert a.revenue == {"USD": (1_000, 300)}
    assert a.tally.revenue == {"USD": Sums(3, 700, 365_000)}
    assert list(built.revenue) == ["EUR", "USD"]


def test_an_experiment_that_never_ran_has_not_enough_data() -> None:
    built = results.build(VARIANTS, [], NOTHING, kept=False)
    assert {one.code for one in (built.sample_ratio, built.leads, built.sales)} == {"not_enough_data"}
    assert build(NOTHING).leads.code == "not_enough_data"


def test_a_mismatch_in_any_stretch_stops_every_finding() -> None:
    counted = NOTHING._replace(
        visitors=[[0, 7, 500], [0, 8, 500], [1, 7, 500], [1, 8, 500]],
        events=[[0, 7, "lead", 10, 10], [0, 8, "lead", 90, 90]],
    )
    built = build(counted, HALVES, MOSTLY_A)
    assert {one.code for one in (built.sample_ratio, built.leads, built.sales)} == {"sample_ratio_mismatch"}
    assert build(counted, HALVES, MOSTLY_A, kept=True).sample_ratio.code == "as_planned"


def test_weights_that_come_back_are_judged_together() -> None:
    """Half of a skew stands before the weights were others for a while, half of it after that."""
    twice = NOTHING._replace(visitors=[[0, 7, 560], [0, 8, 440], [2, 7, 540], [2, 8, 460]])
    once = NOTHING._replace(visitors=[[0, 7, 1_100], [0, 8, 900]])
    back = (HALVES, MOSTLY_A, Weighed(3_000, HALVES.weights))
    assert build(twice, *back).sample_ratio == build(once).sample_ratio
    first = NOTHING._replace(visitors=[[0, 7, 560], [0, 8, 440]])
    assert build(twice, *back, kept=True).sample_ratio == build(first).sample_ratio
