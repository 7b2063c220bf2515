"""The second factor: codes of an authenticator (TOTP, RFC 6238), and recovery codes for when it is lost.

Owns the table recovery_codes and what members have of TOTP. The secret is kept sealed; of a recovery code, which is
random, a keyed digest. Each code works once.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from nimriz.base.errors import Refused
from nimriz.core.directory import audit
from nimriz.core.directory.vault import Vault
from nimriz.core.members.members import Member
from nimriz.store.db import Tx

SECRET_BYTES = 20
RECOVERY_CODES = 10
_STEP_S = 30
_DIGITS = 6
_AROUND = (0, -1, 1)
"""Which steps are looked at: clocks differ, and typing takes time."""
# No look-alikes, as in slugs, and one case only: 16 of these 31 are 79 bits.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_CODE_CHARS = 16
_GROUP = 4
_PURPOSE = b"recovery-code"


def new_secret() -> str:
    """A new secret, as authenticators take it: Base32 without padding."""
    return base64.b32encode(os.urandom(SECRET_BYTES)).decode()


def read_secret(text: str) -> bytes | None:
    """The bytes of a secret that `new_secret` made."""
    try:
        secret = base64.b32decode(text)
    except ValueError:
        return None
    return secret if len(secret) == SECRET_BYTES else None


def address(secret: str, email: str, issuer: str) -> str:
    """The otpauth: address that an authenticator reads from a QR code."""
    return _totp(base64.b32decode(secret)).get_provisioning_uri(email, issuer)


def code_at(secret: bytes, now_ms: int) -> str:
    """The code of a moment."""
    return _totp(secret).generate(now_ms // 1000).decode()


def turn_on(tx: Tx, vault: Vault, member: Member, secret: bytes, code: str, now_ms: int) -> list[str]:
    """Ask for codes from now on, once one was right; the recovery codes, shown once. Raises Refused(code_wrong)."""
    step = _step_of(secret, code, now_ms, 0)
    if step is None:
        raise Refused("code_wrong")
    _keep(tx, member.member_id, vault.seal(secret, _sealed_for(member.member_id)), step)
    audit.note(tx, "", audit.by_member(member.member_id), "totp_on", now_ms, member.member_id)
    return _new_codes(tx, vault, member.member_id)


def turn_off(tx: Tx, member_id: str, actor: str, now_ms: int) -> None:
    """Ask for no codes any more."""
    _keep(tx, member_id, None, 0)
    tx.run("delete from recovery_codes where member_id = :member_id", {"member_id": member_id})
    audit.note(tx, "", actor, "totp_off", now_ms, member_id)


def new_codes(tx: Tx, vault: Vault, member_id: str, now_ms: int) -> list[str]:
    """Recovery codes instead of those of before, shown once."""
    audit.note(tx, "", audit.by_member(member_id), "codes_made", now_ms, member_id)
    return _new_codes(tx, vault, member_id)


def codes_left(tx: Tx, member_id: str) -> int:
    """How many recovery codes still work."""
    row = tx.one("select count(*) from recovery_codes where member_id = :member_id", {"member_id": member_id})
    return 0 if row is None else int(row[0])


def use(tx: Tx, vault: Vault, member: Member, code: str, now_ms: int) -> None:
    """Use up a code of the authenticator, or a recovery code. Raises Refused(code_wrong)."""
    if member.totp_sealed is None:
        raise Refused("code_wrong")
    secret = vault.open(member.totp_sealed, _sealed_for(member.member_id))
    step = _step_of(secret, code, now_ms, member.totp_step)
    if step is not None:
        _keep(tx, member.member_id, member.totp_sealed, step)
        return
    row = tx.one(
        "delete from recovery_codes where member_id = :member_id and digest = :digest returning member_id",
        {"member_id": member.member_id, "digest": vault.digest(_PURPOSE, _plain(code))},
    )
    if row is None:
        raise Refused("code_wrong")


def _totp(secret: bytes) -> TOTP:
    # Authenticators know SHA-1 and nothing else for sure; HMAC does not need collisions to be hard.
    return TOTP(secret, _DIGITS, SHA1(), _STEP_S, enforce_key_length=False)  # noqa: S303


def _step_of(secret: bytes, code: str, now_ms: int, last_step: int) -> int | None:
    """The step that a code is of, when none of it or after it was used before."""
    given = _plain(code)
    now_step = now_ms // 1000 // _STEP_S
    found = None
    for around in _AROUND:
        step = now_step + around
        right = _totp(secret).generate(step * _STEP_S).decode()
        if hmac.compare_digest(right.encode(), given.encode("utf-8", "replace")) and step > last_step:
            found = step
    return found


def _keep(tx: Tx, member_id: str, sealed: bytes | None, step: int) -> None:
    tx.run(
        "update members set totp_sealed = :sealed, totp_step = :step where member_id = :member_id",
        {"sealed": sealed, "step": step, "member_id": member_id},
    )


def _new_codes(tx: Tx, vault: Vault, member_id: str) -> list[str]:
    tx.run("delete from recovery_codes where member_id = :member_id", {"member_id": member_id})
    codes = [_new_code() for _ in range(RECOVERY_CODES)]
    tx.many(
        "insert into recovery_codes (member_id, digest) values (:member_id, :digest)",
        [{"member_id": member_id, "digest": vault.digest(_PURPOSE, _plain(code))} for code in codes],
    )
    return codes


def _new_code() -> str:
    text = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_CHARS))
    return "-".join(text[at : at + _GROUP] for at in range(0, _CODE_CHARS, _GROUP))


def _plain(code: str) -> str:
    """A code as it may be typed: with spaces and hyphens, in any case."""
    return "".join(code.split()).replace("-", "").lower()


def _sealed_for(member_id: str) -> bytes:
    return f"totp:{member_id}".encode()
