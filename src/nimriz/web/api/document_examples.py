"""The examples of the document: one shop, one link, one sale. Made up, and true to their schemas."""

from __future__ import annotations

import json
from typing import Any

from nimriz.analytics.dimensions import OF_CONTEXT

Example = dict[str, Any]

WORKSPACE_ID = "019ab1f4-7c00-7c3e-9a51-5f0d3c1b2a10"
DOMAIN_ID = "019ab1f4-7c00-7c3e-9a51-5f0d3c1b2a11"
LINK_ID = "019ab1f5-2e40-7d20-8b3c-1a2b3c4d5e6f"
CLICK_ID = "019ab1f6-10a0-7f00-9c00-0a1b2c3d4e5f"
EVENT_ID = "stripe:pi_3Nq1"
REFERENCE = "req_5f0d3c1b2a1098e7d6c5b4a3"
LONG_URL = "https://shop.example/landing?color=red"
_AT = "2026-11-23T10:00:00.000Z"

DOMAIN: Example = {
    "id": DOMAIN_ID, "domain_name": "go.example.com", "domain_name_unicode": "go.example.com", "status": "pending",
    "ready_for_traffic": False, "shared": False, "root_url": None, "not_found_url": None, "expired_url": None,
    "ios_apps": [], "android_apps": [],
    "verification": {
        "record_type": "TXT", "record_name": "_nimriz.go.example.com",
        "record_value": "nimriz-verify=5f0d3c1b2a1098e7d6c5b4a35f0d3c1b2a1098e7", "status": None,
        "checked_at": None, "proved_at": None,
    },
    "created_at": _AT,
}  # fmt: skip
DOMAIN_VERIFIED: Example = {
    "verified": True, "verification_status": "verified", "ready_for_traffic": True, "domain_status": "ready",
    "domain_id": DOMAIN_ID, "domain_name": "go.example.com",
}  # fmt: skip
WORKSPACE: Example = {
    "workspace_id": WORKSPACE_ID, "name": "The shop", "plan": "enterprise",
    "surfaces": ["conversion_reporting", "conversion_tracking", "exports"], "conversion_window_days": 30,
    "privacy": "standard", "privacy_suppresses_token": False, "sticky_cookie": False,
    "timezone": "Europe/Berlin", "created_at": _AT,
}  # fmt: skip
BLOCKED_HOST: Example = {
    "host": "scam.example", "host_unicode": "scam.example", "reason": "phishing", "created_at": _AT,
}  # fmt: skip

LINK: Example = {
    "id": LINK_ID, "url_id": LINK_ID, "domain_id": DOMAIN_ID, "domain": "go.example.com",
    "short_code": "launch", "short_url": "https://go.example.com/launch", "long_url": LONG_URL,
    "canonical_url": LONG_URL, "destination_host": "shop.example", "destination_host_unicode": "shop.example",
    "title": "Spring launch", "notes": None, "tags": ["spring"], "utm": {"source": "newsletter"},
    "status": "active", "taken_down": False, "blocked": False, "archived": False, "expires_at": None,
    "clicks_max": None, "clicks_used": None, "password_protected": False, "redirect_status_code": 302,
    "conversion_tracking": True, "conversion_window_days": None, "append_token": "auto", "token_suppressed": None,
    "forward_query": False, "privacy": None, "clicks": 142, "created_at": "2026-11-20T09:30:00.000Z",
    "updated_at": "2026-11-20T09:30:00.000Z",
}  # fmt: skip
MADE: Example = {
    "url_id": LINK_ID, "id": LINK_ID, "short_url": LINK["short_url"], "short_code": "launch",
    "link": {**LINK, "clicks": 0},
}  # fmt: skip
NEW_LINK: Example = {
    "domain_id": DOMAIN_ID, "long_url": LONG_URL, "custom_slug": "launch", "title": "Spring launch",
    "tags": ["spring"], "utm": {"source": "newsletter"}, "conversion_tracking": True,
}  # fmt: skip
BULK: Example = {
    "rows": [
        {"client_row_id": "1", "idempotency_key": "import-7-1", **NEW_LINK},
        {"client_row_id": "2", "idempotency_key": "import-7-2", "domain_id": DOMAIN_ID, "long_url": "shop"},
    ]
}
LINK_CHANGES: Example = {
    "changes": [
        {
            "changed_at": "2026-11-22T16:05:11.250Z",
            "actor": "key:019ab1f4-7c00-7c3e-9a51-5f0d3c1b2a12",
            "action": "changed",
            "before": {"title": None},
            "after": {"title": "Spring launch"},
        }
    ],
    "next_cursor": None,
}
LINK_ANALYTICS: Example = {
    "link_id": LINK_ID, "range_days": 2, "from": "2026-11-22", "to": "2026-11-23", "timezone": "Europe/Berlin",
    "touch_type": None, "include_bots": False, "include_suspects": True,
    "totals": {"clicks": 142, "tracked_clicks": 142, "unique_clicks": 131, "bots": 3, "suspects": 2},
    "by_day": [{"day": "2026-11-22", "clicks": 61}, {"day": "2026-11-23", "clicks": 81}],
    "breakdowns": {
        **{name: [] for name in OF_CONTEXT},
        "touch_type": [{"key": "short_link_click", "clicks": 130}, {"key": "qr_scan", "clicks": 12}],
        "country": [{"key": "DE", "clicks": 121}, {"key": "AT", "clicks": 21}],
    },
    "fresh_as_of": _AT,
}  # fmt: skip
LANDED: Example = {
    "id": CLICK_ID, "clicked_at": "2026-11-22T18:20:05.120Z", "link_id": LINK_ID, "domain_id": DOMAIN_ID,
    "variant": None, "decision": 0, "rule_id": None, "destination_host": "shop.example",
    "tracked": True, "token_suppressed": None,
    "touch_type": "short_link_click", "placement": "newsletter-42", "referrer_host": "mail.example",
    "utm": {"source": "newsletter"}, "tags": ["spring"], "country": "DE", "region": "BE", "city": "Berlin",
    "language": "de", "device": "mobile", "os": "Android", "browser": "Firefox", "agent": "browser",
    "quality": "human", "reason": None, "converted": False,
}  # fmt: skip
CLICK: Example = {**LANDED, "reason": "converted", "converted": True, "customers": 1, "planted": False}
STREAMED = f"event: click\nid: {CLICK_ID}\ndata: {json.dumps(LANDED, separators=(',', ':'))}\n\n"
LIVE_VIEW: Example = {
    "now": "2026-11-22T18:20:31.004Z", "minutes": 30, "include_bots": False, "include_suspects": True,
    "clicks_by_minute": [
        {"minute": f"2026-11-22T{17 + minute // 60}:{minute % 60:02d}:00.000Z", "clicks": int(minute == 80)}
        for minute in range(51, 81)
    ],
    "visitors": 1, "top_links": [{"link_id": LINK_ID, "label": "go.example.com/launch", "clicks": 1}],
    "top_countries": [{"country": "DE", "clicks": 1}], "recent": [CLICK],
}  # fmt: skip

SALE: Example = {
    "event_name": "sale", "event_id": EVENT_ID, "event_time": "2026-11-23T10:00:00Z",
    "user_data": {"external_id": "customer-81"},
    "custom_data": {"value": "129.90", "currency": "USD", "order_id": "A-1001"},
}  # fmt: skip
STANDING: Example = {
    "event": {
        "id": "019ab1f7-0000-7000-8000-000000000001", "event_id": EVENT_ID, "event_name": "sale", "mode": "live",
        "event_time": _AT, "received_at": "2026-11-23T10:00:01.412Z", "value": "129.90", "value_minor": 12990,
        "currency": "USD", "order_id": "A-1001", "external_id": "customer-81", "related_order_id": None,
        "related_event_id": None, "quantity": None, "metadata": None,
    },
    "attribution": {
        "status": "attributed", "method": "external_id", "reason": None, "link_id": LINK_ID, "click_id": CLICK_ID,
        "variant": None, "clicked_at": "2026-11-22T18:20:05.120Z", "window_days": 30,
    },
    "settlement": None,
}  # fmt: skip
RECORDED: Example = {"status": "recorded", "duplicate": False, **STANDING, "support_reference": REFERENCE}
CONVERSION: Example = {
    **STANDING,
    "support_reference": REFERENCE,
    "order": {
        "currency": "USD", "gross": "129.90", "taken_back": "29.90", "net": "100.00", "excess": "0.00",
        "gross_minor": 12990, "taken_back_minor": 2990, "net_minor": 10000, "excess_minor": 0,
        "sales": [EVENT_ID], "follow_ons": ["shop:refund-1"], "reinstatements": [],
    },
}  # fmt: skip
EXPLANATION: Example = {
    **STANDING,
    "steps": [
        {
            "check": "identity", "code": "external_id_sent", "passed": True,
            "sentence": "The event came with an external_id.",
            "facts": {"click_id_sent": False, "external_id_sent": True}, "advice": None,
        },
        {
            "check": "verdict", "code": "attributed", "passed": True,
            "sentence": "The event is attributed to the link, by external_id.", "facts": {"method": "external_id"},
            "advice": None,
        },
    ],
    "reproduced": True,
    "verdicts": [{"judged_at": "2026-11-23T10:00:01.412Z", "attribution": STANDING["attribution"]}],
    "settlements": [],
    "support_reference": REFERENCE,
}  # fmt: skip
IDENTITY: Example = {
    "external_id": "customer-81", "click_id": CLICK_ID, "link_id": LINK_ID, "variant": None,
    "clicked_at": "2026-11-22T18:20:05.120Z", "window_days": 30, "holds_from": "2026-11-22T18:16:40.000Z",
    "tied_at": "2026-11-22T18:21:41.250Z", "event_id": "crm-lead-81",
}  # fmt: skip
SHARED_IDENTITY: Example = {
    "external_id": "guest", "clicks": 1204, "first_tied_at": "2026-11-01T08:00:00.000Z", "last_tied_at": _AT,
    "why": "placeholder",
}  # fmt: skip
SIGNING_SECRET: Example = {
    "secret_id": "019ab1f4-7c00-7c3e-9a51-5f0d3c1b2a13", "mode": "live", "ends_in": "x9Qk",
    "created_at": "2026-11-01T08:00:00.000Z", "last_used_at": _AT, "revoked_at": None, "unused_90_days": False,
}  # fmt: skip
DELIVERY: Example = {
    "support_reference": REFERENCE, "received_at": _AT, "took_ms": 0.412, "kind": "refused", "http_status": 422,
    "code": "validation_failed", "advice": "Mend the fields named in errors and send again.", "mode": "live",
    "secret_id": "019ab1f4-7c00-7c3e-9a51-5f0d3c1b2a13", "batch": False, "validate_only": False, "body_bytes": 214,
    "event_id": None, "fields": ["custom_data.value", "event_id", "event_name"],
    "errors": [{
        "field": "custom_data.currency", "code": "currency_missing", "message": "value and currency come together.",
    }],
    "events": None,
}  # fmt: skip

_FIGURES: Example = {
    "clicks": 142, "tracked_clicks": 142, "unique_clicks": None, "leads": 17, "sales": 1, "refunds": 0,
    "cancellations": 0, "reversals": 0, "reinstatements": 0, "attributed": 18, "attribution_rate": 0.1268,
    "revenue": [{
        "currency": "USD", "gross": "129.90", "taken_back": "0.00", "net": "129.90",
        "gross_minor": 12990, "taken_back_minor": 0, "net_minor": 12990,
    }],
}  # fmt: skip
_NOTHING: Example = {
    **dict.fromkeys(_FIGURES, 0), "clicks": None, "tracked_clicks": None, "unique_clicks": None,
    "attribution_rate": None, "revenue": [],
}  # fmt: skip
CLICKS_REPORT: Example = {
    "from": "2026-11-01", "to": "2026-11-30", "timezone": "UTC", "by": "country", "as_of": None,
    "rows": [{"key": "DE", "label": "DE", "clicks": 142, "tracked_clicks": 142, "unique_clicks": 131}],
    "totals": {"clicks": 142, "tracked_clicks": 142, "unique_clicks": 131}, "suppressed": {"signed_aws": 12},
    "quality": {"human": 140, "suspect": 2, "bot": 7}, "fresh_as_of": "2026-11-30T12:00:00.000Z", "next_cursor": None,
}  # fmt: skip
REPORT: Example = {
    "from": "2026-11-01", "to": "2026-11-30", "timezone": "UTC", "by": "link", "clock": "event", "mode": "live",
    "as_of": None, "rows": [{"key": LINK_ID, "label": "go.example.com/launch", **_FIGURES}], "totals": _FIGURES,
    "unattributed": {**_NOTHING, "leads": 2, "reasons": {"no_identity": 2}},
    "fresh_as_of": "2026-11-30T12:00:00.000Z", "next_cursor": None,
}  # fmt: skip

ERASURE: Example = {
    "id": "01934f2a-7c11-7d3e-9c55-1f0d6f3a2b10", "status": "finished", "asked_at": "2026-11-23T10:00:00.000Z",
    "finished_at": "2026-11-23T10:00:00.000Z",
    "destroyed": {"live_persons": 1, "live_metadata": 3, "test_persons": 0, "test_metadata": 0},
    "certificate": {
        "statement": (
            '{"nimriz_erasure":1,"erasure_id":"01934f2a-7c11-7d3e-9c55-1f0d6f3a2b10","workspace_id":'
            '"' + WORKSPACE_ID + '","asked_at":"2026-11-23T10:00:00.000Z","finished_at":"2026-11-23T10:00:00.000Z",'
            '"destroyed":{"live_persons":1,"live_metadata":3,"test_persons":0,"test_metadata":0}}'
        ),
        "signature": "5f" * 64, "public_key": "c0" * 32,
    },
}  # fmt: skip
EXCLUSION: Example = {
    "id": "019ab1f4-7c00-7c3e-9a51-5f0d3c1b2a77", "secret_id": "019ab1f4-7c00-7c3e-9a51-5f0d3c1b2a13", "excludes": True,
    "from": "2026-11-20T00:00:00.000Z", "to": "2026-11-23T10:00:00.000Z", "note": "leaked",
    "actor": "019ab1f4-7c00-7c3e-9a51-5f0d3c1b2a01", "decided_at": "2026-11-23T10:00:00.000Z",
}  # fmt: skip
