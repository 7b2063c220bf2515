"""Which clicks count: bots do not, suspects do unless they are left out, and whoever buys is a person."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.patience import until
from tests.world import Workspace, create_workspace, sale


def report(world: Workspace, **asked: Any) -> dict[str, Any]:
    response = world.get("/api/v1/analytics/conversions", **asked)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_many_quick_clicks_from_one_address_all_count_and_are_one_visitor(world: Workspace) -> None:
    code = world.link()["short_code"]
    for _ in range(142):
        world.location(code)
    told = report(world)["totals"]
    assert (told["clicks"], told["tracked_clicks"], told["unique_clicks"]) == (142, 142, 1)
    # The first one too, once it is seen how fast the others came. Where the machine stood still, some are left.
    until(lambda: report(world, include_suspects="0")["totals"]["clicks"] < 20)


def test_clients_that_are_libraries_count_unless_suspects_are_left_out(world: Workspace) -> None:
    code = world.link()["short_code"]
    for number in range(3):
        world.client.get(f"/{code}", headers={"User-Agent": f"python-requests/2.{number}"})
    until(lambda: report(world, include_suspects="0")["totals"]["clicks"] == 0)
    assert report(world)["totals"]["clicks"] == 3
    assert report(world, include_bots="1")["totals"]["clicks"] == 3


def test_unique_clicks_are_counted_over_the_whole_and_have_no_place_by_event_name(world: Workspace) -> None:
    first, second = world.link()["short_code"], world.link()["short_code"]
    for code, browser in ((first, "1"), (first, "2"), (second, "1"), (second, "1")):
        world.location(code, **{"User-Agent": f"Mozilla/5.0 (X11; Linux x86_64; rv:14{browser}.0) Gecko/20100101"})
    by_link = report(world)
    assert sorted(row["unique_clicks"] for row in by_link["rows"]) == [1, 2]
    assert (by_link["totals"]["clicks"], by_link["totals"]["unique_clicks"]) == (4, 2)
    by_day = report(world, by="day")
    assert sum(row["unique_clicks"] for row in by_day["rows"]) == by_day["totals"]["unique_clicks"] == 2
    world.post(sale("s-1", click_id=world.click(first)))
    by_name = report(world, by="event_name")
    assert [row["unique_clicks"] for row in by_name["rows"]] == [None]
    assert by_name["totals"]["unique_clicks"] == 3
    assert by_name["unattributed"]["unique_clicks"] is None


def test_under_strict_privacy_unique_clicks_are_unknown_where_it_holds(world: Workspace) -> None:
    open_one, private = world.link(), world.link()
    assert world.call("PATCH", f"/api/v1/links/{private['id']}", {"privacy": "strict"}).status_code == 200
    for made in (open_one, private):
        world.location(made["short_code"])
    told = report(world)
    assert {row["key"]: row["unique_clicks"] for row in told["rows"]} == {open_one["id"]: 1, private["id"]: None}
    assert (told["totals"]["clicks"], told["totals"]["unique_clicks"]) == (2, None)


def test_a_prefetch_counts_from_the_moment_on_when_it_brings_a_sale(world: Workspace) -> None:
    made = world.link()
    location = world.location(made["short_code"], **{"Sec-Purpose": "prefetch"})
    token = re.search(r"nim_ct=([^&#]+)", location)
    assert token
    path = f"/api/v1/links/{made['id']}/analytics"
    assert report(world)["totals"]["clicks"] == 0
    assert report(world, include_bots="1")["totals"]["clicks"] == 1
    assert world.get(path).json()["totals"]["bots"] == 1
    assert world.post(sale("s-1", click_id=token[1])).status_code == 201
    until(lambda: report(world)["totals"]["clicks"] == 1)
    told = report(world, include_suspects="0")["totals"]
    assert (told["clicks"], told["attribution_rate"]) == (1, 1.0)
    assert world.get(path).json()["totals"] | {"unique_clicks": 1} == {
        "clicks": 1, "tracked_clicks": 1, "unique_clicks": 1, "bots": 0, "suspects": 0,
    }  # fmt: skip


def test_a_test_event_makes_no_person_of_a_prefetch(world: Workspace) -> None:
    location = world.location(world.link()["short_code"], **{"Sec-Purpose": "prefetch"})
    token = location.partition("nim_ct=")[2]
    assert world.post(sale("t-1", click_id=token), secret=world.test_signing_secret).status_code == 201
    time.sleep(1.5)
    assert report(world)["totals"]["clicks"] == 0


def test_beyond_what_the_plan_shows_click_figures_are_null_and_conversions_are_not(world: Workspace) -> None:
    other = create_workspace(world.served)
    made = other.link()
    other.post(sale("s-1", click_id=other.click(made["short_code"])))
    world.served.run("workspace", "plan", other.workspace_id, "growth")
    today = datetime.now(UTC).date()
    clicked = ("clicks", "tracked_clicks", "unique_clicks", "attribution_rate")
    asked = {"from": (today - timedelta(days=121)).isoformat(), "to": today.isoformat()}
    for by in ("link", "event_name"):
        told = report(other, by=by, **asked)
        assert [told["totals"][name] for name in clicked] == [None] * 4
        assert [told["rows"][0][name] for name in clicked] == [None] * 4
        assert told["totals"]["sales"] == told["rows"][0]["sales"] == 1
    by_day = report(other, by="day", **asked)
    assert [by_day["totals"][name] for name in clicked] == [None] * 4
    assert [by_day["rows"][0][name] for name in clicked] == [1, 1, 1, 1.0]
    within = {**asked, "from": (today - timedelta(days=119)).isoformat()}
    assert report(other, **within)["totals"]["clicks"] == 1

    path = f"/api/v1/links/{made['id']}/analytics"
    told = other.get(path, range_days=122).json()
    assert set(told["totals"].values()) == {None}
    assert told["breakdowns"] is None
    assert [day["clicks"] for day in told["by_day"]] == [None, None] + [0] * 119 + [1]
    told = other.get(path, range_days=120).json()
    assert (told["totals"]["clicks"], told["breakdowns"]["touch_type"]) == (
        1, [{"key": "short_link_click", "clicks": 1}],
    )  # fmt: skip
    other.client.close()
