"""Crawlers that declare themselves are known; people's browsers never are."""

from __future__ import annotations

from pathlib import Path

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from nimriz.core.clicks.crawlers import USER_AGENT_BYTES_MAX, is_declared_crawler

BROWSERS = Path(__file__).with_name("browsers.txt").read_text("utf-8").splitlines()
# An HTTP library declares nothing: what it is worth is judged after the click.
CRAWLERS = [
    instance
    for entry in CRAWLER_USER_AGENTS_DATA
    if "http-library" not in entry.get("tags", ())
    for instance in entry["instances"]
]


def test_four_in_five_known_crawlers_are_declared() -> None:
    declared = [agent for agent in CRAWLERS if is_declared_crawler(agent.encode())]
    assert len(CRAWLERS) > 1_000
    assert len(declared) >= 0.8 * len(CRAWLERS), f"{len(declared)} of {len(CRAWLERS)}"


def test_no_browser_of_a_person_is_declared_a_crawler() -> None:
    assert len(BROWSERS) > 400
    assert [agent for agent in BROWSERS if is_declared_crawler(agent.encode())] == []


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Twitterbot/1.0",
        "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "TelegramBot (like TwitterBot)",
        "WhatsApp/2.23.20.0",
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/W.X.Y.Z Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    ],
)
def test_those_who_read_shared_links_most_are_declared(agent: str) -> None:
    assert is_declared_crawler(agent.encode())


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (Linux; Android 6.0; Kitchen BOT 7 Build/AP1A) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/98.0 "
        "Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 14; Spider Tab) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36",
        "Safari%20Technology%20Preview/20621.1.2 CFNetwork/3800.1 Darwin/24.1.0",
        "WhatsApp/2.25.1 Android/14 Device/Example-One",
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile "
        "Safari/537.36 (Ecosia android@140.0.0.0)",
    ],
)
def test_words_of_crawlers_in_the_name_of_what_a_person_holds_declare_nothing(agent: str) -> None:
    assert not is_declared_crawler(agent.encode())


def test_a_crawler_that_pretends_to_be_a_phone_is_declared() -> None:
    phone = (
        b"Mozilla/5.0 (Linux; Android 8.0; Pixel 2 Build/OPD3; %s) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/81.0"
    )
    for name in (b"Storebot-Google/1.0", b"compatible; somebot", b"Somebot/1.0", b"+https://example.com/somebot"):
        assert is_declared_crawler(phone % name), name


@pytest.mark.parametrize("agent", [b"", b"curl/8.14.1", b"python-requests/2.32.3", b"\xff\xfe\x00"])
def test_who_declares_nothing_is_not_declared(agent: bytes) -> None:
    assert not is_declared_crawler(agent)


def test_only_the_first_512_bytes_are_read() -> None:
    assert is_declared_crawler(b"x" * (USER_AGENT_BYTES_MAX - 4) + b" bot")
    assert not is_declared_crawler(b"x" * USER_AGENT_BYTES_MAX + b" bot")
