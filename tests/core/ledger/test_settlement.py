"""Settlement and its sums on the real ledger, where size or number is what could go wrong."""

from __future__ import annotations

import pytest

from nimriz.core.ledger import settlement
from tests.laws.examples import A, B, back, sale
from tests.laws.facts import Event, Settlement
from tests.laws.ledger import WORKSPACE, Ledger, opened, order_of, report, settlement_of

LARGEST = 10**17


def settled(ledger: Ledger, *events: Event) -> Settlement | None:
    """Where the last of these stands once all are recorded."""
    ledger.record_all([events])
    return ledger.settlement(events[-1].event_id)


@pytest.mark.parametrize("count", [92, 93, 200])
def test_an_order_of_the_largest_sales_is_settled_exactly_beyond_64_bits(count: int) -> None:
    sales = [sale(f"s{n:03d}", LARGEST, n, order="o") for n in range(count)]
    with opened() as ledger:
        ledger.record_all([sales])
        assert settled(ledger, back("r", 5, order="o")) == Settlement("settled", "USD", 5, 0, count * LARGEST - 5)
        rest = count * LARGEST - 5
        assert settled(ledger, back("z", order="o", name="cancellation")) == Settlement("settled", "USD", rest, 0, 0)
        order = order_of(ledger.order("s000"))
        assert order is not None
        assert (order.gross, order.taken_back, order.net) == (count * LARGEST, count * LARGEST, 0)


def test_excesses_of_an_order_add_up_beyond_64_bits() -> None:
    refunds = [back(f"r{n:03d}", LARGEST, 2_000 + n, of="s") for n in range(100)]
    with opened() as ledger:
        ledger.record_all([[sale("s", 1), *refunds]])
        order = order_of(ledger.order("s"))
        assert order is not None
        assert (order.taken_back, order.excess) == (1, 100 * LARGEST - 1)


def test_movements_that_go_back_and_forth_stay_summable() -> None:
    with opened() as ledger:
        ledger.record_all([[sale("s", LARGEST)]])
        for turn in range(301):
            wanted = {("r", "s"): 0 if turn % 2 else LARGEST}
            ledger.database.write(
                lambda tx, w=wanted, t=turn: settlement.move(tx, "live", WORKSPACE, ["s"], w, t)  # type: ignore[misc]
            )
        assert ledger.moves() == {("r", "s"): LARGEST}


def test_two_reinstatements_give_back_no_more_than_the_reversal_holds() -> None:
    lost = [sale("s"), back("x", 60, of="s", name="reversal")]
    won = [sale("v", 40, 3_000, names="x"), sale("w", 40, 4_000, names="x")]
    with opened() as ledger:
        ledger.record_all([[*lost, *won]])
        assert ledger.moves() == {("x", "s"): 60, ("v", "s"): -40, ("w", "s"): -20}
        order = order_of(ledger.order("s"))
        assert order is not None
        assert (order.gross, order.taken_back, order.net) == (100, 0, 100)


def test_a_refund_after_two_reinstatements_takes_no_more_than_was_sold() -> None:
    lost = [sale("s"), back("x", 60, of="s", name="reversal")]
    won = [sale("v", None, 3_000, names="x"), sale("w", None, 4_000, names="x")]
    with opened() as ledger:
        assert settled(ledger, *lost, *won, back("z", None, 5_000, of="s")) == Settlement("settled", "USD", 100, 0, 0)


@pytest.mark.parametrize("rejudge_max", [1, 2, 256])
def test_every_reinstatement_counts_however_few_events_are_judged_at_once(rejudge_max: int) -> None:
    lost = [sale("s"), back("x", 60, of="s", name="reversal")]
    won = [sale(f"w{n}", 10, 3_000 + n, names="x") for n in range(5)]
    with opened(rejudge_max) as ledger:
        ledger.record_all([[event] for event in (*lost, *won)])
        assert sum(ledger.moves().values()) == 10


def test_the_reinstatements_of_an_order_are_told_earliest_first_whatever_came_first() -> None:
    events = [sale("s"), back("x", 60, of="s", name="reversal")]
    events += [sale(name, 5, at, names="x") for name, at in (("c", 3_000), ("a", 3_001), ("b", 3_001))]
    told = []
    for arriving in (events, events[::-1]):
        with opened() as ledger:
            ledger.record_all([[event] for event in arriving])
            order = ledger.order("s")
            assert order is not None
            told.append(order.reinstatements)
    assert told == [["c", "a", "b"], ["c", "a", "b"]]


def test_what_a_late_sale_changes_is_appended_and_nothing_is_rewritten() -> None:
    with opened() as ledger:
        (refund,) = ledger.record([back("r", 15, of="1", order="o")])
        assert settlement_of(refund) == Settlement("pending", "USD")
        ledger.record([sale("1", 10, 1, order="o")])
        assert ledger.settlement("r") == Settlement("excess", "USD", 10, 5, 0)
        ledger.record([sale("2", 10, 2, order="o", click=B)])
        assert ledger.settlement("r") == Settlement("settled", "USD", 15, 0, 5)
        rows = ledger.database.read(lambda tx: tx.all("select status from settlements order by seq"))
        assert [str(row[0]) for row in rows] == ["pending", "excess", "settled"]
        assert ledger.moves() == {("r", "1"): 10, ("r", "2"): 5}


def test_two_sales_under_two_links_are_each_taken_from_at_their_own_link() -> None:
    events = [sale("1", 10, 1, order="o", click=A), sale("2", 10, 2, order="o", click=B), back("r", 15, order="o")]
    with opened() as ledger:
        ledger.record_all([events])
        with ledger.columnar(clicked=False) as columnar:
            rows = report(columnar, "live", "link").rows
        assert {key: row.revenue["USD"].net for key, row in rows.items()} == {"link-a": 0, "link-b": 5}
