"""The results of an experiment, as a marketer reads them: exact figures, and only what may be said."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import pytest

from tests.patience import until
from tests.world import Body, Workspace, follow_on, lead, sale

KEYS = ("photo", "video")


class Running(NamedTuple):
    """A link whose visitors an experiment divides in halves."""

    world: Workspace
    link: Body
    experiment_id: str

    @property
    def path(self) -> str:
        return f"/api/v1/links/{self.link['id']}/experiments/{self.experiment_id}"

    def results(self, **asked: Any) -> Body:
        response = self.world.get(f"{self.path}/results", **asked)
        assert response.status_code == 200, response.text
        found: Body = response.json()
        return found

    def call(self, verb: str, body: Body | None = None) -> None:
        response = self.world.call("POST", f"{self.path}/{verb}", body or {})
        assert response.status_code == 200, response.text

    def variants(self) -> dict[str, Body]:
        return {variant["key"]: variant for variant in self.results()["variants"]}

    def visit(self, number: int) -> tuple[str, str]:
        """A visitor clicks: the variant that it is shown, and its token."""
        location = self.world.location(self.link["short_code"], **agent(number))
        page, _, token = location.partition("?nim_ct=")
        return page.rpartition("/")[2], token

    def visits(self, each: int, first: int = 0) -> dict[str, list[str]]:
        """Visitors come until so many have had each variant: the tokens of all, by variant."""
        tokens: dict[str, list[str]] = defaultdict(list)
        number = first
        while min(len(tokens[key]) for key in KEYS) < each:
            key, token = self.visit(number)
            tokens[key].append(token)
            number += 1
        return tokens


def agent(number: int) -> dict[str, str]:
    return {"User-Agent": f"Mozilla/5.0 (X11; Linux x86_64; rv:{number}.0) Gecko/20100101 Firefox/{number}.0"}


def experiment(world: Workspace, *, start: bool = True) -> Running:
    link = world.link()
    variants = [{"key": key, "weight": 50, "destination": f"https://shop.example/{key}"} for key in KEYS]
    rules = {"rules": [{"kind": "experiment", "name": "Photo or video", "variants": variants}]}
    headers = {"Authorization": f"Bearer {world.api_key}", "If-Match": "*"}
    made = world.client.put(f"/api/v1/links/{link['id']}/rules", json=rules, headers=headers)
    assert made.status_code == 200, made.text
    running = Running(world, link, made.json()["rules"][0]["id"])
    if start:
        running.call("start")
        until(lambda: running.visit(0)[0] in KEYS)
    return running


@pytest.fixture(scope="module")
def running(shop: Workspace) -> Running:
    """An experiment in which everybody has clicked once, and photo's first visitor twice and bought."""
    return experiment(shop)


def send(world: Workspace, *events: Body) -> None:
    response = world.post({"events": list(events)}, path="/batch")
    assert {one["http_status"] for one in response.json()["results"]} <= {200, 201}, response.text


def test_every_figure_is_exact_and_money_is_what_is_left_of_it(world: Workspace) -> None:
    running = experiment(world)
    tokens = running.visits(5, first=1)
    seen, more = {key: len(tokens[key]) for key in KEYS}, running.visit(0)[0]
    seen[more] += 1  # The visitor that waited for the start, however often it did.
    world.client.get(f"/{running.link['short_code']}", headers={"User-Agent": "Googlebot/2.1"})
    photo, video = tokens["photo"], tokens["video"]
    send(
        world,
        lead("l-1", photo[0]),
        lead("l-2", photo[0]),
        lead("l-3", video[0]),
        sale("s-1", "30.00", click_id=photo[0]),
        sale("s-2", "50.00", click_id=photo[1]),
        sale("s-3", "5000", "JPY", click_id=photo[1]),
        sale("s-4", "20.00", click_id=video[0]),
        follow_on("refund", "r-1", "12.50", related_event_id="s-1"),
        follow_on("refund", "r-2", related_event_id="s-4"),
    )
    told = running.results()
    assert (told["state"], told["unit"], told["weights"][0]["weights"]) == (
        "running",
        "visitor",
        {"photo": 50, "video": 50},
    )
    of = {variant["key"]: variant for variant in told["variants"]}
    assert {key: of[key]["visitors"] for key in KEYS} == seen
    assert sum(of[key]["clicks"] for key in KEYS) >= sum(seen.values())
    counted = ("leads", "sales", "refunds", "visitors_with_lead", "visitors_with_sale")
    assert [of["photo"][name] for name in counted] == [2, 3, 1, 1, 2]
    assert [of["video"][name] for name in counted] == [1, 1, 1, 1, 1]
    money = {key: {line["currency"]: line for line in of[key]["revenue"]} for key in KEYS}
    assert (money["photo"]["USD"]["gross"], money["photo"]["USD"]["net_minor"]) == ("80.00", 6_750)
    assert (money["photo"]["JPY"]["net"], money["video"]["USD"]["net"]) == ("5000", "0.00")
    report = world.get("/api/v1/analytics/conversions", by="variant", link_id=running.link["id"]).json()
    rows = {row["key"]: row for row in report["rows"]}
    for variant in told["variants"]:
        same = ("clicks", "tracked_clicks", "leads", "sales", "refunds")
        row = rows[variant["variant"]]
        assert [row[name] for name in same] == [variant[name] for name in same]
        assert row["revenue"] == [
            {name: value for name, value in line.items() if name != "net_per_visitor"} for line in variant["revenue"]
        ]
    by_visitor = money["photo"]["USD"]["net_per_visitor"]
    assert float(by_visitor["estimate"]) == pytest.approx(67.5 / seen["photo"], abs=0.0001)
    assert (by_visitor["low"], by_visitor["high"]) == (None, None)
    assert {finding["code"] for finding in told["findings"]} == {told["sample_ratio"]["code"]} == {"not_enough_data"}
    assert [(one["figure"], one["currency"]) for one in told["findings"]] == [
        ("leads", None), ("sales", None), ("revenue", "JPY"), ("revenue", "USD"),
    ]  # fmt: skip


def test_a_conversion_keeps_its_variant_when_the_experiment_is_history(world: Workspace) -> None:
    running = experiment(world)
    tokens = running.visits(1)
    running.call("promote", {"variant": "video"})
    send(
        world, sale("late-1", "10.00", click_id=tokens["photo"][0]), sale("late-2", "7.00", click_id=tokens["video"][0])
    )
    told = running.results()
    assert told["state"] == "stopped"
    assert {variant["key"]: variant["revenue"][0]["net"] for variant in told["variants"]} == {
        "photo": "10.00", "video": "7.00",
    }  # fmt: skip


def test_a_variant_that_is_far_ahead_is_said_to_be(world: Workspace) -> None:
    running = experiment(world)
    tokens = running.visits(110)
    send(world, *(lead(f"a-{n}", token) for n, token in enumerate(tokens["video"][:60])))
    send(world, *(sale(f"b-{n}", "25.00", click_id=token) for n, token in enumerate(tokens["video"][:30])))
    send(world, *(sale(f"c-{n}", "25.00", click_id=token) for n, token in enumerate(tokens["photo"][:28])))
    told = running.results()
    assert told["sample_ratio"]["code"] == "as_planned"
    leads, sales, revenue = told["findings"]
    assert (leads["code"], leads["variants"]) == ("variant_ahead", ["video"])
    assert leads["sentence"] == "video is ahead of all others in visitors who became a lead."
    (pair,) = leads["comparisons"]
    assert (pair["variant"], pair["against"], pair["ahead"]) == ("video", "photo", "video")
    assert pair["lift"]["low"] > 0
    assert (sales["code"], revenue["code"]) == ("no_difference_yet", "no_difference_yet")
    difference = revenue["comparisons"][0]["difference"]
    assert float(difference["low"]) < 0 < float(difference["high"])
    video = {variant["key"]: variant for variant in told["variants"]}["video"]
    by_visitor = {end: float(value) for end, value in video["revenue"][0]["net_per_visitor"].items()}
    assert by_visitor["low"] < by_visitor["estimate"] < by_visitor["high"]
    assert video["lead_rate"]["low"] < video["lead_rate"]["estimate"] < video["lead_rate"]["high"]


def test_visitors_that_a_filter_keeps_from_one_variant_raise_the_alarm(world: Workspace) -> None:
    running = experiment(world)
    code = running.link["short_code"]
    for number in range(1, 301):
        looked = world.client.head(f"/{code}", headers=agent(number))
        if "/photo" in looked.headers["location"] or number % 4 == 0:
            running.visit(number)
    told = running.results()
    assert told["sample_ratio"]["code"] == "sample_ratio_mismatch"
    assert told["sample_ratio"]["p_value"] <= told["sample_ratio"]["level"]
    assert {finding["code"] for finding in told["findings"]} == {"sample_ratio_mismatch"}


def test_a_draft_has_no_results_yet_and_what_is_not_there_none_at_all(running: Running) -> None:
    draft = experiment(running.world, start=False)
    told = draft.results()
    assert (told["state"], told["weights"], told["findings"][0]["code"]) == ("draft", [], "not_enough_data")
    missing = running.world.get(f"/api/v1/links/{running.link['id']}/experiments/{draft.experiment_id}/results")
    assert (missing.status_code, missing.json()["code"]) == (404, "experiment_not_found")


def test_under_strict_privacy_the_click_is_the_unit(running: Running) -> None:
    assert running.world.call("PATCH", f"/api/v1/links/{running.link['id']}", {"privacy": "strict"}).status_code == 200

    def unit() -> bool:
        running.visit(7)
        return bool(running.results()["unit"] == "click")

    until(unit)
    for variant in running.results()["variants"]:
        assert variant["visitors"] == variant["clicks"]


def test_beyond_what_the_plan_shows_nothing_is_said_and_money_is_complete(running: Running) -> None:
    told = running.results(**{"from": "2020-01-01"})
    assert {finding["code"] for finding in told["findings"]} == {told["sample_ratio"]["code"]} == {"clicks_not_shown"}
    for variant in told["variants"]:
        assert (variant["clicks"], variant["visitors"], variant["lead_rate"]) == (None, None, None)
        assert variant["leads"] == 0


def test_a_closed_surface_shows_no_results(world: Workspace) -> None:
    running = experiment(world, start=False)
    world.served.run("workspace", "plan", world.workspace_id, "--disable", "conversion_reporting")

    def closed() -> bool:
        response = world.get(f"{running.path}/results")
        return response.status_code == 403 and bool(response.json()["surface"] == "conversion_reporting")

    until(closed)
