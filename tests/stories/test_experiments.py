"""Experiments from outside: their life, and visitors who always see the same variant."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.stories.test_rules import HERE, experiment, place, put, route, running, saved, say
from tests.stories.visitor import clicks, visit
from tests.world import Body, Served, Workspace, create_workspace

COOKIE = re.compile(r"nimriz_variants=([0-9-]+)\.[0-9a-f]{64}; Path=/([\w-]+); Max-Age=7776000; HttpOnly; SameSite=Lax")


@pytest.fixture(scope="module")
def sticky(served: Served) -> Iterator[Workspace]:
    """A workspace that keeps variants in a cookie."""
    workspace = create_workspace(served, "Sticky")
    assert workspace.call("PATCH", "/api/v1/workspace", {"sticky_cookie": True}).json()["sticky_cookie"] is True
    yield workspace
    workspace.client.close()


def agents(count: int) -> list[str]:
    """User agents of so many people."""
    return [f"Mozilla/5.0 (X11; Linux x86_64; rv:{n}.0) Gecko/20100101 Firefox/{n}.0" for n in range(100, 100 + count)]


def state(shop: Workspace, link: Body, experiment_id: str) -> str:
    """The state of an experiment."""
    told: str = shop.get(f"/api/v1/links/{link['id']}/experiments/{experiment_id}").json()["experiment"]["state"]
    return told


def test_everybody_sees_the_same_variant_again_and_some_see_each(shop: Workspace) -> None:
    link = shop.link(conversion_tracking=False)
    running(shop, link, 50, 50)
    seen = {agent: place(shop, link, **{"User-Agent": agent}) for agent in agents(40)}
    assert {agent: place(shop, link, **{"User-Agent": agent}) for agent in seen} == seen
    assert Counter(seen.values()).keys() == {"https://shop.example/0", "https://shop.example/1"}
    assert visit(shop, f"/{link['short_code']}").header("set-cookie") is None


def test_a_change_of_weights_moves_only_towards_what_gained(shop: Workspace) -> None:
    link = shop.link(conversion_tracking=False)
    found = running(shop, link, 50, 50)
    before = {agent: place(shop, link, **{"User-Agent": agent}) for agent in agents(60)}
    rules = shop.get(f"/api/v1/links/{link['id']}/rules").json()["rules"]
    for variant, weight in zip(rules[0]["variants"], (60, 40), strict=True):
        variant["weight"] = weight
    saved(shop, link, *rules)
    after = {agent: place(shop, link, **{"User-Agent": agent}) for agent in before}
    moved = {(before[agent], after[agent]) for agent in before if before[agent] != after[agent]}
    assert moved <= {("https://shop.example/1", "https://shop.example/0")}
    told = shop.get(f"/api/v1/links/{link['id']}/experiments/{found['id']}").json()["experiment"]
    assert [phase["weights"] for phase in told["phases"]] == [{"v1": 50, "v2": 50}, {"v1": 60, "v2": 40}]


def test_from_draft_to_history(shop: Workspace) -> None:
    link = shop.link("https://shop.example/own", conversion_tracking=False)
    experiment_id = saved(shop, link, experiment(100, 0))["rules"][0]["id"]
    assert place(shop, link) == "https://shop.example/own"
    assert say(shop, link, experiment_id, "pause").json() | {"support_reference": ""} == {
        "type": "urn:nimriz:problem:experiment_state", "title": "Experiment in another state", "status": 409,
        "detail": "This cannot be done in the state of the experiment, which `state` names.",
        "code": "experiment_state", "state": "draft", "errors": [], "support_reference": "",
    }  # fmt: skip
    assert say(shop, link, experiment_id, "promote", variant="v1").json()["state"] == "draft"
    for verb, expected, led in (
        ("start", "running", "0"), ("pause", "paused", "own"), ("start", "running", "0"), ("stop", "stopped", "own"),
    ):  # fmt: skip
        assert say(shop, link, experiment_id, verb).status_code == 200
        assert state(shop, link, experiment_id) == expected
        assert place(shop, link) == f"https://shop.example/{led}"
    assert say(shop, link, experiment_id, "start").json()["state"] == "stopped"


def test_a_promoted_variant_is_a_route_for_the_same_visitors_and_the_experiment_history(shop: Workspace) -> None:
    link = shop.link("https://shop.example/own", conversion_tracking=False)
    rules = saved(shop, link, route(HERE, {"qr": True}), experiment(50, 50, when={"qr": False}, name="Page"), route())
    experiment_id = rules["rules"][1]["id"]
    assert say(shop, link, experiment_id, "start").status_code == 200
    assert say(shop, link, experiment_id, "promote", variant="v9").json()["code"] == "variant_not_found"
    told = say(shop, link, experiment_id, "promote", variant="v2").json()
    promoted = told["rules"][1]
    assert (promoted["kind"], promoted["destination"]) == ("route", "https://shop.example/1")
    assert (promoted["when"], promoted["name"]) == ({"qr": False}, "Page")
    assert [rule["id"] for rule in told["rules"]][::2] == [rule["id"] for rule in rules["rules"]][::2]
    assert {place(shop, link, **{"User-Agent": agent}) for agent in agents(5)} == {"https://shop.example/1"}
    (kept,) = shop.get(f"/api/v1/links/{link['id']}/experiments").json()["experiments"]
    assert (kept["state"], kept["promoted"], kept["stopped_at"] is not None) == ("stopped", "v2", True)
    assert say(shop, link, experiment_id, "promote", variant="v1").json()["code"] == "experiment_state"
    # The route has a number of its own: what came by the variant stays the variant's.
    numbers = [variant["decision"] for variant in kept["variants"]]
    assert clicks(shop, link)[-1]["decision"] not in [*numbers, 0]


def test_a_running_experiment_cannot_be_lost_or_rewritten(shop: Workspace) -> None:
    link = shop.link()
    found = running(shop, link, 50, 50)
    assert put(shop, link, []).json()["code"] == "experiment_running"
    rules = shop.get(f"/api/v1/links/{link['id']}/rules").json()["rules"]
    rules[0]["variants"][0]["destination"] = HERE
    assert put(shop, link, rules).json()["code"] == "experiment_started"
    assert say(shop, link, found["id"], "stop").status_code == 200
    over = shop.get(f"/api/v1/links/{link['id']}/rules").json()["rules"]
    assert saved(shop, link, *over)["rules"] == over
    over[0]["variants"][0]["weight"], over[0]["variants"][1]["weight"] = 60, 40
    refused = put(shop, link, over).json()
    assert (refused["code"], refused["state"]) == ("experiment_state", "stopped")
    assert put(shop, link, []).status_code == 200
    assert state(shop, link, found["id"]) == "stopped"
    again = experiment(50, 50)
    again["variants"][0]["key"] = "v1"
    assert put(shop, link, [again]).json()["code"] == "variant_key_taken"
    made = saved(shop, link, experiment(50, 50))["rules"][0]
    assert [variant["key"] for variant in made["variants"]] == ["v3", "v4"]
    # A draft leaves no history.
    assert put(shop, link, []).status_code == 200
    assert len(shop.get(f"/api/v1/links/{link['id']}/experiments").json()["experiments"]) == 1


def test_a_cookie_keeps_the_variant_where_the_workspace_chose_so(sticky: Workspace) -> None:
    link = sticky.link(conversion_tracking=False)
    found = running(sticky, link, 50, 50)
    first = visit(sticky, f"/{link['short_code']}")
    match = COOKIE.fullmatch(first.header("set-cookie") or "")
    assert match, first.headers
    assert (match[2], int(match[1])) == (link["short_code"], clicks(sticky, link)[0]["decision"])
    kept = (first.header("set-cookie") or "").partition(";")[0]
    for agent in agents(12):
        again = visit(sticky, f"/{link['short_code']}", User_Agent=agent, Cookie=f"a=b; {kept}")
        assert again.header("location") == first.header("location")
        assert again.header("set-cookie") is None
    # A variant without a share keeps nobody.
    rules = sticky.get(f"/api/v1/links/{link['id']}/rules").json()["rules"]
    for variant, one in zip(rules[0]["variants"], found["variants"], strict=True):
        variant["weight"] = 0 if one["decision"] == int(match[1]) else 100
    saved(sticky, link, *rules)
    moved = visit(sticky, f"/{link['short_code']}", Cookie=kept)
    assert moved.header("location") != first.header("location")
    assert moved.header("set-cookie") is not None


@pytest.mark.parametrize("value", ["1.", "2.", "", "1-2-3", "x.y", "1." + "0" * 64, "." + "f" * 64])
def test_a_cookie_that_is_not_ours_keeps_nothing(sticky: Workspace, value: str) -> None:
    link = sticky.link(conversion_tracking=False)
    running(sticky, link, 0, 100)
    reply = visit(sticky, f"/{link['short_code']}", Cookie=f"nimriz_variants={value}")
    assert reply.header("location") == "https://shop.example/1"
    assert COOKIE.fullmatch(reply.header("set-cookie") or "")


def test_a_cookie_of_another_link_keeps_nothing(sticky: Workspace) -> None:
    links = [sticky.link(conversion_tracking=False) for _ in range(2)]
    for link in links:
        running(sticky, link, 0, 100)
    kept = (visit(sticky, f"/{links[0]['short_code']}").header("set-cookie") or "").partition(";")[0]
    assert visit(sticky, f"/{links[1]['short_code']}", Cookie=kept).header("set-cookie") is not None
    assert visit(sticky, f"/{links[0]['short_code']}", Cookie=kept).header("set-cookie") is None


def test_strict_privacy_sets_and_reads_no_cookie_and_still_divides(sticky: Workspace) -> None:
    link = sticky.link(privacy="strict", conversion_tracking=False)
    running(sticky, link, 50, 50)
    seen = {}
    for agent in agents(30):
        reply = visit(sticky, f"/{link['short_code']}", User_Agent=agent)
        assert reply.header("set-cookie") is None
        seen[agent] = reply.header("location")
    assert len(set(seen.values())) == 2
    assert all(visit(sticky, f"/{link['short_code']}", User_Agent=a).header("location") == seen[a] for a in seen)


def test_whoever_only_looks_gets_no_cookie_and_the_same_address(sticky: Workspace) -> None:
    link = sticky.link(conversion_tracking=False)
    running(sticky, link, 50, 50)
    head = visit(sticky, f"/{link['short_code']}", "HEAD")
    assert head.header("set-cookie") is None
    assert head.header("location") == visit(sticky, f"/{link['short_code']}").header("location")
