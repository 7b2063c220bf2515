"""Copying out of the store for whoever makes exports: tells how far it is, and stops when nobody listens any more."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import duckdb

from nimriz.analytics import click_rows, patience, wire
from nimriz.analytics.click_rows import ClicksAsked, Piece, Range
from nimriz.analytics.duck import Damaged, Store, Unusable
from nimriz.analytics.rows import Rows

_TELL_EVERY_S = 0.5


def answer(store: Store, connection: socket.socket, request: dict[str, Any], fresh_ms: int) -> dict[str, Any]:
    """Write a piece of the clicks to a file of ours; what to answer. Raises OSError when nobody listens any more.

    `fresh_ms` is the instant up to which the store holds everything.
    """
    if fresh_ms < request["fresh_from_ms"]:
        return {"failed": "it is behind"}
    asked, piece = ClicksAsked(**request["question"]), Piece(*request["piece"])
    path = Path(request["path"])
    running: list[Rows] = []
    done = threading.Event()
    told: list[dict[str, Any]] = []

    def copy() -> None:
        patience.lower_own()
        try:
            told.append(store.read(lambda rows: _copied(rows, asked, piece, path, request["format"], running)))
        except (Damaged, Unusable, duckdb.Error) as error:
            told.append({"failed": type(error).__name__})
        finally:
            done.set()

    thread = threading.Thread(target=copy, name="copy", daemon=True)
    thread.start()
    try:
        while not done.wait(_TELL_EVERY_S):
            total, percent = (running[0].expected, running[0].progress()) if running else (0, 0.0)
            connection.sendall(wire.packed({"progress": [int(total * max(percent, 0) / 100), total]}))
    finally:
        while not done.is_set():
            for rows in running:
                rows.interrupt()
            done.wait(_TELL_EVERY_S)
    return told[0]


def _copied(
    rows: Rows, asked: ClicksAsked, piece: Piece, path: Path, written: Any, running: list[Rows]
) -> dict[str, Any]:
    rows.expected = piece.rows
    rows.all("set enable_progress_bar_print = false")
    rows.all("set enable_progress_bar = true")
    running.append(rows)
    try:
        copied = click_rows.copy(rows, asked, [Range(*each) for each in piece.ranges], path, written)
    except duckdb.IOException:
        # The file could not be written; the store itself is well.
        return {"answer": {"full": True}}
    return {"answer": {"full": False, "rows": copied}}
