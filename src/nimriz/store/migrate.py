"""Migrations: ordered files, each applied once, atomically with its record.

A file is named `NNNN_name.sql` and, once released, never edited: its checksum is kept and compared at
every start. What the engines spell differently is written `@word` and replaced here:

    @sequence          a row number that the database gives, in insertion order
    @clustered         after a table: its rows lie in the order of its primary key
    @append_only NAME  triggers that refuse update, delete and replacement on the table NAME
    @no_update NAME    triggers that refuse update and replacement
    @no_change NAME    triggers that refuse update and delete, where an insert must cost nothing more

    @no_delete NAME unless CONDITION
                       a trigger that refuses delete, but of rows for which this is true; instead of the one before

After NAME may stand the columns of a unique key beside seq, in brackets.
"""

from __future__ import annotations

import hashlib
import re
from functools import partial
from importlib import resources

from nimriz.store.db import Database, Tx

_CREATE = """
create table if not exists migrations (
    number integer primary key,
    name text not null,
    checksum text not null,
    applied_at_ms bigint not null
)
"""
_REFUSE_UPDATE = """
create trigger {name}_no_update before update on {name}
begin select raise(abort, '{name} is append-only'); end;
"""
_REFUSE_DELETE = """
create trigger {name}_no_delete before delete on {name}
begin select raise(abort, '{name} is append-only'); end;
"""


# `insert or replace` deletes without a delete trigger on a connection that has recursive_triggers off.
_REFUSE_REPLACE = """
create trigger {name}_no_replace before insert on {name}
when exists (select 1 from {name} where seq = new.seq){or_key}
begin select raise(abort, '{name} is append-only'); end;
"""


class MigrationRefused(Exception):
    """The database and this program do not belong together."""


def files(schema: str) -> list[tuple[int, str, str]]:
    """(number, name, text) of every migration of a schema, in order."""
    found = []
    for entry in resources.files("nimriz.store").joinpath("schema", schema).iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name)
        if match:
            found.append((int(match[1]), match[2], entry.read_text("utf-8")))
    return sorted(found)


def _statements(text: str) -> list[str]:
    text = text.replace("@sequence", "integer primary key").replace("@clustered", "without rowid")
    statements = []
    for raw in re.sub(r"--[^\n]*", "", text).split(";"):
        statement = raw.strip()
        guard = re.fullmatch(r"@(append_only|no_update|no_change) (\w+)(?: \((.+)\))?", statement)
        delete = re.fullmatch(r"@no_delete (\w+) unless (.+)", statement, re.DOTALL)
        if guard:
            statements += _guards(guard[1], guard[2], guard[3])
        elif delete:
            statements += [f"drop trigger if exists {delete[1]}_no_delete", _refuse_delete(delete[1], delete[2])]
        elif statement:
            statements.append(statement)
    return statements


def _refuse_delete(name: str, allowed: str) -> str:
    return (
        f"create trigger {name}_no_delete before delete on {name} when ({allowed}) is not true "
        f"begin select raise(abort, '{name} is append-only'); end;"
    )


def _guards(word: str, name: str, key: str | None) -> list[str]:
    same_key = " and ".join(f"{column} = new.{column}" for column in key.split(", ")) if key else ""
    or_key = f" or exists (select 1 from {name} where {same_key})" if key else ""
    guards = [_REFUSE_UPDATE.format(name=name)]
    if word != "no_update":
        guards.append(_REFUSE_DELETE.format(name=name))
    if word != "no_change":
        guards.append(_REFUSE_REPLACE.format(name=name, or_key=or_key))
    return guards


def migrate(db: Database, schema: str, now_ms: int) -> int:
    """Bring `db` to the newest version of `schema`; returns how many migrations ran.

    Raises MigrationRefused when a released file was edited, or the database is newer than the program.
    """
    db.write(lambda tx: tx.run(_CREATE))
    known = files(schema)
    ran = 0
    for number, name, text in known:
        ran += db.write(partial(_apply, number=number, name=name, text=text, now_ms=now_ms))
    newest = db.read(lambda tx: tx.one("select max(number) from migrations"))
    if newest is not None and newest[0] != known[-1][0]:
        raise MigrationRefused(f"the {schema} database was written by a newer version of nimriz")
    return ran


def pending(tx: Tx, schema: str) -> int:
    """How many migrations `migrate` would run; changes nothing. Raises MigrationRefused as `migrate` does."""
    known = {number: hashlib.sha256(text.encode()).hexdigest() for number, _, text in files(schema)}
    applied = tx.all("select number, checksum from migrations order by number")
    for number, checksum in applied:
        if known.get(number) != checksum:
            raise MigrationRefused(f"the {schema} database was written by another version of nimriz ({number:04d})")
    return len(known) - len(applied)


def _apply(tx: Tx, number: int, name: str, text: str, now_ms: int) -> int:
    checksum = hashlib.sha256(text.encode()).hexdigest()
    seen = tx.one("select checksum from migrations where number = :number", {"number": number})
    if seen is not None:
        if seen[0] != checksum:
            raise MigrationRefused(f"migration {number:04d}_{name} is not the one that this database was made with")
        return 0
    for statement in _statements(text):
        tx.run(statement)
    tx.run(
        "insert into migrations (number, name, checksum, applied_at_ms) "
        "values (:number, :name, :checksum, :applied_at_ms)",
        {"number": number, "name": name, "checksum": checksum, "applied_at_ms": now_ms},
    )
    return 1
