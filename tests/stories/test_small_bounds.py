"""What does not fit into one request's work is done in the background, and ends in the same state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.patience import until
from tests.world import Served, Workspace, follow_on, sale, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("small") / "data", rejudge_max="1", conversion_batch_max="4") as running:
        yield running


def until_settled(world: Workspace, event_ids: list[str], status: str) -> None:
    until(lambda: all(world.event(event_id)["settlement"]["status"] == status for event_id in event_ids))


def test_a_late_reversal_turns_all_the_sales_that_name_it(world: Workspace) -> None:
    world.post(sale("X"))
    for number in range(8):
        world.post(sale(f"S{number}", "10.00", order_id=f"O{number}", related_event_id="R"))
    for number in range(8):
        world.post(follow_on("refund", f"F{number}", related_order_id=f"O{number}"))
    world.post(follow_on("reversal", "R", "90.00", related_event_id="X"))
    until_settled(world, [f"F{number}" for number in range(8)], "pending")
    until(lambda: world.event("X")["order"]["net"] == "90.00")  # 100 - 90, and 8 times 10 given back


def test_a_crowded_order_settles_within_seconds(world: Workspace) -> None:
    world.post(sale("order", "100.00", order_id="O"))
    refunds = [follow_on("refund", f"refund-{n:02d}", "4.00", related_order_id="O") for n in range(30)]
    told = world.post({"events": refunds}, path="/batch").json()["results"]
    assert {result["http_status"] for result in told} == {201}
    until_settled(world, [f"refund-{n:02d}" for n in range(25)], "settled")
    until_settled(world, [f"refund-{n:02d}" for n in range(25, 30)], "excess")
    assert world.event("order")["order"]["excess"] == "20.00"


def test_a_request_heavier_than_a_batch_is_recorded_whole(world: Workspace) -> None:
    events = [sale(f"sale-{number}") for number in range(100)]
    told = world.post({"events": events}, path="/batch").json()["results"]
    assert [result["event"]["event_id"] for result in told] == [event["event_id"] for event in events]
