"""The vault: what is sealed opens only here, and a wrong or lost master key is refused with a sentence."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from nimriz.core.directory.vault import Vault, VaultRefused, check_master_key, load_keyring, load_master_key
from tests.laws.ledger import opened

VAULT = Vault(b"a" * 32)
OTHER = Vault(b"b" * 32)


def test_a_sealed_value_opens_for_its_purpose_alone() -> None:
    sealed = VAULT.seal(b"secret", b"purpose")
    assert VAULT.open(sealed, b"purpose") == b"secret"
    assert b"secret" not in sealed
    for vault, purpose in ((VAULT, b"other"), (OTHER, b"purpose")):
        with pytest.raises(VaultRefused):
            vault.open(sealed, purpose)


def test_a_changed_or_cut_value_does_not_open() -> None:
    sealed = VAULT.seal(b"secret", b"purpose")
    for broken in (b"", sealed[:-1], sealed[:11], sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(VaultRefused):
            VAULT.open(broken, b"purpose")


def test_one_value_sealed_twice_looks_different() -> None:
    assert VAULT.seal(b"secret", b"p") != VAULT.seal(b"secret", b"p")


def test_the_look_up_of_an_id_differs_by_workspace_and_by_key() -> None:
    assert VAULT.lookup("w", "ann") == VAULT.lookup("w", "ann")
    others = {VAULT.lookup("v", "ann"), VAULT.lookup("w", "Ann"), OTHER.lookup("w", "ann")}
    assert len(others | {VAULT.lookup("w", "ann")}) == 4


def test_a_person_opens_with_their_own_salt_alone() -> None:
    sealed = VAULT.person(b"salt" * 4).seal(b"ann", b"external_id")
    assert VAULT.person(b"salt" * 4).open(sealed, b"external_id") == b"ann"
    with pytest.raises(VaultRefused):
        VAULT.person(b"tlas" * 4).open(sealed, b"external_id")


def test_a_commitment_tells_where_the_id_ends_and_the_metadata_begins() -> None:
    key = VAULT.person(b"salt" * 4)
    assert key.commitment("ab", b"c") != key.commitment("a", b"bc")
    assert key.commitment("a", b"b") == key.commitment("a", b"b")


def test_a_new_installation_gets_a_key_that_its_owner_alone_can_read(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master"
    key = load_master_key("", path, data_exists=False)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_master_key("", path, data_exists=True) == key


def test_no_key_is_made_beside_existing_data(tmp_path: Path) -> None:
    with pytest.raises(VaultRefused, match="missing"):
        load_master_key("", tmp_path / "master", data_exists=True)
    assert list(tmp_path.iterdir()) == []


def test_a_key_from_the_setting_leaves_no_file(tmp_path: Path) -> None:
    text = base64.b64encode(b"c" * 32).decode()
    assert load_master_key(text, tmp_path / "master", data_exists=True) == b"c" * 32
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["not base64!", "é"])
def test_a_key_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(VaultRefused):
        load_master_key(text, tmp_path / "master", data_exists=False)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(VaultRefused):
        Vault(b"short")


def test_another_master_key_is_refused_on_existing_data() -> None:
    with opened() as ledger:
        ledger.database.write(lambda tx: check_master_key(tx, VAULT))
        ledger.database.write(lambda tx: check_master_key(tx, VAULT))
        with pytest.raises(VaultRefused, match="not the one"):
            ledger.database.write(lambda tx: check_master_key(tx, OTHER))


def test_the_token_keys_are_made_once_and_kept_sealed() -> None:
    with opened() as ledger:
        first = ledger.database.write(lambda tx: load_keyring(tx, VAULT))
        again = ledger.database.write(lambda tx: load_keyring(tx, VAULT))
        assert first.keys == again.keys
        rows = ledger.database.read(lambda tx: tx.all("select value from installation"))
        assert all(first.keys[1] not in row[0] for row in rows)
