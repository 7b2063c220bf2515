"""The redirect: slug in, destination out, and the click on disk before the answer.

A plain ASGI callable, written for speed: one pass over the headers, the Signpost from memory, one token,
one await. The order of evaluation is section 2 of the wire contract.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from nimriz.base.clock import Clock
from nimriz.base.ids import to_text, uuid7_bytes
from nimriz.base.tokens import Keyring
from nimriz.base.urls import DESTINATION_BYTES_MAX
from nimriz.core.clicks import LABEL_BYTES_MAX, Click
from nimriz.core.crawlers import is_declared_crawler
from nimriz.core.domains import Domain
from nimriz.core.signposts import Signpost, key_of
from nimriz.core.slugs import is_slug
from nimriz.store.db import StoreError
from nimriz.web import pages
from nimriz.web.clicklog import ClickLog
from nimriz.web.http import NO_STORE, REFERRER_POLICY, Message, Scope, Send, answer
from nimriz.web.memory import Memory
from nimriz.web.metrics import Counters

_PATH_BYTES_MAX = 2_048
_HTML = (b"content-type", b"text/html; charset=utf-8")
_NO_BODY = (b"content-length", b"0")
_NOTHING_MORE: Message = {"type": "http.response.body", "body": b""}
_NEVER_FORWARDED = frozenset({b"nim_ct", b"nr", b"p"})
_UTM = {b"utm_source": 0, b"utm_medium": 1, b"utm_campaign": 2, b"utm_term": 3, b"utm_content": 4}


class Seen(NamedTuple):
    """What the visitor's query tells of the click."""

    touch_type: str = "short_link_click"
    placement: str = ""
    utm: tuple[str, ...] = ("", "", "", "", "")


_NOTHING_SEEN = Seen()


class Redirect:
    """Answers every request on a short domain."""

    def __init__(self, memory: Memory, keyring: Keyring, click_log: ClickLog, clock: Clock, counters: Counters) -> None:
        self._memory = memory
        self._signposts = memory.signposts
        self._keyring = keyring
        self._click_log = click_log
        self._clock = clock
        self._counters = counters

    def __call__(self, scope: Scope, send: Send, domain: Domain) -> Awaitable[None]:
        """Answer one GET or HEAD. `domain` is the one that the Host header names."""
        # The raw path, so that one link has one spelling. No coroutine more than is needed: most requests
        # are for a link in memory.
        signpost = self._signposts.get((domain.domain_id, scope["raw_path"][1:].decode("latin-1")))
        if signpost is None or scope["method"] not in ("GET", "HEAD") or not domain.ready:
            return self._find(scope, send, domain)
        return self._send_on(scope, send, domain, signpost)

    async def _find(self, scope: Scope, send: Send, domain: Domain) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await answer(send, 405, b"", ((b"allow", b"GET, HEAD"), NO_STORE, REFERRER_POLICY))
            return
        if not domain.ready:
            await answer(send, 404, pages.NOT_READY, (_HTML, NO_STORE, REFERRER_POLICY))
            return
        raw_path: bytes = scope["raw_path"]
        slug = raw_path[1:].decode("latin-1")
        if len(raw_path) > _PATH_BYTES_MAX or not is_slug(slug):
            await self._nowhere(send, domain.root_url if not slug else domain.not_found_url)
            return
        try:
            signpost = await self._memory.signpost(domain, slug)
        except StoreError:
            await answer(send, 503, pages.TRY_AGAIN, (_HTML, NO_STORE, REFERRER_POLICY, (b"retry-after", b"1")))
            return
        if signpost is None:
            await self._nowhere(send, domain.not_found_url)
        else:
            await self._send_on(scope, send, domain, signpost)

    async def _nowhere(self, send: Send, fallback: str, status: int = 404, page: bytes = pages.NOT_FOUND) -> None:
        self._counters.redirects_missed += 1
        if fallback:
            await send(_found(302, fallback.encode()))
            await send(_NOTHING_MORE)
        else:
            await answer(send, status, page, (_HTML, NO_STORE, REFERRER_POLICY))

    async def _send_on(self, scope: Scope, send: Send, domain: Domain, signpost: Signpost) -> None:
        now_ms = self._clock.now_ms()
        if signpost.expires_at_ms is not None and now_ms >= signpost.expires_at_ms:
            await self._nowhere(send, domain.expired_url, 410, pages.EXPIRED)
            return
        if signpost.disabled:
            await self._nowhere(send, domain.not_found_url)
            return
        query: bytes = scope["query_string"]
        seen, forwarded = _read_query(signpost, query) if query else (_NOTHING_SEEN, b"")
        if scope["method"] == "HEAD":
            await send(_found(signpost.status_code, _location(signpost, forwarded, b"")[0]))
            await send(_NOTHING_MORE)
            return
        user_agent = referrer = b""
        for name, value in scope["headers"]:
            if name == b"user-agent":
                user_agent = value
            elif name == b"referer":
                referrer = value
        crawler = is_declared_crawler(user_agent)
        click_id = uuid7_bytes(now_ms)
        token, reason = self._token(signpost, click_id, crawler)
        location, appended = _location(signpost, forwarded, token)
        if token and not appended:
            reason = "too_long"
        click = Click(
            to_text(click_id),
            signpost.workspace_id,
            signpost.link_id,
            signpost.domain_id,
            now_ms,
            0,
            int(signpost.tracked),
            reason,
            int(crawler),
            signpost.destination_host,
            seen.touch_type,
            seen.placement,
            _host_of(referrer) if referrer else "",
            *seen.utm,
        )
        counters = self._counters
        batch = self._click_log.put(click)
        if batch is not None:
            try:
                if await batch.done is None:
                    counters.clicks_answered_before_commit += 1
            except StoreError:
                pass  # The disk refused the click: the click log has counted it, the visitor goes on.
        counters.redirects += 1
        counters.tokens_appended += appended
        counters.tokens_suppressed += bool(reason)
        await send(_found(signpost.status_code, location))
        await send(_NOTHING_MORE)

    def _token(self, signpost: Signpost, click_id: bytes, crawler: bool) -> tuple[bytes, str]:
        """The parameter to append, or the reason why there is none ('' when the link does not track)."""
        if not signpost.tracked:
            return b"", ""
        if signpost.suppression:
            return b"", signpost.suppression
        if crawler:
            return b"", "bot"
        token = self._keyring.mint(click_id, signpost.link_key, signpost.window_days)
        return b"nim_ct=" + token.encode("ascii"), ""


def _found(status: int, location: bytes) -> Message:
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"location", location), NO_STORE, REFERRER_POLICY, _NO_BODY],
    }


def _location(signpost: Signpost, forwarded: bytes, token: bytes) -> tuple[bytes, bool]:
    """Where to send the visitor, and whether the token is in it.

    When it would be too long the forwarded parameters go first, then the token.
    """
    if not (forwarded or token):
        return signpost.destination, False
    before, after = signpost.before, signpost.after
    for addition in (forwarded + b"&" + token if forwarded and token else b"", token or forwarded):
        if addition and len(before) + len(addition) + len(after) <= DESTINATION_BYTES_MAX:
            return before + addition + after, bool(token)
    return signpost.destination, False


def _read_query(signpost: Signpost, query: bytes) -> tuple[Seen, bytes]:
    """What the visitor's query says about the click, and the part of it that is forwarded, as sent."""
    touch_type, placement = "short_link_click", ""
    utm = ["", "", "", "", ""]
    forwarded = []
    forward = signpost.forward_query and not signpost.suppression
    for pair in query.split(b"&"):
        if not pair:
            continue
        key = key_of(pair)
        index = _UTM.get(key)
        if index is not None:
            utm[index] = utm[index] or _label(pair)
        elif key == b"nr":
            if pair == b"nr=qr":
                touch_type = "qr_scan"
        elif key == b"p":
            placement = placement or _label(pair)
        if forward and key.lower() not in _NEVER_FORWARDED and key not in signpost.own_keys:
            forwarded.append(pair)
    return Seen(touch_type, placement, tuple(utm)), b"&".join(forwarded)


def _label(pair: bytes) -> str:
    """A captured value: decoded, cut to 255 bytes, without control characters."""
    value = unquote_to_bytes(pair.partition(b"=")[2].replace(b"+", b" "))[:LABEL_BYTES_MAX]
    return "".join(c for c in value.decode("utf-8", "ignore") if c.isprintable())


def _host_of(referrer: bytes) -> str:
    """The host of a Referer header, in lower case; '' when there is none to be read."""
    rest = referrer.partition(b"://")[2]
    authority = rest.split(b"/", 1)[0].split(b"?", 1)[0].split(b"#", 1)[0].rpartition(b"@")[2]
    host = authority.partition(b":")[0] if not authority.startswith(b"[") else authority.partition(b"]")[0] + b"]"
    return host[:LABEL_BYTES_MAX].decode("ascii", "ignore").lower() if host.isascii() else ""
