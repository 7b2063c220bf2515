"""Test events: a ledger of their own, emptied as a whole."""

from __future__ import annotations

from tests.world import Workspace, lead


def test_the_test_ledger_is_emptied_as_a_whole_and_the_live_one_stays(world: Workspace, stranger: Workspace) -> None:
    for workspace in (world, stranger):
        workspace.post(lead("rehearsal", external_id="customer-1"), secret=workspace.test_signing_secret)
    world.post(lead("real", external_id="customer-1"))
    headers = {"Authorization": f"Bearer {world.api_key}"}
    assert world.client.delete("/api/v1/conversions", headers=headers).status_code == 422
    assert world.client.delete("/api/v1/conversions?mode=live", headers=headers).status_code == 422
    emptied = world.client.delete("/api/v1/conversions?mode=test", headers=headers)
    assert emptied.json() == {"deleted": 1}
    assert world.get("/api/v1/conversions", mode="test").json()["conversions"] == []
    assert world.event("real")["event"]["external_id"] == "customer-1"
    assert stranger.event("rehearsal", mode="test")["event"]["mode"] == "test"
    again = world.post(lead("rehearsal", external_id="customer-1"), secret=world.test_signing_secret)
    assert again.status_code == 201
