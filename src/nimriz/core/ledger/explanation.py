"""Explanation: why an event stands as it does: the judging of it, done anew step by step, and what stood before.

Promises to write nothing, and to be made by the code that judges: `reproduced` says that judging anew comes to what
stands. It does not while an event waits to be judged again in the background.
"""

from __future__ import annotations

from dataclasses import dataclass

from nimriz.core.directory.mode import Mode
from nimriz.core.directory.vault import Vault
from nimriz.core.ledger import attribution, conversions, settlement
from nimriz.core.ledger.attribution import TokenReader, Verdict
from nimriz.core.ledger.conversions import Conversion
from nimriz.core.ledger.hearing import Hearing
from nimriz.core.ledger.settlement import NO_MONEY, Settlement
from nimriz.core.ledger.trace import Trace
from nimriz.core.routing import decisions
from nimriz.store.db import Tx

HISTORY_MAX = 100
FOLLOW_ONS_MAX = 500
"""An order with more is not settled anew for an explanation: that would take too long."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One event as it stands, the steps to it, and every verdict and settlement with its date, the newest first.

    A verdict comes with the key of its click's variant, '' for none.
    """

    conversion: Conversion
    steps: Trace
    verdicts: list[tuple[int, Verdict, str]]
    settlements: list[tuple[int, Settlement | None]]
    reproduced: bool


def explain(
    tx: Tx, mode: Mode, vault: Vault, reader: TokenReader, workspace_id: str, event_id: str, now_ms: int
) -> Explanation | None:
    """Why an event stands as it does; None when there is no such event."""
    conversion = conversions.find(tx, mode, vault, workspace_id, event_id)
    if conversion is None:
        return None
    hearing = Hearing(tx, mode, workspace_id, reader, now_ms, FOLLOW_ONS_MAX)
    verdict, settled, steps = hearing.explain(conversion.outcome)
    verdicts = attribution.history(tx, mode, workspace_id, event_id, HISTORY_MAX)
    settlements = settlement.history(tx, mode, workspace_id, event_id, HISTORY_MAX)
    return Explanation(
        conversion,
        steps,
        [(judged_at_ms, one, decisions.variant_key(tx, one.link_id, one.decision)) for judged_at_ms, one in verdicts],
        [(judged_at_ms, None if stood == NO_MONEY else stood) for judged_at_ms, stood in settlements],
        reproduced=(verdict, settled) == (conversion.verdict, conversion.settlement),
    )
