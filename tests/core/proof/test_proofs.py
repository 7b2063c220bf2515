"""Proofs: whatever is done to a sealed row or to the chain is found, and the first row that does not fit is named."""

from __future__ import annotations

import json
import os
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nimriz.base import merkle
from nimriz.core.directory import signet
from nimriz.core.directory.signet import Signet
from nimriz.core.proof import flaws, ledger_rows, sealing, seals
from nimriz.core.proof.flaws import Flaw
from nimriz.core.proof.ledger_rows import NAMES, TABLES
from nimriz.core.proof.seals import ChainBroken
from nimriz.store.db import StoreError
from tests.laws.ledger import NOW_MS, WORKSPACE, opened
from tests.sealed import VAULT, Sealing, begin, fill, sealed_ledger

EXAMPLES = int(os.environ.get("NIMRIZ_LAWS_EXAMPLES", "60"))
_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    ["null", "''", "'x'", "x''", "x'00ff'", "0", "1", "-1", "9e999", "0.5", "9223372036854775807"]
) | st.integers(-(2**63), 2**63 - 1).map(str)


def rows_of(sealed: Sealing, table: str) -> list[tuple[Any, ...]]:
    return sealed.database.read(lambda tx: tx.all(f"select * from {table} order by seq"))


def roots_of(sealed: Sealing) -> list[flaws.Root]:
    page = sealed.database.read(lambda tx: seals.page(tx, 0, 1_000))
    found, strange = flaws.read_roots([signed.line for _, signed in page])
    assert strange == 0
    return found


def test_the_columns_of_the_promise_are_all_that_there_are() -> None:
    with opened() as ledger:
        for table in TABLES:
            there = ledger.database.read(lambda tx, n=table.name: tx.all(f"pragma table_info({n})"))  # type: ignore[misc]
            assert [row[1] for row in there] == list(table.columns)


def test_a_row_is_compact_json_and_no_two_are_written_alike() -> None:
    assert ledger_rows.to_bytes("ties", (1, 'é"\n', None, b"\x00\xff")) == '["ties",1,"é\\"\\n",null,["00ff"]]'.encode()
    alike = [None, 0, "", "0", b"", b"0", 0.5, float("inf"), "inf", "00ff", b"\x00\xff"]
    assert len({ledger_rows.to_bytes("ties", (value,)) for value in alike}) == len(alike)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_column_of_any_row_that_is_changed_is_found_and_named(data: st.DataObject) -> None:
    with sealed_ledger() as sealed:
        table = data.draw(st.sampled_from(TABLES))
        row = data.draw(st.sampled_from(rows_of(sealed, table.name)))
        column = data.draw(st.sampled_from(table.columns))
        value = data.draw(_VALUES)
        try:
            sealed.tamper(f"update {table.name} set {column} = {value} where seq = {row[0]}")
        except (apsw.ConstraintError, apsw.MismatchError):
            return  # The schema itself refuses this.
        result = sealed.verify()
        after = rows_of(sealed, table.name)
        if [(*map(type, r), *r) for r in after] == [(*map(type, r), *r) for r in rows_of_template(table.name)]:
            assert result.flaws == []
            return
        named = {(flaw.table, flaw.seq) for flaw in result.flaws}
        assert (table.name, row[0]) in named, result.flaws
        first = result.flaws[0]
        assert first.table == table.name
        if column not in ("seq", "workspace_id"):
            assert result.flaws == [first]
            assert (first.seq, first.what) == (row[0], flaws.CHANGED)
            assert first.workspace_id == table.value(row, "workspace_id")
            if column != "event_id":
                assert first.event_id == (table.value(row, "event_id") or "")


def rows_of_template(table: str) -> list[tuple[Any, ...]]:
    with sealed_ledger() as untouched:
        return rows_of(untouched, table)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_that_was_deleted_is_named(name: str) -> None:
    with sealed_ledger() as sealed:
        gone = rows_of(sealed, name)[2]
        sealed.tamper(f"delete from {name} where seq = {gone[0]}")
        assert [(f.table, f.seq, f.what) for f in sealed.verify().flaws] == [(name, gone[0], flaws.MISSING)]


@pytest.mark.parametrize("name", NAMES)
def test_the_last_rows_are_missed_too(name: str) -> None:
    with sealed_ledger() as sealed:
        seqs = [row[0] for row in rows_of(sealed, name)]
        sealed.tamper(f"delete from {name} where seq >= {seqs[-2]}")
        assert [(f.table, f.seq, f.what) for f in sealed.verify().flaws] == [
            (name, seq, flaws.MISSING) for seq in seqs[-2:]
        ]


@pytest.mark.parametrize("seq", [0, -1, -(2**63) + 1])
def test_a_row_that_was_inserted_is_named(seq: int) -> None:
    with sealed_ledger() as sealed:
        columns = ", ".join(c for c in TABLES[1].columns if c != "seq")
        sealed.tamper(f"insert into verdicts (seq, {columns}) select {seq}, {columns} from verdicts where seq = 3")
        first = sealed.first()
        assert (first.table, first.seq, first.what) == ("verdicts", seq, flaws.INSERTED)
        assert first.event_id


def test_two_rows_that_changed_places_are_named() -> None:
    with sealed_ledger() as sealed:
        sealed.tamper(*(f"update verdicts set seq = {b} where seq = {a}" for a, b in ((2, 9_999), (3, 2), (9_999, 3))))
        assert [(f.table, f.seq, f.what) for f in sealed.verify().flaws] == [
            ("verdicts", 2, flaws.CHANGED),
            ("verdicts", 3, flaws.CHANGED),
        ]


def test_text_that_is_none_is_named() -> None:
    with sealed_ledger() as sealed:
        sealed.tamper("update outcomes set order_id = cast(x'ff' as text) where seq = 4")
        assert sealed.first() == Flaw("outcomes", 4, "", "", flaws.UNREADABLE)


@pytest.mark.parametrize(
    "change",
    [
        "update seals set statement = replace(statement, '\"number\":2,', '\"number\":9,') where number = 2",
        "update seals set statement = replace(statement, ':', ': ') where number = 2",
        "update seals set signature = zeroblob(64) where number = 2",
        "update seals set verdicts = zeroblob(length(verdicts)) where number = 2",
        "update seals set ties = zeroblob(40) where number = 2",
        "update seals set number = 99 where number = 2",
        "update seals set workspace_id = 'elsewhere' where seq = 2",
        "delete from seals where number = 2",
        "delete from seals where seq = (select max(seq) from seals)",
        "delete from seals",
    ],
)
def test_a_seal_that_was_changed_or_taken_out_is_found(change: str) -> None:
    with sealed_ledger() as sealed:
        sealed.tamper(change)
        assert {flaw.table for flaw in sealed.verify().flaws} & {"seals"}


@pytest.mark.parametrize("change", ["ties = 'x'", "statement = x'00'", "verdicts = cast(x'ff' as text)"])
def test_a_seal_that_cannot_be_read_is_said_to_be_one(change: str) -> None:
    with sealed_ledger() as sealed:
        sealed.tamper(f"update seals set {change} where seq = 3")
        with pytest.raises(ChainBroken, match="cannot be read"):
            sealed.verify()


def rewritten(sealed: Sealing, key: Signet) -> list[str]:
    """Change a verdict, and make all seals of its workspace anew with another key."""
    rows = {table.name: {row[0]: row for row in rows_of(sealed, table.name)} for table in TABLES}
    seq = next(seq for seq, row in rows["verdicts"].items() if row[1] == WORKSPACE)
    rows["verdicts"][seq] = (*rows["verdicts"][seq][:4], "unattributed", *rows["verdicts"][seq][5:])
    statements = [f"update verdicts set status = 'unattributed' where seq = {seq}"]
    before: seals.Signed | None = None
    for stored in rows_of(sealed, "seals"):
        if stored[1] == WORKSPACE:
            entries = {
                table.name: b"".join(
                    seals.entry(s, merkle.leaf(ledger_rows.to_bytes(table.name, rows[table.name][s])))
                    for s in seals.seqs_of(stored[5 + number])
                )
                for number, table in enumerate(TABLES)
            }
            places = {name: upto for name, (_, upto) in seals.read_statement(stored[3]).covers.items()}
            before = seals.make(key, WORKSPACE, before, entries, places, NOW_MS)
            blobs = ", ".join(f"{name} = x'{entries[name].hex()}'" for name in NAMES)
            statements.append(
                f"update seals set statement = '{before.statement}', signature = x'{before.signature.hex()}', {blobs} "
                f"where seq = {stored[0]}"
            )
    return statements


def test_a_chain_that_was_written_anew_without_the_key_is_found() -> None:
    with sealed_ledger() as sealed:
        sealed.tamper(*rewritten(sealed, Signet(b"n" * 32)))
        assert {flaw.what for flaw in sealed.verify().flaws} == {flaws.UNSIGNED, flaws.CUT_OFF}


def test_a_chain_that_was_written_anew_with_the_key_is_found_by_what_was_published() -> None:
    with sealed_ledger() as sealed:
        roots = roots_of(sealed)
        key = sealed.database.read(lambda tx: signet.load(tx, VAULT))
        sealed.tamper(*rewritten(sealed, key))
        found = {flaw.what for flaw in sealed.verify(roots).flaws}
        assert flaws.OTHER_ROOT in found
        assert flaws.UNSIGNED not in found


def test_a_tail_that_is_gone_with_its_seals_is_found_by_what_was_published() -> None:
    with sealed_ledger() as sealed:
        roots = roots_of(sealed)
        assert sealed.verify(roots).flaws == []
        assert sealed.verify(roots).roots == len(roots)
        sealed.tamper("delete from seals where number = (select max(number) from seals)")
        assert flaws.UNPUBLISHED in {flaw.what for flaw in sealed.verify(roots).flaws}


def test_a_published_root_of_somebody_else_is_not_believed() -> None:
    with sealed_ledger() as sealed:
        statement = roots_of(sealed)[0].signed.statement
        line = seals.Signed(statement, Signet(b"n" * 32).sign(statement.encode())).line
        roots, _ = flaws.read_roots([line, "", "no root", json.dumps({"seal": 1, "signature": ""})])
        assert [flaw.what for flaw in sealed.verify(roots).flaws] == [flaws.FALSE_ROOT]


def test_nothing_more_is_sealed_once_the_chain_is_broken() -> None:
    with opened() as ledger:
        sealed = begin(ledger.database)
        fill(ledger, 1)
        sealed.seal()
        fill(ledger, 2)
        sealed.tamper("delete from seals")
        with pytest.raises(ChainBroken):
            sealed.seal()
        sealed.tamper("delete from installation where name = 'ledger_cursor'")
        with pytest.raises(ChainBroken):
            sealed.verify()


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@example(rows_max=[1, 1, 1], between=True)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.booleans())
def test_however_it_is_sealed_everything_fits_and_nothing_is_sealed_twice(rows_max: list[int], between: bool) -> None:
    with opened() as ledger:
        sealed = begin(ledger.database)
        for number, bound in enumerate(rows_max):
            fill(ledger, number)
            if between:
                sealed.seal(bound)
        left = sealed.verify().unsealed
        rows = 0
        while done := sealed.seal(min(rows_max)).rows:
            rows += done
        assert rows == left
        result = sealed.verify()
        assert (result.flaws, result.unsealed) == ([], 0)
        assert sum(result.rows.values()) == sum(len(rows_of(sealed, name)) for name in NAMES)


def test_of_two_who_seal_at_once_one_comes_second_and_writes_nothing() -> None:
    with opened() as ledger:
        sealed = begin(ledger.database)
        fill(ledger, 1)
        inner: list[int] = []
        read = ledger.database.read

        def meanwhile(fn: Any) -> Any:
            found = read(fn)
            if not inner:
                inner.append(0)
                inner[0] = sealed.seal().rows
            return found

        ledger.database.read = meanwhile  # type: ignore[method-assign]
        try:
            key = read(lambda tx: signet.load(tx, ledger.vault))
            assert sealing.seal(ledger.database, ledger.vault, key, NOW_MS) == sealing.NOTHING
        finally:
            ledger.database.read = read  # type: ignore[method-assign]
        assert inner[0] > 0
        assert sealed.verify().flaws == []


@pytest.mark.parametrize("table", ["seals", "exclusions"])
def test_the_database_itself_refuses_to_change_what_proves(table: str) -> None:
    with sealed_ledger() as sealed:
        before = rows_of(sealed, table)
        for statement in (f"delete from {table}", f"update {table} set workspace_id = 'x'"):
            with pytest.raises(StoreError):
                sealed.database.write(lambda tx, s=statement: tx.run(s))  # type: ignore[misc]
        assert rows_of(sealed, table) == before
