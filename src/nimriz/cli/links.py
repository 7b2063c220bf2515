"""nimriz link, nimriz block: what the operator does about links that are abused."""

from __future__ import annotations

from typing import Annotated

import typer

from nimriz.base.clock import to_rfc3339
from nimriz.base.errors import Refused
from nimriz.cli.output import SaidNo, installation, said_no, show, show_all
from nimriz.core.links import blocklist, domains, takedowns
from nimriz.core.links.blocklist import BlockedHost
from nimriz.core.links.links import Link
from nimriz.installation import Installation
from nimriz.store.db import Tx

app = typer.Typer(help="Take links down, whoever owns them, and restore them.", no_args_is_help=True)
blocks = typer.Typer(help="Keep the list of hosts that no link may lead to.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Named = Annotated[str, typer.Argument(metavar="SHORT_URL_OR_ID", help="The link's short URL, or its id.")]
Host = Annotated[str, typer.Argument(metavar="HOST", help="A host such as bad.example; what stands under it, too.")]


@app.command()
def takedown(
    link: Named,
    reason: Annotated[str, typer.Option(help="Why; the owner sees it in the link's history.")],
    json_output: Json = False,
) -> None:
    """Take a link down; it stops within a second, and its owner cannot change that."""
    _require_length("--reason", reason, 1, takedowns.REASON_CHARS_MAX)
    with said_no(), installation() as opened:
        now_ms = opened.clock.now_ms()

        def write(tx: Tx) -> dict[str, object]:
            found = takedowns.named(tx, link, opened.hosts)
            return _told(tx, takedowns.take_down(tx, found, reason, now_ms), opened)

        show(opened.records.write(write), json_output)


@app.command()
def restore(link: Named, json_output: Json = False) -> None:
    """Let a link that was taken down go on, as its owner has set it."""
    with said_no(), installation() as opened:
        now_ms = opened.clock.now_ms()

        def write(tx: Tx) -> dict[str, object]:
            found = takedowns.named(tx, link, opened.hosts)
            if not found.takedown:
                raise SaidNo("This link is not taken down.")
            return _told(tx, takedowns.restore(tx, found, now_ms), opened)

        show(opened.records.write(write), json_output)


@blocks.command()
def add(
    host: Host,
    reason: Annotated[str, typer.Option(help="Why; for you.")] = "",
    json_output: Json = False,
) -> None:
    """Block a host for all workspaces; links that lead there stop within a second."""
    _require_length("--reason", reason, 0, blocklist.REASON_CHARS_MAX)
    name = _read_host(host)
    with said_no(), installation() as opened:
        now_ms = opened.clock.now_ms()
        made = opened.records.write(lambda tx: blocklist.add(tx, blocklist.INSTALLATION, name, reason, now_ms))
        show(_row(made), json_output)


@blocks.command()
def remove(host: Host, json_output: Json = False) -> None:
    """Take a host off the list; links that lead there go on within a second."""
    name = _read_host(host)
    with said_no(), installation() as opened:
        now_ms = opened.clock.now_ms()
        if not opened.records.write(lambda tx: blocklist.remove(tx, blocklist.INSTALLATION, name, now_ms)):
            raise SaidNo("This host is not on the list: nimriz block list shows it.")
        show({"host": name, "removed": True}, json_output)


@blocks.command("list")
def list_(json_output: Json = False) -> None:
    """List the hosts that are blocked for all workspaces."""
    with said_no(), installation() as opened:
        found = opened.records.read(lambda tx: blocklist.on_list(tx, blocklist.INSTALLATION))
        show_all([_row(blocked) for blocked in found], json_output)


def _told(tx: Tx, link: Link, opened: Installation) -> dict[str, object]:
    domain = domains.find(tx, link.domain_id)
    # Here, because it brings along what no other command needs.
    from nimriz.web import wire

    short_url = "" if domain is None else wire.short_url(domain, link.slug, opened.settings.base_url)
    return {
        "link_id": link.link_id,
        "workspace_id": link.workspace_id,
        "short_url": short_url,
        "long_url": link.long_url,
        "taken_down": bool(link.takedown),
        "reason": link.takedown or None,
    }


def _row(blocked: BlockedHost) -> dict[str, object]:
    return {"host": blocked.host, "reason": blocked.reason, "created_at": to_rfc3339(blocked.created_at_ms)}


def _read_host(text: str) -> str:
    try:
        return blocklist.read_host(text)
    except Refused:
        raise typer.BadParameter("a host such as bad.example, without scheme or path", param_hint="HOST") from None


def _require_length(option: str, text: str, least: int, most: int) -> None:
    if not least <= len(text) <= most:
        raise typer.BadParameter(f"{least} to {most} characters", param_hint=option)
