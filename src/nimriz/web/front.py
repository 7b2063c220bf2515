"""The front door: every request is told apart by Host and path, before any framework sees it.

Hosts are compared exactly, in lower case, without the port. API and operations answer on the
application's hosts only; everything else on a registered domain is a short link.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from nimriz.base.errors import Refused
from nimriz.base.ids import new_reference
from nimriz.core.links.domains import Domain, Hosts
from nimriz.core.links.slugs import RESERVED_SLUGS
from nimriz.core.routing import app_links
from nimriz.store.db import StoreError
from nimriz.web import conversions
from nimriz.web.api.saved_reports import PREFIX
from nimriz.web.conversions import Conversions
from nimriz.web.dashboard.dashboard import FIRST
from nimriz.web.http import Application, Receive, Scope, Send, answer, answer_json, answer_refused, encode
from nimriz.web.memory import Memory, Shelf
from nimriz.web.redirect import Redirect

_PORT = re.compile(rb":[0-9]*\Z")
_HOSTS_MAX = 10_000
# RFC 1035: 255 bytes, of which 253 can be written; and a port.
_HOST_BYTES_MAX = 259
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_ROBOTS = b"User-agent: *\nDisallow: /api/\nDisallow: /app/\n"
_ICON = (b"content-type", b"image/x-icon")
_ICON_BYTES = Path(__file__).with_name("favicon.ico").read_bytes()
_JSON = (b"content-type", b"application/json")
# Apple and Google keep them for a day or more; whoever asks directly sees changes soon.
_FOR_AN_HOUR = (b"cache-control", b"public, max-age=3600")
_FOR_A_DAY = (b"cache-control", b"public, max-age=86400")

log = structlog.get_logger()


class Front:
    """The ASGI application of one process, once it has started."""

    def __init__(
        self,
        hosts: Hosts,
        memory: Memory,
        redirect: Redirect,
        conversions: Conversions,
        api: Application,
        health: Callable[[], dict[str, object]],
        ready: Callable[[], Awaitable[dict[str, object]]],
        shared: Application,
        dashboard: Application,
    ) -> None:
        self._hosts = hosts
        self._memory = memory
        self._redirect = redirect
        self._conversions = conversions
        self._api = api
        self._health = health
        self._ready = ready
        self._shared = shared
        self._dashboard = dashboard
        self._names: Shelf[bytes, str] = Shelf(_HOSTS_MAX)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request. No coroutine more than is needed: most are for a link in memory."""
        host = b""
        hosts = 0
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
                hosts += 1
        name = self._names.get(host) or self._name(host)
        if hosts != 1 or not name:
            return self._unknown_host(send)
        application = name in self._hosts.application
        domain_name = self._hosts.default_domain if application else name
        domain = self._memory.domains.get(domain_name)
        at_once = None if domain is None else self._redirect.at_once(scope, send, domain)
        return at_once or self._answer(scope, receive, send, domain, domain_name, application)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, domain: Domain | None, domain_name: str, application: bool
    ) -> None:
        if domain is None:
            try:
                domain = await self._memory.domain(domain_name)
            except StoreError:
                await answer(send, 503, b"", ((b"retry-after", b"1"),))
                return
        if domain is None:
            await self._unknown_host(send)
            return
        first = scope["raw_path"][1:].partition(b"/")[0]
        if first in _RESERVED:
            await self._reserved(scope, receive, send, first, domain if domain.ready else None, application)
        else:
            await self._redirect.find(scope, receive, send, domain)

    def _name(self, host: bytes) -> str:
        """The host without its port, or '' for one that cannot be a host's name."""
        if len(host) > _HOST_BYTES_MAX:
            return ""
        name = _PORT.sub(b"", host).decode("ascii", "replace").lower()
        if "\ufffd" in name or not name:
            return ""
        self._names.put(host, name)
        return name

    async def _unknown_host(self, send: Send) -> None:
        await answer_refused(send, Refused("host_unknown"), new_reference())

    async def _reserved(
        self, scope: Scope, receive: Receive, send: Send, first: bytes, domain: Domain | None, application: bool
    ) -> None:
        path = scope["raw_path"]
        if first == b".well-known" and domain is not None:
            await self._well_known(scope, send, domain)
            return
        own = path in (b"/robots.txt", b"/favicon.ico") or (application and path in (b"/_health", b"/_ready"))
        if own and scope["method"] not in ("GET", "HEAD"):
            await answer_refused(send, Refused("method_not_allowed"), new_reference(), b"GET, HEAD")
        elif own and path == b"/robots.txt":
            await answer(send, 200, _ROBOTS, (_TEXT,))
        elif own and path == b"/favicon.ico":
            await answer(send, 200, _ICON_BYTES, (_ICON, _FOR_A_DAY))
        elif own and path == b"/_health":
            await answer_json(send, 200, self._health())
        elif own:
            state = await self._ready()
            await answer_json(send, 200 if state["ready"] else 503, state)
        elif application and first == b"api":
            if scope["path"].startswith(conversions.PREFIX):
                await self._conversions(scope, receive, send)
            else:
                await self._api(scope, receive, send)
        elif application and path.startswith(_SHARED):
            await self._shared(scope, receive, send)
        elif application and first in FIRST:
            await self._dashboard(scope, receive, send)
        else:
            await answer_refused(send, Refused("not_found"), new_reference())

    async def _well_known(self, scope: Scope, send: Send, domain: Domain) -> None:
        """The files by which a domain says which apps may open its links."""
        found = app_links.file_at(scope["raw_path"], domain.ios_apps, domain.android_apps)
        if found is None:
            await answer_refused(send, Refused("not_found"), new_reference())
        elif scope["method"] not in ("GET", "HEAD"):
            await answer_refused(send, Refused("method_not_allowed"), new_reference(), b"GET, HEAD")
        else:
            await answer(send, 200, encode(found), (_JSON, _FOR_AN_HOUR))


_SHARED = PREFIX.encode()
_RESERVED = frozenset(slug.encode() for slug in RESERVED_SLUGS)


class Starting:
    """What granian is given: builds the Front when the process starts, and takes it down at its end."""

    def __init__(self, start: Callable[[], contextlib.AbstractAsyncContextManager[Front]]) -> None:
        self._start = start
        self._front: Front | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer the lifespan protocol, and every request."""
        if scope["type"] == "http" and self._front is not None:
            return self._front(scope, receive, send)
        return self._live(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            return
        await receive()
        async with contextlib.AsyncExitStack() as stack:
            try:
                self._front = await stack.enter_async_context(self._start())
            except Exception as error:
                log.error("start_failed", error=type(error).__name__, reason=str(error))
                await send({"type": "lifespan.startup.failed", "message": type(error).__name__})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
