"""nimriz member."""

from __future__ import annotations

from typing import Annotated

import typer

from nimriz.base.clock import to_rfc3339
from nimriz.cli.output import SaidNo, installation, said_no, show, show_all
from nimriz.cli.workspaces import Json, require_workspace
from nimriz.core.directory import audit
from nimriz.core.members import members, passes
from nimriz.core.members.members import Role
from nimriz.store.db import Tx

app = typer.Typer(help="Those who work in workspaces.", no_args_is_help=True)


@app.command("list")
def list_(workspace_id: str, json_output: Json = False) -> None:
    """List the members of a workspace with their roles, and when each was last there."""
    with said_no(), installation() as opened:

        def read(tx: Tx) -> list[members.Colleague]:
            require_workspace(tx, workspace_id)
            return members.colleagues(tx, workspace_id)

        rows = [
            {
                "member_id": c.member_id,
                "email": c.email,
                "name": c.name,
                "role": c.role,
                "second_factor": bool(c.totp),
                "joined_at": to_rfc3339(c.created_at_ms),
                "seen_at": None if c.seen_at_ms is None else to_rfc3339(c.seen_at_ms),
            }
            for c in opened.records.read(read)
        ]
        show_all(rows, json_output)


@app.command()
def create(
    workspace_id: str,
    email: str,
    role: Annotated[str, typer.Option(help=f"One of {', '.join(members.ROLES)}.")] = "member",
    json_output: Json = False,
) -> None:
    """Add somebody to a workspace: a member at once, anybody else by a link that works once, for 7 days."""
    given = next((known for known in members.ROLES if known == role), None)
    if given is None:
        raise typer.BadParameter(f"one of {', '.join(members.ROLES)}", param_hint="--role")
    address = _address(email)
    with said_no(), installation() as opened:
        now_ms = opened.clock.now_ms()

        def write(tx: Tx) -> dict[str, object]:
            require_workspace(tx, workspace_id)
            told: dict[str, object] = {"workspace_id": workspace_id, "email": address, "role": given}
            member = members.find_by_email(tx, address)
            if member is None:
                path = _invite(tx, given)
                return {**told, "member_id": None, "link": opened.settings.base_url + path}
            members.join(tx, workspace_id, member.member_id, given, now_ms)
            audit.note(
                tx, workspace_id, audit.OPERATOR, "member_added", now_ms, member.member_id, {"role": given}
            )  # fmt: skip
            return {**told, "member_id": member.member_id, "link": None}

        def _invite(tx: Tx, role: Role) -> str:
            note = address[: passes.NOTE_CHARS_MAX]
            return passes.for_invited(tx, opened.vault, workspace_id, role, note, audit.OPERATOR, now_ms)

        show(opened.records.write(write), json_output)


@app.command()
def reset(email: str, json_output: Json = False) -> None:
    """Print a link by which a member sets a new password; it works once, for a day, and turns the second factor off."""
    address = _address(email)
    with said_no(), installation() as opened:

        def write(tx: Tx) -> dict[str, object]:
            member = members.find_by_email(tx, address)
            if member is None:
                raise SaidNo("There is no member with this address: nimriz member list shows those of a workspace.")
            path = passes.for_reset(tx, opened.vault, member.member_id, opened.clock.now_ms())
            return {"member_id": member.member_id, "email": address, "link": opened.settings.base_url + path}

        show(opened.records.write(write), json_output)


def _address(text: str) -> str:
    email = members.read_email(text)
    if email is None:
        raise typer.BadParameter("an address such as ann@shop.example", param_hint="EMAIL")
    return email
