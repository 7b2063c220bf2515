"""nimriz sign, nimriz send: the Conversion API from a shell."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from nimriz.base import signing
from nimriz.base.clock import Clock
from nimriz.cli.output import SaidNo, said_no
from nimriz.config import Settings

Secret = Annotated[
    str, typer.Option(envvar="NIMRIZ_SIGNING_SECRET", help="The signing secret; better in NIMRIZ_SIGNING_SECRET.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Timestamp = Annotated[int | None, typer.Option(help="Unix seconds; now by default.")]


def sign(
    secret: Secret, timestamp: Timestamp = None, json_output: Annotated[bool, typer.Option("--json")] = False
) -> None:
    """Print the headers for the body on standard input, byte for byte as it is."""
    with said_no():
        headers = _headers(secret, sys.stdin.buffer.read(), timestamp)
    if json_output:
        print(json.dumps(headers))
        return
    for name, value in headers.items():
        print(f"{name}: {value}")


def send(
    workspace_id: str,
    secret: Secret,
    url: Annotated[str, typer.Option(help="Where the service is; default: this installation's URL.")] = "",
    timestamp: Timestamp = None,
    validate_only: Annotated[bool, typer.Option("--validate-only", help="Record nothing.")] = False,
    batch: Annotated[bool, typer.Option("--batch", help='The body is {"events": [...]}.')] = False,
) -> None:
    """Sign the event on standard input, post it, and print the answer. Exit status 1 when it was refused."""
    import httpx2

    with said_no():
        body = sys.stdin.buffer.read()
        base = (url or Settings().base_url).rstrip("/")
        target = f"{base}/api/conversions/callback/{workspace_id}" + ("/batch" if batch else "")
        headers = {"Content-Type": "application/json", **_headers(secret, body, timestamp)}
        try:
            response = httpx2.post(
                target,
                content=body,
                headers=headers,
                params={"validate_only": "true"} if validate_only else None,
                trust_env="localhost" not in base and "127.0.0.1" not in base,
            )
        except httpx2.HTTPError as error:
            raise SaidNo(f"nobody answered at {base} ({type(error).__name__})") from None
        print(response.text)
        raise typer.Exit(0 if response.is_success else 1)


def _headers(secret: str, body: bytes, timestamp: int | None) -> dict[str, str]:
    if not secret:
        raise typer.BadParameter("it is empty", param_hint="--secret")
    timestamp_s = Clock(Settings().clock_offset_s).now_ms() // 1000 if timestamp is None else timestamp
    return {
        "X-Nim-Timestamp": str(timestamp_s),
        "X-Nim-Signature": signing.sign(secret.encode(), timestamp_s, body),
    }
