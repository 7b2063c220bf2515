"""Persons: what can be read about somebody, apart from the ledger and erasable.

Owns the tables persons and metadata. The ledger row holds a random person id; the caller's external id
and the event's metadata lie here, sealed under a key that exists only while `key_salt` does. An event
with metadata and no external id has a person of its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from nimriz.base.ids import new_id
from nimriz.core.mode import Mode, by_mode
from nimriz.core.vault import PersonKey, Vault
from nimriz.store.db import Tx

_KEY_SALT_BYTES = 16
_EXTERNAL_ID = b"external_id"
_METADATA = b"metadata"

_LOOK_UP = by_mode("select person_id, key_salt from @persons where workspace_id = :workspace_id and lookup = :lookup")
_ADD = by_mode(
    "insert into @persons (person_id, workspace_id, lookup, key_salt, external_id_sealed, created_at_ms) "
    "values (:person_id, :workspace_id, :lookup, :key_salt, :external_id_sealed, :created_at_ms)"
)
_READ = by_mode("select key_salt, external_id_sealed from @persons where person_id = :person_id")
_ADD_METADATA = by_mode(
    "insert into @metadata (workspace_id, event_id, person_id, sealed) "
    "values (:workspace_id, :event_id, :person_id, :sealed)"
)
_READ_METADATA = by_mode("select sealed from @metadata where workspace_id = :workspace_id and event_id = :event_id")


@dataclass(frozen=True, slots=True)
class Person:
    """One person, as the ledger knows them: a random id, and the key to what can be read."""

    person_id: str
    key: PersonKey
    known: bool


@dataclass(frozen=True, slots=True)
class Readable:
    """What can be read about one event; erased fields are None."""

    external_id: str | None
    metadata: bytes | None


NOTHING = Readable(None, None)


def find_id(tx: Tx, mode: Mode, vault: Vault, workspace_id: str, external_id: str) -> str | None:
    """The person id that an external id stands for today."""
    lookup = vault.lookup(workspace_id, external_id)
    row = tx.one(_LOOK_UP[mode], {"workspace_id": workspace_id, "lookup": lookup})
    return None if row is None else str(row[0])


def find_or_add(tx: Tx, mode: Mode, vault: Vault, workspace_id: str, external_id: str | None, now_ms: int) -> Person:
    """The person of an external id, made now if new; without one, a new person for this event alone."""
    lookup = None
    if external_id is not None:
        lookup = vault.lookup(workspace_id, external_id)
        row = tx.one(_LOOK_UP[mode], {"workspace_id": workspace_id, "lookup": lookup})
        if row is not None:
            return Person(str(row[0]), vault.person(bytes(row[1])), known=True)
    salt = os.urandom(_KEY_SALT_BYTES)
    person = Person(new_id(now_ms), vault.person(salt), known=False)
    sealed = b"" if external_id is None else person.key.seal(external_id.encode(), _EXTERNAL_ID)
    tx.run(
        _ADD[mode],
        {
            "person_id": person.person_id,
            "workspace_id": workspace_id,
            "lookup": lookup,
            "key_salt": salt,
            "external_id_sealed": sealed,
            "created_at_ms": now_ms,
        },
    )
    return person


def add_metadata(tx: Tx, mode: Mode, person: Person, workspace_id: str, event_id: str, metadata: bytes) -> None:
    """Keep an event's metadata, sealed under its person's key."""
    tx.run(
        _ADD_METADATA[mode],
        {
            "workspace_id": workspace_id,
            "event_id": event_id,
            "person_id": person.person_id,
            "sealed": person.key.seal(metadata, _METADATA),
        },
    )


def read(tx: Tx, mode: Mode, vault: Vault, workspace_id: str, event_id: str, person_id: str) -> Readable:
    """What can be read about an event; nothing, when its person was erased."""
    if not person_id:
        return NOTHING
    row = tx.one(_READ[mode], {"person_id": person_id})
    if row is None:
        return NOTHING
    key = vault.person(bytes(row[0]))
    sealed_id = bytes(row[1])
    external_id = key.open(sealed_id, _EXTERNAL_ID).decode() if sealed_id else None
    row = tx.one(_READ_METADATA[mode], {"workspace_id": workspace_id, "event_id": event_id})
    metadata = None if row is None else key.open(bytes(row[0]), _METADATA)
    return Readable(external_id, metadata)
