"""Targets: a destination compiled, whether it is the link's own, a route's or a variant's.

Which bytes stand before and after what is appended, whether anything may be appended and why not: decided once, when
the link is first asked for, and in the same way for all of a link's destinations.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from nimriz.base import urls
from nimriz.base.tokens import TOKEN_CHARS
from nimriz.core.links import destinations, links
from nimriz.core.links.links import Link

TARGET_BYTES = 360
KEY_BYTES = 100
# The separator, the parameter's name and the token.
TOKEN_ROOM_BYTES = 1 + len(urls.PARAMETER) + TOKEN_CHARS


@dataclass(frozen=True, slots=True)
class App:
    """An app that a page has to open: its own address, and where to go when it is not installed."""

    link: str
    fallback: str


@dataclass(frozen=True, slots=True)
class Target:
    """Where one decision of a link leads. `suppression` is '' when a parameter may be appended.

    `head` and `fragment` are the stored destination with the link's UTM parameters, cut where something may be
    appended, after `separator`. `stopped`: its host is on a block list. `app`: it takes a page to open it.
    """

    decision: int
    head: bytes
    separator: bytes
    fragment: bytes
    host: str
    suppression: str
    own_keys: frozenset[bytes]
    stopped: bool = False
    app: App | None = None

    @property
    def destination(self) -> bytes:
        """Where it leads when nothing is appended."""
        return self.head + self.fragment

    @property
    def bytes_count(self) -> int:
        """About how much memory it takes."""
        return TARGET_BYTES + len(self.head) + len(self.fragment) + KEY_BYTES * len(self.own_keys)


def compiled(link: Link, long_url: str = "", decision: int = 0, blocked: frozenset[str] = frozenset()) -> Target:
    """The target of a link's own destination, or of another one under the same link's settings.

    `blocked` are destinations whose host is on a block list.
    """
    stopped = (long_url or link.long_url) in blocked
    if long_url:
        link = link._replace(long_url=long_url)
    suppression = token_suppression(link) or ""
    destination = link.long_url if suppression else urls.append(link.long_url, _utm_addition(link))
    head, hash_sign, fragment = destination.partition("#")
    before, _ = urls.split_for_append(destination)
    return Target(
        decision,
        head.encode(),
        before[len(head) :].encode(),
        (hash_sign + fragment).encode(),
        sys.intern(destinations.parsed(link.long_url).host),
        suppression,
        _keys(head) if link.forward_query else frozenset(),
        stopped,
    )


def _keys(head: str) -> frozenset[bytes]:
    """The names that the query has already."""
    return frozenset(key_of(pair) for pair in head.partition("?")[2].encode().split(b"&") if pair)


def token_suppression(link: Link) -> str | None:
    """Why no token is appended to this link's destination, or None: shown when it is saved, kept on clicks."""
    if link.append_policy == "never":
        return "owner"
    addition = _utm_addition(link)
    reason = urls.suppression(link.long_url, len(addition) + 1 if addition else 0)
    # "Append anyway" is about what the destination means; a URL that is too long does not fit.
    if link.append_policy == "always" and reason not in ("too_long", "not_http", "already_present"):
        # What fits is judged apart: the reason that was lifted may have hidden it.
        size = len(urls.append(link.long_url, addition).encode()) + TOKEN_ROOM_BYTES
        return "too_long" if size > urls.DESTINATION_BYTES_MAX else None
    return reason


def _utm_addition(link: Link) -> str:
    if link.utm == links.NO_UTM:
        return ""
    return urls.utm_addition(link.long_url, dict(zip(urls.UTM_NAMES, links.utm_of(link), strict=True)))


def key_of(pair: bytes) -> bytes:
    """The name of a raw `name=value` pair, percent-decoded."""
    return unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" "))
