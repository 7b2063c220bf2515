"""Block lists: hosts that no link may lead to, one list for the installation and one for each workspace.

Owns the table blocked_hosts. A host stands for itself and for everything under it. Links that lead there
already stop within a second, and go on when the host is taken off the list.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

import ada_url

from nimriz.base.errors import FieldError, Refused
from nimriz.core.directory import changes
from nimriz.store.db import Tx

INSTALLATION = ""
HOSTS_MAX = 10_000
REASON_CHARS_MAX = 500


class BlockedHost(NamedTuple):
    """A host that a list blocks. `workspace_id` is '' on the installation's list."""

    workspace_id: str
    host: str
    reason: str
    created_at_ms: int


_COLUMNS = ", ".join(BlockedHost._fields)
_NOT_OF_A_HOST = set("/\\?#@\t\r\n ")
_BLOCKED = "select host from blocked_hosts where workspace_id in ('', :workspace_id) and host in (:keys)"


def read_host(text: str) -> str:
    """A host in its canonical ASCII form. Raises Refused(validation_failed) for what is none."""
    refused = Refused("validation_failed", errors=(FieldError("host", "host_malformed"),))
    try:
        # With an explicit port, since the default one would be thrown away unseen.
        url = ada_url.URL(f"http://{text}:1/")
    except (ValueError, UnicodeEncodeError):
        raise refused from None
    # Whatever else than a host was written has become a part of its own, or was thrown away.
    if not url.hostname or url.href != f"http://{url.hostname}:1/" or set(text) & _NOT_OF_A_HOST:
        raise refused
    return url.hostname.rstrip(".")


def add(tx: Tx, workspace_id: str, host: str, reason: str, now_ms: int) -> BlockedHost:
    """Put a canonical host on a list; known links follow within a second. Raises Refused(quota_exceeded)."""
    count = tx.one(
        "select count(*) from blocked_hosts where workspace_id = :workspace_id", {"workspace_id": workspace_id}
    )
    if count is not None and int(count[0]) >= HOSTS_MAX:
        raise Refused("quota_exceeded")
    stored = tx.one(
        f"insert into blocked_hosts ({_COLUMNS}) values ({', '.join(':' + f for f in BlockedHost._fields)}) "
        f"on conflict (workspace_id, host) do update set reason = excluded.reason returning {_COLUMNS}",
        BlockedHost(workspace_id, host, reason, now_ms)._asdict(),
    )
    changes.note(tx, "blocklist", workspace_id, now_ms)
    return BlockedHost._make(stored or ())


def remove(tx: Tx, workspace_id: str, host: str, now_ms: int) -> bool:
    """Take a canonical host off a list; False when it was not on it."""
    row = tx.one(
        "delete from blocked_hosts where workspace_id = :workspace_id and host = :host returning host",
        {"workspace_id": workspace_id, "host": host},
    )
    if row is not None:
        changes.note(tx, "blocklist", workspace_id, now_ms)
    return row is not None


def on_list(tx: Tx, workspace_id: str) -> list[BlockedHost]:
    """Every host of one list, by name."""
    rows = tx.all(
        f"select {_COLUMNS} from blocked_hosts where workspace_id = :workspace_id order by host",
        {"workspace_id": workspace_id},
    )
    return [BlockedHost._make(row) for row in rows]


def blocks(tx: Tx, workspace_id: str, host: str) -> bool:
    """Whether a canonical host, or one that it stands under, is on a list that concerns the workspace."""
    return bool(among(tx, workspace_id, [host]))


def among(tx: Tx, workspace_id: str, hosts: Iterable[str]) -> set[str]:
    """Those of canonical hosts that a list which concerns the workspace blocks."""
    names = {host: _names_above(host) for host in hosts}
    asked = list(dict.fromkeys(chain.from_iterable(names.values())))
    found = {row[0] for row in tx.each(_BLOCKED, asked, {"workspace_id": workspace_id})}
    return {host for host, above in names.items() if not found.isdisjoint(above)}


def _names_above(host: str) -> list[str]:
    """A host and everything that it stands under."""
    labels = host.rstrip(".").split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]
