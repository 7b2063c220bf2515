"""nimriz doctor signature, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nimriz.base import signing
from nimriz.cli.main import app

SECRET = "nimsec_live_" + "A" * 43
BODY = b'{"event_name":"lead","event_id":"l-1"}'
SPACED = b'{"event_name": "lead", "event_id": "l-1"}'


def asked(*options: str, signed: bytes, body: bytes | None = BODY, secret: str = SECRET) -> tuple[int, str]:
    signature = signing.sign(secret.encode(), 1_795_428_000, signed)
    told = CliRunner().invoke(
        app,
        ["doctor", "signature", "--timestamp", "1795428000", "--signature", signature, *options],
        input=body,
        env={"NIMRIZ_SIGNING_SECRET": SECRET},
    )
    return told.exit_code, told.stdout


def test_a_right_signature_is_right() -> None:
    status, text = asked(signed=BODY)
    assert (status, text) == (0, "The signature is right: this secret, this timestamp, this body.\n")


def test_a_mistake_is_named_with_what_to_do() -> None:
    status, text = asked("--json", signed=SPACED)
    assert status == 1
    told = json.loads(text)
    assert told["right"] is False
    assert [mistake["code"] for mistake in told["mistakes"]] == ["body_spaced"]
    assert told["mistakes"][0]["advice"].startswith("Sign the very bytes")


def test_the_body_may_lie_in_a_file_and_older_secrets_are_tried(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_bytes(BODY)
    older = "nimsec_live_" + "B" * 43
    status, text = asked("--body", str(file), "--older-secret", older, signed=BODY, body=None, secret=older)
    assert status == 1
    assert text.startswith("older_secret: ")


@pytest.mark.parametrize("signed", [BODY, SPACED, b"else"])
def test_neither_secret_nor_a_right_signature_is_printed(signed: bytes) -> None:
    _, text = asked(signed=signed)
    assert SECRET not in text
    assert signing.sign(SECRET.encode(), 1_795_428_000, BODY)[3:] not in text


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    status, _ = asked("--body", str(tmp_path / "none"), signed=BODY)
    assert status == 1


def test_without_a_word_the_doctor_still_looks_at_the_installation(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["doctor", "--json"], env={"NIMRIZ_DATA_DIR": str(tmp_path / "none")})
    assert told.exit_code == 1
    assert {check["name"] for check in json.loads(told.stdout)["checks"]} > {"sqlite", "data directory"}
