"""Rehearing: whatever comes between the snapshot and the writing, the end is what the model says."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.core.directory.mode import Mode
from nimriz.core.ledger import docket, rehearing
from nimriz.core.ledger.docket import Entry
from nimriz.core.ledger.recording import Recorder
from nimriz.core.ledger.rehearing import Reheard
from nimriz.store.db import Tx
from tests.laws.examples import A, B, back, lead, sale
from tests.laws.facts import Event
from tests.laws.histories import histories
from tests.laws.ledger import WORKSPACE, Ledger, opened
from tests.laws.test_ledger_against_model import assert_agrees

EXAMPLES = int(os.environ.get("NIMRIZ_LAWS_EXAMPLES", "40"))


def prepared(tx: Tx, recorder: Recorder, mode: Mode, entries: Sequence[Entry]) -> Reheard:
    return rehearing.prepare(tx, mode, entries, lambda snapshot: recorder._hearing(snapshot, mode, entries[0]))


def interrupted(ledger: Ledger, batches: list[list[Event]]) -> list[bool]:
    """Let one batch arrive each time between snapshot and writing; whether what was prepared was written."""
    written: list[bool] = []

    def work(recorder: Recorder, mode: Mode, entries: Sequence[Entry]) -> bool:
        reheard = ledger.database.read(lambda tx: prepared(tx, recorder, mode, entries))
        if batches:
            ledger.record(batches.pop(0))
        done = ledger.database.write(lambda tx: rehearing.perform(tx, mode, reheard))
        written.append(done)
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "_hear_apart", work)
        ledger.work_off()
    return written


@st.composite
def arrivals(draw: st.DrawFn) -> list[list[Event]]:
    events = draw(st.permutations(draw(histories())))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(events) - 1)), max_size=4)))
    return [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True) if events[a:b]]


@settings(max_examples=EXAMPLES, deadline=None)
@given(arrivals(), st.integers(1, 2))
def test_whatever_comes_between_the_end_is_what_the_model_says(batches: list[list[Event]], rejudge_max: int) -> None:
    history = [event for batch in batches for event in batch]
    with opened(rejudge_max) as ledger:
        ledger.record(batches[0])
        rest = batches[1:]
        interrupted(ledger, rest)
        for batch in rest:
            ledger.record(batch)
        ledger.work_off()
        assert_agrees(ledger, history)


def test_a_crowded_order_is_settled_while_more_follow_ons_keep_coming() -> None:
    refunds = [back(f"r{n}", 1, 2_000 + n, order="o") for n in range(8)]
    with opened(rejudge_max=2) as ledger:
        ledger.record([sale("s", order="o")])
        for refund in refunds[:5]:
            ledger.record([refund])
        assert all(interrupted(ledger, [[refund] for refund in refunds[5:]]))
        assert sum(ledger.moves().values()) == 8
        assert_agrees(ledger, [sale("s", order="o"), *refunds])


def test_what_would_be_judged_otherwise_by_now_is_not_written() -> None:
    history = [*(sale(f"s{n}", 1, 2_000 + n, click=None, person="ann") for n in range(3)), lead("l", 0, A, "ann")]
    later = lead("m", 1_000, B, "ann")
    with opened(rejudge_max=2) as ledger:
        for event in history:
            ledger.record([event])
        entries = [Entry(WORKSPACE, "event", f"s{n}") for n in range(3)]
        for entry in entries:
            ledger.database.write(lambda tx, e=entry: docket.enter(tx, "live", e, 0, 1))  # type: ignore[misc]
        reheard = ledger.database.read(lambda tx: prepared(tx, ledger.recorder, "live", entries))
        ledger.record([later])
        assert ledger.database.write(lambda tx: rehearing.perform(tx, "live", reheard)) is False
        ledger.work_off()
        assert ledger.verdict("s0").click_id == B.click_id
        assert_agrees(ledger, [*history, later])


def test_an_entry_that_was_entered_again_meanwhile_stays() -> None:
    with opened(rejudge_max=1) as ledger:
        refunds = [back(f"r{n}", 1, 2_000 + n, of="s") for n in range(3)]
        ledger.record([*refunds])
        ledger.record([sale("s")])
        entries = ledger.database.read(lambda tx: tx.all("select subject_id from docket where subject = 'event'"))
        waiting = [Entry(WORKSPACE, "event", row[0]) for row in entries]
        reheard = ledger.database.read(lambda tx: prepared(tx, ledger.recorder, "live", waiting))
        ledger.database.write(lambda tx: tx.run("update docket set entered_at_ms = entered_at_ms + 1"))
        assert ledger.database.write(lambda tx: rehearing.perform(tx, "live", reheard))
        assert (
            ledger.database.read(lambda tx: tx.all("select subject_id from docket where subject = 'event'")) == entries
        )
