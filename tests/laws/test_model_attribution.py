"""Section 3.6, sentence by sentence: a test of the model is a test of our reading of the contract."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.laws.examples import A, B, T, back, lead, sale, settled, unattributed
from tests.laws.facts import Settlement, Verdict
from tests.laws.histories import DAY_MS
from tests.laws.model import judge


@pytest.mark.parametrize(
    ("after_ms", "reason"),
    [
        (-300_001, "before_click"), (-300_000, None), (-1, None), (0, None),
        (30 * DAY_MS, None), (30 * DAY_MS + 1, "outside_window"),
    ],
)  # fmt: skip
def test_both_ends_of_grace_and_window_are_inside_to_the_millisecond(after_ms: int, reason: str | None) -> None:
    assert judge([lead("e", after_ms, A)])["e"].reason == reason


def test_the_window_is_the_one_that_travels_in_the_token() -> None:
    short = replace(A, window_days=1)
    assert judge([lead("e", 2 * DAY_MS, short)])["e"] == unattributed("outside_window")
    assert judge([lead("e", 2 * DAY_MS, A)])["e"].link_id == "link-a"


def test_a_bad_token_is_kept_with_its_reason() -> None:
    for reason in ("token_malformed", "token_forged", "token_other_workspace"):
        assert judge([lead("e", click=reason)])["e"] == unattributed(reason)


def test_a_person_is_credited_to_the_latest_click_at_or_before() -> None:
    later = replace(B, time_ms=T + 500)
    future = replace(B, click_id="03", time_ms=T + 1_100)
    ties = [lead("1", 1_000, A, "ann"), lead("2", 1_000, later, "ann"), lead("3", 1_200, future, "ann")]
    verdict = judge([*ties, sale("e", at=1_000, click=None, person="ann")])["e"]
    assert verdict == Verdict("attributed", "external_id", None, "link-b", "x", "02")


def test_only_if_there_is_none_the_nearest_inside_the_grace() -> None:
    near, far = replace(A, time_ms=T + 1_000), replace(B, time_ms=T + 2_000)
    ties = [lead("1", 2_000, far, "ann"), lead("2", 2_000, near, "ann")]
    assert judge([*ties, sale("e", at=0, click=None, person="ann")])["e"].link_id == "link-a"


def test_of_one_millisecond_the_greater_click_id() -> None:
    ties = [lead("1", 0, B, "ann"), lead("2", 0, A, "ann")]
    assert judge([*ties, sale("e", click=None, person="ann")])["e"].click_id == "02"
    assert judge([*ties, sale("e", at=-1, click=None, person="ann")])["e"].click_id == "02"


def test_a_tie_holds_from_300_seconds_before_its_own_event_on() -> None:
    tie = lead("tie", 1_000_000, A, "ann")
    assert judge([tie, sale("e", at=700_000, click=None, person="ann")])["e"].link_id == "link-a"
    unknown = judge([tie, sale("e", at=699_999, click=None, person="ann")])["e"]
    assert unknown == unattributed("external_id_unknown")


def test_a_tie_holds_though_its_own_event_is_not_attributed() -> None:
    tie = lead("tie", -400_000, A, "ann")
    verdicts = judge([tie, sale("e", click=None, person="ann")])
    assert verdicts["tie"] == unattributed("before_click")
    assert verdicts["e"].method == "external_id"


def test_follow_ons_and_repeats_tie_nothing() -> None:
    tying = replace(back("r", of="e"), click=A, external_id="ann")
    assert judge([sale("e", click=None, person="ann"), tying])["e"] == unattributed("external_id_unknown")
    late = replace(lead("1", 0, None, "ann"), click=A)
    assert judge([lead("1", 0, None, "ann"), late])["1"] == unattributed("external_id_unknown")


def test_a_bad_click_falls_back_on_the_person_but_its_own_reason_is_told() -> None:
    tie = lead("tie", 0, A, "ann")
    assert judge([tie, sale("e", click="token_forged", person="ann")])["e"].method == "external_id"
    assert judge([sale("e", click="token_forged", person="ann")])["e"] == unattributed("token_forged")


def test_people_who_differ_in_case_differ() -> None:
    verdicts = judge([lead("tie", 0, A, "ann"), sale("e", click=None, person="Ann")])
    assert verdicts["e"] == unattributed("external_id_unknown")


def test_a_tied_click_that_fails_tells_its_reason() -> None:
    events = [lead("tie", 0, A, "ann"), sale("e", at=31 * DAY_MS, click=None, person="ann")]
    assert judge(events)["e"] == unattributed("outside_window")


def test_nobody_is_no_identity() -> None:
    assert judge([lead("e")])["e"] == unattributed("no_identity")


def test_a_follow_on_takes_the_verdict_of_what_it_names_and_its_own_identity_decides_nothing() -> None:
    refund = replace(back("r", of="s"), click=B)
    assert judge([sale("s"), refund])["r"] == Verdict("attributed", "related", None, "link-a", None, "01")
    assert judge([sale("s", click=None), refund])["r"] == unattributed("no_identity")


def test_by_order_it_takes_the_verdict_of_the_earliest_sale_in_its_currency() -> None:
    sales = [
        sale("s1", at=1, order="o", currency="JPY"),
        sale("s2", at=3, order="o"),
        sale("s3", at=2, order="o", click=B),
    ]
    assert judge([*sales, back("r", 5, order="o")])["r"].link_id == "link-b"
    assert judge([*sales, back("r", 5, order="o", currency="JPY")])["r"].link_id == "link-a"


def test_while_what_it_names_is_missing_it_is_pending() -> None:
    waits = Verdict("pending", None, "related_pending")
    assert judge([back("r", of="s")])["r"] == judge([back("r", order="o")])["r"] == waits
    assert settled("r", back("r", 5, of="s")) == Settlement("pending", "USD")
    assert judge([back("r", of="s"), sale("s")])["r"].method == "related"


def test_naming_a_follow_on_or_itself_is_invalid_and_a_mismatch() -> None:
    events = [sale("s"), back("r", 5, of="s"), back("q", 5, of="r"), back("x", 5, of="x")]
    for event_id in ("q", "x"):
        assert judge(events)[event_id] == unattributed("related_invalid")
        assert settled(event_id, *events) == Settlement("mismatch", "USD")


def test_an_event_of_another_order_than_the_one_given_is_invalid() -> None:
    events = [sale("s", order="o"), back("r", 5, of="s", order="O"), back("q", 5, of="s", order="o")]
    assert judge(events)["r"] == unattributed("related_invalid")
    assert settled("r", *events).status == "mismatch"
    assert settled("q", *events).status == "settled"


# --- readings: where the contract is silent, so that a change of mind is seen ---


def test_reading_of_several_tied_clicks_that_fail_before_click_is_told_first() -> None:
    old, new = replace(A, time_ms=T - 31 * DAY_MS), replace(B, time_ms=T + 301_000)
    ties = [lead("1", 0, old, "ann"), lead("2", 0, new, "ann")]
    assert judge([*ties, sale("e", at=0, click=None, person="ann")])["e"] == unattributed("before_click")


def test_reading_a_reinstating_sale_ties_like_any_sale() -> None:
    won = sale("w", 60, 0, click=B, person="ann", names="x")
    events = [sale("s"), back("x", 60, of="s", name="reversal"), won, sale("e", click=None, person="ann")]
    assert judge(events)["e"].link_id == "link-b"
