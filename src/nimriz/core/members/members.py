"""Members: those who work here, each with one address, one password, and a role in each of their workspaces.

Owns the tables members and memberships. The address is what one signs in with; nothing is ever sent there. A workspace
that has owners keeps one: the last cannot leave, be removed, or become less.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, get_args

from nimriz.base.errors import Refused
from nimriz.base.ids import new_id
from nimriz.core.directory import audit
from nimriz.store.db import Tx

Role = Literal["viewer", "member", "admin", "owner"]
ROLES: tuple[Role, ...] = get_args(Role)
"""What a member may do in a workspace; each may all that those before may."""
MEMBERS_MAX = 1_000
EMAIL_CHARS_MAX = 254
NAME_CHARS_MAX = 100
_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f-\x9f]+@[^\s@\x00-\x1f\x7f-\x9f]+")


class Member(NamedTuple):
    """One who works here. `password_hash` and what is sealed leave this floor only to be compared."""

    member_id: str
    email: str
    name: str
    password_hash: str
    totp_sealed: bytes | None
    totp_step: int
    created_at_ms: int


class Membership(NamedTuple):
    """A member's role in one workspace, with what that workspace is called."""

    workspace_id: str
    workspace_name: str
    role: Role


class Colleague(NamedTuple):
    """A member as the others of a workspace see one."""

    member_id: str
    email: str
    name: str
    role: Role
    totp: int
    created_at_ms: int
    seen_at_ms: int | None


_COLUMNS = ", ".join(Member._fields)


def reaches(role: str, least: Role) -> bool:
    """Whether a role may what another one may at least."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(least)


def read_email(text: str) -> str | None:
    """An address as it is kept, in lower case; None for what cannot be one."""
    email = text.strip().lower()
    return email if len(email) <= EMAIL_CHARS_MAX and _EMAIL.fullmatch(email) else None


def create(tx: Tx, email: str, name: str, password_hash: str, now_ms: int) -> Member:
    """A new member, of no workspace yet. Raises Refused(member_exists)."""
    if find_by_email(tx, email) is not None:
        raise Refused("member_exists")
    member = Member(new_id(now_ms), email, name, password_hash, None, 0, now_ms)
    tx.run(f"insert into members ({_COLUMNS}) values ({', '.join(':' + f for f in Member._fields)})", member._asdict())
    return member


def find(tx: Tx, member_id: str) -> Member | None:
    """A member by the id."""
    row = tx.one(f"select {_COLUMNS} from members where member_id = :member_id", {"member_id": member_id})
    return None if row is None else Member._make(row)


def find_by_email(tx: Tx, email: str) -> Member | None:
    """A member by the address, as `read_email` gives it."""
    row = tx.one(f"select {_COLUMNS} from members where email = :email", {"email": email})
    return None if row is None else Member._make(row)


def rename(tx: Tx, member_id: str, name: str) -> None:
    """Give a member another name."""
    tx.run("update members set name = :name where member_id = :member_id", {"name": name, "member_id": member_id})


def set_password(tx: Tx, member_id: str, password_hash: str) -> None:
    """Give a member another password. Whoever calls it ends the sessions."""
    tx.run(
        "update members set password_hash = :password_hash where member_id = :member_id",
        {"password_hash": password_hash, "member_id": member_id},
    )


def names(tx: Tx, member_ids: list[str]) -> dict[str, str]:
    """What members are called, by their ids."""
    rows = tx.each("select member_id, name, email from members where member_id in (:keys)", member_ids)
    return {str(row[0]): str(row[1] or row[2]) for row in rows}


def owned(tx: Tx) -> bool:
    """Whether any workspace has an owner: the installation is somebody's."""
    return tx.one("select 1 from memberships where role = 'owner' limit 1") is not None


def role_of(tx: Tx, workspace_id: str, member_id: str) -> Role | None:
    """A member's role in a workspace; None for a stranger."""
    row = tx.one(
        "select role from memberships where workspace_id = :workspace_id and member_id = :member_id",
        {"workspace_id": workspace_id, "member_id": member_id},
    )
    return None if row is None else row[0]


def memberships(tx: Tx, member_id: str) -> list[Membership]:
    """A member's workspaces, by name."""
    rows = tx.all(
        "select m.workspace_id, w.name, m.role from memberships m join workspaces w on w.workspace_id = m.workspace_id "
        "where m.member_id = :member_id order by lower(w.name), m.workspace_id",
        {"member_id": member_id},
    )
    return [Membership._make(row) for row in rows]


def colleagues(tx: Tx, workspace_id: str) -> list[Colleague]:
    """The members of a workspace, those who joined first before the others."""
    rows = tx.all(
        "select m.member_id, m.email, m.name, s.role, case when m.totp_sealed is null then 0 else 1 end, "
        "s.created_at_ms, (select max(used_at_ms) from sessions where member_id = m.member_id and complete = 1) "
        "from memberships s join members m on m.member_id = s.member_id "
        "where s.workspace_id = :workspace_id order by s.created_at_ms, m.member_id",
        {"workspace_id": workspace_id},
    )
    return [Colleague._make(row) for row in rows]


def join(tx: Tx, workspace_id: str, member_id: str, role: Role, now_ms: int) -> None:
    """Make a member one of a workspace. Raises Refused: member_exists, quota_exceeded."""
    if role_of(tx, workspace_id, member_id) is not None:
        raise Refused("member_exists")
    count = tx.one(
        "select count(*) from memberships where workspace_id = :workspace_id", {"workspace_id": workspace_id}
    )
    if count is not None and count[0] >= MEMBERS_MAX:
        raise Refused("quota_exceeded")
    tx.run(
        "insert into memberships (workspace_id, member_id, role, created_at_ms) "
        "values (:workspace_id, :member_id, :role, :now_ms)",
        {"workspace_id": workspace_id, "member_id": member_id, "role": role, "now_ms": now_ms},
    )


def change_role(tx: Tx, workspace_id: str, actor: Member, member_id: str, role: Role, now_ms: int) -> None:
    """Give a member another role. Raises Refused: member_not_found, role_missing, last_owner."""
    held = _may_change(tx, workspace_id, actor, member_id, role)
    if held == role:
        return
    tx.run(
        "update memberships set role = :role where workspace_id = :workspace_id and member_id = :member_id",
        {"role": role, "workspace_id": workspace_id, "member_id": member_id},
    )
    audit.note(
        tx, workspace_id, audit.by_member(actor.member_id), "role_changed", now_ms, member_id,
        {"before": held, "after": role},
    )  # fmt: skip


def remove(tx: Tx, workspace_id: str, actor: Member, member_id: str, now_ms: int) -> None:
    """Take a member out of a workspace, or leave it. Raises Refused: member_not_found, role_missing, last_owner."""
    own = actor.member_id == member_id
    _may_change(tx, workspace_id, actor, member_id, None)
    tx.run(
        "delete from memberships where workspace_id = :workspace_id and member_id = :member_id",
        {"workspace_id": workspace_id, "member_id": member_id},
    )
    audit.note(
        tx, workspace_id, audit.by_member(actor.member_id), "member_left" if own else "member_removed", now_ms,
        member_id,
    )  # fmt: skip


def may_give(giver: str | None, role: str) -> bool:
    """Whether who has one role may give another: admins all but an owner's, owners all."""
    return giver is not None and reaches(giver, "owner" if role == "owner" else "admin")


def _may_change(tx: Tx, workspace_id: str, actor: Member, member_id: str, role: Role | None) -> Role:
    """The role that a member has, once it is sure that the actor may take it and give `role` (None: take only)."""
    own = role_of(tx, workspace_id, actor.member_id)
    held = role_of(tx, workspace_id, member_id)
    if held is None:
        raise Refused("member_not_found")
    leaving = role is None and actor.member_id == member_id
    if not leaving and not (may_give(own, held) and (role is None or may_give(own, role))):
        raise Refused("role_missing")
    if held == "owner" and role != "owner" and _owners(tx, workspace_id) < 2:
        raise Refused("last_owner")
    return held


def _owners(tx: Tx, workspace_id: str) -> int:
    row = tx.one(
        "select count(*) from memberships where workspace_id = :workspace_id and role = 'owner'",
        {"workspace_id": workspace_id},
    )
    return 0 if row is None else int(row[0])
