"""Why an event stands as it does, asked over HTTP."""

from __future__ import annotations

from typing import Any

from tests.world import Workspace, follow_on, lead, sale


def explained(world: Workspace, event_id: str, **params: Any) -> dict[str, Any]:
    response = world.get(f"/api/v1/conversions/{event_id}/explain", **params)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_a_sale_by_external_id_is_explained_step_by_step(world: Workspace) -> None:
    token = world.click(world.link()["short_code"])
    world.post(lead("signed-up", token, "customer-1"))
    world.post(sale("paid", external_id="customer-1"))
    found = explained(world, "paid")
    assert [(step["check"], step["code"]) for step in found["steps"]] == [
        ("identity", "external_id_sent"),
        ("tie", "tie_fits"),
        ("external_id", "tie_chosen"),
        ("verdict", "attributed"),
    ]
    assert found["steps"][1]["facts"]["tied_by"] == "signed-up"
    assert found["attribution"] == world.event("paid")["attribution"]
    assert found["reproduced"] is True
    assert all(step["sentence"] for step in found["steps"])


def test_a_verdict_that_changed_shows_both(world: Workspace) -> None:
    world.post(follow_on("refund", "back", "5.00", related_event_id="paid"))
    assert explained(world, "back")["steps"][-1]["code"] == "pending"
    world.post(sale("paid"))
    found = explained(world, "back")
    assert [entry["attribution"]["status"] for entry in found["verdicts"]] == ["unattributed", "pending"]
    assert found["steps"][-1]["facts"]["taken_from"] == [{"event_id": "paid", "amount": "5.00 USD"}]
    assert found["steps"][-2]["code"] == "no_identity"


def test_an_event_of_another_workspace_or_mode_is_not_there(world: Workspace, stranger: Workspace) -> None:
    world.post(lead("mine"))
    assert stranger.get("/api/v1/conversions/mine/explain").json()["code"] == "conversion_not_found"
    assert world.get("/api/v1/conversions/mine/explain", mode="test").json()["code"] == "conversion_not_found"


def test_an_event_id_that_ends_in_explain_is_read_by_its_spelled_slash(world: Workspace) -> None:
    world.post(lead("a"))
    world.post(lead("a/explain"))
    assert "steps" in explained(world, "a")
    assert world.event("a%2Fexplain")["event"]["event_id"] == "a/explain"
    assert explained(world, "a%2Fexplain")["event"]["event_id"] == "a/explain"
