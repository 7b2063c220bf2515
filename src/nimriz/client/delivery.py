"""How a delivery goes: what is posted, when it is tried again, and when to give up. No socket is touched here.

Each way is a generator of steps, taken by a driver: blocking or not, the rules are these. Promises that what was
refused for good is never sent again, that every attempt is signed anew, and that nothing outlives its deadline.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from nimriz.base import signing
from nimriz.client.answers import NOT_OURS, GaveUp, Recorded, Refused, Reply, Trouble, read_batch, read_single

BATCH_EVENTS_MAX = 1_000
BATCH_BYTES_MAX = 2 * 1024 * 1024
ANSWER_BYTES_MAX = 32 * 1024 * 1024
_OPEN, _CLOSE = b'{"events":[', b"]}"
# Said of a whole batch, and it may be one event's fault: each half is tried by itself.
_DIVIDED_STATUSES = (400, 413, 422)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for what."""

    deadline_s: float = 30.0
    """For one call, all attempts and pauses included."""

    attempt_s: float = 10.0
    """For one attempt."""

    first_wait_s: float = 0.25
    """Before the second attempt; twice as long before each further one."""

    wait_s_max: float = 10.0
    """The longest pause, unless Retry-After asks for more."""


class Post(NamedTuple):
    """A step: post this. The driver answers with a Reply, or with Trouble when there was none."""

    url: str
    headers: dict[str, str]
    content: bytes
    timeout_s: float


class Wait(NamedTuple):
    """A step: let this time pass."""

    seconds: float


class Do(NamedTuple):
    """A step: call this where blocking is allowed. The driver answers with what it returned."""

    call: Callable[[], Any]


Result = TypeVar("Result")
Steps = Generator[Post | Wait | Do, Any, Result]
Verdict = Recorded | Refused | Trouble


@dataclass(frozen=True, slots=True)
class Target:
    """Where events go, and how they are signed."""

    url: str
    signing_secrets: tuple[bytes, ...] = field(repr=False)
    patience: Patience

    def post(self, path: str, content: bytes, headers: dict[str, str], left_s: float) -> Post:
        """One attempt, signed now: with every secret, so that one of them may be on its way out."""
        now_s = int(time.time())
        signatures = ",".join(signing.sign(secret, now_s, content) for secret in self.signing_secrets)
        signed = {
            "Content-Type": "application/json",
            "X-Nim-Timestamp": str(now_s),
            "X-Nim-Signature": signatures,
            **headers,
        }
        return Post(self.url + path, signed, content, min(self.patience.attempt_s, left_s))


def target(url: str, workspace_id: str, signing_secret: str | Sequence[str], patience: Patience) -> Target:
    """Raises ValueError for what can be no target."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("url begins with https:// or http://")
    given = (signing_secret,) if isinstance(signing_secret, str) else tuple(signing_secret)
    if not workspace_id or not 1 <= len(given) <= signing.SIGNATURES_MAX or not all(given):
        raise ValueError("a client needs a workspace_id and one signing secret, at most 8")
    address = f"{url.rstrip('/')}/api/conversions/callback/{workspace_id}"
    return Target(address, tuple(secret.encode() for secret in given), patience)


def pause_s(patience: Patience, failures: int, retry_after_s: float | None) -> float:
    """How long to wait after so many failures in a row: half of it is left to chance, lest all come back at once."""
    longest = min(patience.wait_s_max, patience.first_wait_s * float(2 ** min(failures - 1, 30)))
    return (retry_after_s or longest / 2) + random.random() * longest / 2


def deliver(to: Target, raw: bytes, ends_s: float, *, validate_only: bool = False) -> Steps[Recorded]:
    """One event, until it is recorded. Raises Refused, or GaveUp when the deadline comes first."""
    # One key for all attempts of this call, and another one for the next call.
    headers = {"Idempotency-Key": secrets.token_urlsafe(24)}
    failures = 0
    while True:
        reply = yield to.post(_query(validate_only), raw, headers, max(0.001, ends_s - time.monotonic()))
        verdict = read_single(reply) if isinstance(reply, Reply) else reply
        if isinstance(verdict, Recorded):
            return verdict
        if isinstance(verdict, Refused):
            raise verdict
        failures += 1
        wait_s = pause_s(to.patience, failures, verdict.retry_after_s)
        if time.monotonic() + wait_s >= ends_s:
            raise GaveUp(verdict.code, verdict.retry_after_s)
        yield Wait(wait_s)


class Round(NamedTuple):
    """One attempt at a batch: a verdict each; `whole` where it was said of the request and not of single events."""

    verdicts: list[Verdict]
    whole: Refused | Trouble | None


def attempt(to: Target, raws: Sequence[bytes], ends_s: float, *, validate_only: bool = False) -> Steps[Round]:
    """Post a batch once. An event for which the whole body is refused is found by halving."""
    left_s = ends_s - time.monotonic()
    if left_s <= 0:
        late = Trouble("deadline_passed")
        return Round([late] * len(raws), late)
    reply = yield to.post("/batch" + _query(validate_only), _OPEN + b",".join(raws) + _CLOSE, {}, left_s)
    said = read_batch(reply, len(raws)) if isinstance(reply, Reply) else reply
    if isinstance(said, list):
        return Round(said, None)
    if isinstance(said, Refused) and said.status in _DIVIDED_STATUSES and said.code != NOT_OURS:
        if len(raws) == 1:
            return Round([said], None)
        middle = len(raws) // 2
        first = yield from attempt(to, raws[:middle], ends_s, validate_only=validate_only)
        second = yield from attempt(to, raws[middle:], ends_s, validate_only=validate_only)
        return Round([*first.verdicts, *second.verdicts], first.whole or second.whole)
    return Round([said] * len(raws), said)


def deliver_many(
    to: Target, raws: Sequence[bytes], ends_s: float, *, validate_only: bool = False
) -> Steps[list[Recorded | Refused | GaveUp]]:
    """Any number of events in batches; what became of each, in order. Only what was not answered is sent again."""
    verdicts: list[Verdict] = [Trouble("not_sent")] * len(raws)
    waiting = list(range(len(raws)))
    failures = 0
    while waiting:
        said: Refused | Trouble | None = None
        for part in in_bounds(waiting, [len(raw) for raw in raws]):
            tried = yield from attempt(to, [raws[place] for place in part], ends_s, validate_only=validate_only)
            for place, verdict in zip(part, tried.verdicts, strict=True):
                verdicts[place] = verdict
            said = tried.whole
            if said is not None:
                break
        waiting = [place for place in waiting if isinstance(verdicts[place], Trouble)]
        if isinstance(said, Refused):
            for place in waiting:
                verdicts[place] = said
            break
        failures += 1
        wait_s = pause_s(to.patience, failures, said.retry_after_s if said else None)
        if time.monotonic() + wait_s >= ends_s:
            break
        if waiting:
            yield Wait(wait_s)
    return [GaveUp(*verdict) if isinstance(verdict, Trouble) else verdict for verdict in verdicts]


def in_bounds(places: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Divide into batches that the endpoint takes."""
    part: list[int] = []
    size = len(_OPEN) + len(_CLOSE)
    for place in places:
        grown = size + lengths[place] + 1
        if part and (len(part) == BATCH_EVENTS_MAX or grown > BATCH_BYTES_MAX):
            yield part
            part, grown = [], len(_OPEN) + len(_CLOSE) + lengths[place] + 1
        part.append(place)
        size = grown
    if part:
        yield part


def _query(validate_only: bool) -> str:
    return "?validate_only=true" if validate_only else ""
