"""Reports: the rate, the ranking, and sums at any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.analytics.figures import Figures, ranked, rate
from tests.laws.examples import T, back, lead, sale
from tests.laws.facts import Money
from tests.laws.histories import DAY_MS
from tests.laws.ledger import opened, report


@pytest.mark.parametrize(
    ("attributed", "clicks", "expected"),
    [
        (18, 142, 0.1268),
        (1, 32, 0.0313),
        (3, 32, 0.0938),
        (1, 20_000, 0.0001),
        (1, 20_001, 0.0),
        (3, 2, 1.5),
        (0, 5, 0.0),
        (0, 0, None),
        (7, 0, None),
    ],
)
def test_the_rate_is_rounded_half_up_to_four_digits(attributed: int, clicks: int, expected: float | None) -> None:
    assert rate(attributed, clicks) == expected


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_the_rate_is_never_further_off_than_half_of_its_last_digit(attributed: int, clicks: int) -> None:
    told = rate(attributed, clicks)
    assert told is not None
    ten_thousandths = round(told * 10_000)
    assert told == ten_thousandths / 10_000
    assert -clicks < 2 * (attributed * 10_000 - ten_thousandths * clicks) <= clicks or (
        2 * (attributed * 10_000 - ten_thousandths * clicks) == -clicks
    )


def figures(*, usd: int = 0, jpy: int = 0, conversions: int = 0, clicks: int = 0) -> Figures:
    """A row with these figures."""
    row = Figures(clicks=clicks, leads=conversions)
    for currency, minor in (("USD", usd), ("JPY", jpy)):
        if minor:
            row.money(currency).gross_minor = minor
    return row


def order_of(**rows: Figures) -> list[str]:
    """The keys of these rows as a report lists them."""
    return [key[0] for key, _ in ranked(((key,), row) for key, row in rows.items())]


def test_rows_stand_by_net_revenue_then_conversions_then_clicks_then_key() -> None:
    assert order_of(a=figures(usd=1), b=figures(usd=2), c=figures(conversions=9)) == ["b", "a", "c"]
    assert order_of(a=figures(conversions=1, clicks=9), b=figures(conversions=2)) == ["b", "a"]
    assert order_of(c=figures(clicks=1), b=figures(clicks=1), a=figures()) == ["b", "c", "a"]


def test_currencies_are_compared_one_after_the_other_and_never_added() -> None:
    rows = {"a": figures(usd=1, jpy=10**9), "b": figures(usd=2), "c": figures(jpy=5)}
    assert order_of(**rows) == ["a", "c", "b"]
    assert order_of(**rows, d=figures(usd=9)) == ["d", "b", "a", "c"]


def test_two_hundred_of_the_largest_sales_are_added_exactly() -> None:
    sales = [sale(f"s{n:03d}", 10**17 - n) for n in range(200)]
    gross = 200 * 10**17 - sum(range(200))
    with opened() as ledger:
        ledger.record_all([[*sales, *(back(f"r{n}", 10**17, of=f"s{n:03d}") for n in range(10, 100))]])
        taken = sum(10**17 - n for n in range(10, 100))
        with ledger.columnar(clicked=False) as columnar:
            for by in ("link", "day"):
                (row,) = report(columnar, "live", by).rows.values()
                assert row.revenue == {"USD": Money(gross, taken, gross - taken)}
            rows = report(columnar, "live", "event_name").rows
        assert (rows["sale"].revenue["USD"].net, rows["refund"].revenue["USD"].net) == (gross, -taken)


def test_money_that_was_taken_and_given_back_again_leaves_no_trace_in_a_report() -> None:
    # The cancellation takes all, until the refund, timed before it, arrives and leaves it nothing.
    events = [sale("s"), back("c", None, 3_000, of="s", name="cancellation"), back("r", 100, 2_000, of="s")]
    told = []
    for arriving in (events, [events[0], events[2], events[1]]):
        with opened() as ledger:
            ledger.record_all([[event] for event in arriving])
            with ledger.columnar(clicked=False) as columnar:
                told.append([report(columnar, "live", by) for by in ("link", "event_name", "day")])
    assert told[0] == told[1]
    assert told[0][1].rows["cancellation"].revenue == {}


def test_a_row_is_not_made_of_money_that_was_taken_and_given_back() -> None:
    # The refund is of the first sale once that has arrived; until then it took from the second, at another link.
    later = T + DAY_MS
    first, second = sale("1", 10, 1, order="o"), sale("2", 10, 2, order="o", click=None)
    refund = back("r", 5, DAY_MS, order="o")
    with opened() as ledger:
        ledger.record_all([[second], [refund], [first]])
        with ledger.columnar(clicked=False) as columnar:
            told = report(columnar, "live", "link", "event", later, later + 1)
        assert told.unattributed.revenue == {}
        assert {key: row.revenue for key, row in told.rows.items()} == {"link-a": {"USD": Money(0, 5, -5)}}


def test_reasons_count_every_event_that_is_not_attributed() -> None:
    with opened() as ledger:
        ledger.record_all([[lead("1"), lead("2"), lead("3", click="token_forged"), back("r", of="x")]])
        with ledger.columnar(clicked=False) as columnar:
            told = report(columnar, "live", "link")
        assert told.reasons == {"no_identity": 2, "token_forged": 1, "related_pending": 1}
        assert told.rows == {}
