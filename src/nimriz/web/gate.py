"""The gate: a link with a password opens for whoever gave it, and stays open to that browser for a while.

A right password brings a cookie for this one link, signed over the link, the password's hash and its end: changing
the password shuts the gate again. Guessing is bounded before any hash is computed, and hashing is bounded too.
Neither passwords nor cookies are kept or logged.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from urllib.parse import parse_qsl

from nimriz.base.clock import Clock
from nimriz.base.errors import Refused
from nimriz.core.directory import passwords
from nimriz.core.directory.vault import Vault
from nimriz.core.links.domains import Domain
from nimriz.core.routing.signposts import Signpost
from nimriz.web import pages
from nimriz.web.body import Bodies
from nimriz.web.http import NO_STORE, REFERRER_POLICY, Headers, Receive, Scope, Send, answer
from nimriz.web.limits import Attempts
from nimriz.web.metrics import Counters
from nimriz.web.visitor import VisitorReader

COOKIE = b"nimriz_unlock"
UNLOCKED_S = 12 * 3_600
# A password of 128 characters, each percent-encoded from four bytes, fits.
_BODY_BYTES_MAX = 4_096
_WAITING_MAX = 64
_COOKIES_MAX = 4
_DIGITS_MAX = 12


class Gate:
    """Asks for passwords of links. `plain_host` is the short domain that is served without TLS, '' for none."""

    def __init__(
        self,
        vault: Vault,
        bodies: Bodies,
        visitors: VisitorReader,
        clock: Clock,
        counters: Counters,
        plain_host: str,
    ) -> None:
        self._vault = vault
        self._bodies = bodies
        self._visitors = visitors
        self._clock = clock
        self._counters = counters
        self._plain_host = plain_host
        self._attempts = Attempts()
        self._waiting = 0
        self._threads = ThreadPoolExecutor(passwords.AT_ONCE_MAX, thread_name_prefix="gate")

    def close(self) -> None:
        """Check no more passwords."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def is_open(self, scope: Scope, signpost: Signpost) -> bool:
        """Whether this visitor has given the password that the link has now."""
        return any(self._proves(proof, signpost) for proof in islice(_proofs(scope), _COOKIES_MAX))

    def _proves(self, proof: bytes, signpost: Signpost) -> bool:
        digits, _, given = proof.partition(b".")
        if (
            not digits.isdigit()
            or len(digits) > _DIGITS_MAX
            or digits.startswith(b"0")
            or int(digits) <= self._clock.now_ms() // 1000
        ):
            return False
        return hmac.compare_digest(given, self._proof(signpost, int(digits)))

    def _proof(self, signpost: Signpost, expires_s: int) -> bytes:
        return self._vault.unlock_proof(signpost.link_id, signpost.password_hash, expires_s).hex().encode()

    async def ask(self, scope: Scope, send: Send) -> None:
        """Ask for the password."""
        await answer(send, 200, pages.password(_slug(scope)), pages.HEADERS)

    async def hear(self, scope: Scope, receive: Receive, send: Send, domain: Domain, signpost: Signpost) -> None:
        """Answer a POST: go on to the same address with the cookie, or ask again."""
        address = self._visitors.address_of(scope)
        try:
            self._attempts.take(address, signpost.link_id)
            password = _password(await self._bodies.read(receive, _BODY_BYTES_MAX))
            right = await self._matches(signpost.password_hash, password)
        except Refused as refused:
            await self._refuse(scope, send, refused)
            return
        if not right:
            self._counters.passwords_wrong += 1
            await answer(send, 403, pages.password(_slug(scope), pages.WRONG_PASSWORD), pages.HEADERS)
            return
        self._attempts.give_back(address, signpost.link_id)
        query: bytes = scope["query_string"]
        location = scope["raw_path"] + (b"?" + query if query else b"")
        cookie = (b"set-cookie", self._cookie(scope["raw_path"], domain, signpost))
        await answer(send, 303, b"", ((b"location", location), cookie, NO_STORE, REFERRER_POLICY))

    async def _matches(self, password_hash: str, password: str) -> bool:
        if not 1 <= len(password) <= passwords.PASSWORD_CHARS_MAX:
            return False
        if self._waiting >= _WAITING_MAX:
            raise Refused("store_unavailable", retry_after_s=1)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, passwords.matches, password_hash, password)
        finally:
            self._waiting -= 1

    async def _refuse(self, scope: Scope, send: Send, refused: Refused) -> None:
        page = pages.TRY_AGAIN
        headers: Headers = [*pages.HEADERS]
        if refused.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % refused.retry_after_s))
        if refused.code == "rate_limited":
            self._counters.passwords_limited += 1
            page = pages.password(_slug(scope), pages.TOO_MANY_PASSWORDS)
        elif refused.code == "body_too_large":
            page = pages.password(_slug(scope), pages.WRONG_PASSWORD)
        elif refused.status == 503:
            self._counters.redirects_unavailable += 1
        await answer(send, refused.status, page, headers)

    def _cookie(self, path: bytes, domain: Domain, signpost: Signpost) -> bytes:
        expires_s = self._clock.now_ms() // 1000 + UNLOCKED_S
        value = b"%d.%s" % (expires_s, self._proof(signpost, expires_s))
        secure = b"" if domain.domain_name == self._plain_host else b"; Secure"
        return b"%s=%s; Path=%s; Max-Age=%d; HttpOnly; SameSite=Lax%s" % (COOKIE, value, path, UNLOCKED_S, secure)


def _slug(scope: Scope) -> str:
    slug: str = scope["raw_path"][1:].decode("ascii")
    return slug


def _proofs(scope: Scope) -> Iterator[bytes]:
    for name, value in scope["headers"]:
        if name == b"cookie":
            for pair in value.split(b";"):
                key, _, proof = pair.strip().partition(b"=")
                if key == COOKIE:
                    yield proof


def _password(body: bytes) -> str:
    """The field `password` of a form; '' when there is none."""
    try:
        fields = parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True, errors="replace", max_num_fields=16)
    except ValueError:
        return ""
    return next((value for name, value in fields if name == "password"), "")
