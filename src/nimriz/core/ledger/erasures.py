"""Erasures: a person is forgotten, and a certificate says that it was done and nothing of whom.

Owns the tables erasures and erased_persons. The rows are committed first; then every copy of the bytes is hunted down,
and only when there is none left the certificate is signed. What is interrupted is finished in the background. The
ledger does not change, and the same external id later is a new person.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from nimriz.base.clock import to_rfc3339
from nimriz.base.errors import Refused
from nimriz.base.ids import new_id
from nimriz.core.directory.mode import MODES, Mode
from nimriz.core.directory.signet import Signet
from nimriz.core.directory.vault import Vault
from nimriz.core.exports import exports
from nimriz.core.ledger import docket, persons
from nimriz.store.db import Params, Purgeable, Row, Tx

WAIT_S = 10.0
# Whoever began has had more than the time that it takes.
ABANDONED_MS = 60_000
_FindId = Callable[[Tx, Mode], str | None]
_TABLES = ("persons", "metadata", "test_persons", "test_metadata")
_PLAIN = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class Erasure(NamedTuple):
    """One erasure. `counts` is JSON; `statement` and `signature` are the certificate, empty until it is finished."""

    erasure_id: str
    workspace_id: str
    asked_at_ms: int
    counts: str
    finished_at_ms: int | None
    statement: str
    signature: bytes

    @property
    def destroyed(self) -> dict[str, int]:
        """How much was destroyed, by what it was."""
        counts: dict[str, int] = json.loads(self.counts)
        return counts


class _Repeated(NamedTuple):
    begun: bool
    remains: tuple[bytes, ...]


class _Begun(NamedTuple):
    erasure: Erasure
    remains: tuple[bytes, ...]


_COLUMNS = ", ".join(Erasure._fields)
_ADD = f"insert into erasures ({_COLUMNS}) values ({', '.join(':' + f for f in Erasure._fields)})"
_ADD_PERSON = (
    "insert into erased_persons (person_id, workspace_id, erasure_id) values (:person_id, :workspace_id, :erasure_id) "
    "on conflict (person_id) do nothing"
)
_FINISH = (
    "update erasures set finished_at_ms = :finished_at_ms, statement = :statement, signature = :signature "
    f"where erasure_id = :erasure_id and finished_at_ms is null returning {_COLUMNS}"
)


class Eraser(NamedTuple):
    """What erasing needs. `journal` is the file beside the data that a restored backup is made to forget by.

    `exports` is the folder of the files that were made for workspaces.
    """

    records: Purgeable
    vault: Vault
    signet: Signet
    journal: Path
    exports: Path

    def erase(self, workspace_id: str, external_id: str, now_ms: int, wait_s: float = WAIT_S) -> Erasure:
        """Forget whoever this external id stands for, in the live and in the test ledger.

        Not finished (`finished_at_ms` is None) when a long reading kept the last copy alive; the background goes on.
        Raises Refused(person_not_found) and StoreError.
        """

        def find_id(tx: Tx, mode: Mode) -> str | None:
            return persons.find_id(tx, mode, self.vault, workspace_id, external_id)

        return self._erase(workspace_id, find_id, now_ms, wait_s)

    def erase_event(self, workspace_id: str, event_id: str, now_ms: int, wait_s: float = WAIT_S) -> Erasure:
        """Forget what came with an event that had no external id, as `erase` does.

        An event that had one shares its key with others: Refused(person_not_found), as if it were not there.
        """

        def find_id(tx: Tx, mode: Mode) -> str | None:
            return persons.find_id_of_event(tx, mode, workspace_id, event_id)

        return self._erase(workspace_id, find_id, now_ms, wait_s)

    def _erase(self, workspace_id: str, find_id: _FindId, now_ms: int, wait_s: float) -> Erasure:
        begun = self.records.write(partial(_begin, workspace_id=workspace_id, find_id=find_id, now_ms=now_ms))
        return self._finish(begun.erasure, begun.remains, now_ms, wait_s)

    def finish_abandoned(self, now_ms: int, wait_s: float = WAIT_S) -> int:
        """Finish what was interrupted; how many could be. Raises StoreError and OSError."""
        waiting = self.records.read(partial(_unfinished, before_ms=now_ms - ABANDONED_MS))
        # What the bytes were is not known any more: all is written anew.
        finished = [self._finish(erasure, None, now_ms, wait_s) for erasure in waiting]
        return sum(erasure.finished_at_ms is not None for erasure in finished)

    def repeat(self, wait_s: float = WAIT_S) -> int:
        """Erase again what the journal says and this database does not know of: it was restored from a backup.

        Returns how many erasures were. Raises StoreError and OSError.
        """
        done = [self.records.write(partial(_repeat, erasure=e, person_ids=p)) for e, p in _read_journal(self.journal)]
        again = [repeated for repeated in done if repeated is not None]
        if again:
            exports.remove_forgotten(self.records, self.exports)
            remains = [part for repeated in again for part in repeated.remains]
            # What was half done in the backup may have left bytes that nobody can name.
            self.records.purge(None if any(r.begun for r in again) else remains, _TABLES, wait_s)
        return len(again)

    def _finish(self, erasure: Erasure, remains: Sequence[bytes] | None, now_ms: int, wait_s: float) -> Erasure:
        exports.remove_forgotten(self.records, self.exports)
        if not self.records.purge(remains, _TABLES, wait_s):
            return erasure
        person_ids = self.records.read(partial(_persons_of, erasure_id=erasure.erasure_id))
        statement = _statement(erasure, now_ms)
        signed = erasure._replace(
            finished_at_ms=now_ms, statement=statement, signature=self.signet.sign(statement.encode())
        )
        _note(self.journal, signed, person_ids)
        return self.records.write(partial(_mark_finished, erasure=signed))


def find(tx: Tx, workspace_id: str, erasure_id: str) -> Erasure:
    """An erasure. Raises Refused(erasure_not_found)."""
    row = tx.one(
        f"select {_COLUMNS} from erasures where workspace_id = :workspace_id and erasure_id = :erasure_id",
        {"workspace_id": workspace_id, "erasure_id": erasure_id},
    )
    if row is None:
        raise Refused("erasure_not_found")
    return Erasure._make(row)


def page(tx: Tx, workspace_id: str, before_id: str, limit: int) -> list[Erasure]:
    """At most `limit` erasures of a workspace, the newest first; '' begins with the newest."""
    rows = tx.all(
        f"select {_COLUMNS} from erasures where workspace_id = :workspace_id "
        "and (:before_id = '' or erasure_id < :before_id) order by erasure_id desc limit :limit_count",
        {"workspace_id": workspace_id, "before_id": before_id, "limit_count": limit},
    )
    return [Erasure._make(row) for row in rows]


def _begin(tx: Tx, workspace_id: str, find_id: _FindId, now_ms: int) -> _Begun:
    found = {mode: find_id(tx, mode) for mode in MODES}
    if not any(found.values()):
        raise Refused("person_not_found")
    erasure_id, counts, remains = new_id(now_ms), dict[str, int](), list[bytes]()
    for mode, person_id in found.items():
        known = [person_id] if person_id else []
        gone = persons.forget(tx, mode, workspace_id, known)
        docket.drop_persons(tx, mode, workspace_id, known)
        counts |= {f"{mode}_persons": gone.persons, f"{mode}_metadata": gone.metadata}
        remains += gone.remains
        tx.many(_ADD_PERSON, [(person_id, workspace_id, erasure_id) for person_id in known])
    exports.forget_readable(tx, workspace_id)
    erasure = Erasure(erasure_id, workspace_id, now_ms, _PLAIN(counts), None, "", b"")
    tx.run(_ADD, erasure._asdict())
    return _Begun(erasure, tuple(remains))


def _statement(erasure: Erasure, now_ms: int) -> str:
    """The bytes that are signed: compact JSON, its members in this order, in ASCII."""
    return _PLAIN(
        {
            "nimriz_erasure": 1,
            "erasure_id": erasure.erasure_id,
            "workspace_id": erasure.workspace_id,
            "asked_at": to_rfc3339(erasure.asked_at_ms),
            "finished_at": to_rfc3339(now_ms),
            "destroyed": erasure.destroyed,
        }
    )


def _mark_finished(tx: Tx, erasure: Erasure) -> Erasure:
    params: Params = {
        "erasure_id": erasure.erasure_id,
        "finished_at_ms": erasure.finished_at_ms,
        "statement": erasure.statement,
        "signature": erasure.signature,
    }
    # Somebody else may have been faster; then theirs stands.
    return erasure if tx.one(_FINISH, params) else find(tx, erasure.workspace_id, erasure.erasure_id)


def _unfinished(tx: Tx, before_ms: int) -> list[Erasure]:
    rows = tx.all(
        f"select {_COLUMNS} from erasures where finished_at_ms is null and asked_at_ms < :before_ms "
        "order by asked_at_ms limit 100",
        {"before_ms": before_ms},
    )
    return [Erasure._make(row) for row in rows]


def _persons_of(tx: Tx, erasure_id: str) -> list[str]:
    rows: list[Row] = tx.all(
        "select person_id from erased_persons where erasure_id = :erasure_id order by person_id",
        {"erasure_id": erasure_id},
    )
    return [str(row[0]) for row in rows]


# --- the journal ----------------------------------------------------------------------------------------


def _note(journal: Path, erasure: Erasure, person_ids: Sequence[str]) -> None:
    """Add a line to the journal: the certificate, and the random ids that it is about."""
    handle = os.open(journal, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        # A line that a kill has torn is ended first.
        torn = (size := os.fstat(handle).st_size) and os.pread(handle, 1, size - 1) != b"\n"
        os.write(handle, (b"\n" if torn else b"") + _line(erasure, person_ids))
        os.fsync(handle)
    finally:
        os.close(handle)


def _line(erasure: Erasure, person_ids: Sequence[str]) -> bytes:
    told = {
        "statement": erasure.statement,
        "signature": erasure.signature.hex(),
        "asked_at_ms": erasure.asked_at_ms,
        "finished_at_ms": erasure.finished_at_ms,
        "persons": list(person_ids),
    }
    return _PLAIN(told).encode() + b"\n"


def _read_journal(journal: Path) -> Iterator[tuple[Erasure, list[str]]]:
    if not journal.exists():
        return
    with journal.open(encoding="ascii") as lines:
        for line in lines:
            try:
                told = json.loads(line)
                said = json.loads(told["statement"])
            except (ValueError, KeyError, TypeError):
                continue  # Torn by a kill; the same erasure follows again.
            yield (
                Erasure(
                    said["erasure_id"], said["workspace_id"], told["asked_at_ms"], _PLAIN(said["destroyed"]),
                    told["finished_at_ms"], told["statement"], bytes.fromhex(told["signature"]),
                ),
                told["persons"],
            )  # fmt: skip


def _repeat(tx: Tx, erasure: Erasure, person_ids: Sequence[str]) -> _Repeated | None:
    """Forget these persons again; None when the database knows that it was done."""
    known: Params = {"erasure_id": erasure.erasure_id}
    begun = tx.one("select finished_at_ms from erasures where erasure_id = :erasure_id", known)
    if begun is not None and begun[0] is not None:
        return None
    remains: list[bytes] = []
    for mode in MODES:
        remains += persons.forget(tx, mode, erasure.workspace_id, person_ids).remains
        docket.drop_persons(tx, mode, erasure.workspace_id, person_ids)
    exports.forget_readable(tx, erasure.workspace_id)
    tx.run("delete from erasures where erasure_id = :erasure_id", known)
    tx.run(_ADD, erasure._asdict())
    tx.many(_ADD_PERSON, [(p, erasure.workspace_id, erasure.erasure_id) for p in person_ids])
    return _Repeated(begun is not None, tuple(remains))


def merge(journals: Iterable[Path], into: Path) -> int:
    """Write one journal that says what all of these say; how many erasures it tells of. Raises OSError,
    and ValueError for what is none."""
    told: dict[str, bytes] = {}
    for journal in journals:
        for erasure, person_ids in _read_journal(journal):
            told.setdefault(erasure.erasure_id, _line(erasure, person_ids))
    with into.open("wb") as file:
        file.write(b"".join(told.values()))
        file.flush()
        os.fsync(file.fileno())
    return len(told)


def unfinished(tx: Tx) -> bool:
    """Whether an erasure is under way: what it destroys may still be in the files."""
    return tx.one("select 1 from erasures where finished_at_ms is null limit 1") is not None
