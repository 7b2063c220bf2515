"""nimriz clicks: what the operator does about clicks."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from nimriz.cli.output import installation, said_no, show
from nimriz.core.clicks import clicks, judgments
from nimriz.installation import Installation
from nimriz.logs import configure_logs
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite

app = typer.Typer(help="Judge clicks again.", no_args_is_help=True)


@app.callback()
def clicks_() -> None:
    """Judge clicks again."""


@app.command()
def rejudge(json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Judge what every click is worth by the rules of this version; works beside a running server."""
    import structlog

    with said_no(), installation() as opened:
        looked_at, changes = _rejudge(opened)
        told = [{"from": before, "to": after, "clicks": n} for (before, after), n in sorted(changes.items())]
        configure_logs(opened.settings.log_level)
        log = structlog.get_logger()
        log.info("clicks_rejudged", clicks=looked_at, changed=changes.total(), changes=told)
    summary: dict[str, object] = {"clicks": looked_at, "changed": changes.total()}
    if json_output:
        show({**summary, "changes": told}, as_json=True)
    else:
        show({**summary, **{f"{c['from']} to {c['to']}": c["clicks"] for c in told}}, as_json=False)


def _rejudge(opened: Installation) -> tuple[int, Counter[tuple[str, str]]]:
    """Every click of every log, a progress bar on standard error where that is a terminal."""
    now_ms, looked_at = opened.clock.now_ms(), 0
    changes: Counter[tuple[str, str]] = Counter()
    console = Console(stderr=True)
    with (
        contextlib.ExitStack() as stack,
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        logs = [Sqlite(path) for path in sorted(opened.settings.data_dir.glob("clicks-*.db"))]
        for log_file in logs:
            stack.callback(log_file.close)
            migrate(log_file, "clicks", now_ms)
        bar = progress.add_task("Judging", total=sum(log_file.read(clicks.total) for log_file in logs))
        for log_file in logs:
            for changed in judgments.judge_again(log_file, now_ms):
                looked_at += changed.clicks
                changes += changed.qualities
                progress.update(bar, completed=looked_at)
    return looked_at, changes
