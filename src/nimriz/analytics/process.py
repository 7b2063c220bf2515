"""The process that owns the columnar store: it projects, and answers over a Unix socket in the data directory.

A process of its own, so that neither its memory nor its interpreter is the redirects'. It ends with its parent. Only
one holds the store: whoever has the lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from nimriz.analytics import answers, copying, patience, sources, wire
from nimriz.analytics.duck import Damaged, Store, Unusable, remove
from nimriz.analytics.projector import Projector
from nimriz.analytics.watch import Options
from nimriz.base.clock import Clock
from nimriz.logs import configure_logs, where
from nimriz.parent import die_with_parent
from nimriz.store.db import Database, StoreError
from nimriz.store.sqlite import Sqlite

FILE = "analytics.duckdb"
EVERY_S = 0.5
_BACKLOG = 64
_NICENESS = 5
_WAIT_AFTER_FAILURE_S = 1.0
_REST_S_MAX = 1.0

log = structlog.get_logger()


class Office:
    """One thread projects, one for each connection answers."""

    def __init__(self, options: Options) -> None:
        self._data_dir = Path(options.data_dir)
        self._options = options
        self._clock = Clock(options.clock_offset_s)
        self._records = Sqlite(self._data_dir / "records.db")
        self._logs: dict[int, Database] = {}
        # None until it is opened, and again while it cannot be used.
        self._projector: Projector | None = None
        self._store: Store | None = None
        self._damaged = False
        self._trouble = ""
        # A round that begins after a question was asked has everything in it that came before the question.
        self._rounds = threading.Condition()
        self._begun = self._done = 0
        self._wanted = threading.Event()
        self._rebuilds: list[Callable[[dict[str, Any]], None]] = []

    def _open(self, name: str) -> Store:
        return Store(self._data_dir / name, self._options.memory_mib, self._options.threads)

    def _project_into(self, store: Store) -> Projector:
        return Projector(store, self._records, self._click_logs, self._clock.now_ms)

    def _click_logs(self) -> Mapping[int, Database]:
        return sources.click_logs(self._data_dir, self._logs)

    # --- the projecting thread ---

    def project(self) -> None:
        """Copy what comes, for ever; soon after somebody asked, else every half second.

        Where every core is busy with redirects they come first, and `fresh_as_of` tells that this takes longer.
        """
        patience.lower_own()
        while True:
            try:
                store, projector = self._usable()
                if self._rebuilds:
                    projector = self._rebuild(store, projector)
                self._round(projector)
                self._say("")
                self._wanted.wait(EVERY_S)
            except Damaged as error:
                log.warning("analytics_damaged", error=str(error))
                self._projector, self._damaged = None, True
            except Unusable as error:
                self._projector = None
                self._say(error.reason)
                self._wanted.wait(_WAIT_AFTER_FAILURE_S)
            except Exception as error:
                # Whatever it was, it is tried again; `fresh_as_of` tells that it takes longer.
                said = str(error) if isinstance(error, StoreError) else type(error).__name__
                log.error("analytics_behind", error=said, at=where(error))
                self._wanted.wait(_WAIT_AFTER_FAILURE_S)

    def _usable(self) -> tuple[Store, Projector]:
        """The store and who copies into it; opened, or opened again. Raises Unusable, Damaged and StoreError."""
        if self._store is None:
            self._store = self._open(FILE)
        elif self._damaged:
            self._store.start_anew()
        elif self._projector is None:
            self._store.reopen()
        self._damaged = False
        if self._projector is None:
            self._projector = self._project_into(self._store)
        return self._store, self._projector

    def _say(self, trouble: str) -> None:
        """Log what the store waits for, once; and that it goes on."""
        if trouble == self._trouble:
            return
        with self._rounds:
            self._trouble = trouble
            self._rounds.notify_all()
        if trouble:
            log.warning("analytics_waits", reason=trouble)
        else:
            log.info("analytics_goes_on")

    def _round(self, projector: Projector) -> None:
        self._wanted.clear()
        with self._rounds:
            self._begun += 1
        projector.catch_up()
        with self._rounds:
            self._done = self._begun
            self._rounds.notify_all()

    def _rebuild(self, store: Store, current: Projector) -> Projector:
        """Make the store anew beside the one that answers meanwhile; who copies into it then."""
        told, self._rebuilds = self._rebuilds, []
        path = self._data_dir / f"{FILE}.new"
        remove(path)
        try:
            total = sum(sources.clicks_in(log_file) for log_file in self._click_logs().values())
            fresh = self._open(path.name)
            try:
                projector = self._project_into(fresh)

                begun_s = time.monotonic()

                def page_copied() -> None:
                    nonlocal begun_s
                    # The disk is the visitors' too, whose clicks are flushed to it: it is theirs half of the time.
                    time.sleep(min(time.monotonic() - begun_s, _REST_S_MAX))
                    for tell in told:
                        tell({"progress": [projector.copied, max(total, projector.copied)]})
                    # Whoever asks meanwhile is answered by the old one, and it stays up to date.
                    current.copy_pages()
                    begun_s = time.monotonic()

                projector.catch_up(page_copied)
                store.replace_with(fresh)
            finally:
                fresh.close()
        except BaseException:
            remove(path)
            for tell in told:
                tell({"failed": "it failed"})
            raise
        self._projector = self._project_into(store)
        for tell in told:
            tell({"answer": {"clicks": projector.copied}})
        return self._projector

    def wait_for_round(self, wait_s: float) -> int:
        """Have what is committed now copied, if that takes no longer than this; up to which instant everything is."""
        with self._rounds:
            wanted = self._begun + 1
            self._wanted.set()
            self._rounds.wait_for(lambda: self._done >= wanted or bool(self._trouble), wait_s)
            # What is opened again is behind until its first round is over.
            projector = None if self._trouble else self._projector
        return projector.fresh_ms if projector else 0

    # --- the answering threads ---

    def answer(self, connection: socket.socket) -> None:
        """Answer one connection, question after question."""
        with connection:
            try:
                while (request := wire.receive(connection)) is not None:
                    if request["ask"] == "rebuild":
                        self._answer_rebuild(connection)
                    elif request["ask"] == "state":
                        connection.sendall(wire.packed({"answer": {"trouble": self._trouble}}))
                    elif request["ask"] == "copy" and self._store is not None:
                        fresh_ms = self.wait_for_round(float(request["wait_s"]))
                        connection.sendall(wire.packed(copying.answer(self._store, connection, request, fresh_ms)))
                    else:
                        connection.sendall(wire.packed(self._answered(request)))
            except (OSError, ValueError):
                return

    def _answered(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            fresh_ms = self.wait_for_round(float(request["wait_s"]))
            if not fresh_ms or self._store is None:
                return {"failed": "it is being made"}
            told = self._store.read(lambda rows: answers.answer(rows, request["ask"], request["question"]))
            return {"answer": {**told, "fresh_ms": fresh_ms}}
        except Damaged as error:
            log.warning("analytics_damaged", error=str(error))
            return {"failed": "it is damaged"}
        except Unusable as error:
            # Whoever copies finds out too, and says so.
            return {"failed": error.reason}
        except Exception as error:
            # The connection goes on, and the log has what to mend.
            log.error("analytics_failed", asked=request.get("ask"), error=type(error).__name__, at=where(error))
            return {"failed": "it failed"}

    def _answer_rebuild(self, connection: socket.socket) -> None:
        done = threading.Event()

        def tell(message: dict[str, Any]) -> None:
            try:
                connection.sendall(wire.packed(message))
            except OSError:
                done.set()  # Nobody listens any more; it is made all the same.
            if "progress" not in message:
                done.set()

        self._rebuilds.append(tell)
        self._wanted.set()
        done.wait()


def run(options: Options) -> None:
    """Own the store until the parent ends."""
    os.nice(_NICENESS)
    os.umask(0o077)
    data_dir = Path(options.data_dir)
    lock = os.open(data_dir / "analytics.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    office = Office(options)
    listener = socket.socket(socket.AF_UNIX)
    with wire.socket_path(data_dir) as path:
        Path(path).unlink(missing_ok=True)
        listener.bind(path)
    listener.listen(_BACKLOG)
    threading.Thread(target=office.project, name="projector", daemon=True).start()
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=office.answer, args=(connection,), daemon=True).start()


def main() -> None:
    """What the parent starts; its options come as JSON."""
    die_with_parent()
    options = Options(**json.loads(sys.argv[1]))
    configure_logs(options.log_level)
    run(options)
