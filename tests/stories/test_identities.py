"""Which external ids are tied to which clicks, and which of them are nobody's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.world import Workspace, create_workspace, lead, serving


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace whose customers tie four clicks at most."""
    with serving(tmp_path_factory.mktemp("shop") / "data", shared_identity_clicks_min="4") as served:
        workspace = create_workspace(served)
        yield workspace
        workspace.client.close()


def ties(shop: Workspace, **params: Any) -> list[dict[str, Any]]:
    response = shop.get("/api/v1/identities", **params)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["identities"]
    return found


def test_every_tie_of_a_customer_and_of_a_click_is_dated(shop: Workspace) -> None:
    code = shop.link()["short_code"]
    first, second = shop.click(code), shop.click(code)
    shop.post(lead("l-1", first, "ada"))
    shop.post(lead("l-2", second, "ada"))
    shop.post(lead("l-3", first, "bob"))
    of_ada = ties(shop, external_id="ada")
    assert [tie["event_id"] for tie in of_ada] == ["l-2", "l-1"]
    assert all(tie["holds_from"] < tie["tied_at"] for tie in of_ada)
    click_id = of_ada[1]["click_id"]
    assert {(tie["external_id"], tie["event_id"]) for tie in ties(shop, click_id=click_id)} == {
        ("ada", "l-1"),
        ("bob", "l-3"),
    }
    page = shop.get("/api/v1/identities", external_id="ada", limit=1).json()
    rest = ties(shop, external_id="ada", limit=1, cursor=page["next_cursor"])
    assert [page["identities"][0]["event_id"], rest[0]["event_id"]] == ["l-2", "l-1"]
    assert ties(shop, external_id="nobody") == []
    assert ties(shop, external_id="ada", mode="test") == []


@pytest.mark.parametrize("params", [{}, {"external_id": "a", "click_id": "b"}])
def test_one_of_the_two_ids_is_asked_for(shop: Workspace, params: dict[str, str]) -> None:
    assert shop.get("/api/v1/identities", **params).json()["code"] == "validation_failed"


def test_ids_that_tie_many_clicks_are_pointed_out(shop: Workspace) -> None:
    code = shop.link()["short_code"]
    events = [lead(f"guest-{n}", shop.click(code), "guest") for n in range(2)]
    events += [lead(f"team-{n}", shop.click(code), "front-desk") for n in range(4)]
    events += [lead(f"loyal-{n}", shop.click(code), "loyal") for n in range(3)]
    assert shop.post({"events": events}, path="/batch").status_code == 200
    told = shop.get("/api/v1/identities/shared").json()
    assert told["clicks_min"] == 4
    assert [(one["external_id"], one["clicks"], one["why"]) for one in told["identities"]] == [
        ("front-desk", 4, "many_clicks"),
        ("guest", 2, "placeholder"),
    ]


def test_another_workspace_sees_none_of_it(shop: Workspace) -> None:
    stranger = create_workspace(shop.served)
    shop.post(lead("mine", shop.click(shop.link()["short_code"]), "eve"))
    try:
        assert ties(stranger, external_id="eve") == []
        assert ties(stranger, click_id=ties(shop, external_id="eve")[0]["click_id"]) == []
        assert stranger.get("/api/v1/identities/shared").json()["identities"] == []
    finally:
        stranger.client.close()
