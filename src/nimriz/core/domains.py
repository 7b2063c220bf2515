"""Domains: the hosts that short links live on. Owns the table domains.

The default domain belongs to the installation and is shared by all workspaces (one slug namespace).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from nimriz.base.ids import new_id
from nimriz.core import changes
from nimriz.store.db import Tx

SHARED = ""


class Domain(NamedTuple):
    """A short domain. `workspace_id` is '' for the default domain."""

    domain_id: str
    workspace_id: str
    domain_name: str
    status: str
    root_url: str
    not_found_url: str
    expired_url: str
    created_at_ms: int

    @property
    def ready(self) -> bool:
        """Whether its links redirect."""
        return self.status == "ready"


_COLUMNS = ", ".join(Domain._fields)


def find_by_name(tx: Tx, domain_name: str) -> Domain | None:
    """The domain of a host, compared exactly, in lower case, without the port."""
    row = tx.one(f"select {_COLUMNS} from domains where domain_name = :domain_name", {"domain_name": domain_name})
    return None if row is None else Domain._make(row)


def ensure_default(tx: Tx, domain_name: str, now_ms: int) -> Domain:
    """The installation's own domain, made at the first start and renamed when the host changes."""
    row = tx.one(f"select {_COLUMNS} from domains where workspace_id = ''")
    if row is None:
        domain = Domain(new_id(now_ms), SHARED, domain_name, "ready", "", "", "", now_ms)
        tx.run(
            f"insert into domains ({_COLUMNS}) values ({', '.join(':' + f for f in Domain._fields)})",
            domain._asdict(),
        )
        return domain
    domain = Domain._make(row)
    if domain.domain_name == domain_name:
        return domain
    tx.run(
        "update domains set domain_name = :domain_name where domain_id = :domain_id",
        {"domain_name": domain_name, "domain_id": domain.domain_id},
    )
    changes.note(tx, "domain", domain.domain_id, now_ms)
    return domain._replace(domain_name=domain_name)


def of_workspace(tx: Tx, workspace_id: str) -> list[Domain]:
    """The domains that a workspace may use: its own, and the default one."""
    rows = tx.all(
        f"select {_COLUMNS} from domains where workspace_id in ('', :workspace_id) order by domain_id",
        {"workspace_id": workspace_id},
    )
    return [Domain._make(row) for row in rows]


def find_usable(tx: Tx, workspace_id: str, domain_id: str) -> Domain | None:
    """A domain by its id, when the workspace may use it."""
    return next((d for d in of_workspace(tx, workspace_id) if d.domain_id == domain_id), None)


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which hosts are the application's own, and the name of the default short domain."""

    application: frozenset[str]
    default_domain: str


def hosts_of(app_host: str) -> Hosts:
    """The application's hosts: the one of NIMRIZ_APP_URL, or localhost and the loopback addresses."""
    if app_host in ("localhost", "127.0.0.1", "[::1]"):
        return Hosts(frozenset({"localhost", "127.0.0.1", "[::1]"}), "localhost")
    return Hosts(frozenset({app_host}), app_host)
