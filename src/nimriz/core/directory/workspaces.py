"""Workspaces: the tenants. Owns the table workspaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from nimriz.base.ids import new_id
from nimriz.core.directory import audit, changes, entitlements
from nimriz.store.db import Tx

NAME_CHARS_MAX = 100
WINDOW_DAYS_DEFAULT = 30
Privacy = Literal["standard", "strict"]


class Workspace(NamedTuple):
    """One tenant. `timezone` is an IANA name; `privacy` is 'standard' or 'strict'.

    `sticky_cookie` is 1 where a cookie may keep which variant of an experiment a visitor was shown.
    """

    workspace_id: str
    name: str
    plan: str
    timezone: str
    conversion_window_days: int
    created_at_ms: int
    privacy: str = "standard"
    privacy_suppresses_token: int = 0
    sticky_cookie: int = 0


_COLUMNS = ", ".join(Workspace._fields)


def create(tx: Tx, name: str, now_ms: int, actor: str = audit.OPERATOR) -> Workspace:
    """A new workspace on the enterprise plan with every rollout flag on."""
    workspace = Workspace(new_id(now_ms), name, entitlements.PLAN_OF_NEW_WORKSPACES, "UTC", WINDOW_DAYS_DEFAULT, now_ms)
    tx.run(
        f"insert into workspaces ({_COLUMNS}) values ({', '.join(':' + f for f in Workspace._fields)})",
        workspace._asdict(),
    )
    for surface in entitlements.SURFACES:
        entitlements.set_flag(tx, workspace.workspace_id, surface, True, now_ms)
    audit.note(tx, workspace.workspace_id, actor, "workspace_created", now_ms)
    return workspace


def find(tx: Tx, workspace_id: str) -> Workspace | None:
    """A workspace by its id."""
    row = tx.one(
        f"select {_COLUMNS} from workspaces where workspace_id = :workspace_id", {"workspace_id": workspace_id}
    )
    return None if row is None else Workspace._make(row)


def find_all(tx: Tx) -> list[Workspace]:
    """Every workspace, oldest first."""
    rows = tx.all(f"select {_COLUMNS} from workspaces order by workspace_id")
    return [Workspace._make(row) for row in rows]


def update(tx: Tx, workspace: Workspace, now_ms: int, actor: str = audit.OPERATOR) -> Workspace:
    """Store a workspace's name and choices; every process knows within a second."""
    before = find(tx, workspace.workspace_id)
    old = {} if before is None else before._asdict()
    differing = {name: value for name, value in workspace._asdict().items() if old.get(name) != value}
    tx.run(
        "update workspaces set name = :name, timezone = :timezone, privacy = :privacy, "
        "privacy_suppresses_token = :privacy_suppresses_token, sticky_cookie = :sticky_cookie, "
        "conversion_window_days = :conversion_window_days where workspace_id = :workspace_id",
        {
            "name": workspace.name,
            "timezone": workspace.timezone,
            "privacy": workspace.privacy,
            "privacy_suppresses_token": workspace.privacy_suppresses_token,
            "sticky_cookie": workspace.sticky_cookie,
            "conversion_window_days": workspace.conversion_window_days,
            "workspace_id": workspace.workspace_id,
        },
    )
    changes.note(tx, "workspace", workspace.workspace_id, now_ms)
    if differing:
        audit.note(tx, workspace.workspace_id, actor, "workspace_changed", now_ms, "", differing)
    return workspace


def set_plan(tx: Tx, workspace_id: str, plan: str, now_ms: int) -> None:
    """Put a workspace on another plan; every process knows within a second."""
    if plan not in entitlements.PLANS:
        raise ValueError("no such plan")
    tx.run(
        "update workspaces set plan = :plan where workspace_id = :workspace_id",
        {"plan": plan, "workspace_id": workspace_id},
    )
    changes.note(tx, "workspace", workspace_id, now_ms)


def known(tx: Tx, workspace_ids: Sequence[str]) -> set[str]:
    """Those of these workspaces that exist."""
    rows = tx.each("select workspace_id from workspaces where workspace_id in (:keys)", workspace_ids)
    return {str(row[0]) for row in rows}
