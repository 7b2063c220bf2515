"""How an outbox is emptied: a batch at a time, by one sender at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from nimriz.client.answers import Recorded, Refused
from nimriz.client.delivery import Do, Steps, Target, Wait, attempt, pause_s
from nimriz.client.outbox import Outbox

ANOTHER_SENDS = "another_sends"
_LOOK_AGAIN_S = 0.1

Told = Callable[[Recorded | Refused], None]


@dataclass(frozen=True, slots=True)
class Flushed:
    """What one flush has done, and what is left."""

    recorded: int
    refused: int
    different: int
    """Of those recorded: repeats that mean something else than the event that is kept."""

    waiting: int
    trouble: str | None
    """Why something still waits."""


def flush(
    to: Target, outbox: Outbox, ends_s: float, *, patient: bool = True, told: Told | None = None
) -> Steps[Flushed]:
    """Send what waits until nothing does, or the deadline has come. Each batch that was answered is settled at once.

    Raises Refused when it was said of the whole request (a revoked secret, say): then everything waits on.
    """
    turn = outbox.take_turn()
    while turn is None:
        if not patient or time.monotonic() + _LOOK_AGAIN_S >= ends_s:
            return Flushed(0, 0, 0, (yield Do(outbox.waiting)), ANOTHER_SENDS)
        yield Wait(_LOOK_AGAIN_S)
        turn = outbox.take_turn()
    try:
        return (yield from _flush(to, outbox, ends_s, told))
    finally:
        outbox.end_turn(turn)


def _flush(to: Target, outbox: Outbox, ends_s: float, told: Told | None) -> Steps[Flushed]:
    counts: Counter[str] = Counter()
    failures = 0
    trouble = None
    while page := (yield Do(outbox.page)):
        tried = yield from attempt(to, [event.body for event in page], ends_s)
        final = [verdict for verdict in tried.verdicts if isinstance(verdict, Recorded | Refused)]
        if isinstance(tried.whole, Refused):
            raise tried.whole
        if final or tried.whole is None:
            yield Do(partial(outbox.settle, page, tried.verdicts))
        for verdict in final:
            counts["recorded" if isinstance(verdict, Recorded) else "refused"] += 1
            counts["different"] += isinstance(verdict, Recorded) and bool(verdict.differences)
            if told is not None:
                told(verdict)
        trouble = None
        if final and tried.whole is None:
            failures = 0
            continue
        failures += 1
        unanswered = [verdict for verdict in tried.verdicts if not isinstance(verdict, Recorded | Refused)]
        trouble = unanswered[0].code
        wait_s = pause_s(to.patience, failures, tried.whole.retry_after_s if tried.whole else None)
        if time.monotonic() + wait_s >= ends_s:
            break
        yield Wait(wait_s)
    waiting = yield Do(outbox.waiting)
    return Flushed(counts["recorded"], counts["refused"], counts["different"], waiting, trouble)
