"""Pages by which one comes in: as the first owner, by password and code, by invitation, after losing the password."""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from nimriz.base.errors import Refused
from nimriz.core.directory import workspaces
from nimriz.core.members import entry, members, passes, sessions
from nimriz.core.members.entry import Person
from nimriz.core.members.members import Member
from nimriz.core.members.passes import Pass
from nimriz.store.db import Tx
from nimriz.web.dashboard.call import Call, local
from nimriz.web.dashboard.passage import Passage
from nimriz.web.dashboard.replies import Reply, go

WRONG_PASSWORD = "This address and this password do not belong together."
WRONG_CODE = "That is not the code of this moment, or it was used before."
_SESSION_S = sessions.LIFE_MS // 1000
_HALF_S = sessions.HALF_MS // 1000


# --- the first owner ---------------------------------------------------------------------------------------------


async def show_setup(passage: Passage, call: Call) -> Reply:
    """Who comes first says who they are."""
    _, names = await _setup(passage, call)
    return passage.pages.page(call, "setup.html", names=names, given={})


async def set_up(passage: Passage, call: Call) -> Reply:
    """The first owner, signed in."""
    _, names = await _setup(passage, call)
    person, wrong = await _person(passage, call)
    name = call.form.get("workspace", "").strip()
    if not names and not is_name(name, workspaces.NAME_CHARS_MAX):
        wrong["workspace"] = "1 to 100 characters."
    if wrong or person is None:
        return passage.pages.page(call, "setup.html", 422, names=names, given=call.form, wrong=wrong)
    token, now_ms = call.args["token"], call.now_ms
    member = await passage.desk.write(
        lambda tx: entry.first_owner(tx, passage.vault, token, person, name, now_ms)
    )  # fmt: skip
    return await _come_in(passage, call, member, "/app")


async def _setup(passage: Passage, call: Call) -> tuple[Pass, list[str]]:
    def read(tx: Tx) -> tuple[Pass, list[str]]:
        found = passes.find(tx, passage.vault, "setup", call.args["token"], call.now_ms)
        if members.owned(tx):
            raise Refused("pass_not_found")
        return found, [workspace.name for workspace in workspaces.find_all(tx)]

    return await passage.desk.read(read)


# --- signing in --------------------------------------------------------------------------------------------------


async def show_login(passage: Passage, call: Call) -> Reply:
    """Ask for address and password; whoever is signed in goes on."""
    after = local(call.query.get("next", ""))
    if call.member is not None:
        return go(call, after)
    return passage.pages.page(call, "login.html", given={}, after=after)


async def log_in(passage: Passage, call: Call) -> Reply:
    """Begin a session for the right password; without its code it lets nobody in."""
    after, email = local(call.form.get("next", "")), members.read_email(call.form.get("email", ""))
    show = partial(passage.pages.page, call, "login.html", given=call.form, after=after)
    member = None if email is None else await passage.desk.read(lambda tx: members.find_by_email(tx, email))
    try:
        right = await passage.is_password(call, email or "", member, call.form.get("password", ""))
    except Refused as refused:
        if refused.code != "rate_limited":
            raise
        return _with_retry(show(status=429, wrong={"form": _too_many(refused)}), refused)
    if not right or member is None:
        return show(status=403, wrong={"form": WRONG_PASSWORD})
    return await _come_in(passage, call, member, after)


async def show_code(passage: Passage, call: Call) -> Reply:
    """Ask for the code of the second factor."""
    return passage.pages.page(call, "code.html", after=local(call.query.get("next", "")))


async def give_code(passage: Passage, call: Call) -> Reply:
    """Complete the session."""
    member, session = call.known_member, call.session
    after, agent = local(call.form.get("next", "")), passage.agent_of(call)
    show = partial(passage.pages.page, call, "code.html", after=after)
    if session is None:
        return go(call, "/login")
    session_id, code = session.session_id, call.form.get("code", "")[:64]
    try:
        passage.take_code(member.member_id)
        token = await passage.desk.write(
            lambda tx: entry.completed(tx, passage.vault, session_id, member.member_id, code, agent, call.now_ms)
        )
    except Refused as refused:
        if refused.code == "rate_limited":
            return _with_retry(show(status=429, wrong={"code": _too_many(refused)}), refused)
        if refused.code != "code_wrong":
            raise
        return show(status=403, wrong={"code": WRONG_CODE})
    passage.give_code_back(member.member_id)
    call.sign_in(token, _SESSION_S)
    return go(call, after)


async def sign_out(passage: Passage, call: Call) -> Reply:
    """End this session."""
    session, member = call.session, call.member
    if session is not None and member is not None:
        await passage.desk.write(lambda tx: sessions.end(tx, member.member_id, session.session_id))
    call.sign_out()
    return go(call, "/login?done=signed-out")


# --- an invitation -----------------------------------------------------------------------------------------------


async def show_invitation(passage: Passage, call: Call) -> Reply:
    """What the invitation is for, and what it takes to accept it."""
    used, name = await _invitation(passage, call)
    return passage.pages.page(call, "invitation.html", used=used, name=name, given={"email": _meant(used)})


async def accept(passage: Passage, call: Call) -> Reply:
    """Join the workspace: as who is signed in, or as somebody new."""
    used, name = await _invitation(passage, call)
    token, now_ms = call.args["token"], call.now_ms
    who: Person | Member | None = call.member
    wrong: dict[str, str] = {}
    if who is None:
        who, wrong = await _person(passage, call)
    show = partial(passage.pages.page, call, "invitation.html", used=used, name=name, given=call.form)
    if wrong or who is None:
        return show(status=422, wrong=wrong)
    joining = who
    try:
        member, workspace_id = await passage.desk.write(
            lambda tx: entry.invited(tx, passage.vault, token, joining, now_ms)
        )  # fmt: skip
    except Refused as refused:
        if refused.code != "member_exists":
            raise
        here = "You are a member of this workspace already."
        known = "This address has an account already. Sign in with it, then open this link again."
        return show(status=409, wrong={"form": here if call.member else known})
    if call.member is not None:
        return go(call, f"/app/{workspace_id}?done=welcome")
    return await _come_in(passage, call, member, f"/app/{workspace_id}")


async def _invitation(passage: Passage, call: Call) -> tuple[Pass, str]:
    def read(tx: Tx) -> tuple[Pass, str]:
        found = passes.find(tx, passage.vault, "invitation", call.args["token"], call.now_ms)
        workspace = workspaces.find(tx, found.workspace_id)
        if workspace is None:
            raise Refused("pass_not_found")
        return found, workspace.name

    return await passage.desk.read(read)


def _meant(used: Pass) -> str:
    return members.read_email(used.note) or ""


# --- a lost password ---------------------------------------------------------------------------------------------


async def show_reset(passage: Passage, call: Call) -> Reply:
    """Ask for a new password."""
    return passage.pages.page(call, "reset.html", email=(await _lost(passage, call)).email)


async def reset(passage: Passage, call: Call) -> Reply:
    """The new password, with which one signs in."""
    member = await _lost(passage, call)
    password = call.form.get("password", "")
    wrong = wrong_password(password, call.form.get("again", ""), member.email)
    if wrong:
        return passage.pages.page(call, "reset.html", 422, email=member.email, wrong=wrong)
    kept, token = await passage.hashed(password), call.args["token"]
    await passage.desk.write(lambda tx: entry.reset(tx, passage.vault, token, kept, call.now_ms))
    call.sign_out()
    return go(call, "/login?done=reset")


async def _lost(passage: Passage, call: Call) -> Member:
    def read(tx: Tx) -> Member:
        found = passes.find(tx, passage.vault, "reset", call.args["token"], call.now_ms)
        member = members.find(tx, found.member_id)
        if member is None:
            raise Refused("pass_not_found")
        return member

    return await passage.desk.read(read)


# --- what they share ---------------------------------------------------------------------------------------------


async def _come_in(passage: Passage, call: Call, member: Member, after: str) -> Reply:
    """A new session instead of the one that this browser had."""
    complete, old, agent = member.totp_sealed is None, call.session, passage.agent_of(call)

    def write(tx: Tx) -> str:
        if old is not None:
            sessions.end(tx, old.member_id, old.session_id)
        return entry.signed_in(tx, passage.vault, member.member_id, agent, call.now_ms, complete=complete)

    token = await passage.desk.write(write)
    call.sign_in(token, _SESSION_S if complete else _HALF_S)
    return go(call, after if complete else f"/login/code?next={quote(after)}")


async def _person(passage: Passage, call: Call) -> tuple[Person | None, dict[str, str]]:
    """Who a form says they are, or what is wrong with each field."""
    email, name = members.read_email(call.form.get("email", "")), call.form.get("name", "").strip()
    password = call.form.get("password", "")
    wrong = wrong_password(password, call.form.get("again", ""), email or "")
    if email is None:
        wrong["email"] = "An address such as ann@shop.example."
    if not is_name(name, members.NAME_CHARS_MAX):
        wrong["name"] = "1 to 100 characters."
    if wrong or email is None:
        return None, wrong
    return Person(email, name, await passage.hashed(password)), {}


def wrong_password(password: str, again: str, email: str) -> dict[str, str]:
    """What is wrong with a new password, by the field."""
    if not entry.is_password(password, email):
        return {"password": "12 to 128 characters, of which five differ, and not your address."}
    return {} if password == again else {"again": "This is not the same password."}


def is_name(text: str, chars_max: int) -> bool:
    """Whether a name can stand in lists: not empty, not too long, without control characters."""
    return 1 <= len(text) <= chars_max and text.isprintable()


def _too_many(refused: Refused) -> str:
    return f"Too many attempts. Wait {refused.retry_after_s or 1} s, then try again."


def _with_retry(reply: Reply, refused: Refused) -> Reply:
    return reply._replace(headers=[*reply.headers, (b"retry-after", b"%d" % (refused.retry_after_s or 1))])
