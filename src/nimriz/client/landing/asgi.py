"""Keep the click token in any ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from nimriz.client.landing import UNCACHED, click_id_of, cookie_to_set

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class KeepClickToken:
    """Middleware. `secure` says whether the cookie is for https alone; by default as the request came."""

    def __init__(self, app: App, *, secure: bool | None = None) -> None:
        self._app = app
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        secure = scope.get("scheme") == "https" if self._secure is None else self._secure
        cookie = cookie_to_set(_query(scope), _cookies(scope), secure=secure)

        async def send_with_cookie(message: Message) -> None:
            if cookie is not None and message["type"] == "http.response.start":
                others = [pair for pair in message.get("headers", ()) if bytes(pair[0]).lower() != b"cache-control"]
                added = [(b"set-cookie", cookie.encode("ascii")), (b"cache-control", UNCACHED.encode("ascii"))]
                message = {**message, "headers": [*others, *added]}
            await send(message)

        await self._app(scope, receive, send_with_cookie)


def click_id(scope: Scope) -> str | None:
    """The token to send with a lead or a sale; None when there is none."""
    return click_id_of(_query(scope), _cookies(scope))


def _query(scope: Scope) -> str:
    return bytes(scope.get("query_string", b"")).decode("latin-1")


def _cookies(scope: Scope) -> list[str]:
    return [bytes(value).decode("latin-1") for name, value in scope["headers"] if bytes(name).lower() == b"cookie"]
