"""The outbox: events on disk until the service has said what became of them.

Owns one SQLite file, made for its owner alone. Promises that an event is on disk when `put` returns, that it leaves the
file only once it was recorded (or its owner forgets it), and that the file never grows past its bound. Processes and
threads may share one file: each call opens it anew, so nothing is carried over a fork.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from nimriz.client.answers import OutboxFull, Recorded, Refused
from nimriz.client.delivery import BATCH_EVENTS_MAX, Verdict, in_bounds
from nimriz.client.events import encode, event_id_of

_VERSION = 1
_PAGE_BYTES = 4_096
_BYTES_MIN = 16 * _PAGE_BYTES
_BUSY_S = 30.0
# A rollback journal and not a write-ahead log: nothing has to be brought home, and the SQLite of any Python will do.
_SCHEMA = """
create table if not exists events (
    number integer primary key,
    event_id text not null unique,
    body blob not null,
    put_at_ms integer not null,
    attempts integer not null default 0,
    refused_status integer,
    refused_code text,
    refused_why text
) strict;
create index if not exists events_waiting on events (attempts, number) where refused_code is null;
"""


class Waiting(NamedTuple):
    """An event that is to be sent."""

    number: int
    body: bytes


class Kept(NamedTuple):
    """An event that was refused for good, and why."""

    event_id: str
    body: bytes
    status: int
    code: str
    why: str


class Outbox:
    """Events that wait for their delivery, in the file at `path`, which holds at most `bytes_max` bytes."""

    def __init__(self, path: str | os.PathLike[str], *, bytes_max: int = 256 * 1024 * 1024) -> None:
        if bytes_max < _BYTES_MIN:
            raise ValueError(f"an outbox has {_BYTES_MIN} bytes at least")
        self.path = Path(path).absolute()
        self._bytes_max = bytes_max
        # Tokens and ids of customers: for the owner's eyes only, and so is the journal that SQLite makes beside it.
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        with self._writing() as db:
            (version,) = db.execute("pragma user_version").fetchone()
            if version not in (0, _VERSION):
                raise ValueError("this outbox was made by a newer version")
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"pragma user_version = {_VERSION}")

    def put(self, event: Mapping[str, Any]) -> bool:
        """Keep an event; on disk when this returns. False: its id is waiting already, and the first one stays.

        Without an `event_time` it gets this moment, since it may be sent much later. An event of this id that was
        refused is replaced. Raises ValueError for what no server would take, and OutboxFull.
        """
        now = datetime.now(UTC)
        if event.get("event_time") is None:
            event = {**event, "event_time": now.isoformat(timespec="milliseconds")}
        row = (event_id_of(event), encode(event), int(now.timestamp() * 1_000))
        try:
            with self._writing() as db:
                added = db.execute(
                    """
                    insert into events (event_id, body, put_at_ms) values (?, ?, ?)
                    on conflict (event_id) do update set body = excluded.body, put_at_ms = excluded.put_at_ms,
                        attempts = 0, refused_status = null, refused_code = null, refused_why = null
                    where refused_code is not null
                    """,
                    row,
                )
                return added.rowcount == 1
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise OutboxFull from None
            raise

    async def put_async(self, event: Mapping[str, Any]) -> bool:
        """The same, without holding up the event loop while the disk is written."""
        return await asyncio.to_thread(self.put, event)

    def waiting(self) -> int:
        """How many events are to be sent."""
        with closing(self._open()) as db:
            (count,) = db.execute("select count(*) from events where refused_code is null").fetchone()
            return int(count)

    def page(self) -> list[Waiting]:
        """The next batch: what has been tried least, the oldest first."""
        with closing(self._open()) as db:
            rows = db.execute(
                "select number, body from events where refused_code is null order by attempts, number limit ?",
                (BATCH_EVENTS_MAX,),
            )
            waiting = [Waiting(number, bytes(body)) for number, body in rows]
        part = next(in_bounds(range(len(waiting)), [len(event.body) for event in waiting]), [])
        return [waiting[place] for place in part]

    def settle(self, page: Sequence[Waiting], verdicts: Sequence[Verdict]) -> None:
        """What was recorded leaves; what was refused is set aside; all else has been tried once more."""
        with self._writing() as db:
            for event, verdict in zip(page, verdicts, strict=True):
                # The body as well: whoever put a mended event under this id meanwhile has put another one.
                named = {"number": event.number, "body": event.body}
                if isinstance(verdict, Recorded):
                    db.execute("delete from events where number = :number and body = :body", named)
                elif isinstance(verdict, Refused):
                    db.execute(
                        """
                        update events set refused_status = :status, refused_code = :code, refused_why = :why
                        where number = :number and body = :body
                        """,
                        {**named, "status": verdict.status, "code": verdict.code, "why": str(verdict)},
                    )
                else:
                    db.execute("update events set attempts = attempts + 1 where number = :number", named)

    def refused(self) -> list[Kept]:
        """What was refused for good, the oldest first: mend it and `put` it again, `retry` it, or `forget` it."""
        with closing(self._open()) as db:
            rows = db.execute(
                """
                select event_id, body, refused_status, refused_code, refused_why from events
                where refused_code is not null order by number
                """
            )
            return [Kept(*row) for row in rows]

    def retry(self, event_id: str) -> bool:
        """Let a refused event be sent again as it is. False: there is none of this id."""
        with self._writing() as db:
            again = db.execute(
                """
                update events set attempts = 0, refused_status = null, refused_code = null, refused_why = null
                where event_id = ? and refused_code is not null
                """,
                (event_id,),
            )
            return again.rowcount == 1

    def forget(self, event_id: str) -> bool:
        """Throw a refused event away. False: there is none of this id."""
        with self._writing() as db:
            gone = db.execute("delete from events where event_id = ? and refused_code is not null", (event_id,))
            return gone.rowcount == 1

    def take_turn(self) -> int | None:
        """The right to send, which one sender at a time has; None while another has it. Ended by `end_turn`, or by
        the end of the process, however it comes.
        """
        turn = os.open(f"{self.path}-turn", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(turn)
            return None
        return turn

    def end_turn(self, turn: int) -> None:
        """Let others send."""
        os.close(turn)

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
        db.execute(f"pragma page_size = {_PAGE_BYTES}")
        db.execute(f"pragma max_page_count = {self._bytes_max // _PAGE_BYTES}")
        # Extra: the folder is flushed too, so that a commit is not undone when the power fails.
        db.execute("pragma synchronous = extra")
        # What has been delivered is overwritten: it tells of customers.
        db.execute("pragma secure_delete = on")
        return db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with closing(self._open()) as db:
            db.execute("begin immediate")
            try:
                yield db
                db.execute("commit")
            except BaseException:
                if db.in_transaction:
                    db.execute("rollback")
                raise
