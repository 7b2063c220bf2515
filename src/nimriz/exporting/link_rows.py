"""Links as rows: all of a workspace, or those that changed after a cursor, deleted ones too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nimriz.analytics.tabular import Column
from nimriz.core.clicks import clicks
from nimriz.core.links import domains, history, links
from nimriz.core.links.domains import Domain
from nimriz.core.links.links import Filters, Link
from nimriz.store.db import Database, Tx
from nimriz.web import wire

PAGE_ROWS = 1_000
COLUMNS: tuple[Column, ...] = (
    Column("link_id", "id"),
    Column("domain", "id"),
    Column("slug", "text"),
    Column("short_url", "text"),
    Column("long_url", "text"),
    Column("title", "text"),
    Column("notes", "text"),
    Column("tags", "json"),
    *(Column(f"utm_{name}", "text") for name in ("source", "medium", "campaign", "term", "content")),
    Column("status", "id"),
    Column("archived", "flag"),
    Column("expires_at", "instant"),
    Column("clicks_max", "count"),
    Column("password_protected", "flag"),
    Column("redirect_status_code", "count"),
    Column("conversion_tracking", "flag"),
    Column("conversion_window_days", "count"),
    Column("append_token", "id"),
    Column("forward_query", "flag"),
    Column("privacy", "id"),
    Column("clicks", "count"),
    Column("created_at", "instant"),
    Column("updated_at", "instant"),
)
_ALL = Filters(archived=None)


def rows(
    records: Database,
    logs: Sequence[Database],
    workspace_id: str,
    base_url: str,
    now_ms: int,
    after_seq: int,
    beyond_id: str = "",
) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """The links of a workspace, a page at a time, and behind which id whoever stops goes on. Raises StoreError."""
    places = {d.domain_id: d for d in records.read(lambda tx: domains.of_workspace(tx, workspace_id))}
    pages = _changed(records, workspace_id, after_seq, beyond_id)
    if not after_seq:
        pages = _all(records, workspace_id, beyond_id)
    for found, gone, last_id in pages:
        counted = clicks.count_by_link(logs, [link.link_id for link in found]) if found else {}
        told = [
            _row(link, places.get(link.domain_id), counted.get(link.link_id, 0), base_url, now_ms) for link in found
        ]
        yield told + [_gone(link_id, label) for link_id, label in gone.items()], last_id


Page = tuple[list[Link], dict[str, str], str]
"""Links that are there, the names of those that are gone, and the last id of both."""


def _all(records: Database, workspace_id: str, before_id: str) -> Iterator[Page]:
    while page := _read(records, lambda tx: links.page(tx, workspace_id, before_id, PAGE_ROWS, _ALL)):  # noqa: B023
        before_id = page[-1].link_id
        yield page, {}, before_id


def _changed(records: Database, workspace_id: str, after_seq: int, behind_id: str) -> Iterator[Page]:
    def read(tx: Tx) -> tuple[list[str], dict[str, Link], dict[str, str]]:
        ids = history.changed(tx, workspace_id, after_seq, behind_id, PAGE_ROWS)
        return ids, links.find_many(tx, workspace_id, ids), links.labels(tx, workspace_id, ids)

    while True:
        ids, found, labels = records.read(read)
        if not ids:
            return
        behind_id = ids[-1]
        gone = {link_id: labels.get(link_id, "") for link_id in ids if link_id not in found}
        yield list(found.values()), gone, behind_id


def _read(records: Database, read: Callable[[Tx], list[Link]]) -> list[Link]:
    return records.read(read)


def _row(link: Link, domain: Domain | None, counted: int, base_url: str, now_ms: int) -> dict[str, Any]:
    utm = dict(zip(("source", "medium", "campaign", "term", "content"), links.utm_of(link), strict=True))
    active = link.status == "active" and not link.takedown
    return {
        "link_id": link.link_id,
        "domain": domain and domain.domain_name,
        "slug": link.slug,
        "short_url": wire.short_url(domain, link.slug, base_url) if domain else "",
        "long_url": link.long_url,
        "title": link.title,
        "notes": link.notes,
        "tags": "" if link.tags == "[]" else link.tags,
        **{f"utm_{name}": value for name, value in utm.items()},
        "status": ("expired" if link.expired(now_ms) else "active") if active else "disabled",
        "archived": bool(link.archived),
        "expires_at": link.expires_at_ms,
        "clicks_max": link.clicks_max,
        "password_protected": bool(link.password_hash),
        "redirect_status_code": link.redirect_status_code,
        "conversion_tracking": bool(link.conversion_tracking),
        "conversion_window_days": link.conversion_window_days,
        "append_token": link.append_policy,
        "forward_query": bool(link.forward_query),
        "privacy": link.privacy or None,
        "clicks": counted,
        "created_at": link.created_at_ms,
        "updated_at": link.updated_at_ms,
    }


def _gone(link_id: str, label: str) -> dict[str, Any]:
    domain, _, slug = label.partition("/")
    return {"link_id": link_id, "domain": domain or None, "slug": slug, "status": "deleted"}
