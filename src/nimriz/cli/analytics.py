"""nimriz analytics: the store behind reports."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from nimriz.analytics import client
from nimriz.cli.output import SaidNo, said_no, show
from nimriz.config import Settings

app = typer.Typer(help="The store behind reports.", no_args_is_help=True)


@app.callback()
def analytics_() -> None:
    """The store behind reports."""


@app.command()
def rebuild(json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Make the store behind reports anew, while the service runs; reports are answered meanwhile."""
    console = Console(stderr=True)
    with said_no(), Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("Copying clicks", total=None)

        def told(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        try:
            made = client.command(Settings().data_dir, {"ask": "rebuild"}, told)
        except client.Unavailable:
            raise SaidNo(
                "nobody answers: nimriz serve keeps this store. While it is stopped, delete analytics.duckdb instead"
            ) from None
    show(made, json_output)
