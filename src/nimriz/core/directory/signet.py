"""The signet: the key by which an installation signs what others shall be able to check.

Ed25519 (RFC 8032). The private half is kept sealed under the master key and never leaves; the public half is for
everybody, and proves most where it was written down outside this installation.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from nimriz.core.directory.vault import Vault, VaultRefused
from nimriz.store.db import Tx

_NAME = "ledger_key_001"
_SEED_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64


class Signet:
    """Signs. `public_key` is 64 hexadecimal digits."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw().hex()

    def sign(self, statement: bytes) -> bytes:
        """The signature of a statement, 64 bytes."""
        return self._key.sign(statement)


def ensure(tx: Tx, vault: Vault) -> None:
    """Make the key with the installation."""
    if tx.one("select 1 from installation where name = :name", {"name": _NAME}) is None:
        sealed = vault.seal(os.urandom(_SEED_BYTES), _NAME.encode())
        tx.run("insert into installation (name, value) values (:name, :value)", {"name": _NAME, "value": sealed})


def load(tx: Tx, vault: Vault) -> Signet:
    """The key. Raises VaultRefused when it is not there, or was not sealed by this vault."""
    row = tx.one("select value from installation where name = :name", {"name": _NAME})
    if row is None:
        raise VaultRefused("the key that signs the ledger is missing")
    return Signet(vault.open(row[0], _NAME.encode()))


def signed(public_key: str, statement: bytes, signature: bytes) -> bool:
    """Whether the owner of `public_key` (64 hexadecimal digits) signed a statement. Raises ValueError for no key."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(signature, statement)
    except InvalidSignature:
        return False
    return True
