"""How little is kept of a visitor: workspace, link and the visitor's own signals decide, and the strictest wins."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.patience import until
from tests.stories.visitor import clicks, place, visit
from tests.world import Body, Workspace, create_workspace, serving

URL = "https://shop.example/landing"


@pytest.fixture(scope="module")
def heeding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace on a server that honours privacy signals."""
    with serving(tmp_path_factory.mktemp("heeding") / "data", privacy_signals="true") as served:
        workspace = create_workspace(served)
        yield workspace
        workspace.client.close()


def choose(world: Workspace, **fields: Any) -> Body:
    """Change the workspace; what it is then."""
    response = world.call("PATCH", "/api/v1/workspace", fields)
    assert response.status_code == 200, response.text
    shown: Body = response.json()["workspace"]
    return shown


def click(world: Workspace, link: Body, **headers: str) -> dict[str, Any]:
    """Click, and the row that is kept of it."""
    visit(world, f"/{link['short_code']}", **headers)
    return clicks(world, link)[-1]


def unique_clicks(world: Workspace, link: Body) -> int | None:
    told: int | None = world.get(f"/api/v1/links/{link['id']}/analytics").json()["totals"]["unique_clicks"]
    return told


def test_a_visitor_is_one_hash_of_a_day_and_what_it_is_made_of_is_not_kept(shop: Workspace) -> None:
    link = shop.link(URL)
    first, again = click(shop, link), click(shop, link)
    other = click(shop, link, User_Agent="Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile Safari/604.1")
    assert first["visitor"] == again["visitor"] != other["visitor"]
    assert len(first["visitor"]) == 8
    assert unique_clicks(shop, link) == 2
    # Another workspace cannot tell that it was the same visitor.
    elsewhere = create_workspace(shop.served)
    assert click(elsewhere, elsewhere.link(URL))["visitor"] not in (first["visitor"], None)
    elsewhere.client.close()


@pytest.mark.parametrize(("workspace", "own"), [*itertools.product(["standard", "strict"], [None, "strict"])])
def test_of_workspace_and_link_the_stricter_counts(world: Workspace, workspace: str, own: str | None) -> None:
    assert choose(world, privacy=workspace)["privacy"] == workspace
    link = world.link(URL, privacy=own)
    assert link["privacy"] == own
    strict = "strict" in (workspace, own)
    row = click(world, link)
    assert (row["visitor"] is None) is strict
    # Not available is not nobody.
    assert unique_clicks(world, link) == (None if strict else 1)
    # What a click is worth, and its token, do not depend on it.
    assert (row["tracked"], row["token_suppressed"]) == (1, "")


def test_a_change_of_privacy_holds_within_a_second_and_not_for_clicks_of_before(world: Workspace) -> None:
    link = world.link(URL)
    assert click(world, link)["visitor"] is not None
    changed = world.call("PATCH", f"/api/v1/links/{link['id']}", {"privacy": "strict"})
    assert changed.json()["link"]["privacy"] == "strict"
    until(lambda: click(world, link)["visitor"] is None)
    assert clicks(world, link)[0]["visitor"] is not None
    assert unique_clicks(world, link) is None
    assert world.call("PATCH", f"/api/v1/links/{link['id']}", {"privacy": None}).json()["link"]["privacy"] is None
    until(lambda: click(world, link)["visitor"] is not None)
    choose(world, privacy="strict")
    until(lambda: click(world, link)["visitor"] is None)
    told = world.get(f"/api/v1/links/{link['id']}/history").json()["changes"]
    assert [(c["before"].get("privacy"), c["after"].get("privacy")) for c in told[:2]] == [
        ("strict", ""),
        ("", "strict"),
    ]


def test_a_link_cannot_be_laxer_than_it_is_allowed_to_say(world: Workspace) -> None:
    for privacy in ("standard", "none", "", True):
        body = {"domain_id": world.domain_id, "long_url": URL, "privacy": privacy}
        refused = world.call("POST", "/api/shorten", body)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "privacy")
    refused = world.call("PATCH", "/api/v1/workspace", {"privacy_suppresses_token": "true"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "privacy_suppresses_token")


@pytest.mark.parametrize("signal", ["DNT", "Sec_GPC"])
def test_signals_are_strict_where_the_operator_honours_them(shop: Workspace, heeding: Workspace, signal: str) -> None:
    for world, honoured in ((shop, False), (heeding, True)):
        link = world.link(URL)
        assert (click(world, link, **{signal: "1"})["visitor"] is None) is honoured
        assert click(world, link, **{signal: "0"})["visitor"] is not None
        assert click(world, link)["visitor"] is not None
        assert unique_clicks(world, link) == (None if honoured else 1)


# --- the token ---------------------------------------------------------------------------------------------------


def reason(world: Workspace, link: Body, **headers: str) -> str:
    """Why a click got no token; '' when it got one."""
    where = place(world, f"/{link['short_code']}", **headers)
    row = clicks(world, link)[-1]
    assert where == (URL if row["token_suppressed"] else f"{URL}?T")
    assert row["tracked"] == 1
    return str(row["token_suppressed"])


@pytest.mark.parametrize("honoured", [False, True])
def test_a_token_is_suppressed_only_where_the_workspace_chose_so(
    shop: Workspace, heeding: Workspace, honoured: bool
) -> None:
    world = create_workspace((heeding if honoured else shop).served)
    strict: Body = {}
    for suppresses in (False, True):
        assert choose(world, privacy_suppresses_token=suppresses)["privacy_suppresses_token"] is suppresses
        link, strict = world.link(URL), world.link(URL, privacy="strict")
        private = "privacy" if suppresses else ""
        assert reason(world, link) == ""
        assert reason(world, strict) == private
        # Global Privacy Control speaks of selling and sharing: heard without the setting too.
        assert reason(world, link, Sec_GPC="1") == private
        assert reason(world, link, DNT="1") == (private if honoured else "")
        assert reason(world, link, Sec_GPC="0", DNT="0") == ""
    assert world.get("/api/v1/workspace").json()["privacy_suppresses_token"] is True
    told = world.get(f"/api/v1/links/{strict['id']}/analytics").json()["breakdowns"]["token_suppressed"]
    assert told == [{"key": "privacy", "clicks": 1}]
    world.client.close()


def test_what_else_keeps_a_token_away_is_told_first(world: Workspace) -> None:
    choose(world, privacy="strict", privacy_suppresses_token=True)
    signed, untracked = world.link(f"{URL}?sig=1&sv=2"), world.link(URL, conversion_tracking=False)
    link = world.link(URL)
    assert click(world, signed)["token_suppressed"] == "signed_azure"
    assert click(world, link, User_Agent="Googlebot/2.1 (+http://www.google.com/bot.html)")["token_suppressed"] == "bot"
    row = click(world, untracked)
    assert (row["tracked"], row["token_suppressed"]) == (0, "")
    # A destination that is only suppressed for privacy still gets its UTM parameters and what is passed on.
    passing = world.link(URL, utm={"source": "mail"}, forward_query=True)
    assert place(world, f"/{passing['short_code']}?a=1") == f"{URL}?utm_source=mail&a=1"


# --- files -------------------------------------------------------------------------------------------------------


def test_a_links_privacy_travels_with_its_file(world: Workspace, tmp_path: Path) -> None:
    link = world.link(URL, privacy="strict")
    world.link(URL)
    file = tmp_path / "links.csv"
    world.served.run("export", "links", "--workspace", world.workspace_id, "--output", str(file))
    for each in world.get("/api/v1/links").json()["links"]:
        world.call("PATCH", f"/api/v1/links/{each['id']}", {"short_code": f"{each['short_code']}-old"})
    text = file.read_text().replace(link["short_code"], f"{link['short_code']}-new")
    lines = text.splitlines(keepends=True)
    file.write_text("".join(line for line in lines if line == lines[0] or "-new" in line))
    world.served.run("import", "links", str(file), "--workspace", world.workspace_id)
    found = world.get("/api/v1/links", search=f"{link['short_code']}-new").json()["links"]
    assert [each["privacy"] for each in found] == ["strict"]
