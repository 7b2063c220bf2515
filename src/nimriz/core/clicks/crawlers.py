"""Declared crawlers: user agents that say themselves that no person is reading.

A cheap test for the redirect, which must know before it mints a token: the token in an indexed URL
would credit every later visitor to one click. Who an agent is in full is read after the click, by `agents`.
"""

from __future__ import annotations

import re
from functools import lru_cache

USER_AGENT_BYTES_MAX = 512
_REMEMBERED_MAX = 4_096

# Words by which crawlers, link previews, monitors, feed fetchers and archivers name themselves, and the addresses
# where one may complain about them, which browsers do not send. Plain searches in a str: one regular expression of
# all of them takes several times as long. HTTP libraries and an empty user agent declare nothing: what they are
# worth is judged after the click.
_DECLARING = [
    "bot",
    "crawl",
    "spider",
    "://",
    "www.",
    "slurp",
    "archive",
    "scrap",
    "preview",
    "monitor",
    "validat",
    "check",
    "fetch",
    "scan",
    "snapshot",
    "screenshot",
    "inspect",
    "verif",
    "extract",
    "survey",
    "research",
    "synthetic",
    "audit",
    "detect",
    "parser",
    "headless",
    "uptime",
    "favicon",
    "harvest",
    "nutch",
    "wordpress",
    "mediapartners",
    "expander",
    "retriev",
    "generator",
    "analyz",
    "lighthouse",
    "pagespeed",
    "ptst/",
    "abuse",
    "feedburner",
    "facebookexternal",
    "facebookcatalog",
    "meta-external",
    "whatsapp/",
    "skypeuri",
    "pingdom",
    "phantomjs",
    "playwright",
    "puppeteer",
    "selenium",
    "googleother",
    "google-",
    "ggpht",
    "-user/",
    "thousandeyes",
    "iframely",
    "embedly",
]
_ADDRESS = re.compile(r"@[a-z0-9-]+\.[a-z]{2}")
# The same letters in what people hold: the model of a phone, a maker of phones, the app that is not its own preview, a
# try-out Safari, an Internet Explorer inside another program, a browser that names its home, a maker of televisions. A
# crawler that pretends to be a phone names itself elsewhere in the string, or with more than a name.
_INNOCENT = re.compile(
    r"\((?:linux; )?(?:arm(?:_64)?; )?(?:u; )?android(?:(?!compatible|bot[/-]|://)[^()])*(?:\([^()]*\)[^()]*)?\)"
    r"|instagram [\d.]+ android \([^)]*|cubot|whatsapp\+?/[\d.]+ (?:android|ios|s60|wp)|messenger for whatsapp"
    r"|mobile/\w+ whatsapp/|electron/[\d.]+ safari/[\d.]+ whatsapp/"
    r"|safari%20technology%20preview|embeddedwb [\d.]+ (?:from: )?http://[a-z.]+|http://bsalsa\.com"
    r"|qtweb internet browser/[\d.]+ http://www\.qtweb\.net|[;/]botech[;/]"
)


def is_declared_crawler(user_agent: bytes) -> bool:
    """Whether a User-Agent header declares a crawler."""
    return _is_declared(user_agent[:USER_AGENT_BYTES_MAX])


@lru_cache(maxsize=_REMEMBERED_MAX)
def _is_declared(user_agent: bytes) -> bool:
    text = user_agent.decode("latin-1").lower()
    return _names_itself(text) and _names_itself(_INNOCENT.sub("", text))


def _names_itself(text: str) -> bool:
    for word in _DECLARING:
        if word in text:
            return True
    return "@" in text and _ADDRESS.search(text) is not None
