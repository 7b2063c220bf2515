"""The redirect: slug in, destination out, and the click on disk before the answer.

A plain ASGI callable, written for speed: one pass over the headers, the Signpost from memory, one token,
one await. What may be in the way of a visitor is looked at only where the Signpost says that something is. Reserved
paths were answered before; then, in this order: domain not ready, slug missing, taken down, expired, password,
disabled, rules, forwarding, the click recorded, the answer (section 2 of the wire contract).
"""

from __future__ import annotations

from collections.abc import Awaitable

from nimriz.base.clock import Clock
from nimriz.base.ids import uuid7_bytes
from nimriz.base.tokens import Keyring
from nimriz.core.clicks.clicks import Facts
from nimriz.core.clicks.crawlers import is_declared_crawler
from nimriz.core.clicks.logbook import Arrival
from nimriz.core.links.domains import Domain
from nimriz.core.links.slugs import is_slug
from nimriz.core.routing.departures import location, read_query, why_no_token
from nimriz.core.routing.referrers import host_of
from nimriz.core.routing.signposts import Seen, Signpost
from nimriz.core.routing.targets import Target
from nimriz.store.db import StoreError
from nimriz.web import pages
from nimriz.web.assignments import NONE, Assignments
from nimriz.web.clicklog import ClickLog
from nimriz.web.gate import Gate
from nimriz.web.http import NO_STORE, REFERRER_POLICY, Headers, Message, Receive, Scope, Send, answer
from nimriz.web.memory import Memory
from nimriz.web.metrics import Counters
from nimriz.web.traits import TraitReader
from nimriz.web.turnstile import Turnstile
from nimriz.web.visitor import Visitor, VisitorReader

_PATH_BYTES_MAX = 2_048
_NO_BODY = (b"content-length", b"0")
_NOTHING_MORE: Message = {"type": "http.response.body", "body": b""}
_NOTHING_KEPT: Headers = []


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
        traits: TraitReader,
        assignments: Assignments,
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
        self._traits = traits
        self._assignments = assignments
        self._signals_honoured = signals_honoured
        self._clock = clock
        self._counters = counters

    def at_once(self, scope: Scope, send: Send, domain: Domain) -> Awaitable[None] | None:
        """Answer a visit for a link in memory with nothing in the way; None for every other request.

        `domain` is the one that the Host header names. A reserved path is no link's.
        """
        # The raw path, so that one link has one spelling.
        signpost = self._signposts.get((domain.domain_id, scope["raw_path"][1:].decode("latin-1")))
        if signpost is None or signpost.hindered or scope["method"] not in ("GET", "HEAD") or not domain.ready:
            return None
        return self._send_on(scope, send, domain, signpost)

    async def find(self, scope: Scope, receive: Receive, send: Send, domain: Domain) -> None:
        """Answer any other request on a short domain."""
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
            await self._send_on(scope, send, domain, signpost)

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
        over = signpost.over(self._clock.now_ms())
        if over == "taken_down":
            # Never the domain's own page: its owner may be the one who abused the link.
            await self._nowhere(send, "", page=pages.TAKEN_DOWN)
        elif over:
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

    async def _send_on(self, scope: Scope, send: Send, domain: Domain, signpost: Signpost) -> None:
        now_ms = self._clock.now_ms()
        query: bytes = scope["query_string"]
        visitor = self._visitors.read(scope)
        strict = signpost.strict or (self._signals_honoured and (visitor.dnt or visitor.gpc))
        target, kept = signpost.own, _NOTHING_KEPT
        if signpost.rules is not None:
            target, kept = self._decide(scope, domain, signpost, visitor, now_ms, strict=strict)
            if target.stopped:
                await self._nowhere(send, "", page=pages.TAKEN_DOWN)
                return
        seen, forwarded = read_query(signpost, target, query)
        if scope["method"] == "HEAD":
            await _tell(send, signpost, target, location(target, forwarded, b"")[0])
            return
        crawler = is_declared_crawler(visitor.user_agent)
        click_id = uuid7_bytes(now_ms)
        reason = why_no_token(signpost, target, crawler=crawler, private=strict or visitor.gpc)
        token = b""
        if reason is None:
            minted = self._keyring.mint_ascii(click_id, signpost.link_key, signpost.window_days, target.decision)
            token = b"nim_ct=" + minted
        place, appended = location(target, forwarded, token)
        if token and not appended:
            reason = "too_long"
        facts = _facts(signpost, target, visitor, seen, reason or "", crawler=crawler)
        batch = self._click_log.put(_arrival(click_id, now_ms, facts, visitor, strict=strict))
        counters = self._counters
        if batch is not None:
            try:
                if await batch.done is None:
                    counters.clicks_answered_before_commit += 1
            except StoreError:
                pass  # The disk refused the click: the click log has counted it, the visitor goes on.
        counters.redirects += 1
        counters.tokens_appended += appended
        counters.tokens_suppressed += bool(reason)
        if target.app is not None:
            page = pages.app(target.app.link, target.app.fallback)
            await answer(send, 200, page, (*pages.APP_HEADERS, *kept))
            return
        await send(_found(signpost.status_code, place, kept))
        await send(_NOTHING_MORE)

    def _decide(
        self, scope: Scope, domain: Domain, signpost: Signpost, visitor: Visitor, now_ms: int, *, strict: bool
    ) -> tuple[Target, Headers]:
        """Where the rules send the visitor, and the cookie that keeps it; there is none where privacy is strict."""
        rules = signpost.rules
        if rules is None:
            return signpost.own, _NOTHING_KEPT
        sticky = rules.sticky and not strict
        kept = self._assignments.read(scope, signpost) if sticky else NONE
        decision = self._traits.decide(rules, signpost.own, visitor, scope["query_string"], kept, now_ms)
        cookie = self._assignments.cookie(scope["raw_path"], domain, signpost, decision, kept) if sticky else None
        return decision.target, _NOTHING_KEPT if cookie is None else [(b"set-cookie", cookie)]


# Both past the constructors of named tuples, which would cost more than all that they take.


def _facts(signpost: Signpost, target: Target, visitor: Visitor, seen: Seen, reason: str, *, crawler: bool) -> Facts:
    """What the click has in common with others; `reason` is why it got no token."""
    touch_type, placement, utm = seen
    return tuple.__new__(
        Facts,
        (
            signpost.workspace_id,
            signpost.link_id,
            signpost.domain_id,
            target.decision,
            1 if signpost.tracked else 0,
            reason,
            1 if crawler else 0,
            target.host,
            touch_type,
            placement,
            host_of(visitor.referrer),
            *utm,
            signpost.tags,
        ),
    )


def _arrival(click_id: bytes, now_ms: int, facts: Facts, visitor: Visitor, *, strict: bool) -> Arrival:
    """The click on its way to disk, with what is forgotten once it is there."""
    address, country, user_agent, _, accept_language, purpose, _, _ = visitor
    return tuple.__new__(
        Arrival, (click_id, now_ms, facts, purpose, country, address, user_agent, accept_language, strict)
    )


async def _tell(send: Send, signpost: Signpost, target: Target, place: bytes) -> None:
    """Tell whoever only looks: as to a visitor, without a token and without a page."""
    if target.app is not None:
        await answer(send, 200, b"", pages.APP_HEADERS)
    else:
        await send(_found(signpost.status_code, place))
        await send(_NOTHING_MORE)


def _found(status: int, place: bytes, kept: Headers = _NOTHING_KEPT) -> Message:
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"location", place), NO_STORE, REFERRER_POLICY, _NO_BODY, *kept],
    }


def _header(scope: Scope, name: bytes) -> bytes:
    """The last value of a header; b'' when it was not sent."""
    return next((value for sent, value in reversed(scope["headers"]) if sent == name), b"")
