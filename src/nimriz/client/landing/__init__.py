"""The landing page: takes the click token out of the visitor's address and keeps it until the visitor buys.

Owns the first-party cookie `nim_ct` and nothing else; `asgi`, `wsgi`, `django`, `flask` and `fastapi` beside it fit it
into a framework, and import only their own. Promises that what is no token by its shape is neither set nor given back,
and that nothing is logged.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl

from nimriz.base.tokens import is_shaped

PARAMETER = "nim_ct"
COOKIE = "nim_ct"
COOKIE_DAYS = 30
"""No window is longer."""

UNCACHED = "private, no-store"
"""The Cache-Control of an answer that sets the cookie: no other visitor may be given it."""


def token_of(query: str) -> str | None:
    """The token in a raw query string, without its `?`; the last one where there are several."""
    if PARAMETER not in query:
        return None
    found = [value for name, value in parse_qsl(query, errors="replace") if name == PARAMETER]
    return found[-1] if found and is_shaped(found[-1]) else None


def kept_in(cookies: Iterable[str]) -> str | None:
    """The token in the values of the Cookie headers, whatever else is wrong with them."""
    for header in cookies:
        # Several headers are joined by a comma, here and there; no value may hold one.
        for pair in header.replace(",", ";").split(";"):
            name, _, value = pair.partition("=")
            if name.strip() == COOKIE and is_shaped(value.strip()):
                return value.strip()
    return None


def click_id_of(query: str, cookies: Iterable[str]) -> str | None:
    """The `click_id` to send with a lead or a sale: of this very landing, else the one that was kept."""
    return token_of(query) or kept_in(cookies)


def cookie_to_set(query: str, cookies: Iterable[str], *, secure: bool) -> str | None:
    """The value of the Set-Cookie header; None when there is nothing new to keep. The latest click wins."""
    token = token_of(query)
    if token is None or token == kept_in(cookies):
        return None
    ending = "; Secure" if secure else ""
    return f"{COOKIE}={token}; Max-Age={COOKIE_DAYS * 86_400}; Path=/; HttpOnly; SameSite=Lax{ending}"
