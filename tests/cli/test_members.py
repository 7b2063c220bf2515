"""nimriz member: list, add and reset, without a server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

import pytest
from typer.testing import CliRunner

from nimriz.cli.main import app
from nimriz.core.directory import audit, workspaces
from nimriz.core.members import members
from nimriz.core.members.members import Member
from nimriz.installation import open_installation
from nimriz.store.db import Tx
from tests.world import Body, Served


@pytest.fixture
def served(data_dir: Path) -> Served:
    """An installation that is not served."""
    return Served(data_dir)


def run(served: Served, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["member", *arguments], env={**served.environment()})
    return done.exit_code, done.stdout + done.stderr


def made(served: Served, *arguments: str) -> Body:
    code, told = run(served, *arguments, "--json")
    assert code == 0, told
    return cast(Body, json.loads(told))


def two_workspaces(served: Served) -> tuple[str, str]:
    """Two workspaces, and Ann, who owns the first."""
    opened = open_installation(served.settings())
    now_ms = opened.clock.now_ms()

    def write(tx: Tx) -> tuple[str, str]:
        first, second = (workspaces.create(tx, name, now_ms).workspace_id for name in ("One", "Two"))
        ann: Member = members.create(tx, "ann@shop.example", "Ann", "hash", now_ms)
        members.join(tx, first, ann.member_id, "owner", now_ms)
        return first, second

    found = opened.records.write(write)
    opened.close()
    return found


def test_a_member_is_added_at_once_and_anybody_else_by_a_link(served: Served) -> None:
    first, second = two_workspaces(served)
    told = made(served, "create", second, "Ann@Shop.example", "--role", "admin")
    assert (told["email"], told["role"], told["link"]) == ("ann@shop.example", "admin", None)
    assert [row["role"] for row in json.loads(run(served, "list", second, "--json")[1])] == ["admin"]
    told = made(served, "create", first, "bob@shop.example")
    assert told["member_id"] is None
    assert re.fullmatch(rf"{served.url}/login/invitation/[\w-]{{43}}", told["link"])
    assert len(json.loads(run(served, "list", first, "--json")[1])) == 1
    assert run(served, "create", second, "ann@shop.example")[0] == 1
    opened = open_installation(served.settings())
    deeds = [deed.action for deed in opened.records.read(lambda tx: audit.page(tx, second, 0, 10))]
    opened.close()
    assert deeds == ["member_added", "workspace_created"]


def test_a_reset_is_a_link_for_a_member_who_is_there(served: Served) -> None:
    two_workspaces(served)
    assert re.fullmatch(rf"{served.url}/login/reset/[\w-]{{43}}", made(served, "reset", "ann@shop.example")["link"])
    code, told = run(served, "reset", "bob@shop.example")
    assert (code, "no member with this address" in told) == (1, True)


@pytest.mark.parametrize("arguments", [("ann@shop.example", "--role", "king"), ("ann",), ("a b@shop.example",)])
def test_what_is_no_role_or_no_address_is_a_wrong_usage(served: Served, arguments: tuple[str, ...]) -> None:
    assert run(served, "create", "nothing", *arguments)[0] == 2
