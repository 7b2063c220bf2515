"""Proof files: an export is checked without any database, and whatever is done to it is found."""

from __future__ import annotations

import json
import os
from functools import cache
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nimriz.core.directory.signet import Signet
from nimriz.core.proof import flaws, proof_files, seals
from nimriz.core.proof.flaws import Flaw
from nimriz.core.proof.proof_files import FileRefused
from tests.laws.ledger import WORKSPACE
from tests.sealed import sealed_ledger

EXAMPLES = int(os.environ.get("NIMRIZ_LAWS_EXAMPLES", "60"))


@cache
def exported(*event_ids: str) -> tuple[str, tuple[bytes, ...]]:
    """The key, and the lines of an export."""
    with sealed_ledger() as sealed:
        return sealed.public_key, tuple(proof_files.write(sealed.database, sealed.public_key, WORKSPACE, event_ids))


def found(lines: list[bytes] | tuple[bytes, ...], key: str = "") -> list[Flaw]:
    return proof_files.check(lines, key or exported()[0]).result.flaws


def test_a_whole_export_fits_and_says_what_it_holds() -> None:
    key, lines = exported()
    checked = proof_files.check(lines, key)
    assert (checked.workspace_id, checked.whole, checked.public_key) == (WORKSPACE, True, key)
    assert checked.result.flaws == []
    assert sum(checked.result.rows.values()) == sum(line.startswith(b"[") for line in lines) > 30


def test_the_rows_of_an_event_fit_alone_and_are_all_that_is_in_the_file() -> None:
    key, lines = exported("sale2")
    checked = proof_files.check(lines, key)
    assert (checked.whole, checked.result.flaws) == (False, [])
    assert checked.result.rows == {
        "outcomes": 1, "verdicts": 1, "settlements": 0, "movements": 1, "ties": 1, "exclusions": 0,
    }  # fmt: skip
    assert b"sale1" not in b"".join(lines)


def test_a_row_that_was_edited_in_the_proof_of_an_event_is_named() -> None:
    key, lines = exported("sale2")
    edited = [line.replace(b'"sale2","sale",', b'"sale2","lead",') for line in lines]
    assert edited != list(lines)
    (flaw,) = found(edited, key)
    assert (flaw.table, flaw.event_id, flaw.what) == ("outcomes", "sale2", flaws.CHANGED)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_is_done_to_a_line_of_an_export_is_found(data: st.DataObject) -> None:
    _, lines = exported()
    rows = [number for number, line in enumerate(lines) if line.startswith(b"[")]
    place = data.draw(st.sampled_from(rows))
    what = data.draw(st.sampled_from(["edit", "delete", "insert", "swap"]))
    changed = list(lines)
    if what == "edit":
        row = json.loads(lines[place])
        column = data.draw(st.integers(1, len(row) - 1))
        row[column] = data.draw(st.sampled_from([None, 0, "", "x", 17, ["00"]]).filter(lambda v: v != row[column]))
        changed[place] = json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        if column == 1 and not isinstance(row[1], int):
            with pytest.raises(FileRefused):
                found(changed)
            return
    elif what == "delete":
        del changed[place]
    elif what == "insert":
        changed.insert(place, lines[data.draw(st.sampled_from(rows))])
    else:
        other = data.draw(st.sampled_from(rows).filter(lambda number: number != place))
        changed[place], changed[other] = changed[other], changed[place]
    if what in ("delete", "insert"):
        with pytest.raises(FileRefused, match="belongs to no export"):
            found(changed)
        end = json.loads(changed[-1])
        changed[-1] = json.dumps({**end, "rows": end["rows"] + (1 if what == "insert" else -1)}).encode()
    result = found(changed)
    assert result
    if what == "edit":
        row = json.loads(changed[place])
        assert (result[0].table, result[0].seq) == (row[0], row[1])


def test_an_export_that_was_cut_off_is_refused_or_found_by_what_was_published() -> None:
    key, lines = exported()
    with pytest.raises(FileRefused, match="end is missing"):
        found(lines[:-1])
    last = max(number for number, line in enumerate(lines) if line.startswith(b'{"seal"'))
    kept = list(lines[:last])
    count = (sum(line.startswith(b'{"seal"') for line in kept), sum(line.startswith(b"[") for line in kept))
    kept.append(json.dumps({"end": True, "seals": count[0], "rows": count[1]}).encode())
    assert found(kept) == []
    roots, _ = flaws.read_roots([line.decode() for line in lines if line.startswith(b'{"seal"')])
    assert proof_files.check(lines, key, roots).result.flaws == []
    assert [f.what for f in proof_files.check(kept, key, roots).result.flaws] == [flaws.UNPUBLISHED]


def test_a_seal_that_was_left_out_breaks_the_chain() -> None:
    _, lines = exported()
    places = [number for number, line in enumerate(lines) if line.startswith(b'{"seal"')]
    kept = [*lines[: places[1]], *lines[places[2] : -1]]
    gone = sum(line.startswith(b"[") for line in lines[places[1] : places[2]])
    end = json.loads(lines[-1])
    kept.append(json.dumps({"end": True, "seals": end["seals"] - 1, "rows": end["rows"] - gone}).encode())
    assert [(f.table, f.what) for f in found(kept)] == [("seals", flaws.OUT_OF_CHAIN)]


def test_an_export_signed_by_another_key_is_found_and_its_own_key_proves_only_that_it_agrees_with_itself() -> None:
    key, lines = exported()
    other = Signet(b"n" * 32)
    assert {f.what for f in found(lines, other.public_key)} == {flaws.UNSIGNED}
    assert proof_files.check(lines).result.flaws == []
    assert proof_files.check(lines).public_key == key


@pytest.mark.parametrize(
    "lines",
    [[], [b"x"], [b"[]"], [b"{}"], [b'{"nimriz_ledger_export":2}'], [b'{"nimriz_ledger_export":1}', b"[1]"],
     [b'{"nimriz_ledger_export":1}', b'["outcomes",1]'], [b'{"nimriz_ledger_export":1}', b'{"seal":{}}'],
     [b'{"nimriz_ledger_export":1}', b'{"end":true,"seals":1,"rows":0}'], [b"\xff"], [b"[" * 100_000]],
)  # fmt: skip
def test_what_is_no_export_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(FileRefused):
        proof_files.check(lines)


def test_the_page_that_describes_it_is_enough_to_write_a_verifier() -> None:
    """Knows only what docs/reference/ledger-proof.md says, and imports nothing of nimriz to check."""
    key, lines = exported()
    public, previous, said = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)), "", 0
    rows: list[bytes] = []
    seal: dict[str, Any] = {}

    def close() -> None:
        if seal:
            level = [sha256(b"\x00" + row).digest() for row in rows]
            while len(level) > 1:
                pairs = [sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
                level = pairs + level[len(pairs) * 2 :]
            assert level[0].hex() == seal["root"]
            rows.clear()

    for line in lines[1:]:
        if line.startswith(b"["):
            rows.append(line.rstrip(b"\n"))
            continue
        close()
        told = json.loads(line)
        if "seal" in told:
            seal = told["seal"]
            statement = json.dumps(seal, separators=(",", ":")).encode()
            public.verify(bytes.fromhex(told["signature"]), statement)
            said += 1
            assert (seal["number"], seal["previous"]) == (said, previous)
            previous = sha256(statement).hexdigest()
    assert said == json.loads(lines[-1])["seals"] > 1


def test_a_statement_has_one_spelling() -> None:
    line = next(line for line in exported()[1] if line.startswith(b'{"seal"')).decode()
    statement = seals.read_line(line).statement
    assert seals.statement_of(seals.read_statement(statement)) == statement
    for other in (statement.replace(":", ": "), statement.replace('"number":', '"Number":'), "[]", "1", "{}"):
        with pytest.raises(ValueError):
            seals.read_statement(other)
