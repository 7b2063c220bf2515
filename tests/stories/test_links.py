"""Links over the API: finding them, what can be said of them, and who said it."""

from __future__ import annotations

from typing import Any

from tests.world import Workspace


def listed(shop: Workspace, **query: Any) -> list[str]:
    """The titles of the links that a question finds, newest first."""
    response = shop.get("/api/v1/links", **query)
    assert response.status_code == 200, response.text
    return [link["title"] for link in response.json()["links"]]


def test_links_are_found_by_tag_domain_and_any_part_of_what_is_written_on_them(world: Workspace) -> None:
    world.link("https://shop.example/Shoes?color=red", title="Shoes", tags=["Spring", "mail"])
    world.link("https://shop.example/hats", title="100% Hats", tags=["mail"], custom_slug="the_Hats")
    world.link("https://bücher.example/", title="Bücher", tags=["spring"])
    assert listed(world) == ["Bücher", "100% Hats", "Shoes"]
    assert listed(world, tag="mail") == ["100% Hats", "Shoes"]
    assert listed(world, tag="Spring") == ["Shoes"]
    assert listed(world, domain_id=world.domain_id) == ["Bücher", "100% Hats", "Shoes"]
    assert listed(world, domain_id="elsewhere") == []
    assert listed(world, search="SHOES") == ["Shoes"]
    assert listed(world, search="olor=r") == ["Shoes"]
    assert listed(world, search="bÜch") == ["Bücher"]
    assert listed(world, search="0%") == ["100% Hats"]
    assert listed(world, search="e_h") == ["100% Hats"]
    assert listed(world, search="spring") == ["Bücher", "Shoes"]
    assert listed(world, search="spring", tag="mail") == ["Shoes"]
    assert listed(world, search="spring", tag="mail", domain_id=world.domain_id) == ["Shoes"]
    assert listed(world, search="%") == ["100% Hats"]
    assert listed(world, search="\\") == []


def test_search_and_tags_follow_a_change_and_forget_a_deleted_link(world: Workspace) -> None:
    made = world.link(title="Old", tags=["old"])
    world.call("PATCH", f"/api/v1/links/{made['id']}", {"title": "New", "tags": ["new", "new"]})
    assert (listed(world, search="old"), listed(world, tag="old")) == ([], [])
    assert (listed(world, search="new"), listed(world, tag="new")) == (["New"], ["New"])
    world.call("POST", "/api/delete-link", {"url_id": made["id"]})
    assert (listed(world, search="new"), listed(world, tag="new"), listed(world)) == ([], [], [])


def test_pages_follow_one_another_whatever_is_asked(world: Workspace) -> None:
    for number in range(7):
        world.link(title=f"{number}", tags=["all"])
    questions: list[dict[str, str]] = [{}, {"tag": "all"}, {"search": "shop"}]
    for question in questions:
        cursor: str | None = ""
        seen: list[str] = []
        while cursor is not None:
            page = world.get("/api/v1/links", limit=3, cursor=cursor, **question).json()
            seen += [link["title"] for link in page["links"]]
            cursor = page["next_cursor"]
        assert seen == list("6543210")


def test_an_archived_link_goes_on_and_is_listed_only_when_asked_for(world: Workspace) -> None:
    made = world.link(title="Old", conversion_tracking=False)
    world.link(title="New")
    changed = world.call("PATCH", f"/api/v1/links/{made['id']}", {"archived": True}).json()["link"]
    assert (changed["archived"], changed["status"]) == (True, "active")
    assert world.location(made["short_code"]) == made["long_url"]
    assert (listed(world), listed(world, archived="true")) == (["New"], ["Old"])
    assert listed(world, archived="all") == ["New", "Old"]
    assert listed(world, archived="all", search="old") == ["Old"]


def test_every_field_can_be_set_changed_and_taken_back(world: Workspace) -> None:
    made = world.link(
        title="Spring", notes="For the mailing", tags=["b", "a", "b"], utm={"source": "mail", "utm_medium": "e mail"},
        expires_at="2099-01-01T00:00:00+02:00", clicks_max=5, password="open", redirect_status_code=301,
        conversion_window_days=7, append_token="always", forward_query=True,
    )  # fmt: skip
    said = {
        "title": "Spring", "notes": "For the mailing", "tags": ["b", "a"],
        "utm": {"source": "mail", "medium": "e mail"},
        "expires_at": "2098-12-31T22:00:00.000Z", "clicks_max": 5, "clicks_used": 0, "password_protected": True,
        "redirect_status_code": 301, "conversion_window_days": 7, "append_token": "always", "forward_query": True,
    }  # fmt: skip
    assert {name: made[name] for name in said} == said
    back = {
        "title": None, "notes": None, "tags": None, "utm": None, "expires_at": None, "clicks_max": None,
        "password": None, "conversion_window_days": None,
    }  # fmt: skip
    bare = world.call("PATCH", f"/api/v1/links/{made['id']}", back).json()["link"]
    expected: dict[str, Any] = {**back, "tags": [], "utm": {}, "clicks_used": None}
    expected.pop("password")
    assert {name: bare[name] for name in expected} == expected
    assert (bare["password_protected"], bare["redirect_status_code"]) == (False, 301)
    assert world.call("PATCH", f"/api/v1/links/{made['id']}", {}).json()["link"]["append_token"] == "always"


def test_an_instant_without_an_offset_is_the_workspaces_own_time(world: Workspace) -> None:
    world.call("PATCH", "/api/v1/workspace", {"timezone": "Europe/Berlin"})
    made = world.link(expires_at="2099-07-01T12:00:00")
    assert made["expires_at"] == "2099-07-01T10:00:00.000Z"
    assert world.link(expires_at="2099-01-01")["expires_at"] == "2098-12-31T23:00:00.000Z"


def test_a_destination_is_kept_as_given_beside_its_canonical_form(world: Workspace) -> None:
    given = "HTTPS://Bücher.example:443/ü/../a?x=~%7E&&y#z"
    made = world.link(given, conversion_tracking=False)
    assert made["long_url"] == given
    assert made["canonical_url"] == "https://xn--bcher-kva.example/a?x=~%7E&&y#z"
    assert (made["destination_host"], made["destination_host_unicode"]) == ("xn--bcher-kva.example", "bücher.example")
    assert world.client.get(f"/{made['short_code']}").headers["location"] == given


def test_the_history_says_who_changed_what_and_never_a_password(world: Workspace) -> None:
    made = world.link(title="Old", password="first-secret")
    path = f"/api/v1/links/{made['id']}"
    world.call("PATCH", path, {"title": "New", "tags": ["a"]})
    world.call("PATCH", path, {"title": "New"})
    world.call("PUT", "/api/update-password", {"url_id": made["id"], "password": "second-secret"})
    world.call("PUT", "/api/update-password", {"url_id": made["id"], "password": None})
    world.call("POST", "/api/delete-link", {"url_id": made["id"]})
    response = world.get(f"{path}/history")
    told = [(c["action"], c["before"], c["after"]) for c in response.json()["changes"]]
    assert [action for action, _, _ in told] == ["deleted", "changed", "changed", "changed", "created"]
    assert told[1][1:] == ({"password_protected": True}, {"password_protected": False})
    assert told[2][1:] == ({}, {"password_changed": True})
    assert told[3][1:] == ({"title": "Old", "tags": []}, {"title": "New", "tags": ["a"]})
    assert told[4][2]["long_url"] == made["long_url"]
    assert {c["actor"][:4] for c in response.json()["changes"]} == {"key:"}
    assert "secret" not in response.text
    assert "argon2" not in response.text
    first = world.get(f"{path}/history", limit=2).json()
    rest = world.get(f"{path}/history", limit=100, cursor=first["next_cursor"]).json()
    assert first["changes"] + rest["changes"] == response.json()["changes"]


def test_a_qr_code_says_the_short_url_with_its_mark(world: Workspace) -> None:
    made = world.link(custom_slug="poster")
    svg = world.get(f"/api/v1/links/{made['id']}/qr")
    assert (svg.headers["content-type"], svg.content[:4]) == ("image/svg+xml", b"<?xm")
    png = world.get(f"/api/v1/links/{made['id']}/qr", format="png", scale=4, dark="#123456")
    assert (png.headers["content-type"], png.content[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    assert world.get(f"/api/v1/links/{made['id']}/qr", format="gif").json()["code"] == "validation_failed"


def test_analytics_count_what_was_asked_for(world: Workspace) -> None:
    made = world.link()
    code = made["short_code"]
    for query in ("", "?p=mail", "?p=mail&utm_source=x", "?nr=qr"):
        world.location(code, query, Referer="https://news.example/a")
    world.client.get(f"/{code}", headers={"User-Agent": "Googlebot/2.1"})
    path = f"/api/v1/links/{made['id']}/analytics"
    every = world.get(path, range_days=7).json()
    # The same visitor all along, who came back within seconds, or later where the machine stood still.
    suspects = every["totals"]["suspects"]
    assert 1 <= suspects <= 3
    assert every["totals"] == {
        "clicks": 4, "tracked_clicks": 4, "unique_clicks": 1, "bots": 1, "suspects": suspects,
    }  # fmt: skip
    assert [day["clicks"] for day in every["by_day"]] == [0, 0, 0, 0, 0, 0, 4]
    assert every["breakdowns"]["placement"] == [{"key": "mail", "clicks": 2}]
    assert every["breakdowns"]["referrer_host"] == [{"key": "news.example", "clicks": 4}]
    assert every["breakdowns"]["touch_type"] == [
        {"key": "short_link_click", "clicks": 3},
        {"key": "qr_scan", "clicks": 1},
    ]
    assert world.get(path, touch_type="qr_scan").json()["totals"]["clicks"] == 1
    assert world.get(path, touch_type="short_link_click").json()["totals"]["clicks"] == 3
    assert world.get(path, include_bots="1").json()["totals"]["clicks"] == 5
    people = world.get(path, include_suspects="0").json()
    assert (people["totals"]["clicks"], people["totals"]["suspects"]) == (4 - suspects, suspects)
    assert world.get(path, include_bots="1", include_suspects="0").json()["code"] == "validation_failed"
    for wrong in ({"range_days": 0}, {"touch_type": "x"}, {"include_bots": "yes"}, {"days": 1}):
        assert world.get(path, **wrong).json()["code"] == "validation_failed"


def test_tags_are_found_behind_any_destination_and_a_nul_finds_nothing(world: Workspace) -> None:
    world.link("https://shop.example/?" + "x" * 1_500, title="Long", tags=["needle"])
    assert listed(world, search="needle") == ["Long"]
    assert listed(world, search="\0") == listed(world, tag="\0") == []


def test_a_link_is_found_by_its_short_url_however_it_is_written(world: Workspace) -> None:
    made = world.link(custom_slug="Found-me_1")
    host = made["short_url"].removeprefix("http://").partition("/")[0]
    for text in (
        made["short_url"], f"{host}/Found-me_1", f"HTTP://{host.upper()}/Found-me_1/", f"{made['short_url']}?u=http://x",
        "127.0.0.1/Found-me_1", "//localhost/Found-me_1#x",
    ):  # fmt: skip
        found = world.get("/api/v1/links/find", short_url=text)
        assert found.status_code == 200, text
        assert found.json()["link"]["id"] == made["id"]
    assert world.get("/api/v1/links/find", short_url=f"{host}/found-me_1").status_code == 404
