"""What is excluded counts in nothing: the core against the model, whenever the decision falls, and taken back."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.core.directory.mode import MODES, Mode
from tests.laws.examples import A, B, back, lead, sale, unattributed
from tests.laws.facts import Event
from tests.laws.ledger import Ledger, opened
from tests.laws.test_ledger_against_model import (
    EXAMPLES,
    QUESTIONS,
    Asked,
    Batches,
    arrivals,
    assert_agrees,
    assert_reports_agree,
    first_of,
)


@st.composite
def leaks(draw: st.DrawFn) -> tuple[Batches, int]:
    """A way for a history to arrive, some of it signed by a secret that has leaked, and when that is decided."""
    history, (batches,) = draw(arrivals())
    signed = draw(st.sets(st.sampled_from([event.event_id for event in history])))
    marked = [[replace(event, excluded=event.event_id in signed) for event in batch] for batch in batches]
    return marked, draw(st.integers(0, len(marked)))


def play(ledger: Ledger, batches: Batches, decided_after: int) -> list[Event]:
    """Let a history arrive, with the decision in between."""
    ledger.record_all(batches[:decided_after])
    ledger.decide(True)
    ledger.record_all(batches[decided_after:])
    return first_of(batches)


@settings(max_examples=max(EXAMPLES // 3, 1))
@given(leaks(), st.sampled_from(MODES), st.sampled_from((1, 256)))
def test_whenever_it_is_decided_what_stands_is_what_the_model_says(
    drawn: tuple[Batches, int], mode: Mode, rejudge_max: int
) -> None:
    with opened(rejudge_max, mode) as ledger:
        history = play(ledger, *drawn)
        assert_agrees(ledger, history)
        ledger.decide(False)
        assert_agrees(ledger, [replace(event, excluded=False) for event in history])
        ledger.decide(True)
        assert_agrees(ledger, history)


@settings(max_examples=max(EXAMPLES // 12, 1))
@given(leaks(), st.sampled_from(MODES), st.lists(QUESTIONS, min_size=1, max_size=3))
def test_a_report_shows_what_is_excluded_as_a_reason_and_sums_none_of_it_and_tells_how_it_was_before(
    drawn: tuple[Batches, int], mode: Mode, asked: list[Asked]
) -> None:
    with opened(mode=mode) as ledger:
        batches, _ = drawn
        ledger.record_all(batches)
        before = ledger.arrival_ms, [replace(event, excluded=False) for event in first_of(batches)]
        ledger.decide(True)
        assert_reports_agree(ledger, [before, (ledger.arrival_ms, first_of(batches))], asked)


def leaked(event: Event) -> Event:
    return replace(event, excluded=True)


def test_what_follows_an_excluded_sale_goes_out_with_it_and_comes_back_with_it() -> None:
    with opened() as ledger:
        ledger.record([leaked(sale("s", 100, order="o")), back("r", 30, order="o"), back("e", 10, 3_000, of="s")])
        taken = {("r", "s"): 30, ("e", "s"): 10}
        assert ledger.moves() == taken
        ledger.decide(True)
        assert [ledger.verdict(e) for e in ("s", "r", "e")] == [unattributed("excluded")] * 3
        settled = [ledger.settlement(e) for e in ("r", "e")]
        assert [(one.status, one.applied) for one in settled if one is not None] == [("mismatch", 0)] * 2
        assert ledger.moves() == {}
        assert ledger.order("s") is None
        ledger.decide(False)
        assert ledger.moves() == taken
        assert ledger.verdict("r").method == "related"


def test_an_order_with_another_sale_goes_on_without_the_excluded_one() -> None:
    with opened() as ledger:
        ledger.record([leaked(sale("s", 100, order="o")), sale("t", 50, 2_000, click=B, order="o")])
        ledger.record([back("r", 70, 3_000, order="o"), leaked(back("x", 5, 4_000, order="o"))])
        ledger.decide(True)
        assert ledger.verdict("r").link_id == "link-b"
        assert {pair: moved for pair, moved in ledger.moves().items() if moved} == {("r", "t"): 50}
        order = ledger.order("t")
        assert order is not None
        assert (order.sales, order.follow_ons, order.gross_minor, order.excess_minor) == (["t"], ["r"], 50, 20)


def test_a_tie_of_an_excluded_event_ties_nothing_unless_another_event_knows_it_too() -> None:
    with opened() as ledger:
        ledger.record([leaked(lead("planted", click=B, person="ann"))])
        ledger.record([lead("own", 2_000, click=B, person="ann"), leaked(lead("only", click=A, person="bob"))])
        ledger.record([sale("s", 5, 5_000, click=None, person="ann"), sale("t", 5, 5_000, click=None, person="bob")])
        ledger.decide(True)
        assert ledger.verdict("s").link_id == "link-b"
        assert ledger.verdict("t") == unattributed("external_id_unknown")
        ledger.decide(False)
        assert ledger.verdict("t").link_id == "link-a"


def test_a_decision_holds_for_what_arrives_in_its_time_and_the_newest_stands() -> None:
    with opened() as ledger:
        ledger.record([leaked(lead("a", click=A))])
        ledger.decide(True)
        ledger.record([leaked(lead("b", click=A)), lead("c", click=A)])
        assert [ledger.verdict(e).reason for e in "abc"] == ["excluded", "excluded", None]
        ledger.decide(False)
        ledger.decide(True)
        ledger.decide(False)
        assert [ledger.verdict(e).status for e in "abc"] == ["attributed"] * 3
