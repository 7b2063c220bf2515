"""Why an event stands as it does."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from nimriz.base.clock import to_rfc3339
from nimriz.base.errors import Refused
from nimriz.base.ids import new_reference
from nimriz.core.directory.mode import Mode
from nimriz.core.ledger import explanation
from nimriz.core.ledger.explanation import Explanation
from nimriz.core.ledger.trace import Step, words
from nimriz.store.db import Tx
from nimriz.web import wire
from nimriz.web.api.conversions import get_conversion
from nimriz.web.api.desk import Desk, answer, caller

router = APIRouter()


@router.get("/api/v1/conversions/{event_id:whole}/explain")
async def explain_conversion(request: Request, event_id: str, mode: Mode = "live") -> Response:
    """Why one event stands as it does: every check in order, with what to do; and earlier verdicts, dated.

    An event_id that itself ends in `/explain` is read by spelling that slash `%2F`.
    """
    desk: Desk = request.app.state.desk
    key = caller(request, "conversions:read")
    if not request.scope["raw_path"].endswith(b"/explain"):
        return await get_conversion(request, f"{event_id}/explain", mode)

    def read(tx: Tx) -> Explanation:
        now_ms = desk.clock.now_ms()
        found = explanation.explain(tx, mode, desk.vault, desk.reader, key.workspace_id, event_id, now_ms)
        if found is None:
            raise Refused("conversion_not_found")
        return found

    return answer(_explained(await desk.read(read)))


def _explained(found: Explanation) -> dict[str, object]:
    return {
        **wire.standing(found.conversion),
        "steps": [_step(step) for step in found.steps],
        "reproduced": found.reproduced,
        "verdicts": [
            {"judged_at": to_rfc3339(judged_at_ms), "attribution": wire.attribution(verdict, variant)}
            for judged_at_ms, verdict, variant in found.verdicts
        ],
        "settlements": [
            {"judged_at": to_rfc3339(judged_at_ms), "settlement": wire.settlement(settled)}
            for judged_at_ms, settled in found.settlements
        ],
        "support_reference": new_reference(),
    }


def _step(step: Step) -> dict[str, object]:
    said = words(step)
    return {
        "check": step.check,
        "code": step.code,
        "passed": said.passed,
        "sentence": said.sentence,
        "facts": step.facts,
        "advice": said.advice or None,
    }
