"""Pages of a workspace's settings: General, Members, Audit."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from nimriz.base.errors import CODES, Refused
from nimriz.core.directory import audit, workspaces
from nimriz.core.directory.audit import Deed
from nimriz.core.links import history, links
from nimriz.core.links.history import Entry
from nimriz.core.members import members, passes
from nimriz.store.db import Tx
from nimriz.web.dashboard import words
from nimriz.web.dashboard.call import Call
from nimriz.web.dashboard.entering import is_name
from nimriz.web.dashboard.passage import Passage
from nimriz.web.dashboard.replies import Reply, go

PAGE_ROWS = 50
_WINDOWS = range(1, 31)


@cache
def zones() -> tuple[str, ...]:
    """The time zones to choose from."""
    return tuple(sorted(zone for zone in available_timezones() if "/" in zone or zone == "UTC"))


def _path(call: Call, page: str) -> str:
    return f"/app/{call.known_workspace.workspace_id}/settings/{page}"


# --- General -----------------------------------------------------------------------------------------------------


async def show_general(
    passage: Passage, call: Call, status: int = 200, wrong: dict[str, str] | None = None
) -> Reply:  # fmt: skip
    """What the workspace has chosen."""
    return passage.pages.page(
        call, "general.html", status, zones=zones(), windows=_WINDOWS, wrong=wrong or {}, given=call.form
    )  # fmt: skip


async def change_general(passage: Passage, call: Call) -> Reply:
    """Change it. Clicks and events of before keep what they had."""
    form, now_ms = call.form, call.now_ms
    name, zone, window = form.get("name", "").strip(), form.get("timezone", ""), form.get("window", "")
    wrong = {}
    if not is_name(name, workspaces.NAME_CHARS_MAX):
        wrong["name"] = "1 to 100 characters."
    if zone not in zones() and zone != call.known_workspace.timezone:
        wrong["timezone"] = "A time zone of the list."
    if window not in map(str, _WINDOWS):
        wrong["window"] = "1 to 30 days."
    if wrong:
        return await show_general(passage, call, 422, wrong)
    actor = audit.by_member(call.known_member.member_id)

    def write(tx: Tx) -> None:
        workspace = workspaces.find(tx, call.known_workspace.workspace_id)
        if workspace is not None:
            changed = workspace._replace(
                name=name, timezone=zone, conversion_window_days=int(window),
                privacy="strict" if form.get("privacy") == "strict" else "standard",
                privacy_suppresses_token=int(form.get("suppress") == "1"), sticky_cookie=int(form.get("sticky") == "1"),
            )  # fmt: skip
            workspaces.update(tx, changed, now_ms, actor)

    await passage.desk.write(write)
    return go(call, _path(call, "general") + "?done=saved")


# --- Members -----------------------------------------------------------------------------------------------------


async def show_members(
    passage: Passage, call: Call, status: int = 200, wrong: dict[str, str] | None = None, link: str = ""
) -> Reply:
    """Who works here, and who is invited."""
    workspace_id = call.known_workspace.workspace_id

    def read(tx: Tx) -> tuple[list[members.Colleague], list[passes.Pass]]:
        return members.colleagues(tx, workspace_id), passes.invitations(tx, workspace_id, call.now_ms)

    found, invited = await passage.desk.read(read)
    return passage.pages.page(
        call, "members.html", status, colleagues=found, invited=invited, wrong=wrong or {}, link=link, given=call.form
    )


async def invite(passage: Passage, call: Call) -> Reply:
    """A link for somebody to join by, shown this once."""
    workspace_id, actor = call.known_workspace.workspace_id, audit.by_member(call.known_member.member_id)
    note, asked = call.form.get("note", "").strip(), call.form.get("role", "")
    role = next((role for role in members.ROLES if role == asked), None)
    if note and not is_name(note, passes.NOTE_CHARS_MAX):
        return await show_members(passage, call, 422, {"note": "At most 100 characters."})
    if role is None or not members.may_give(call.role, role):
        raise Refused("role_missing")
    path = await passage.desk.write(
        lambda tx: passes.for_invited(tx, passage.vault, workspace_id, role, note, actor, call.now_ms)
    )
    return await show_members(passage, call, link=passage.desk.base_url + path)


async def withdraw(passage: Passage, call: Call) -> Reply:
    """Take an invitation back."""
    workspace_id, actor = call.known_workspace.workspace_id, audit.by_member(call.known_member.member_id)
    await passage.desk.write(
        lambda tx: passes.withdraw(tx, workspace_id, call.args["pass_id"], actor, call.now_ms)
    )  # fmt: skip
    return go(call, _path(call, "members") + "?done=withdrawn")


async def change_role(passage: Passage, call: Call) -> Reply:
    """Give a member another role."""
    asked = call.form.get("role", "")
    role = next((role for role in members.ROLES if role == asked), None)
    if role is None:
        raise Refused("validation_failed")
    workspace_id, actor, member_id = call.known_workspace.workspace_id, call.known_member, call.args["member_id"]
    try:
        await passage.desk.write(
            lambda tx: members.change_role(tx, workspace_id, actor, member_id, role, call.now_ms)
        )  # fmt: skip
    except Refused as refused:
        return await _told(passage, call, refused)
    return go(call, _path(call, "members") + "?done=role")


async def remove(passage: Passage, call: Call) -> Reply:
    """Take a member out of the workspace, or leave it."""
    workspace_id, actor, member_id = call.known_workspace.workspace_id, call.known_member, call.args["member_id"]
    try:
        await passage.desk.write(lambda tx: members.remove(tx, workspace_id, actor, member_id, call.now_ms))
    except Refused as refused:
        return await _told(passage, call, refused)
    if member_id == actor.member_id:
        return go(call, "/app/account?done=left")
    return go(call, _path(call, "members") + "?done=removed")


async def _told(passage: Passage, call: Call, refused: Refused) -> Reply:
    if refused.code != "last_owner":
        raise refused
    return await show_members(passage, call, 409, {"members": CODES["last_owner"].detail})


# --- Audit -------------------------------------------------------------------------------------------------------


async def show_audit(passage: Passage, call: Call) -> Reply:
    """Who did what, newest first: in the workspace, and to its links."""
    workspace_id = call.known_workspace.workspace_id
    deed_seq, link_seq = _cursor(call.query.get("before", ""))

    def read(tx: Tx) -> tuple[list[dict[str, object]], str]:
        deeds = audit.page(tx, workspace_id, deed_seq, PAGE_ROWS + 1) if deed_seq >= 0 else []
        entries = history.of_workspace(tx, workspace_id, link_seq, PAGE_ROWS + 1) if link_seq >= 0 else []
        both: list[Deed | Entry] = sorted([*deeds, *entries], key=_when, reverse=True)
        shown = both[:PAGE_ROWS]
        names = members.names(tx, words.actor_ids(shown))
        labels = links.labels(tx, workspace_id, list({one.link_id for one in shown if isinstance(one, Entry)}))
        rows = [{"at_ms": _when(one), **words.told(one, names, labels)} for one in shown]
        return rows, _after(shown, deed_seq, link_seq) if len(both) > PAGE_ROWS else ""

    rows, older = await passage.desk.read(read)
    return passage.pages.page(call, "audit.html", rows=rows, older=older)


def _when(one: Deed | Entry) -> int:
    return one.done_at_ms if isinstance(one, Deed) else one.changed_at_ms


def _cursor(text: str) -> tuple[int, int]:
    """The numbers before which both lists go on; 0 for the newest."""
    first, _, second = text.partition("-")
    if not (first.isascii() and second.isascii() and first.isdigit() and second.isdigit()):
        return 0, 0
    return int(first[:18]), int(second[:18])


def _after(shown: list[Deed | Entry], deed_seq: int, link_seq: int) -> str:
    deeds = [one.seq for one in shown if isinstance(one, Deed)]
    entries = [one.seq for one in shown if isinstance(one, Entry)]
    return f"{min(deeds, default=deed_seq)}-{min(entries, default=link_seq)}"
