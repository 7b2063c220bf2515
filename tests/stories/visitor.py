"""A visitor: who follows short links, and what is kept of it."""

from __future__ import annotations

import re
from typing import Any

import apsw

from nimriz.base.ids import to_text
from tests.stories import raw
from tests.world import HUMAN, Workspace

TOKEN = re.compile(r"nim_ct=nimct_[A-Za-z0-9_-]{72}")


def visit(shop: Workspace, target: str, method: str = "GET", **headers: str) -> raw.Reply:
    """A visitor's request, its answer as it came; every answer is private to that visitor."""
    agent: list[raw.Header] = [("User-Agent", HUMAN)] if "User_Agent" not in headers else []
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    reply = raw.send(shop.served.port, method, target, [*agent, *named])
    assert reply.header("cache-control") == "private, no-store", target
    assert reply.header("referrer-policy"), target
    assert reply.header("server") != "uvicorn"
    if method == "HEAD":
        assert reply.body == b""
    return reply


def place(shop: Workspace, target: str, **headers: str) -> str:
    """Where a visitor is sent, the token written as T."""
    reply = visit(shop, target, **headers)
    assert reply.status in (301, 302), reply.body
    return TOKEN.sub("T", reply.header("location") or "")


def clicks(shop: Workspace, link: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a link's clicks, oldest first."""
    rows: list[dict[str, Any]] = []
    for path in sorted(shop.served.data_dir.glob("clicks-*.db")):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        cursor = connection.execute("select * from clicks where link_id = ? order by seq", (link["id"],))
        for row in cursor:
            told = dict(zip((name for name, *_ in cursor.description), row, strict=True))
            rows.append({**told, "click_id": to_text(told["click_id"])})
        connection.close()
    return rows
