"""Rules: who goes where, from the first save to the click that tells by which rule it went."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.stories.visitor import TOKEN, clicks, visit
from tests.world import Body, Workspace, lead

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
HERE, THERE, ELSEWHERE = "https://shop.example/here", "https://shop.example/there?a=1#f", "https://other.example/"


def route(destination: str = HERE, when: Body | None = None, **fields: Any) -> Body:
    """A route as it is sent."""
    return {"kind": "route", "destination": destination, "when": when or {}, **fields}


def experiment(*weights: int, **fields: Any) -> Body:
    """An experiment as it is sent; its variants lead to /0, /1, ..."""
    variants = [{"weight": weight, "destination": f"https://shop.example/{n}"} for n, weight in enumerate(weights)]
    return {"kind": "experiment", "variants": variants, **fields}


def put(shop: Workspace, link: Body, rules: list[Body], if_match: str | None = "*") -> httpx2.Response:
    """Replace a link's rules."""
    headers = {"Authorization": f"Bearer {shop.api_key}"} | ({} if if_match is None else {"If-Match": if_match})
    return shop.client.put(f"/api/v1/links/{link['id']}/rules", json={"rules": rules}, headers=headers)


def saved(shop: Workspace, link: Body, *rules: Body) -> Body:
    """The rules as they are once they are saved."""
    response = put(shop, link, list(rules))
    assert response.status_code == 200, response.text
    told: Body = response.json()
    return told


def say(shop: Workspace, link: Body, experiment_id: str, verb: str, **body: Any) -> httpx2.Response:
    """Say a verb of an experiment."""
    path = f"/api/v1/links/{link['id']}/experiments/{experiment_id}/{verb}"
    return shop.client.post(path, json=body or None, headers={"Authorization": f"Bearer {shop.api_key}"})


def running(shop: Workspace, link: Body, *weights: int) -> Body:
    """A running experiment on a link."""
    experiment_id = saved(shop, link, experiment(*weights))["rules"][0]["id"]
    assert say(shop, link, experiment_id, "start").status_code == 200
    found: Body = shop.get(f"/api/v1/links/{link['id']}/experiments/{experiment_id}").json()["experiment"]
    return found


def place(shop: Workspace, link: Body, query: str = "", **headers: str) -> str:
    """Where a visitor is sent, the token written as T."""
    return TOKEN.sub("T", shop.location(link["short_code"], query, **headers))


def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in the background."""
    ends_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends_s
        time.sleep(0.05)


def test_the_first_rule_that_matches_decides_and_else_the_link(shop: Workspace) -> None:
    link = shop.link("https://shop.example/own")
    told = saved(
        shop, link,
        route(ELSEWHERE, enabled=False),
        route(HERE, {"language": {"in": ["de"]}, "qr": True}),
        route(THERE, {"os": {"in": ["iOS"]}, "device": {"in": ["mobile"]}}),
    )  # fmt: skip
    assert place(shop, link) == "https://shop.example/own?T"
    assert place(shop, link, "?nr=qr", **{"Accept-Language": "de-AT"}) == f"{HERE}?T"
    assert place(shop, link, **{"Accept-Language": "de-AT"}) == "https://shop.example/own?T"
    assert place(shop, link, **{"User-Agent": IPHONE}) == "https://shop.example/there?a=1&T#f"
    assert [state["idle"] for state in told["states"]] == ["disabled", None, None]
    assert [state["destinations"][0]["decision"] for state in told["states"]] == [1, 2, 3]
    assert [row["decision"] for row in clicks(shop, link)] == [0, 2, 0, 3]
    head = visit(shop, f"/{link['short_code']}?nr=qr", "HEAD", Accept_Language="de")
    assert head.header("location") == HERE
    assert len(clicks(shop, link)) == 4


def test_every_destination_is_told_apart_utm_forwarding_and_suppression_included(shop: Workspace) -> None:
    link = shop.link("https://shop.example/own?x=1", forward_query=True, utm={"source": "mail"})
    signed = "https://files.example/f?X-Amz-Signature=1"
    told = saved(
        shop, link,
        route(signed, {"query": [{"name": "to", "in": ["signed"]}]}),
        route("https://shop.example/there?a=own", {"query": [{"name": "to"}]}),
    )  # fmt: skip
    assert [state["destinations"][0]["token_suppressed"] for state in told["states"]] == ["signed_aws", None]
    assert place(shop, link, "?to=signed&a=1") == signed
    assert place(shop, link, "?to=x&a=1&x=2") == "https://shop.example/there?a=own&utm_source=mail&to=x&x=2&T"
    assert place(shop, link, "?a=1&x=2") == "https://shop.example/own?x=1&utm_source=mail&a=1&T"
    assert [row["token_suppressed"] for row in clicks(shop, link)] == ["signed_aws", "", ""]
    assert [row["destination_host"] for row in clicks(shop, link)] == ["files.example", "shop.example", "shop.example"]


def test_a_referrer_decides_by_its_host_and_what_is_under_it(shop: Workspace) -> None:
    link = shop.link()
    saved(shop, link, route(THERE, {"referrer_host": {"in": ["news.example"]}}))
    assert place(shop, link, Referer="https://www.news.example/a") == "https://shop.example/there?a=1&T#f"
    assert place(shop, link, Referer="https://notnews.example/a") == "https://shop.example/landing?T"


def test_a_list_that_somebody_else_has_changed_is_not_replaced(shop: Workspace) -> None:
    link = shop.link()
    path = f"/api/v1/links/{link['id']}/rules"
    first = shop.get(path)
    assert (first.json()["rules"], first.headers["etag"]) == ([], '"0"')
    assert (put(shop, link, [], None).status_code, put(shop, link, [], None).json()["code"]) == (
        428,
        "precondition_required",
    )
    done = put(shop, link, [route()], '"0"')
    assert (done.status_code, done.headers["etag"]) == (200, '"1"')
    for stale in ('"0"', 'W/"1"', '"nothing"', "1"):
        refused = put(shop, link, [route(THERE)], stale)
        assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed"), stale
    assert put(shop, link, done.json()["rules"], '"7", "1"').headers["etag"] == '"2"'
    now = shop.get(path)
    assert (now.json()["rules"], now.headers["etag"]) == (done.json()["rules"], '"2"')


def test_what_was_read_can_be_sent_back_and_keeps_ids_and_numbers(shop: Workspace) -> None:
    link = shop.link()
    rules = saved(shop, link, route(HERE, name="One"), experiment(20, 80, name="Two"))["rules"]
    rules[0]["destination"] = THERE
    again = saved(shop, link, rules[1], rules[0])
    assert [rule["id"] for rule in again["rules"]] == [rules[1]["id"], rules[0]["id"]]
    decided = [one["decision"] for state in again["states"] for one in state["destinations"]]
    assert decided == [2, 3, 1]
    assert saved(shop, link, *rules)["states"][0]["destinations"][0]["decision"] == 1


def test_a_rule_that_nobody_reaches_is_pointed_out_and_saved_all_the_same(shop: Workspace) -> None:
    link = shop.link()
    told = saved(
        shop, link, route(when={"country": {"in": ["DE"]}}), route(THERE), route(ELSEWHERE), experiment(50, 50)
    )
    ids = [rule["id"] for rule in told["rules"]]
    assert [(one["code"], one["rule_id"], one["by"]) for one in told["warnings"]] == [
        ("shadowed", ids[2], ids[1]),
        ("shadowed", ids[3], ids[1]),
    ]
    narrower = saved(shop, link, route(when={"country": {"in": ["DE", "AT"]}}), route(when={"country": {"in": ["AT"]}}))
    assert [one["rule_id"] for one in narrower["warnings"]] == [narrower["rules"][1]["id"]]
    assert saved(shop, link, route(enabled=False), route())["warnings"] == []


@pytest.mark.parametrize(
    ("rule", "field", "code"),
    [
        (route("shop.example"), "rules.0.destination", "destination_refused"),
        (route("myapp://x"), "rules.0.destination", "destination_refused"),
        (route(when={"country": {"in": ["UK"]}}), "rules.0.when.country.in.0", "value_unknown"),
        (route(when={"country": {}}), "rules.0.when.country", "in_or_not_in"),
        (route(when={"query": [{"name": ""}]}), "rules.0.when.query.0.name", "field_length"),
        (route(when={"time": {"from": "today"}}), "rules.0.when.time.from", "instant_malformed"),
        (route(when={"weather": "fine"}), "rules.0.when.weather", "field_unknown"),
        (route(state="running"), "rules.0.state", "field_unknown"),
        (route(id="019ab1f4-7c00-7c3e-9a51-5f0d3c1b2a11"), "rules.0.id", "rule_unknown"),
        (experiment(50, 49), "rules.0", "weights_sum"),
        (experiment(100), "rules.0.variants", "field_length"),
        (experiment(*[10] * 9, 5, 5), "rules.0.variants", "field_length"),
        ({"kind": "random"}, "rules.0", "field_type"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_its_place(shop: Workspace, rule: Body, field: str, code: str) -> None:
    refused = put(shop, shop.link(), [rule])
    assert refused.status_code == 422, refused.text
    assert {error["field"]: error["code"] for error in refused.json()["errors"]} == {field: code}


def test_a_rule_leads_where_a_link_may_lead_and_nowhere_else(shop: Workspace) -> None:
    link = shop.link()
    for blocked in ("http://localhost/x", "http://10.0.0.1/", "https://printer.local/"):
        for rule in (route(blocked), experiment(50, 50) | {"variants": [
            {"weight": 50, "destination": HERE}, {"weight": 50, "destination": blocked},
        ]}):  # fmt: skip
            refused = put(shop, link, [rule])
            assert (refused.status_code, refused.json()["code"]) == (422, "destination_blocked")
            assert refused.json()["errors"][0]["field"] == "rules.0"


def test_a_blocked_host_stops_the_destination_that_leads_there_and_no_other(world: Workspace) -> None:
    link = world.link()
    rules = saved(world, link, route(ELSEWHERE, {"query": [{"name": "a"}]}), route(HERE))["rules"]
    assert place(world, link, "?a") == f"{ELSEWHERE}?T"
    assert world.call("POST", "/api/v1/blocked-hosts", {"host": "other.example"}).status_code == 201
    stopped = visit(world, f"/{link['short_code']}?a")
    assert (stopped.status, b"taken down" in stopped.body) == (404, True)
    assert place(world, link) == f"{HERE}?T"
    # What the list had already may stay while something else is changed.
    told = saved(world, link, *rules)
    assert [state["destinations"][0]["blocked"] for state in told["states"]] == [True, False]
    assert len(clicks(world, link)) == 2


def test_clicks_and_conversions_tell_by_which_rule_and_variant_they_came(world: Workspace) -> None:
    link = world.link()
    found = running(world, link, 0, 100)
    token = world.click(link["short_code"])
    key = found["variants"][1]["variant_key"]
    assert key == f"{link['id']}/v2"
    recorded = world.post(lead("first", token)).json()
    assert recorded["attribution"]["variant"] == key
    until(lambda: world.get("/api/v1/clicks").json()["clicks"] != [])
    (click,) = world.get("/api/v1/clicks").json()["clicks"]
    assert (click["variant"], click["rule_id"], click["decision"]) == (key, found["id"], 2)
    # The experiment goes; what it decided stays.
    assert say(world, link, found["id"], "stop").status_code == 200
    saved(world, link, route(HERE))
    assert world.event("first")["attribution"]["variant"] == key
    assert world.post(lead("second", token)).json()["attribution"]["variant"] == key
    assert world.post(lead("third", world.click(link["short_code"]))).json()["attribution"]["variant"] is None


def test_the_history_tells_what_changed_in_the_rules(world: Workspace) -> None:
    link = world.link()
    found = running(world, link, 50, 50)
    entries = world.get(f"/api/v1/links/{link['id']}/history").json()["changes"]
    assert [entry["action"] for entry in entries] == ["experiment_started", "rules_changed", "created"]
    assert entries[0]["before"] == {f"{found['id']}.state": "draft"}
    assert entries[0]["after"] == {f"{found['id']}.state": "running"}
    assert entries[1]["after"]["order"] == [found["id"]]


def test_a_stranger_sees_and_changes_nothing(shop: Workspace, stranger: Workspace) -> None:
    link = shop.link()
    found = running(shop, link, 50, 50)
    path = f"/api/v1/links/{link['id']}"
    assert put(stranger, link, []).json()["code"] == "link_not_found"
    assert say(stranger, link, found["id"], "stop").json()["code"] == "link_not_found"
    assert stranger.get(f"{path}/rules").json()["code"] == "link_not_found"
    assert stranger.get(f"{path}/experiments").json()["code"] == "link_not_found"
    assert stranger.call("POST", f"{path}/simulate", {}).json()["code"] == "link_not_found"
    other = shop.link()
    assert say(shop, other, found["id"], "stop").json()["code"] == "experiment_not_found"


def test_a_password_comes_before_the_rules(shop: Workspace) -> None:
    link = shop.link(password="open sesame")
    saved(shop, link, route(HERE))
    assert visit(shop, f"/{link['short_code']}").status == 200
    assert clicks(shop, link) == []
