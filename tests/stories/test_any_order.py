"""Order does not matter: five events in all 120 orders of arrival end in the same bytes of the read API.

Every order has event ids, an order id and a customer of its own; the click and the times of the events are shared.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

import pytest

from tests.world import Body, Served, Workspace, create_workspace, follow_on, lead, sale

NAMES = ("lead", "sale", "partial-refund", "excess-refund", "cancellation")
ORDERS = tuple(permutations(NAMES))
Told = dict[str, Any]


def story(token: str, label: str, from_s: int) -> dict[str, Body]:
    """The five events, a second apart in this order; `label` makes their ids."""
    order_id, person = f"order-{label}", f"customer-{label}"
    return {
        "lead": lead(f"lead-{label}", token, person, event_time=from_s),
        "sale": sale(f"sale-{label}", "100.00", external_id=person, event_time=from_s + 1, order_id=order_id),
        "partial-refund": follow_on(
            "refund", f"partial-refund-{label}", "30.00", event_time=from_s + 2, related_order_id=order_id
        ),
        "excess-refund": follow_on(
            "refund", f"excess-refund-{label}", "90.00", event_time=from_s + 3, related_event_id=f"sale-{label}"
        ),
        "cancellation": follow_on(
            "cancellation", f"cancellation-{label}", event_time=from_s + 4, related_order_id=order_id
        ),
    }


def nameless(told: Any, label: str) -> str:
    """What was told, as text, without our ids, times of arrival, references, and the label of this order."""
    if isinstance(told, dict) and "event" in told:
        told = {key: member for key, member in told.items() if key != "support_reference"}
        told["event"] = {k: v for k, v in told["event"].items() if k not in ("id", "received_at")}
    return json.dumps(told, ensure_ascii=False).replace(f"-{label}", "-N")


def read_back(world: Workspace, label: str) -> dict[str, str]:
    """Every event as it stands, and the list of them, newest first."""
    told = {name: nameless(world.event(f"{name}-{label}"), label) for name in NAMES}
    listed: list[Told] = []
    for who in ({"external_id": f"customer-{label}"}, {"order_id": f"order-{label}"}):
        listed += world.get("/api/v1/conversions", **who).json()["conversions"]
    told["list"] = "\n".join(nameless(conversion, label) for conversion in listed)
    return told


@pytest.fixture(scope="module")
def alice(served: Served) -> Iterator[Workspace]:
    """One workspace for all orders of arrival."""
    workspace = create_workspace(served)
    yield workspace
    workspace.client.close()


def assert_is_the_end(world: Workspace, label: str) -> None:
    """The state that all orders should end in, in figures."""
    sold = world.event(f"sale-{label}")
    assert sold["attribution"]["method"] == "external_id"
    assert {k: sold["order"][k] for k in ("gross", "taken_back", "net", "excess")} == {
        "gross": "100.00",
        "taken_back": "100.00",
        "net": "0.00",
        "excess": "20.00",
    }
    told = [world.event(f"{name}-{label}") for name in NAMES[2:]]
    assert [(t["settlement"]["status"], t["settlement"]["applied"], t["settlement"]["remaining"]) for t in told] == [
        ("settled", "30.00", "70.00"),
        ("excess", "70.00", "0.00"),
        ("settled", "0.00", "0.00"),
    ]
    assert {t["attribution"]["link_id"] for t in told} == {sold["attribution"]["link_id"]}


def test_all_orders_of_arrival_end_in_the_same_bytes(alice: Workspace) -> None:
    token = alice.click(alice.link()["short_code"])
    from_s = int(time.time())
    ends: dict[tuple[str, ...], dict[str, str]] = {}
    for number, order in enumerate(ORDERS):
        # No part of an id that we make could look like this.
        label = f"order{number:03d}"
        events = story(token, label, from_s)
        for name in order:
            answer = alice.post(events[name])
            assert answer.status_code == 201, answer.text
        ends[order] = read_back(alice, label)
    assert_is_the_end(alice, "order000")
    assert [order for order, end in ends.items() if end != ends[NAMES]] == []


def report_of(world: Workspace, by: str) -> tuple[Told, list[Told]]:
    """The totals of a report, and its rows without the keys that differ between workspaces."""
    told = world.get("/api/v1/analytics/conversions", by=by).json()
    rows = [{k: v for k, v in row.items() if by != "link" or k not in ("key", "label")} for row in told["rows"]]
    return told["totals"], rows


@pytest.mark.parametrize(
    "order", [NAMES, NAMES[::-1], ("cancellation", "excess-refund", "sale", "lead", "partial-refund")]
)
def test_the_report_does_not_know_the_order_of_arrival(world: Workspace, order: Sequence[str]) -> None:
    token = world.click(world.link()["short_code"])
    events = story(token, "only", int(time.time()))
    for name in order:
        assert world.post(events[name]).status_code == 201
    totals, by_link = report_of(world, "link")
    assert (totals["leads"], totals["sales"], totals["refunds"], totals["cancellations"]) == (1, 1, 2, 1)
    assert (totals["attributed"], totals["attribution_rate"]) == (2, 2.0)
    assert by_link[0]["revenue"] == totals["revenue"]
    (money,) = totals["revenue"]
    assert (money["gross"], money["taken_back"], money["net"]) == ("100.00", "100.00", "0.00")
    _, by_name = report_of(world, "event_name")
    assert {row["key"]: row["revenue"][0]["taken_back"] for row in by_name if row["revenue"]} == {
        "sale": "0.00",
        "refund": "100.00",
    }


def test_one_batch_in_any_order_ends_as_one_by_one(alice: Workspace) -> None:
    token = alice.click(alice.link()["short_code"])
    from_s = int(time.time())
    ends = []
    for number, order in enumerate(ORDERS[::13]):
        label = f"batch-{number}"
        events = story(token, label, from_s)
        answer = alice.post({"events": [events[name] for name in order]}, path="/batch")
        assert [result["http_status"] for result in answer.json()["results"]] == [201] * 5
        ends.append(read_back(alice, label))
    assert_is_the_end(alice, "batch-0")
    assert all(end == ends[0] for end in ends)
