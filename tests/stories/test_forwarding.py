"""What a visitor brings along: parameters that are forwarded, labels that are kept, and who gets no token."""

from __future__ import annotations

import re

import pytest

from tests.stories.visitor import clicks, place
from tests.world import HUMAN, Workspace


@pytest.mark.parametrize(
    ("destination", "query", "expected"),
    [
        ("https://s.example/", "a=1", "https://s.example/?a=1&T"),
        ("https://s.example/?b=2", "a=1", "https://s.example/?b=2&a=1&T"),
        ("https://s.example/?b=2&", "a=1", "https://s.example/?b=2&a=1&T"),
        ("https://s.example/?b=2#f", "a=1&c=3", "https://s.example/?b=2&a=1&c=3&T#f"),
        ("https://s.example/?a=own", "a=1&c=3", "https://s.example/?a=own&c=3&T"),
        ("https://s.example/?a%62=own", "ab=1&%61b=2&c=3", "https://s.example/?a%62=own&c=3&T"),
        ("https://s.example/?a", "a=1", "https://s.example/?a&T"),
        ("https://s.example/", "nim_ct=x&nr=qr&p=y&a=1", "https://s.example/?a=1&T"),
        ("https://s.example/", "%6eim_ct=x&n%72=qr&%70=y&a=1", "https://s.example/?a=1&T"),
        ("https://s.example/", "nim_ct&nr&p&nim_ct=&a", "https://s.example/?a&T"),
        ("https://s.example/", "a=1;nim_ct=2&b=1;NIM%5Fct=2&c=1;d", "https://s.example/?c=1;d&T"),
        ("https://s.example/", "a=1&a=2&a=3", "https://s.example/?a=1&a=2&a=3&T"),
        ("https://s.example/", "a=%C3%A9+%20%2f%2F&b=c=d;e", "https://s.example/?a=%C3%A9+%20%2f%2F&b=c=d;e&T"),
        ("https://s.example/", "&&a=1&&", "https://s.example/?a=1&T"),
        ("https://s.example/", "utm_source=x", "https://s.example/?utm_source=x&T"),
        ("https://s.example/", "nr=qr", "https://s.example/?T"),
        ("https://s.example/", "?a=1", "https://s.example/??a=1&T"),
        ("https://s.example/?token=1", "a=1", "https://s.example/?token=1"),
    ],
)
def test_a_visitors_parameters_are_forwarded_as_they_came(
    shop: Workspace, destination: str, query: str, expected: str
) -> None:
    link = shop.link(destination, forward_query=True)
    assert place(shop, f"/{link['short_code']}?{query}") == expected
    untracked = shop.link(destination, forward_query=True, conversion_tracking=False)
    bare = re.sub(r"[?&]T", "", expected)
    assert place(shop, f"/{untracked['short_code']}?{query}") == bare
    off = shop.link(destination, conversion_tracking=False)
    assert place(shop, f"/{off['short_code']}?{query}") == destination


def test_when_it_would_be_too_long_forwarded_parameters_go_first_then_the_token(shop: Workspace) -> None:
    start = "https://s.example/?q="
    link = shop.link(start + "x" * (8_000 - len(start)), forward_query=True)
    fits = 8_192 - 8_000 - 86 - 1
    assert place(shop, f"/{link['short_code']}?{'a' * fits}").endswith("x&" + "a" * fits + "&T")
    assert place(shop, f"/{link['short_code']}?{'a' * (fits + 1)}").endswith("x&T")
    full = shop.link(start + "x" * (8_150 - len(start)), forward_query=True)
    assert full["token_suppressed"] == "too_long"
    assert place(shop, f"/{full['short_code']}?a=1") == full["long_url"]
    # A parameter is forwarded whole or not at all, however long the query is.
    short = shop.link("https://s.example/", forward_query=True)
    for size in (8_170, 8_180, 8_185, 8_188, 8_190, 9_000):
        location = place(shop, f"/{short['short_code']}?p={'x' * size}&first=1&second=abcdefghij")
        assert location in ("https://s.example/?T", "https://s.example/?first=1&second=abcdefghij&T"), size


def test_what_the_query_says_of_a_click_is_kept(shop: Workspace) -> None:
    link = shop.link()
    code = link["short_code"]
    query = (
        "utm_source=News+Letter&utm_medium=e%2Dmail&utm_campaign=%C3%A9&utm_term=t&utm_content=c&p=newsletter-42&nr=qr"
    )
    assert place(shop, f"/{code}?{query}") == "https://shop.example/landing?T"
    for odd in (
        "nr=QR",
        "nr=x",
        "nr",
        "p=&utm_source=",
        "p=a&p=b",
        "p=" + "x" * 300,
        "p=%00%0a%ff",
        "utm_source=a&utm_source=b",
    ):
        place(shop, f"/{code}?{odd}")
    rows = clicks(shop, link)
    first = rows[0]
    assert [first[f"utm_{name}"] for name in ("source", "medium", "campaign", "term", "content")] == [
        "News Letter", "e-mail", "é", "t", "c",
    ]  # fmt: skip
    assert (first["placement"], first["touch_type"]) == ("newsletter-42", "qr_scan")
    assert [row["touch_type"] for row in rows[1:]] == ["short_link_click"] * (len(rows) - 1)
    assert [row["placement"] for row in rows[4:8]] == ["", "a", "x" * 255, ""]
    assert rows[8]["utm_source"] == "a"


@pytest.mark.parametrize(
    "agent",
    [
        "Googlebot/2.1 (+http://www.google.com/bot.html)", "facebookexternalhit/1.1", "Twitterbot/1.0",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "Slackbot-LinkExpanding 1.0",
        "WhatsApp/2.23.20.0 A", "LinkedInBot/1.0", "TelegramBot (like TwitterBot)", "Applebot/0.1", "AhrefsBot/7.0",
        "Mozilla/5.0 (compatible; YandexBot/3.0)", "Baiduspider+(+http://www.baidu.com/search/spider.htm)",
        "DuckDuckBot-Https/1.1", "Pinterestbot/1.0", "Discordbot/2.0", "CCBot/2.0", "PetalBot", "ia_archiver",
    ],
)  # fmt: skip
def test_a_declared_crawler_is_sent_on_without_a_token(shop: Workspace, agent: str) -> None:
    link = shop.link()
    assert place(shop, f"/{link['short_code']}", User_Agent=agent) == "https://shop.example/landing"
    (click,) = clicks(shop, link)
    assert (click["crawler"], click["token_suppressed"], click["tracked"]) == (1, "bot", 1)


@pytest.mark.parametrize(
    "agent", [HUMAN, "", "Mozilla/5.0 (Linux; Android 9; CUBOT X19) Chrome/90", "x" * 5_000, "\u00e9"]
)
def test_everybody_else_gets_a_token(shop: Workspace, agent: str) -> None:
    link = shop.link()
    assert place(shop, f"/{link['short_code']}", User_Agent=agent) == "https://shop.example/landing?T"


def test_the_owner_may_override_in_both_directions(shop: Workspace) -> None:
    signed = "https://shop.example/?token=1"
    link = shop.link(signed, append_token="always", forward_query=True)
    assert link["token_suppressed"] is None
    assert place(shop, f"/{link['short_code']}?a=1") == f"{signed}&a=1&T"
    never = shop.link(append_token="never", forward_query=True)
    assert never["token_suppressed"] == "owner"
    assert place(shop, f"/{never['short_code']}?a=1") == "https://shop.example/landing"
    assert clicks(shop, never)[0]["token_suppressed"] == "owner"
    changed = shop.call("PATCH", f"/api/v1/links/{never['id']}", {"append_token": "auto"}).json()["link"]
    assert changed["token_suppressed"] is None
    assert place(shop, f"/{never['short_code']}?a=1") == "https://shop.example/landing?a=1&T"


def test_a_flood_of_parameters_is_read_no_further_than_two_hundred(shop: Workspace) -> None:
    link = shop.link(forward_query=True, conversion_tracking=False)
    sent = shop.location(link["short_code"], "?" + "&".join(f"a{n}=1" for n in range(300)))
    assert sent.endswith("&a199=1")
    kept = shop.location(link["short_code"], "?" + "&" * 30_000 + "utm_source=late")
    assert kept == link["long_url"]
