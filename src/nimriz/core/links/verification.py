"""Verification: what the DNS's answer means for a claim to a name.

A name belongs to who can put an exact text under it; that it leads here proves nothing. A domain that is
ready stays so while its challenge stands, and for a time after. Trouble in the DNS changes nothing. Whoever
has bought a lapsed name proves it anew, and has it as soon as the challenge before is gone.

    verified           the challenge stands in the DNS
    record_missing     no text stands where it belongs
    record_mismatch    other texts stand there
    claimed_elsewhere  it stands there, and so does that of the workspace which has the name
    dns_unavailable    nobody gave a definite answer
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nimriz.core.links import domains
from nimriz.core.links.dns import Records
from nimriz.core.links.domains import SHARED, Domain
from nimriz.store.db import Tx

GRACE_MS = 72 * 3_600_000
"""How long after it was last seen a challenge may be gone."""

Finding = Literal["verified", "record_missing", "record_mismatch", "claimed_elsewhere", "dns_unavailable"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What the installation asks of a name.

    A name in `vouched` needs no proof. A domain is ready when its name leads to one of `addresses`; when none
    are given, as soon as it is proved.
    """

    vouched: frozenset[str]
    addresses: frozenset[str]

    def vouches(self, domain: Domain) -> bool:
        """Whether a domain needs no proof."""
        return domain.workspace_id == SHARED or domain.domain_name in self.vouched


def settle(
    tx: Tx, domain: Domain, records: Records, terms: Terms, now_ms: int, *, enable: bool = False
) -> tuple[Domain, Finding]:
    """The domain after a look at the DNS, stored, and what was found. `domain` is what `tx` has read.

    `enable` switches a disabled domain on again. The name passes to this domain when it is proved and
    whoever has it is not.
    """
    holder = domains.find_by_name(tx, domain.domain_name)
    rival = holder if holder and holder.status != "pending" and holder.domain_id != domain.domain_id else None
    finding = _finding(domain, rival, records, terms)
    if finding == "verified" and rival is not None:
        # First, since only one workspace may have a name.
        domains.update(tx, rival._replace(status="pending", finding="record_mismatch", checked_at_ms=now_ms), now_ms)
    proved_at_ms = now_ms if finding == "verified" else domain.proved_at_ms
    lapsed = proved_at_ms is None or now_ms - proved_at_ms > GRACE_MS
    status = domain.status
    if status == "disabled" and enable:
        status = "pending" if lapsed else "verified"
    if status == "pending" and finding == "verified":
        status = "verified"
    elif status in ("verified", "ready") and lapsed and finding in ("record_missing", "record_mismatch"):
        status = "pending"
    if status == "verified" and (terms.vouches(domain) or not terms.addresses or records.addresses & terms.addresses):
        status = "ready"
    after = domain._replace(status=status, finding=finding, checked_at_ms=now_ms, proved_at_ms=proved_at_ms)
    if after.status == domain.status:
        domains.mark_checked(tx, after)
    else:
        domains.update(tx, after, now_ms)
    return after, finding


def _finding(domain: Domain, rival: Domain | None, records: Records, terms: Terms) -> Finding:
    vouched = terms.vouches(domain)
    if records.texts is None and not vouched:
        return "dns_unavailable"
    texts = records.texts or frozenset()
    if vouched or _stands(domain, texts):
        # What the installation vouches for, it does so for whoever came first.
        kept = rival is not None and (vouched or terms.vouches(rival) or _stands(rival, texts))
        return "claimed_elsewhere" if kept else "verified"
    return "record_mismatch" if texts else "record_missing"


def _stands(domain: Domain, texts: frozenset[bytes]) -> bool:
    return bool(domain.challenge) and domain.challenge.encode() in texts
