"""A call: one request for a page, read: who calls, from which workspace, with which form.

The session's cookie is the browser's alone: HttpOnly, SameSite=Lax, and under TLS with the prefix __Host-, so that no
other host can set it. A form carries a token that only a page made for the same browser can hold.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl

from nimriz.base.errors import Refused
from nimriz.core.directory.vault import Vault
from nimriz.core.directory.workspaces import Workspace
from nimriz.core.members import members
from nimriz.core.members.members import Member, Membership, Role
from nimriz.core.members.sessions import Session
from nimriz.web.http import Headers, Scope

Theme = Literal["", "light", "dark"]
THEMES: tuple[Theme, ...] = ("", "light", "dark")
BODY_BYTES_MAX = 16 * 1024
_FIELDS_MAX = 40
_COOKIE_BYTES_MAX = 8_192
_PURPOSE = b"form"
_LOCAL = re.compile(r"/(?:app|login)(?:/[A-Za-z0-9_-]+)*/?")


@dataclass(slots=True)
class Call:
    """One request. `args` are the parts of the path that its route names; `cookies` are those to be set."""

    scope: Scope
    secure: bool
    now_ms: int
    address: str
    query: Mapping[str, str]
    held: Mapping[str, str]
    args: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    session: Session | None = None
    member: Member | None = None
    memberships: list[Membership] = field(default_factory=list)
    workspace: Workspace | None = None
    role: Role | None = None
    cookies: Headers = field(default_factory=list)
    form_key: str = ""

    @property
    def path(self) -> str:
        """The path that was asked for."""
        return str(self.scope["path"])

    @property
    def theme(self) -> Theme:
        """Light, dark, or '' as the system has it."""
        held = self.held.get("nimriz_theme", "")
        return next((theme for theme in THEMES if theme == held), "")

    @property
    def session_token(self) -> str:
        """The token of the session's cookie; '' for none."""
        return self.held.get(self.named("nimriz_session"), "")

    @property
    def known_member(self) -> Member:
        """Who calls, where the route lets nobody else in."""
        if self.member is None:
            raise Refused("unauthorized")
        return self.member

    @property
    def known_workspace(self) -> Workspace:
        """The workspace of the path, where the route lets its members in alone."""
        if self.workspace is None:
            raise Refused("not_found")
        return self.workspace

    def may(self, least: Role) -> bool:
        """Whether who calls has this role in the workspace, or a greater one."""
        return self.role is not None and members.reaches(self.role, least)

    def named(self, name: str) -> str:
        """The full name of a cookie of ours."""
        return f"__Host-{name}" if self.secure else name

    def set_cookie(self, name: str, value: str, max_age_s: int | None) -> None:
        """Set a cookie of ours; None ends it with the browser, 0 at once."""
        age = "" if max_age_s is None else f"; Max-Age={max_age_s}"
        secure = "; Secure" if self.secure else ""
        self.cookies.append((b"set-cookie", f"{name}={value}; Path=/; HttpOnly; SameSite=Lax{age}{secure}".encode()))

    def sign_in(self, token: str, max_age_s: int) -> None:
        """Give the browser a session."""
        self.set_cookie(self.named("nimriz_session"), token, max_age_s)

    def sign_out(self) -> None:
        """Take the session from the browser."""
        self.set_cookie(self.named("nimriz_session"), "", 0)

    def form_token(self, vault: Vault) -> str:
        """What each form of this browser's pages carries."""
        if not self.form_key:
            self.form_key = self.session_token if self.session else self.held.get(self.named("nimriz_form"), "")
        if not self.form_key:
            self.form_key = secrets.token_urlsafe(24)
            self.set_cookie(self.named("nimriz_form"), self.form_key, None)
        return vault.digest(_PURPOSE, self.form_key).hex()

    def proves_form(self, vault: Vault) -> bool:
        """Whether the form came from a page of ours in the same browser."""
        key = self.session_token if self.session else self.held.get(self.named("nimriz_form"), "")
        given = self.form.get("form_token", "")
        return bool(key) and hmac.compare_digest(given.encode(), vault.digest(_PURPOSE, key).hex().encode())

    def comes_from_here(self) -> bool:
        """Whether a POST was sent by a page of this very host, as browsers say in Origin."""
        origins = [value for name, value in self.scope["headers"] if name == b"origin"]
        hosts = [value for name, value in self.scope["headers"] if name == b"host"]
        scheme = b"https://" if self.secure else b"http://"
        return len(origins) == 1 and len(hosts) == 1 and origins[0].lower() == scheme + hosts[0].lower()


def cookies_of(scope: Scope) -> dict[str, str]:
    """The cookies that a browser sent; {} for what cannot be read."""
    lines = [value for name, value in scope["headers"] if name == b"cookie"]
    text = "; ".join(line.decode("latin-1") for line in lines)
    if len(text) > _COOKIE_BYTES_MAX:
        return {}
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, mark, value = part.strip().partition("=")
        if mark and name.replace("__Host-", "").startswith("nimriz_"):
            # Of one name twice the first counts: browsers send the one with the longer path first, and ours have one.
            found.setdefault(name, value)
    return found


def fields_of(text: str) -> dict[str, str]:
    """The fields of a form or a query. Raises Refused(validation_failed) for too many, or one twice."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise Refused("validation_failed") from None
    found = dict(pairs)
    if len(found) < len(pairs) or any("\0" in value for value in found.values()):
        raise Refused("validation_failed")
    return found


def local(path: str) -> str:
    """A path to go on to after signing in; /app for anything that is not one of ours."""
    return path if _LOCAL.fullmatch(path) else "/app"
