"""Explanation: every reason has its scenario and its code, and judging anew comes to what stands."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given, settings

from nimriz.core.ledger import explanation
from nimriz.core.ledger.attribution import TokenReader
from nimriz.core.ledger.explanation import Explanation
from nimriz.core.ledger.trace import WORDS, words
from tests.laws.examples import A, B, T, back, lead, sale
from tests.laws.facts import Event
from tests.laws.histories import DAY_MS, histories
from tests.laws.ledger import WORKSPACE, Ledger, opened, token

SCENARIOS: dict[str, list[Event]] = {
    "attributed": [lead("e", 0, A)],
    "token_malformed": [lead("e", 0, "token_malformed")],
    "token_forged": [lead("e", 0, "token_forged")],
    "token_other_workspace": [lead("e", 0, "token_other_workspace")],
    "before_click": [lead("e", -300_001, A)],
    "outside_window": [lead("e", 30 * DAY_MS + 1, A)],
    "external_id_unknown": [lead("e", 0, person="ann")],
    "no_identity": [lead("e", 0)],
    "related_pending": [back("e", 5, of="s")],
    "related_invalid": [back("s", 5, of="e"), back("e", 5, of="s")],
    "excluded": [replace(lead("e", 0, A), excluded=True)],
}
MONEY: dict[str, list[Event]] = {
    "settled": [sale("s"), back("e", 5, of="s")],
    "excess": [sale("s"), back("e", 500, of="s")],
    "pending": [back("e", 5, of="s")],
    "mismatch": [sale("s"), back("e", 5, of="s", currency="JPY")],
    "no_money": [lead("s"), back("e", 5, of="s")],
    "given_back": [sale("s"), back("x", 60, of="s", name="reversal"), sale("e", 40, 3_000, names="x")],
}


def explained(ledger: Ledger, event_id: str) -> Explanation:
    reader: TokenReader = ledger.recorder._reader
    found = ledger.database.read(
        lambda tx: explanation.explain(tx, ledger.mode, ledger.vault, reader, WORKSPACE, event_id, ledger.arrival_ms)
    )
    assert found is not None
    return found


def codes(found: Explanation, check: str) -> list[str]:
    return [step.code for step in found.steps if step.check == check]


@pytest.mark.parametrize("reason", SCENARIOS)
def test_every_reason_is_explained_by_exactly_its_code(reason: str) -> None:
    with opened() as ledger:
        ledger.record_all([[event] for event in SCENARIOS[reason]])
        ledger.decide(True)
        found = explained(ledger, "e")
    stands = found.conversion.verdict
    assert (stands.reason or stands.status) == reason
    assert codes(found, "verdict") == [reason]
    others = {step.code for step in found.steps if words(step).passed is False and step.check != "settlement"}
    assert others <= {reason}
    assert found.reproduced


def test_every_reason_and_every_settlement_that_has_words_has_a_scenario() -> None:
    assert {code for check, code in WORDS if check == "verdict"} == SCENARIOS.keys()
    assert {code for check, code in WORDS if check == "settlement"} == {*MONEY, "order_too_large"}


@pytest.mark.parametrize("code", MONEY)
def test_every_settlement_is_explained_with_its_figures(code: str) -> None:
    with opened() as ledger:
        ledger.record_all([MONEY[code]])
        found = explained(ledger, "e")
    assert codes(found, "settlement") == [code]
    assert found.reproduced


def test_a_refund_says_what_it_took_from_which_sale_and_what_is_left() -> None:
    with opened() as ledger:
        ledger.record([sale("1", 10, 1, order="o"), sale("2", 10, 2, order="o"), back("e", 15, order="o")])
        step = explained(ledger, "e").steps[-1]
    assert step.facts == {
        "asked_for": "0.15 USD",
        "left_before": "0.20 USD",
        "applied": "0.15 USD",
        "taken_from": [{"event_id": "1", "amount": "0.10 USD"}, {"event_id": "2", "amount": "0.05 USD"}],
        "excess": "0.00 USD",
        "remaining": "0.05 USD",
    }
    assert words(step).sentence == "All of 0.15 USD was taken; 0.05 USD is left of the order."


def test_every_tie_is_asked_and_the_chosen_one_is_told() -> None:
    with opened() as ledger:
        ties = [lead("a", 1_000, A, "ann"), lead("b", 2_000, B, "ann"), lead("late", 9_000_000, A, "ann")]
        ledger.record([*ties, sale("e", at=3_000, click=None, person="ann")])
        found = explained(ledger, "e")
    assert codes(found, "tie") == ["tie_fits", "tie_fits"]
    assert codes(found, "external_id") == ["tie_chosen"]
    assert found.steps[-2].facts["click_id"] == found.conversion.verdict.click_id


def test_a_tie_from_later_is_shown_as_such() -> None:
    with opened() as ledger:
        ledger.record([lead("late", 9_000_000, A, "ann"), sale("e", at=3_000, click=None, person="ann")])
        found = explained(ledger, "e")
    assert codes(found, "tie") == ["tie_from_later"]
    assert codes(found, "verdict") == ["external_id_unknown"]


def test_the_figures_of_a_window_are_told() -> None:
    with opened() as ledger:
        ledger.record([lead("e", 30 * DAY_MS + 1_000, A)])
        (step,) = [step for step in explained(ledger, "e").steps if step.check == "click_time"]
    assert words(step).sentence == "The event is 2592001 s after the click, which counts for 30 days."
    assert step.facts["counts_until"] == "2026-12-22T23:58:00.000Z"
    assert T == 1_795_391_880_000


def test_earlier_verdicts_stand_with_their_dates() -> None:
    with opened() as ledger:
        ledger.record([back("e", 5, of="s")])
        ledger.record([sale("s")])
        found = explained(ledger, "e")
    assert [(verdict.status, verdict.reason) for _, verdict, _ in found.verdicts] == [
        ("attributed", ""),
        ("pending", "related_pending"),
    ]
    assert [settled and settled.status for _, settled in found.settlements] == ["settled", "pending"]
    assert found.verdicts[0][0] == found.verdicts[1][0] + 1_000


def test_an_order_with_very_many_follow_ons_is_explained_by_what_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanation, "FOLLOW_ONS_MAX", 2)
    with opened() as ledger:
        ledger.record([sale("s"), *(back(f"e{n}", 1, of="s") for n in range(3))])
        found = explained(ledger, "e1")
    assert codes(found, "settlement") == ["order_too_large"]
    assert found.reproduced


def test_no_step_tells_a_token() -> None:
    with opened() as ledger:
        ledger.record([lead("e", 0, A, "ann")])
        found = explained(ledger, "e")
    assert token(A)[6:20] not in repr(found.steps)


@settings(max_examples=int(os.environ.get("NIMRIZ_LAWS_EXAMPLES", "40")), deadline=None)
@given(histories())
def test_judging_anew_always_comes_to_what_stands_and_every_step_has_words(history: list[Event]) -> None:
    with opened() as ledger:
        ledger.record_all([[event] for event in history])
        for event in history:
            found = explained(ledger, event.event_id)
            assert found.reproduced
            stands = found.conversion.verdict
            assert codes(found, "verdict") == [stands.reason or stands.status]
            settled = found.conversion.settlement
            if settled is not None:
                assert codes(found, "settlement") == [settled.status]
            for step in found.steps:
                assert words(step).sentence
            chosen = [s.facts["click_id"] for s in found.steps if s.code in ("tie_chosen", "click_inside_window")]
            if stands.method in ("click_id", "external_id"):
                assert chosen == [stands.click_id]
            else:
                assert chosen == []


def test_a_tie_of_an_excluded_event_is_shown_as_such() -> None:
    with opened() as ledger:
        planted = replace(lead("planted", 1_000, A, "ann"), excluded=True)
        ledger.record([planted, sale("e", at=3_000, click=None, person="ann")])
        ledger.decide(True)
        found = explained(ledger, "e")
    assert codes(found, "tie") == ["tie_excluded"]
    assert codes(found, "external_id") == ["external_id_unknown"]
    assert found.reproduced
