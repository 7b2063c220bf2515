"""Whichever click earns: the totals stay, portions are whole and fair, and what is taken back follows them.

NIMRIZ_LAWS_EXAMPLES sets how many histories each law is tried on.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.analytics.credit import PERSON_CLICKS_MAX, Model
from tests.laws import facts
from tests.laws.examples import A, B, T, back, lead, sale
from tests.laws.facts import Click, Event
from tests.laws.histories import BASE_MS, DAY_MS, returning
from tests.laws.ledger import Ledger, opened, report
from tests.laws.test_conservation import money
from tests.laws.test_ledger_against_model import EXAMPLES, QUESTIONS, Asked, assert_reports_agree, deliveries, first_of

MODELS: tuple[Model, ...] = ("last", "first", "linear")
COUNTS = ("leads", "sales", "refunds", "cancellations", "reversals", "reinstatements", "attributed")
C = Click("03", "link-a", "x", T + 10, 30)
fewer = settings(max_examples=max(EXAMPLES // 6, 1))


@st.composite
def visits(draw: st.DrawFn) -> list[list[Event]]:
    """People who return, and a way for what they do to arrive, some of it signed by a secret that has leaked."""
    history = draw(returning())
    signed = draw(st.sets(st.sampled_from([event.event_id for event in history]), max_size=2))
    return draw(deliveries([replace(event, excluded=event.event_id in signed) for event in history]))


@fewer
@given(visits(), st.lists(QUESTIONS, min_size=2, max_size=2), st.sampled_from(("first", "linear")))
def test_the_portions_of_people_who_return_are_what_the_model_deals_out(
    batches: list[list[Event]], asked: list[Asked], model: Model
) -> None:
    with opened() as ledger:
        ledger.record_all(batches)
        before = ledger.arrival_ms, [replace(event, excluded=False) for event in first_of(batches)]
        ledger.decide(True)
        questions = [{**question, "model": model} for question in asked]
        assert_reports_agree(ledger, [before, (0, first_of(batches))], questions)


@fewer
@given(visits(), st.sampled_from(("link", "variant", "utm_source", "hour")), st.sampled_from(("event", "click")))
def test_under_every_model_rows_come_to_the_same_totals_and_no_portion_is_below_zero(
    batches: list[list[Event]], by: str, clock: str
) -> None:
    with opened() as ledger:
        ledger.record_all(batches)
        with ledger.columnar() as columnar:
            told = {model: report(columnar, "live", by, clock, BASE_MS - 60 * DAY_MS, model=model) for model in MODELS}
    for found in told.values():
        assert money(found.rows.values()) == money([found.totals]) == money([told["last"].totals])
        for count in COUNTS:
            whole = getattr(told["last"].totals, count)
            assert sum(getattr(row, count) for row in found.rows.values()) == getattr(found.totals, count) == whole
        assert (found.unattributed, found.reasons) == (told["last"].unattributed, told["last"].reasons)
        if by != "hour" or clock == "click":
            assert min((m.net for row in found.rows.values() for m in row.revenue.values()), default=0) >= 0


def variants(ledger: Ledger, model: Model, by: str = "variant", clock: str = "event") -> dict[str, facts.Row]:
    with ledger.columnar(clicked=False) as columnar:
        return report(columnar, "live", by, clock, model=model).rows


def test_money_is_dealt_to_the_earliest_first_and_taken_back_from_the_same_portions() -> None:
    events = [lead("a", click=A, person="ann"), lead("b", click=B, person="ann"),
              sale("s", 100, 2_000, click=C, person="ann")]  # fmt: skip
    with opened() as ledger:
        ledger.record_all([events])
        rows = variants(ledger, "linear")
        assert {key: row.revenue["USD"].gross for key, row in rows.items()} == {
            "link-a": 34, "link-b/x": 33, "link-a/x": 33,
        }  # fmt: skip
        assert {key: row.sales for key, row in rows.items()} == {"link-a": 1, "link-b/x": 0, "link-a/x": 0}
        # One unit at a time: each refund goes on where the one before has stopped.
        ledger.record_all([[back(f"r{n}", 1, 3_000 + n, of="s") for n in range(2)]])
        rows = variants(ledger, "linear")
        assert [(rows[k].revenue["USD"].taken_back, rows[k].refunds) for k in ("link-a", "link-b/x", "link-a/x")] == [
            (1, 2), (1, 0), (0, 0),
        ]  # fmt: skip
        assert variants(ledger, "first")["link-a"].revenue["USD"].net == 98
        assert variants(ledger, "last")["link-a/x"].revenue["USD"].net == 98


def test_only_clicks_that_would_have_earned_it_alone_have_a_portion() -> None:
    short = Click("05", "link-a", "X", T - 2 * DAY_MS, 1)
    events = [lead("a", -2 * DAY_MS + 5, click=short, person="ann"), sale("s", 10, 1_000, click=B, person="ann"),
              lead("later", 400_000, click=A, person="ann"), sale("alone", 7, 2_000, click=C)]  # fmt: skip
    with opened() as ledger:
        ledger.record_all([events])
        rows = variants(ledger, "linear")
        assert {key: {c: m.gross for c, m in row.revenue.items()} for key, row in rows.items()} == {
            "link-a/X": {}, "link-b/x": {"USD": 10}, "link-a": {}, "link-a/x": {"USD": 7},
        }  # fmt: skip


def test_who_is_tied_to_more_clicks_than_one_customer_makes_stays_with_the_verdict() -> None:
    def gross(clicks: int) -> int:
        made = [Click(f"{n + 1}", "link-b", None, T - 1_000 - n, 30) for n in range(clicks - 1)]
        with opened() as ledger:
            ledger.record_all([[lead(f"l{n}", click=click, person="guest") for n, click in enumerate(made)],
                               [sale("s", 100 * clicks, 2_000, click=A, person="guest")]])  # fmt: skip
            with ledger.columnar(clicked=False) as columnar:
                return report(columnar, "live", "link", model="linear").rows["link-a"].revenue["USD"].gross

    assert gross(PERSON_CLICKS_MAX) == 100
    assert gross(PERSON_CLICKS_MAX + 1) == 100 * (PERSON_CLICKS_MAX + 1)


def test_every_portion_stands_on_the_day_of_its_own_click() -> None:
    old = Click("05", "link-a", "X", T - 3 * DAY_MS, 30)
    with opened() as ledger:
        ledger.record_all([[lead("a", click=old, person="ann"), sale("s", 11, click=B, person="ann")]])
        days = variants(ledger, "linear", "day", "click")
        assert {day: row.revenue["USD"].gross for day, row in days.items() if row.revenue} == {
            "2026-11-19": 6, "2026-11-22": 5,
        }  # fmt: skip
        assert [row.revenue["USD"].gross for row in variants(ledger, "linear", "day").values()] == [11]
