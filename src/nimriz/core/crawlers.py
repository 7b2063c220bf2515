"""Declared crawlers: user agents that say themselves that no person is reading.

A cheap test for the redirect, which must know before it mints a token: the token in an indexed URL
would credit every later visitor to one click.
"""

from __future__ import annotations

import re
from functools import lru_cache

USER_AGENT_BYTES_MAX = 512
_REMEMBERED_MAX = 4_096

# Words by which crawlers, link previews and monitors name themselves. "cubot" is a maker of phones. HTTP
# libraries and an empty user agent declare nothing: what they are worth is judged after the click.
_DECLARED = re.compile(
    rb"(?<!cu)bot(?:s?\b|_)|crawl|spider|slurp|archiver|scrap|preview|monitor|validator|checker"
    rb"|facebookexternal|facebookcatalog|whatsapp/|skypeuri|pingdom|lighthouse|headless|phantomjs|feedfetch"
    rb"|mediapartners|google(?:other|-inspection|-read-aloud)|bingpreview|yandex(?:direct|metrika|images)"
    # Crawlers say where to complain about them; browsers do not.
    rb"|https?://|\+www\.|@[a-z]",
    re.IGNORECASE,
)


@lru_cache(maxsize=_REMEMBERED_MAX)
def _is_declared(user_agent: bytes) -> bool:
    return _DECLARED.search(user_agent) is not None


def is_declared_crawler(user_agent: bytes) -> bool:
    """Whether a User-Agent header declares a crawler."""
    return _is_declared(user_agent[:USER_AGENT_BYTES_MAX])
