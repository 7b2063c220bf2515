"""Links: the unit of attribution. Owns the table links.

What is stored as destination is exactly what was given, byte for byte. A deleted link's row stays: the
tokens of its clicks still belong to its workspace, and its slug rests for 30 days.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import ada_url

from nimriz.base.clock import DAY_MS
from nimriz.base.errors import Refused
from nimriz.base.ids import new_id, new_slug
from nimriz.base.urls import DESTINATION_BYTES_MAX
from nimriz.core import changes
from nimriz.store.db import Params, Tx

RESERVED_SLUGS = frozenset({
    "api", "app", "admin", "login", "setup", "billing", "static", "oauth", "metrics", "robots.txt",
    "favicon.ico", "_health", "_ready", ".well-known",
})  # fmt: skip
TOMBSTONE_MS = 30 * DAY_MS
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SLUG_TRIES = 8
_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
_FORBIDDEN_IN_URL = re.compile(r"[\x00-\x20\x7f]")


class Link(NamedTuple):
    """A short link. `append_policy` is 'auto', 'always' (lifts a suppression) or 'never'."""

    link_id: str
    workspace_id: str
    domain_id: str
    slug: str
    long_url: str
    title: str
    tags: str
    status: str
    expires_at_ms: int | None
    redirect_status_code: int
    conversion_tracking: int
    conversion_window_days: int | None
    append_policy: str
    forward_query: int
    created_at_ms: int
    updated_at_ms: int


_COLUMNS = ", ".join(Link._fields)
_UPDATABLE = (
    "slug", "long_url", "title", "tags", "status", "expires_at_ms", "redirect_status_code",
    "conversion_tracking", "conversion_window_days", "append_policy", "forward_query",
)  # fmt: skip
_UPDATE = (
    f"update links set {', '.join(f'{f} = :{f}' for f in _UPDATABLE)}, updated_at_ms = :updated_at_ms "
    "where link_id = :link_id"
)


def destination_host(long_url: str, own_hosts: frozenset[str]) -> str:
    """The host of a destination that we may redirect to, as browsers parse it.

    Raises Refused: destination_invalid for anything but an absolute http(s) URL without credentials,
    spaces and control characters, of at most 8,192 bytes; destination_blocked for the service's own
    hosts, since a link that leads to a link may go round in circles.
    """
    try:
        size = len(long_url.encode())
    except UnicodeEncodeError:
        raise Refused("destination_invalid") from None
    # Without the slashes a browser reads `http:path` as a path on the short domain itself.
    if size > DESTINATION_BYTES_MAX or _FORBIDDEN_IN_URL.search(long_url) or not _ABSOLUTE.match(long_url):
        raise Refused("destination_invalid")
    try:
        url = ada_url.URL(long_url)
    except ValueError:
        raise Refused("destination_invalid") from None
    if url.protocol not in ("http:", "https:") or url.username or url.password or not url.hostname:
        raise Refused("destination_invalid")
    if url.hostname.rstrip(".") in own_hosts:
        raise Refused("destination_blocked")
    return url.hostname


def check_slug(slug: str) -> None:
    """Raises Refused: slug_reserved or slug_invalid."""
    if slug in RESERVED_SLUGS:
        raise Refused("slug_reserved")
    if not is_slug(slug):
        raise Refused("slug_invalid")


def is_slug(text: str) -> bool:
    """Whether this could be a slug: 1 to 64 letters, digits, hyphens and underscores."""
    return _SLUG.fullmatch(text) is not None


def create(tx: Tx, link: Link, now_ms: int) -> Link:
    """Store a new link, with a generated slug where its slug is ''.

    Raises Refused: slug_taken, slug_tombstoned.
    """
    if link.slug:
        _claim_slug(tx, link.domain_id, link.slug, now_ms)
    else:
        for _ in range(_SLUG_TRIES):
            slug = new_slug()
            if find_by_slug(tx, link.domain_id, slug) is None and not _tombstoned(tx, link.domain_id, slug, now_ms):
                break
        else:
            raise Refused("slug_taken")
        link = link._replace(slug=slug)
    link = link._replace(link_id=new_id(now_ms), created_at_ms=now_ms, updated_at_ms=now_ms)
    tx.run(f"insert into links ({_COLUMNS}) values ({', '.join(':' + f for f in Link._fields)})", link._asdict())
    # A visitor may have asked for this slug before it was there, and been remembered as not found.
    changes.note(tx, "link", f"{link.domain_id}/{link.slug}", now_ms)
    return link


def _claim_slug(tx: Tx, domain_id: str, slug: str, now_ms: int) -> None:
    check_slug(slug)
    if find_by_slug(tx, domain_id, slug) is not None:
        raise Refused("slug_taken")
    if _tombstoned(tx, domain_id, slug, now_ms):
        raise Refused("slug_tombstoned")


def _tombstoned(tx: Tx, domain_id: str, slug: str, now_ms: int) -> bool:
    row = tx.one(
        "select 1 from links where domain_id = :domain_id and slug = :slug and deleted_at_ms > :since_ms",
        {"domain_id": domain_id, "slug": slug, "since_ms": now_ms - TOMBSTONE_MS},
    )
    return row is not None


def update(tx: Tx, link: Link, now_ms: int) -> Link:
    """Store a link's fields as they are now; every process sees them within a second."""
    link = link._replace(updated_at_ms=now_ms)
    tx.run(_UPDATE, {f: v for f, v in link._asdict().items() if f in _UPDATABLE or f in ("updated_at_ms", "link_id")})
    changes.note(tx, "link", f"{link.domain_id}/{link.slug}", now_ms)
    return link


def delete(tx: Tx, link: Link, now_ms: int) -> None:
    """Delete a link: it stops within a second, and its slug rests for 30 days."""
    tx.run(
        "update links set deleted_at_ms = :now_ms where link_id = :link_id",
        {"now_ms": now_ms, "link_id": link.link_id},
    )
    changes.note(tx, "link", f"{link.domain_id}/{link.slug}", now_ms)


def find(tx: Tx, workspace_id: str, link_id: str) -> Link | None:
    """A link of a workspace by its id, unless it was deleted."""
    row = tx.one(
        f"select {_COLUMNS} from links "
        "where link_id = :link_id and workspace_id = :workspace_id and deleted_at_ms is null",
        {"link_id": link_id, "workspace_id": workspace_id},
    )
    return None if row is None else Link._make(row)


def find_by_slug(tx: Tx, domain_id: str, slug: str) -> Link | None:
    """The link behind a slug of a domain, unless it was deleted."""
    row = tx.one(
        f"select {_COLUMNS} from links where domain_id = :domain_id and slug = :slug and deleted_at_ms is null",
        {"domain_id": domain_id, "slug": slug},
    )
    return None if row is None else Link._make(row)


def page(tx: Tx, workspace_id: str, before_id: str, limit: int) -> list[Link]:
    """At most `limit` links of a workspace, newest first, made before the link `before_id` ('': all)."""
    params: Params = {"workspace_id": workspace_id, "before_id": before_id or "g", "limit_count": limit}
    rows = tx.all(
        f"select {_COLUMNS} from links where workspace_id = :workspace_id and link_id < :before_id "
        "and deleted_at_ms is null order by link_id desc limit :limit_count",
        params,
    )
    return [Link._make(row) for row in rows]


def workspace_of(tx: Tx, link_id: str) -> str | None:
    """Whose link this is, or was before it was deleted."""
    row = tx.one("select workspace_id from links where link_id = :link_id", {"link_id": link_id})
    return None if row is None else str(row[0])


def labels(tx: Tx, workspace_id: str, link_ids: list[str]) -> dict[str, str]:
    """`domain/slug` of links, deleted ones too."""
    found = {}
    for link_id in link_ids:
        row = tx.one(
            "select domain_name, slug from links join domains on domains.domain_id = links.domain_id "
            "where link_id = :link_id and links.workspace_id = :workspace_id",
            {"link_id": link_id, "workspace_id": workspace_id},
        )
        if row is not None:
            found[link_id] = f"{row[0]}/{row[1]}"
    return found
