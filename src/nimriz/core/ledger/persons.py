"""Persons: what can be read about somebody, apart from the ledger and erasable.

Owns the tables persons and metadata. The ledger row holds a random person id; the caller's external id
and the event's metadata lie here, sealed under a key that exists only while `key_salt` does. An event
with metadata and no external id has a person of its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nimriz.base.ids import new_id
from nimriz.core.directory.mode import Mode, by_mode
from nimriz.core.directory.vault import PersonKey, Vault, VaultRefused
from nimriz.core.ledger.claim import Claim
from nimriz.store.db import Params, StoreError, Tx

_KEY_SALT_BYTES = 16
_EXTERNAL_ID = b"external_id"
_METADATA = b"metadata"

_LOOK_UP = by_mode("select lookup, person_id, key_salt from @persons where lookup in (:keys) and lookup is not null")
_ADD = by_mode(
    "insert into @persons (person_id, workspace_id, lookup, key_salt, external_id_sealed, created_at_ms) "
    "values (:person_id, :workspace_id, :lookup, :key_salt, :external_id_sealed, :created_at_ms)"
)
_OF_EVENT = by_mode(
    "select p.person_id from @metadata as m join @persons as p on p.person_id = m.person_id "
    "where m.workspace_id = :workspace_id and m.event_id = :event_id and p.lookup is null"
)
_READ = by_mode("select key_salt, external_id_sealed from @persons where person_id = :person_id")
_ADD_METADATA = by_mode(
    "insert into @metadata (workspace_id, event_id, person_id, sealed) "
    "values (:workspace_id, :event_id, :person_id, :sealed)"
)
_FORGET = by_mode(
    "delete from @persons where workspace_id = :workspace_id and person_id in (:keys) "
    "returning lookup, key_salt, external_id_sealed"
)
_FORGET_METADATA = by_mode(
    "delete from @metadata where workspace_id = :workspace_id and person_id in (:keys) returning event_id"
)
_READ_METADATA = by_mode("select sealed from @metadata where workspace_id = :workspace_id and event_id = :event_id")


@dataclass(frozen=True, slots=True)
class Person:
    """One person, as the ledger knows them: a random id, and the key to what can be read.

    `known` says that the ledger held outcomes of this person before this batch.
    """

    person_id: str
    key: PersonKey
    known: bool


class Forgotten(NamedTuple):
    """How many persons and pieces of metadata are no longer in the tables, and the bytes that must be in no file."""

    persons: int
    metadata: int
    remains: tuple[bytes, ...]


class Readable(NamedTuple):
    """What can be read about one event; erased fields are None."""

    external_id: str | None
    metadata: bytes | None


NOTHING = Readable(None, None)


def find_id(tx: Tx, mode: Mode, vault: Vault, workspace_id: str, external_id: str) -> str | None:
    """The person id that an external id stands for today."""
    lookup = vault.lookup(workspace_id, external_id)
    rows = tx.each(_LOOK_UP[mode], [lookup])
    return str(rows[0][1]) if rows else None


def find_id_of_event(tx: Tx, mode: Mode, workspace_id: str, event_id: str) -> str | None:
    """The person id of an event that came with metadata and without an external id: it is nobody else's."""
    row = tx.one(_OF_EVENT[mode], {"workspace_id": workspace_id, "event_id": event_id})
    return None if row is None else str(row[0])


def of_claims(
    tx: Tx, mode: Mode, vault: Vault, workspace_id: str, claims: Sequence[Claim], now_ms: int
) -> dict[str, Person]:
    """The person of each claim that has one, by event id; new ones are made, and metadata is kept."""
    lookups = {c.external_id: vault.lookup(workspace_id, c.external_id) for c in claims if c.external_id is not None}
    known: dict[bytes, Person] = {}
    if lookups:
        for lookup, person_id, salt in tx.each(_LOOK_UP[mode], list(lookups.values())):
            known[lookup] = Person(person_id, vault.person(salt), known=True)
    made: list[tuple[str, str, bytes | None, bytes, bytes, int]] = []
    kept: list[tuple[str, str, str, bytes]] = []
    found: dict[str, Person] = {}
    for claim in claims:
        if claim.external_id is None and claim.metadata is None:
            continue
        lookup = None if claim.external_id is None else lookups[claim.external_id]
        person = None if lookup is None else known.get(lookup)
        if person is None:
            salt = os.urandom(_KEY_SALT_BYTES)
            person = Person(new_id(now_ms), vault.person(salt), known=False)
            sealed = b""
            if lookup is not None and claim.external_id is not None:
                known[lookup] = person
                sealed = person.key.seal(claim.external_id.encode(), _EXTERNAL_ID)
            made.append((person.person_id, workspace_id, lookup, salt, sealed, now_ms))
        if claim.metadata is not None:
            sealed = person.key.seal(claim.metadata, _METADATA)
            kept.append((workspace_id, claim.event_id, person.person_id, sealed))
        found[claim.event_id] = person
    tx.many(_ADD[mode], made)
    tx.many(_ADD_METADATA[mode], kept)
    return found


def read(tx: Tx, mode: Mode, vault: Vault, workspace_id: str, event_id: str, person_id: str) -> Readable:
    """What can be read about an event; nothing, when its person was erased. Raises StoreError."""
    if not person_id:
        return NOTHING
    person = tx.one(_READ[mode], {"person_id": person_id})
    if person is None:
        return NOTHING
    key_salt, sealed_id = person
    kept = tx.one(_READ_METADATA[mode], {"workspace_id": workspace_id, "event_id": event_id})
    key = vault.person(key_salt)
    try:
        external_id = key.open(sealed_id, _EXTERNAL_ID).decode() if sealed_id else None
        return Readable(external_id, None if kept is None else key.open(kept[0], _METADATA))
    except VaultRefused as refused:
        raise StoreError("a person's values cannot be opened") from refused


def forget(tx: Tx, mode: Mode, workspace_id: str, person_ids: Sequence[str]) -> Forgotten:
    """Delete the look-up hash, the key and what it seals of these persons, as far as they are there."""
    params: Params = {"workspace_id": workspace_id}
    metadata = tx.each(_FORGET_METADATA[mode], person_ids, params)
    gone = tx.each(_FORGET[mode], person_ids, params)
    return Forgotten(len(gone), len(metadata), tuple(bytes(part) for row in gone for part in row if part))
