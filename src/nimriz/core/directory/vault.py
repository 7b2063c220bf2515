"""The vault: what is derived from the installation's master key, and what is sealed with it.

The master key lives apart from the data. A check value in the database makes us refuse a wrong key,
and a new key is never made beside existing data. Token keys are random and kept sealed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nimriz.base.tokens import Keyring
from nimriz.store.db import Tx

MASTER_KEY_BYTES = 32
_NONCE_BYTES = 12
_TOKEN_KEY_BYTES = 64


class VaultRefused(Exception):
    """The master key is missing, malformed, or not the one that this data was made with."""


class Box:
    """Seals and opens small values with one key (AES-256-GCM)."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, purpose: bytes) -> bytes:
        """Encrypt `plain`; it opens only for the same `purpose`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, purpose)

    def open(self, sealed: bytes, purpose: bytes) -> bytes:
        """Decrypt what `seal` made; raises VaultRefused when it was changed, or made with another key."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose)
        except (InvalidTag, ValueError) as error:
            raise VaultRefused("a sealed value does not open with this key") from error


class PersonKey(Box):
    """Seals what is readable about one person, and commits to it."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self._key = key

    def commitment(self, external_id: str, metadata: bytes) -> bytes:
        """A salted commitment for the ledger: proves the readable values, says nothing without the key."""
        message = len(external_id.encode()).to_bytes(4, "big") + external_id.encode() + metadata
        return hashlib.blake2b(message, key=self._key, digest_size=32, person=b"nimriz-commit").digest()


class Vault(Box):
    """What the master key protects: the box of the installation, and one key per purpose and per person."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != MASTER_KEY_BYTES:
            raise VaultRefused("the master key must have 32 bytes, in base64")
        super().__init__(_derive(master_key, b"seal"))
        self._person_root = _derive(master_key, b"person")
        self._lookup_root = _derive(master_key, b"lookup")
        self._key_root = _derive(master_key, b"api-key")
        self._unlock_root = _derive(master_key, b"unlock")
        self._assignment_root = _derive(master_key, b"assignment")
        self._digest_root = _derive(master_key, b"digest")
        self.check_value = _derive(master_key, b"check")

    def person(self, salt: bytes) -> PersonKey:
        """The key of one person. It is gone for ever when the salt is destroyed."""
        return PersonKey(hashlib.blake2b(salt, key=self._person_root, digest_size=32).digest())

    def lookup(self, workspace_id: str, external_id: str) -> bytes:
        """The keyed look-up hash of an external id: equal ids of one workspace, equal hashes."""
        message = f"{workspace_id}\0{external_id}".encode()
        return hashlib.blake2b(message, key=self._lookup_root, digest_size=32).digest()

    def api_key_digest(self, api_key: str) -> bytes:
        """What is kept of an API key. It is random, so a fast keyed hash is enough."""
        return hashlib.blake2b(api_key.encode("utf-8", "replace"), key=self._key_root, digest_size=32).digest()

    def digest(self, purpose: bytes, text: str) -> bytes:
        """What is kept of something random that is shown once; `purpose` has at most 16 bytes."""
        message = text.encode("utf-8", "replace")
        return hashlib.blake2b(message, key=self._digest_root, digest_size=32, person=purpose).digest()

    def unlock_proof(self, link_id: str, password_hash: str, expires_s: int) -> bytes:
        """What proves that somebody knew the password of a link, until an instant; with another hash it is another."""
        message = f"{link_id}\0{password_hash}\0{expires_s}".encode()
        return hmac.digest(self._unlock_root, message, "sha256")

    def assignment_proof(self, link_id: str, numbers: bytes) -> bytes:
        """What proves that we gave these decision numbers of a link, in a cookie."""
        return hmac.digest(self._assignment_root, f"{link_id}\0".encode() + numbers, "sha256")


def _derive(master_key: bytes, purpose: bytes) -> bytes:
    # HKDF-Expand (RFC 5869) with one block; the master key is already uniform.
    return hmac.digest(master_key, b"nimriz/" + purpose + b"\x01", "sha256")


def load_master_key(text: str, path: Path, *, data_exists: bool) -> bytes:
    """The master key from the setting `text` (base64) or else from the file at `path`.

    Makes the file, readable by its owner alone, for a new installation only. Raises VaultRefused.
    """
    if not text and not path.exists():
        if data_exists:
            raise VaultRefused(
                f"the master key is missing: {path} is not there and NIMRIZ_MASTER_KEY is not set, "
                "but this data was made with one"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        key = base64.b64encode(os.urandom(MASTER_KEY_BYTES))
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key + b"\n")
            file.flush()
            os.fsync(file.fileno())
    try:
        return base64.b64decode(text or path.read_text("ascii").strip(), validate=True)
    except (ValueError, OSError) as error:
        raise VaultRefused("the master key cannot be read: 32 bytes in base64 are expected") from error


def check_master_key(tx: Tx, vault: Vault) -> None:
    """Remember the key's check value in a new database; refuse another key on an old one."""
    row = tx.one("select value from installation where name = 'master_key_check'")
    if row is None:
        tx.run(
            "insert into installation (name, value) values ('master_key_check', :value)", {"value": vault.check_value}
        )
    elif not hmac.compare_digest(_bytes(row[0]), vault.check_value):
        raise VaultRefused("the master key is not the one that this data was made with")


def load_keyring(tx: Tx, vault: Vault) -> Keyring:
    """The keys of click tokens; the first one is made with the installation."""
    rows = tx.all("select name, value from installation where name like 'token_key_%' order by name")
    if not rows:
        sealed = vault.seal(os.urandom(_TOKEN_KEY_BYTES), b"token_key_001")
        tx.run("insert into installation (name, value) values ('token_key_001', :value)", {"value": sealed})
        rows = [("token_key_001", sealed)]
    keys = {int(str(name)[-3:]): vault.open(_bytes(value), str(name).encode()) for name, value in rows}
    return Keyring(keys, max(keys))


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise VaultRefused("a sealed value is not bytes")
    return value
