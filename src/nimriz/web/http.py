"""Answers over plain ASGI: what every handler of this floor shares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import msgspec

from nimriz.base.errors import Refused

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

encode = msgspec.json.Encoder().encode
NO_STORE = (b"cache-control", b"private, no-store")
REFERRER_POLICY = (b"referrer-policy", b"strict-origin-when-cross-origin")
_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")


async def answer(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Send a whole response."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def answer_json(send: Send, status: int, body: object) -> None:
    """Send a JSON response that nobody may keep."""
    await answer(send, status, encode(body), (_JSON, NO_STORE))


async def answer_refused(send: Send, refused: Refused, support_reference: str, allow: bytes = b"") -> None:
    """Send a refusal as a problem (RFC 9457)."""
    headers: Headers = [_PROBLEM, NO_STORE, REFERRER_POLICY]
    if refused.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % refused.retry_after_s))
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Nimriz"))
    if allow:
        headers.append((b"allow", allow))
    await answer(send, refused.status, encode(refused.problem(support_reference)), headers)
