"""nimriz doctor signature: what is wrong with a signature, found out by whoever holds the secret, without a server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from nimriz.base.diagnosis import MISTAKES, Secrets, diagnose
from nimriz.cli.events import Json, Secret
from nimriz.cli.output import SaidNo, said_no


def signature(
    secret: Secret,
    timestamp: Annotated[str, typer.Option(help="X-Nim-Timestamp as it was sent.")],
    signature: Annotated[str, typer.Option(help="X-Nim-Signature as it was sent.")],
    body: Annotated[Path | None, typer.Option(help="A file with the raw body; standard input by default.")] = None,
    older_secret: Annotated[list[str] | None, typer.Option(help="A secret used before; may be repeated.")] = None,
    other_secret: Annotated[
        list[str] | None, typer.Option(help="A secret of another workspace; may be repeated.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Say which common mistake explains a signature that does not fit. Exit status 1 when it does not fit."""
    with said_no():
        if not secret:
            raise typer.BadParameter("it is empty", param_hint="--secret")
        try:
            raw = sys.stdin.buffer.read() if body is None else body.read_bytes()
        except OSError as error:
            raise SaidNo(f"the body cannot be read ({error.strerror})") from None
        codes = diagnose(Secrets(secret, older_secret or (), other_secret or ()), timestamp, signature, raw)
    if json_output:
        mistakes = [{"code": code, **MISTAKES[code]._asdict()} for code in codes]
        print(json.dumps({"right": not codes, "mistakes": mistakes}, indent=2))
    elif not codes:
        print("The signature is right: this secret, this timestamp, this body.")
    else:
        for code in codes:
            print(f"{code}: {MISTAKES[code].sentence} {MISTAKES[code].advice}")
    raise typer.Exit(int(bool(codes)))
