"""The ways in: the first owner, who was invited, who signs in, who lost the password.

Passwords come hashed and were compared before: hashing takes long, and no transaction waits for it. A password that
changes ends every session.
"""

from __future__ import annotations

from typing import NamedTuple

from nimriz.base.errors import Refused
from nimriz.core.directory import audit, workspaces
from nimriz.core.directory.vault import Vault
from nimriz.core.members import members, passes, second_factor, sessions
from nimriz.core.members.members import Member, Role
from nimriz.store.db import Tx

PASSWORD_CHARS_MIN = 12
PASSWORD_CHARS_MAX = 128
_DIFFERENT_CHARS_MIN = 5


class Person(NamedTuple):
    """Who comes in for the first time. `email` is as `members.read_email` gives it."""

    email: str
    name: str
    password_hash: str


def is_password(text: str, email: str) -> bool:
    """Whether this may become a password: long, not the address, and more than a few characters over and over."""
    return (
        PASSWORD_CHARS_MIN <= len(text) <= PASSWORD_CHARS_MAX
        and text.strip().lower() != email
        and len(set(text)) >= _DIFFERENT_CHARS_MIN
    )


def first_owner(tx: Tx, vault: Vault, token: str, person: Person, workspace_name: str, now_ms: int) -> Member:
    """The first owner, of every workspace that there is, or of a new one. Raises Refused(pass_not_found)."""
    passes.use(tx, vault, "setup", token, now_ms)
    if members.owned(tx):
        raise Refused("pass_not_found")
    found = members.find_by_email(tx, person.email)
    member = found or members.create(tx, person.email, person.name, person.password_hash, now_ms)
    if found is not None:
        members.set_password(tx, member.member_id, person.password_hash)
        sessions.end_all(tx, member.member_id)
    actor = audit.by_member(member.member_id)
    known = workspaces.find_all(tx)
    if not known:
        known = [workspaces.create(tx, workspace_name, now_ms, actor)]
    for workspace in known:
        if members.role_of(tx, workspace.workspace_id, member.member_id) is None:
            members.join(tx, workspace.workspace_id, member.member_id, "owner", now_ms)
        audit.note(tx, workspace.workspace_id, actor, "member_joined", now_ms, member.member_id, {"role": "owner"})
    return member


def invited(tx: Tx, vault: Vault, token: str, who: Person | Member, now_ms: int) -> tuple[Member, str]:
    """Somebody new, or a member, joins the workspace that the invitation is for: the member, the workspace's id.

    Raises Refused: pass_not_found, member_exists, quota_exceeded.
    """
    used = passes.use(tx, vault, "invitation", token, now_ms)
    if workspaces.find(tx, used.workspace_id) is None:
        raise Refused("pass_not_found")
    member = who if isinstance(who, Member) else members.create(tx, *who, now_ms)
    role: Role = next(role for role in members.ROLES if role == used.role)
    members.join(tx, used.workspace_id, member.member_id, role, now_ms)
    actor = audit.by_member(member.member_id)
    audit.note(
        tx, used.workspace_id, actor, "member_joined", now_ms, member.member_id,
        {"role": role, "invitation": used.pass_id},
    )  # fmt: skip
    return member, used.workspace_id


def signed_in(tx: Tx, vault: Vault, member_id: str, agent: str, now_ms: int, *, complete: bool) -> str:
    """A session for who gave the right password; complete where no code is asked for. Its token."""
    if complete:
        audit.note(tx, "", audit.by_member(member_id), "signed_in", now_ms, member_id, {"agent": agent})
    return sessions.begin(tx, vault, member_id, agent, now_ms, complete=complete)


def completed(tx: Tx, vault: Vault, session_id: str, member_id: str, code: str, agent: str, now_ms: int) -> str:
    """A complete session instead of one that owed the code, which is used up. Its token. Raises Refused(code_wrong)."""
    member = members.find(tx, member_id)
    if member is None or not sessions.end(tx, member_id, session_id):
        raise Refused("code_wrong")
    second_factor.use(tx, vault, member, code, now_ms)
    return signed_in(tx, vault, member_id, agent, now_ms, complete=True)


def reset(tx: Tx, vault: Vault, token: str, password_hash: str, now_ms: int) -> Member:
    """A new password for who has lost it, and perhaps the authenticator too. Raises Refused(pass_not_found)."""
    used = passes.use(tx, vault, "reset", token, now_ms)
    member = members.find(tx, used.member_id)
    if member is None:
        raise Refused("pass_not_found")
    actor = audit.by_member(member.member_id)
    members.set_password(tx, member.member_id, password_hash)
    sessions.end_all(tx, member.member_id)
    audit.note(tx, "", actor, "password_reset", now_ms, member.member_id)
    if member.totp_sealed is not None:
        second_factor.turn_off(tx, member.member_id, actor, now_ms)
    return member


def change_password(tx: Tx, vault: Vault, member_id: str, password_hash: str, agent: str, now_ms: int) -> str:
    """Another password: every session ends, and the one in which it was changed goes on under a new token."""
    members.set_password(tx, member_id, password_hash)
    sessions.end_all(tx, member_id)
    passes.drop_resets(tx, member_id)
    audit.note(tx, "", audit.by_member(member_id), "password_changed", now_ms, member_id)
    return sessions.begin(tx, vault, member_id, agent, now_ms, complete=True)
