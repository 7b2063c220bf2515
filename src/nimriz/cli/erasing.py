"""nimriz erase, nimriz erasures: forgetting persons."""

from __future__ import annotations

from typing import Annotated

import typer

from nimriz.base.clock import to_rfc3339
from nimriz.cli.output import SaidNo, installation, said_no, show, show_all
from nimriz.cli.workspaces import Json, require_workspace
from nimriz.core.ledger import erasures
from nimriz.core.ledger.erasures import Erasure
from nimriz.installation import Installation

app = typer.Typer(help="Certificates of erased persons.", no_args_is_help=True)
SHOWN_MAX = 1_000
_Workspace = Annotated[str, typer.Option("--workspace", help="The workspace whose customer it is.")]


def erase(
    workspace_id: _Workspace,
    external_id: Annotated[str, typer.Option(help="The customer's id, exactly as it was sent.")] = "",
    event_id: Annotated[str, typer.Option(help="Instead of it: an event that came without a customer's id.")] = "",
    wait_s: Annotated[
        float, typer.Option(min=0, help="How long to wait for somebody who reads an older state.")
    ] = erasures.WAIT_S,
    json_output: Json = False,
) -> None:
    """Forget a person, or what came with one event: key, id, look-up hash, metadata. Totals and the chain stay."""
    with said_no(), installation() as opened:
        opened.records.read(lambda tx: require_workspace(tx, workspace_id))
        if bool(external_id) == bool(event_id):
            raise SaidNo("Name one of --external-id and --event-id")
        erase_ = opened.eraser.erase if external_id else opened.eraser.erase_event
        done = erase_(workspace_id, external_id or event_id, opened.clock.now_ms(), wait_s)
        show(_told(opened, done), json_output)
        raise typer.Exit(1 if done.finished_at_ms is None else 0)


@app.command("list")
def list_(workspace_id: _Workspace, json_output: Json = False) -> None:
    """List a workspace's erasures, the newest first. They do not say who was erased."""
    with said_no(), installation() as opened:
        opened.records.read(lambda tx: require_workspace(tx, workspace_id))
        found = opened.records.read(lambda tx: erasures.page(tx, workspace_id, "", SHOWN_MAX))
        told = [_told(opened, erased) for erased in found]
        show_all([{name: one[name] for name in _LISTED} for one in told], json_output)


@app.command("show")
def show_(workspace_id: _Workspace, erasure_id: str, json_output: Json = False) -> None:
    """Show an erasure with its certificate."""
    with said_no(), installation() as opened:
        show(_told(opened, opened.records.read(lambda tx: erasures.find(tx, workspace_id, erasure_id))), json_output)


@app.command("repeat")
def repeat(json_output: Json = False) -> None:
    """Erase again whoever a restored backup has brought back; a server does this at its start."""
    with said_no(), installation() as opened:
        show({"erased_again": opened.eraser.repeat()}, json_output)


_LISTED = ("erasure_id", "status", "asked_at", "finished_at")


def _told(opened: Installation, erased: Erasure) -> dict[str, object]:
    finished = erased.finished_at_ms
    return {
        "erasure_id": erased.erasure_id,
        "status": "pending: somebody reads an older state; the server goes on" if finished is None else "finished",
        "asked_at": to_rfc3339(erased.asked_at_ms),
        "finished_at": None if finished is None else to_rfc3339(finished),
        **erased.destroyed,
        "certificate": erased.statement or None,
        "signature": erased.signature.hex() or None,
        "public_key": opened.signet.public_key,
    }
