"""The password gate: who gets through, for how long, and what guessing costs."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from typing import Any
from urllib.parse import quote_plus

from nimriz.core.links import domains
from nimriz.installation import open_installation
from tests.patience import until
from tests.stories import raw
from tests.stories.visitor import clicks, place, visit
from tests.world import HUMAN, Workspace

PASSWORD = "open & sésame=1+ %41"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
URL = "https://shop.example/landing"


def give(shop: Workspace, target: str, password: str = PASSWORD, *headers: raw.Header, body: str = "") -> raw.Reply:
    """Post the form as a browser does."""
    fields = body or f"username=x&password={quote_plus(password)}"
    return raw.send(shop.served.port, "POST", target, [FORM, ("User-Agent", HUMAN), *headers], fields.encode("latin-1"))


def cookie_of(reply: raw.Reply) -> str:
    """The cookie, without its attributes."""
    return (reply.header("set-cookie") or "").partition(";")[0]


def unlocked(shop: Workspace, target: str, password: str = PASSWORD) -> str:
    """Give the right password; the cookie."""
    reply = give(shop, target, password)
    assert reply.status == 303
    return cookie_of(reply)


def is_asked(reply: raw.Reply, status: int = 200) -> bool:
    return reply.status == status and b'name="password"' in reply.body and reply.header("set-cookie") is None


def test_a_visitor_is_asked_and_goes_on_with_everything_that_was_in_the_query(shop: Workspace) -> None:
    link = shop.link(URL, password=PASSWORD, forward_query=True)
    assert link["password_protected"] is True
    target = f"/{link['short_code']}?nr=qr&p=poster&utm_source=mail&a=1"
    page = visit(shop, target)
    assert is_asked(page)
    assert b"shop.example" not in page.body
    assert clicks(shop, link) == []
    reply = give(shop, target)
    assert (reply.status, reply.header("location"), reply.body) == (303, target, b"")
    assert reply.header("cache-control") == "private, no-store"
    assert clicks(shop, link) == []
    assert place(shop, target, Cookie=cookie_of(reply)) == f"{URL}?utm_source=mail&a=1&T"
    (click,) = clicks(shop, link)
    assert (click["touch_type"], click["placement"], click["utm_source"]) == ("qr_scan", "poster", "mail")
    again = visit(shop, target, Cookie=f"a=b; {cookie_of(reply)}; c=d")
    assert again.status == 302


def test_the_cookie_is_this_links_alone_and_no_script_sees_it(shop: Workspace) -> None:
    link = shop.link(URL, password=PASSWORD)
    reply = give(shop, f"/{link['short_code']}")
    name, *attributes = (reply.header("set-cookie") or "").split("; ")
    assert name.startswith("nimriz_unlock=")
    # The default domain of this server is served without TLS.
    assert attributes == [f"Path=/{link['short_code']}", "Max-Age=43200", "HttpOnly", "SameSite=Lax"]
    other = shop.link(URL, password=PASSWORD)
    assert is_asked(visit(shop, f"/{other['short_code']}", Cookie=cookie_of(reply)))


def test_on_a_domain_of_its_own_the_cookie_travels_over_tls_alone(shop: Workspace) -> None:
    opened = open_installation(shop.served.settings())
    domain = opened.records.write(
        lambda tx: domains.add(tx, shop.workspace_id, "go.shop.example", opened.clock.now_ms(), ready=True)
    )
    opened.close()
    link = shop.link(URL, password=PASSWORD, domain_id=domain.domain_id)
    body = f"password={quote_plus(PASSWORD)}".encode()
    headers: list[raw.Header] = [("Host", "go.shop.example"), FORM, ("Connection", "close")]
    headers.append(("Content-Length", str(len(body))))

    def give_there() -> raw.Reply:
        return raw.send(shop.served.port, "POST", f"/{link['short_code']}", headers[:-1], body, host=False)

    until(lambda: give_there().status != 421)
    reply = give_there()
    assert reply.status == 303
    assert "Secure" in (reply.header("set-cookie") or "").split("; ")


def test_a_wrong_password_is_told_and_opens_nothing(shop: Workspace) -> None:
    link = shop.link(URL, password=PASSWORD)
    target = f"/{link['short_code']}"
    for body in ("password=guess", "password=", "passwort=x", "password=" + "x" * 129, "%", "password=%ff%fe"):
        reply = give(shop, target, body=body)
        assert is_asked(reply, 403), body
        assert b'role="alert"' in reply.body
        assert b"guess" not in reply.body
    assert is_asked(give(shop, target, body="password=" + "x" * 5_000), 413)
    assert clicks(shop, link) == []


def test_the_page_allows_itself_its_own_style_and_nothing_else(shop: Workspace) -> None:
    link = shop.link(URL, password=PASSWORD)
    for reply in (visit(shop, f"/{link['short_code']}"), visit(shop, "/nothing-here")):
        policy = dict(part.strip().split(" ", 1) for part in (reply.header("content-security-policy") or "").split(";"))
        (style,) = re.findall(rb"<style>(.*?)</style>", reply.body, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
        assert policy["style-src"] == f"'sha256-{digest}'"
        assert (policy["default-src"], policy["frame-ancestors"]) == ("'none'", "'none'")
        # It would be asked of every redirect after the form.
        assert "form-action" not in policy
        assert reply.header("x-content-type-options") == "nosniff"
        assert b"<script" not in reply.body
        assert b"style=" not in reply.body


def test_a_new_password_shuts_the_gate_and_taking_it_away_opens_it(shop: Workspace) -> None:
    link = shop.link(URL, password=PASSWORD)
    target = f"/{link['short_code']}"
    cookie = unlocked(shop, target)
    for new in ("another", PASSWORD):  # The same password set again is another one.
        shop.call("PUT", "/api/update-password", {"url_id": link["id"], "password": new})
        assert is_asked(visit(shop, target, Cookie=cookie))
        cookie = unlocked(shop, target, new)
        assert visit(shop, target, Cookie=cookie).status == 302
    shop.call("PUT", "/api/update-password", {"url_id": link["id"], "password": None})
    assert visit(shop, target).status == 302
    assert give(shop, target).status == 405


def test_a_forged_cookie_opens_nothing(shop: Workspace) -> None:
    link = shop.link(URL, password=PASSWORD)
    target = f"/{link['short_code']}"
    cookie = unlocked(shop, target)
    name, _, value = cookie.partition("=")
    expires, _, proof = value.partition(".")
    for forged in (
        f"{int(expires) + 1}.{proof}", f"{int(expires) - 1}.{proof}", f"{expires}.{proof[:-1]}", f"{expires}.",
        f"{expires}.{'0' * 64}", f".{proof}", proof, "", "1.1", f"-1.{proof}", f"{'9' * 400}.{proof}",
        f"{expires}.{proof.upper()}",
    ):  # fmt: skip
        assert is_asked(visit(shop, target, Cookie=f"{name}={forged}")), forged
    assert visit(shop, target, Cookie=f"{name}=1.1; {cookie}").status == 302


def test_head_tells_the_status_and_nothing_more(shop: Workspace) -> None:
    link = shop.link(URL, password=PASSWORD)
    target = f"/{link['short_code']}"
    head = visit(shop, target, "HEAD")
    assert (head.status, head.header("location"), head.body) == (200, None, b"")
    assert visit(shop, target, "HEAD", Cookie=unlocked(shop, target)).header("location") == URL


def test_a_link_without_a_password_takes_no_post(shop: Workspace) -> None:
    link = shop.link(URL)
    for target in (f"/{link['short_code']}", "/nothing-here", "/a/b", "/"):
        reply = give(shop, target)
        assert (reply.status, reply.header("allow")) == (405, "GET, HEAD")
    locked = shop.link(URL, password=PASSWORD)
    for method in ("PUT", "DELETE", "OPTIONS"):
        assert visit(shop, f"/{locked['short_code']}", method).status == 405


def test_guessing_is_bounded_and_a_right_password_costs_nothing(shop: Workspace) -> None:
    link, other = shop.link(URL, password=PASSWORD), shop.link(URL, password=PASSWORD)
    target = f"/{link['short_code']}"
    for _ in range(12):
        assert give(shop, target).status == 303
    refused = shop.served.metric("passwords_limited_total")
    statuses = [give(shop, target, body="password=guess").status for _ in range(9)]
    assert statuses == [403] * 9
    replies: list[raw.Reply] = []

    def is_limited() -> bool:
        """However slowly guesses go, they come sooner than one in six seconds."""
        guessed = give(shop, target, body="password=guess").status
        replies.append(give(shop, target))
        return (guessed, replies[-1].status) == (429, 429)

    until(is_limited)
    reply = replies[-1]
    assert is_asked(reply, 429)
    assert 1 <= int(reply.header("retry-after") or "") <= 6
    assert b'role="alert"' in reply.body
    assert give(shop, f"/{other['short_code']}").status == 303
    assert shop.served.metric("passwords_limited_total") >= refused + 2


def test_a_password_is_in_no_log(shop: Workspace) -> None:
    secret, wrong = "velvet-hammer-91", "paper-anvil-17"
    link = shop.link(URL, password=secret)
    target = f"/{link['short_code']}"
    cookie = unlocked(shop, target, secret)
    give(shop, target, wrong)
    logged = shop.served.log_path.read_text()
    for hidden in (secret, wrong, cookie.partition("=")[2]):
        assert hidden not in logged


def test_many_passwords_at_once_are_all_answered(shop: Workspace) -> None:
    links = [shop.link(URL, password=PASSWORD) for _ in range(4)]
    answers: list[int] = []

    def many(link: dict[str, Any]) -> None:
        answers.extend(give(shop, f"/{link['short_code']}").status for _ in range(5))

    threads = [threading.Thread(target=many, args=(link,)) for link in links for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [303] * 80


def test_a_body_that_does_not_come_is_not_waited_for_forever(shop: Workspace) -> None:
    link = shop.link(URL, password=PASSWORD)
    headers: list[raw.Header] = [("Host", "localhost"), ("Connection", "close"), ("Content-Length", "3")]
    head = raw.head("POST", f"/{link['short_code']}", headers)
    reply = raw.send_bytes(shop.served.port, "POST", head)
    assert reply.status == 408
    assert b"<h1>" in reply.body
