"""Money is conserved: whoever adds it up, however it arrived, on either clock, between any two moments.

NIMRIZ_LAWS_EXAMPLES sets how many histories each law is tried on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.analytics.differences import Between
from nimriz.analytics.dimensions import Question
from tests.columnar import Columnar
from tests.laws import facts
from tests.laws.examples import back, sale
from tests.laws.histories import BASE_MS, DAY_MS
from tests.laws.ledger import NOW_MS, WORKSPACE, opened, report
from tests.laws.test_ledger_against_model import EXAMPLES, arrivals

fewer = settings(max_examples=max(EXAMPLES // 12, 1))
ZONES = st.sampled_from(("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"))
CUTS_MS = (BASE_MS - 1, BASE_MS, BASE_MS + 300_000, BASE_MS + DAY_MS, BASE_MS + 2 * DAY_MS)
FIRST_MS = BASE_MS - 60 * DAY_MS
ASKED = st.tuples(
    st.sampled_from(("link", "variant", "utm_source", "day", "hour", "week", "month")),
    st.sampled_from(("event", "click")),
)
Money = dict[str, tuple[int, int]]


def money(rows: Iterable[facts.Row]) -> Money:
    """Gross and taken back by currency, over rows; nothing where there is nothing."""
    found: Counter[tuple[str, int]] = Counter()
    for row in rows:
        for currency, sums in row.revenue.items():
            found[currency, 0] += sums.gross
            found[currency, 1] += sums.taken_back
    return {c: (found[c, 0], found[c, 1]) for c in {c for c, _ in found} if found[c, 0] or found[c, 1]}


def question(zone: str = "UTC", from_ms: int = 0, to_ms: int = NOW_MS, as_of_ms: int = 0) -> Question:
    return Question(WORKSPACE, "live", from_ms, to_ms, zone, NOW_MS, ("link",), "event", {}, (), as_of_ms)


@fewer
@given(arrivals(ways=2), ZONES, st.lists(ASKED, min_size=3, max_size=3))
def test_every_way_to_add_money_up_comes_to_the_same_in_every_order_of_arrival(
    drawn: Any, zone: str, asked: list[tuple[str, str]]
) -> None:
    wholes = []
    for batches in drawn[1]:
        with opened() as ledger:
            ledger.record_all(batches)
            with ledger.columnar() as columnar:
                totals = money([report(columnar, "live", "link").totals])
                for by, clock in asked:
                    told = report(columnar, "live", by, clock, FIRST_MS, zone=zone)
                    assert money(told.rows.values()) == money([told.totals]) == totals, (by, clock)
                    if clock == "click" or by in ("link", "variant"):
                        least = min((m.net for row in told.rows.values() for m in row.revenue.values()), default=0)
                        assert least >= 0, (by, clock)
                wholes.append(totals)
    assert wholes[0] == wholes[1]


@fewer
@given(arrivals(), ZONES, st.sampled_from(CUTS_MS), st.integers(0, 3))
def test_the_bridge_closes_on_every_day_of_any_zone(drawn: Any, zone: str, from_ms: int, days: int) -> None:
    to_ms = from_ms + days * DAY_MS
    with opened() as ledger:
        ledger.record_all(drawn[1][0])
        with ledger.columnar() as columnar:
            told = columnar.answer("bridge", question(zone, from_ms, to_ms))["currencies"]
            within = report(columnar, "live", "day", "event", from_ms, to_ms, zone)
            before, whole = (report(columnar, "live", "link", "event", 0, end_ms) for end_ms in (from_ms, NOW_MS))
            by_click = report(columnar, "live", "day", "click", FIRST_MS, zone=zone)
    opening = {currency: sum(row[1] for row in sums["click_days"]) for currency, sums in told.items()}
    assert nets(opening) == nets_of(before.totals)
    for currency, sums in told.items():
        moved = {day: (new, taken) for day, new, taken in sums["days"]}
        for day in moved.keys() | within.rows.keys():
            row = within.rows.get(day)
            here = row.revenue.get(currency) if row is not None else None
            assert moved.get(day, (0, 0)) == ((here.gross, here.taken_back) if here else (0, 0))
        # The same money, by the day of the click: opening, what moved, and what came later make its net.
        assert sum(row[2] for row in sums["click_days"]) == sum(new for new, _ in moved.values())
        assert sum(row[3] for row in sums["click_days"]) == sum(taken for _, taken in moved.values())
        for day, begins, new, taken, later in sums["click_days"]:
            assert begins + new - taken + later == by_click.rows[day].revenue[currency].net
    closing = {
        currency: opening[currency] + sum(new - taken for _, new, taken in sums["days"])
        for currency, sums in told.items()
    }
    later = {currency: sum(row[4] for row in sums["click_days"]) for currency, sums in told.items()}
    assert nets({c: closing[c] + later[c] for c in told}) == nets_of(whole.totals)


def nets(by_currency: dict[str, int]) -> dict[str, int]:
    return {currency: net for currency, net in by_currency.items() if net}


def nets_of(row: facts.Row) -> dict[str, int]:
    return nets({currency: sums.net for currency, sums in row.revenue.items()})


@fewer
@given(arrivals(), st.data())
def test_what_changed_between_two_moments_is_the_difference_of_their_reports(drawn: Any, data: st.DataObject) -> None:
    with opened() as ledger, ledger.columnar() as columnar:
        moments = [ledger.arrival_ms]
        for batch in drawn[1][0]:
            ledger.record(batch)
            columnar.projector.catch_up()
            moments.append(ledger.arrival_ms)
        since_ms = data.draw(st.sampled_from(moments))
        until_ms = data.draw(st.sampled_from([m for m in moments if m >= since_ms]))
        changes = all_changes(columnar, since_ms, until_ms)
        before, after = (columnar.report(question(as_of_ms=as_of_ms)) for as_of_ms in (since_ms, until_ms))
        # What was copied piece by piece is what stands at the last moment.
        assert columnar.report(question()) == columnar.report(question(as_of_ms=moments[-1]))
    difference: Counter[tuple[str, str]] = Counter()
    for side, sign in (("removed", -1), ("added", 1)):
        for line in (line for change in changes for line in change[side]):
            place = "totals" if line["status"] == "attributed" else "unattributed"
            difference[place, line["counted_as"]] += sign if line["counted_as"] else 0
            if line["currency"]:
                difference[place, line["currency"] + " gross"] += sign * line["gross_minor"]
                difference[place, line["currency"] + " taken"] += sign * line["taken_back_minor"]
    for place in ("totals", "unattributed"):
        told: Counter[tuple[str, str]] = Counter()
        for figures, sign in ((getattr(before, place), -1), (getattr(after, place), 1)):
            for name in ("lead", "sale", "refund", "cancellation", "reversal", "reinstatement"):
                told[place, name] += sign * getattr(figures, f"{name}s")
            for currency, sums in figures.revenue.items():
                told[place, currency + " gross"] += sign * sums.gross_minor
                told[place, currency + " taken"] += sign * sums.taken_back_minor
        ours = {key: value for key, value in difference.items() if value and key[0] == place}
        assert ours == {key: value for key, value in told.items() if value}
    assert all(change["removed"] != change["added"] for change in changes)


def test_what_is_taken_from_two_sales_in_equal_parts_is_two_changes() -> None:
    with opened() as ledger:
        ledger.record_all([[sale("1", 5, 1, order="o"), sale("2", 5, 2, order="o")]])
        since_ms = ledger.arrival_ms
        ledger.record_all([[back("r", None, 3_000, order="o")]])
        with ledger.columnar(clicked=False) as columnar:
            (change,) = all_changes(columnar, since_ms, ledger.arrival_ms)
    taken = [(line["sale_event_id"], line["taken_back_minor"]) for line in change["added"] if not line["counted_as"]]
    assert taken == [("1", 5), ("2", 5)]


def all_changes(columnar: Columnar, since_ms: int, until_ms: int) -> list[dict[str, Any]]:
    """Every change, two events at a time."""
    found: list[dict[str, Any]] = []
    while True:
        after_id = found[-1]["event_id"] if found else ""
        page = columnar.answer("changes", Between(WORKSPACE, "live", since_ms, until_ms, after_id, 2))
        found += page["changes"]
        if not page["more"]:
            return found
