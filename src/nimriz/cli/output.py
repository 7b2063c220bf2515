"""How commands speak: results on standard output, what went wrong in one sentence on standard error."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from nimriz.base.errors import CODES, Refused
from nimriz.config import Settings
from nimriz.core.clicks.address_files import AddressFileRefused
from nimriz.core.directory.vault import VaultRefused
from nimriz.installation import Installation, open_installation
from nimriz.serve import AlreadyServed
from nimriz.store.db import StoreError
from nimriz.store.migrate import MigrationRefused
from nimriz.store.sqlite import SqliteTooOld


class SaidNo(Exception):
    """The command cannot do it; the message is the sentence to print."""


@contextlib.contextmanager
def said_no() -> Iterator[None]:
    """Turn what the service refuses into a sentence and exit status 1."""
    try:
        yield
    except Refused as refused:
        _stop(CODES[refused.code].detail)
    except ValidationError as invalid:
        names = ", ".join(sorted("NIMRIZ_" + "_".join(map(str, e["loc"])).upper() for e in invalid.errors()))
        _stop(f"A setting has a value that it cannot have: {names}.")
    except StoreError as error:
        _stop(f"The data directory cannot be used ({error}).")
    except (SaidNo, VaultRefused, AddressFileRefused, MigrationRefused, SqliteTooOld, AlreadyServed) as error:
        _stop(str(error))


def _stop(sentence: str) -> None:
    sentence = sentence[:1].upper() + sentence[1:]
    print(sentence if sentence.endswith(".") else sentence + ".", file=sys.stderr)
    sys.exit(1)


@contextlib.contextmanager
def installation() -> Iterator[Installation]:
    """The installation that the settings name, opened beside a server that may be running."""
    opened = open_installation(Settings())
    try:
        yield opened
    finally:
        opened.close()


def show(values: Mapping[str, object], as_json: bool) -> None:
    """Print one thing: JSON, or a line for each member."""
    if as_json:
        print(json.dumps(values, indent=2))
        return
    width = max(map(len, values))
    for name, value in values.items():
        print(f"{name:<{width}}  {'' if value is None else value}")


def show_all(rows: Sequence[Mapping[str, object]], as_json: bool) -> None:
    """Print many things of a kind: JSON, or a table."""
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    if not rows:
        print("none")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console().print(table)
