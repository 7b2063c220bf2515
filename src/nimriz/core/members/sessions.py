"""Sessions: browsers in which a member is signed in. Owns the table sessions.

Of a token a digest is kept. A session that is not complete has given the password and still owes the code of the second
factor; it lets nobody in. One ends when it is ended, after two weeks without use, after 90 days, and with the password.
"""

from __future__ import annotations

import secrets
from typing import NamedTuple

from nimriz.base.clock import DAY_MS
from nimriz.base.ids import new_id
from nimriz.core.directory.vault import Vault
from nimriz.store.db import Tx

IDLE_MS = 14 * DAY_MS
LIFE_MS = 90 * DAY_MS
HALF_MS = 10 * 60_000
"""So long may the code be owed."""
USED_EVERY_MS = 5 * 60_000
"""So exactly is it known when a session was used: not every page is a write."""
SESSIONS_MAX = 50
TOKEN_CHARS_MAX = 64
_PURPOSE = b"session"


class Session(NamedTuple):
    """What may be shown of a session. `agent` names browser and system in words of ours."""

    session_id: str
    member_id: str
    complete: int
    agent: str
    created_at_ms: int
    used_at_ms: int


_COLUMNS = ", ".join(Session._fields)
_LIVE = (
    "used_at_ms > :now_ms - case when complete = 1 then :idle_ms else :half_ms end "
    "and created_at_ms > :now_ms - :life_ms"
)
_BOUNDS = {"idle_ms": IDLE_MS, "half_ms": HALF_MS, "life_ms": LIFE_MS}


def begin(tx: Tx, vault: Vault, member_id: str, agent: str, now_ms: int, *, complete: bool) -> str:
    """A new session; its token, shown once. Beyond so many of a member the oldest ends."""
    token = secrets.token_urlsafe(32)
    made = Session(new_id(now_ms), member_id, int(complete), agent, now_ms, now_ms)
    tx.run(
        "delete from sessions where member_id = :member_id and session_id not in (select session_id from sessions "
        "where member_id = :member_id order by used_at_ms desc, session_id desc limit :kept_count)",
        {"member_id": member_id, "kept_count": SESSIONS_MAX - 1},
    )
    tx.run(
        f"insert into sessions ({_COLUMNS}, digest) values ({', '.join(':' + f for f in Session._fields)}, :digest)",
        {**made._asdict(), "digest": vault.digest(_PURPOSE, token)},
    )
    return token


def find(tx: Tx, vault: Vault, token: str, now_ms: int) -> Session | None:
    """The session of a token that is not over."""
    if not token or len(token) > TOKEN_CHARS_MAX:
        return None
    row = tx.one(
        f"select {_COLUMNS} from sessions where digest = :digest and {_LIVE}",
        {"digest": vault.digest(_PURPOSE, token), "now_ms": now_ms, **_BOUNDS},
    )
    return None if row is None else Session._make(row)


def mark_used(tx: Tx, session_id: str, now_ms: int) -> None:
    """Remember that it was used."""
    tx.run(
        "update sessions set used_at_ms = :now_ms where session_id = :session_id",
        {"now_ms": now_ms, "session_id": session_id},
    )


def of_member(tx: Tx, member_id: str, now_ms: int) -> list[Session]:
    """Where a member is signed in, the last used first."""
    rows = tx.all(
        f"select {_COLUMNS} from sessions where member_id = :member_id and complete = 1 and {_LIVE} "
        "order by used_at_ms desc, session_id desc",
        {"member_id": member_id, "now_ms": now_ms, **_BOUNDS},
    )
    return [Session._make(row) for row in rows]


def end(tx: Tx, member_id: str, session_id: str) -> bool:
    """End one; False when the member has no such session."""
    row = tx.one(
        "delete from sessions where session_id = :session_id and member_id = :member_id returning session_id",
        {"session_id": session_id, "member_id": member_id},
    )
    return row is not None


def end_all(tx: Tx, member_id: str, but: str = "") -> None:
    """End every session of a member, but perhaps one."""
    tx.run(
        "delete from sessions where member_id = :member_id and session_id <> :but",
        {"member_id": member_id, "but": but},
    )


def forget_old(tx: Tx, now_ms: int) -> None:
    """Drop those that are over."""
    tx.run(f"delete from sessions where not ({_LIVE})", {"now_ms": now_ms, **_BOUNDS})
