"""nimriz workspace."""

from __future__ import annotations

from typing import Annotated

import typer

from nimriz.cli.output import SaidNo, installation, said_no, show, show_all
from nimriz.core.directory import audit, credentials, entitlements, workspaces
from nimriz.core.directory.workspaces import Workspace
from nimriz.core.links import domains
from nimriz.store.db import Tx

app = typer.Typer(help="Make workspaces, and put them on a plan.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(name: str, json_output: Json = False) -> None:
    """Make a workspace with an API key, a live and a test signing secret. They are shown this once."""
    if not 1 <= len(name) <= workspaces.NAME_CHARS_MAX:
        raise typer.BadParameter(f"1 to {workspaces.NAME_CHARS_MAX} characters", param_hint="NAME")
    with said_no(), installation() as opened:
        now_ms = opened.clock.now_ms()

        def write(tx: Tx) -> dict[str, object]:
            workspace = workspaces.create(tx, name, now_ms)
            w = workspace.workspace_id
            api_key, _ = credentials.create_key(tx, opened.vault, w, "first", ("admin",), now_ms)
            live, _ = credentials.create_secret(tx, opened.vault, w, "live", now_ms)
            test, _ = credentials.create_secret(tx, opened.vault, w, "test", now_ms)
            domain = domains.of_workspace(tx, w)[0]
            return {
                "workspace_id": w,
                "workspace_name": workspace.name,
                "api_key": api_key,
                "signing_secret": live,
                "test_signing_secret": test,
                "domain_id": domain.domain_id,
                "domain_name": domain.domain_name,
            }

        show(opened.records.write(write), json_output)


@app.command("list")
def list_(json_output: Json = False) -> None:
    """List the workspaces."""
    with said_no(), installation() as opened:
        found = opened.records.read(workspaces.find_all)
        show_all([{"workspace_id": w.workspace_id, "name": w.name, "plan": w.plan} for w in found], json_output)


@app.command()
def plan(
    workspace_id: str,
    plan: Annotated[str | None, typer.Argument(help="starter, plus, growth, professional or enterprise.")] = None,
    enable: Annotated[list[str] | None, typer.Option(help="Turn a surface's rollout flag on.")] = None,
    disable: Annotated[list[str] | None, typer.Option(help="Turn a surface's rollout flag off.")] = None,
    json_output: Json = False,
) -> None:
    """Show or change a workspace's plan and rollout flags; a running server follows within a second."""
    if plan is not None and plan not in entitlements.PLANS:
        raise typer.BadParameter(f"one of {', '.join(entitlements.PLANS)}", param_hint="PLAN")
    flags = {**dict.fromkeys(enable or [], True), **dict.fromkeys(disable or [], False)}
    if flags.keys() - set(entitlements.SURFACES):
        raise typer.BadParameter(f"surfaces are {', '.join(entitlements.SURFACES)}")
    with said_no(), installation() as opened:
        now_ms = opened.clock.now_ms()

        def write(tx: Tx) -> dict[str, object]:
            require_workspace(tx, workspace_id)
            if plan is not None:
                workspaces.set_plan(tx, workspace_id, plan, now_ms)
            for surface, enabled in flags.items():
                entitlements.set_flag(tx, workspace_id, surface, enabled, now_ms)
            if plan is not None or flags:
                facts = {"plan": plan} if plan is not None else {}
                changed = {surface: "on" if enabled else "off" for surface, enabled in flags.items()}
                audit.note(tx, workspace_id, audit.OPERATOR, "workspace_changed", now_ms, "", {**facts, **changed})
            workspace = require_workspace(tx, workspace_id)
            surfaces = entitlements.open_surfaces(tx, workspace_id, workspace.plan)
            return {"workspace_id": workspace_id, "plan": workspace.plan, "surfaces": " ".join(sorted(surfaces))}

        show(opened.records.write(write), json_output)


def require_workspace(tx: Tx, workspace_id: str) -> Workspace:
    """The workspace, or the sentence that there is none."""
    workspace = workspaces.find(tx, workspace_id)
    if workspace is None:
        raise SaidNo("There is no workspace with this id: nimriz workspace list shows them.")
    return workspace
