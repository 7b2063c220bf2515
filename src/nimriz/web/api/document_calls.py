"""The calls of the management and reading API as the document tells them: the overlay on what the framework knows.

The framework knows paths, parameters and bodies. What a call is for, which scope it takes, what it answers and
how it refuses is told here, once for each (method, path). A call without its entry fails a test.
"""

from __future__ import annotations

from nimriz.base.errors import Refused
from nimriz.web.api import document_balances as balances
from nimriz.web.api import document_examples as examples
from nimriz.web.api import document_rules as routing
from nimriz.web.api.document_call import Answer, Call
from nimriz.web.api.document_call import answers as _is
from nimriz.web.api.document_exports import EXPORT_CALLS
from nimriz.web.api.document_results import RESULTS

_REPORT = ("surface_not_enabled", "reports_unavailable")
_TWO_DAYS = {"from": "2026-11-01", "to": "2026-11-02"}
_SLUG = ("slug_taken", "slug_tombstoned", "slug_reserved", "slug_invalid")
_DESTINATION = ("destination_invalid", "destination_blocked")
_LINK = {200: _is("LinkAnswer", "The link as it is now.", {"link": examples.LINK})}
_DOMAIN = _is("DomainAnswer", "The domain as it is now.", {**examples.DOMAIN, "domain": examples.DOMAIN})
_WORKSPACE = {
    200: _is("WorkspaceAnswer", "The workspace as it is now.", {**examples.WORKSPACE, "workspace": examples.WORKSPACE})
}
_THE_DOMAIN = {"domain_id": examples.DOMAIN_ID}
_THE_LINK = {"link_id": examples.LINK_ID}
_THE_EXPERIMENT = {**_THE_LINK, "experiment_id": routing.EXPERIMENT_ID}
_RULES = {200: _is("RuleList", "The rules as they are now.", routing.RULES)}
_CONCURRENCY = ("precondition_required", "precondition_failed")
_URL_ID = {"url_id": examples.LINK_ID}
_REFUSED_ROW = {
    "client_row_id": "2", "http_status": 422,
    **Refused("destination_invalid").problem(examples.REFERENCE),
}  # fmt: skip
_TAKEN = {**Refused("slug_taken").problem(examples.REFERENCE), "status": 403, "available": False}

TAGS = {
    "Links": "Making, finding, reading and changing links.",
    "Rules": "Sending some visitors elsewhere, comparing destinations, and trying both out.",
    "Existing clients": "The calls of older clients that change one thing about a link.",
    "Domains": "The hosts that short links live on.",
    "Workspace": "Who calls, and what the workspace may do.",
    "Conversions": "Sending signed events, one or many.",
    "Reading": "What was recorded, and reports on it.",
    "Exports": "Clicks, events, links and reports as files.",
    "Erasing": "Forgetting customers, without changing a total.",
    "Operations": "Whether the service is there.",
}

CALLS: dict[tuple[str, str], Call] = {
    ("POST", "/api/shorten"): Call(
        "Links", "Make a link", "links:write",
        {
            201: _is("LinkMade", "The link was made.", examples.MADE),
            200: _is("LinkMadeBefore", "It was made when this Idempotency-Key was first sent.",
                     {**examples.MADE, "idempotent": True}),
        },
        (*_SLUG, *_DESTINATION, "domain_not_found", "link_not_found", "idempotency_key_reused"),
        examples.NEW_LINK, {"Idempotency-Key": "campaign-7-launch"},
    ),
    ("POST", "/api/shorten/bulk"): Call(
        "Links", "Make many links", "links:write",
        {200: _is("BulkResults", "A result for each row, in order: read every `http_status`.", {"results": [
            {"client_row_id": "1", "http_status": 201, "idempotent": False, **examples.MADE}, _REFUSED_ROW,
        ]})},
        (), examples.BULK,
    ),
    ("GET", "/api/v1/links"): Call(
        "Links", "List links", "links:read",
        {200: _is("LinkPage", "A page of links.", {"links": [examples.LINK], "next_cursor": None})},
        params={"tag": "spring", "limit": 50},
    ),
    ("GET", "/api/v1/links/find"): Call(
        "Links", "Find a link", "links:read", _LINK, ("link_not_found",),
        params={"short_url": "https://go.example.com/launch"},
    ),
    ("GET", "/api/v1/links/{link_id}"): Call(
        "Links", "Read a link", "links:read", _LINK, ("link_not_found",), params=_THE_LINK
    ),
    ("PATCH", "/api/v1/links/{link_id}"): Call(
        "Links", "Change a link", "links:write", _LINK, ("link_not_found", *_SLUG, *_DESTINATION),
        {"title": "Spring launch", "tags": ["spring"]}, _THE_LINK,
    ),
    ("GET", "/api/v1/links/{link_id}/history"): Call(
        "Links", "Read a link's history", "links:read",
        {200: _is("LinkHistory", "A page of changes.", examples.LINK_CHANGES)},
        ("link_not_found",), params=_THE_LINK,
    ),
    ("GET", "/api/v1/links/{link_id}/analytics"): Call(
        "Links", "Count a link's clicks", "analytics:read",
        {200: _is("LinkAnalytics", "The counts.", examples.LINK_ANALYTICS)},
        ("link_not_found", "reports_unavailable"), params={**_THE_LINK, "range_days": 2},
    ),
    ("GET", "/api/v1/links/{link_id}/qr"): Call(
        "Links", "Draw a link's QR code", "links:read",
        {200: Answer("The image.", None, media=("image/svg+xml", "image/png"))},
        ("link_not_found",), params={**_THE_LINK, "format": "svg"},
    ),
    ("GET", "/api/v1/links/{link_id}/rules"): Call(
        "Rules", "Read a link's rules", "links:read", _RULES, ("link_not_found",), params=_THE_LINK
    ),
    ("PUT", "/api/v1/links/{link_id}/rules"): Call(
        "Rules", "Replace a link's rules", "links:write", _RULES,
        ("link_not_found", *_CONCURRENCY, *_DESTINATION, "experiment_running", "experiment_started",
         "experiment_state", "variant_key_taken", "quota_exceeded"),
        routing.NEW_RULES, {**_THE_LINK, "If-Match": '"1"'},
    ),
    ("POST", "/api/v1/links/{link_id}/simulate"): Call(
        "Rules", "Simulate a visit", "links:read",
        {200: _is("Simulated", "Where the visitor is sent, and why.", routing.SIMULATION)},
        ("link_not_found", *_DESTINATION, "experiment_started", "experiment_state"), routing.VISIT, _THE_LINK,
    ),
    ("GET", "/api/v1/links/{link_id}/experiments"): Call(
        "Rules", "List a link's experiments", "links:read",
        {200: _is("ExperimentList", "The experiments.", {"experiments": [routing.EXPERIMENT]})},
        ("link_not_found",), params=_THE_LINK,
    ),
    ("GET", "/api/v1/links/{link_id}/experiments/{experiment_id}"): Call(
        "Rules", "Read an experiment", "links:read",
        {200: _is("ExperimentAnswer", "The experiment.", {"experiment": routing.EXPERIMENT})},
        ("link_not_found", "experiment_not_found"), params=_THE_EXPERIMENT,
    ),
    **{
        ("POST", f"/api/v1/links/{{link_id}}/experiments/{{experiment_id}}/{verb}"): Call(
            "Rules", summary, "links:write", _RULES,
            ("link_not_found", "precondition_failed", "experiment_not_found", "experiment_state", *more),
            body, _THE_EXPERIMENT,
        )
        for verb, summary, more, body in (
            ("start", "Start an experiment", (), None),
            ("pause", "Pause an experiment", (), None),
            ("stop", "Stop an experiment", (), None),
            ("promote", "Promote a variant", ("variant_not_found",), {"variant": "v2"}),
        )
    },
    ("POST", "/api/delete-link"): Call(
        "Links", "Delete a link", "links:write",
        {200: _is("Deleted", "It is gone.", {"deleted": True})}, ("link_not_found",), _URL_ID,
    ),
    ("POST", "/api/check-slug"): Call(
        "Existing clients", "Ask for a slug", "links:read",
        {
            200: _is("SlugAvailable", "It can be had.", {"available": True}),
            403: _is("SlugRefused", "It cannot be had: `code` says why.", _TAKEN),
        },
        ("domain_not_found",), {"domain_id": examples.DOMAIN_ID, "slug": "launch"},
    ),
    ("PUT", "/api/update-slug"): Call(
        "Existing clients", "Rename a link", "links:write", _LINK, ("link_not_found", *_SLUG),
        {**_URL_ID, "new_slug": "spring"},
    ),
    ("PUT", "/api/update-destination"): Call(
        "Existing clients", "Let a link lead elsewhere", "links:write", _LINK, ("link_not_found", *_DESTINATION),
        {**_URL_ID, "long_url": examples.LONG_URL},
    ),
    ("PUT", "/api/update-password"): Call(
        "Existing clients", "Set or take away a password", "links:write", _LINK, ("link_not_found",),
        {**_URL_ID, "password": None},
    ),
    ("PUT", "/api/update-expiration"): Call(
        "Existing clients", "Set or take away an expiry", "links:write", _LINK, ("link_not_found",),
        {**_URL_ID, "expires_at": "2026-12-31T23:59:59Z"},
    ),
    ("GET", "/api/v1/domains"): Call(
        "Domains", "List domains", "links:read",
        {200: _is("DomainList", "The domains.", {"domains": [examples.DOMAIN]})},
    ),
    ("POST", "/api/v1/domains"): Call(
        "Domains", "Add a domain", "admin", {201: _DOMAIN}, ("domain_taken", "quota_exceeded"),
        {"domain_name": "go.example.com"},
    ),
    ("GET", "/api/v1/domains/{domain_id}"): Call(
        "Domains", "Read a domain", "links:read", {200: _DOMAIN}, ("domain_not_found",), params=_THE_DOMAIN
    ),
    ("POST", "/api/domains/verify"): Call(
        "Domains", "Verify a domain", "admin",
        {200: _is("DomainVerified", "What was found.", examples.DOMAIN_VERIFIED)},
        ("domain_not_found", "rate_limited"), _THE_DOMAIN,
    ),
    ("PATCH", "/api/v1/domains/{domain_id}"): Call(
        "Domains", "Change a domain", "admin", {200: _DOMAIN},
        ("domain_not_found", "domain_pending", "rate_limited", *_DESTINATION),
        {"not_found_url": "https://shop.example/"}, _THE_DOMAIN,
    ),
    ("DELETE", "/api/v1/domains/{domain_id}"): Call(
        "Domains", "Give a domain back", "admin", {200: _is("Deleted", "It is free.", {"deleted": True})},
        ("domain_not_found", "domain_in_use"), params=_THE_DOMAIN,
    ),
    ("GET", "/api/v1/blocked-hosts"): Call(
        "Workspace", "List blocked hosts", "links:read",
        {200: _is("BlockedHostList", "The hosts.", {"blocked_hosts": [examples.BLOCKED_HOST]})},
    ),
    ("POST", "/api/v1/blocked-hosts"): Call(
        "Workspace", "Block a host", "admin",
        {201: _is("BlockedHostAnswer", "It is blocked.", {"blocked_host": examples.BLOCKED_HOST})},
        ("quota_exceeded",), {"host": "scam.example", "reason": "phishing"},
    ),
    ("DELETE", "/api/v1/blocked-hosts/{host}"): Call(
        "Workspace", "Unblock a host", "admin", {200: _is("Deleted", "It is off the list.", {"deleted": True})},
        ("blocked_host_not_found",), params={"host": "scam.example"},
    ),
    ("GET", "/api/v1/workspace"): Call("Workspace", "Read the workspace", "", _WORKSPACE),
    ("PATCH", "/api/v1/workspace"): Call(
        "Workspace", "Change the workspace", "admin", _WORKSPACE,
        body={"timezone": "Europe/Berlin", "conversion_window_days": 14},
    ),
    ("GET", "/api/v1/whoami"): Call(
        "Workspace", "Ask who I am", "",
        {200: _is("Whoami", "The workspace of the key.", {
            "account_id": examples.WORKSPACE_ID, "workspace_id": examples.WORKSPACE_ID,
            "workspace_name": "The shop", "plan": "enterprise",
            "surfaces": ["conversion_reporting", "conversion_tracking", "exports"],
        })},
    ),
    ("GET", "/api/v1/conversions"): Call(
        "Reading", "List events", "conversions:read",
        {200: _is("ConversionPage", "A page of events.", {"conversions": [examples.STANDING], "next_cursor": None})},
        params={"from": "2026-11-01", "to": "2026-11-30", "event_name": "sale"},
    ),
    ("DELETE", "/api/v1/conversions"): Call(
        "Reading", "Empty the test ledger", "admin",
        {200: _is("TestLedgerEmptied", "So many test events are gone.", {"deleted": 12})}, params={"mode": "test"},
    ),
    ("GET", "/api/v1/conversions/{event_id}"): Call(
        "Reading", "Read an event", "conversions:read",
        {200: _is("Conversion", "The event, with the verdict that stands now.", examples.CONVERSION)},
        ("conversion_not_found",), params={"event_id": examples.EVENT_ID},
    ),
    ("GET", "/api/v1/conversions/{event_id}/explain"): Call(
        "Reading", "Explain an event", "conversions:read",
        {200: _is("Explanation", "Every check in order, and what stood before.", examples.EXPLANATION)},
        ("conversion_not_found",), params={"event_id": examples.EVENT_ID},
    ),
    **EXPORT_CALLS,
    ("POST", "/api/v1/erasures"): Call(
        "Erasing", "Erase a person", "admin",
        {
            201: _is("ErasureAnswer", "The person is forgotten.", {
                "erasure": examples.ERASURE, "support_reference": examples.REFERENCE,
            }),
            202: _is("ErasureAnswer", "Forgotten; the last copy goes as soon as nobody reads it any more.", {
                "erasure": {**examples.ERASURE, "status": "pending", "finished_at": None, "certificate": None},
                "support_reference": examples.REFERENCE,
            }),
        },
        ("person_not_found",), {"external_id": "customer-42"},
    ),
    ("GET", "/api/v1/erasures"): Call(
        "Erasing", "List erasures", "admin",
        {200: _is("ErasurePage", "A page of erasures.", {"erasures": [examples.ERASURE], "next_cursor": None})},
        params={"limit": 50},
    ),
    ("GET", "/api/v1/erasures/{erasure_id}"): Call(
        "Erasing", "Read an erasure", "admin",
        {200: _is("ErasureAnswer", "The erasure with its certificate.", {
            "erasure": examples.ERASURE, "support_reference": examples.REFERENCE,
        })},
        ("erasure_not_found",), params={"erasure_id": examples.ERASURE["id"]},
    ),
    ("GET", "/api/v1/deliveries"): Call(
        "Reading", "List deliveries", "conversions:read",
        {200: _is("DeliveryPage", "A page of attempts, and how many of the period were left out.", {
            "deliveries": [examples.DELIVERY], "left_out": {"accepted": 0, "refused": 0, "unsigned": 0},
            "next_cursor": None,
        })},
        params={"kind": "refused", "limit": 50},
    ),
    ("GET", "/api/v1/deliveries/{support_reference}"): Call(
        "Reading", "Read a delivery", "conversions:read",
        {200: _is("Delivery", "What became of it, and what to do.", examples.DELIVERY)},
        ("delivery_not_found",), params={"support_reference": examples.REFERENCE},
    ),
    ("GET", "/api/v1/identities"): Call(
        "Reading", "List ties", "conversions:read",
        {200: _is("IdentityPage", "A page of ties.", {"identities": [examples.IDENTITY], "next_cursor": None})},
        params={"external_id": "customer-81"},
    ),
    ("GET", "/api/v1/identities/shared"): Call(
        "Reading", "Find external ids that are nobody's", "conversions:read",
        {200: _is("SharedIdentities", "Those that tie many clicks, the most first.", {
            "clicks_min": 20, "identities": [examples.SHARED_IDENTITY],
        })},
    ),
    ("GET", "/api/v1/signing-secrets"): Call(
        "Workspace", "List signing secrets", "admin",
        {200: _is("SigningSecretList", "The secrets, without themselves.", {
            "signing_secrets": [examples.SIGNING_SECRET],
        })},
    ),
    ("POST", "/api/v1/signing-secrets"): Call(
        "Workspace", "Make a signing secret", "admin",
        {201: _is("SigningSecretMade", "It is shown this once.", {
            **examples.SIGNING_SECRET, "last_used_at": None, "signing_secret": "nimsec_live_…",
        })},
        ("quota_exceeded",), {"mode": "live"},
    ),
    ("DELETE", "/api/v1/signing-secrets/{secret_id}"): Call(
        "Workspace", "Revoke a signing secret", "admin",
        {200: _is("Revoked", "It signs no more.", {"revoked": True})}, ("signing_secret_not_found",),
        params={"secret_id": "019ab1f4-7c00-7c3e-9a51-5f0d3c1b2a13"},
    ),
    ("GET", "/api/v1/signing-secrets/{secret_id}/exclusions"): Call(
        "Workspace", "List exclusions", "admin",
        {200: _is("ExclusionList", "The decisions, oldest first.", {"exclusions": [examples.EXCLUSION]})},
        ("signing_secret_not_found",), params={"secret_id": examples.EXCLUSION["secret_id"]},
    ),
    ("POST", "/api/v1/signing-secrets/{secret_id}/exclusions"): Call(
        "Workspace", "Exclude or include a secret's events", "admin",
        {201: _is("ExclusionMade", "Decided; the events are judged again within seconds.", {
            "exclusion": {**examples.EXCLUSION, "events": 17},
        })},
        ("signing_secret_not_found",),
        {"excludes": True, "from": "2026-11-20T00:00:00Z", "to": "2026-11-23T10:00:00Z", "note": "leaked"},
        {"secret_id": examples.EXCLUSION["secret_id"]},
    ),
    ("GET", "/api/v1/clicks"): Call(
        "Reading", "List clicks", "analytics:read",
        {200: _is("ClickPage", "A page of clicks.", {"clicks": [examples.CLICK], "next_cursor": None})},
        params={"from": "2026-11-01", "to": "2026-11-30", "limit": 50},
    ),
    ("GET", "/api/v1/clicks/stream"): Call(
        "Reading", "Follow clicks", "analytics:read",
        {200: Answer(
            "Events `click` for as long as both sides like: `id` is the click's, `data` a Click without `customers` "
            "and `planted`. A comment every 15 s says that the line is open.",
            {"type": "string"}, examples.STREAMED, ("text/event-stream",),
        )},
        ("link_not_found", "rate_limited"), params={"Last-Event-ID": examples.CLICK_ID},
    ),
    ("GET", "/api/live-view"): Call(
        "Reading", "Look at what is going on", "analytics:read",
        {200: _is("LiveView", "The last half hour.", examples.LIVE_VIEW)},
    ),
    ("GET", "/api/v1/analytics/conversions"): Call(
        "Reading", "Report on conversions", "analytics:read",
        {200: _is("Report", "The report.", examples.REPORT)}, ("surface_not_enabled", "reports_unavailable"),
        params={"from": "2026-11-01", "to": "2026-11-30", "by": "link"},
    ),
    ("GET", "/api/v1/links/{link_id}/experiments/{experiment_id}/results"): Call(
        "Reading", "Read an experiment's results", "analytics:read",
        {200: _is("ExperimentResults", "What became of each variant, and what may be said.", RESULTS)},
        ("link_not_found", "experiment_not_found", "surface_not_enabled"),
        params={**_THE_LINK, "experiment_id": routing.EXPERIMENT_ID},
    ),
    ("GET", "/api/v1/analytics/clicks"): Call(
        "Reading", "Report on clicks", "analytics:read",
        {200: _is("ClicksReport", "The report.", examples.CLICKS_REPORT)},
        ("surface_not_enabled", "reports_unavailable"),
        params={"from": "2026-11-01", "to": "2026-11-30", "by": "country"},
    ),
    ("GET", "/api/v1/analytics/reconciliation"): Call(
        "Reading", "Tie both clocks to each other", "analytics:read",
        {200: _is("Reconciliation", "The balances.", balances.RECONCILIATION)}, _REPORT, params=_TWO_DAYS,
    ),
    ("GET", "/api/v1/analytics/changes"): Call(
        "Reading", "Explain what changed", "analytics:read",
        {200: _is("Changes", "A page of events.", balances.CHANGES)}, _REPORT,
        params={"since": "2026-11-01T00:00:00Z", "until": "2026-11-02T00:00:00Z"},
    ),
    ("GET", "/api/v1/analytics/funnel"): Call(
        "Reading", "Follow clicks to their sales", "analytics:read",
        {200: _is("Funnel", "The steps.", balances.FUNNEL)}, _REPORT, params=_TWO_DAYS,
    ),
    ("GET", "/api/v1/analytics/cohorts"): Call(
        "Reading", "Follow cohorts of clicks", "analytics:read",
        {200: _is("Cohorts", "The cohorts.", balances.COHORTS)}, _REPORT, params=_TWO_DAYS,
    ),
}  # fmt: skip
