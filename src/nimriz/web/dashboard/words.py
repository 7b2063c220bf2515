"""How things are told in pages: figures, instants, and what was done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from nimriz.core.directory.audit import Deed
from nimriz.core.links.history import Entry

ROLES = {
    "viewer": "Sees figures, settings and members, and changes nothing.",
    "member": "Sees what a viewer sees; meant for those who work with links.",
    "admin": "Changes settings, sees the audit log, and invites others.",
    "owner": "May do everything, and make others owners.",
}
NOTICES = {
    "saved": "Saved.",
    "password": "Your password is changed. You are signed out everywhere else.",
    "reset": "Your new password works. Sign in with it.",
    "signed-out": "You are signed out.",
    "totp-off": "Codes are not asked for any more.",
    "ended": "Signed out there.",
    "withdrawn": "The invitation works no more.",
    "removed": "Removed from this workspace.",
    "role": "The role is changed.",
    "left": "You have left the workspace.",
    "welcome": "Welcome.",
}
PLAINLY = {
    "not_found": ("There is no such page", "It may have been mistyped, or be for others."),
    "method_not_allowed": ("There is no such page", "This address takes a form and shows nothing by itself."),
    "role_missing": (
        "Your role does not allow this", "An owner or admin of the workspace can do it, or change your role.",
    ),
    "pass_not_found": (
        "This link works no more", "Each works once and for a while. Ask whoever gave it to you for a new one.",
    ),
    "form_refused": (
        "Please send that again", "The page was open for too long, or in another browser. Load it anew, then send it.",
    ),
    "store_unavailable": (
        "Please try again", "The service cannot look it up at the moment. It usually takes a few seconds.",
    ),
    "rate_limited": ("Too many attempts", "Wait a minute, then try again."),
    "validation_failed": ("That cannot be read", "Load the page anew, then send it again."),
    "content_type_unsupported": ("That cannot be read", "Load the page anew, then send it again."),
    "member_not_found": ("There is no such member", "They may have left the workspace in the meantime."),
    "quota_exceeded": ("There are as many as there may be", "Remove one, then try again."),
    "internal_error": ("Our fault", "The operator finds what went wrong in the log, by this reference:"),
}  # fmt: skip
"""What is refused, as a person reads it: a title and a sentence."""
_DEEDS = {
    "workspace_created": "made the workspace",
    "workspace_changed": "changed the workspace",
    "key_created": "made an API key",
    "key_revoked": "revoked an API key",
    "secret_created": "made a signing secret",
    "secret_revoked": "revoked a signing secret",
    "member_invited": "invited somebody",
    "invitation_withdrawn": "withdrew an invitation",
    "member_joined": "joined",
    "member_added": "added",
    "member_left": "left",
    "member_removed": "removed",
    "role_changed": "changed the role of",
}
_OWN_DEEDS = {
    "signed_in": "Signed in",
    "sessions_ended": "Signed out elsewhere",
    "password_changed": "Changed the password",
    "password_reset": "Set a new password by a link",
    "reset_made": "The operator made a link for a new password",
    "totp_on": "Turned the second factor on",
    "totp_off": "Turned the second factor off",
    "codes_made": "Made new recovery codes",
}
"""What concerns a member alone."""
_LINKS = {
    "created": "made a link",
    "changed": "changed a link",
    "deleted": "deleted a link",
    "taken_down": "took a link down",
    "restored": "restored a link",
    "rules_changed": "changed the rules of a link",
    "experiment_started": "started an experiment",
    "experiment_paused": "paused an experiment",
    "experiment_stopped": "stopped an experiment",
    "experiment_promoted": "promoted a variant",
}
_OF_MEMBER = frozenset({"member_added", "member_removed", "role_changed"})
_FACTS = {"conversion_window_days": "conversion window", "timezone": "time zone"}
_SHOWN_CHARS = 80


def number(value: int | None) -> str:
    """12,345, and – for what is not known."""
    return "–" if value is None else f"{value:,}"


def percent(value: float | None) -> str:
    """12.7 %, and – for what is not known."""
    return "–" if value is None else f"{value * 100:.1f} %"


def amount(text: str) -> str:
    """1,234.50 for 1234.50: the digits in groups, as exact as they are."""
    whole, point, fraction = text.lstrip("-").partition(".")
    return f"{'−' if text.startswith('-') else ''}{int(whole):,}{point}{fraction}"


def instant(instant_ms: int, zone: str = "UTC") -> str:
    """25 Nov 2026, 14:03 in a time zone."""
    then = datetime.fromtimestamp(instant_ms / 1000, UTC).astimezone(ZoneInfo(zone))
    return f"{then.day} {then:%b %Y, %H:%M}"


def day(text: str) -> str:
    """25 Nov 2026 for 2026-11-25."""
    then = datetime.fromisoformat(text)
    return f"{then.day} {then:%b %Y}"


def ago(instant_ms: int, now_ms: int) -> str:
    """How long ago, roughly."""
    seconds = max(0, (now_ms - instant_ms) // 1000)
    for unit, length_s in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count = seconds // length_s
        if count:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def actor_ids(found: list[Deed | Entry]) -> list[str]:
    """The members whom these name."""
    named = [one.actor.removeprefix("member:") for one in found if one.actor.startswith("member:")]
    named += [one.subject for one in found if isinstance(one, Deed) and one.action in _OF_MEMBER]
    return list(dict.fromkeys(named))


def told(one: Deed | Entry, names: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, str]:
    """What was done as a line of a page: who, did what, and more about it."""
    if isinstance(one, Entry):
        changed = json.loads(one.after) if one.action not in ("created", "deleted") else {}
        what = f"{_LINKS.get(one.action, one.action)} {labels.get(one.link_id, '')}".rstrip()
        return {"who": _who(one.actor, names), "what": what, "more": ", ".join(map(_fact, changed))}
    what = _DEEDS.get(one.action, one.action)
    if one.action in _OF_MEMBER:
        what = f"{what} {names.get(one.subject, 'somebody who has gone')}"
    return {"who": _who(one.actor, names), "what": what, "more": _facts(json.loads(one.facts))}


def told_to_self(one: Deed) -> dict[str, str | int]:
    """What concerned a member alone, as a line of the account's page."""
    what, agent = _OWN_DEEDS.get(one.action, one.action), json.loads(one.facts).get("agent", "")
    return {"what": what, "at_ms": one.done_at_ms, "more": agent}


def _who(actor: str, names: Mapping[str, str]) -> str:
    kind, _, subject = actor.partition(":")
    if kind == "member":
        return names.get(subject, "Somebody who has gone")
    return "An API key" if kind == "key" else "The operator"


def _facts(facts: Mapping[str, Any]) -> str:
    if "before" in facts:
        return f"{facts['before']} → {facts['after']}"
    shown = {name: value for name, value in facts.items() if name != "invitation"}
    return ", ".join(f"{_fact(name)} {_value(value)}" for name, value in shown.items())


def _fact(name: str) -> str:
    return _FACTS.get(name, name.replace("_", " "))


def _value(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
