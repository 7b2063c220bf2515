"""Experiments: variants of a link that are compared, and their life from draft to history.

Owns the tables experiments and experiment_phases. States:

    draft    being prepared; everything can be changed
    running  divides the visitors that its conditions let through
    paused   takes no part for a while, so visitors go on to the next rule; everybody keeps their variant
    stopped  over for ever; a read-only history

Once started, the variants and where they lead stay as they are: only names, weights and conditions may change. Phases
say, append-only, from when on which weights were in force.
"""

from __future__ import annotations

import json
import os
from typing import Literal, NamedTuple

from nimriz.base.errors import Refused
from nimriz.core.routing import buckets
from nimriz.store.db import Params, Tx

State = Literal["draft", "running", "paused", "stopped"]
Verb = Literal["start", "pause", "stop"]
VARIANTS_MIN = 2
# What a verb makes of an experiment, and in which states it may be said.
_MOVES: dict[Verb, tuple[State, tuple[State, ...]]] = {
    "start": ("running", ("draft", "paused")),
    "pause": ("paused", ("running",)),
    "stop": ("stopped", ("running", "paused")),
}


class Variant(NamedTuple):
    """One destination of an experiment. The key never changes, the name may. `weight` is whole percent."""

    key: str
    name: str
    weight: int
    destination: str


class Experiment(NamedTuple):
    """An experiment. `conditions`, `variants` and `buckets` are JSON; `promoted` is the winner's key, '' for none."""

    experiment_id: str
    workspace_id: str
    link_id: str
    name: str
    state: State
    conditions: str
    salt: bytes
    variants: str
    buckets: str
    promoted: str
    created_at_ms: int
    started_at_ms: int | None = None
    stopped_at_ms: int | None = None

    @property
    def arms(self) -> list[Variant]:
        """Its variants, in their order."""
        return [Variant(**variant) for variant in json.loads(self.variants)]

    @property
    def table(self) -> bytes:
        """For each of 100 buckets the place of the variant that has it."""
        return buckets.table(json.loads(self.buckets))


class Phase(NamedTuple):
    """From when on an experiment was in a state with these weights (JSON, percent by variant key)."""

    seq: int
    began_at_ms: int
    state: str
    weights: str


_COLUMNS = ", ".join(Experiment._fields)
_FIXED = ("experiment_id", "workspace_id", "link_id", "salt", "created_at_ms")
_SET = ", ".join(f"{f} = excluded.{f}" for f in Experiment._fields if f not in _FIXED)
_SAVE = (
    f"insert into experiments ({_COLUMNS}) values ({', '.join(':' + f for f in Experiment._fields)}) "
    f"on conflict (experiment_id) do update set {_SET}"
)
_OF_LINK = f"select {_COLUMNS} from experiments where link_id = :link_id order by experiment_id"
_PHASE = (
    "insert into experiment_phases (workspace_id, link_id, experiment_id, began_at_ms, state, weights) "
    "values (:workspace_id, :link_id, :experiment_id, :began_at_ms, :state, :weights)"
)


def new(experiment_id: str, workspace_id: str, link_id: str, now_ms: int) -> Experiment:
    """A draft without variants, with a salt of its own."""
    salt = os.urandom(buckets.SALT_BYTES)
    return Experiment(experiment_id, workspace_id, link_id, "", "draft", "{}", salt, "[]", "[]", "", now_ms)


def with_variants(experiment: Experiment, variants: list[Variant]) -> Experiment:
    """The experiment with these variants, whose weights sum to 100; of one that was started, with other weights.

    Raises Refused(experiment_started) when a started one would get other variants or destinations.
    """
    if experiment.state == "draft":
        holdings = buckets.dealt([variant.weight for variant in variants])
    else:
        given = {variant.key: variant for variant in variants}
        before = experiment.arms
        if {(v.key, v.destination) for v in variants} != {(v.key, v.destination) for v in before}:
            raise Refused("experiment_started")
        # A bucket belongs to a place in the list, so that stays.
        variants = [given[variant.key] for variant in before]
        holdings = buckets.dealt_again(json.loads(experiment.buckets), [variant.weight for variant in variants])
    told = json.dumps([variant._asdict() for variant in variants], ensure_ascii=False)
    return experiment._replace(variants=told, buckets=json.dumps(holdings))


def moved(experiment: Experiment, verb: Verb, now_ms: int) -> Experiment:
    """The experiment after a verb. Raises Refused(experiment_state) where it cannot be said."""
    state, allowed = _MOVES[verb]
    if experiment.state not in allowed:
        raise Refused("experiment_state", state=experiment.state)
    if state == "running" and experiment.started_at_ms is None:
        experiment = experiment._replace(started_at_ms=now_ms)
    return experiment._replace(state=state, stopped_at_ms=now_ms if state == "stopped" else None)


def save(tx: Tx, before: Experiment | None, after: Experiment, now_ms: int) -> None:
    """Store an experiment, and a phase when state or weights differ from those in force."""
    if after == before:
        return
    tx.run(_SAVE, after._asdict())
    weights = _weights(after)
    if after.state != "draft" and (before is None or before.state != after.state or _weights(before) != weights):
        params: Params = {
            "workspace_id": after.workspace_id,
            "link_id": after.link_id,
            "experiment_id": after.experiment_id,
            "began_at_ms": now_ms,
            "state": after.state,
            "weights": weights,
        }
        tx.run(_PHASE, params)


def _weights(experiment: Experiment) -> str:
    return json.dumps({variant.key: variant.weight for variant in experiment.arms})


def remove_draft(tx: Tx, experiment: Experiment) -> None:
    """Forget an experiment that was never started; its decision numbers are not given again."""
    tx.run(
        "delete from experiments where experiment_id = :experiment_id and state = 'draft'",
        {"experiment_id": experiment.experiment_id},
    )


def of_link(tx: Tx, link_id: str) -> list[Experiment]:
    """Every experiment of a link, the oldest first; those of the past too."""
    return [Experiment._make(row) for row in tx.all(_OF_LINK, {"link_id": link_id})]


def find(tx: Tx, link_id: str, experiment_id: str) -> Experiment:
    """One experiment of a link. Raises Refused(experiment_not_found)."""
    found = next((one for one in of_link(tx, link_id) if one.experiment_id == experiment_id), None)
    if found is None:
        raise Refused("experiment_not_found")
    return found


def phases(tx: Tx, experiment_id: str) -> list[Phase]:
    """The phases of an experiment, the oldest first; each lasts until the next begins."""
    rows = tx.all(
        "select seq, began_at_ms, state, weights from experiment_phases "
        "where experiment_id = :experiment_id order by seq",
        {"experiment_id": experiment_id},
    )
    return [Phase._make(row) for row in rows]
