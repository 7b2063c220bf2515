"""Domains: the hosts that short links live on. Owns the table domains.

The default domain belongs to the installation and is shared by all workspaces (one slug namespace). Any
other belongs to one workspace, once it has proved that the name is its own: until then it is a claim, and
several workspaces may claim one name. States:

    pending   claimed; the challenge was not found yet, or has been gone for too long
    verified  the challenge was found; the name does not lead here yet
    ready     its links redirect
    disabled  switched off by its workspace, which keeps the name while its challenge stands
    removed   given back, so the name is free; only the row is kept, and nobody finds it

Of all who claim a name at most one is past `pending`, and the schema says so too. A removed domain is what the names of
its deleted links and their resting slugs hang on: its workspace has it again when it adds the name again.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Literal, NamedTuple

import ada_url

from nimriz.base.clock import DAY_MS
from nimriz.base.errors import FieldError, Refused
from nimriz.base.ids import new_id
from nimriz.core.directory import changes
from nimriz.core.links.dns import CHALLENGE_LABEL
from nimriz.store.db import Scalar, Tx

SHARED = ""
NO_APPS = "[]"
# RFC 1035 lets a name have 253, and the challenge stands under a label of its own.
NAME_CHARS_MAX = 253 - len(CHALLENGE_LABEL) - 1
DOMAINS_MAX = 100
# A domain that is not ready yet is looked up more often, for as long as somebody may be waiting.
EAGER_MS = 7 * DAY_MS
EAGER_EVERY_MS = 600_000
_CHALLENGE_BYTES = 20
Status = Literal["pending", "verified", "ready", "disabled"]


class Domain(NamedTuple):
    """A short domain. `workspace_id` is '' for the default domain.

    `challenge` is what its TXT record must say; `finding` what the last look at the DNS found. `ios_apps` and
    `android_apps` are JSON: the apps that open its links.
    """

    domain_id: str
    workspace_id: str
    domain_name: str
    status: str
    root_url: str
    not_found_url: str
    expired_url: str
    created_at_ms: int
    challenge: str = ""
    finding: str = ""
    checked_at_ms: int | None = None
    proved_at_ms: int | None = None
    ios_apps: str = NO_APPS
    android_apps: str = NO_APPS

    @property
    def ready(self) -> bool:
        """Whether its links redirect."""
        return self.status == "ready"


_REMOVED = "removed"
_COLUMNS = ", ".join(Domain._fields)
_SELECT = f"select {_COLUMNS} from domains where status <> '{_REMOVED}' and"
_INSERT = f"insert into domains ({_COLUMNS}) values ({', '.join(':' + f for f in Domain._fields)})"
_UPDATABLE = (
    "status", "root_url", "not_found_url", "expired_url", "finding", "checked_at_ms", "proved_at_ms",
    "ios_apps", "android_apps",
)  # fmt: skip
_UPDATE = f"update domains set {', '.join(f'{f} = :{f}' for f in _UPDATABLE)} where domain_id = :domain_id"
_GIVE_WAY = (
    "update domains set status = 'pending' "
    f"where domain_name = :domain_name and workspace_id <> '' and status not in ('pending', '{_REMOVED}')"
)
_KEPT = {"domain_id", "workspace_id", "domain_name"}
# Of one workspace's rows with one name there is one, and whoever comes so far has seen that it is removed.
_CLAIM = (
    f"{_INSERT} on conflict (workspace_id, domain_name) do update set "
    f"{', '.join(f'{f} = excluded.{f}' for f in Domain._fields if f not in _KEPT)} returning {_COLUMNS}"
)


def read_name(text: str) -> str:
    """A domain name in lower case and ASCII form (IDN as punycode).

    Raises Refused(validation_failed) for what is no name of a host: addresses, ports, paths and single
    labels, `localhost` excepted.
    """
    refused = Refused("validation_failed", errors=(FieldError("domain_name", "host_malformed"),))
    try:
        url = ada_url.URL(f"https://{text}/")
    except (ValueError, UnicodeEncodeError):
        raise refused from None
    name = url.hostname
    labels = name.split(".")
    if (
        # Whatever else than a host was written has become a part of its own, or was thrown away.
        url.href != f"https://{name}/"
        or set(text) & set("/?#@:%\t\n\r ")
        or url.host_type != ada_url.HostType.DEFAULT
        or len(name) > NAME_CHARS_MAX
        or (len(labels) < 2 and name != "localhost")
        or not all(_is_label(label) for label in labels)
    ):
        raise refused
    return name


def _is_label(label: str) -> bool:
    """Letters, digits and hyphens (RFC 1123); underscores name services, not hosts."""
    return 1 <= len(label) <= 63 and label.replace("-", "a").isalnum() and "-" not in (label[0], label[-1])


def add(tx: Tx, workspace_id: str, domain_name: str, now_ms: int, *, ready: bool) -> Domain:
    """Claim a name for a workspace; `ready` where the installation vouches for it. One that it gave back comes back.

    Raises Refused: domain_taken (by this workspace, by the installation, or vouched for and given to
    another), quota_exceeded. Anybody may claim what another has proved: the name may have changed hands.
    """
    own = [domain for domain in of_workspace(tx, workspace_id) if domain.workspace_id == workspace_id]
    holder = find_by_name(tx, domain_name)
    held = holder is not None and holder.status != "pending" and (ready or holder.workspace_id == SHARED)
    if held or any(domain.domain_name == domain_name for domain in own):
        raise Refused("domain_taken")
    if len(own) >= DOMAINS_MAX:
        raise Refused("quota_exceeded")
    domain = Domain(
        new_id(now_ms),
        workspace_id,
        domain_name,
        "ready" if ready else "pending",
        root_url="",
        not_found_url="",
        expired_url="",
        created_at_ms=now_ms,
        challenge=f"nimriz-verify={secrets.token_hex(_CHALLENGE_BYTES)}",
        finding="verified" if ready else "",
        proved_at_ms=now_ms if ready else None,
    )
    domain = Domain._make(tx.one(_CLAIM, domain._asdict()) or ())
    changes.note(tx, "domain", domain.domain_id, now_ms)
    return domain


def update(tx: Tx, domain: Domain, now_ms: int) -> Domain:
    """Store a domain's state and fallback URLs; every process sees them within a second."""
    mark_checked(tx, domain)
    changes.note(tx, "domain", domain.domain_id, now_ms)
    return domain


def mark_checked(tx: Tx, domain: Domain) -> None:
    """Store what a look at the DNS found when it changes nothing for the redirect: nobody need be told."""
    params: dict[str, Scalar] = {name: value for name, value in domain._asdict().items() if name in _UPDATABLE}
    tx.run(_UPDATE, {**params, "domain_id": domain.domain_id})


def remove(tx: Tx, domain: Domain, now_ms: int) -> None:
    """Give a name back. The caller has seen that no link is left."""
    nothing = domain._replace(
        status=_REMOVED, root_url="", not_found_url="", expired_url="", ios_apps=NO_APPS, android_apps=NO_APPS
    )
    update(tx, nothing, now_ms)


def find(tx: Tx, domain_id: str) -> Domain | None:
    """A domain by its id, whoever has it."""
    row = tx.one(f"{_SELECT} domain_id = :domain_id", {"domain_id": domain_id})
    return None if row is None else Domain._make(row)


def find_by_name(tx: Tx, domain_name: str) -> Domain | None:
    """The domain of a host, compared exactly, in lower case, without the port; a claim only if nobody has proved it."""
    row = tx.one(
        f"{_SELECT} domain_name = :domain_name "
        "order by case when status = 'pending' then 1 else 0 end, domain_id limit 1",
        {"domain_name": domain_name},
    )
    return None if row is None else Domain._make(row)


def is_short_domain(tx: Tx, host: str, workspace_id: str) -> bool:
    """Whether short links live on this host; a mere claim counts only when it is this workspace's own."""
    row = tx.one(
        f"{_SELECT} domain_name = :domain_name and (status <> 'pending' or workspace_id = :workspace_id) limit 1",
        {"domain_name": host, "workspace_id": workspace_id},
    )
    return row is not None


def may_have_certificate(tx: Tx, host: str) -> bool:
    """Whether a proxy may fetch a certificate for this host: it is proved, and not switched off."""
    domain = find_by_name(tx, host)
    return domain is not None and domain.status in ("verified", "ready")


def ensure_default(tx: Tx, domain_name: str, now_ms: int) -> Domain:
    """The installation's own domain, made at the first start and renamed when the host changes.

    A workspace that has the name gives way to it.
    """
    row = tx.one(f"{_SELECT} workspace_id = ''")
    if row is None:
        tx.run(_GIVE_WAY, {"domain_name": domain_name})
        domain = Domain(new_id(now_ms), SHARED, domain_name, "ready", "", "", "", now_ms)
        tx.run(_INSERT, domain._asdict())
        return domain
    domain = Domain._make(row)
    if domain.domain_name == domain_name:
        return domain
    tx.run(_GIVE_WAY, {"domain_name": domain_name})
    tx.run(
        "update domains set domain_name = :domain_name where domain_id = :domain_id",
        {"domain_name": domain_name, "domain_id": domain.domain_id},
    )
    changes.note(tx, "domain", domain.domain_id, now_ms)
    return domain._replace(domain_name=domain_name)


def of_workspace(tx: Tx, workspace_id: str) -> list[Domain]:
    """The domains that a workspace may use: its own, and the default one."""
    rows = tx.all(
        f"{_SELECT} workspace_id in ('', :workspace_id) order by domain_id",
        {"workspace_id": workspace_id},
    )
    return [Domain._make(row) for row in rows]


def find_usable(tx: Tx, workspace_id: str, domain_id: str) -> Domain | None:
    """A domain by its id, when the workspace may use it."""
    domain = find(tx, domain_id)
    return domain if domain is not None and domain.workspace_id in (SHARED, workspace_id) else None


def find_own(tx: Tx, workspace_id: str, domain_id: str) -> Domain:
    """A workspace's own domain by its id. Raises Refused(domain_not_found)."""
    domain = find(tx, domain_id)
    if domain is None or domain.workspace_id != workspace_id:
        raise Refused("domain_not_found")
    return domain


def due(tx: Tx, now_ms: int, recheck_ms: int, limit: int) -> list[Domain]:
    """Domains of workspaces that it is time to look up in the DNS again, those that waited longest first."""
    rows = tx.all(
        f"{_SELECT} workspace_id <> '' and status <> 'disabled' "
        "and coalesce(checked_at_ms, 0) < case when status in ('pending', 'verified') and created_at_ms > :young_ms "
        "then :eager_ms else :recheck_ms end "
        "order by coalesce(checked_at_ms, 0), domain_id limit :limit_count",
        {
            "young_ms": now_ms - EAGER_MS,
            "eager_ms": now_ms - min(EAGER_EVERY_MS, recheck_ms),
            "recheck_ms": now_ms - recheck_ms,
            "limit_count": limit,
        },
    )
    return [Domain._make(row) for row in rows]


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
