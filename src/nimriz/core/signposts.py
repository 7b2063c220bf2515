"""Signposts: a link compiled and frozen, as the redirect reads it.

Everything about a redirect that does not depend on the visitor is decided here, when the link is first
asked for: which bytes stand before and after the token, whether one may be appended and why not, and
where a missing or expired link leads.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from nimriz.base import ids, urls
from nimriz.core import entitlements, links, workspaces
from nimriz.core.domains import Domain
from nimriz.store.db import Tx


@dataclass(frozen=True, slots=True)
class Signpost:
    """Where one slug of one domain leads. `suppression` is '' when a parameter may be appended."""

    link_id: str
    link_key: bytes
    workspace_id: str
    domain_id: str
    status_code: int
    expires_at_ms: int | None
    disabled: bool
    destination: bytes
    before: bytes
    after: bytes
    destination_host: str
    tracked: bool
    window_days: int
    suppression: str
    forward_query: bool
    own_keys: frozenset[bytes]


def compile_signpost(tx: Tx, domain: Domain, slug: str) -> Signpost | None:
    """The signpost of a slug; None when there is no such link."""
    link = links.find_by_slug(tx, domain.domain_id, slug)
    if link is None:
        return None
    workspace = workspaces.find(tx, link.workspace_id)
    if workspace is None:
        return None
    surfaces = entitlements.open_surfaces(tx, workspace.workspace_id, workspace.plan)
    before, after = urls.split_for_append(link.long_url)
    query = link.long_url.partition("#")[0].partition("?")[2]
    return Signpost(
        link_id=link.link_id,
        link_key=ids.to_bytes(link.link_id),
        workspace_id=link.workspace_id,
        domain_id=link.domain_id,
        status_code=link.redirect_status_code,
        expires_at_ms=link.expires_at_ms,
        disabled=link.status != "active",
        destination=link.long_url.encode(),
        before=before.encode(),
        after=after.encode(),
        destination_host=links.destination_host(link.long_url, frozenset()),
        tracked=bool(link.conversion_tracking) and "conversion_tracking" in surfaces,
        window_days=link.conversion_window_days or workspace.conversion_window_days,
        suppression=token_suppression(link.long_url, link.append_policy) or "",
        forward_query=bool(link.forward_query),
        own_keys=frozenset(key_of(pair) for pair in query.encode().split(b"&") if pair),
    )


def token_suppression(long_url: str, append_policy: str) -> str | None:
    """Why no token is appended to this destination, or None: shown when the link is saved, kept on clicks."""
    if append_policy == "never":
        return "owner"
    reason = urls.suppression(long_url)
    # "Append anyway" is about what the destination means; a URL that is too long does not fit.
    if append_policy == "always" and reason not in ("too_long", "not_http", "already_present"):
        return None
    return reason


def key_of(pair: bytes) -> bytes:
    """The name of a raw `name=value` pair, percent-decoded."""
    return unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" "))
