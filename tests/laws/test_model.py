"""The model itself: what it must keep for every history, and each sentence of 3.6 and 3.7 worked by hand.

A test of the model is a test of our reading of the contract, so each example stands for one sentence of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from tests.laws.facts import Click, Event, Money, Settlement, Verdict
from tests.laws.histories import BASE_MS, CLICKS_BY_LINK, DAY_MS, histories, repeated, shuffled
from tests.laws.model import book, day, judge, known, order_of, reinstated, report, settle

T = BASE_MS
A = Click("01", "link-a", None, T, 30)
B = Click("02", "link-b", "x", T, 30)
laws = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


def lead(event_id: str, at: int = 1_000, click: Click | str | None = None, person: str | None = None) -> Event:
    return Event(event_id, "lead", T + at, click, person)


def sale(
    event_id: str,
    minor: int | None = 100,
    at: int = 1_000,
    *,
    click: Click | str | None = A,
    person: str | None = None,
    order: str | None = None,
    currency: str = "USD",
    names: str | None = None,
) -> Event:
    return Event(
        event_id, "sale", T + at, click, person, minor, None if minor is None else currency, order, names
    )


def back(
    event_id: str,
    minor: int | None = None,
    at: int = 2_000,
    *,
    of: str | None = None,
    order: str | None = None,
    currency: str = "USD",
    name: str = "refund",
) -> Event:
    money = None if minor is None else currency
    return Event(event_id, name, T + at, None, None, minor, money, None, of, order)


def settled(event_id: str, *events: Event) -> Settlement:
    settlement = settle(events)[event_id]
    assert settlement is not None
    return settlement


def unattributed(reason: str) -> Verdict:
    return Verdict("unattributed", None, reason)


# --- for every history ---


@laws
@given(shuffled())
def test_the_order_of_arrival_never_matters(pair: tuple[list[Event], list[Event]]) -> None:
    first, second = pair
    assert judge(first) == judge(second)
    assert settle(first) == settle(second)
    assert {e.event_id: order_of(first, e.event_id) for e in first} == {
        e.event_id: order_of(second, e.event_id) for e in second
    }
    for by in ("link", "variant", "event_name", "day"):
        for clock in ("event", "click"):
            assert report(first, CLICKS_BY_LINK, by, clock) == report(second, CLICKS_BY_LINK, by, clock)


@laws
@given(repeated())
def test_a_repeat_changes_nothing(pair: tuple[list[Event], list[Event]]) -> None:
    once, again = pair
    assert judge(once) == judge(again)
    assert settle(once) == settle(again)
    assert report(once, CLICKS_BY_LINK) == report(again, CLICKS_BY_LINK)


@laws
@given(histories())
def test_net_is_never_negative_for_an_order_a_link_a_variant_or_a_click_day(history: list[Event]) -> None:
    for event in history:
        order = order_of(history, event.event_id)
        assert order is None or (0 <= order.taken_back <= order.gross and order.net >= 0)
    for by in ("link", "variant"):
        for row in report(history, CLICKS_BY_LINK, by).rows.values():
            assert all(0 <= money.taken_back <= money.gross for money in row.revenue.values())
    for row in report(history, CLICKS_BY_LINK, "day", "click").rows.values():
        assert all(0 <= money.taken_back <= money.gross for money in row.revenue.values())


@laws
@given(histories())
def test_rows_make_the_totals_and_with_unattributed_the_workspace(history: list[Event]) -> None:
    world = known(history)
    gross = sum(e.minor or 0 for e in history if e.name == "sale" and reinstated(world, e) is None)
    taken = sum(minor for _, _, minor in book(history)[1])
    for by in ("link", "variant", "event_name", "day"):
        for clock in ("event", "click"):
            result = report(history, CLICKS_BY_LINK, by, clock)
            rows = list(result.rows.values())
            for column in ("leads", "sales", "refunds", "cancellations", "reversals", "reinstatements", "attributed"):
                assert sum(getattr(row, column) for row in rows) == getattr(result.totals, column)
            for currency, money in result.totals.revenue.items():
                parts = [row.revenue[currency] for row in rows if currency in row.revenue]
                assert money == Money(*(sum(getattr(p, m) for p in parts) for m in ("gross", "taken_back", "net")))
            both = [*result.totals.revenue.values(), *result.unattributed.revenue.values()]
            assert (sum(m.gross for m in both), sum(m.taken_back for m in both)) == (gross, taken)
            counted = [
                row.leads + row.sales + row.refunds + row.cancellations + row.reversals + row.reinstatements
                for row in (result.totals, result.unattributed)
            ]
            assert sum(counted) == len(history)
            assert sum(result.reasons.values()) == counted[1]


@laws
@given(histories())
def test_excess_is_part_of_no_total(history: list[Event]) -> None:
    def whole(events: list[Event]) -> list[object]:
        result = report(events, CLICKS_BY_LINK)
        return [result.totals, result.unattributed, result.rows]

    excess = {event_id: s.excess for event_id, s in settle(history).items() if s is not None}
    without = [
        replace(e, minor=e.minor - excess.get(e.event_id, 0)) if e.minor is not None else e for e in history
    ]
    assert whole(without) == whole(history)


@laws
@given(histories())
def test_what_is_applied_and_what_exceeds_make_the_amount(history: list[Event]) -> None:
    world = known(history)
    for event_id, s in settle(history).items():
        if s is None:
            continue
        assert s.applied == sum(minor for _, minor in s.taken)
        assert (s.status == "excess") == (s.excess > 0)
        assert (s.remaining is None) == (s.status in ("pending", "mismatch"))
        amount = world[event_id].minor
        if s.status in ("settled", "excess") and amount is not None:
            assert s.applied + s.excess == amount
        if s.status in ("pending", "mismatch"):
            assert s.applied == s.excess == 0


@laws
@given(histories())
def test_a_follow_on_is_judged_and_reports_by_what_it_names(history: list[Event]) -> None:
    verdicts = judge(history)
    for event in history:
        of = verdicts[event.event_id]
        assert (of.status == "attributed") == (of.link_id is not None) == (of.reason is None)
        if event.name not in ("lead", "sale"):
            assert of.method in (None, "related")
            anonymous = [replace(e, click=None, external_id=None) if e == event else e for e in history]
            assert judge(anonymous) == verdicts


CORNERS: dict[str, Callable[[list[Event]], bool]] = {
    "an excess": lambda h: any(s is not None and s.status == "excess" for s in settle(h).values()),
    "a mismatch": lambda h: any(s is not None and s.status == "mismatch" for s in settle(h).values()),
    "two sales taken from": lambda h: any(s is not None and len(s.taken) > 1 for s in settle(h).values()),
    "money given back": lambda h: any(minor < 0 for _, _, minor in book(h)[1]),
    "given back by a sale timed before": lambda h: any(
        minor < 0 and reversal is not None and reversal.time_ms > known(h)[by].time_ms
        for by, _, minor in book(h)[1]
        for reversal in [reinstated(known(h), known(h)[by])]
    ),
    "given back to two sales": lambda h: any(
        len({s for by, s, minor in book(h)[1] if by == e.event_id and minor < 0}) > 1 for e in h
    ),
    "a ring of reversal and reinstatement": lambda h: any(
        reversal is not None and reversal.related_event_id == e.event_id
        for e in h
        for reversal in [reinstated(known(h), e)]
    ),
    "credit by person": lambda h: any(v.method == "external_id" for v in judge(h).values()),
    "a follow-on with credit": lambda h: any(v.method == "related" for v in judge(h).values()),
    "a negative event day": lambda h: any(
        money.net < 0 for row in report(h, {}, "day").rows.values() for money in row.revenue.values()
    ),
    "money taken from one link and counted with another": lambda h: any(
        judge(h)[by].link_id != judge(h)[of].link_id for by, of, _ in book(h)[1]
    ),
} | {
    f"the reason {reason}": lambda h, reason=reason: any(v.reason == reason for v in judge(h).values())
    for reason in (
        "token_malformed", "token_forged", "token_other_workspace", "before_click", "outside_window",
        "external_id_unknown", "no_identity", "related_pending", "related_invalid",
    )
}  # fmt: skip


@pytest.mark.parametrize("corner", CORNERS)
def test_the_histories_reach_every_corner(corner: str) -> None:
    quickly = settings(max_examples=3_000, phases=[Phase.generate], derandomize=True, database=None,
                       suppress_health_check=list(HealthCheck), deadline=None)  # fmt: skip
    find(histories(), CORNERS[corner], settings=quickly)


# --- 3.6, sentence by sentence ---


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


# --- 3.7, sentence by sentence ---


def test_a_refund_leaves_the_sale_untouched() -> None:
    events = [sale("s"), back("r", 30, of="s")]
    assert judge(events)["s"] == judge(events[:1])["s"]
    order = order_of(events, "s")
    assert order is not None
    assert (order.gross, order.taken_back, order.net) == (100, 30, 70)


def test_sales_that_share_order_and_currency_settle_as_one_order() -> None:
    events = [sale("1", 10, order="o"), sale("2", 20, order="o"), sale("3", 5, order="o", currency="JPY")]
    order = order_of(events, "2")
    assert order is not None
    assert (order.gross, order.sales) == (30, ["1", "2"])


def test_a_sale_without_order_settles_alone() -> None:
    events = [sale("1", 10), sale("2", 20), back("r", 15, of="1")]
    assert settled("r", *events) == Settlement("excess", "USD", 10, 5, 0, (("1", 10),))


def test_a_sale_without_value_has_gross_0() -> None:
    order = order_of([sale("s", None)], "s")
    assert order is not None
    assert (order.gross, order.currency) == (0, None)


def test_the_value_of_a_lead_is_never_summed_and_its_follow_ons_move_no_money() -> None:
    valued = replace(lead("l", 0, A), minor=70, currency="USD", order_id="o")
    events = [valued, back("r", 5, of="l"), back("q", 5, order="o")]
    assert settle(events)["r"] is None
    assert judge(events)["r"].method == "related"
    assert settled("q", *events).status == "pending"
    assert report(events, {}).totals.revenue == {}


def test_follow_ons_are_applied_by_time_and_then_by_id() -> None:
    events = [sale("s", 100), back("b", 80, of="s"), back("a", 80, of="s"), back("c", 10, 1_500, of="s")]
    assert settled("c", *events).applied == 10
    assert settled("a", *events) == Settlement("settled", "USD", 80, 0, 10, (("s", 80),))
    assert settled("b", *events) == Settlement("excess", "USD", 10, 70, 0, (("s", 10),))


def test_a_follow_on_takes_from_the_named_sale_first_and_then_from_the_earliest_on() -> None:
    sales = [sale(str(n), 10, n, order="o") for n in (1, 2, 3)]
    assert settled("r", *sales, back("r", 25, of="2")).taken == (("2", 10), ("1", 10), ("3", 5))
    assert settled("r", *sales, back("r", 15, order="o")).taken == (("1", 10), ("2", 5))


def test_what_it_takes_counts_with_the_link_of_the_sale_and_it_is_counted_with_what_it_names() -> None:
    events = [sale("1", 10, 1, order="o"), sale("2", 10, 2, order="o", click=B), back("r", 15, order="o")]
    rows = report(events, {}).rows
    assert rows["link-a"].revenue == {"USD": Money(10, 10, 0)}
    assert rows["link-b"].revenue == {"USD": Money(10, 5, 5)}
    assert (rows["link-a"].refunds, rows["link-b"].refunds) == (1, 0)


def test_one_without_value_takes_what_is_left_of_the_one_sale_it_names() -> None:
    sales = [sale("1", 10, 1, order="o"), sale("2", 20, 2, order="o")]
    events = [*sales, back("p", 5, of="2"), back("r", of="2", order="o")]
    assert settled("r", *events) == Settlement("settled", "USD", 15, 0, 10, (("2", 15),))


def test_one_without_value_by_order_takes_the_sales_timed_up_to_it_and_the_earliest_at_least() -> None:
    sales = [sale("1", 10, 1_000, order="o"), sale("2", 20, 2_000, order="o"), sale("3", 40, 2_001, order="o")]
    taken = settled("!", *sales, back("!", None, 2_000, order="o"))
    assert taken == Settlement("settled", "USD", 30, 0, 40, (("1", 10), ("2", 20)))
    assert settled("r", *sales, back("r", None, 500, order="o")).taken == (("1", 10),)


def test_a_cancellation_that_gives_no_money_back_says_value_0() -> None:
    events = [sale("s"), back("c", 0, of="s", name="cancellation")]
    assert settled("c", *events) == Settlement("settled", "USD", 0, 0, 100)


def test_a_follow_on_in_a_currency_that_the_order_has_not_takes_nothing() -> None:
    events = [sale("s", order="o"), back("r", 5, of="s", currency="JPY"), back("q", 5, order="o", currency="JPY")]
    assert settled("r", *events) == settled("q", *events) == Settlement("mismatch", "JPY")
    assert judge(events)["r"].link_id == "link-a"
    assert judge(events)["q"] == Verdict("pending", None, "related_pending")


def test_a_won_dispute_reinstates_and_is_no_sale() -> None:
    events = [sale("s"), back("x", 60, of="s", name="reversal"), sale("w", 40, 3_000, click=None, names="x")]
    row = report(events, {}).rows["link-a"]
    assert (row.sales, row.reversals, row.reinstatements) == (1, 1, 1)
    assert row.revenue == {"USD": Money(100, 20, 80)}
    assert judge(events)["w"] == Verdict("attributed", "related", None, "link-a", None, "01")
    assert (order_of(events, "w"), settle(events)["w"]) == (None, None)


def test_it_gives_back_no_more_than_the_reversal_holds_and_all_of_it_without_value() -> None:
    events = [sale("s"), back("x", 60, of="s", name="reversal")]
    for amount in (None, 70):
        order = order_of([*events, sale("w", amount, 3_000, names="x")], "s")
        assert order is not None
        assert order.taken_back == 0
    twice = [*events, sale("w", 40, 3_000, names="x"), sale("v", 40, 4_000, names="x")]
    assert [m for m in book(twice)[1] if m[2] < 0] == [("w", "s", -40), ("v", "s", -20)]


def test_it_gives_back_to_the_latest_sale_first() -> None:
    sales = [sale("1", 10, 1, order="o"), sale("2", 10, 2, order="o"), sale("3", 10, 3, order="o")]
    events = [*sales, back("x", 20, of="2", name="reversal"), sale("w", 15, 3_000, names="x")]
    assert [m for m in book(events)[1] if m[2] < 0] == [("w", "2", -10), ("w", "1", -5)]


def test_it_gives_back_never_before_the_turn_of_the_reversal() -> None:
    events = [
        sale("s"), sale("w", None, 1_500, names="x"), back("a", 100, 1_800, of="s"),
        back("x", 100, of="s", name="reversal"), back("z", 30, of="s"),
    ]  # fmt: skip
    assert (settled("x", *events).applied, settled("z", *events).applied) == (0, 0)
    settlements = settle([e for e in events if e.event_id != "a"])
    assert [s.applied for s in (settlements["x"], settlements["z"]) if s is not None] == [100, 30]


def test_until_the_reversal_arrives_or_if_it_names_anything_else_it_is_an_ordinary_sale() -> None:
    events = [sale("s"), sale("w", 40, 3_000, click=B, names="x")]
    assert report(events, {}).totals.sales == 2
    assert report([*events, back("x", 60, of="s")], {}).totals.sales == 2
    assert report([*events, back("x", 60, of="s", name="reversal")], {}).totals.sales == 1


def test_a_reversal_that_names_the_sale_that_reinstates_it_is_invalid() -> None:
    events = [back("x", 60, of="w", name="reversal"), sale("w", 40, names="x")]
    assert judge(events) == {"x": unattributed("related_invalid"), "w": unattributed("related_invalid")}
    assert settled("x", *events).status == "mismatch"


# --- 4, the definitions that money needs ---


def test_the_rate_is_attributed_leads_and_sales_over_tracked_clicks_rounded_half_up() -> None:
    events = [lead(str(n), 0, A) for n in range(18)]
    row = report(events, {"link-a": [T] * 142}).rows["link-a"]
    assert (row.attributed, row.clicks, row.rate) == (18, 142, Decimal("0.1268"))
    assert report(events, {}).rows["link-a"].rate is None
    assert report(events[:1], {"link-a": [T] * 32}).rows["link-a"].rate == Decimal("0.0313")


def test_the_event_clock_counts_on_its_own_day_and_the_click_clock_on_the_day_of_the_click() -> None:
    events = [sale("s", 100, DAY_MS), back("r", 30, 2 * DAY_MS, of="s")]
    own = report(events, {}, "day").rows
    assert own[day(T + DAY_MS)].revenue == {"USD": Money(100, 0, 100)}
    assert own[day(T + 2 * DAY_MS)].revenue == {"USD": Money(0, 30, -30)}
    clicked = report(events, {}, "day", "click").rows
    assert {where: row.revenue for where, row in clicked.items()} == {day(T): {"USD": Money(100, 30, 70)}}


def test_what_is_not_attributed_stands_apart_with_its_reasons() -> None:
    events = [sale("s", click=None), back("r", 30, of="s"), back("q", 5, of="never")]
    result = report(events, {"link-a": [T]}, clock="click")
    assert (result.totals.sales, result.totals.revenue) == (0, {})
    assert (result.unattributed.sales, result.unattributed.refunds) == (1, 2)
    assert result.unattributed.revenue == {"USD": Money(100, 30, 70)}
    assert result.reasons == {"no_identity": 2, "related_pending": 1}


# --- readings: where the contract is silent, so that a change of mind is seen ---


def test_reading_of_several_tied_clicks_that_fail_before_click_is_told_first() -> None:
    old, new = replace(A, time_ms=T - 31 * DAY_MS), replace(B, time_ms=T + 301_000)
    ties = [lead("1", 0, old, "ann"), lead("2", 0, new, "ann")]
    assert judge([*ties, sale("e", at=0, click=None, person="ann")])["e"] == unattributed("before_click")


def test_reading_a_sale_without_value_is_named_by_order_only_if_there_is_no_other() -> None:
    sales = [sale("1", None, 1, order="o"), sale("2", 20, 2, order="o", click=B)]
    assert settled("r", *sales, back("r", order="o")) == Settlement("settled", "USD", 20, 0, 0, (("2", 20),))
    assert judge([*sales, back("r", order="o")])["r"].link_id == "link-b"
    assert settled("r", sales[0], back("r", order="o")) == Settlement("settled", None, 0, 0, 0)


def test_reading_one_without_value_by_order_takes_one_currency_only() -> None:
    sales = [sale("1", 10, 1, order="o", currency="JPY"), sale("2", 20, 2, order="o")]
    assert settled("r", *sales, back("r", order="o")).taken == (("1", 10),)


def test_reading_a_reinstatement_in_another_currency_gives_nothing_back() -> None:
    events = [sale("s"), back("x", 60, of="s", name="reversal"), sale("w", 60, 3_000, currency="JPY", names="x")]
    assert report(events, {}).totals.revenue == {"USD": Money(100, 60, 40)}


def test_reading_a_reinstating_sale_ties_like_any_sale() -> None:
    won = sale("w", 60, 0, click=B, person="ann", names="x")
    events = [sale("s"), back("x", 60, of="s", name="reversal"), won, sale("e", click=None, person="ann")]
    assert judge(events)["e"].link_id == "link-b"
