"""nimriz secret exclude, include, exclusions: what to do after a leak."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from nimriz.base.clock import from_rfc3339, to_rfc3339
from nimriz.base.errors import Refused
from nimriz.base.ids import new_id
from nimriz.cli.output import installation, said_no, show, show_all
from nimriz.cli.workspaces import Json, require_workspace
from nimriz.core.directory.mode import MODES
from nimriz.core.ledger import exclusions
from nimriz.core.ledger.attribution import TokenReader
from nimriz.core.ledger.exclusions import Exclusion
from nimriz.core.ledger.recording import Recorder
from nimriz.core.links import links
from nimriz.installation import Installation
from nimriz.store.db import Tx

_LINK_OWNERS_MAX = 100_000
_From = Annotated[str, typer.Option("--from", help="From this instant of arrival on; default: from the first.")]
_To = Annotated[str, typer.Option("--to", help="Before this instant of arrival; default: now.")]
_Note = Annotated[str, typer.Option(help="Why; kept with the decision.")]


def exclude(
    workspace_id: str, secret_id: str, from_: _From = "", to: _To = "", note: _Note = "", json_output: Json = False
) -> None:
    """After a leak: let what a secret signed, and what arrived in a period, count in nothing. It can be taken back."""
    _decide(workspace_id, secret_id, from_, to, note, json_output, excludes=True)


def include(
    workspace_id: str, secret_id: str, from_: _From = "", to: _To = "", note: _Note = "", json_output: Json = False
) -> None:
    """Let what was excluded count again."""
    _decide(workspace_id, secret_id, from_, to, note, json_output, excludes=False)


def list_(workspace_id: str, json_output: Json = False) -> None:
    """List what was excluded and included, oldest first; of those that cover an event the newest stands."""
    with said_no(), installation() as opened:
        opened.records.read(lambda tx: require_workspace(tx, workspace_id))
        found = opened.records.read(lambda tx: exclusions.history(tx, workspace_id))
        show_all([_told(decision) for decision in found], json_output)


def _decide(
    workspace_id: str, secret_id: str, from_: str, to: str, note: str, json_output: bool, *, excludes: bool
) -> None:
    if len(note) > exclusions.NOTE_CHARS_MAX:
        raise typer.BadParameter(f"at most {exclusions.NOTE_CHARS_MAX} characters", param_hint="--note")
    with said_no(), installation() as opened:
        now_ms = opened.clock.now_ms()
        from_ms, to_ms = _instant("--from", from_, 0), _instant("--to", to, now_ms)
        if from_ms >= to_ms:
            raise typer.BadParameter("the period ends before it begins", param_hint="--to")
        decision = Exclusion(
            new_id(now_ms), workspace_id, secret_id, int(excludes), from_ms, to_ms, note, _who(), now_ms
        )

        def write(tx: Tx) -> None:
            require_workspace(tx, workspace_id)
            if not exclusions.signed_anything(tx, workspace_id, secret_id):
                raise Refused("signing_secret_not_found")
            exclusions.decide(tx, decision)

        opened.records.write(write)
        _judge(opened)
        events = opened.records.read(lambda tx: exclusions.covered(tx, decision))
        show({**_told(decision), "events": events}, json_output)


def _judge(opened: Installation) -> None:
    """Judge what waits, beside a server that may be at it too; done when this returns."""
    reader = TokenReader(opened.keyring, links.workspace_of, _LINK_OWNERS_MAX)
    recorder = Recorder(opened.records, opened.vault, reader, opened.clock.now_ms, opened.settings.rejudge_max)
    for mode in MODES:
        while recorder.work_off(mode):
            pass


def _instant(option: str, text: str, default_ms: int) -> int:
    try:
        return from_rfc3339(text) if text else default_ms
    except ValueError:
        raise typer.BadParameter("an RFC 3339 instant such as 2026-11-23T10:00:00Z", param_hint=option) from None


def _who() -> str:
    try:
        return f"command line, {getpass.getuser()}"
    except OSError:
        return "command line"


def _told(decision: Exclusion) -> dict[str, object]:
    return {
        "exclusion_id": decision.exclusion_id,
        "secret_id": decision.secret_id,
        "decision": "excluded" if decision.excludes else "included",
        "from": to_rfc3339(decision.from_ms),
        "to": to_rfc3339(decision.to_ms),
        "note": decision.note or None,
        "actor": decision.actor,
        "decided_at": to_rfc3339(decision.decided_at_ms),
    }
