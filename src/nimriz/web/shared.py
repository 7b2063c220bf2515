"""Shared reports: whoever has the link reads one report, as a page or as JSON, and nothing else.

The token is looked up by its digest. A share that was revoked, has expired, or whose workspace may not report any more
is as if it had never been. Passwords are bounded against guessing like those of links. An answer is kept for some
seconds, so that a link that many open asks the store once.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import parse_qsl

from nimriz.base.errors import Refused
from nimriz.core.directory import passwords
from nimriz.core.exports import saved_reports
from nimriz.core.exports.saved_reports import TOKEN_CHARS_MAX, SavedReport, Share
from nimriz.store.db import StoreError
from nimriz.web import shared_page
from nimriz.web.api.desk import Desk
from nimriz.web.api.exports import read_question
from nimriz.web.api.reports import ReportQuery, clicks_told, conversions_told
from nimriz.web.api.saved_reports import PREFIX
from nimriz.web.body import Bodies
from nimriz.web.http import Receive, Scope, Send, answer, answer_json
from nimriz.web.limits import Attempts
from nimriz.web.memory import Shelf
from nimriz.web.visitor import VisitorReader

_BODY_BYTES_MAX = 4_096
_KEPT_S = 30.0
_KEPT_MAX = 200
_GONE = ("There is no such report", "The link may have been mistyped, taken back, or have expired.")


class Shared:
    """The ASGI application behind PREFIX."""

    def __init__(self, desk: Desk, bodies: Bodies, visitors: VisitorReader) -> None:
        self._desk, self._bodies, self._visitors = desk, bodies, visitors
        self._attempts = Attempts()
        self._kept: Shelf[str, tuple[float, dict[str, Any]]] = Shelf(_KEPT_MAX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for a shared report."""
        as_json = _wants_json(scope)
        try:
            found = await self._found(scope)
            if found is None:
                await _say(send, 404, as_json, "not_found", *_GONE)
                return
            share, saved = found
            if share.password_hash and not await self._is_open(scope, receive, share):
                wrong = "That is not the password." if scope["method"] == "POST" else ""
                if as_json:
                    await answer_json(send, 401, {"code": "password_required"})
                else:
                    await answer(send, 403 if wrong else 200, shared_page.password(wrong), shared_page.HEADERS)
                return
            told = await self._told(share, saved)
        except StoreError:
            await _say(send, 503, as_json, "store_unavailable", "Please try again", "It usually takes a few seconds.")
            return
        except Refused as refused:
            await self._refuse(send, refused, as_json)
            return
        if as_json:
            await answer_json(send, 200, {"name": saved.name, "report": saved.report, **told})
        else:
            await answer(send, 200, shared_page.report(saved.name, told), shared_page.HEADERS)

    async def _found(self, scope: Scope) -> tuple[Share, SavedReport] | None:
        token = scope["path"].removeprefix(PREFIX)
        if scope["method"] not in ("GET", "HEAD", "POST") or len(token) > TOKEN_CHARS_MAX:
            return None
        digest, now_ms = self._desk.vault.api_key_digest(token), self._desk.clock.now_ms()
        return await self._desk.read(lambda tx: saved_reports.open_share(tx, digest, now_ms))

    async def _is_open(self, scope: Scope, receive: Receive, share: Share) -> bool:
        """Whether the right password came along. Raises Refused."""
        if scope["method"] != "POST":
            return False
        address = self._visitors.address_of(scope)
        self._attempts.take(address, share.share_id)
        given = _password(await self._bodies.read(receive, _BODY_BYTES_MAX))
        if not 1 <= len(given) <= passwords.PASSWORD_CHARS_MAX:
            return False
        right = await self._desk.in_turn(lambda: passwords.matches(share.password_hash, given))
        if right:
            self._attempts.give_back(address, share.share_id)
        return right

    async def _told(self, share: Share, saved: SavedReport) -> dict[str, Any]:
        kept = self._kept.get(saved.report_id)
        if kept is not None and kept[0] > time.monotonic():
            return kept[1]
        query = read_question(saved.report, json.loads(saved.question))
        if isinstance(query, ReportQuery):
            told = await conversions_told(self._desk, share.workspace_id, query)
        else:
            told = await clicks_told(self._desk, share.workspace_id, query)
        self._kept.put(saved.report_id, (time.monotonic() + _KEPT_S, told))
        return told

    async def _refuse(self, send: Send, refused: Refused, as_json: bool) -> None:
        if refused.code == "surface_not_enabled":
            await _say(send, 404, as_json, "not_found", *_GONE)
        elif refused.code == "rate_limited":
            await _say(send, 429, as_json, refused.code, "Too many attempts", "Please wait a minute, then try again.")
        else:
            text = "It cannot be told at the moment."
            await _say(send, refused.status, as_json, refused.code, "Please try again", text)


async def _say(send: Send, status: int, as_json: bool, code: str, title: str, text: str) -> None:
    if as_json:
        await answer_json(send, status, {"code": code})
    else:
        await answer(send, status, shared_page.message(title, text), shared_page.HEADERS)


def _wants_json(scope: Scope) -> bool:
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept")
    return b"application/json" in accepted and b"text/html" not in accepted


def _password(body: bytes) -> str:
    """The field `password` of a form; '' when there is none."""
    try:
        fields = parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True, errors="replace", max_num_fields=16)
    except ValueError:
        return ""
    return next((value for name, value in fields if name == "password"), "")
