"""Creation: links made from drafts, one or many, and never twice for one idempotency key.

Owns the table creation_keys. A key belongs to the row that it came with: the same key with another row is
refused. Keys are kept for 30 days.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from nimriz.base.clock import DAY_MS
from nimriz.base.errors import Refused
from nimriz.core.directory import workspaces
from nimriz.core.links import destinations, domains, drafts, links
from nimriz.core.links.destinations import Policy
from nimriz.core.links.domains import Domain
from nimriz.core.links.drafts import Draft, NewLink
from nimriz.core.links.links import Link
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
    """A link that was made, now or (`replayed`) when its key was first sent; then its host may be `blocked` by now."""

    link: Link
    domain: Domain
    replayed: bool
    blocked: bool = False


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
    twins = _twins(orders)
    drafted: dict[int, Link] = {}
    finished: dict[int, Made | Refused] = {**replayed}
    passed: set[str] = set()
    for number, order in enumerate(orders):
        if number not in finished and number not in twins:
            try:
                drafted[number] = _drafted(tx, workspace_id, order, usable, zone, policy, passed)
            except Refused as refused:
                finished[number] = refused
    for number, link in zip(drafted, links.create_many(tx, [*drafted.values()], actor, now_ms), strict=True):
        finished[number] = link if isinstance(link, Refused) else Made(link, usable[link.domain_id], False)
    _remember(tx, workspace_id, orders, finished, now_ms)
    for number, first in twins.items():
        if number not in finished:
            finished[number] = _repeated(finished[first], orders[first].draft, orders[number].draft)
    return [finished[number] for number in range(len(orders))]


def _twins(orders: Sequence[Order]) -> dict[int, int]:
    """The orders whose key an earlier one of this request has: its number, and the earlier one's."""
    first: dict[str, int] = {}
    twins = {}
    for number, order in enumerate(orders):
        if order.idempotency_key and not isinstance(order.draft, Refused):
            earlier = first.setdefault(order.idempotency_key, number)
            if earlier != number:
                twins[number] = earlier
    return twins


def _repeated(made: Made | Refused, first: Draft | Refused, again: Draft | Refused) -> Made | Refused:
    if isinstance(first, Refused) or isinstance(again, Refused) or _digest(first) != _digest(again):
        return Refused("idempotency_key_reused")
    return made._replace(replayed=True) if isinstance(made, Made) else made


def _drafted(
    tx: Tx,
    workspace_id: str,
    order: Order,
    usable: dict[str, Domain],
    zone: ZoneInfo,
    policy: Policy,
    passed: set[str],
) -> Link:
    """The link of one order; `passed` are the hosts that were judged before, and it is added to."""
    draft = order.draft
    if isinstance(draft, Refused):
        raise draft
    if not isinstance(draft.fields, NewLink) or draft.destination is None:
        raise TypeError("a draft of a new link has a destination")
    domain = usable.get(draft.fields.domain_id)
    if domain is None:
        raise Refused("domain_not_found")
    if draft.destination.host not in passed:
        destinations.check(tx, workspace_id, draft.destination, policy)
        passed.add(draft.destination.host)
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
    blocked = destinations.blocked(tx, workspace_id, [link.long_url for link in found.values()])
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
            replayed[number] = Made(link, usable[link.domain_id], True, link.long_url in blocked)
    return replayed


def _remember(
    tx: Tx, workspace_id: str, orders: Sequence[Order], finished: Mapping[int, Made | Refused], now_ms: int
) -> None:
    tx.many(
        _REMEMBER,
        [
            (workspace_id, order.idempotency_key, _digest(order.draft), made.link.link_id, now_ms)
            for number, made in finished.items()
            if isinstance(made, Made)
            and not made.replayed
            and (order := orders[number]).idempotency_key
            and isinstance(order.draft, Draft)
        ],
    )


def _digest(draft: Draft) -> bytes:
    """What a row means: the same fields in another order, or nulls left out, are the same row.

    Of a password, whether there is one: a quick hash of it must not be kept.
    """
    text = draft.fields.model_dump_json(exclude_none=True, exclude={"client_row_id", "idempotency_key", "password"})
    text += " with a password" if draft.fields.password is not None else ""
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


def forget_old(tx: Tx, now_ms: int) -> None:
    """Drop keys that protect nothing any more."""
    tx.run("delete from creation_keys where created_at_ms <= :since_ms", {"since_ms": now_ms - KEY_KEPT_MS})
