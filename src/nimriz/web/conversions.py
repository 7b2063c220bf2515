"""The Conversion API: signed claims in, durable verdicts out. Section 3 of the wire contract.

A plain ASGI callable. The checks run in the order of the contract's table: what headers can decide is
decided before the body is read, and nothing is parsed before its signature is verified.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl

import structlog

from nimriz.base import ids, jsontext, signing
from nimriz.base.clock import Clock
from nimriz.base.errors import FieldError, Refused
from nimriz.base.signing import SignatureRefused, SignedHeaders
from nimriz.core.directory.credentials import LiveSecret
from nimriz.core.ledger.claims import read_claim
from nimriz.core.ledger.deliveries import Delivery, Kind
from nimriz.core.ledger.intake import Answer, Authentic, Recorded
from nimriz.core.ledger.recording import Recorder
from nimriz.logs import where
from nimriz.store.batch import Batcher, Overflow
from nimriz.store.db import StoreError
from nimriz.web import wire
from nimriz.web.body import Bodies, is_json_type
from nimriz.web.deliveries import DeliveryLog, batch_details, refusal_details
from nimriz.web.http import Headers, Receive, Scope, Send, answer_json, answer_refused
from nimriz.web.limits import Buckets
from nimriz.web.memory import Access, Memory
from nimriz.web.metrics import Counters
from nimriz.web.visitor import VisitorReader

PREFIX = "/api/conversions/callback/"
BODY_BYTES_MAX = 65_536
BATCH_BYTES_MAX = 2 * 1024 * 1024
BATCH_EVENTS_MAX = 1_000
# An event inside a batch lies two levels deeper.
_BATCH_DEPTH_MAX = jsontext.DEPTH_MAX + 2
_IDEMPOTENCY_KEY = re.compile(rb"[\x21-\x7e]{1,255}")
SURFACE = "conversion_tracking"
_DECLARED_MAX = 2**53
_DECIDING = (
    b"content-length", b"content-type", b"content-encoding", b"x-nim-timestamp", b"x-nim-signature",
    b"idempotency-key",
)  # fmt: skip

log = structlog.get_logger()


class Heading(NamedTuple):
    """What the headers of a delivery say."""

    workspace_id: str
    is_batch: bool
    query: bytes
    signed: SignedHeaders
    idempotency_keys: list[bytes]


@dataclass(slots=True)
class Trail:
    """What has become known of a delivery so far, for the note that is kept of it."""

    received_at_ms: int
    started_ns: int
    reference: str
    workspace_id: str = ""
    is_batch: bool = False
    is_rehearsal: bool = False
    secret: LiveSecret | None = None
    body_bytes: int | None = None
    body: object = None
    event_id: str = ""
    answers: list[Answer] | None = None


class Conversions:
    """Answers every request below /api/conversions/callback/."""

    def __init__(
        self,
        memory: Memory,
        recorder: Recorder,
        batcher: Batcher[Sequence[Authentic], list[Answer] | Exception],
        visitors: VisitorReader,
        clock: Clock,
        counters: Counters,
        buckets: Buckets,
        bodies: Bodies,
        used: set[str],
        deliveries: DeliveryLog,
        *,
        wait_ms_max: int,
    ) -> None:
        self._memory = memory
        self._recorder = recorder
        self._batcher = batcher
        self._visitors = visitors
        self._clock = clock
        self._counters = counters
        self._buckets = buckets
        self._bodies = bodies
        self._used = used
        self._deliveries = deliveries
        self._wait_s_max = wait_ms_max / 1000
        # A rehearsal holds the ledger's writer as long as the real thing does.
        self._rehearsing = asyncio.Semaphore(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery."""
        now_ms = self._clock.now_ms()
        reference = ids.timed_reference(now_ms)
        trail = Trail(now_ms, time.perf_counter_ns(), reference)
        try:
            status, body = await self._answer(scope, receive, trail)
        except Refused as refused:
            self._note_refused(scope, trail, refused)
            if refused.status == 503:
                self._counters.conversions_unavailable += 1
            else:
                self._counters.conversions_refused += 1
            log.info("delivery_refused", code=refused.code, support_reference=reference)
            allow = b"POST" if refused.code == "method_not_allowed" else b""
            await answer_refused(send, refused, reference, allow)
            return
        except Exception as error:
            log.error("internal_error", error=type(error).__name__, at=where(error), support_reference=reference)
            self._note_refused(scope, trail, Refused("internal_error"))
            await answer_refused(send, Refused("internal_error"), reference)
            return
        if self._deliveries.keeps_accepted:
            details = batch_details(trail.answers) if trail.is_batch and trail.answers is not None else ""
            self._note(trail, "accepted", status, "", details)
        await answer_json(send, status, body)

    def _note_refused(self, scope: Scope, trail: Trail, refused: Refused) -> None:
        if trail.secret is not None:
            self._note(trail, "refused", refused.status, refused.code, refusal_details(refused, trail.body))
            return
        # Nobody has signed this: its size and its code, and only where a workspace may be meant.
        trail.workspace_id, slash, _ = scope["path"][len(PREFIX) :].partition("/")
        trail.is_batch = bool(slash)
        if ids.is_id(trail.workspace_id):
            if trail.body_bytes is None:
                declared = _declared_bytes(_sent(scope["headers"]))
                trail.body_bytes = None if declared is None else min(declared, _DECLARED_MAX)
            self._note(trail, "unsigned", refused.status, refused.code, "")

    def _note(self, trail: Trail, kind: Kind, status: int, code: str, details: str) -> None:
        mode, secret_id = ("", "") if trail.secret is None else (trail.secret.mode, trail.secret.secret_id)
        took_us = (time.perf_counter_ns() - trail.started_ns) // 1_000
        self._deliveries.note(
            Delivery(
                trail.workspace_id, kind, trail.reference, trail.received_at_ms, took_us, status, code, mode,
                secret_id, trail.is_batch, trail.is_rehearsal, trail.body_bytes,
                trail.event_id if kind == "accepted" else "", details,
            )
        )  # fmt: skip

    async def _answer(self, scope: Scope, receive: Receive, trail: Trail) -> tuple[int, object]:
        self._buckets.take_address(self._visitors.address_of(scope))
        heading = self._read_headers(scope)
        trail.workspace_id, trail.is_batch = heading.workspace_id, heading.is_batch
        try:
            body = await self._bodies.read(receive, BATCH_BYTES_MAX if heading.is_batch else BODY_BYTES_MAX)
            trail.body_bytes = len(body)
            access = self._memory.access_in_memory(heading.workspace_id)
            if access is None:
                access = await self._access(heading.workspace_id)
            trail.secret = self._authenticate(access, heading, body)
            if SURFACE not in access.surfaces:
                raise Refused("surface_not_enabled", surface=SURFACE)
            self._buckets.take_workspace(heading.workspace_id)
            if heading.is_batch:
                return await self._answer_batch(heading, trail.secret, body, trail)
            return await self._answer_single(heading, trail.secret, body, trail)
        except StoreError as error:
            log.error("store_unavailable", error=str(error), support_reference=trail.reference)
            raise Refused("store_unavailable", retry_after_s=1) from error

    def _read_headers(self, scope: Scope) -> Heading:
        workspace_id, slash, rest = scope["path"][len(PREFIX) :].partition("/")
        is_batch = bool(slash)
        if not workspace_id or (is_batch and rest != "batch"):
            raise Refused("not_found")
        if scope["method"] != "POST":
            raise Refused("method_not_allowed")
        sent = _sent(scope["headers"])
        if (_declared_bytes(sent) or 0) > (BATCH_BYTES_MAX if is_batch else BODY_BYTES_MAX):
            raise Refused("body_too_large")
        if sent[b"content-encoding"] or not is_json_type(sent[b"content-type"]):
            raise Refused("content_type_unsupported")
        try:
            signed = signing.read_headers(
                sent[b"x-nim-timestamp"], sent[b"x-nim-signature"], self._clock.now_ms() // 1000
            )
        except SignatureRefused as refused:
            raise Refused(refused.code) from None
        return Heading(workspace_id, is_batch, scope["query_string"], signed, sent[b"idempotency-key"])

    async def _access(self, workspace_id: str) -> Access:
        if not ids.is_id(workspace_id):
            return Access((), frozenset())
        try:
            async with asyncio.timeout(self._wait_s_max):
                return await self._memory.access(workspace_id)
        except TimeoutError:
            raise Refused("store_unavailable", retry_after_s=1) from None

    def _authenticate(self, access: Access, heading: Heading, body: bytes) -> LiveSecret:
        # Live secrets come first, so live wins when both modes match.
        try:
            index = signing.first_match([secret.key for secret in access.secrets], heading.signed, body)
        except SignatureRefused as refused:
            raise Refused(refused.code) from None
        secret = access.secrets[index]
        self._used.add(secret.secret_id)
        return secret

    async def _answer_single(
        self, heading: Heading, secret: LiveSecret, body: bytes, trail: Trail
    ) -> tuple[int, object]:
        value = trail.body = jsontext.parse(body)
        validate_only, errors = _read_query(heading.query)
        trail.is_rehearsal = validate_only
        key = None
        if heading.idempotency_keys:
            if len(heading.idempotency_keys) > 1 or not _IDEMPOTENCY_KEY.fullmatch(heading.idempotency_keys[0]):
                errors.append(FieldError("Idempotency-Key", "idempotency_key_malformed"))
            else:
                key = heading.idempotency_keys[0].decode("ascii")
        try:
            claim = read_claim(value, self._clock.now_ms())
        except Refused as refused:
            raise Refused("validation_failed", errors=(*errors, *refused.errors)) from None
        if errors:
            raise Refused("validation_failed", errors=tuple(errors))
        trail.event_id = claim.event_id
        authentic = Authentic(heading.workspace_id, secret.mode, secret.secret_id, claim, key)
        (recorded,) = await self._record((authentic,), validate_only)
        if isinstance(recorded, Refused):
            raise recorded
        if validate_only:
            return 200, wire.recorded(recorded, trail.reference, "valid")
        return 200 if recorded.duplicate else 201, wire.recorded(recorded, trail.reference)

    async def _answer_batch(
        self, heading: Heading, secret: LiveSecret, body: bytes, trail: Trail
    ) -> tuple[int, object]:
        value = trail.body = jsontext.parse(body, _BATCH_DEPTH_MAX)
        validate_only, errors = _read_query(heading.query)
        trail.is_rehearsal = validate_only
        events = _read_events(value, errors)
        now_ms = self._clock.now_ms()
        answers: list[Answer | None] = []
        claims: list[Authentic] = []
        for item in events:
            try:
                claim = read_claim(item, now_ms)
            except Refused as refused:
                answers.append(refused)
            else:
                answers.append(None)
                claims.append(Authentic(heading.workspace_id, secret.mode, secret.secret_id, claim))
        recorded = iter(await self._record(claims, validate_only) if claims else [])
        status = "valid" if validate_only else "recorded"
        trail.answers = [answer or next(recorded) for answer in answers]
        results = [_result(answer, trail.reference, status) for answer in trail.answers]
        return 200, {"results": results, "support_reference": trail.reference}

    async def _record(self, claims: Sequence[Authentic], validate_only: bool) -> list[Answer]:
        if validate_only:
            try:
                async with asyncio.timeout(self._wait_s_max), self._rehearsing:
                    return await asyncio.to_thread(self._recorder.validate, claims)
            except TimeoutError:
                raise Refused("store_unavailable", retry_after_s=1) from None
        try:
            batch, place = self._batcher.put(claims, len(claims))
        except Overflow:
            raise Refused("store_unavailable", retry_after_s=1) from None
        outcomes = await batch.done
        if outcomes is None:  # conversion_wait_ms_max has passed.
            raise Refused("store_unavailable", retry_after_s=1)
        answers = outcomes[place]
        if isinstance(answers, Exception):
            raise answers
        for answer in answers:
            if isinstance(answer, Recorded):
                if answer.duplicate:
                    self._counters.conversions_repeated += 1
                else:
                    self._counters.conversions_recorded += 1
        return answers


def _declared_bytes(sent: Mapping[bytes, Sequence[bytes]]) -> int | None:
    lengths = sent[b"content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdigit() else None


def _sent(headers: Headers) -> dict[bytes, list[bytes]]:
    """Every value of each header that decides something."""
    sent: dict[bytes, list[bytes]] = {name: [] for name in _DECIDING}
    for name, value in headers:
        if name in sent:
            sent[name].append(value)
    return sent


def _read_query(query: bytes) -> tuple[bool, list[FieldError]]:
    """Whether this is a rehearsal; `?validateonly=true` must not record money, so the rest is refused."""
    if not query:
        return False, []
    pairs = parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True)
    if pairs == [("validate_only", "true")]:
        return True, []
    if pairs == [("validate_only", "false")]:
        return False, []
    known = [name for name, _ in pairs] == ["validate_only"]
    return False, [FieldError("query.validate_only" if known else "query", "field_type" if known else "field_unknown")]


def _read_events(value: object, errors: list[FieldError]) -> list[object]:
    events = value.get("events") if isinstance(value, dict) else None
    if not isinstance(value, dict):
        errors.append(FieldError("body", "field_type"))
    elif value.keys() - {"events"}:
        errors.append(FieldError("body", "field_unknown"))
    if isinstance(value, dict) and events is None:
        errors.append(FieldError("events", "field_missing"))
    elif isinstance(value, dict) and not isinstance(events, list):
        errors.append(FieldError("events", "field_type"))
    elif isinstance(events, list) and not 1 <= len(events) <= BATCH_EVENTS_MAX:
        errors.append(FieldError("events", "field_length"))
    if errors or not isinstance(events, list):
        raise Refused("validation_failed", errors=tuple(errors))
    return events


def _result(answer: Answer, reference: str, status: str) -> dict[str, object]:
    if isinstance(answer, Refused):
        return {"http_status": answer.status, **answer.problem(reference)}
    http_status = 200 if answer.duplicate or status == "valid" else 201
    return {"http_status": http_status, **wire.recorded(answer, reference, status)}
