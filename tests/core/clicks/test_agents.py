"""Who clicked is told from the user agent alone, for any bytes, in bounded time and bounded memory."""

from __future__ import annotations

import re
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from hypothesis import example, given
from hypothesis import strategies as st

from nimriz.core.clicks import agents
from nimriz.core.clicks.agents import ENTRY_BYTES, Agent, Agents, read
from nimriz.core.clicks.crawlers import USER_AGENT_BYTES_MAX

BROWSERS = Path(__file__).with_name("browsers.txt").read_text("utf-8").splitlines()
MACHINES = [instance for entry in CRAWLER_USER_AGENTS_DATA for instance in entry["instances"]]
# Strings on which an expression that looks back would take long.
HOSTILE = [
    pattern * (USER_AGENT_BYTES_MAX // len(pattern) + 1)
    for pattern in (
        b"(", b"@", b"@a", b"a-", b"a.", b"a", b"1", b";", b" ", b"\xff", b"bot(android", b"(linux; android (",
        b"whatsapp/1", b"instagram 1 android (", b"microsoft office ", b"win microsoft office", b"mac os x) ",
        b"(compatible ", b"agent==", b"like gecko, ", b"a/1 ", b"Mozilla/5.0 (X11) ", b"Android Mobile ",
    )
]  # fmt: skip


def kind_of(user_agent: str) -> str:
    return read(user_agent.encode()).kind


def test_99_in_100_known_machines_are_told_from_people() -> None:
    missed = [machine for machine in MACHINES if kind_of(machine) == "browser"]
    assert len(MACHINES) > 2_000
    assert len(missed) <= 0.01 * len(MACHINES), missed


def test_no_browser_of_a_person_is_called_a_machine() -> None:
    assert len(BROWSERS) > 400
    assert [browser for browser in BROWSERS if kind_of(browser) != "browser"] == []


@pytest.mark.parametrize(
    ("kind", "user_agent"),
    [
        ("crawler", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        ("crawler", "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)"),
        ("crawler", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/142.0 Safari/537.36"),
        ("crawler", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
                    "Safari/537.36 Brandnewthing"),
        ("crawler", "Mozilla/5.0 (compatible; Brandnewthing/1.0)"),
        ("crawler", "Mozilla/5.0"),
        ("preview", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"),
        ("preview", "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"),
        ("preview", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) "
                    "Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0"),
        ("preview", "Twitterbot/1.0"),
        ("preview", "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)"),
        ("preview", "WhatsApp/2.23.20.0"),
        ("preview", "TelegramBot (like TwitterBot)"),
        ("preview", "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)"),
        ("preview", "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com"),
        ("preview", "Iframely/1.3.1 (+https://iframely.com/docs/about)"),
        ("preview", "Mozilla/4.0 (compatible; ms-office; MSOffice 16)"),
        ("scanner", "Barracuda Sentinel (EE)"),
        ("scanner", "Mozilla/5.0 (compatible; MimecastURLScanner/1.0)"),
        ("scanner", "Mozilla/5.0 (compatible; proofpoint-urldefense-scan)"),
        ("library", "curl/8.14.1"),
        ("library", "python-requests/2.32.3"),
        ("library", "Go-http-client/2.0"),
        ("library", "okhttp/4.12.0"),
        ("library", "Java/17.0.2"),
        ("library", "PostmanRuntime/7.43.0"),
        ("library", "something/1.0"),
        ("unknown", ""),
        ("unknown", "   "),
        ("unknown", "12345"),
    ],
)  # fmt: skip
def test_machines_are_told_apart(kind: str, user_agent: str) -> None:
    assert read(user_agent.encode()) == Agent(kind, "other", "", "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "traits"),
    [
        ("Windows NT 10.0; Win64; x64) .*Edg/142", ("desktop", "Windows", "Edge")),
        ("Macintosh; .* Version/18.6 Safari/605.1.15$", ("desktop", "macOS", "Safari")),
        ("CrOS x86_64 14541", ("desktop", "Chrome OS", "Chrome")),
        ("Ubuntu; Linux x86_64; rv:144.0", ("desktop", "Linux", "Firefox")),
        ("iPad; CPU OS 17_6 ", ("tablet", "iOS", "Safari")),
        ("Android 10; K.* Chrome/142.0.0.0 Mobile", ("mobile", "Android", "Chrome")),
        ("Android 10; K.* Chrome/143.0.0.0 Safari", ("tablet", "Android", "Chrome")),
        ("SM-G991B", ("mobile", "Android", "Samsung Internet")),
        ("iPhone14,5; iOS 18_6", ("mobile", "iOS", "Instagram")),
        ("LinkedInApp/9.30", ("mobile", "iOS", "LinkedIn")),
        ("MicroMessenger/8.0.50", ("mobile", "iOS", "WeChat")),
        ("FB_IAB/FB4A;FBAV/534", ("mobile", "Android", "Facebook")),
        ("Tizen 7.0", ("tv", "Tizen", "Samsung Internet")),
        ("PlayStation 5", ("console", "Other", "Safari")),
        ("KAIOS/2.5.2", ("mobile", "KaiOS", "Firefox")),
        ("Teams/25", ("desktop", "Windows", "Microsoft Teams")),
    ],
)
def test_traits_are_told_in_the_words_of_reports(words: str, traits: tuple[str, str, str]) -> None:
    browser = next(browser for browser in BROWSERS if re.search(words.replace("(", r"\(").replace(")", r"\)"), browser))
    assert read(browser.encode())[1:] == traits


@given(st.binary(max_size=9_000))
@example(b"\x00" * 9_000)
@example(bytes(range(256)))
def test_any_bytes_are_read_and_none_of_them_come_out(user_agent: bytes) -> None:
    agent = read(user_agent)
    assert agent == read(user_agent[:USER_AGENT_BYTES_MAX])
    assert set(agent) <= ALL_WORDS


ALL_WORDS = {
    *("browser", "crawler", "preview", "scanner", "library", "unknown"),
    *("mobile", "tablet", "desktop", "tv", "console", "wearable", "other", "", agents.OTHER),
    *agents._SYSTEMS.values(),
    *agents._BROWSERS.values(),
    *agents._APPS.values(),
}


@given(st.lists(st.sampled_from(" ".join(BROWSERS + MACHINES).split(" ")), max_size=12))
def test_whatever_is_made_of_what_agents_send_only_our_words_come_out(words: list[str]) -> None:
    assert set(read(" ".join(words).encode())) <= ALL_WORDS


def cost_ns(user_agent: bytes) -> int:
    """What reading costs this thread; the least of some tries, since others may disturb one."""
    tries = []
    for _ in range(5):
        started = time.thread_time_ns()
        read(user_agent)
        tries.append(time.thread_time_ns() - started)
    return min(tries)


def test_no_string_costs_many_times_what_browsers_cost() -> None:
    read(b"")
    usual = max(cost_ns(browser.encode()) for browser in BROWSERS[:40])
    assert [user_agent[:40] for user_agent in HOSTILE if cost_ns(user_agent) > 50 * usual] == []


def test_a_string_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Agents()
    asked: list[bytes] = []

    def counted(user_agent: bytes) -> Agent:
        asked.append(user_agent)
        return read(user_agent)

    monkeypatch.setattr(agents, "read", counted)
    for browser in BROWSERS * 2:
        assert known.read(browser.encode()) == read(browser.encode())
    assert len(asked) == len(set(BROWSERS))


def test_what_is_remembered_stays_within_its_bytes_and_holds_no_user_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    bytes_max = 512 * ENTRY_BYTES
    known = Agents(bytes_max)
    browser = read(BROWSERS[0].encode())
    monkeypatch.setattr(agents, "read", lambda _: Agent._make([*browser]))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = 0
        for number in range(3_000):
            known.read(b"Mozilla/5.0 (Windows NT 10.0; rv:%d) %s" % (number, b"x" * 400))
            kept = max(kept, tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    assert len(known._known) == 512
    assert kept <= bytes_max
    assert all(type(key) is int for key in known._known)


def test_the_one_read_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Agents(2 * ENTRY_BYTES)
    for user_agent in (b"curl/1", b"curl/2", b"curl/3"):
        known.read(user_agent)
    assert known.known(b"curl/1") is None
    asked: list[bytes] = []

    def counted(user_agent: bytes) -> Agent:
        asked.append(user_agent)
        return read(user_agent)

    monkeypatch.setattr(agents, "read", counted)
    for user_agent in (b"curl/2", b"curl/3", b"curl/1"):
        known.read(user_agent)
    assert asked == [b"curl/1"]


def test_many_threads_may_ask_at_once() -> None:
    known = Agents(8 * ENTRY_BYTES)
    wrong: list[str] = []

    def ask() -> None:
        for browser in BROWSERS[:80]:
            if known.read(browser.encode()).kind != "browser":
                wrong.append(browser)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(known._known) <= 8
