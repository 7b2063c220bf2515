"""Pages about oneself: name, password, second factor, sessions, and how pages look."""

from __future__ import annotations

import segno

from nimriz.base.errors import Refused
from nimriz.core.directory import audit
from nimriz.core.members import entry, members, second_factor, sessions
from nimriz.store.db import Tx
from nimriz.web.dashboard import words
from nimriz.web.dashboard.call import THEMES, Call
from nimriz.web.dashboard.entering import WRONG_CODE, is_name, wrong_password
from nimriz.web.dashboard.passage import Passage
from nimriz.web.dashboard.replies import Reply, go

PATH = "/app/account"
NOT_YOURS = "That is not your password."
_LATELY = 10
_YEAR_S = 365 * 86_400


async def show(passage: Passage, call: Call, status: int = 200, wrong: dict[str, str] | None = None) -> Reply:
    """Everything about oneself."""
    member = call.known_member

    def read(tx: Tx) -> tuple[list[sessions.Session], int, list[audit.Deed]]:
        found = sessions.of_member(tx, member.member_id, call.now_ms)
        left = second_factor.codes_left(tx, member.member_id)
        return found, left, audit.of_member(tx, member.member_id, _LATELY)

    found, left, deeds = await passage.desk.read(read)
    lately = [words.told_to_self(deed) for deed in deeds]
    return passage.pages.page(
        call, "account.html", status, sessions=found, codes_left=left, wrong=wrong or {}, lately=lately
    )


async def rename(passage: Passage, call: Call) -> Reply:
    """Another name."""
    name = call.form.get("name", "").strip()
    if not is_name(name, members.NAME_CHARS_MAX):
        return await show(passage, call, 422, {"name": "1 to 100 characters."})
    await passage.desk.write(lambda tx: members.rename(tx, call.known_member.member_id, name))
    return go(call, f"{PATH}?done=saved")


async def change_password(passage: Passage, call: Call) -> Reply:
    """Another password, after the one of now; all other sessions end."""
    member, password = call.known_member, call.form.get("password", "")
    wrong = wrong_password(password, call.form.get("again", ""), member.email)
    if not wrong and not await _proved(passage, call):
        wrong = {"current": NOT_YOURS}
    if wrong:
        return await show(passage, call, 422, wrong)
    kept, agent = await passage.hashed(password), passage.agent_of(call)
    token = await passage.desk.write(
        lambda tx: entry.change_password(tx, passage.vault, member.member_id, kept, agent, call.now_ms)
    )
    call.sign_in(token, sessions.LIFE_MS // 1000)
    return go(call, f"{PATH}?done=password")


async def show_totp(passage: Passage, call: Call) -> Reply:
    """A new secret, to be read by an authenticator. Nothing is kept of it before a code was right."""
    return _totp_page(passage, call, second_factor.new_secret())


async def turn_totp_on(passage: Passage, call: Call) -> Reply:
    """Ask for codes from now on; the recovery codes are shown this once."""
    member, text = call.known_member, call.form.get("secret", "")
    secret = second_factor.read_secret(text)
    if secret is None:
        return go(call, f"{PATH}/totp")
    if not await _proved(passage, call):
        return _totp_page(passage, call, text, {"current": NOT_YOURS})
    code = call.form.get("code", "")
    try:
        codes = await passage.desk.write(
            lambda tx: second_factor.turn_on(tx, passage.vault, member, secret, code, call.now_ms)
        )
    except Refused as refused:
        if refused.code != "code_wrong":
            raise
        return _totp_page(passage, call, text, {"code": WRONG_CODE})
    return passage.pages.page(call, "codes.html", codes=codes)


async def turn_totp_off(passage: Passage, call: Call) -> Reply:
    """Ask for no codes any more."""
    member_id = call.known_member.member_id
    if not await _proved(passage, call):
        return await show(passage, call, 422, {"totp": NOT_YOURS})
    await passage.desk.write(
        lambda tx: second_factor.turn_off(tx, member_id, audit.by_member(member_id), call.now_ms)
    )  # fmt: skip
    return go(call, f"{PATH}?done=totp-off")


async def make_codes(passage: Passage, call: Call) -> Reply:
    """Recovery codes instead of those of before."""
    member = call.known_member
    if member.totp_sealed is None:
        return go(call, PATH)
    if not await _proved(passage, call):
        return await show(passage, call, 422, {"totp": NOT_YOURS})
    codes = await passage.desk.write(
        lambda tx: second_factor.new_codes(tx, passage.vault, member.member_id, call.now_ms)
    )  # fmt: skip
    return passage.pages.page(call, "codes.html", codes=codes)


async def end_session(passage: Passage, call: Call) -> Reply:
    """Sign out somewhere else."""
    member_id, session_id = call.known_member.member_id, call.args["session_id"]

    def write(tx: Tx) -> None:
        if sessions.end(tx, member_id, session_id):
            audit.note(tx, "", audit.by_member(member_id), "sessions_ended", call.now_ms, member_id)

    await passage.desk.write(write)
    return go(call, f"{PATH}?done=ended")


async def end_others(passage: Passage, call: Call) -> Reply:
    """Sign out everywhere else."""
    member_id, own = call.known_member.member_id, call.session

    def write(tx: Tx) -> None:
        sessions.end_all(tx, member_id, "" if own is None else own.session_id)
        audit.note(tx, "", audit.by_member(member_id), "sessions_ended", call.now_ms, member_id)

    await passage.desk.write(write)
    return go(call, f"{PATH}?done=ended")


async def choose_theme(_: Passage, call: Call) -> Reply:
    """Light, dark, or as the system has it; the browser keeps it."""
    chosen = call.form.get("theme", "")
    call.set_cookie("nimriz_theme", chosen if chosen in THEMES else "", _YEAR_S)
    return go(call, f"{PATH}?done=saved")


def _totp_page(passage: Passage, call: Call, secret: str, wrong: dict[str, str] | None = None) -> Reply:
    address = second_factor.address(secret, call.known_member.email, "nimriz")
    drawn = segno.make(address, error="m", micro=False)
    path = drawn.svg_inline(scale=4, border=2, omitsize=True, dark="#000", light="#fff")
    return passage.pages.page(
        call, "totp.html", 422 if wrong else 200, secret=secret, drawn=path, wrong=wrong or {}
    )  # fmt: skip


async def _proved(passage: Passage, call: Call) -> bool:
    """Whether the form holds the password of who is signed in."""
    member = call.known_member
    return await passage.is_password(call, member.email, member, call.form.get("current", ""))
