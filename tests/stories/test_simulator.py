"""The simulator says what a live request does: the same destination, for the same reason."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nimriz.web.api.simulator import SIMULATED
from tests.stories import raw
from tests.stories.test_rules import HERE, IPHONE, THERE, experiment, route, running, saved, say
from tests.stories.visitor import TOKEN, clicks
from tests.world import HUMAN, Body, Served, Workspace, serving

PAIRS = int(os.environ.get("NIMRIZ_TEST_PAIRS", "60"))
VISITORS_OF_LIST = 5
AGENTS = [
    HUMAN,
    IPHONE,
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile "
    "Safari/537.36",
    "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 "
    "Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 "
    "Edg/142.0.0.0",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.5.0",
    "",
]  # fmt: skip
LANGUAGES = ["de-AT,de;q=0.9,en;q=0.5", "en", "fr;q=0.2,it;q=0.8", "*", ""]
COUNTRIES = ["DE", "AT", "US", ""]
REFERRERS = ["https://www.news.example/a", "https://search.example/?q=x", ""]
QUERIES = ["", "nr=qr", "a=1&b=2", "utm_source=mail&p=top", "a=2&nr=qr&x=%C3%A9", "a=1&a=3&nim_ct=x", "b"]
DESTINATIONS = [
    HERE, THERE, "https://shop.example/?a=own", "https://files.example/f?X-Amz-Signature=1", "https://shop.example/#x",
]  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server behind a proxy that tells address and country."""
    with serving(
        tmp_path_factory.mktemp("installation") / "data",
        trusted_proxies="127.0.0.1", trusted_proxy_count="1", country_header="CF-IPCountry", privacy_signals="true",
    ) as running_server:  # fmt: skip
        yield running_server


def simulated(shop: Workspace, link: Body, **visit: Any) -> Body:
    """What the simulator says of a visit."""
    response = shop.call("POST", f"/api/v1/links/{link['id']}/simulate", visit)
    assert response.status_code == 200, response.text
    told: Body = response.json()
    return told


def some_conditions(chance: random.Random) -> Body:
    """Conditions, each of which holds for some visitors."""
    now = datetime.now(UTC)
    far = [(now + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (-30, 30)]
    someday = (now + timedelta(days=3)).strftime("%a").lower()
    listed = chance.choice(["in", "not_in"])
    possible: Body = {
        "country": {listed: chance.sample(["DE", "AT", "US"], 2)},
        "device": {listed: [chance.choice(["mobile", "desktop", "tablet", "other"])]},
        "os": {listed: [chance.choice(["iOS", "Android", "Windows", "Linux"])]},
        "browser": {listed: [chance.choice(["Firefox", "Chrome", "Safari", "Edge"])]},
        "language": {listed: [chance.choice(["de", "en", "it"])]},
        "referrer_host": {listed: [chance.choice(["news.example", "search.example"])]},
        "query": [chance.choice([{"name": "a"}, {"name": "a", "in": ["1", "3"]}, {"name": "b"}])],
        "time": chance.choice([{"from": far[0]}, {"to": far[1]}, {"from": far[1]}]),
        "weekly": [{"days": chance.choice([["mon", "tue", "wed", "thu", "fri", "sat", "sun"], [someday]])}],
        "qr": chance.choice([True, False]),
    }
    return {name: possible[name] for name in chance.sample(sorted(possible), chance.choice([0, 1, 1, 1, 2]))}


def some_rules(chance: random.Random) -> list[Body]:
    """Routes, and an experiment with weights that sum to 100."""
    rules = [
        route(chance.choice(DESTINATIONS), some_conditions(chance), enabled=chance.random() < 0.9)
        for _ in range(chance.randint(0, 4))
    ]
    if chance.random() < 0.7:
        first = chance.randint(0, 100)
        second = chance.randint(0, 100 - first)
        weights = [first, second, 100 - first - second]
        test = {**experiment(*weights), "when": some_conditions(chance)}
        for variant in test["variants"]:
            variant["destination"] = chance.choice(DESTINATIONS)
        rules.insert(chance.randint(0, len(rules)), test)
    return rules


def some_visitor(chance: random.Random) -> Body:
    """A visitor as the simulator is told of them."""
    return {
        "address": chance.choice(["198.51.100.", "203.0.113."]) + str(chance.randint(1, 250)) if chance.random() < 0.8
        else f"2001:db8:{chance.randint(1, 9)}::{chance.randint(1, 9)}",
        "country": chance.choice(COUNTRIES) or None,
        "user_agent": chance.choice(AGENTS),
        "accept_language": chance.choice(LANGUAGES),
        "referrer": chance.choice(REFERRERS),
        "query": chance.choice(QUERIES),
        "privacy": chance.choice(["strict", None, None]),
    }  # fmt: skip


def came(shop: Workspace, link: Body, visitor: Body) -> raw.Reply:
    """The same visitor, live."""
    headers: list[raw.Header] = [("X-Forwarded-For", visitor["address"]), ("User-Agent", visitor["user_agent"])]
    told = {"CF-IPCountry": "country", "Accept-Language": "accept_language", "Referer": "referrer"}
    headers += [(name, visitor[field]) for name, field in told.items() if visitor[field]]
    if visitor["privacy"] == "strict":
        headers.append(("DNT", "1"))
    query = f"?{visitor['query']}" if visitor["query"] else ""
    return raw.send(shop.served.port, "GET", f"/{link['short_code']}{query}", headers)


def test_simulator_and_live_request_agree_on_random_rules_and_visitors(shop: Workspace) -> None:
    chance = random.Random(20261125)
    for number in range(PAIRS // VISITORS_OF_LIST):
        if number % 10 == 0:
            shop.call("PATCH", "/api/v1/workspace", {"privacy_suppresses_token": chance.random() < 0.5})
        link = shop.link(
            chance.choice(DESTINATIONS),
            forward_query=chance.random() < 0.5,
            conversion_tracking=chance.random() < 0.8,
            append_token=chance.choice(["auto", "auto", "always", "never"]),
            utm={"source": "mail"} if chance.random() < 0.5 else None,
        )
        for rule in saved(shop, link, *some_rules(chance))["rules"]:
            if rule["kind"] == "experiment" and chance.random() < 0.8:
                say(shop, link, rule["id"], "start")
        told = []
        for _ in range(VISITORS_OF_LIST):
            visitor = some_visitor(chance)
            foretold = simulated(shop, link, **visitor)
            reply = came(shop, link, visitor)
            assert (reply.status, foretold["stopped_by"]) == (foretold["status"], None)
            assert TOKEN.sub("T", reply.header("location") or "") == foretold["location"].replace(
                f"nim_ct={SIMULATED}", "T"
            )
            assert ("nim_ct=nimct_" in foretold["location"]) == foretold["token"]["appended"]
            told.append((foretold["decision"], foretold["token"]["suppressed"] or "", foretold["touch_type"]))
        rows = [(row["decision"], row["token_suppressed"], row["touch_type"]) for row in clicks(shop, link)]
        assert rows == told


def test_it_tells_why_every_earlier_rule_did_not_match(shop: Workspace) -> None:
    link = shop.link()
    first = route(HERE, {"country": {"in": ["DE"]}, "os": {"in": ["iOS"]}})
    rules = saved(shop, link, first, route(enabled=False), experiment(50, 50), route(THERE, {"qr": True}))["rules"]
    told = simulated(shop, link, country="DE", device="desktop", os="Windows", query="nr=qr")
    assert (told["decided_by"], told["rule_id"], told["decision"]) == ("route", rules[3]["id"], 5)
    assert [(one["rule_id"], one["idle"], one["failing"]) for one in told["passed_over"]] == [
        (rules[0]["id"], None, ["os"]),
        (rules[1]["id"], "disabled", []),
        (rules[2]["id"], "draft", []),
    ]
    assert simulated(shop, link, country="DE", os="iOS")["rule_id"] == rules[0]["id"]
    assert simulated(shop, link, country="DE")["decided_by"] == "link"
    assert clicks(shop, link) == []


def test_a_draft_is_tried_without_being_saved(shop: Workspace) -> None:
    link = shop.link()
    draft = [route(HERE, {"country": {"in": ["AT"]}}), experiment(0, 100)]
    told = simulated(shop, link, rules=draft, assume_running=True)
    assert (told["decided_by"], told["variant"], told["decision"], told["version"]) == ("experiment", "v2", None, None)
    assert told["location"] == f"https://shop.example/1?nim_ct={SIMULATED}"
    assert (told["position"], told["rule_id"]) == (1, None)
    assert simulated(shop, link, rules=draft, assume_running=True) | {"at": ""} == told | {"at": ""}
    assert simulated(shop, link, rules=draft)["decided_by"] == "link"
    assert shop.get(f"/api/v1/links/{link['id']}/rules").json()["rules"] == []
    refused = shop.call("POST", f"/api/v1/links/{link['id']}/simulate", {"rules": [route("http://10.0.0.1/")]})
    assert refused.json()["code"] == "destination_blocked"


def test_a_future_instant_is_tried_now(shop: Workspace) -> None:
    link = shop.link(expires_at="2031-01-01T00:00:00Z")
    saved(shop, link, route(HERE, {"time": {"from": "2030-06-01T00:00:00Z"}}))
    assert simulated(shop, link)["decided_by"] == "link"
    assert simulated(shop, link, at="2030-06-01T00:00:00Z")["decided_by"] == "route"
    over = simulated(shop, link, at="2031-01-01T00:00:00Z")
    assert (over["stopped_by"], over["status"], over["location"]) == ("expired", 410, None)


def test_what_stands_in_the_way_is_told(shop: Workspace) -> None:
    link = shop.link(password="open sesame")
    behind = simulated(shop, link)
    assert (behind["stopped_by"], behind["status"]) == ("password", 200)
    assert behind["location"] == f"https://shop.example/landing?nim_ct={SIMULATED}"
    other = shop.link(conversion_tracking=False)
    assert simulated(shop, other)["token"] == {"appended": False, "suppressed": None}
    assert simulated(shop, other, path=f"/{other['short_code']}", host="LOCALHOST")["stopped_by"] is None
    assert simulated(shop, other, path="/else")["stopped_by"] == "other_address"
    assert shop.call("PATCH", f"/api/v1/links/{other['id']}", {"status": "disabled"}).status_code == 200
    disabled = simulated(shop, other)
    assert (disabled["stopped_by"], disabled["status"], disabled["location"]) == ("disabled", 404, None)


def test_what_stands_in_the_tokens_place_is_no_token(shop: Workspace) -> None:
    link = shop.link()
    running(shop, link, 50, 50)
    token = simulated(shop, link)["location"].partition("nim_ct=")[2]
    assert len(token) == len(shop.click(link["short_code"]))
    answer = shop.post({"event_name": "lead", "event_id": "e", "user_data": {"click_id": token}}).json()
    assert answer["attribution"]["reason"] == "token_malformed"
