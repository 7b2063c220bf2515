"""The main job, as a stranger meets it."""

from __future__ import annotations

from tests.world import Workspace, follow_on, lead, sale


def test_a_click_becomes_attributed_revenue(world: Workspace) -> None:
    link = world.link()
    token = world.click(link["short_code"])
    response = world.post(sale("order-1", "129.90", click_id=token, order_id="A-1"))
    assert response.status_code == 201
    answer = response.json()
    assert answer["attribution"]["status"] == "attributed"
    assert answer["attribution"]["link_id"] == link["id"]
    report = world.get("/api/v1/analytics/conversions").json()
    (row,) = report["rows"]
    assert row["label"] == f"localhost/{link['short_code']}"
    assert row["revenue"][0]["net"] == "129.90"


def test_a_refund_leaves_the_sale_untouched(world: Workspace) -> None:
    token = world.click(world.link()["short_code"])
    world.post(sale("order-1", "129.90", click_id=token, order_id="A-1"))
    before = world.event("order-1")["event"]
    world.post(follow_on("refund", "refund-1", "29.90", related_order_id="A-1"))
    after = world.event("order-1")
    assert after["event"] == before
    assert after["order"]["net"] == "100.00"


def test_142_clicks_and_18_leads_answer_a_rate_of_0_1268(world: Workspace) -> None:
    link = world.link()
    tokens = [world.click(link["short_code"]) for _ in range(142)]
    for number in range(18):
        assert world.post(lead(f"crm-lead-{number}", tokens[number])).status_code == 201
    report = world.get("/api/v1/analytics/conversions").json()
    (row,) = report["rows"]
    assert (row["clicks"], row["tracked_clicks"], row["leads"], row["attributed"]) == (142, 142, 18, 18)
    assert row["attribution_rate"] == 0.1268
