"""Experiments: from draft to history, and what may still change on the way."""

from __future__ import annotations

import json
from functools import partial

import pytest

from nimriz.base.errors import Refused
from nimriz.core.routing import decisions, experiments
from nimriz.core.routing.decisions import Kind
from nimriz.core.routing.experiments import Experiment, State, Variant, Verb, moved, with_variants
from tests.laws.ledger import NOW_MS, opened

LINK, WORKSPACE = "01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000002"


def variants(*weights: int) -> list[Variant]:
    """Variants a, b, ... with these weights."""
    return [Variant("abcdefghij"[n], "", weight, f"https://shop.example/{n}") for n, weight in enumerate(weights)]


def draft(*weights: int) -> Experiment:
    """An experiment that was not started."""
    return with_variants(experiments.new("e1", WORKSPACE, LINK, NOW_MS), variants(*(weights or (50, 50))))


def test_the_verbs_lead_from_draft_to_history_and_nowhere_else() -> None:
    allowed: dict[tuple[State, Verb], State] = {
        ("draft", "start"): "running",
        ("running", "pause"): "paused",
        ("running", "stop"): "stopped",
        ("paused", "start"): "running",
        ("paused", "stop"): "stopped",
    }
    states: tuple[State, ...] = ("draft", "running", "paused", "stopped")
    verbs: tuple[Verb, ...] = ("start", "pause", "stop")
    for state in states:
        for verb in verbs:
            before = draft()._replace(state=state)
            if (state, verb) in allowed:
                assert moved(before, verb, 5).state == allowed[state, verb]
            else:
                with pytest.raises(Refused) as refused:
                    moved(before, verb, 5)
                assert refused.value.code == "experiment_state"


def test_started_is_the_first_time_and_stopped_the_only_one() -> None:
    running = moved(draft(), "start", 5)
    again = moved(moved(running, "pause", 6), "start", 7)
    assert (again.started_at_ms, again.stopped_at_ms) == (5, None)
    assert moved(again, "stop", 8).stopped_at_ms == 8


def test_a_started_experiment_takes_other_weights_and_names_but_no_other_variants() -> None:
    running = moved(draft(50, 50), "start", 5)
    changed = with_variants(running, [variants(60, 40)[1], variants(60, 40)[0]._replace(name="New name")])
    assert [(v.key, v.weight, v.name) for v in changed.arms] == [("a", 60, "New name"), ("b", 40, "")]
    assert sum(a != b for a, b in zip(running.table, changed.table, strict=True)) == 10
    for other in (
        variants(50, 40, 10),
        [variants(50)[0], variants(1, 50)[1]._replace(destination="https://b.example/")],
    ):
        with pytest.raises(Refused) as refused:
            with_variants(running, other)
        assert refused.value.code == "experiment_started"


def test_phases_say_from_when_on_which_weights_were_in_force() -> None:
    with opened() as ledger:
        first = draft()
        steps = [first, moved(first, "start", 10)]
        steps.append(steps[-1]._replace(name="A name changes nothing that counts"))
        steps.append(with_variants(steps[-1], variants(60, 40)))
        steps.append(moved(steps[-1], "pause", 13))
        steps.append(moved(steps[-1], "stop", 14))
        before: Experiment | None = None
        for n, after in enumerate(steps):
            ledger.database.write(partial(experiments.save, before=before, after=after, now_ms=9 + n))
            before = after
        found = ledger.database.read(lambda tx: experiments.phases(tx, "e1"))
        assert [(p.began_at_ms, p.state, json.loads(p.weights)) for p in found] == [
            (10, "running", {"a": 50, "b": 50}),
            (12, "running", {"a": 60, "b": 40}),
            (13, "paused", {"a": 60, "b": 40}),
            (14, "stopped", {"a": 60, "b": 40}),
        ]
        assert ledger.database.read(lambda tx: experiments.find(tx, LINK, "e1")) == steps[-1]
        ledger.database.write(lambda tx: experiments.remove_draft(tx, steps[-1]))
        assert ledger.database.read(lambda tx: experiments.of_link(tx, LINK)) == [steps[-1]]


def test_a_decision_number_is_given_once_and_a_key_belongs_to_one_experiment() -> None:
    with opened() as ledger:

        def give(wanted: list[tuple[Kind, str, str]]) -> dict[tuple[str, str], int]:
            return ledger.database.write(lambda tx: decisions.give(tx, WORKSPACE, LINK, wanted, NOW_MS))

        first = give([("route", "r", ""), ("variant", "e", "a"), ("variant", "e", "b")])
        assert first == {("r", ""): 1, ("e", "a"): 2, ("e", "b"): 3}
        assert give([("route", "s", ""), ("variant", "e", "b")]) == {**first, ("s", ""): 4}
        with pytest.raises(Refused) as refused:
            give([("variant", "e2", "a")])
        assert refused.value.code == "variant_key_taken"
        named = ledger.database.read(lambda tx: decisions.named(tx, [(LINK, 3), (LINK, 1), (LINK, 0), (LINK, 99)]))
        assert {pair: one.variant_key for pair, one in named.items()} == {(LINK, 3): f"{LINK}/b", (LINK, 1): ""}
