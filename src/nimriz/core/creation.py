"""Creation: links made from drafts, one or many, and never twice for one idempotency key.

Owns the table creation_keys. A key belongs to the row that it came with: the same key with another row is
refused. Keys are kept for 30 days.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from nimriz.base.clock import DAY_MS
from nimriz.base.errors import Refused
from nimriz.core import destinations, domains, drafts, links, workspaces
from nimriz.core.destinations import Policy
from nimriz.core.domains import Domain
from nimriz.core.drafts import Draft, NewLink
from nimriz.core.links import Link
from nimriz.store.db import Tx

KEY_KEPT_MS = 30 * DAY_MS
KEY_CHARS_MAX = 255
_DIGEST_BYTES = 32
_KNOWN = (
    "select idempotency_key, digest, link_id from creation_keys "
    "where workspace_id = :workspace_id and idempotency_key in (:keys) and created_at_ms > :since_ms"
)
_REMEMBER = (
    "insert into creation_keys (workspace_id, idempotency_key, digest, link_id, created_at_ms) "
    "values (:workspace_id, :idempotency_key, :digest, :link_id, :created_at_ms) "
    "on conflict (workspace_id, idempotency_key) do update set digest = excluded.digest, "
    "link_id = excluded.link_id, created_at_ms = excluded.created_at_ms"
)


class Order(NamedTuple):
    """One link to be made: its draft, or why it was refused already, and its idempotency key ('': none)."""

    draft: Draft | Refused
    idempotency_key: str = ""


class Made(NamedTuple):
    """A link that was made, now or (`replayed`) when its key was first sent."""

    link: Link
    domain: Domain
    replayed: bool


def create(tx: Tx, workspace_id: str, order: Order, policy: Policy, actor: str, now_ms: int) -> Made:
    """Make one link. Raises Refused: domain_not_found, destination_blocked, and what drafts and links raise."""
    made = create_many(tx, workspace_id, [order], policy, actor, now_ms)[0]
    if isinstance(made, Refused):
        raise made
    return made


def create_many(
    tx: Tx, workspace_id: str, orders: Sequence[Order], policy: Policy, actor: str, now_ms: int
) -> list[Made | Refused]:
    """Make links, each on its own: what is refused takes no other with it."""
    workspace = workspaces.find(tx, workspace_id)
    zone = ZoneInfo("UTC" if workspace is None else workspace.timezone)
    usable = {domain.domain_id: domain for domain in domains.of_workspace(tx, workspace_id)}
    replayed = _replayed(tx, workspace_id, orders, usable, now_ms)
    results: list[Made | Refused | Link] = []
    first: dict[str, int] = {}
    for number, order in enumerate(orders):
        try:
            if number in replayed:
                results.append(replayed[number])
            elif order.idempotency_key and first.setdefault(order.idempotency_key, number) != number:
                raise Refused("idempotency_key_reused")
            else:
                results.append(_drafted(tx, workspace_id, order, usable, zone, policy))
        except Refused as refused:
            results.append(refused)
    numbers = [number for number, result in enumerate(results) if isinstance(result, Link)]
    stored = links.create_many(tx, [link for link in results if isinstance(link, Link)], actor, now_ms)
    for number, link in zip(numbers, stored, strict=True):
        results[number] = link if isinstance(link, Refused) else Made(link, usable[link.domain_id], False)
    finished = [result for result in results if not isinstance(result, Link)]
    _remember(tx, workspace_id, orders, finished, now_ms)
    return finished


def _drafted(
    tx: Tx, workspace_id: str, order: Order, usable: dict[str, Domain], zone: ZoneInfo, policy: Policy
) -> Link:
    draft = order.draft
    if isinstance(draft, Refused):
        raise draft
    if not isinstance(draft.fields, NewLink) or draft.destination is None:
        raise TypeError("a draft of a new link has a destination")
    domain = usable.get(draft.fields.domain_id)
    if domain is None:
        raise Refused("domain_not_found")
    destinations.check(tx, workspace_id, draft.destination, policy)
    return drafts.applied(draft, drafts.blank(workspace_id, domain.domain_id, draft.fields.custom_slug or ""), zone)


def _replayed(
    tx: Tx, workspace_id: str, orders: Sequence[Order], usable: dict[str, Domain], now_ms: int
) -> dict[int, Made | Refused]:
    """The orders whose key is known: what they made then, or that the key belongs to something else."""
    keys = [order.idempotency_key for order in orders if order.idempotency_key]
    if not keys:
        return {}
    rows = tx.each(_KNOWN, keys, {"workspace_id": workspace_id, "since_ms": now_ms - KEY_KEPT_MS})
    known = {row[0]: (row[1], row[2]) for row in rows}
    found = links.find_many(tx, workspace_id, [link_id for _, link_id in known.values()]) if known else {}
    replayed: dict[int, Made | Refused] = {}
    for number, order in enumerate(orders):
        if order.idempotency_key not in known:
            continue
        digest, link_id = known[order.idempotency_key]
        link = found.get(link_id)
        if isinstance(order.draft, Refused):
            replayed[number] = order.draft
        elif digest != _digest(order.draft):
            replayed[number] = Refused("idempotency_key_reused")
        elif link is None or link.domain_id not in usable:
            replayed[number] = Refused("link_not_found")
        else:
            replayed[number] = Made(link, usable[link.domain_id], True)
    return replayed


def _remember(tx: Tx, workspace_id: str, orders: Sequence[Order], finished: list[Made | Refused], now_ms: int) -> None:
    tx.many(
        _REMEMBER,
        [
            (workspace_id, order.idempotency_key, _digest(order.draft), made.link.link_id, now_ms)
            for order, made in zip(orders, finished, strict=True)
            if order.idempotency_key and isinstance(made, Made) and not made.replayed and isinstance(order.draft, Draft)
        ],
    )


def _digest(draft: Draft) -> bytes:
    """What a row means: the same fields in another order, or nulls left out, are the same row."""
    text = draft.fields.model_dump_json(exclude_none=True, exclude={"client_row_id", "idempotency_key", "password"})
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


def forget_old(tx: Tx, now_ms: int) -> None:
    """Drop keys that protect nothing any more."""
    tx.run("delete from creation_keys where created_at_ms <= :since_ms", {"since_ms": now_ms - KEY_KEPT_MS})
