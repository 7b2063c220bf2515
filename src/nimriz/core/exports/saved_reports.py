"""Saved reports: questions kept by name, and shares, by which somebody without a key reads one report and nothing else.

Owns the tables saved_reports and report_shares. Of a share's token a digest is kept; it is shown once. A share that was
revoked, or has expired, is as if it had never been.
"""

from __future__ import annotations

import base64
import os
from typing import Literal, NamedTuple

from nimriz.base.errors import Refused
from nimriz.base.ids import new_id
from nimriz.core.directory.vault import Vault
from nimriz.store.db import Tx

SAVED_MAX = 1_000
SHARES_MAX = 20
"""So many shares one report may have."""
TOKEN_CHARS_MAX = 64
_RANDOM_BYTES = 32

ReportKind = Literal["conversions", "clicks"]


class SavedReport(NamedTuple):
    """One report by name. `question` is JSON: the parameters of its call."""

    report_id: str
    workspace_id: str
    name: str
    report: ReportKind
    question: str
    actor: str
    created_at_ms: int


class Share(NamedTuple):
    """What may be shown of a share, and the hash of its password, '' for none."""

    share_id: str
    report_id: str
    workspace_id: str
    password_hash: str
    created_at_ms: int
    expires_at_ms: int | None


_COLUMNS = ", ".join(SavedReport._fields)
_SHARE = ", ".join(Share._fields)


def add(
    tx: Tx, workspace_id: str, name: str, report: ReportKind, question: str, actor: str, now_ms: int
) -> SavedReport:
    """Keep a report. Raises Refused(quota_exceeded)."""
    count = tx.one(
        "select count(*) from saved_reports where workspace_id = :workspace_id", {"workspace_id": workspace_id}
    )
    if count is not None and count[0] >= SAVED_MAX:
        raise Refused("quota_exceeded")
    saved = SavedReport(new_id(now_ms), workspace_id, name, report, question, actor, now_ms)
    values = ", ".join(f":{field}" for field in SavedReport._fields)
    tx.run(f"insert into saved_reports ({_COLUMNS}) values ({values})", saved._asdict())
    return saved


def page(tx: Tx, workspace_id: str) -> list[SavedReport]:
    """Every saved report of a workspace, the newest first."""
    rows = tx.all(
        f"select {_COLUMNS} from saved_reports where workspace_id = :workspace_id order by report_id desc",
        {"workspace_id": workspace_id},
    )
    return [SavedReport._make(row) for row in rows]


def find(tx: Tx, workspace_id: str, report_id: str) -> SavedReport:
    """A saved report of a workspace. Raises Refused(saved_report_not_found)."""
    row = tx.one(
        f"select {_COLUMNS} from saved_reports where workspace_id = :workspace_id and report_id = :report_id",
        {"workspace_id": workspace_id, "report_id": report_id},
    )
    if row is None:
        raise Refused("saved_report_not_found")
    return SavedReport._make(row)


def remove(tx: Tx, workspace_id: str, report_id: str) -> None:
    """Forget a saved report, and with it every share. Raises Refused(saved_report_not_found)."""
    find(tx, workspace_id, report_id)
    tx.run("delete from report_shares where report_id = :report_id", {"report_id": report_id})
    tx.run("delete from saved_reports where report_id = :report_id", {"report_id": report_id})


def share(
    tx: Tx, vault: Vault, saved: SavedReport, password_hash: str, expires_at_ms: int | None, now_ms: int
) -> tuple[str, Share]:
    """A new share: its token, shown once, and what may be shown of it. Raises Refused(quota_exceeded)."""
    if len(shares(tx, saved.workspace_id, saved.report_id)) >= SHARES_MAX:
        raise Refused("quota_exceeded")
    token = "nimshare_" + base64.urlsafe_b64encode(os.urandom(_RANDOM_BYTES)).rstrip(b"=").decode()
    made = Share(new_id(now_ms), saved.report_id, saved.workspace_id, password_hash, now_ms, expires_at_ms)
    values = ", ".join(f":{field}" for field in Share._fields)
    tx.run(
        f"insert into report_shares ({_SHARE}, digest) values ({values}, :digest)",
        {**made._asdict(), "digest": vault.api_key_digest(token)},
    )
    return token, made


def shares(tx: Tx, workspace_id: str, report_id: str) -> list[Share]:
    """The shares of a report, the newest first. Raises Refused(saved_report_not_found)."""
    find(tx, workspace_id, report_id)
    rows = tx.all(
        f"select {_SHARE} from report_shares where report_id = :report_id order by share_id desc",
        {"report_id": report_id},
    )
    return [Share._make(row) for row in rows]


def revoke(tx: Tx, workspace_id: str, report_id: str, share_id: str) -> None:
    """Take a share back: its link leads nowhere from now on. Raises Refused(saved_report_not_found)."""
    row = tx.one(
        "delete from report_shares where workspace_id = :workspace_id and report_id = :report_id "
        "and share_id = :share_id returning share_id",
        {"workspace_id": workspace_id, "report_id": report_id, "share_id": share_id},
    )
    if row is None:
        raise Refused("saved_report_not_found")


def open_share(tx: Tx, digest: bytes, now_ms: int) -> tuple[Share, SavedReport] | None:
    """The share with this digest and its report; None when there is none, or no longer."""
    row = tx.one(f"select {_SHARE} from report_shares where digest = :digest", {"digest": digest})
    if row is None:
        return None
    found = Share._make(row)
    if found.expires_at_ms is not None and found.expires_at_ms <= now_ms:
        return None
    return found, find(tx, found.workspace_id, found.report_id)
