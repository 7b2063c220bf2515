"""Importing: the rows of a file become links of one workspace on one domain, all of them or none.

They are judged and prepared beside the running service, against a snapshot. Only the writing is one
transaction, and it is done if nothing that the judgment rests on has changed meanwhile. A row whose slug
leads to its destination already is there already, so a file may be imported again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from nimriz.base.errors import FieldError, Refused
from nimriz.core.directory import changes
from nimriz.core.links import creation, drafts, history, links
from nimriz.core.links.creation import Order
from nimriz.core.links.destinations import Policy
from nimriz.core.links.domains import Domain
from nimriz.core.links.drafts import NewLink
from nimriz.core.links.link_files import FileRow
from nimriz.store.db import Database, Tx
from nimriz.store.prepared import Prepared

SLICE_ROWS = 1_000
TRIES = 3
_NOTES_MAX = 10_000
Outcome = Refused | Literal["made", "there"]


class ImportedLink(NewLink):
    """A link from a file: new, but disabled where it came from, perhaps."""

    status: Literal["active", "disabled"] | None = None


class Target(NamedTuple):
    """Where the links go, and what the installation allows."""

    workspace_id: str
    domain: Domain
    policy: Policy


class Unsettled(Exception):
    """What the judgment rests on kept changing; nothing was written."""


def bring_in(
    records: Database,
    target: Target,
    rows: Sequence[FileRow],
    now_ms: Callable[[], int],
    seen: Callable[[int], None],
    *,
    dry_run: bool = False,
    skip_refused: bool = False,
) -> tuple[list[Outcome], bool]:
    """Import rows: what became of each, and whether anything was written.

    Nothing is written in a dry run, nor when a row is refused, unless such rows are to be skipped. `seen` is
    called with the number of rows judged so far. Raises Unsettled.
    """
    for _ in range(TRIES):
        prepared, since, outcomes = records.read(lambda tx: _prepared(tx, target, rows, now_ms, seen))
        refused = any(isinstance(outcome, Refused) for outcome in outcomes)
        if dry_run or (refused and not skip_refused) or "made" not in outcomes:
            return outcomes, False
        made = {f"{target.domain.domain_id}/{row.slug}" for row, o in zip(rows, outcomes, strict=True) if o == "made"}
        if records.write(partial(_performed, target=target, prepared=prepared, since=since, made=made)):
            return outcomes, True
    raise Unsettled


def _prepared(
    tx: Tx, target: Target, rows: Sequence[FileRow], now_ms: Callable[[], int], seen: Callable[[int], None]
) -> tuple[Prepared, int, list[Outcome]]:
    prepared, since = Prepared(tx), changes.newest(tx)
    outcomes: list[Outcome] = []
    made: dict[str, str] = {}
    for start in range(0, len(rows), SLICE_ROWS):
        # Each slice at its own instant, so that the links stand in the order of the file.
        outcomes += _judged(prepared, target, rows[start : start + SLICE_ROWS], made, now_ms())
        seen(len(outcomes))
    return prepared, since, outcomes


def _judged(tx: Tx, target: Target, rows: Sequence[FileRow], made: dict[str, str], now_ms: int) -> Iterator[Outcome]:
    """What becomes of a slice. `made` are the destinations of the slugs made before; it is added to."""
    domain_id = target.domain.domain_id
    found = links.find_by_slugs(tx, domain_id, [row.slug for row in rows])
    known = {slug: link.long_url for slug, link in found.items() if link.workspace_id == target.workspace_id} | made
    new = [row for row in rows if row.slug not in known]
    orders = [Order(_draft(row, domain_id)) for row in new]
    results = creation.create_many(tx, target.workspace_id, orders, target.policy, history.OPERATOR, now_ms)
    outcomes: dict[int, Outcome] = {}
    for row, result in zip(new, results, strict=True):
        if isinstance(result, Refused):
            outcomes[row.line] = result
        else:
            made[row.slug] = known[row.slug] = result.link.long_url
            outcomes[row.line] = "made"
    for row in rows:
        outcome = outcomes.get(row.line, Refused("slug_taken"))
        again = isinstance(outcome, Refused) and outcome.code == "slug_taken"
        yield "there" if again and known.get(row.slug) == row.said.get("long_url") else outcome


def _draft(row: FileRow, domain_id: str) -> drafts.Draft | Refused:
    if row.errors:
        return Refused("validation_failed", errors=row.errors)
    if not row.slug:
        return Refused("slug_invalid")
    try:
        return drafts.read(
            ImportedLink.model_validate({"long_url": "", **row.said, "domain_id": domain_id, "custom_slug": row.slug})
        )
    except ValidationError as error:
        return Refused("validation_failed", errors=tuple(_field_error(found) for found in error.errors()))
    except Refused as refused:
        return refused


def _field_error(found: Any) -> FieldError:
    code = "field_length" if found["type"].endswith(("too_short", "too_long")) else "field_type"
    return FieldError(".".join(map(str, found["loc"])), code)


def _performed(tx: Tx, target: Target, prepared: Prepared, since: int, made: set[str]) -> bool:
    """Write what was prepared, if it still holds."""
    notes = changes.since(tx, since, _NOTES_MAX)
    if len(notes) == _NOTES_MAX or any(_concerns(note, target, made) for note in notes):
        return False
    prepared.perform(tx)
    return True


def _concerns(note: changes.Change, target: Target, made: set[str]) -> bool:
    if note.topic == "link":
        return note.subject in made
    return note.topic in ("domain", "blocklist") or note.subject == target.workspace_id
