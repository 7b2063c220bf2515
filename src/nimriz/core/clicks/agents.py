"""Who clicked, as the user agent tells it: the kind of agent, and the traits that reports show.

Costs a tenth of a millisecond, so it runs after the redirect and once per distinct string. Only words of this module
leave it, whatever the string says: no part of a user agent reaches a row or a log.
"""

from __future__ import annotations

import re
from functools import cache
from threading import Lock
from typing import Literal, NamedTuple

from ua_parser import Domain, load_builtins
from ua_parser.regex import Resolver

from nimriz.core.clicks.agent_kinds import Kind, kind_of
from nimriz.core.clicks.crawlers import USER_AGENT_BYTES_MAX

CACHE_BYTES_MAX = 4 * 1024 * 1024
# What one remembered agent costs at most: its digest, the tuple, and the places in the table (a test measures it).
ENTRY_BYTES = 512
OTHER = "Other"

Device = Literal["mobile", "tablet", "desktop", "tv", "console", "wearable", "other"]


class Agent(NamedTuple):
    """Who clicked. Of what is no browser of a person only the kind is told: the rest would be its disguise.

    `os` and `browser` are families, `Other` for the rare ones, and '' where the kind is not `browser`.
    """

    kind: Kind
    device: Device
    os: str
    browser: str


_SYSTEMS = {
    "Android": "Android", "iOS": "iOS", "Windows": "Windows", "Mac OS X": "macOS", "Mac OS": "macOS",
    "Chrome OS": "Chrome OS", "Windows Phone": "Windows Phone", "Windows Mobile": "Windows Phone", "KaiOS": "KaiOS",
    "Tizen": "Tizen", "Web0S": "webOS", "webOS": "webOS", "WatchOS": "watchOS", "ATV OS X": "tvOS", "tvOS": "tvOS",
    "BlackBerry OS": "BlackBerry", "BlackBerry Tablet OS": "BlackBerry", "Symbian OS": "Symbian",
    "Symbian^3": "Symbian", "HarmonyOS": "HarmonyOS", "OpenHarmony": "HarmonyOS", "Chromecast Linux": "Linux",
    **dict.fromkeys(
        ("Linux", "Ubuntu", "Kubuntu", "Fedora", "Debian", "SUSE", "Red Hat", "CentOS", "Gentoo", "Arch Linux",
         "Linux Mint", "Mandriva", "Mageia", "Slackware"), "Linux"),
    **dict.fromkeys(("FreeBSD", "OpenBSD", "NetBSD"), "BSD"),
}  # fmt: skip
# Families of the parser by the names that people know them by. What is not here is `Other`: the parser makes some
# names out of the string itself.
_BROWSERS = {
    **{name: name for name in (
        "Aloha Browser", "Amazon Silk", "Apple Mail", "Avast Secure Browser", "Baidu Browser", "Brave", "Chromium",
        "Coc Coc", "DuckDuckGo", "Edge", "Electron", "Epiphany", "Facebook", "Facebook Messenger", "Firefox",
        "Huawei Browser", "Instagram", "Konqueror", "Maxthon", "Oculus Browser", "Opera", "Opera GX", "Opera Mini",
        "Outlook", "Pale Moon", "Pinterest", "Puffin", "Safari", "Samsung Internet", "SeaMonkey", "Slack", "Snapchat",
        "Sogou Explorer", "TikTok", "Twitter", "UC Browser", "Vivaldi", "Waterfox", "Weibo", "WhatsApp", "Whale",
        "Yandex Browser", "Chrome", "Thunderbird", "Kakao Talk", "NAVER",
    )},
    "Android": "Android Browser", "Baidu Explorer": "Baidu Browser", "Baidu Box App": "Baidu Browser",
    "BlackBerry WebKit": "BlackBerry Browser", "BlackBerry": "BlackBerry Browser", "Chrome Frame": "Internet Explorer",
    "Chrome Mobile": "Chrome", "Chrome Mobile WebView": "Android WebView", "Chrome Mobile iOS": "Chrome",
    "DuckDuckGo Mobile": "DuckDuckGo", "Ecosia Android": "Ecosia", "Ecosia iOS": "Ecosia", "Edge Mobile": "Edge",
    "Firefox Focus": "Firefox", "Firefox Mobile": "Firefox", "Firefox iOS": "Firefox", "Google": "Google app",
    "HeyTap Browser": "HeyTap Browser", "IE": "Internet Explorer", "IE Mobile": "Internet Explorer", "LINE": "Line",
    "MiuiBrowser": "Mi Browser", "Mobile Safari": "Safari", "Mobile Safari UI/WKWebView": "iOS WebView",
    "Opera Mobile": "Opera", "Opera Touch": "Opera", "QQ Browser Mobile": "QQ Browser", "QQ Browser": "QQ Browser",
    "VivoBrowser": "Vivo Browser", "WeChat Browser": "WeChat", "WeChat": "WeChat", "YandexSearch": "Yandex app",
}  # fmt: skip
# Apps that show pages themselves and that the parser takes for the engine inside them.
_APPS = {
    "linkedinapp": "LinkedIn", "micromessenger": "WeChat", "duckduckgo/": "DuckDuckGo", "snapchat": "Snapchat",
    "pinterest": "Pinterest", "bytedancewebview": "TikTok", "musical_ly": "TikTok", "reddit/": "Reddit",
    "telegram": "Telegram", "outlook": "Outlook", "teams/": "Microsoft Teams", "discord/": "Discord",
    "slack": "Slack", "threads ": "Threads", "barcelona ": "Threads", "kakaotalk": "Kakao Talk", "naver(": "NAVER",
}  # fmt: skip

SYSTEM_NAMES = tuple(sorted({*_SYSTEMS.values(), OTHER}))
"""Every system that an agent can have."""
BROWSER_NAMES = tuple(sorted({*_BROWSERS.values(), *_APPS.values(), OTHER}))
"""Every browser that an agent can have."""

_DEVICES: tuple[tuple[Device, re.Pattern[str]], ...] = (
    ("console", re.compile(r"playstation|nintendo|xbox|\bwii|sega")),
    ("tv", re.compile(
        r"smart-?tv|hbbtv|hybridcast|netcast|viera|aquos|bravia|roku|crkey|apple ?tv|web0s|vizio|brightsign|youview"
        r"|vidaa|google ?tv|android tv|\btv\b|dtv|mitv|\baft[a-z]{1,4}\d*\b|\bstb\b|set-?top|shield android|chromecast"
        r"|\b(?:atv|tvbox)|opera tv|freebox|appletv|tvos")),
    ("wearable", re.compile(r"watch ?os|\bwatch\d|\bapple ?watch|wear os|\bsm-r\d{3}|galaxy watch|google glass")),
    ("tablet", re.compile(
        r"ipad|tablet(?! pc)|playbook|kindle|silk/|\bkf[a-z]{2,6}\b|\b(?:sm-[tx]|gt-p)\d|xoom|nexus (?:7|9|10)\b"
        r"|(?:media|mate|idea|ee)pad|macintosh.*mobile/|android(?!.*mobile).*(?:applewebkit|gecko/)")),
    ("desktop", re.compile(r"windows nt(?!.*phone)|macintosh(?!.*mobile/)|x11(?!.*mobile)|cros\b")),
    ("mobile", re.compile(
        r"mobi|iphone|ipod|\bios\b|android|andr0id|phone|symbian|series ?[346]0|nokia|blackberry|bb10|bada|kaios|midp"
        r"|cldc|j2me|up\.browser|obigo|teleca|netfront|openwave|maui|docomo|kddi|softbank|samsung|ericsson|\bmot-|lg-"
        r"|sie-|palm|opera mini|ucweb|wap\b|windows ce|\bhtc|harmony|meego|maemo|brew")),
    ("desktop", re.compile(r"windows|win(?:9|32|64|nt)|mac|darwin|linux|bsd\b|sunos|os/2|beos|haiku|amiga|msie")),
)  # fmt: skip


@cache
def _parser() -> Resolver:
    browsers, systems, _ = load_builtins()
    # The device is read from a few words below: the parser's hundreds of models would cost more than all the rest.
    return Resolver((browsers, systems, []))


def prepare() -> None:
    """Make the parser, which takes a second, so that no visitor need wait for it."""
    read(b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")


def read(user_agent: bytes) -> Agent:
    """Who an agent is, from the first 512 bytes of its header. Total: whatever the bytes, it answers."""
    cut = user_agent[:USER_AGENT_BYTES_MAX]
    kind = kind_of(cut)
    if kind != "browser":
        return Agent(kind, "other", "", "")
    text = cut.decode("latin-1")
    parsed = _parser()(text, Domain.USER_AGENT | Domain.OS)
    lower = text.lower()
    browser = next((name for word, name in _APPS.items() if word in lower), "") or _BROWSERS.get(
        parsed.user_agent.family if parsed.user_agent else "", OTHER
    )
    system = _SYSTEMS.get(parsed.os.family if parsed.os else "", OTHER)
    return Agent(kind, _device_of(lower), system, browser)


def _device_of(text: str) -> Device:
    for device, words in _DEVICES:
        if words.search(text):
            return device
    return "other"


class Agents:
    """Agents read before, remembered within a bound of bytes by a hash of their string that only this process knows.

    The one that was read longest ago is forgotten first. For many threads. The first one read takes a second longer:
    the parser is made then.
    """

    def __init__(self, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._count_max = bytes_max // ENTRY_BYTES
        self._known: dict[int, Agent] = {}
        self._lock = Lock()

    def known(self, user_agent: bytes) -> Agent | None:
        """Who an agent is, if it was read before."""
        return self._known.get(_key(user_agent))

    def read(self, user_agent: bytes) -> Agent:
        """As the function `read`, once per distinct string."""
        key = _key(user_agent)
        known = self._known.get(key)
        if known is not None:
            return known
        agent = read(user_agent)
        with self._lock:
            self._known[key] = agent
            while len(self._known) > self._count_max:
                del self._known[next(iter(self._known))]
        return agent


def _key(user_agent: bytes) -> int:
    # SipHash under a key of this process: nobody outside can make two strings meet, and no string is kept.
    return hash(user_agent[:USER_AGENT_BYTES_MAX])
