"""The API's door: who calls is known, and the body whole, bounded and strict JSON, before FastAPI sees it.

A body of another type is refused with 415. One that is empty needs no type: clients send DELETE without either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

import structlog

from nimriz.analytics.dimensions import FILTER_NAMES
from nimriz.base import jsontext
from nimriz.base.errors import FieldError, Refused
from nimriz.base.ids import new_reference
from nimriz.core.directory.credentials import ApiKey
from nimriz.store.db import StoreError
from nimriz.web.body import Bodies, is_json_type
from nimriz.web.http import Application, Headers, Message, Receive, Scope, Send, answer, answer_refused
from nimriz.web.memory import Memory

Public = Mapping[str, Callable[[], tuple[Headers, bytes]]]
"""What anybody may read: headers and body by path."""

BODY_BYTES_MAX = 2 * 1024 * 1024
CALLER = "nimriz.caller"
ASK_AGAIN = "nimriz.ask_again"
"""Who calls, asked anew: for answers that take long. Raises Refused(unauthorized) or StoreError."""

_REPORTS = "/api/v1/analytics/"
"""Here filters may be sent several times."""

log = structlog.get_logger()


class Door:
    """An ASGI application in front of another."""

    def __init__(self, inside: Application, memory: Memory, bodies: Bodies, public: Public) -> None:
        self._inside = inside
        self._memory = memory
        self._bodies = bodies
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or say why not."""
        if scope["path"] in self._public:
            await self._show(scope, send)
            return
        try:
            scope[CALLER] = await self._caller(scope)
            scope[ASK_AGAIN] = lambda: self._caller(scope)
            query = scope["query_string"].decode("latin-1")
            many = FILTER_NAMES if scope["path"].startswith(_REPORTS) else frozenset()
            names = [name for name, _ in parse_qsl(query, keep_blank_values=True) if name not in many]
            if len(set(names)) < len(names):
                raise Refused("validation_failed", errors=(FieldError("query", "field_unknown"),))
            body = await self._body(scope, receive)
        except Refused as refused:
            await answer_refused(send, refused, new_reference())
            return
        except StoreError as error:
            log.error("store_unavailable", error=str(error))
            await answer_refused(send, Refused("store_unavailable", retry_after_s=1), new_reference())
            return

        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            # After the body comes only the news that the caller has gone.
            return whole.pop() if whole else await receive()

        await self._inside(scope, replay, send)

    async def _show(self, scope: Scope, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await answer_refused(send, Refused("method_not_allowed"), new_reference(), b"GET, HEAD")
            return
        headers, body = await asyncio.to_thread(self._public[scope["path"]])
        await answer(send, 200, body, headers)

    async def _caller(self, scope: Scope) -> ApiKey:
        sent = []
        for name, value in scope["headers"]:
            if name == b"x-nim-api-key":
                sent.append(value)
            elif name == b"authorization" and value[:7].lower() == b"bearer ":
                sent.append(value[7:].strip())
        key = await self._memory.api_key(sent[0].decode("latin-1")) if len(set(sent)) == 1 else None
        if key is None:
            raise Refused("unauthorized")
        return key

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > BODY_BYTES_MAX:
                raise Refused("body_too_large")
        if scope["method"] in ("GET", "HEAD"):
            return b""
        body = await self._bodies.read(receive, BODY_BYTES_MAX)
        if body:
            _check_type(scope["headers"])
            jsontext.parse(body)
        return body


def _check_type(headers: Headers) -> None:
    types = [value for name, value in headers if name == b"content-type"]
    encoded = any(name == b"content-encoding" for name, _ in headers)
    if encoded or not is_json_type(types):
        raise Refused("content_type_unsupported")
