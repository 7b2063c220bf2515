"""Credentials: signing secrets, sealed and shown once, and API keys, of which a digest is kept.

Owns the tables signing_secrets and api_keys. A revoked one stops within a second in every process.
"""

from __future__ import annotations

import base64
import os
from typing import NamedTuple

from nimriz.base.clock import DAY_MS
from nimriz.base.errors import Refused
from nimriz.base.ids import new_id
from nimriz.core.directory import audit, changes
from nimriz.core.directory.mode import Mode
from nimriz.core.directory.vault import Vault, VaultRefused
from nimriz.store.db import StoreError, Tx

SECRETS_MAX = 8
UNUSED_DAYS = 90
SCOPES = (
    "links:read",
    "links:write",
    "analytics:read",
    "conversions:read",
    "exports",
    "webhooks",
    "admin",
)
_RANDOM_BYTES = 32
_HINT_CHARS = 4


class SigningSecret(NamedTuple):
    """What may be shown of a signing secret. `hint` is its last four characters."""

    secret_id: str
    workspace_id: str
    mode: str
    hint: str
    created_at_ms: int
    last_used_at_ms: int | None
    revoked_at_ms: int | None

    def unused(self, now_ms: int) -> bool:
        """Whether it is live and has signed nothing for 90 days: nobody needs it, or a sender has gone quiet."""
        since_ms = self.created_at_ms if self.last_used_at_ms is None else self.last_used_at_ms
        return self.revoked_at_ms is None and now_ms - since_ms >= UNUSED_DAYS * DAY_MS


class LiveSecret(NamedTuple):
    """A secret in use: the bytes that sign, never written anywhere."""

    secret_id: str
    mode: Mode
    key: bytes


class ApiKey(NamedTuple):
    """What may be shown of an API key."""

    key_id: str
    workspace_id: str
    name: str
    hint: str
    scopes: str
    created_at_ms: int
    revoked_at_ms: int | None

    def allows(self, scope: str) -> bool:
        """Whether the key has a scope; `admin` has them all."""
        held = self.scopes.split()
        return scope in held or "admin" in held


_SECRET = ", ".join(SigningSecret._fields)
_KEY = ", ".join(ApiKey._fields)


def _random() -> str:
    return base64.urlsafe_b64encode(os.urandom(_RANDOM_BYTES)).rstrip(b"=").decode()


def create_secret(
    tx: Tx, vault: Vault, workspace_id: str, mode: Mode, now_ms: int, actor: str = audit.OPERATOR
) -> tuple[str, SigningSecret]:
    """A new signing secret: (the secret, shown once; what may be shown of it).

    Raises Refused(quota_exceeded) when the workspace has eight live ones of this mode.
    """
    live = [s for s in list_secrets(tx, workspace_id) if s.mode == mode and s.revoked_at_ms is None]
    if len(live) >= SECRETS_MAX:
        raise Refused("quota_exceeded")
    text = f"nimsec_{mode}_{_random()}"
    secret = SigningSecret(new_id(now_ms), workspace_id, mode, text[-_HINT_CHARS:], now_ms, None, None)
    tx.run(
        f"insert into signing_secrets ({_SECRET}, sealed) "
        f"values ({', '.join(':' + f for f in SigningSecret._fields)}, :sealed)",
        {**secret._asdict(), "sealed": vault.seal(text.encode(), secret.secret_id.encode())},
    )
    changes.note(tx, "secret", workspace_id, now_ms)
    audit.note(tx, workspace_id, actor, "secret_created", now_ms, secret.secret_id, {"mode": mode})
    return text, secret


def list_secrets(tx: Tx, workspace_id: str) -> list[SigningSecret]:
    """Every signing secret of a workspace, oldest first, revoked ones too."""
    rows = tx.all(
        f"select {_SECRET} from signing_secrets where workspace_id = :workspace_id order by secret_id",
        {"workspace_id": workspace_id},
    )
    return [SigningSecret._make(row) for row in rows]


def live_secrets(tx: Tx, vault: Vault, workspace_id: str) -> tuple[LiveSecret, ...]:
    """The secrets that sign for a workspace today, live ones before test ones. Raises StoreError."""
    rows = tx.all(
        "select secret_id, mode, sealed from signing_secrets "
        "where workspace_id = :workspace_id and revoked_at_ms is null order by mode, secret_id",
        {"workspace_id": workspace_id},
    )
    try:
        return tuple(
            LiveSecret(secret_id, mode, vault.open(sealed, secret_id.encode())) for secret_id, mode, sealed in rows
        )
    except VaultRefused as refused:
        # Not "no secret": the caller must not be told that the signature is wrong.
        raise StoreError("a signing secret that cannot be opened") from refused


def mark_used(tx: Tx, secret_ids: set[str], now_ms: int) -> None:
    """Remember that secrets were used."""
    tx.many(
        "update signing_secrets set last_used_at_ms = :now_ms where secret_id = :secret_id",
        [{"now_ms": now_ms, "secret_id": secret_id} for secret_id in sorted(secret_ids)],
    )


def revoke_secret(tx: Tx, workspace_id: str, secret_id: str, now_ms: int, actor: str = audit.OPERATOR) -> bool:
    """Revoke a secret; False when the workspace has no such live secret."""
    row = tx.one(
        "update signing_secrets set revoked_at_ms = :now_ms where secret_id = :secret_id "
        "and workspace_id = :workspace_id and revoked_at_ms is null returning secret_id",
        {"now_ms": now_ms, "secret_id": secret_id, "workspace_id": workspace_id},
    )
    changes.note(tx, "secret", workspace_id, now_ms)
    if row is not None:
        audit.note(tx, workspace_id, actor, "secret_revoked", now_ms, secret_id)
    return row is not None


def create_key(
    tx: Tx, vault: Vault, workspace_id: str, name: str, scopes: tuple[str, ...], now_ms: int
) -> tuple[str, ApiKey]:
    """A new API key: (the key, shown once; what may be shown of it). Raises ValueError for a bad scope."""
    if not scopes or set(scopes) - set(SCOPES):
        raise ValueError("unknown scope")
    text = f"nimkey_{_random()}"
    key = ApiKey(new_id(now_ms), workspace_id, name, text[-_HINT_CHARS:], " ".join(scopes), now_ms, None)
    tx.run(
        f"insert into api_keys ({_KEY}, digest) values ({', '.join(':' + f for f in ApiKey._fields)}, :digest)",
        {**key._asdict(), "digest": vault.api_key_digest(text)},
    )
    changes.note(tx, "key", key.key_id, now_ms)
    audit.note(
        tx, workspace_id, audit.OPERATOR, "key_created", now_ms, key.key_id, {"name": name, "scopes": key.scopes}
    )  # fmt: skip
    return text, key


def list_keys(tx: Tx, workspace_id: str) -> list[ApiKey]:
    """Every API key of a workspace, oldest first, revoked ones too."""
    rows = tx.all(
        f"select {_KEY} from api_keys where workspace_id = :workspace_id order by key_id",
        {"workspace_id": workspace_id},
    )
    return [ApiKey._make(row) for row in rows]


def find_key(tx: Tx, digest: bytes) -> ApiKey | None:
    """The live API key with this digest."""
    row = tx.one(f"select {_KEY} from api_keys where digest = :digest and revoked_at_ms is null", {"digest": digest})
    return None if row is None else ApiKey._make(row)


def revoke_key(tx: Tx, workspace_id: str, key_id: str, now_ms: int) -> bool:
    """Revoke an API key; False when the workspace has no such live key."""
    row = tx.one(
        "update api_keys set revoked_at_ms = :now_ms where key_id = :key_id "
        "and workspace_id = :workspace_id and revoked_at_ms is null returning key_id",
        {"now_ms": now_ms, "key_id": key_id, "workspace_id": workspace_id},
    )
    changes.note(tx, "key", key_id, now_ms)
    if row is not None:
        audit.note(tx, workspace_id, audit.OPERATOR, "key_revoked", now_ms, key_id)
    return row is not None
