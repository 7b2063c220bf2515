"""Assignments: the cookie that keeps which variants a browser was shown on one link, where the workspace chose so.

First-party, on the short domain, for the link's path alone. It holds decision numbers and a signature, the same for
everybody with these variants: nothing in it tells one visitor from another.
"""

from __future__ import annotations

import hmac

from nimriz.core.directory.vault import Vault
from nimriz.core.links.domains import Domain
from nimriz.core.routing.routing import Decision
from nimriz.core.routing.signposts import Signpost
from nimriz.web.http import Scope

COOKIE = b"nimriz_variants"
KEPT_S = 90 * 86_400
_NUMBERS_MAX = 8
_DIGITS_MAX = 9
_COOKIES_MAX = 4
NONE: frozenset[int] = frozenset()


class Assignments:
    """Reads and writes the cookie. `plain_host` is the short domain that is served without TLS, '' for none."""

    def __init__(self, vault: Vault, plain_host: str) -> None:
        self._vault = vault
        self._plain_host = plain_host

    def read(self, scope: Scope, signpost: Signpost) -> frozenset[int]:
        """The decision numbers that the browser keeps for this link; none from a cookie that is not ours."""
        looked_at = 0
        for name, value in scope["headers"]:
            if name == b"cookie":
                for pair in value.split(b";"):
                    key, _, kept = pair.strip().partition(b"=")
                    if key == COOKIE and looked_at < _COOKIES_MAX:
                        looked_at += 1
                        numbers, _, proof = kept.partition(b".")
                        if hmac.compare_digest(proof, self._proof(signpost, numbers)):
                            return _read(numbers)
        return NONE

    def cookie(
        self, path: bytes, domain: Domain, signpost: Signpost, decision: Decision, kept: frozenset[int]
    ) -> bytes | None:
        """The Set-Cookie that keeps this decision beside those of other experiments; None when there is nothing new."""
        if decision.rule is None or not decision.rule.sticky or decision.target.decision in kept:
            return None
        others = kept - {target.decision for target in decision.rule.targets}
        newest = sorted((*others, decision.target.decision), reverse=True)[:_NUMBERS_MAX]
        numbers = b"-".join(b"%d" % number for number in newest)
        secure = b"" if domain.domain_name == self._plain_host else b"; Secure"
        value = numbers + b"." + self._proof(signpost, numbers)
        return b"%s=%s; Path=%s; Max-Age=%d; HttpOnly; SameSite=Lax%s" % (COOKIE, value, path, KEPT_S, secure)

    def _proof(self, signpost: Signpost, numbers: bytes) -> bytes:
        return self._vault.assignment_proof(signpost.link_id, numbers).hex().encode()


def _read(numbers: bytes) -> frozenset[int]:
    parts = numbers.split(b"-", _NUMBERS_MAX)
    return frozenset(int(part) for part in parts if part.isdigit() and len(part) <= _DIGITS_MAX)
