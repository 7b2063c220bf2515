"""Hearing: what a new outcome concerns is judged again, and what was too much is judged soon after."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.laws.examples import A, B, T, back, lead, sale, unattributed
from tests.laws.facts import Event, Verdict
from tests.laws.ledger import Ledger, opened, verdict_of

PENDING = Verdict("pending", None, "related_pending")


def verdicts(ledger: Ledger, events: Sequence[Event]) -> list[str | None]:
    """The reasons that stand for these, None where attributed."""
    return [ledger.verdict(event.event_id).reason for event in events]


def test_a_refund_that_came_first_is_judged_when_its_sale_arrives() -> None:
    with opened() as ledger:
        (answer,) = ledger.record([back("r", 5, of="s")])
        assert verdict_of(answer) == PENDING
        ledger.record([sale("s")])
        assert ledger.verdict("r") == Verdict("attributed", "related", None, "link-a", None, "01")


def test_a_lead_that_ties_credits_the_sales_of_its_person_that_came_before_it() -> None:
    with opened() as ledger:
        ledger.record([sale("s", click=None, person="ann"), back("r", 5, of="s")])
        assert ledger.verdict("s") == ledger.verdict("r") == unattributed("external_id_unknown")
        ledger.record([lead("l", 0, A, "ann")])
        assert ledger.verdict("s").method == "external_id"
        assert ledger.verdict("r").method == "related"


def test_an_earlier_sale_of_the_order_takes_its_refunds_over() -> None:
    with opened() as ledger:
        ledger.record([sale("2", 10, 2, order="o", click=B), back("r", 5, order="o")])
        assert ledger.verdict("r").link_id == "link-b"
        ledger.record([sale("1", 10, 1, order="o", click=A)])
        assert ledger.verdict("r").link_id == "link-a"
        assert ledger.moves() == {("r", "1"): 5}


def test_a_sale_that_turns_out_to_reinstate_leaves_its_order_and_its_refunds() -> None:
    with opened() as ledger:
        ledger.record([sale("s"), sale("w", 40, 3_000, names="x", order="o"), back("r", 5, order="o")])
        assert ledger.moves() == {("r", "w"): 5}
        ledger.record([back("x", 60, of="s", name="reversal")])
        assert ledger.moves() == {("x", "s"): 60, ("w", "s"): -40}
        assert ledger.verdict("r") == PENDING


def test_a_repeat_is_answered_by_what_stands_now() -> None:
    refund = back("r", 5, of="s")
    with opened() as ledger:
        ledger.record([refund])
        ledger.record([sale("s")])
        (again,) = ledger.record([refund])
        assert again.duplicate
        assert verdict_of(again).method == "related"
        assert again.settlement is not None
        assert again.settlement.status == "settled"


def test_nothing_is_appended_when_nothing_changes() -> None:
    events = [sale("s"), back("r", 5, of="s")]
    with opened() as ledger:
        ledger.record(events)
        before = ledger.dump()
        ledger.record(events)
        ledger.work_off()
        assert ledger.dump() == before


@pytest.mark.parametrize("rejudge_max", [1, 3, 256])
def test_many_who_wait_for_one_sale_are_all_judged_in_the_end(rejudge_max: int) -> None:
    refunds = [back(f"r{n}", 1, 2_000 + n, of="s") for n in range(20)]
    with opened(rejudge_max) as ledger:
        for refund in refunds:
            ledger.record([refund])
        ledger.record([sale("s")])
        ledger.work_off()
        assert verdicts(ledger, refunds) == [None] * 20
        assert sum(ledger.moves().values()) == 20
        assert ledger.work_off() == 0


@pytest.mark.parametrize("rejudge_max", [1, 3, 256])
def test_many_sales_of_one_person_are_all_judged_in_the_end(rejudge_max: int) -> None:
    sales = [sale(f"s{n}", 1, n, click=None, person="ann") for n in range(20)]
    with opened(rejudge_max) as ledger:
        for one in sales:
            ledger.record([one])
        ledger.record([lead("l", 0, A, "ann")])
        ledger.work_off()
        assert verdicts(ledger, sales) == [None] * 20


def test_a_ring_of_references_is_judged_and_ends() -> None:
    ring = [back("a", 5, of="b"), back("b", 5, of="c", name="reversal"), back("c", 5, of="a"), back("d", 5, of="d")]
    with opened() as ledger:
        ledger.record_all([[event] for event in ring])
        assert verdicts(ledger, ring) == ["related_invalid"] * 4


def test_the_two_modes_know_nothing_of_each_other() -> None:
    with opened() as live:
        test = Ledger(live.database, 256, "test")
        live.record([sale("s", person="ann")])
        test.record([back("r", 5, of="s"), sale("t", click=None, person="ann")])
        assert test.verdict("r") == PENDING
        assert test.verdict("t") == unattributed("external_id_unknown")
        assert live.moves() == test.moves() == {}


def test_the_database_refuses_to_change_what_was_recorded() -> None:
    with opened() as ledger:
        ledger.record([sale("s", person="ann"), back("r", 5, of="s")])
        before = ledger.dump()
        for table in ("outcomes", "verdicts", "settlements", "movements", "ties"):
            for statement in (f"delete from {table}", f"update {table} set workspace_id = 'x'"):
                with pytest.raises(Exception, match="ConstraintError"):
                    ledger.database.write(lambda tx, s=statement: tx.run(s))  # type: ignore[misc]
        assert ledger.dump() == before


def test_times_are_kept_to_the_millisecond() -> None:
    with opened() as ledger:
        ledger.record([lead("in", -300_000, A), lead("out", -300_001, A)])
        assert verdicts(ledger, [lead("in"), lead("out")]) == [None, "before_click"]
        assert ledger.standing("out").outcome.event_time_ms == T - 300_001
