"""Reports over HTTP: every dimension, filters, two dimensions, series, another period beside, and what stood before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from nimriz.analytics.dimensions import BYS, CLICK_BYS
from nimriz.base.clock import to_rfc3339
from tests.world import Body, Served, Workspace, create_workspace, follow_on, lead, sale

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"  # noqa: E501


class Shop:
    """A workspace with two links, five clicks and what came of them; its figures do not change."""

    def __init__(self, served: Served) -> None:
        self.world = world = create_workspace(served)
        self.mail = world.link(tags=["spring", "mail"], utm={"source": "mail"}, custom_slug="shop-mail")
        self.show = world.link(tags=["spring"], custom_slug="shop-show")
        signed = world.link("https://cdn.example/file?X-Amz-Signature=1", custom_slug="shop-signed")
        first = self.click("shop-mail", "?p=top", **{"Accept-Language": "de-DE"})
        self.click("shop-mail", "?p=top", **{"User-Agent": PHONE})
        second = self.click("shop-show", "?utm_source=fair", Referer="https://news.example/today")
        world.location("shop-signed")
        assert world.post(lead("l", click_id=first)).status_code == 201
        assert world.post(sale("s1", "100.00", click_id=first)).status_code == 201
        assert world.post(sale("s2", "40.00", click_id=second)).status_code == 201
        assert world.post(sale("s3", "7", "JPY")).status_code == 201
        time.sleep(0.02)
        self.between = to_rfc3339(int(time.time() * 1000))
        time.sleep(0.02)
        assert world.post(follow_on("refund", "r1", "30.00", related_event_id="s1")).status_code == 201
        self.signed = signed

    def click(self, code: str, query: str = "", **headers: str) -> str:
        """A click; its token."""
        return self.world.location(code, query, **headers).partition("nim_ct=")[2].partition("&")[0]

    def asked(self, what: str, **params: Any) -> Body:
        """A report."""
        response = self.world.get(f"/api/v1/analytics/{what}", **params)
        assert response.status_code == 200, response.text
        told: Body = response.json()
        return told

    def nets(self, **params: Any) -> dict[str, Any]:
        """Net revenue by key; None where there is none."""
        rows = self.asked("conversions", **params)["rows"]
        return {row["key"]: row["revenue"][0]["net"] if row["revenue"] else None for row in rows}

    def counts(self, **params: Any) -> dict[str, int]:
        """Clicks by key."""
        return {row["key"]: row["clicks"] for row in self.asked("clicks", **params)["rows"]}


@pytest.fixture(scope="module")
def shop(served: Served) -> Iterator[Shop]:
    made = Shop(served)
    yield made
    made.world.client.close()


def test_every_dimension_breaks_both_reports_down_to_the_same_totals(shop: Shop) -> None:
    for by in BYS:
        told = shop.asked("conversions", by=by, include_bots=True)
        assert [told["totals"][name] for name in ("clicks", "leads", "sales", "refunds")] == [4, 1, 2, 1]
        if by not in ("tag", "event_name"):
            assert sum(row["clicks"] for row in told["rows"]) == 4
        if by != "tag":
            assert sum(row["sales"] for row in told["rows"]) == 2
        assert (told["unattributed"]["sales"], told["unattributed"]["reasons"]) == (1, {"no_identity": 1})
    for by in CLICK_BYS:
        told = shop.asked("clicks", by=by, include_bots=True)
        assert told["totals"]["clicks"] == 4
        assert by == "tag" or sum(row["clicks"] for row in told["rows"]) == 4


def test_what_a_click_tells_is_what_its_conversions_stand_under(shop: Shop) -> None:
    assert shop.nets(by="utm_source") == {"mail": "70.00", "fair": "40.00", "": None}
    assert shop.nets(by="tag") == {"spring": "110.00", "mail": "70.00"}
    assert shop.nets(by="referrer_host") == {"": "70.00", "news.example": "40.00"}
    assert shop.nets(by="placement") == {"top": "70.00", "": "40.00"}
    assert shop.nets(by="event_name") == {"sale": "140.00", "refund": "-30.00", "lead": None}
    assert shop.counts(by="device", link_id=shop.mail["id"]) == {"desktop": 1, "mobile": 1}
    assert shop.counts(by="token_suppressed") == {"": 3, "signed_aws": 1}
    assert shop.asked("clicks")["suppressed"] == {"signed_aws": 1}
    assert sum(shop.asked("clicks")["quality"].values()) == 4


def test_filters_are_any_of_their_values_and_all_of_their_names(shop: Shop) -> None:
    assert shop.asked("conversions", utm_source=["mail", "fair"])["totals"]["sales"] == 2
    assert shop.asked("conversions", utm_source="mail", tag="mail")["totals"]["sales"] == 1
    assert shop.asked("conversions", utm_source="fair", tag="mail")["totals"]["sales"] == 0
    assert shop.asked("conversions", event_name=["refund", "lead"])["totals"]["attributed"] == 2
    assert shop.asked("conversions", link_id=shop.show["id"])["totals"]["clicks"] == 1
    assert shop.asked("conversions", variant=shop.show["id"])["totals"]["sales"] == 1
    # What nobody can be credited with is no click's.
    assert shop.asked("conversions", utm_source="mail")["unattributed"]["sales"] == 0
    for nothing in ("no-id", "'; drop table clicks; --", "01900000-0000-7000-8000-000000000001"):
        assert shop.asked("conversions", link_id=nothing)["rows"] == []


def test_two_dimensions_make_a_row_for_each_pair(shop: Shop) -> None:
    told = shop.asked("conversions", by="link", then_by="event_name")
    pairs = {(row["label"].rpartition("/")[2], row["then_key"]): row["sales"] + row["refunds"] for row in told["rows"]}
    assert pairs == {
        ("shop-mail", "sale"): 1, ("shop-mail", "refund"): 1, ("shop-mail", "lead"): 0, ("shop-show", "sale"): 1,
    }  # fmt: skip
    assert (told["by"], told["then_by"], told["totals"]["sales"]) == ("link", "event_name", 2)
    assert shop.world.get("/api/v1/analytics/conversions", by="link", then_by="link").status_code == 422


def test_a_series_tells_every_unit_in_order_those_without_anything_too(shop: Shop) -> None:
    today = datetime.now(UTC).date()
    first = today.replace(day=1).isoformat()
    told = shop.asked("conversions", by="day", series=True, **{"from": first, "to": today.isoformat()})
    days = [row["key"] for row in told["rows"]]
    assert days == sorted(days)
    assert len(days) == today.day
    assert sum(row["sales"] for row in told["rows"]) == told["totals"]["sales"] == 2
    hours = shop.asked("conversions", by="hour", series=True, **{"from": today.isoformat(), "to": today.isoformat()})
    assert len(hours["rows"]) == 24
    assert shop.world.get("/api/v1/analytics/conversions", by="link", series=True).status_code == 422
    long = shop.world.get("/api/v1/analytics/conversions", by="hour", series=True, **{"from": "2001-01-01"})
    assert long.status_code == 422


def test_a_sale_goes_to_the_last_click_the_first_or_all_of_a_person(world: Workspace) -> None:
    tokens = {}
    for slug in ("one", "two", "three"):
        world.link(custom_slug=f"way-{slug}")
        tokens[slug] = world.location(f"way-{slug}").partition("nim_ct=")[2].partition("&")[0]
        time.sleep(0.01)
    assert world.post(lead("l1", tokens["one"], "ann")).status_code == 201
    assert world.post(lead("l2", tokens["two"], "ann")).status_code == 201
    assert world.post(sale("s", "1.00", click_id=tokens["three"], external_id="ann")).status_code == 201
    assert world.post(follow_on("refund", "r", "0.02", related_event_id="s")).status_code == 201
    assert world.post(sale("nobody's", "5.00")).status_code == 201

    def told(**asked: Any) -> Body:
        body: Body = world.get("/api/v1/analytics/conversions", **asked).json()
        return body

    def nets(body: Body) -> dict[str, str]:
        return {row["label"].rpartition("-")[2]: row["revenue"][0]["net"] for row in body["rows"] if row["revenue"]}

    last, first, linear = told(), told(model="first"), told(model="linear")
    assert nets(last) == nets(told(model="last")) == {"three": "0.98"}
    assert nets(first) == {"one": "0.98"}
    assert nets(linear) == {"one": "0.33", "two": "0.32", "three": "0.33"}
    assert last["totals"] == first["totals"] == linear["totals"]
    assert last["unattributed"] == first["unattributed"] == linear["unattributed"]
    assert ("model" in last, first["model"], linear["model"]) == (False, "first", "linear")
    assert world.get("/api/v1/analytics/conversions", model="middle").status_code == 422
    assert world.get("/api/v1/analytics/funnel", model="first").status_code == 422


def test_another_period_stands_beside(shop: Shop) -> None:
    tomorrow = datetime.fromtimestamp(time.time() + 86_400, UTC).date().isoformat()
    told = shop.asked("conversions", compare="previous", **{"from": tomorrow, "to": tomorrow})
    assert (told["totals"]["sales"], told["compared"]["totals"]["sales"]) == (0, 2)
    told = shop.asked("clicks", compare="year")
    assert told["compared"]["totals"]["clicks"] == 0
    assert all(row["compared"]["clicks"] == 0 for row in told["rows"])


def test_as_of_tells_what_had_been_received_and_judged_by_then(shop: Shop) -> None:
    assert shop.nets(by="utm_source", as_of=shop.between) == {"mail": "100.00", "fair": "40.00", "": None}
    assert shop.asked("conversions", as_of="2020-01-01T00:00:00Z")["totals"]["clicks"] == 0
    for wrong in ("2999-01-01T00:00:00Z", "yesterday"):
        assert shop.world.get("/api/v1/analytics/conversions", as_of=wrong).status_code == 422


def test_the_bridge_ties_both_clocks_day_by_day(shop: Shop) -> None:
    told = shop.asked("reconciliation", timezone="Europe/Berlin")
    (usd,) = told["currencies"]
    assert [usd[name] for name in ("opening", "new", "taken_back", "closing")] == ["0.00", "140.00", "30.00", "110.00"]
    assert len(usd["days"]) == 30
    for before, after in pairwise(usd["days"]):
        assert before["closing_minor"] == after["opening_minor"]
    assert sum(day["closing_minor"] + day["later_minor"] for day in usd["click_days"]) == 11_000
    assert shop.asked("reconciliation", utm_source="mail")["currencies"][0]["closing"] == "70.00"


def test_what_changed_lists_the_events_and_what_they_moved(shop: Shop) -> None:
    told = shop.asked("changes", since=shop.between)
    (refund,) = told["changes"]
    assert (refund["event_id"], refund["removed"]) == ("r1", [])
    assert {line["counted_as"]: line["money"] and line["money"]["net"] for line in refund["added"]} == {
        "refund": None, None: "-30.00",
    }  # fmt: skip
    first = shop.asked("changes", since="2020-01-01T00:00:00Z", limit=3)
    rest = shop.asked("changes", since="2020-01-01T00:00:00Z", limit=3, cursor=first["next_cursor"])
    found = [change["event_id"] for page in (first, rest) for change in page["changes"]]
    assert (found, rest["next_cursor"]) == (["l", "r1", "s1", "s2", "s3"], None)
    for wrong in ({"since": "yesterday"}, {"since": shop.between, "until": "2020-01-01T00:00:00Z"}, {}):
        assert shop.world.get("/api/v1/analytics/changes", **wrong).status_code == 422


def test_the_funnel_and_the_cohorts_follow_the_clicks(shop: Shop) -> None:
    told = shop.asked("funnel")
    assert [(step["step"], step["clicks"]) for step in told["steps"]] == [("click", 4), ("lead", 1), ("sale", 2)]
    assert (told["leads_and_sales"], told["revenue"][0]["net"]) == (1, "110.00")
    assert told["seconds"]["to_sale"]["median"] >= 0
    (week,) = shop.asked("cohorts")["rows"]
    assert (week["tracked_clicks"], week["converted"], week["by_days"][0]) == (4, 2, 2)
    assert len(week["by_days"]) == 31


def test_the_surface_closes_every_report(shop: Shop, stranger: Workspace) -> None:
    stranger.served.run("workspace", "plan", stranger.workspace_id, "--disable", "conversion_reporting")
    for what in ("conversions", "clicks", "reconciliation", "changes", "funnel", "cohorts"):
        asked = {"since": shop.between} if what == "changes" else {}
        response = stranger.get(f"/api/v1/analytics/{what}", **asked)
        assert (response.status_code, response.json()["code"]) == (403, "surface_not_enabled")
