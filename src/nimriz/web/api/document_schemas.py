"""The schemas of the document: what answers look like, as JSON Schema (2020-12).

Closed (`additionalProperties: false`) and complete: every member is in each answer unless it stands in `optional`.
"""

from __future__ import annotations

from typing import Any, get_args

from nimriz.analytics.dimensions import BYS, CLICK_BYS, OF_CONTEXT
from nimriz.base.errors import CODES, FIELD_CODES
from nimriz.base.urls import UTM_NAMES
from nimriz.core.clicks.agent_kinds import Kind
from nimriz.core.clicks.quality import QUALITIES, REASONS
from nimriz.core.directory.credentials import SCOPES
from nimriz.core.directory.entitlements import PLANS, SURFACES
from nimriz.core.ledger import trace
from nimriz.core.ledger.claims import EVENT_NAMES
from nimriz.core.ledger.deliveries import KINDS
from nimriz.core.ledger.identities import Why
from nimriz.core.ledger.trace import Check
from nimriz.core.links.domains import Status
from nimriz.core.links.history import Action
from nimriz.core.links.verification import Finding
from nimriz.core.routing.experiments import State
from nimriz.web.api.bulk import BulkRow

Schema = dict[str, Any]

SUPPRESSED = (
    "signed_aws", "signed_gcs", "signed_cloudfront", "signed_azure", "signed_akamai", "signed_alibaba", "policy",
    "integrity_token", "already_present", "not_http", "too_long", "owner",
)  # fmt: skip


def ref(name: str) -> Schema:
    """A schema of the document by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def closed(members: Schema, *, optional: tuple[str, ...] = ()) -> Schema:
    """An object with these members and no other."""
    return {
        "type": "object",
        "properties": members,
        "required": [name for name in members if name not in optional],
        "additionalProperties": False,
    }


def one_of(*values: str | int) -> Schema:
    """One of these values."""
    return {"type": "integer" if isinstance(values[0], int) else "string", "enum": list(values)}


def many(schema: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": schema}


def maybe(schema: Schema) -> Schema:
    """Or null."""
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    null: Schema = {**schema, "type": [schema["type"], "null"]}
    return {**null, "enum": [*schema["enum"], None]} if "enum" in schema else null


TEXT: Schema = {"type": "string"}
ID: Schema = {"type": "string", "format": "uuid"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
WHOLE: Schema = {"type": "integer"}
AMOUNT: Schema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
DAYS: Schema = {"type": "integer", "minimum": 1, "maximum": 30}
CURRENCY: Schema = {"type": "string", "pattern": "^[A-Z]{3}$"}
INSTANT: Schema = {"type": "string", "format": "date-time", "pattern": r"Z$"}
REFERENCE: Schema = {"type": "string", "pattern": "^req_[0-9a-f]{24}$"}
ANYTHING: Schema = {"type": "object"}
_REVENUE = ("gross", "taken_back", "net")

_LINK = closed({
    "id": ID, "url_id": ID, "domain_id": ID, "domain": TEXT, "short_code": TEXT, "short_url": TEXT,
    "long_url": TEXT, "canonical_url": TEXT, "destination_host": TEXT, "destination_host_unicode": TEXT,
    "title": maybe(TEXT), "notes": maybe(TEXT), "tags": many(TEXT),
    "utm": closed(dict.fromkeys(UTM_NAMES, TEXT), optional=tuple(UTM_NAMES)),
    "status": one_of("active", "disabled", "expired"), "taken_down": FLAG, "blocked": FLAG,
    "archived": FLAG,
    "expires_at": maybe(INSTANT), "clicks_max": maybe(COUNT), "clicks_used": maybe(COUNT),
    "password_protected": FLAG, "redirect_status_code": one_of(301, 302), "conversion_tracking": FLAG,
    "conversion_window_days": maybe(DAYS), "append_token": one_of("auto", "always", "never"),
    "token_suppressed": maybe(one_of(*SUPPRESSED)), "forward_query": FLAG, "privacy": maybe(one_of("strict")),
    "clicks": COUNT, "created_at": INSTANT, "updated_at": INSTANT,
})  # fmt: skip
_MADE = {"url_id": ID, "id": ID, "short_url": TEXT, "short_code": TEXT, "link": ref("Link")}
_DOMAIN = {
    "id": ID, "domain_name": TEXT, "domain_name_unicode": TEXT, "status": one_of(*get_args(Status)),
    "ready_for_traffic": FLAG, "shared": FLAG, "root_url": maybe(TEXT), "not_found_url": maybe(TEXT),
    "expired_url": maybe(TEXT), "ios_apps": many(TEXT),
    "android_apps": many(closed({"package": TEXT, "fingerprints": many(TEXT)})),
    "verification": maybe(closed({
        "record_type": one_of("TXT"), "record_name": TEXT, "record_value": TEXT,
        "status": maybe(one_of(*get_args(Finding))), "checked_at": maybe(INSTANT), "proved_at": maybe(INSTANT),
    })),
    "created_at": INSTANT,
}  # fmt: skip
_WORKSPACE = {
    "workspace_id": ID, "name": TEXT, "plan": one_of(*PLANS), "surfaces": many(one_of(*SURFACES)),
    "conversion_window_days": DAYS, "privacy": one_of("standard", "strict"), "privacy_suppresses_token": FLAG,
    "sticky_cookie": FLAG, "timezone": TEXT, "created_at": INSTANT,
}  # fmt: skip
_FIELD_ERROR = closed({"field": TEXT, "code": one_of(*FIELD_CODES), "message": TEXT})
OPTIONAL = ("scope", "surface", "state")
_PROBLEM: Schema = {
    "type": TEXT, "title": TEXT, "status": WHOLE, "detail": TEXT, "code": one_of(*CODES),
    "support_reference": REFERENCE, "errors": many(ref("FieldError")),
    "scope": one_of(*SCOPES), "surface": one_of(*SURFACES), "state": one_of(*get_args(State)),
}  # fmt: skip
_EVENT = closed({
    "id": ID, "event_id": TEXT, "event_name": one_of(*sorted(EVENT_NAMES)), "mode": one_of("live", "test"),
    "event_time": INSTANT, "received_at": INSTANT, "value": maybe(AMOUNT), "value_minor": maybe(COUNT),
    "currency": maybe(CURRENCY), "order_id": maybe(TEXT), "external_id": maybe(TEXT),
    "related_order_id": maybe(TEXT), "related_event_id": maybe(TEXT), "quantity": maybe(COUNT),
    "metadata": maybe(ANYTHING),
})  # fmt: skip
_ATTRIBUTION = closed({
    "status": one_of("attributed", "unattributed", "pending"),
    "method": maybe(one_of("click_id", "external_id", "related")),
    "reason": maybe(one_of(
        "token_malformed", "token_forged", "token_other_workspace", "before_click", "outside_window",
        "external_id_unknown", "no_identity", "related_pending", "related_invalid", "excluded",
    )),
    "link_id": maybe(ID), "click_id": maybe(ID), "variant": maybe(TEXT), "clicked_at": maybe(INSTANT),
    "window_days": maybe(DAYS),
})  # fmt: skip
_SETTLEMENT = closed({
    "status": one_of("settled", "pending", "excess", "mismatch"), "currency": maybe(CURRENCY),
    "applied": AMOUNT, "applied_minor": COUNT, "excess": AMOUNT, "excess_minor": COUNT,
    "remaining": maybe(AMOUNT), "remaining_minor": maybe(WHOLE),
})  # fmt: skip
_AMOUNTS = (*_REVENUE, "excess")
_ORDER = closed({
    "currency": maybe(CURRENCY), **dict.fromkeys(_AMOUNTS, AMOUNT), **{f"{n}_minor": WHOLE for n in _AMOUNTS},
    "sales": many(TEXT), "follow_ons": many(TEXT), "reinstatements": many(TEXT),
})  # fmt: skip
_STANDING = {"event": ref("Event"), "attribution": ref("Attribution"), "settlement": maybe(ref("Settlement"))}
_RECORDED = {
    "status": one_of("recorded", "valid"), "duplicate": FLAG, **_STANDING, "support_reference": REFERENCE,
    "differences": many(TEXT),
}  # fmt: skip
_FIGURES = {
    "clicks": maybe(COUNT), "tracked_clicks": maybe(COUNT), "unique_clicks": maybe(COUNT),
    **dict.fromkeys(("leads", "sales", "refunds", "cancellations", "reversals", "reinstatements", "attributed"), COUNT),
    "attribution_rate": maybe({"type": "number", "minimum": 0}),
    "revenue": many(closed({
        "currency": TEXT, **dict.fromkeys(_REVENUE, AMOUNT), **{f"{name}_minor": WHOLE for name in _REVENUE},
    })),
}  # fmt: skip
_CLICK_FIGURES = {name: maybe(COUNT) for name in ("clicks", "tracked_clicks", "unique_clicks")}
_COUNTS: Schema = {"type": "object", "additionalProperties": COUNT}
_PERIOD = {"from": TEXT, "to": TEXT}


def _row(figures: Schema) -> Schema:
    """A row of a report: by one dimension or two, and beside another period's where that is asked for."""
    named = {"key": TEXT, "label": TEXT, "then_key": TEXT, "then_label": TEXT}
    return closed({**named, **figures, "compared": closed(figures)}, optional=("then_key", "then_label", "compared"))


_PAGE_CURSOR = maybe(TEXT)
_TOUCH = one_of("short_link_click", "qr_scan")
_CLICK = closed({
    "id": ID, "clicked_at": INSTANT, "link_id": ID, "domain_id": ID, "variant": maybe(TEXT), "decision": COUNT,
    "rule_id": maybe(ID),
    "destination_host": maybe(TEXT), "tracked": FLAG, "token_suppressed": maybe(one_of(*SUPPRESSED, "bot", "privacy")),
    "touch_type": _TOUCH, "placement": maybe(TEXT), "referrer_host": maybe(TEXT),
    "utm": closed(dict.fromkeys(UTM_NAMES, TEXT), optional=tuple(UTM_NAMES)), "tags": many(TEXT),
    **dict.fromkeys(("country", "region", "city", "language", "device", "os", "browser"), maybe(TEXT)),
    "agent": maybe(one_of(*get_args(Kind))), "quality": one_of(*QUALITIES), "reason": maybe(one_of(*REASONS)),
    "converted": FLAG, "customers": COUNT, "planted": FLAG,
})  # fmt: skip
_DELIVERY = closed({
    "support_reference": REFERENCE, "received_at": INSTANT, "took_ms": {"type": "number", "minimum": 0},
    "kind": one_of(*KINDS), "http_status": WHOLE, "code": maybe(one_of(*CODES)), "advice": maybe(TEXT),
    "mode": maybe(one_of("live", "test")), "secret_id": maybe(ID), "batch": FLAG, "validate_only": FLAG,
    "body_bytes": maybe(COUNT), "event_id": maybe(TEXT), "fields": {"type": ["array", "null"], "items": TEXT},
    "errors": many(ref("FieldError")),
    "events": maybe(closed({
        "recorded": COUNT, "repeated": COUNT, "refused": COUNT,
        "refused_rows": many(closed({"index": COUNT, "code": one_of(*CODES), "errors": many(ref("FieldError"))})),
    })),
})  # fmt: skip
_SIGNING_SECRET = {
    "secret_id": ID, "mode": one_of("live", "test"), "ends_in": TEXT, "created_at": INSTANT,
    "last_used_at": maybe(INSTANT), "revoked_at": maybe(INSTANT), "unused_90_days": FLAG,
}  # fmt: skip

_EXCLUSION = {
    "id": ID, "secret_id": TEXT, "excludes": FLAG, "from": INSTANT, "to": INSTANT, "note": maybe(TEXT), "actor": TEXT,
    "decided_at": INSTANT,
}  # fmt: skip
_ERASURE = closed({
    "id": ID, "status": one_of("pending", "finished"), "asked_at": INSTANT, "finished_at": maybe(INSTANT),
    "destroyed": {"type": "object", "additionalProperties": COUNT},
    "certificate": maybe(closed({
        "statement": TEXT,
        "signature": {"type": "string", "pattern": "^[0-9a-f]{128}$"},
        "public_key": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    })),
})  # fmt: skip

SCHEMAS: dict[str, Schema] = {
    "Link": _LINK,
    "LinkAnswer": closed({"link": ref("Link")}),
    "LinkMade": closed(_MADE),
    "LinkMadeBefore": closed({**_MADE, "idempotent": {"const": True}}),
    "LinkPage": closed({"links": many(ref("Link")), "next_cursor": _PAGE_CURSOR}),
    "Deleted": closed({"deleted": {"const": True}}),
    "LinkHistory": closed({"changes": many(closed({
        "changed_at": INSTANT, "actor": TEXT, "action": one_of(*get_args(Action)),
        "before": ANYTHING, "after": ANYTHING,
    })), "next_cursor": maybe(COUNT)}),
    "LinkAnalytics": closed({
        "link_id": ID, "range_days": COUNT, "from": TEXT, "to": TEXT, "timezone": TEXT,
        "touch_type": maybe(_TOUCH), "include_bots": FLAG, "include_suspects": FLAG,
        "totals": closed({
            "clicks": maybe(COUNT), "tracked_clicks": maybe(COUNT), "unique_clicks": maybe(COUNT),
            "bots": maybe(COUNT), "suspects": maybe(COUNT),
        }),
        "by_day": many(closed({"day": {"type": "string", "format": "date"}, "clicks": maybe(COUNT)})),
        "breakdowns": maybe(closed(dict.fromkeys(OF_CONTEXT, many(closed({"key": maybe(TEXT), "clicks": COUNT}))))),
        "fresh_as_of": INSTANT,
    }),
    "Click": _CLICK,
    "ClickPage": closed({"clicks": many(ref("Click")), "next_cursor": _PAGE_CURSOR}),
    "LiveView": closed({
        "now": INSTANT, "minutes": COUNT, "include_bots": FLAG, "include_suspects": FLAG,
        "clicks_by_minute": many(closed({"minute": INSTANT, "clicks": maybe(COUNT)})),
        "visitors": maybe(COUNT),
        "top_links": many(closed({"link_id": ID, "label": TEXT, "clicks": COUNT})),
        "top_countries": many(closed({"country": TEXT, "clicks": COUNT})),
        "recent": many(ref("Click")),
    }),
    "BulkRow": BulkRow.model_json_schema(ref_template="#/components/schemas/{model}"),
    "BulkResults": closed({"results": many({"anyOf": [
        closed({"client_row_id": maybe(TEXT), "http_status": one_of(200, 201), "idempotent": FLAG, **_MADE}),
        closed(
            {"client_row_id": maybe(TEXT), "http_status": WHOLE, **_PROBLEM}, optional=OPTIONAL
        ),
    ]})}),
    "SlugAvailable": closed({"available": {"const": True}}),
    "SlugRefused": closed({**_PROBLEM, "available": {"const": False}}, optional=(*OPTIONAL, "available")),
    "Domain": closed(_DOMAIN),
    "DomainAnswer": closed({**_DOMAIN, "domain": ref("Domain")}),
    "DomainList": closed({"domains": many(ref("Domain"))}),
    "DomainVerified": closed({
        "verified": FLAG, "verification_status": one_of(*get_args(Finding)), "ready_for_traffic": FLAG,
        "domain_status": one_of(*get_args(Status)), "domain_id": ID, "domain_name": TEXT,
    }),
    "BlockedHost": closed({"host": TEXT, "host_unicode": TEXT, "reason": maybe(TEXT), "created_at": INSTANT}),
    "BlockedHostAnswer": closed({"blocked_host": ref("BlockedHost")}),
    "BlockedHostList": closed({"blocked_hosts": many(ref("BlockedHost"))}),
    "Workspace": closed(_WORKSPACE),
    "WorkspaceAnswer": closed({**_WORKSPACE, "workspace": ref("Workspace")}),
    "Whoami": closed({
        "account_id": ID, "workspace_id": ID, "workspace_name": TEXT, "plan": one_of(*PLANS),
        "surfaces": many(one_of(*SURFACES)),
    }),
    "Event": _EVENT,
    "Attribution": _ATTRIBUTION,
    "Settlement": _SETTLEMENT,
    "Order": _ORDER,
    "Conversion": closed(
        {**_STANDING, "support_reference": REFERENCE, "order": maybe(ref("Order"))}, optional=("order",)
    ),
    "ConversionPage": closed({"conversions": many(closed(_STANDING)), "next_cursor": _PAGE_CURSOR}),
    "Explanation": closed({
        **_STANDING,
        "steps": many(closed({
            "check": one_of(*get_args(Check)), "code": one_of(*dict.fromkeys(code for _, code in trace.WORDS)),
            "passed": maybe(FLAG), "sentence": TEXT, "facts": ANYTHING, "advice": maybe(TEXT),
        })),
        "reproduced": FLAG,
        "verdicts": many(closed({"judged_at": INSTANT, "attribution": ref("Attribution")})),
        "settlements": many(closed({"judged_at": INSTANT, "settlement": maybe(ref("Settlement"))})),
        "support_reference": REFERENCE,
    }),
    "Delivery": _DELIVERY,
    "DeliveryPage": closed({
        "deliveries": many(ref("Delivery")), "left_out": closed(dict.fromkeys(KINDS, COUNT)),
        "next_cursor": _PAGE_CURSOR,
    }),
    "IdentityPage": closed({"identities": many(closed({
        "external_id": maybe(TEXT), "click_id": ID, "link_id": ID, "variant": maybe(TEXT), "clicked_at": INSTANT,
        "window_days": DAYS, "holds_from": INSTANT, "tied_at": INSTANT, "event_id": TEXT,
    })), "next_cursor": _PAGE_CURSOR}),
    "SharedIdentities": closed({"clicks_min": COUNT, "identities": many(closed({
        "external_id": maybe(TEXT), "clicks": COUNT, "first_tied_at": INSTANT, "last_tied_at": INSTANT,
        "why": one_of(*get_args(Why)),
    }))}),
    "SigningSecretList": closed({"signing_secrets": many(closed(_SIGNING_SECRET))}),
    "SigningSecretMade": closed({**_SIGNING_SECRET, "signing_secret": TEXT}),
    "Revoked": closed({"revoked": {"const": True}}),
    "TestLedgerEmptied": closed({"deleted": COUNT}),
    "ExclusionList": closed({"exclusions": many(closed(_EXCLUSION))}),
    "ExclusionMade": closed({"exclusion": closed({**_EXCLUSION, "events": COUNT})}),
    "Erasure": _ERASURE,
    "ErasureAnswer": closed({"erasure": ref("Erasure"), "support_reference": REFERENCE}),
    "ErasurePage": closed({"erasures": many(ref("Erasure")), "next_cursor": _PAGE_CURSOR}),
    "Recorded": closed(_RECORDED, optional=("differences",)),
    "BatchRecorded": closed({
        "results": many({"anyOf": [
            closed({"http_status": one_of(200, 201), **_RECORDED}, optional=("differences",)),
            closed({"http_status": WHOLE, **_PROBLEM}, optional=OPTIONAL),
        ]}),
        "support_reference": REFERENCE,
    }),
    "Report": closed({
        "from": TEXT, "to": TEXT, "timezone": TEXT, "by": one_of(*BYS), "clock": one_of("event", "click"),
        "mode": one_of("live", "test"), "as_of": maybe(INSTANT),
        "then_by": one_of(*BYS), "model": one_of("first", "linear"),
        "rows": many(_row(_FIGURES)), "totals": closed(_FIGURES),
        "unattributed": closed({**_FIGURES, "reasons": _COUNTS}),
        "compared": closed({**_PERIOD, "totals": closed(_FIGURES), "unattributed": closed(_FIGURES)}),
        "fresh_as_of": INSTANT, "next_cursor": _PAGE_CURSOR,
    }, optional=("then_by", "model", "compared")),
    "ClicksReport": closed({
        **_PERIOD, "timezone": TEXT, "by": one_of(*CLICK_BYS), "then_by": one_of(*CLICK_BYS), "as_of": maybe(INSTANT),
        "rows": many(_row(_CLICK_FIGURES)), "totals": closed(_CLICK_FIGURES), "suppressed": maybe(_COUNTS),
        "quality": maybe(_COUNTS), "compared": closed({**_PERIOD, "totals": closed(_CLICK_FIGURES)}),
        "fresh_as_of": INSTANT, "next_cursor": _PAGE_CURSOR,
    }, optional=("then_by", "compared")),
    "Health": closed({"status": one_of("ok"), "version": TEXT, "time": INSTANT, "clock_offset_s": WHOLE}),
    "Readiness": closed(
        {
            "ready": FLAG,
            "records": one_of("ok", "unavailable", "refuses writes"),
            "reports": one_of("ok", "unavailable", "disk_full", "locked", "refused"),
        },
        optional=("reports",),
    ),
    "FieldError": _FIELD_ERROR,
    "Problem": closed(_PROBLEM, optional=OPTIONAL),
}  # fmt: skip
