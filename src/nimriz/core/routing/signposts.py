"""Signposts: a link compiled and frozen, as the redirect reads it.

Everything about a redirect that does not depend on the visitor is decided here, when the link is first asked for: what
may be in the way, where the link and its rules lead, and whether clicks are tracked.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal, NamedTuple

from nimriz.base import ids
from nimriz.base.urls import UTM_NAMES
from nimriz.core.clicks import agents
from nimriz.core.directory import entitlements, workspaces
from nimriz.core.directory.workspaces import Workspace
from nimriz.core.links import blocklist, destinations, domains, links
from nimriz.core.links.domains import Domain
from nimriz.core.links.links import Link
from nimriz.core.routing import decisions, rules, targets
from nimriz.core.routing.routing import Rules
from nimriz.core.routing.rules import RuleList
from nimriz.core.routing.targets import Target
from nimriz.store.db import Tx

CLICK = "short_link_click"
# Measured on CPython 3.11: the object and its parts, its key and its place on a shelf, without its targets.
SIGNPOST_BYTES = 550


class Seen(NamedTuple):
    """What a visitor's query, and else the link, tells of the click."""

    touch_type: str
    placement: str
    utm: tuple[str, ...]


_NOTHING_SEEN = Seen(CLICK, "", ("",) * len(UTM_NAMES))


@dataclass(frozen=True, slots=True)
class Signpost:
    """Where one slug of one domain leads: `own` is the link's own target, `rules` what may decide otherwise.

    `hindered` is true when any of the rare conditions before a redirect has to be looked at: expiry, password,
    takedown, switched off, clicks counted. `seen` is what a click without a query tells. Many are
    kept, so nothing is kept twice.
    """

    link_id: str
    link_key: bytes
    workspace_id: str
    domain_id: str
    status_code: int
    hindered: bool
    expires_at_ms: int | None
    spent: bool
    counted: bool
    password_hash: str
    taken_down: bool
    disabled: bool
    own: Target
    rules: Rules | None
    tracked: bool
    window_days: int
    seen: Seen
    tags: str
    strict: bool
    privacy_suppresses: bool
    forward_query: bool

    def over(self, now_ms: int) -> Literal["taken_down", "expired", ""]:
        """Why the link has come to its end by this instant, '' while it has not."""
        if self.taken_down:
            return "taken_down"
        expired = self.spent or (self.expires_at_ms is not None and now_ms >= self.expires_at_ms)
        return "expired" if expired else ""

    @property
    def bytes_count(self) -> int:
        """About how much memory it takes."""
        rules_bytes = 0 if self.rules is None else self.rules.bytes_count
        return SIGNPOST_BYTES + len(self.tags) + self.own.bytes_count + rules_bytes


def find_domain(tx: Tx, host: str) -> Domain | None:
    """The domain of a host as the redirect knows it: without the fallback URLs whose host is blocked."""
    domain = domains.find_by_name(tx, host)
    if domain is None:
        return None
    fallbacks = (domain.root_url, domain.not_found_url, domain.expired_url)
    blocked = destinations.blocked(tx, domain.workspace_id, [url for url in fallbacks if url])
    root_url, not_found_url, expired_url = ("" if url in blocked else url for url in fallbacks)
    return domain._replace(root_url=root_url, not_found_url=not_found_url, expired_url=expired_url)


def compile_signpost(tx: Tx, domain: Domain, slug: str) -> Signpost | None:
    """The signpost of a slug; None when there is no such link."""
    link = links.find_by_slug(tx, domain.domain_id, slug)
    workspace = None if link is None else workspaces.find(tx, link.workspace_id)
    if link is None or workspace is None:
        return None
    return compiled(tx, link, workspace, rules.find(tx, link.link_id))


def compiled(tx: Tx, link: Link, workspace: Workspace, rule_list: RuleList) -> Signpost:
    """The signpost of a link with these rules, stored or not."""
    surfaces = entitlements.open_surfaces(tx, workspace.workspace_id, workspace.plan)
    own = targets.compiled(link)
    taken_down = bool(link.takedown) or blocklist.blocks(tx, link.workspace_id, own.host)
    hindrances = (
        link.expires_at_ms is not None, link.clicks_max is not None, link.password_hash, taken_down,
        link.status != "active",
    )  # fmt: skip
    return Signpost(
        link_id=link.link_id,
        link_key=ids.to_bytes(link.link_id),
        workspace_id=sys.intern(link.workspace_id),
        domain_id=sys.intern(link.domain_id),
        status_code=link.redirect_status_code,
        hindered=any(hindrances),
        expires_at_ms=link.expires_at_ms,
        spent=link.clicks_max is not None and link.clicks_used >= link.clicks_max,
        counted=link.clicks_max is not None,
        password_hash=link.password_hash,
        taken_down=taken_down,
        disabled=link.status != "active",
        own=own,
        rules=_rules(tx, link, workspace, rule_list) if rule_list.rules else None,
        tracked=bool(link.conversion_tracking) and "conversion_tracking" in surfaces,
        window_days=link.conversion_window_days or workspace.conversion_window_days,
        seen=_NOTHING_SEEN if link.utm == links.NO_UTM else Seen(CLICK, "", links.utm_of(link)),
        tags=sys.intern(link.tags),
        strict="strict" in (link.privacy, workspace.privacy),
        privacy_suppresses=bool(workspace.privacy_suppresses_token),
        forward_query=bool(link.forward_query),
    )


def _rules(tx: Tx, link: Link, workspace: Workspace, rule_list: RuleList) -> Rules | None:
    blocked = destinations.blocked(tx, link.workspace_id, rules.destinations_of(rule_list.rules))
    numbers = decisions.of_rules(tx, link.link_id, [rule.rule_id for rule in rule_list.rules])
    found = rules.compiled(rule_list, link, numbers, frozenset(blocked), sticky=bool(workspace.sticky_cookie))
    if found is not None and found.asks.agent:
        agents.prepare()
    return found
