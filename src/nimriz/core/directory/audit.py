"""Audit: who did what, when. Owns the table deeds, append-only.

What is done to links is in their history, and stands beside this when the two are read together. A deed holds ids and
words of ours, never a secret and nobody's address: those who have gone leave no more than a random id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, NamedTuple

from nimriz.store.db import Scalar, Tx

Action = Literal[
    "workspace_created", "workspace_changed", "key_created", "key_revoked", "secret_created", "secret_revoked",
    "member_invited", "invitation_withdrawn", "member_joined", "member_added", "member_left", "member_removed",
    "role_changed", "reset_made", "password_changed", "password_reset", "totp_on", "totp_off", "codes_made",
    "signed_in", "sessions_ended",
]  # fmt: skip
OPERATOR = "operator"
"""The actor of what is done on the command line, by whoever runs the installation."""


LOOKED_AT_MAX = 5_000
"""So many of the newest deeds of all members are looked at for those of one."""


class Deed(NamedTuple):
    """One thing done. `subject` is the id of whom or what it was done to, `facts` a JSON object."""

    seq: int
    workspace_id: str
    done_at_ms: int
    actor: str
    action: str
    subject: str
    facts: str


_COLUMNS = ", ".join(Deed._fields)
_APPEND = (
    "insert into deeds (workspace_id, done_at_ms, actor, action, subject, facts) "
    "values (:workspace_id, :now_ms, :actor, :action, :subject, :facts)"
)


def by_member(member_id: str) -> str:
    """The actor of what a member does."""
    return f"member:{member_id}"


def note(
    tx: Tx,
    workspace_id: str,
    actor: str,
    action: Action,
    now_ms: int,
    subject: str = "",
    facts: Mapping[str, Scalar] | None = None,
) -> None:
    """Note what is done in this transaction. `workspace_id` is '' for what concerns a member alone."""
    tx.run(
        _APPEND,
        {
            "workspace_id": workspace_id,
            "now_ms": now_ms,
            "actor": actor,
            "action": action,
            "subject": subject,
            "facts": json.dumps(dict(facts or {}), ensure_ascii=False),
        },
    )


def page(tx: Tx, workspace_id: str, before_seq: int, limit: int) -> list[Deed]:
    """At most `limit` deeds of a workspace, newest first, before number `before_seq` (0: all)."""
    rows = tx.all(
        f"select {_COLUMNS} from deeds where workspace_id = :workspace_id "
        "and (:before_seq = 0 or seq < :before_seq) order by seq desc limit :limit_count",
        {"workspace_id": workspace_id, "before_seq": before_seq, "limit_count": limit},
    )
    return [Deed._make(row) for row in rows]


def of_member(tx: Tx, member_id: str, limit: int) -> list[Deed]:
    """At most `limit` of what lately concerned a member alone, such as signing in, newest first."""
    rows = tx.all(
        f"select {_COLUMNS} from (select {_COLUMNS} from deeds where workspace_id = '' order by seq desc "
        "limit :looked_count) newest where subject = :member_id order by seq desc limit :limit_count",
        {"member_id": member_id, "looked_count": LOOKED_AT_MAX, "limit_count": limit},
    )
    return [Deed._make(row) for row in rows]
