"""The real core held against the model: for every arrival order and every way of batching, the same answers.

NIMRIZ_LAWS_EXAMPLES sets how many histories each law is tried on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.base.errors import Refused
from nimriz.core.directory.mode import MODES, Mode
from nimriz.core.ledger import recording
from nimriz.core.ledger.intake import Answer
from tests.laws import facts, model, model_report
from tests.laws.facts import Event
from tests.laws.histories import BASE_MS, CLICKS, DAY_MS, histories
from tests.laws.ledger import Ledger, opened, order_of, report, settlement_of, verdict_of

EXAMPLES = int(os.environ.get("NIMRIZ_LAWS_EXAMPLES", "120"))
# A report takes its time to be planned, however little it reads.
fewer = settings(max_examples=max(EXAMPLES // 6, 1))
laws = settings(max_examples=EXAMPLES)
Batches = list[list[Event]]
# A report without bounds, and one whose ends cut through the clicks and the window.
PERIODS = ((0, 10**15), (BASE_MS + 1, BASE_MS + DAY_MS + 1))
FILTERS: dict[str, list[str]] = {
    "link": ["link-a", "link-b"], "variant": ["link-a/x", "link-b/x"], "utm_source": ["mail", "fair", ""],
    "tag": ["spring", "sale"], "event_name": ["lead", "sale", "refund", "reversal"],
}  # fmt: skip
NARROWED = st.dictionaries(st.sampled_from(sorted(FILTERS)), st.integers(1, 3), max_size=2).map(
    lambda drawn: {name: FILTERS[name][:count] for name, count in drawn.items()}
)
QUESTIONS = st.builds(
    lambda period, **others: {"from_ms": period[0], "to_ms": period[1], **others},
    st.sampled_from(PERIODS),
    by=st.sampled_from(("link", "variant", "event_name", "utm_source", "tag", *model_report.UNITS)),
    clock=st.sampled_from(("event", "click")),
    zone=st.sampled_from(("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu")),
    filters=NARROWED,
    model=st.sampled_from(("last", "first", "linear")),
)
Asked = dict[str, Any]


@st.composite
def deliveries(draw: st.DrawFn, history: Sequence[Event]) -> Batches:
    """One way for a history to arrive: in any order, with repeats that may mean something else, cut into batches."""
    arriving = list(draw(st.permutations(history)))
    for other in draw(st.lists(st.sampled_from(history), max_size=2)):
        place = draw(st.integers(1, len(arriving)))
        repeated = draw(st.sampled_from(arriving[:place]))
        arriving.insert(place, replace(other, event_id=repeated.event_id))
    cuts = draw(st.sampled_from(("one by one", "at once", "anyhow")))
    batches: Batches = []
    for event in arriving:
        if not batches or cuts == "one by one" or (cuts == "anyhow" and draw(st.booleans())):
            batches.append([])
        batches[-1].append(event)
    return batches


@st.composite
def arrivals(draw: st.DrawFn, ways: int = 1) -> tuple[list[Event], list[Batches]]:
    """A history, and ways for it to arrive."""
    history = draw(histories())
    return history, [draw(deliveries(history)) for _ in range(ways)]


def first_of(batches: Batches) -> list[Event]:
    """Every event in its first arrival: what the ledger keeps."""
    return list(model.known(event for batch in batches for event in batch).values())


def without_taken(settlements: dict[str, facts.Settlement | None]) -> dict[str, facts.Settlement | None]:
    """Settlements as the core tells them: which sale was taken from stands in the movements."""
    return {event_id: s and replace(s, taken=()) for event_id, s in settlements.items()}


def rated(report: facts.Report) -> facts.Report:
    """The model's report with its rates as floats, as the API gives them."""

    def row(told: facts.Row) -> facts.Row:
        return replace(told, rate=None if told.rate is None else float(Decimal(told.rate)))  # type: ignore[arg-type]

    rows = {key: row(told) for key, told in report.rows.items()}
    return replace(report, rows=rows, totals=row(report.totals), unattributed=row(report.unattributed))


def assert_agrees(ledger: Ledger, history: list[Event]) -> None:
    """Everything that can be read is what the model says of this set of events."""
    event_ids = [event.event_id for event in history]
    assert {e: ledger.verdict(e) for e in event_ids} == model.judge(history)
    settlements, moves = model.book(history)
    assert {e: ledger.settlement(e) for e in event_ids} == without_taken(settlements)
    summed: dict[tuple[str, str], int] = {}
    for by, of, minor in moves:
        summed[by, of] = summed.get((by, of), 0) + minor
    assert ledger.moves() == summed
    assert {e: _sums(order_of(ledger.order(e))) for e in event_ids} == {
        e: _sums(model.order_of(history, e)) for e in event_ids
    }


def _sums(order: facts.Order | None) -> facts.Order | None:
    return order and replace(order, follow_ons=[])


def assert_reports_agree(ledger: Ledger, arrived: Sequence[tuple[int, list[Event]]], asked: Sequence[Asked]) -> None:
    """These reports are the model's: now, and as of every moment at which something had arrived."""
    with ledger.columnar() as columnar:
        for question in asked:
            for as_of_ms, history in arrived:
                expected = model_report.report(history, 2 * CLICKS, **question)
                assert report(columnar, ledger.mode, **question, as_of_ms=as_of_ms) == rated(expected), as_of_ms


@laws
@given(arrivals(), st.sampled_from(MODES))
def test_every_arrival_ends_in_what_the_model_says(drawn: tuple[list[Event], list[Batches]], mode: Mode) -> None:
    _, (batches,) = drawn
    with opened(mode=mode) as ledger:
        ledger.record_all(batches)
        assert_agrees(ledger, first_of(batches))


@laws
@given(arrivals())
def test_the_follow_ons_of_an_order_are_all_that_name_one_of_its_sales(
    drawn: tuple[list[Event], list[Batches]],
) -> None:
    history, (batches,) = drawn
    with opened() as ledger:
        ledger.record_all(batches)
        for event in history:
            assert order_of(ledger.order(event.event_id)) == model.order_of(history, event.event_id)


@fewer
@given(arrivals(), st.sampled_from(MODES), st.lists(QUESTIONS, min_size=2, max_size=2), st.booleans())
def test_every_report_is_what_the_model_adds_up(
    drawn: tuple[list[Event], list[Batches]], mode: Mode, asked: list[Asked], looking_back: bool
) -> None:
    _, (batches,) = drawn
    with opened(mode=mode) as ledger:
        arrived: list[tuple[int, list[Event]]] = []
        for number, batch in enumerate(batches, 1):
            ledger.record(batch)
            arrived.append((ledger.arrival_ms, first_of(batches[:number])))
        before = arrived[-3:-1] if looking_back else []
        assert_reports_agree(ledger, [*before, (0, first_of(batches))], asked)


@laws
@given(arrivals())
def test_every_answer_is_what_the_model_says_of_what_had_arrived(drawn: tuple[list[Event], list[Batches]]) -> None:
    _, (batches,) = drawn
    with opened() as ledger:
        arrived: list[Event] = []
        for batch in batches:
            repeats, seen = [], {event.event_id for event in arrived}
            for event in batch:
                repeats.append(event.event_id in seen)
                seen.add(event.event_id)
            arrived += batch
            verdicts, settlements = model.judge(arrived), without_taken(model.settle(arrived))
            answers = ledger.record(batch)
            assert [answer.duplicate for answer in answers] == repeats
            assert [verdict_of(answer) for answer in answers] == [verdicts[e.event_id] for e in batch]
            assert [settlement_of(answer) for answer in answers] == [settlements[e.event_id] for e in batch]


@laws
@given(arrivals(ways=2))
def test_two_arrivals_end_in_the_same_bytes(drawn: tuple[list[Event], list[Batches]]) -> None:
    history, _ = drawn
    states = []
    for batches in drawn[1]:
        with opened() as ledger:
            ledger.record_all(batches)
            states.append(ledger.state(event.event_id for event in history))
    assert states[0] == states[1]


@laws
@given(arrivals(), st.integers(1, 3), st.booleans())
def test_however_little_is_judged_at_once_the_end_is_the_same(
    drawn: tuple[list[Event], list[Batches]], rejudge_max: int, between: bool
) -> None:
    _, (batches,) = drawn
    with patch.object(recording, "DOCKET_PAGE", 2), opened(rejudge_max) as ledger:
        for batch in batches:
            ledger.record(batch)
            if between:
                ledger.work_off()
        ledger.work_off()
        assert_agrees(ledger, first_of(batches))


@fewer
@given(arrivals())
def test_excess_and_mismatch_are_part_of_no_total(drawn: tuple[list[Event], list[Batches]]) -> None:
    _, (batches,) = drawn
    history = first_of(batches)
    with opened() as ledger, opened() as modest:
        ledger.record_all(batches)
        exceeding = {e.event_id: ledger.settlement(e.event_id) for e in history}
        asking = [
            replace(e, minor=0 if s.status == "mismatch" else e.minor - s.excess)
            if (s := exceeding[e.event_id]) is not None and e.minor is not None and s.status != "pending"
            else e
            for e in history
        ]
        modest.record_all([asking])
        told = []
        for one in (ledger, modest):
            with one.columnar(clicked=False) as columnar:
                told.append([report(columnar, "live", by) for by in ("variant", "event_name")])
        assert told[0] == told[1]


@laws
@given(arrivals(), st.data())
def test_a_rehearsal_says_what_recording_says_and_leaves_no_trace(
    drawn: tuple[list[Event], list[Batches]], data: st.DataObject
) -> None:
    _, (batches,) = drawn
    first = data.draw(st.integers(0, len(batches) - 1))
    with opened() as ledger:
        for batch in batches[:first]:
            ledger.record(batch)
        before = ledger.dump()
        claims = [ledger.authentic(event, key=f"key-{event.event_id}") for event in batches[first]]
        rehearsed = ledger.recorder.validate(claims)
        assert ledger.dump() == before
        (recorded,) = ledger.recorder.commit([claims])
        assert isinstance(recorded, list)
        # A rehearsed event has no id of ours, person or commitment yet: these are drawn anew.
        assert [_told(answer) for answer in rehearsed] == [_told(answer) for answer in recorded]


def _told(answer: Answer) -> object:
    if isinstance(answer, Refused):
        return answer.code
    return answer._replace(outcome=answer.outcome._replace(outcome_id="", person_id="", commitment=b""))
