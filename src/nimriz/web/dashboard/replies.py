"""Replies: pages and redirects, with the headers that keep them safe.

The policy lets a page load our style and our script, send forms to us, and nothing else: nothing inline runs, nobody
may frame it. `Referrer-Policy: same-origin`, because some addresses are keys, and because without a referrer browsers
send no Origin with a form.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from nimriz.core.directory.vault import Vault
from nimriz.core.members import members
from nimriz.web.dashboard import words
from nimriz.web.dashboard.call import Call
from nimriz.web.dashboard.statics import File
from nimriz.web.http import NO_STORE, Headers

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS: Headers = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", POLICY.encode("ascii")),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
    NO_STORE,
]


class Reply(NamedTuple):
    """What is answered."""

    status: int
    headers: Headers
    body: bytes


class Pages:
    """Renders pages; everything in them is escaped unless it says otherwise."""

    def __init__(self, vault: Vault, files: dict[str, File]) -> None:
        self._vault = vault
        self._environment = Environment(
            loader=PackageLoader("nimriz.web.dashboard", "templates"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True, auto_reload=False,
        )  # fmt: skip
        self._environment.globals.update(
            static={name: file.path for name, file in files.items()}, ROLES=members.ROLES, reaches=members.reaches,
            may_give=members.may_give, role_words=words.ROLES,
        )  # fmt: skip
        self._environment.filters.update(
            amount=words.amount,
            instant=words.instant,
            day=words.day,
            number=words.number,
            percent=words.percent,
            ago=words.ago,
        )

    def page(self, call: Call, template: str, status: int = 200, **values: Any) -> Reply:
        """A page from its template."""
        values.setdefault("wrong", {})
        token = call.form_token(self._vault)
        notice = words.NOTICES.get(call.query.get("done", ""), "")
        text = self._environment.get_template(template).render(call=call, form_token=token, notice=notice, **values)
        return Reply(status, [*HEADERS, *call.cookies], text.encode())

    def message(
        self, call: Call, status: int, title: str, text: str, more: Headers | None = None, reference: str = ""
    ) -> Reply:
        """A page that says one thing."""
        reply = self.page(call, "message.html", status, title=title, text=text, reference=reference)
        return reply if more is None else reply._replace(headers=[*reply.headers, *more])


def go(call: Call, path: str) -> Reply:
    """Send the browser on, by GET. `path` is one of ours."""
    return Reply(303, [(b"location", path.encode("ascii")), *HEADERS[1:], *call.cookies], b"")
