"""What the server costs by itself: granian with the settings of nimriz.serve, and an application that does nothing.

python bench/bare.py found|echo PORT
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from nimriz.config import Settings
from nimriz.serve import listener

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# The headers of a redirect, with a token as long as ours.
_LOCATION = b"https://shop.example/landing?colour=green&nim_ct=nimct_" + b"A" * 72
_FOUND_START = {
    "type": "http.response.start",
    "status": 302,
    "headers": [
        (b"location", _LOCATION),
        (b"cache-control", b"private, no-store"),
        (b"referrer-policy", b"strict-origin-when-cross-origin"),
        (b"content-length", b"0"),
    ],
}
_FOUND_BODY = {"type": "http.response.body", "body": b""}


async def found(scope: Message, receive: Receive, send: Send) -> None:
    """Answer every request with the same redirect."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    await send(_FOUND_START)
    await send(_FOUND_BODY)


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """Read the body, and send it back."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def main(name: str, port: int) -> None:
    """Serve one of the two applications as `nimriz serve` does."""
    listener(f"bare:{name}", Settings(host="127.0.0.1", port=port)).serve()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
