"""The visitor: what one request tells of who makes it; used and forgotten.

What a proxy adds is believed only where the operator has said whom to trust. Headers may hold anything: what cannot
be read counts as not sent.
"""

from __future__ import annotations

from typing import NamedTuple

from nimriz.core.clicks.addresses import FORWARDED, Proxies, client_address, is_trusted
from nimriz.core.clicks.places import country_of_header
from nimriz.web.http import Headers, Scope

# What browsers say when nobody looks at a page yet: Sec-Purpose (Fetch, section 2.2.7), and its forerunners.
_PURPOSES = frozenset({b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"})
# Do Not Track (W3C Tracking Preference Expression, section 5.2) and Global Privacy Control (section 3.1): "1" and
# nothing else. One line that says so is enough, whatever else was sent.
_DNT, _GPC = (b"dnt", b"1"), (b"sec-gpc", b"1")


class Visitor(NamedTuple):
    """One request's headers, read. `purpose` is 'prefetch', 'preview' or ''; `dnt` and `gpc` are privacy signals."""

    address: str
    country: str = ""
    user_agent: bytes = b""
    referrer: bytes = b""
    accept_language: bytes = b""
    purpose: str = ""
    dnt: bool = False
    gpc: bool = False


class VisitorReader:
    """Reads visitors. `country_header` names, in lower case, a header that a trusted proxy sets; b'' for none."""

    def __init__(self, proxies: Proxies, country_header: bytes) -> None:
        self._proxies = proxies
        self._forwarding = proxies.header.encode() if proxies.hops_max else b""
        self._country_header = country_header if proxies.hops_max else b""
        told_by_proxies = {self._forwarding, self._country_header} - {b""}
        told_by_browsers = {b"user-agent", b"accept-language", b"referer", _DNT[0], _GPC[0], *_PURPOSES}
        self._wanted = frozenset(told_by_browsers | told_by_proxies)

    def address_of(self, scope: Scope) -> str:
        """The address of whoever makes a request; '' when the server does not tell."""
        client = scope.get("client")
        return self._address(client[0] if client else "", scope["headers"])

    def read(self, scope: Scope) -> Visitor:
        """The visitor who makes a request. Of a browser's header that comes twice, the last one counts."""
        user_agent = referrer = accept_language = b""
        rare: Headers = []
        wanted = self._wanted
        for name, value in scope["headers"]:
            # Most are not: one look at each of those.
            if name in wanted:
                if name == b"user-agent":
                    user_agent = value
                elif name == b"accept-language":
                    accept_language = value
                elif name == b"referer":
                    referrer = value
                else:
                    rare.append((name, value))
        client = scope.get("client")
        peer = client[0] if client else ""
        if not rare:
            address = client_address(self._proxies, peer, (), ())
            # Past the constructor of named tuples: nearly every request is one of these.
            return tuple.__new__(Visitor, (address, "", user_agent, referrer, accept_language, "", False, False))
        return Visitor(
            self._address(peer, rare),
            self._country(peer, rare),
            user_agent,
            referrer,
            accept_language,
            _purpose(rare),
            _DNT in rare,
            _GPC in rare,
        )

    def _address(self, peer: str, headers: Headers) -> str:
        if not self._forwarding:
            return client_address(self._proxies, peer, (), ())
        lines = [value for name, value in headers if name == self._forwarding]
        if self._forwarding == FORWARDED.encode():
            return client_address(self._proxies, peer, (), lines)
        return client_address(self._proxies, peer, lines, ())

    def _country(self, peer: str, headers: Headers) -> str:
        if not self._country_header:
            return ""
        told = [value for name, value in headers if name == self._country_header]
        # Twice: one of them is not the proxy's.
        return country_of_header(told[0]) if len(told) == 1 and is_trusted(self._proxies, peer) else ""


def _purpose(headers: Headers) -> str:
    told = b" ".join([value for name, value in headers if name in _PURPOSES]).lower()
    if b"preview" in told:
        return "preview"
    return "prefetch" if b"prefetch" in told or b"prerender" in told else ""
