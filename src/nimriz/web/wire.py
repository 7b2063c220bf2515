"""Events, links and domains as they stand on the wire: sections 3.3 and 5 of the contract."""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec

from nimriz.base.clock import to_rfc3339
from nimriz.base.money import to_decimal
from nimriz.base.urls import UTM_NAMES
from nimriz.core.clicks.click_list import Listed
from nimriz.core.directory.mode import Mode
from nimriz.core.directory.workspaces import Workspace
from nimriz.core.ledger.attribution import Verdict
from nimriz.core.ledger.conversions import Conversion, Order
from nimriz.core.ledger.intake import Recorded
from nimriz.core.ledger.ledger import Outcome
from nimriz.core.ledger.persons import Readable
from nimriz.core.ledger.settlement import Settlement
from nimriz.core.links import destinations, dns
from nimriz.core.links.blocklist import BlockedHost
from nimriz.core.links.creation import Made
from nimriz.core.links.domains import SHARED, Domain
from nimriz.core.links.history import Entry
from nimriz.core.links.links import Link
from nimriz.core.routing import targets
from nimriz.core.routing.decisions import Decided


def event(mode: Mode, outcome: Outcome, readable: Readable) -> dict[str, object]:
    """The member `event`."""
    minor, currency = outcome.value_minor, outcome.currency
    return {
        "id": outcome.outcome_id,
        "event_id": outcome.event_id,
        "event_name": outcome.event_name,
        "mode": mode,
        "event_time": to_rfc3339(outcome.event_time_ms),
        "received_at": to_rfc3339(outcome.received_at_ms),
        "value": None if minor is None else to_decimal(minor, currency),
        "value_minor": minor,
        "currency": currency or None,
        "order_id": outcome.order_id or None,
        "external_id": readable.external_id,
        "related_order_id": outcome.related_order_id or None,
        "related_event_id": outcome.related_event_id or None,
        "quantity": outcome.quantity,
        "metadata": None if readable.metadata is None else msgspec.Raw(readable.metadata),
    }


def attribution(verdict: Verdict, variant: str) -> dict[str, object]:
    """The member `attribution`. `variant` is the key of the click's variant, '' for none."""
    return {
        "status": verdict.status,
        "method": verdict.method or None,
        "reason": verdict.reason or None,
        "link_id": verdict.link_id or None,
        "click_id": verdict.click_id or None,
        "variant": variant or None,
        "clicked_at": None if verdict.clicked_at_ms is None else to_rfc3339(verdict.clicked_at_ms),
        "window_days": verdict.window_days,
    }


def settlement(settled: Settlement | None) -> dict[str, object] | None:
    """The member `settlement`."""
    if settled is None:
        return None
    remaining = settled.remaining_minor
    return {
        "status": settled.status,
        "currency": settled.currency or None,
        "applied": _decimal(settled.applied_minor, settled.currency),
        "applied_minor": settled.applied_minor,
        "excess": _decimal(settled.excess_minor, settled.currency),
        "excess_minor": settled.excess_minor,
        "remaining": None if remaining is None else _decimal(remaining, settled.currency),
        "remaining_minor": remaining,
    }


def order(order: Order | None) -> dict[str, object] | None:
    """The member `order` of a sale."""
    if order is None:
        return None
    amounts = {
        "gross": order.gross_minor,
        "taken_back": order.taken_back_minor,
        "net": order.gross_minor - order.taken_back_minor,
        "excess": order.excess_minor,
    }
    return {
        "currency": order.currency or None,
        **{name: _decimal(minor, order.currency) for name, minor in amounts.items()},
        **{f"{name}_minor": minor for name, minor in amounts.items()},
        "sales": order.sales,
        "follow_ons": order.follow_ons,
        "reinstatements": order.reinstatements,
    }


def standing(conversion: Conversion) -> dict[str, object]:
    """An event as it stands, without what belongs to one delivery."""
    return {
        "event": event(conversion.mode, conversion.outcome, conversion.readable),
        "attribution": attribution(conversion.verdict, conversion.variant),
        "settlement": settlement(conversion.settlement),
    }


def recorded(answer: Recorded, support_reference: str, status: str = "recorded") -> dict[str, object]:
    """The whole answer to one claim."""
    body: dict[str, object] = {
        "status": status,
        "duplicate": answer.duplicate,
        "event": event(answer.mode, answer.outcome, answer.readable),
        "attribution": attribution(answer.verdict, answer.variant),
        "settlement": settlement(answer.settlement),
        "support_reference": support_reference,
    }
    if answer.differences:
        body["differences"] = answer.differences
    return body


def _decimal(minor: int, currency: str) -> str:
    return to_decimal(minor, currency or None)


def short_url(domain: Domain, slug: str, base_url: str) -> str:
    """The whole short URL; the default domain is the application's own, with its scheme and port."""
    if domain.workspace_id == SHARED:
        return f"{base_url}/{slug}"
    return f"https://{domain.domain_name}/{slug}"


def made(new: Made, base_url: str, now_ms: int) -> dict[str, object]:
    """The answer to making a link."""
    shown = link(new.link, new.domain, 0, base_url, now_ms, blocked=new.blocked)
    return {
        "url_id": shown["id"],
        "id": shown["id"],
        "short_url": shown["short_url"],
        "short_code": shown["short_code"],
        "link": shown,
    }


def link(stored: Link, domain: Domain, clicks: int, base_url: str, now_ms: int, *, blocked: bool) -> dict[str, object]:
    """A link. `blocked` is whether a block list has its destination's host."""
    destination = destinations.parsed(stored.long_url)
    active = stored.status == "active" and not stored.takedown and not blocked
    return {
        "id": stored.link_id,
        "url_id": stored.link_id,
        "domain_id": stored.domain_id,
        "domain": domain.domain_name,
        "short_code": stored.slug,
        "short_url": short_url(domain, stored.slug, base_url),
        "long_url": stored.long_url,
        "canonical_url": destination.canonical,
        "destination_host": destination.host,
        "destination_host_unicode": destinations.for_people(destination.host),
        "title": stored.title or None,
        "notes": stored.notes or None,
        "tags": json.loads(stored.tags),
        "utm": json.loads(stored.utm),
        "status": ("expired" if stored.expired(now_ms) else "active") if active else "disabled",
        "taken_down": bool(stored.takedown),
        "blocked": blocked,
        "archived": bool(stored.archived),
        "expires_at": None if stored.expires_at_ms is None else to_rfc3339(stored.expires_at_ms),
        "clicks_max": stored.clicks_max,
        "clicks_used": stored.clicks_used if stored.clicks_max is not None else None,
        "password_protected": bool(stored.password_hash),
        "redirect_status_code": stored.redirect_status_code,
        "conversion_tracking": bool(stored.conversion_tracking),
        "conversion_window_days": stored.conversion_window_days,
        "append_token": stored.append_policy,
        "token_suppressed": targets.token_suppression(stored),
        "forward_query": bool(stored.forward_query),
        "privacy": stored.privacy or None,
        "clicks": clicks,
        "created_at": to_rfc3339(stored.created_at_ms),
        "updated_at": to_rfc3339(stored.updated_at_ms),
    }


def click(listed: Listed, decided: Decided | None) -> dict[str, object]:
    """A click, without what other tables know of it; `decided` is what its decision number means."""
    utm = {name: getattr(listed, f"utm_{name}") for name in UTM_NAMES}
    return {
        "id": listed.click_id,
        "clicked_at": to_rfc3339(listed.clicked_at_ms),
        "link_id": listed.link_id,
        "domain_id": listed.domain_id,
        "variant": (decided and decided.variant_key) or None,
        "decision": listed.decision,
        "rule_id": decided and decided.rule_id,
        "destination_host": listed.destination_host or None,
        "tracked": bool(listed.tracked),
        "token_suppressed": listed.token_suppressed or None,
        "touch_type": listed.touch_type,
        "placement": listed.placement or None,
        "referrer_host": listed.referrer_host or None,
        "utm": {name: value for name, value in utm.items() if value},
        "tags": json.loads(listed.tags),
        "country": listed.country or None,
        "region": listed.region or None,
        "city": listed.city or None,
        "language": listed.language or None,
        "device": listed.device or None,
        "os": listed.os or None,
        "browser": listed.browser or None,
        "agent": listed.agent or None,
        "quality": listed.quality,
        "reason": listed.reason or None,
        "converted": bool(listed.converted),
    }


def change(entry: Entry) -> dict[str, object]:
    """One change of a link."""
    return {
        "changed_at": to_rfc3339(entry.changed_at_ms),
        "actor": entry.actor,
        "action": entry.action,
        "before": msgspec.Raw(entry.before.encode()),
        "after": msgspec.Raw(entry.after.encode()),
    }


def domain(stored: Domain) -> dict[str, object]:
    """A domain, with what its workspace has to put into the DNS; the shared one needs no proof."""
    shared = stored.workspace_id == SHARED
    verification = {
        "record_type": "TXT",
        "record_name": dns.challenge_name(stored.domain_name),
        "record_value": stored.challenge,
        "status": stored.finding or None,
        "checked_at": None if stored.checked_at_ms is None else to_rfc3339(stored.checked_at_ms),
        "proved_at": None if stored.proved_at_ms is None else to_rfc3339(stored.proved_at_ms),
    }
    return {
        "id": stored.domain_id,
        "domain_name": stored.domain_name,
        "domain_name_unicode": destinations.for_people(stored.domain_name),
        "status": stored.status,
        "ready_for_traffic": stored.ready,
        "shared": shared,
        "root_url": stored.root_url or None,
        "not_found_url": stored.not_found_url or None,
        "expired_url": stored.expired_url or None,
        "ios_apps": json.loads(stored.ios_apps),
        "android_apps": json.loads(stored.android_apps),
        "verification": None if shared else verification,
        "created_at": to_rfc3339(stored.created_at_ms),
    }


def workspace(stored: Workspace, surfaces: Iterable[str]) -> dict[str, object]:
    """A workspace."""
    return {
        "workspace_id": stored.workspace_id,
        "name": stored.name,
        "plan": stored.plan,
        "surfaces": sorted(surfaces),
        "conversion_window_days": stored.conversion_window_days,
        "privacy": stored.privacy,
        "privacy_suppresses_token": bool(stored.privacy_suppresses_token),
        "sticky_cookie": bool(stored.sticky_cookie),
        "timezone": stored.timezone,
        "created_at": to_rfc3339(stored.created_at_ms),
    }


def blocked_host(stored: BlockedHost) -> dict[str, object]:
    """A host of a block list."""
    return {
        "host": stored.host,
        "host_unicode": destinations.for_people(stored.host),
        "reason": stored.reason or None,
        "created_at": to_rfc3339(stored.created_at_ms),
    }
