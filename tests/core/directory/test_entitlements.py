"""Entitlements: a surface is open only when the plan grants it and the rollout flag is on."""

from __future__ import annotations

import pytest

from nimriz.core.directory import changes, entitlements, workspaces
from nimriz.core.directory.entitlements import PLANS, SURFACES
from tests.laws.ledger import NOW_MS, opened

GRANTED = {
    "starter": set(),
    "plus": {"conversion_tracking"},
    "growth": {"conversion_tracking", "conversion_reporting"},
    "professional": set(SURFACES),
    "enterprise": set(SURFACES),
}


def test_a_new_workspace_is_on_enterprise_with_every_surface_open() -> None:
    with opened() as ledger:
        made = ledger.database.write(lambda tx: workspaces.create(tx, "Alice", NOW_MS))
        assert made.plan == "enterprise"
        surfaces = ledger.database.read(lambda tx: entitlements.open_surfaces(tx, made.workspace_id, made.plan))
        assert surfaces == set(SURFACES)


@pytest.mark.parametrize("plan", PLANS)
def test_a_plan_grants_its_surfaces_and_no_more(plan: str) -> None:
    with opened() as ledger:
        made = ledger.database.write(lambda tx: workspaces.create(tx, "Alice", NOW_MS))
        ledger.database.write(lambda tx: workspaces.set_plan(tx, made.workspace_id, plan, NOW_MS))
        surfaces = ledger.database.read(lambda tx: entitlements.open_surfaces(tx, made.workspace_id, plan))
        assert surfaces == GRANTED[plan]


def test_a_flag_closes_one_surface_of_one_workspace() -> None:
    with opened() as ledger:
        alice = ledger.database.write(lambda tx: workspaces.create(tx, "Alice", NOW_MS)).workspace_id
        bob = ledger.database.write(lambda tx: workspaces.create(tx, "Bob", NOW_MS)).workspace_id
        ledger.database.write(lambda tx: entitlements.set_flag(tx, alice, "exports", False, NOW_MS))
        told = ledger.database.read(
            lambda tx: [entitlements.open_surfaces(tx, who, "enterprise") for who in (alice, bob)]
        )
        assert told == [set(SURFACES) - {"exports"}, set(SURFACES)]
        ledger.database.write(lambda tx: entitlements.set_flag(tx, alice, "exports", True, NOW_MS))
        assert ledger.database.read(lambda tx: entitlements.open_surfaces(tx, alice, "enterprise")) == set(SURFACES)


def test_a_change_of_plan_or_flag_is_noted_for_every_process() -> None:
    with opened() as ledger:
        alice = ledger.database.write(lambda tx: workspaces.create(tx, "Alice", NOW_MS)).workspace_id
        seen = ledger.database.read(changes.newest)
        ledger.database.write(lambda tx: workspaces.set_plan(tx, alice, "plus", NOW_MS))
        ledger.database.write(lambda tx: entitlements.set_flag(tx, alice, "exports", False, NOW_MS))
        noted = ledger.database.read(lambda tx: changes.since(tx, seen, 10))
        assert [(change.topic, change.subject) for change in noted] == [("workspace", alice)] * 2


def test_what_is_no_plan_and_no_surface_is_refused() -> None:
    with opened() as ledger:
        with pytest.raises(ValueError, match="surface"):
            ledger.database.write(lambda tx: entitlements.set_flag(tx, "w", "export", True, NOW_MS))
        with pytest.raises(ValueError, match="plan"):
            ledger.database.write(lambda tx: workspaces.set_plan(tx, "w", "gold", NOW_MS))
