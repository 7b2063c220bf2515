"""The dashboard's door: every route with who may take it, asked here and nowhere else.

A stranger to a workspace is told what one is told who asks for a workspace that is not there. Nothing changes by GET.
A POST comes from a page of this host, in the same browser, or is not read.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple
from urllib.parse import quote

import structlog

from nimriz.base.errors import CODES, Refused
from nimriz.base.ids import new_reference
from nimriz.core.clicks.agents import Agents
from nimriz.core.directory import workspaces
from nimriz.core.members import members, sessions
from nimriz.core.members.members import Role
from nimriz.logs import where
from nimriz.store.db import StoreError, Tx
from nimriz.web.api.desk import Desk
from nimriz.web.body import Bodies
from nimriz.web.dashboard import account, entering, home, settings, statics, words
from nimriz.web.dashboard.call import BODY_BYTES_MAX, Call, cookies_of, fields_of
from nimriz.web.dashboard.passage import Passage
from nimriz.web.dashboard.replies import Pages, Reply, go
from nimriz.web.http import Receive, Scope, Send, answer
from nimriz.web.visitor import VisitorReader

Access = Literal["anybody", "half", "signed_in"] | Role
"""Who may take a route: `half` has given the password and owes the code; a role is one in the workspace of the path."""
Handler = Callable[[Passage, Call], Awaitable[Reply]]

FIRST = frozenset({b"app", b"login", b"setup", b"static"})
"""The first parts of the paths that are the dashboard's."""
_ID = r"(?P<{}>[0-9a-f]{{8}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{12}})"
_TOKEN = r"(?P<{}>[A-Za-z0-9_-]{{1,64}})"
_FORM = re.compile(rb"application/x-www-form-urlencoded(;[ \t]*charset=utf-8)?", re.IGNORECASE)

log = structlog.get_logger()


class Route(NamedTuple):
    """One page, or one thing that a form does."""

    method: Literal["GET", "POST"]
    path: str
    access: Access
    handler: Handler

    @property
    def pattern(self) -> re.Pattern[str]:
        """What the path looks like."""
        names = re.sub(r"\{(\w+)\}", lambda m: (_TOKEN if m[1] == "token" else _ID).format(m[1]), self.path)
        return re.compile(names)


_SETTINGS = "/app/{workspace_id}/settings"


async def _first_page(_: Passage, call: Call) -> Reply:
    """The workspace that one may have been in last, or the account where there is none."""
    if not call.memberships:
        return go(call, account.PATH)
    return go(call, f"/app/{call.memberships[0].workspace_id}")


ROUTES = (
    Route("GET", "/setup/{token}", "anybody", entering.show_setup),
    Route("POST", "/setup/{token}", "anybody", entering.set_up),
    Route("GET", "/login", "anybody", entering.show_login),
    Route("POST", "/login", "anybody", entering.log_in),
    Route("GET", "/login/code", "half", entering.show_code),
    Route("POST", "/login/code", "half", entering.give_code),
    Route("GET", "/login/invitation/{token}", "anybody", entering.show_invitation),
    Route("POST", "/login/invitation/{token}", "anybody", entering.accept),
    Route("GET", "/login/reset/{token}", "anybody", entering.show_reset),
    Route("POST", "/login/reset/{token}", "anybody", entering.reset),
    Route("GET", "/app", "signed_in", _first_page),
    Route("POST", "/app/sign-out", "signed_in", entering.sign_out),
    Route("GET", "/app/account", "signed_in", account.show),
    Route("POST", "/app/account/name", "signed_in", account.rename),
    Route("POST", "/app/account/password", "signed_in", account.change_password),
    Route("POST", "/app/account/theme", "signed_in", account.choose_theme),
    Route("GET", "/app/account/totp", "signed_in", account.show_totp),
    Route("POST", "/app/account/totp", "signed_in", account.turn_totp_on),
    Route("POST", "/app/account/totp/off", "signed_in", account.turn_totp_off),
    Route("POST", "/app/account/codes", "signed_in", account.make_codes),
    Route("POST", "/app/account/sessions/end", "signed_in", account.end_others),
    Route("POST", "/app/account/sessions/{session_id}/end", "signed_in", account.end_session),
    Route("GET", "/app/{workspace_id}", "viewer", home.show),
    Route("GET", f"{_SETTINGS}/general", "viewer", settings.show_general),
    Route("POST", f"{_SETTINGS}/general", "admin", settings.change_general),
    Route("GET", f"{_SETTINGS}/members", "viewer", settings.show_members),
    Route("POST", f"{_SETTINGS}/members/invite", "admin", settings.invite),
    Route("POST", f"{_SETTINGS}/members/invitations/{{pass_id}}/withdraw", "admin", settings.withdraw),
    Route("POST", f"{_SETTINGS}/members/{{member_id}}/role", "admin", settings.change_role),
    Route("POST", f"{_SETTINGS}/members/{{member_id}}/remove", "viewer", settings.remove),
    Route("GET", f"{_SETTINGS}/audit", "admin", settings.show_audit),
)
"""`remove` is a viewer's too, who may leave; that nobody removes others without the role is asked where it is done."""


class Dashboard:
    """The ASGI application behind FIRST."""

    def __init__(self, desk: Desk, bodies: Bodies, visitors: VisitorReader, agents: Agents) -> None:
        self._files = statics.load()
        self._by_path = {file.path: file for file in self._files.values()}
        self._desk, self._bodies, self._visitors = desk, bodies, visitors
        self._pages = Pages(desk.vault, self._files)
        self._passage = Passage(desk, self._pages, agents)
        self._routes = [(route.pattern, route) for route in ROUTES]
        self._secure = desk.base_url.startswith("https:")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        file = self._by_path.get(scope["path"])
        if file is not None and scope["method"] in ("GET", "HEAD"):
            headers, body = statics.chosen(file, scope)
            await answer(send, 200, body, headers)
            return
        reply = await self._reply(scope, receive)
        await answer(send, reply.status, reply.body, reply.headers)

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        call = Call(
            scope, self._secure, self._desk.clock.now_ms(), self._visitors.address_of(scope), {}, cookies_of(scope)
        )
        try:
            call.query = fields_of(scope["query_string"].decode("latin-1"))
            return await self._answered(call, receive)
        except StoreError as error:
            log.error("store_unavailable", error=str(error))
            return self._refused(call, Refused("store_unavailable", retry_after_s=1))
        except Refused as refused:
            return self._refused(call, refused)
        except Exception as error:
            reference = new_reference()
            log.error("internal_error", error=type(error).__name__, at=where(error), support_reference=reference)
            return self._refused(call, Refused("internal_error"), reference)

    async def _answered(self, call: Call, receive: Receive) -> Reply:
        method = "GET" if call.scope["method"] == "HEAD" else call.scope["method"]
        found = [(match, route) for pattern, route in self._routes if (match := pattern.fullmatch(call.path))]
        if not found:
            raise Refused("not_found")
        chosen = next(((match, route) for match, route in found if route.method == method), None)
        if chosen is None:
            raise Refused("method_not_allowed", allow=", ".join(sorted({route.method for _, route in found})))
        match, route = chosen
        call.args = match.groupdict()
        await self._recognise(call)
        if (elsewhere := self._admitted(call, route.access)) is not None:
            return elsewhere
        if route.method == "POST":
            await self._read_form(call, receive)
        return await route.handler(self._passage, call)

    async def _recognise(self, call: Call) -> None:
        """Who calls, and what they are in the workspace of the path."""
        token, workspace_id, now_ms = call.session_token, call.args.get("workspace_id"), call.now_ms

        def read(tx: Tx) -> None:
            call.session = sessions.find(tx, self._desk.vault, token, now_ms)
            if call.session is None:
                return
            call.member = members.find(tx, call.session.member_id)
            if not call.session.complete:
                return
            call.memberships = members.memberships(tx, call.session.member_id)
            if workspace_id is not None:
                call.role = next((m.role for m in call.memberships if m.workspace_id == workspace_id), None)
                call.workspace = workspaces.find(tx, workspace_id) if call.role is not None else None

        if not token:
            return
        await self._desk.read(read)
        session = call.session
        if session is not None and session.complete and now_ms - session.used_at_ms > sessions.USED_EVERY_MS:
            await self._desk.write(lambda tx: sessions.mark_used(tx, session.session_id, now_ms))

    def _admitted(self, call: Call, access: Access) -> Reply | None:
        """None for who may go in; else where they are sent. Raises Refused."""
        complete = call.session is not None and bool(call.session.complete) and call.member is not None
        if not complete and access != "half":
            # Whoever owes the code is nobody yet.
            member, call.member = call.member, None
            if access == "anybody":
                return None
            call.memberships = []
            if call.session is not None and member is not None:
                return go(call, "/login/code")
            after = f"?next={quote(call.path)}" if call.scope["method"] != "POST" else ""
            return go(call, "/login" + after)
        if access == "half":
            return None if call.session is not None and not complete else go(call, "/app" if complete else "/login")
        least = next((role for role in members.ROLES if role == access), None)
        if least is not None and call.role is None:
            raise Refused("not_found")
        if least is not None and not call.may(least):
            raise Refused("role_missing")
        return None

    async def _read_form(self, call: Call, receive: Receive) -> None:
        """The form, when it came from a page of ours. Raises Refused."""
        if not call.comes_from_here():
            raise Refused("form_refused")
        types = [value for name, value in call.scope["headers"] if name == b"content-type"]
        if len(types) != 1 or _FORM.fullmatch(types[0].strip()) is None:
            raise Refused("content_type_unsupported")
        body = await self._bodies.read(receive, BODY_BYTES_MAX)
        call.form = fields_of(body.decode("ascii", "replace"))
        if not call.proves_form(self._desk.vault):
            raise Refused("form_refused")

    def _refused(self, call: Call, refused: Refused, reference: str = "") -> Reply:
        code = CODES[refused.code]
        title, text = words.PLAINLY.get(refused.code, (code.title, code.detail))
        more = []
        if refused.retry_after_s is not None:
            more.append((b"retry-after", b"%d" % refused.retry_after_s))
        if "allow" in refused.facts:
            more.append((b"allow", str(refused.facts["allow"]).encode("ascii")))
        return self._pages.message(call, refused.status, title, text, more, reference)
