"""Exports in the document: their calls, schemas and example."""

from __future__ import annotations

from typing import get_args

from nimriz.core.exports.exports import Format, Reason, Status, Subject
from nimriz.core.exports.saved_reports import ReportKind
from nimriz.core.exports.schedules import Every
from nimriz.web.api.document_call import Answer, Call, answers
from nimriz.web.api.document_examples import Example
from nimriz.web.api.document_schemas import (
    ANYTHING,
    COUNT,
    FLAG,
    ID,
    INSTANT,
    TEXT,
    Schema,
    closed,
    many,
    maybe,
    one_of,
    ref,
)
from nimriz.web.api.exports import MEDIA

_EXPORT_ID = "01934f2a-7c11-7d3e-9c55-1f0d6f3a2b11"
EXPORT: Example = {
    "id": _EXPORT_ID, "subject": "conversions", "format": "csv", "status": "finished", "reason": None,
    "asked": {"from": "2026-11-01", "to": "2026-11-30"}, "include_customer_data": False,
    "rows_done": 2, "rows_total": 2, "rows": 2, "columns": ["event_id", "event_name"],
    "files": [{
        "name": "conversions.csv", "bytes": 61, "rows": 2,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    }],
    "fresh_as_of": "2026-11-30T12:00:00.000Z", "next_after": "eyJzdWJqZWN0IjogImNvbnZlcnNpb25zIn0=",
    "created_at": "2026-11-30T12:00:00.000Z", "started_at": "2026-11-30T12:00:00.400Z",
    "finished_at": "2026-11-30T12:00:01.000Z", "expires_at": "2026-12-07T12:00:01.000Z",
}  # fmt: skip
_WAITING: Example = {
    **EXPORT, **dict.fromkeys(("rows_total", "rows", "columns", "files", "fresh_as_of", "next_after"), None),
    **dict.fromkeys(("started_at", "finished_at", "expires_at"), None), "status": "queued", "rows_done": 0,
}  # fmt: skip

_SHARE: Schema = {"id": ID, "password_protected": FLAG, "created_at": INSTANT, "expires_at": maybe(INSTANT)}

SCHEMAS: dict[str, Schema] = {
    "Export": closed({
        "id": ID, "subject": one_of(*get_args(Subject)), "format": one_of(*get_args(Format)),
        "status": one_of(*get_args(Status)), "reason": maybe(one_of(*get_args(Reason))), "asked": ANYTHING,
        "include_customer_data": FLAG, "rows_done": COUNT, "rows_total": maybe(COUNT), "rows": maybe(COUNT),
        "columns": maybe(many(TEXT)),
        "files": maybe(many(closed({
            "name": TEXT, "bytes": COUNT, "rows": COUNT, "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        }))),
        "fresh_as_of": maybe(INSTANT), "next_after": maybe(TEXT), "created_at": INSTANT,
        "started_at": maybe(INSTANT), "finished_at": maybe(INSTANT), "expires_at": maybe(INSTANT),
    }),
    "Schedule": closed({
        "id": ID, "name": maybe(TEXT), "every": one_of(*get_args(Every)), "subject": one_of(*get_args(Subject)),
        "format": one_of(*get_args(Format)), "folder": TEXT, "since_last": FLAG, "asked": ANYTHING,
        "next_period_from": {"type": "string", "format": "date"}, "next_run_at": INSTANT,
        "last_export_id": maybe(ID), "created_at": INSTANT,
    }),
    "SavedReport": closed({
        "id": ID, "name": TEXT, "report": one_of(*get_args(ReportKind)), "question": ANYTHING, "created_at": INSTANT,
    }),
    "SavedReportAnswer": closed({"saved_report": ref("SavedReport")}),
    "SavedReportPage": closed({"saved_reports": many(ref("SavedReport")), "next_cursor": maybe(TEXT)}),
    "Share": closed({**_SHARE, "url": TEXT}, optional=("url",)),
    "ShareAnswer": closed({"share": ref("Share")}),
    "SharePage": closed({"shares": many(ref("Share")), "next_cursor": maybe(TEXT)}),
    "ScheduleAnswer": closed({"schedule": ref("Schedule")}),
    "SchedulePage": closed({"schedules": many(ref("Schedule")), "next_cursor": maybe(TEXT)}),
    "ExportAnswer": closed({"export": ref("Export")}),
    "ExportPage": closed({"exports": many(ref("Export")), "next_cursor": maybe(TEXT)}),
}  # fmt: skip

SCHEDULE: Example = {
    "id": "01934f2a-7c11-7d3e-9c55-1f0d6f3a2b12", "name": "For the books", "every": "day", "subject": "conversions",
    "format": "csv", "folder": "books", "since_last": True, "asked": {}, "next_period_from": "2026-11-30",
    "next_run_at": "2026-12-01T00:10:00.000Z", "last_export_id": None, "created_at": "2026-11-30T12:00:00.000Z",
}  # fmt: skip
_AT = "2026-11-30T12:00:00.000Z"
SAVED: Example = {
    "id": "01934f2a-7c11-7d3e-9c55-1f0d6f3a2b13", "name": "Revenue by campaign", "report": "conversions",
    "question": {"by": "utm_campaign"}, "created_at": _AT,
}  # fmt: skip
SHARE: Example = {
    "id": "01934f2a-7c11-7d3e-9c55-1f0d6f3a2b14", "password_protected": True, "created_at": _AT, "expires_at": None,
}  # fmt: skip
_CLOSED = ("surface_not_enabled",)
_SAVED = ("saved_report_not_found",)
_THIS = {"export_id": _EXPORT_ID}
_ONE = ("export_not_found", *_CLOSED)
EXPORT_CALLS: dict[tuple[str, str], Call] = {
    ("POST", "/api/v1/exports"): Call(
        "Exports", "Ask for an export", "exports",
        {202: answers("ExportAnswer", "It is made in the background.", {"export": _WAITING})},
        (*_CLOSED, "quota_exceeded"),
        {"subject": "conversions", "format": "csv", "from": "2026-11-01", "to": "2026-11-30"},
    ),
    ("GET", "/api/v1/exports"): Call(
        "Exports", "List exports", "exports",
        {200: answers("ExportPage", "A page of exports.", {"exports": [EXPORT], "next_cursor": None})}, _CLOSED,
        params={"limit": 50},
    ),
    ("GET", "/api/v1/exports/{export_id}"): Call(
        "Exports", "Read an export", "exports",
        {200: answers("ExportAnswer", "How far it is, and what came of it.", {"export": EXPORT})}, _ONE, params=_THIS,
    ),
    ("DELETE", "/api/v1/exports/{export_id}"): Call(
        "Exports", "Cancel an export", "exports",
        {200: answers("ExportAnswer", "It is stopped, and its file is gone.", {"export": {
            **_WAITING, "status": "cancelled", "finished_at": "2026-11-30T12:00:01.000Z",
        }})}, _ONE, params=_THIS,
    ),
    ("POST", "/api/v1/export-schedules"): Call(
        "Exports", "Schedule an export", "exports",
        {201: answers("ScheduleAnswer", "It is made by itself from now on.", {"schedule": SCHEDULE})},
        (*_CLOSED, "quota_exceeded", "schedules_unavailable"),
        {"name": "For the books", "every": "day", "subject": "conversions", "folder": "books", "since_last": True},
    ),
    ("GET", "/api/v1/export-schedules"): Call(
        "Exports", "List export schedules", "exports",
        {200: answers("SchedulePage", "The schedules.", {"schedules": [SCHEDULE], "next_cursor": None})}, _CLOSED,
    ),
    ("DELETE", "/api/v1/export-schedules/{schedule_id}"): Call(
        "Exports", "Delete an export schedule", "exports",
        {200: answers("Deleted", "It makes nothing more.", {"deleted": True})}, ("schedule_not_found",),
        params={"schedule_id": SCHEDULE["id"]},
    ),
    ("POST", "/api/v1/saved-reports"): Call(
        "Exports", "Save a report", "exports",
        {201: answers("SavedReportAnswer", "It is kept.", {"saved_report": SAVED})},
        ("surface_not_enabled", "quota_exceeded"), {"name": "Revenue by campaign", "question": {"by": "utm_campaign"}},
    ),
    ("GET", "/api/v1/saved-reports"): Call(
        "Exports", "List saved reports", "exports",
        {200: answers("SavedReportPage", "The reports.", {"saved_reports": [SAVED], "next_cursor": None})},
    ),
    ("DELETE", "/api/v1/saved-reports/{report_id}"): Call(
        "Exports", "Delete a saved report", "exports",
        {200: answers("Deleted", "It is gone, and its links lead nowhere.", {"deleted": True})}, _SAVED,
        params={"report_id": SAVED["id"]},
    ),
    ("POST", "/api/v1/saved-reports/{report_id}/shares"): Call(
        "Exports", "Share a saved report", "exports",
        {201: answers("ShareAnswer", "The link is shown this once.", {
            "share": {**SHARE, "url": "https://go.example.com/app/shared/nimshare_…"},
        })}, (*_SAVED, "quota_exceeded"), {"password": "only for you"}, {"report_id": SAVED["id"]},
    ),
    ("GET", "/api/v1/saved-reports/{report_id}/shares"): Call(
        "Exports", "List the shares of a report", "exports",
        {200: answers("SharePage", "The shares, without their links.", {"shares": [SHARE], "next_cursor": None})},
        _SAVED, params={"report_id": SAVED["id"]},
    ),
    ("DELETE", "/api/v1/saved-reports/{report_id}/shares/{share_id}"): Call(
        "Exports", "Take a share back", "exports",
        {200: answers("Revoked", "Its link leads nowhere.", {"revoked": True})}, _SAVED,
        params={"report_id": SAVED["id"], "share_id": SHARE["id"]},
    ),
    ("GET", "/api/v1/exports/{export_id}/download"): Call(
        "Exports", "Download an export", "exports",
        {
            200: Answer("The file.", None, media=MEDIA),
            206: Answer("The part that Range asks for.", None, media=MEDIA),
            304: Answer("If-None-Match has its ETag.", None, media=()),
        },
        (*_ONE, "export_not_ready"), params=_THIS,
    ),
}  # fmt: skip
