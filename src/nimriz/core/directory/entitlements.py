"""Entitlements: what a plan grants, and what the rollout flags let through.

Owns the table rollout_flags. A surface is open only when the plan grants it and the flag is on.
"""

from __future__ import annotations

from dataclasses import dataclass

from nimriz.core.directory import changes
from nimriz.store.db import StoreError, Tx

SURFACES = ("conversion_tracking", "conversion_reporting", "exports")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a plan grants."""

    surfaces: frozenset[str]
    click_retention_days: int


PLANS: dict[str, Plan] = {
    "starter": Plan(frozenset(), 14),
    "plus": Plan(frozenset({"conversion_tracking"}), 60),
    "growth": Plan(frozenset(SURFACES[:2]), 120),
    "professional": Plan(frozenset(SURFACES), 270),
    "enterprise": Plan(frozenset(SURFACES), 540),
}
PLAN_OF_NEW_WORKSPACES = "enterprise"


def open_surfaces(tx: Tx, workspace_id: str, plan: str) -> frozenset[str]:
    """The surfaces that are open to a workspace on `plan`. Raises StoreError for a plan that is none."""
    if plan not in PLANS:
        raise StoreError("a plan that this version does not know")
    rows = tx.all(
        "select surface from rollout_flags where workspace_id = :workspace_id and enabled = 1",
        {"workspace_id": workspace_id},
    )
    return PLANS[plan].surfaces & {str(row[0]) for row in rows}


def set_flag(tx: Tx, workspace_id: str, surface: str, enabled: bool, now_ms: int) -> None:
    """Turn a workspace's rollout flag for a surface on or off; every process knows within a second."""
    if surface not in SURFACES:
        raise ValueError("no such surface")
    tx.run(
        "insert into rollout_flags (workspace_id, surface, enabled, changed_at_ms) "
        "values (:workspace_id, :surface, :enabled, :now_ms) on conflict (workspace_id, surface) "
        "do update set enabled = excluded.enabled, changed_at_ms = excluded.changed_at_ms",
        {"workspace_id": workspace_id, "surface": surface, "enabled": int(enabled), "now_ms": now_ms},
    )
    changes.note(tx, "workspace", workspace_id, now_ms)
