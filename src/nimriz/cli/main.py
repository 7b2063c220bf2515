"""The commands, and what they share: how a mistake is told, and how things are printed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from nimriz.cli import (
    analytics,
    backfill,
    backups,
    clicks,
    credentials,
    erasing,
    events,
    exports,
    imports,
    leaks,
    ledger,
    links,
    members,
    signatures,
    transfers,
    workspaces,
)
from nimriz.cli.output import said_no

app = typer.Typer(
    help="Self-hosted short links whose clicks are tied to revenue.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(workspaces.app, name="workspace")
credentials.secrets.command("exclude")(leaks.exclude)
credentials.secrets.command("include")(leaks.include)
credentials.secrets.command("exclusions")(leaks.list_)
app.add_typer(credentials.secrets, name="secret")
app.add_typer(credentials.keys, name="key")
app.add_typer(members.app, name="member")
app.add_typer(links.app, name="link")
app.add_typer(links.blocks, name="block")
app.add_typer(clicks.app, name="clicks")
app.add_typer(analytics.app, name="analytics")
imports.app.command("conversions")(backfill.conversions)
imports.app.command("installation")(transfers.import_installation)
exports.app.command("installation")(transfers.export_installation)
app.add_typer(imports.app, name="import")
app.add_typer(exports.app, name="export")
doctors = typer.Typer()
doctors.command("signature")(signatures.signature)
app.add_typer(doctors, name="doctor")
app.add_typer(ledger.app, name="ledger")
app.add_typer(erasing.app, name="erasures")
app.command("erase")(erasing.erase)
app.command("backup")(backups.backup)
app.command("restore")(backups.restore)
app.command("sign")(events.sign)
app.command("send")(events.send)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Port to listen on.")] = None,
) -> None:
    """Serve redirects, the API, the Conversion API and the dashboard."""
    from nimriz.cli.serving import run

    run(host, port)


@app.command()
def demo() -> None:
    """Run the main job over real HTTP, and print the report."""
    from nimriz.demo import run

    raise typer.Exit(run())


@doctors.callback(invoke_without_command=True)
def doctor(
    context: typer.Context, json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Check the installation, and say what is wrong with it."""
    if context.invoked_subcommand:
        return
    from nimriz.cli.checks import run

    raise typer.Exit(run(json_output))


def main() -> None:
    """The entry point."""
    with said_no():
        app(prog_name="nimriz")
    sys.exit(0)
