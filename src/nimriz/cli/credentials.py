"""nimriz secret, nimriz key."""

from __future__ import annotations

from typing import Annotated

import typer

from nimriz.base.clock import to_rfc3339
from nimriz.cli.output import SaidNo, installation, said_no, show, show_all
from nimriz.cli.workspaces import Json, require_workspace
from nimriz.core.directory import credentials
from nimriz.store.db import Tx

secrets = typer.Typer(help="Signing secrets of the Conversion API.", no_args_is_help=True)
keys = typer.Typer(help="API keys.", no_args_is_help=True)


def _when(instant_ms: int | None) -> str | None:
    return None if instant_ms is None else to_rfc3339(instant_ms)


@secrets.command("create")
def create_secret(
    workspace_id: str,
    test: Annotated[bool, typer.Option("--test", help="For test events.")] = False,
    json_output: Json = False,
) -> None:
    """Make a signing secret beside those that are live; it is shown this once."""
    with said_no(), installation() as opened:

        def write(tx: Tx) -> dict[str, object]:
            require_workspace(tx, workspace_id)
            text, secret = credentials.create_secret(
                tx, opened.vault, workspace_id, "test" if test else "live", opened.clock.now_ms()
            )
            return {"secret_id": secret.secret_id, "mode": secret.mode, "signing_secret": text}

        show(opened.records.write(write), json_output)


@secrets.command("list")
def list_secrets(workspace_id: str, json_output: Json = False) -> None:
    """List a workspace's signing secrets, without the secrets; those unused for 90 days are pointed out."""
    with said_no(), installation() as opened:

        def read(tx: Tx) -> list[credentials.SigningSecret]:
            require_workspace(tx, workspace_id)
            return credentials.list_secrets(tx, workspace_id)

        now_ms = opened.clock.now_ms()
        rows = [
            {
                "secret_id": s.secret_id,
                "mode": s.mode,
                "ends_in": s.hint,
                "created_at": _when(s.created_at_ms),
                "last_used_at": _when(s.last_used_at_ms),
                "revoked_at": _when(s.revoked_at_ms),
                "unused_90_days": s.unused(now_ms),
            }
            for s in opened.records.read(read)
        ]
        show_all(rows, json_output)


@secrets.command("revoke")
def revoke_secret(workspace_id: str, secret_id: str) -> None:
    """Revoke a signing secret; it stops within a second."""
    with said_no(), installation() as opened:
        now_ms = opened.clock.now_ms()
        if not opened.records.write(lambda tx: credentials.revoke_secret(tx, workspace_id, secret_id, now_ms)):
            raise SaidNo("This workspace has no such live secret: nimriz secret list shows them.")


@keys.command("create")
def create_key(
    workspace_id: str,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    scope: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(credentials.SCOPES)}.")] = None,
    json_output: Json = False,
) -> None:
    """Make an API key; it is shown this once."""
    scopes = tuple(scope or ["admin"])
    if set(scopes) - set(credentials.SCOPES):
        raise typer.BadParameter(f"scopes are {', '.join(credentials.SCOPES)}", param_hint="--scope")
    with said_no(), installation() as opened:

        def write(tx: Tx) -> dict[str, object]:
            require_workspace(tx, workspace_id)
            text, key = credentials.create_key(tx, opened.vault, workspace_id, name, scopes, opened.clock.now_ms())
            return {"key_id": key.key_id, "scopes": key.scopes, "api_key": text}

        show(opened.records.write(write), json_output)


@keys.command("list")
def list_keys(workspace_id: str, json_output: Json = False) -> None:
    """List a workspace's API keys, without the keys."""
    with said_no(), installation() as opened:

        def read(tx: Tx) -> list[credentials.ApiKey]:
            require_workspace(tx, workspace_id)
            return credentials.list_keys(tx, workspace_id)

        rows = [
            {
                "key_id": k.key_id,
                "name": k.name,
                "ends_in": k.hint,
                "scopes": k.scopes,
                "created_at": _when(k.created_at_ms),
                "revoked_at": _when(k.revoked_at_ms),
            }
            for k in opened.records.read(read)
        ]
        show_all(rows, json_output)


@keys.command("revoke")
def revoke_key(workspace_id: str, key_id: str) -> None:
    """Revoke an API key; it stops within a second."""
    with said_no(), installation() as opened:
        now_ms = opened.clock.now_ms()
        if not opened.records.write(lambda tx: credentials.revoke_key(tx, workspace_id, key_id, now_ms)):
            raise SaidNo("This workspace has no such live key: nimriz key list shows them.")
