"""The Conversion API: signed claims in, durable verdicts out. Section 3 of the wire contract.

A plain ASGI callable. The checks run in the order of the contract's table: what headers can decide is
decided before the body is read, and nothing is parsed before its signature is verified.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

import structlog

from nimriz.base import ids, jsontext, signing
from nimriz.base.clock import Clock
from nimriz.base.errors import FieldError, Refused
from nimriz.base.signing import SignatureRefused, SignedHeaders
from nimriz.core.claims import read_claim
from nimriz.core.credentials import LiveSecret
from nimriz.core.intake import Answer, Authentic, Recorded
from nimriz.core.recording import Recorder
from nimriz.store.batch import Batcher, Overflow
from nimriz.store.db import StoreError
from nimriz.web import wire
from nimriz.web.body import Bodies, is_json_type
from nimriz.web.http import Headers, Receive, Scope, Send, answer_json, answer_refused, where
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
_DECIDING = (
    b"content-length", b"content-type", b"content-encoding", b"x-nim-timestamp", b"x-nim-signature",
    b"idempotency-key",
)  # fmt: skip

log = structlog.get_logger()


@dataclass(slots=True)
class Delivery:
    """One HTTP attempt: what its headers say."""

    workspace_id: str
    is_batch: bool
    query: bytes
    signed: SignedHeaders
    idempotency_keys: list[bytes]


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
        self._wait_s_max = wait_ms_max / 1000
        # A rehearsal holds the ledger's writer as long as the real thing does.
        self._rehearsing = asyncio.Semaphore(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery."""
        reference = ids.new_reference()
        try:
            status, body = await self._answer(scope, receive, reference)
        except Refused as refused:
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
            await answer_refused(send, Refused("internal_error"), reference)
            return
        await answer_json(send, status, body)

    async def _answer(self, scope: Scope, receive: Receive, reference: str) -> tuple[int, object]:
        self._buckets.take_address(self._visitors.address_of(scope))
        delivery = self._read_headers(scope)
        try:
            body = await self._bodies.read(receive, BATCH_BYTES_MAX if delivery.is_batch else BODY_BYTES_MAX)
            access = self._memory.access_in_memory(delivery.workspace_id)
            if access is None:
                access = await self._access(delivery.workspace_id)
            secret = self._authenticate(access, delivery, body)
            if SURFACE not in access.surfaces:
                raise Refused("surface_not_enabled", surface=SURFACE)
            self._buckets.take_workspace(delivery.workspace_id)
            if delivery.is_batch:
                return await self._answer_batch(delivery, secret, body, reference)
            return await self._answer_single(delivery, secret, body, reference)
        except StoreError as error:
            log.error("store_unavailable", error=str(error), support_reference=reference)
            raise Refused("store_unavailable", retry_after_s=1) from error

    def _read_headers(self, scope: Scope) -> Delivery:
        workspace_id, slash, rest = scope["path"][len(PREFIX) :].partition("/")
        is_batch = bool(slash)
        if not workspace_id or (is_batch and rest != "batch"):
            raise Refused("not_found")
        if scope["method"] != "POST":
            raise Refused("method_not_allowed")
        sent = _sent(scope["headers"])
        lengths = sent[b"content-length"]
        body_bytes = int(lengths[0]) if lengths and lengths[0].isdigit() else 0
        if body_bytes > (BATCH_BYTES_MAX if is_batch else BODY_BYTES_MAX):
            raise Refused("body_too_large")
        if sent[b"content-encoding"] or not is_json_type(sent[b"content-type"]):
            raise Refused("content_type_unsupported")
        try:
            signed = signing.read_headers(
                sent[b"x-nim-timestamp"], sent[b"x-nim-signature"], self._clock.now_ms() // 1000
            )
        except SignatureRefused as refused:
            raise Refused(refused.code) from None
        return Delivery(workspace_id, is_batch, scope["query_string"], signed, sent[b"idempotency-key"])

    async def _access(self, workspace_id: str) -> Access:
        if not ids.is_id(workspace_id):
            return Access((), frozenset())
        try:
            async with asyncio.timeout(self._wait_s_max):
                return await self._memory.access(workspace_id)
        except TimeoutError:
            raise Refused("store_unavailable", retry_after_s=1) from None

    def _authenticate(self, access: Access, delivery: Delivery, body: bytes) -> LiveSecret:
        # Live secrets come first, so live wins when both modes match.
        try:
            index = signing.first_match([secret.key for secret in access.secrets], delivery.signed, body)
        except SignatureRefused as refused:
            raise Refused(refused.code) from None
        secret = access.secrets[index]
        self._used.add(secret.secret_id)
        return secret

    async def _answer_single(
        self, delivery: Delivery, secret: LiveSecret, body: bytes, reference: str
    ) -> tuple[int, object]:
        value = jsontext.parse(body)
        validate_only, errors = _read_query(delivery.query)
        key = None
        if delivery.idempotency_keys:
            if len(delivery.idempotency_keys) > 1 or not _IDEMPOTENCY_KEY.fullmatch(delivery.idempotency_keys[0]):
                errors.append(FieldError("Idempotency-Key", "idempotency_key_malformed"))
            else:
                key = delivery.idempotency_keys[0].decode("ascii")
        try:
            claim = read_claim(value, self._clock.now_ms())
        except Refused as refused:
            raise Refused("validation_failed", errors=(*errors, *refused.errors)) from None
        if errors:
            raise Refused("validation_failed", errors=tuple(errors))
        authentic = Authentic(delivery.workspace_id, secret.mode, secret.secret_id, claim, key)
        (recorded,) = await self._record((authentic,), validate_only)
        if isinstance(recorded, Refused):
            raise recorded
        if validate_only:
            return 200, wire.recorded(recorded, reference, "valid")
        return 200 if recorded.duplicate else 201, wire.recorded(recorded, reference)

    async def _answer_batch(
        self, delivery: Delivery, secret: LiveSecret, body: bytes, reference: str
    ) -> tuple[int, object]:
        value = jsontext.parse(body, _BATCH_DEPTH_MAX)
        validate_only, errors = _read_query(delivery.query)
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
                claims.append(Authentic(delivery.workspace_id, secret.mode, secret.secret_id, claim))
        recorded = iter(await self._record(claims, validate_only) if claims else [])
        status = "valid" if validate_only else "recorded"
        results = [_result(answer or next(recorded), reference, status) for answer in answers]
        return 200, {"results": results, "support_reference": reference}

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
