"""Signposts: a link compiled and frozen, as the redirect reads it.

Everything about a redirect that does not depend on the visitor is decided here, when the link is first
asked for: which bytes stand before and after the token, whether one may be appended and why not, and
where a missing or expired link leads.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from nimriz.base import ids, urls
from nimriz.base.tokens import TOKEN_CHARS
from nimriz.core import blocklist, destinations, domains, entitlements, links, workspaces
from nimriz.core.domains import Domain
from nimriz.core.links import Link
from nimriz.store.db import Tx

# Measured on CPython 3.11: the object and its parts, its key and its place on a shelf.
SIGNPOST_BYTES = 850
KEY_BYTES = 100
# The separator, the parameter's name and the token.
TOKEN_ROOM_BYTES = 1 + len(urls.PARAMETER) + TOKEN_CHARS


@dataclass(frozen=True, slots=True)
class Signpost:
    """Where one slug of one domain leads. `suppression` is '' when a parameter may be appended.

    `head` and `fragment` are the stored destination with the link's UTM parameters, cut where something may be
    appended, after `separator`. `hindered` is true when any of the rare conditions before a redirect has to be
    looked at: expiry, password, takedown, switched off, clicks counted. Many are kept, so nothing is kept twice.
    """

    link_id: str
    link_key: bytes
    workspace_id: str
    domain_id: str
    status_code: int
    hindered: bool
    expires_at_ms: int | None
    spent: bool
    counted: bool
    password_hash: str
    taken_down: bool
    disabled: bool
    head: bytes
    separator: bytes
    fragment: bytes
    destination_host: str
    tracked: bool
    window_days: int
    suppression: str
    utm: tuple[str, ...]
    tags: str
    strict: bool
    privacy_suppresses: bool
    forward_query: bool
    own_keys: frozenset[bytes]

    @property
    def destination(self) -> bytes:
        """Where it leads when nothing is appended."""
        return self.head + self.fragment

    @property
    def bytes_count(self) -> int:
        """About how much memory it takes."""
        return SIGNPOST_BYTES + len(self.head) + len(self.fragment) + len(self.tags) + KEY_BYTES * len(self.own_keys)


def find_domain(tx: Tx, host: str) -> Domain | None:
    """The domain of a host as the redirect knows it: without the fallback URLs whose host is blocked."""
    domain = domains.find_by_name(tx, host)
    if domain is None:
        return None
    fallbacks = (domain.root_url, domain.not_found_url, domain.expired_url)
    blocked = destinations.blocked(tx, domain.workspace_id, [url for url in fallbacks if url])
    root_url, not_found_url, expired_url = ("" if url in blocked else url for url in fallbacks)
    return domain._replace(root_url=root_url, not_found_url=not_found_url, expired_url=expired_url)


def compile_signpost(tx: Tx, domain: Domain, slug: str) -> Signpost | None:
    """The signpost of a slug; None when there is no such link."""
    link = links.find_by_slug(tx, domain.domain_id, slug)
    workspace = None if link is None else workspaces.find(tx, link.workspace_id)
    if link is None or workspace is None:
        return None
    surfaces = entitlements.open_surfaces(tx, workspace.workspace_id, workspace.plan)
    host = destinations.parsed(link.long_url).host
    suppression = token_suppression(link) or ""
    destination = link.long_url if suppression else urls.append(link.long_url, _utm_addition(link))
    head, hash_sign, fragment = destination.partition("#")
    before, _ = urls.split_for_append(destination)
    taken_down = bool(link.takedown) or blocklist.blocks(tx, link.workspace_id, host)
    hindrances = (
        link.expires_at_ms is not None, link.clicks_max is not None, link.password_hash, taken_down,
        link.status != "active",
    )  # fmt: skip
    return Signpost(
        link_id=link.link_id,
        link_key=ids.to_bytes(link.link_id),
        workspace_id=sys.intern(link.workspace_id),
        domain_id=sys.intern(link.domain_id),
        status_code=link.redirect_status_code,
        hindered=any(hindrances),
        expires_at_ms=link.expires_at_ms,
        spent=link.clicks_max is not None and link.clicks_used >= link.clicks_max,
        counted=link.clicks_max is not None,
        password_hash=link.password_hash,
        taken_down=taken_down,
        disabled=link.status != "active",
        head=head.encode(),
        separator=before[len(head) :].encode(),
        fragment=(hash_sign + fragment).encode(),
        destination_host=sys.intern(host),
        tracked=bool(link.conversion_tracking) and "conversion_tracking" in surfaces,
        window_days=link.conversion_window_days or workspace.conversion_window_days,
        suppression=suppression,
        utm=links.utm_of(link),
        tags=sys.intern(link.tags),
        strict="strict" in (link.privacy, workspace.privacy),
        privacy_suppresses=bool(workspace.privacy_suppresses_token),
        forward_query=bool(link.forward_query),
        own_keys=_keys(head) if link.forward_query else frozenset(),
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
