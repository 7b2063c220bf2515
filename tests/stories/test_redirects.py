"""The redirect, section 2 of the contract: where a visitor goes, and what is known of it afterwards."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nimriz.core.links.slugs import RESERVED_SLUGS
from tests.patience import until
from tests.stories import raw
from tests.stories.visitor import clicks, place, visit
from tests.world import HUMAN, Workspace, lead


def test_a_visitor_is_sent_on_by_302_with_a_token_and_the_click_is_known(shop: Workspace) -> None:
    link = shop.link()
    reply = visit(shop, f"/{link['short_code']}", Referer="https://News.example:8080/a?b#c")
    assert reply.status == 302
    (click,) = clicks(shop, link)
    assert (click["tracked"], click["token_suppressed"], click["crawler"]) == (1, "", 0)
    assert click["referrer_host"] == "news.example"
    assert click["touch_type"] == "short_link_click"
    assert abs(click["clicked_at_ms"] / 1000 - time.time()) < 10


def test_301_only_where_the_link_asks_for_it_and_nobody_may_keep_it(shop: Workspace) -> None:
    link = shop.link(redirect_status_code=301)
    first, second = (visit(shop, f"/{link['short_code']}") for _ in range(2))
    assert (first.status, second.status) == (301, 301)
    assert first.header("location") != second.header("location")
    body = {"domain_id": shop.domain_id, "long_url": "https://shop.example/", "redirect_status_code": 307}
    assert shop.call("POST", "/api/shorten", body).status_code == 422


def test_head_answers_like_get_without_click_and_token(shop: Workspace) -> None:
    link = shop.link(redirect_status_code=301, forward_query=True)
    reply = visit(shop, f"/{link['short_code']}?a=1", "HEAD")
    assert (reply.status, reply.header("location")) == (301, "https://shop.example/landing?a=1")
    assert clicks(shop, link) == []
    expired = shop.link(expires_at="2020-01-01T00:00:00Z")
    for target in ("/nothing", f"/{expired['short_code']}", "/"):
        head, get = visit(shop, target, "HEAD"), visit(shop, target)
        assert head.status == get.status
        assert head.header("content-length") == str(len(get.body))


def test_a_link_that_does_not_track_gets_no_token_and_its_click_is_kept(shop: Workspace) -> None:
    link = shop.link(conversion_tracking=False)
    assert place(shop, f"/{link['short_code']}") == "https://shop.example/landing"
    (click,) = clicks(shop, link)
    assert (click["tracked"], click["token_suppressed"]) == (0, "")
    made = shop.call("POST", "/api/shorten", {"domain_id": shop.domain_id, "long_url": "https://shop.example/"})
    assert made.json()["link"]["conversion_tracking"] is False


def rfc3339(at_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


def test_missing_expired_and_disabled_links_are_404_410_and_404(shop: Workspace) -> None:
    now_s = int(time.time())
    expiring = shop.link(expires_at=rfc3339(now_s + 3_600))
    expired = shop.link(expires_at="2020-01-01T00:00:00Z")
    assert expired["status"] == "expired"
    disabled = shop.link()
    shop.call("PATCH", f"/api/v1/links/{disabled['id']}", {"status": "disabled"})
    both = shop.link(expires_at="2020-01-01T00:00:00Z")
    shop.call("PATCH", f"/api/v1/links/{both['id']}", {"status": "disabled"})
    assert visit(shop, f"/{expiring['short_code']}").status == 302
    expected = [
        ("nothing", 404),
        (expired["short_code"], 410),
        (disabled["short_code"], 404),
        (both["short_code"], 410),
    ]
    for code, status in expected:
        reply = visit(shop, f"/{code}?a=1")
        assert (reply.status, reply.header("content-type")) == (status, "text/html; charset=utf-8")
        assert b"<h1>" in reply.body
    for link in (expired, disabled, both):
        assert clicks(shop, link) == []
    ends_s = int(time.time()) + 2
    shop.call("PATCH", f"/api/v1/links/{expiring['id']}", {"expires_at": rfc3339(ends_s)})
    until(lambda: visit(shop, f"/{expiring['short_code']}").status == 410)
    assert time.time() >= ends_s
    shop.call("PATCH", f"/api/v1/links/{expired['id']}", {"expires_at": None})
    assert visit(shop, f"/{expired['short_code']}").status == 302


@pytest.mark.parametrize("slug", sorted(RESERVED_SLUGS))
def test_a_reserved_path_is_never_a_slug(shop: Workspace, slug: str) -> None:
    body = {"domain_id": shop.domain_id, "long_url": "https://shop.example/", "custom_slug": slug}
    response = shop.call("POST", "/api/shorten", body)
    assert response.json()["code"] in ("slug_reserved", "slug_invalid")
    reply = raw.send(shop.served.port, "GET", f"/{slug}", [("User-Agent", HUMAN)])
    assert reply.status not in (301, 302)
    if reply.status == 404:
        assert reply.header("cache-control") == "private, no-store"


@pytest.mark.parametrize(
    "slug", ["a b", "a/b", "a.b", "é", "a" * 65, "%61", "a?b", "a#b", "a\n", "..", "a+b", "\u0430bc"]
)
def test_a_slug_has_1_to_64_plain_characters(shop: Workspace, slug: str) -> None:
    body = {"domain_id": shop.domain_id, "long_url": "https://shop.example/", "custom_slug": slug}
    assert shop.call("POST", "/api/shorten", body).json()["code"] in ("slug_invalid", "slug_reserved")


def test_a_slug_is_matched_byte_for_byte(shop: Workspace) -> None:
    shop.link("https://one.example/", custom_slug="Spring-Sale_1", conversion_tracking=False)
    shop.link("https://two.example/", custom_slug="spring-sale_1", conversion_tracking=False)
    assert place(shop, "/Spring-Sale_1") == "https://one.example/"
    assert place(shop, "/spring-sale_1") == "https://two.example/"
    for other in (
        "SPRING-SALE_1",
        "Spring%2DSale_1",
        "%53pring-Sale_1",
        "Spring-Sale_1/",
        "/Spring-Sale_1",
        "Spring-Sale_1%20",
    ):
        assert visit(shop, f"/{other}").status == 404, other
    for other in (
        "./Spring-Sale_1",
        "x/../Spring-Sale_1",
        "Spring-Sale_1;a",
        "Spring-Sale_1%00",
        "a" * 3_000,
        "a/" * 900,
    ):
        assert visit(shop, f"/{other}").status == 404, other


@pytest.mark.parametrize(
    "change",
    [
        {"conversion_tracking": False},
        {"status": "disabled"},
        {"long_url": "https://x.example/"},
        {"conversion_window_days": 1},
        None,
    ],
    ids=str,
)
def test_what_happens_to_a_link_after_the_click_changes_nothing(shop: Workspace, change: dict[str, Any] | None) -> None:
    link = shop.link(conversion_window_days=7)
    token = shop.click(link["short_code"])
    if change is None:
        assert shop.call("POST", "/api/delete-link", {"url_id": link["id"]}).json() == {"deleted": True}
        assert visit(shop, f"/{link['short_code']}").status == 404
        body = {"domain_id": shop.domain_id, "long_url": "https://x.example/", "custom_slug": link["short_code"]}
        assert shop.call("POST", "/api/shorten", body).json()["code"] == "slug_tombstoned"
    else:
        assert shop.call("PATCH", f"/api/v1/links/{link['id']}", change).status_code == 200
    in_six_days = "2000-01-01T00:00:00Z"
    verdict = shop.post(lead(f"after-{change}", token)).json()["attribution"]
    assert (verdict["status"], verdict["link_id"], verdict["window_days"]) == ("attributed", link["id"], 7)
    assert (
        shop.post(lead(f"early-{change}", token, event_time=in_six_days)).json()["attribution"]["reason"]
        == "before_click"
    )
