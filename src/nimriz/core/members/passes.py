"""Passes: addresses that work once and for a while, for the first owner, somebody invited, or who lost the password.

Owns the table passes. Of the token in the address a digest is kept; it is shown once. One that was used or withdrawn,
or is over, is as if it had never been.
"""

from __future__ import annotations

import secrets
from typing import Literal, NamedTuple

from nimriz.base.clock import DAY_MS
from nimriz.base.errors import Refused
from nimriz.base.ids import new_id
from nimriz.core.directory import audit
from nimriz.core.directory.vault import Vault
from nimriz.core.members.members import Role
from nimriz.store.db import Tx

Kind = Literal["setup", "invitation", "reset"]
PATHS: dict[Kind, str] = {"setup": "/setup/", "invitation": "/login/invitation/", "reset": "/login/reset/"}
LIFE_MS: dict[Kind, int] = {"setup": DAY_MS, "invitation": 7 * DAY_MS, "reset": DAY_MS}
INVITATIONS_MAX = 200
NOTE_CHARS_MAX = 100
TOKEN_CHARS_MAX = 64
_PURPOSE = b"pass"


class Pass(NamedTuple):
    """What may be shown of a pass. `note` says for whom an invitation is meant; `member_id` whom a reset is for."""

    pass_id: str
    kind: Kind
    workspace_id: str
    role: str
    member_id: str
    note: str
    actor: str
    created_at_ms: int
    expires_at_ms: int


_COLUMNS = ", ".join(Pass._fields)


def _make(tx: Tx, vault: Vault, made: Pass) -> str:
    token = secrets.token_urlsafe(32)
    tx.run(
        f"insert into passes ({_COLUMNS}, digest) values ({', '.join(':' + f for f in Pass._fields)}, :digest)",
        {**made._asdict(), "digest": vault.digest(_PURPOSE, token)},
    )
    return PATHS[made.kind] + token


def for_setup(tx: Tx, vault: Vault, now_ms: int) -> str:
    """The path by which the first owner comes in; those that were made before are over."""
    tx.run("delete from passes where kind = 'setup'")
    return _make(
        tx, vault, Pass(new_id(now_ms), "setup", "", "owner", "", "", audit.OPERATOR, now_ms, now_ms + LIFE_MS["setup"])
    )


def for_invited(tx: Tx, vault: Vault, workspace_id: str, role: Role, note: str, actor: str, now_ms: int) -> str:
    """The path by which somebody joins a workspace. Raises Refused(quota_exceeded)."""
    if len(invitations(tx, workspace_id, now_ms)) >= INVITATIONS_MAX:
        raise Refused("quota_exceeded")
    ends_ms = now_ms + LIFE_MS["invitation"]
    made = Pass(new_id(now_ms), "invitation", workspace_id, role, "", note, actor, now_ms, ends_ms)
    audit.note(tx, workspace_id, actor, "member_invited", now_ms, made.pass_id, {"role": role})
    return _make(tx, vault, made)


def for_reset(tx: Tx, vault: Vault, member_id: str, now_ms: int) -> str:
    """The path by which a member sets a new password; those that were made before are over."""
    drop_resets(tx, member_id)
    made = Pass(
        new_id(now_ms), "reset", "", "", member_id, "", audit.OPERATOR, now_ms, now_ms + LIFE_MS["reset"]
    )  # fmt: skip
    audit.note(tx, "", audit.OPERATOR, "reset_made", now_ms, member_id)
    return _make(tx, vault, made)


def drop_resets(tx: Tx, member_id: str) -> None:
    """A member has a password again: what was made to set a new one is over."""
    tx.run("delete from passes where kind = 'reset' and member_id = :member_id", {"member_id": member_id})


def find(tx: Tx, vault: Vault, kind: Kind, token: str, now_ms: int) -> Pass:
    """The pass of a token that still works. Raises Refused(pass_not_found)."""
    row = None
    if len(token) <= TOKEN_CHARS_MAX:
        row = tx.one(
            f"select {_COLUMNS} from passes where digest = :digest and kind = :kind and expires_at_ms > :now_ms",
            {"digest": vault.digest(_PURPOSE, token), "kind": kind, "now_ms": now_ms},
        )
    if row is None:
        raise Refused("pass_not_found")
    return Pass._make(row)


def use(tx: Tx, vault: Vault, kind: Kind, token: str, now_ms: int) -> Pass:
    """Use a pass up. Raises Refused(pass_not_found)."""
    found = find(tx, vault, kind, token, now_ms)
    tx.run("delete from passes where pass_id = :pass_id", {"pass_id": found.pass_id})
    return found


def invitations(tx: Tx, workspace_id: str, now_ms: int) -> list[Pass]:
    """The invitations to a workspace that still work, newest first."""
    rows = tx.all(
        f"select {_COLUMNS} from passes where workspace_id = :workspace_id and kind = 'invitation' "
        "and expires_at_ms > :now_ms order by pass_id desc",
        {"workspace_id": workspace_id, "now_ms": now_ms},
    )
    return [Pass._make(row) for row in rows]


def withdraw(tx: Tx, workspace_id: str, pass_id: str, actor: str, now_ms: int) -> None:
    """Take an invitation back. Raises Refused(pass_not_found)."""
    row = tx.one(
        "delete from passes where pass_id = :pass_id and workspace_id = :workspace_id and kind = 'invitation' "
        "returning role",
        {"pass_id": pass_id, "workspace_id": workspace_id},
    )
    if row is None:
        raise Refused("pass_not_found")
    audit.note(tx, workspace_id, actor, "invitation_withdrawn", now_ms, pass_id, {"role": row[0]})


def forget_old(tx: Tx, now_ms: int) -> None:
    """Drop those that are over."""
    tx.run("delete from passes where expires_at_ms <= :now_ms", {"now_ms": now_ms})
