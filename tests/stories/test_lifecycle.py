"""What may stand between a visitor and a destination: in which order it is asked, and that each bound is kept."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import apsw
import pytest

from nimriz.core.links import domains
from nimriz.core.links.domains import Domain
from nimriz.installation import open_installation
from tests.patience import until
from tests.stories import raw
from tests.stories.visitor import clicks, place, visit
from tests.world import HUMAN, Workspace

URL = "https://shop.example/landing"
PAST = "2020-01-01T00:00:00Z"
BOT = "Googlebot/2.1 (+http://www.google.com/bot.html)"


def path(link: dict[str, Any]) -> str:
    return f"/{link['short_code']}"


def heading(reply: raw.Reply) -> str:
    """What a small page says first."""
    return reply.body.partition(b"<h1>")[2].partition(b"</h1>")[0].decode()


# --- the order -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def domain(shop: Workspace) -> Domain:
    """A domain of the shop with fallback URLs of its own."""
    opened = open_installation(shop.served.settings())
    now_ms = opened.clock.now_ms()

    def made(tx: Any) -> Domain:
        added = domains.add(tx, shop.workspace_id, "go.shop.example", now_ms, ready=True)
        return domains.update(
            tx,
            added._replace(
                root_url="https://shop.example/root",
                not_found_url="https://shop.example/404",
                expired_url="https://shop.example/410",
            ),
            now_ms,
        )

    found = opened.records.write(made)
    opened.close()
    until(lambda: on_domain(shop, "/nothing")[0] == 302)
    return found


def on_domain(shop: Workspace, target: str, method: str = "GET") -> tuple[int, str | None, str]:
    """Status, Location and heading on the shop's own domain."""
    headers: list[raw.Header] = [("Host", "go.shop.example"), ("User-Agent", HUMAN), ("Connection", "close")]
    reply = raw.send(shop.served.port, method, target, headers, host=False)
    return reply.status, reply.header("location"), heading(reply)


def set_status(shop: Workspace, domain: Domain, status: str) -> None:
    opened = open_installation(shop.served.settings())
    opened.records.write(lambda tx: domains.update(tx, domain._replace(status=status), opened.clock.now_ms()))
    opened.close()
    until(lambda: (on_domain(shop, "/nothing")[0] == 302) is (status == "ready"))


def test_what_is_in_the_way_is_asked_in_the_order_of_the_contract(shop: Workspace, domain: Domain) -> None:
    """Everything holds for one link at first; then each is lifted in turn."""
    link = shop.link(
        URL, domain_id=domain.domain_id, password="x", expires_at=PAST, clicks_max=1, conversion_tracking=False
    )
    link_id, target = link["id"], path(link)
    shop.call("PATCH", f"/api/v1/links/{link_id}", {"status": "disabled"})
    shop.served.run("link", "takedown", link_id, "--reason", "phishing")
    set_status(shop, domain, "disabled")
    assert on_domain(shop, "/robots.txt")[0] == 200
    for missing in (target, "/nothing", "/"):
        assert on_domain(shop, missing) == (404, None, "This domain is not ready yet")
    set_status(shop, domain, "ready")
    assert on_domain(shop, "/") == (302, "https://shop.example/root", "")
    assert on_domain(shop, "/nothing") == (302, "https://shop.example/404", "")
    # Never the domain's own page.
    assert on_domain(shop, target) == (404, None, "This link was taken down")
    assert on_domain(shop, target, "POST") == (404, None, "This link was taken down")
    shop.served.run("link", "restore", link_id)
    until(lambda: on_domain(shop, target) == (302, "https://shop.example/410", ""))
    assert on_domain(shop, target, "POST") == (302, "https://shop.example/410", "")
    shop.call("PATCH", f"/api/v1/links/{link_id}", {"expires_at": None})
    assert on_domain(shop, target) == (200, None, "This link is protected")
    shop.call("PATCH", f"/api/v1/links/{link_id}", {"password": None})
    assert on_domain(shop, target) == (302, "https://shop.example/404", "")
    shop.call("PATCH", f"/api/v1/links/{link_id}", {"status": "active"})
    assert clicks(shop, link) == []
    assert on_domain(shop, target) == (302, URL, "")
    assert on_domain(shop, target) == (302, "https://shop.example/410", "")
    assert len(clicks(shop, link)) == 1


# --- a bound on clicks -----------------------------------------------------------------------------------------


def test_exactly_as_many_visitors_go_on_as_the_bound_says(shop: Workspace) -> None:
    link = shop.link(URL, clicks_max=7)
    statuses: list[int] = []
    start = threading.Barrier(50)

    def come() -> None:
        start.wait()
        statuses.append(visit(shop, path(link)).status)

    threads = [threading.Thread(target=come) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted = Counter(statuses)
    # A disk that is slower than the patience of a visitor may have used a click for one who was turned away.
    assert counted[302] == 7 or (counted[302] < 7 and counted[503])
    assert set(counted) <= {302, 410, 503}
    assert len(clicks(shop, link)) == counted[302]
    shown = shop.get(f"/api/v1/links/{link['id']}").json()["link"]
    assert (shown["clicks_used"], shown["status"]) == (7, "expired")


def test_who_only_looks_uses_no_click(shop: Workspace) -> None:
    link = shop.link(URL, clicks_max=2)
    for _ in range(3):
        assert visit(shop, path(link), "HEAD").status == 302
        assert visit(shop, path(link), User_Agent=BOT).status == 302
    assert [visit(shop, path(link)).status for _ in range(3)] == [302, 302, 410]
    assert visit(shop, path(link), "HEAD").status == 410
    assert visit(shop, path(link), User_Agent=BOT).status == 410
    assert heading(visit(shop, path(link))) == "This link has expired"


def test_a_password_page_uses_no_click(shop: Workspace) -> None:
    link = shop.link(URL, clicks_max=1, password="x")
    assert [visit(shop, path(link)).status for _ in range(3)] == [200, 200, 200]
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    reply = raw.send(shop.served.port, "POST", path(link), form, b"password=x")
    cookie = (reply.header("set-cookie") or "").partition(";")[0]
    assert [visit(shop, path(link), Cookie=cookie).status for _ in range(2)] == [302, 410]
    # Expiry is asked before the password.
    assert visit(shop, path(link)).status == 410


def test_a_bound_that_is_raised_or_lifted_lets_visitors_on_again(shop: Workspace) -> None:
    link = shop.link(URL, clicks_max=1)
    assert [visit(shop, path(link)).status for _ in range(2)] == [302, 410]
    shop.call("PATCH", f"/api/v1/links/{link['id']}", {"clicks_max": 3})
    assert [visit(shop, path(link)).status for _ in range(3)] == [302, 302, 410]
    shop.call("PATCH", f"/api/v1/links/{link['id']}", {"clicks_max": None})
    assert [visit(shop, path(link)).status for _ in range(3)] == [302, 302, 302]


def test_while_the_store_takes_no_writes_nobody_passes_and_everybody_is_asked_to_try_again(shop: Workspace) -> None:
    link, free = shop.link(URL, clicks_max=1), shop.link(URL)
    assert visit(shop, path(link), "HEAD").status == 302
    connection = apsw.Connection(str(shop.served.data_dir / "records.db"))
    connection.execute("begin immediate")
    reply = visit(shop, path(link))
    assert (reply.status, heading(reply), reply.header("retry-after")) == (503, "Please try again", "1")
    assert visit(shop, path(free)).status == 302
    connection.execute("rollback")
    connection.close()
    statuses = [503]

    def answered() -> bool:
        statuses.append(visit(shop, path(link)).status)
        return statuses[-1] != 503

    until(answered)
    # The click of a visitor who was turned away may have been used: never one too many.
    assert (statuses[-1], visit(shop, path(link)).status) in ((302, 410), (410, 410))


# --- UTM parameters --------------------------------------------------------------------------------------------


def test_a_links_utm_parameters_are_appended_and_kept_on_the_click(shop: Workspace) -> None:
    utm = {"content": "c & d", "source": "mail", "medium": "é", "term": "", "campaign": "spring"}
    link = shop.link(f"{URL}?utm_medium=own#top", utm=utm, forward_query=True)
    expected = f"{URL}?utm_medium=own&utm_source=mail&utm_campaign=spring&utm_content=c%20%26%20d"
    assert place(shop, path(link)) == f"{expected}&T#top"
    assert place(shop, f"{path(link)}?utm_source=x&utm_term=t&a=1") == f"{expected}&utm_term=t&a=1&T#top"
    first, second = clicks(shop, link)
    names = ("source", "medium", "campaign", "term", "content")
    assert [first[f"utm_{name}"] for name in names] == ["mail", "é", "spring", "", "c & d"]
    assert [second[f"utm_{name}"] for name in names] == ["x", "é", "spring", "t", "c & d"]


def test_nothing_is_appended_to_a_signed_destination(shop: Workspace) -> None:
    signed = "https://shop.example/?X-Amz-Signature=1"
    link = shop.link(signed, utm={"source": "mail"}, forward_query=True)
    assert place(shop, f"{path(link)}?a=1") == signed
    assert clicks(shop, link)[0]["utm_source"] == "mail"
