"""The redirect: slug in, destination out, and the click on disk before the answer.

A plain ASGI callable, written for speed: one pass over the headers, the Signpost from memory, one token,
one await. What may be in the way of a visitor is looked at only where the Signpost says that something is. Reserved
paths were answered before; then, in this order: domain not ready, slug missing, taken down, expired, password,
disabled, forwarding, the click recorded, the answer (section 2 of the wire contract).
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
from nimriz.core.logbook import Arrival
from nimriz.core.signposts import Signpost, key_of
from nimriz.core.slugs import is_slug
from nimriz.store.db import StoreError
from nimriz.web import pages
from nimriz.web.clicklog import ClickLog
from nimriz.web.gate import Gate
from nimriz.web.http import NO_STORE, REFERRER_POLICY, Message, Receive, Scope, Send, answer
from nimriz.web.memory import Memory
from nimriz.web.metrics import Counters
from nimriz.web.turnstile import Turnstile
from nimriz.web.visitor import VisitorReader

_PATH_BYTES_MAX = 2_048
_PAIRS_MAX = 200
_NO_BODY = (b"content-length", b"0")
_NOTHING_MORE: Message = {"type": "http.response.body", "body": b""}
_CLICK = "short_link_click"
_NEVER_FORWARDED = frozenset({b"nim_ct", b"nr", b"p"})
_UTM = {b"utm_source": 0, b"utm_medium": 1, b"utm_campaign": 2, b"utm_term": 3, b"utm_content": 4}


class Seen(NamedTuple):
    """What the visitor's query, and else the link, tells of the click."""

    touch_type: str
    placement: str
    utm: tuple[str, ...]


class Redirect:
    """Answers every request on a short domain."""

    def __init__(
        self,
        memory: Memory,
        keyring: Keyring,
        click_log: ClickLog,
        gate: Gate,
        turnstile: Turnstile,
        visitors: VisitorReader,
        clock: Clock,
        counters: Counters,
        *,
        signals_honoured: bool,
    ) -> None:
        self._memory = memory
        self._signposts = memory.signposts
        self._keyring = keyring
        self._click_log = click_log
        self._gate = gate
        self._turnstile = turnstile
        self._visitors = visitors
        self._signals_honoured = signals_honoured
        self._clock = clock
        self._counters = counters

    def __call__(self, scope: Scope, receive: Receive, send: Send, domain: Domain) -> Awaitable[None]:
        """Answer one request. `domain` is the one that the Host header names."""
        # The raw path, so that one link has one spelling. No coroutine more than is needed: most requests
        # are for a link in memory with nothing in the way.
        signpost = self._signposts.get((domain.domain_id, scope["raw_path"][1:].decode("latin-1")))
        if signpost is None or signpost.hindered or scope["method"] not in ("GET", "HEAD") or not domain.ready:
            return self._find(scope, receive, send, domain)
        return self._send_on(scope, send, signpost)

    async def _find(self, scope: Scope, receive: Receive, send: Send, domain: Domain) -> None:
        try:
            if scope["method"] in ("GET", "HEAD"):
                await self._look_up(scope, send, domain)
            else:
                await self._hear(scope, receive, send, domain)
        except StoreError:
            self._counters.redirects_unavailable += 1
            await answer(send, 503, pages.TRY_AGAIN, (*pages.HEADERS, (b"retry-after", b"1")))

    async def _look_up(self, scope: Scope, send: Send, domain: Domain) -> None:
        if not domain.ready:
            await answer(send, 404, pages.NOT_READY, pages.HEADERS)
            return
        signpost = await self._signpost(scope, domain)
        if signpost is None:
            await self._nowhere(send, domain.root_url if scope["raw_path"] == b"/" else domain.not_found_url)
        elif not signpost.hindered or await self._leads_on(scope, send, domain, signpost):
            await self._send_on(scope, send, signpost)

    async def _hear(self, scope: Scope, receive: Receive, send: Send, domain: Domain) -> None:
        """Answer what is neither GET nor HEAD: passwords are posted, nothing else."""
        signpost = await self._signpost(scope, domain) if scope["method"] == "POST" and domain.ready else None
        if signpost is None or not signpost.password_hash:
            await answer(send, 405, b"", ((b"allow", b"GET, HEAD"), NO_STORE, REFERRER_POLICY))
        elif not await self._is_over(send, domain, signpost):
            await self._gate.hear(scope, receive, send, domain, signpost)

    async def _signpost(self, scope: Scope, domain: Domain) -> Signpost | None:
        """The signpost of a path; raises StoreError."""
        raw_path: bytes = scope["raw_path"]
        slug = raw_path[1:].decode("latin-1")
        if len(raw_path) > _PATH_BYTES_MAX or not is_slug(slug):
            return None
        return self._signposts.get((domain.domain_id, slug)) or await self._memory.signpost(domain, slug)

    async def _leads_on(self, scope: Scope, send: Send, domain: Domain, signpost: Signpost) -> bool:
        """Whether nothing is in the way; what was in the way has been answered. Raises StoreError."""
        if await self._is_over(send, domain, signpost):
            return False
        if signpost.password_hash and not self._gate.is_open(scope, signpost):
            await self._gate.ask(scope, send)
            return False
        if signpost.disabled:
            await self._nowhere(send, domain.not_found_url)
            return False
        # Whoever only looks uses none of the clicks.
        uses = signpost.counted and scope["method"] == "GET" and not is_declared_crawler(_header(scope, b"user-agent"))
        if uses and not await self._turnstile.lets_through(signpost.link_id):
            # What is in memory is older than that; those who come next need no write to be told.
            self._signposts.drop((domain.domain_id, scope["raw_path"][1:].decode("ascii")))
            await self._nowhere(send, domain.expired_url, 410, pages.EXPIRED)
            return False
        return True

    async def _is_over(self, send: Send, domain: Domain, signpost: Signpost) -> bool:
        """Whether the link was taken down or has expired, which has then been answered."""
        expires_at_ms = signpost.expires_at_ms
        if signpost.taken_down:
            # Never the domain's own page: its owner may be the one who abused the link.
            await self._nowhere(send, "", page=pages.TAKEN_DOWN)
        elif signpost.spent or (expires_at_ms is not None and self._clock.now_ms() >= expires_at_ms):
            await self._nowhere(send, domain.expired_url, 410, pages.EXPIRED)
        else:
            return False
        return True

    async def _nowhere(self, send: Send, fallback: str, status: int = 404, page: bytes = pages.NOT_FOUND) -> None:
        self._counters.redirects_missed += 1
        if fallback:
            await send(_found(302, fallback.encode()))
            await send(_NOTHING_MORE)
        else:
            await answer(send, status, page, pages.HEADERS)

    async def _send_on(self, scope: Scope, send: Send, signpost: Signpost) -> None:
        now_ms = self._clock.now_ms()
        query: bytes = scope["query_string"]
        seen, forwarded = _read_query(signpost, query) if query else (Seen(_CLICK, "", signpost.utm), b"")
        if scope["method"] == "HEAD":
            await send(_found(signpost.status_code, _location(signpost, forwarded, b"")[0]))
            await send(_NOTHING_MORE)
            return
        visitor = self._visitors.read(scope)
        crawler = is_declared_crawler(visitor.user_agent)
        strict = signpost.strict or (self._signals_honoured and (visitor.dnt or visitor.gpc))
        click_id = uuid7_bytes(now_ms)
        token, reason = self._token(signpost, click_id, crawler, strict or visitor.gpc)
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
            _host_of(visitor.referrer) if visitor.referrer else "",
            *seen.utm,
        )
        arrival = Arrival(
            click, signpost.tags, visitor.purpose, visitor.country, visitor.address, visitor.user_agent,
            visitor.accept_language, strict,
        )  # fmt: skip
        counters = self._counters
        batch = self._click_log.put(arrival)
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

    def _token(self, signpost: Signpost, click_id: bytes, crawler: bool, private: bool) -> tuple[bytes, str]:
        """The parameter to append, or the reason why there is none ('' when the link does not track)."""
        if not signpost.tracked:
            return b"", ""
        if signpost.suppression:
            return b"", signpost.suppression
        if crawler:
            return b"", "bot"
        if private and signpost.privacy_suppresses:
            return b"", "privacy"
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
    before, fragment = signpost.head + signpost.separator, signpost.fragment
    for addition in (forwarded + b"&" + token if forwarded and token else b"", token or forwarded):
        if addition and len(before) + len(addition) + len(fragment) <= DESTINATION_BYTES_MAX:
            return before + addition + fragment, bool(token)
    return signpost.destination, False


def _read_query(signpost: Signpost, query: bytes) -> tuple[Seen, bytes]:
    """What the visitor's query says about the click, and the part of it that is forwarded, as sent."""
    touch_type, placement = _CLICK, ""
    utm = ["", "", "", "", ""]
    forwarded = []
    forward = signpost.forward_query and not signpost.suppression
    # What comes after so many is neither read nor passed on: nobody's query may keep the others waiting.
    for pair in query.split(b"&", _PAIRS_MAX)[:_PAIRS_MAX]:
        if not pair or len(pair) > DESTINATION_BYTES_MAX:
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
        if forward and key not in signpost.own_keys and _may_pass(pair):
            forwarded.append(pair)
    # The visitor's own values go before the link's.
    kept = tuple(own or links for own, links in zip(utm, signpost.utm, strict=True))
    return Seen(touch_type, placement, kept), b"&".join(forwarded)


def _may_pass(pair: bytes) -> bool:
    """Whether a parameter may be passed on: also where a server takes ';' for '&', none of ours is in it.

    A '#' has no place in a query; passed on, it would begin a fragment before the token.
    """
    return b"#" not in pair and not any(key_of(piece).lower() in _NEVER_FORWARDED for piece in pair.split(b";"))


def _header(scope: Scope, name: bytes) -> bytes:
    """The last value of a header; b'' when it was not sent."""
    return next((value for sent, value in reversed(scope["headers"]) if sent == name), b"")


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
