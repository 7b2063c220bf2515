"""Slugs: the paths of links under their domain. Owns the table tombstones.

A slug that a link gave up, by being deleted or renamed, rests for 30 days, so that what was printed on
paper does not lead to somebody else. The link that gave it up may take it back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nimriz.base.clock import DAY_MS
from nimriz.base.errors import Refused
from nimriz.base.ids import new_slug
from nimriz.store.db import Params, Tx

RESERVED_SLUGS = frozenset({
    "api", "app", "admin", "login", "setup", "billing", "static", "oauth", "metrics", "robots.txt",
    "favicon.ico", "_health", "_ready", ".well-known",
})  # fmt: skip
TOMBSTONE_MS = 30 * DAY_MS
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TRIES = 8
_TAKEN = "select slug from links where domain_id = :domain_id and slug in (:keys) and deleted_at_ms is null"
_RESTING = (
    "select slug, link_id from tombstones "
    "where domain_id = :domain_id and slug in (:keys) and retired_at_ms > :since_ms"
)


def is_slug(text: str) -> bool:
    """Whether this could be a slug: 1 to 64 letters, digits, hyphens and underscores."""
    return _SLUG.fullmatch(text) is not None


def unavailable(tx: Tx, domain_id: str, wanted: Sequence[str], now_ms: int, link_id: str = "") -> dict[str, str]:
    """The slugs that cannot be had, each with its code: slug_reserved, slug_invalid, slug_taken, slug_tombstoned.

    `link_id` is the link that asks: what it gave up itself does not keep it out.
    """
    found = {slug: "slug_invalid" for slug in wanted if not is_slug(slug)}
    found |= {slug: "slug_reserved" for slug in wanted if slug in RESERVED_SLUGS}
    rest = [slug for slug in wanted if slug not in found]
    if rest:
        since: Params = {"domain_id": domain_id, "since_ms": now_ms - TOMBSTONE_MS}
        found |= {row[0]: "slug_tombstoned" for row in tx.each(_RESTING, rest, since) if row[1] != link_id}
        found |= {row[0]: "slug_taken" for row in tx.each(_TAKEN, rest, {"domain_id": domain_id})}
    return found


def check(tx: Tx, domain_id: str, slug: str, now_ms: int, link_id: str = "") -> None:
    """Raises Refused with the code of `unavailable`."""
    for code in unavailable(tx, domain_id, [slug], now_ms, link_id).values():
        raise Refused(code)


def generate(tx: Tx, domain_id: str, count: int, now_ms: int) -> list[str]:
    """So many free slugs of 7 characters without look-alikes. Raises Refused(slug_taken) when luck runs out."""
    free: list[str] = []
    for _ in range(_TRIES):
        tried = list(dict.fromkeys(new_slug() for _ in range(count - len(free))))
        gone = {*unavailable(tx, domain_id, tried, now_ms), *free}
        free += [slug for slug in tried if slug not in gone]
        if len(free) == count:
            return free
    raise Refused("slug_taken")


def retire(tx: Tx, domain_id: str, slug: str, link_id: str, now_ms: int) -> None:
    """Lay a slug to rest."""
    tx.run(
        "insert into tombstones (domain_id, slug, link_id, retired_at_ms) "
        "values (:domain_id, :slug, :link_id, :now_ms) on conflict (domain_id, slug) "
        "do update set link_id = excluded.link_id, retired_at_ms = excluded.retired_at_ms",
        {"domain_id": domain_id, "slug": slug, "link_id": link_id, "now_ms": now_ms},
    )


def forget_old(tx: Tx, now_ms: int) -> None:
    """Drop tombstones that keep nobody out any more."""
    tx.run("delete from tombstones where retired_at_ms <= :since_ms", {"since_ms": now_ms - TOMBSTONE_MS})
