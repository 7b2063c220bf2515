"""Erasures: of a person nothing is left in any file, and nothing else changes."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nimriz.base import jsontext
from nimriz.base.errors import Refused
from nimriz.core.directory import signet
from nimriz.core.ledger import erasures, persons
from nimriz.core.ledger.claims import read_claim
from nimriz.core.ledger.erasures import Eraser
from nimriz.core.ledger.intake import Authentic
from nimriz.core.ledger.persons import NOTHING
from nimriz.store.db import Tx
from nimriz.store.sqlite import Sqlite
from tests.laws.examples import A, back, lead, sale
from tests.laws.facts import Report
from tests.laws.ledger import NOW_MS, WORKSPACE, Ledger, opened
from tests.laws.ledger import report as reported
from tests.sealed import VAULT, Sealing, begin

ANN = "ann@shop.example"


class Place:
    """A ledger in a file that is its own, and what erases from it."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger, self.folder = ledger, folder
        self.sealed: Sealing = begin(ledger.database)
        key = ledger.database.read(lambda tx: signet.load(tx, VAULT))
        self.eraser = Eraser(ledger.database, VAULT, key, folder / "journal", folder / "exports")

    def held(self, remains: list[bytes]) -> list[str]:
        """The files, logs included, that hold any of these bytes."""
        files = self.ledger.database.path.parent.glob("*")
        return [file.name for file in files if any(part in file.read_bytes() for part in remains)]

    def remains(self, external_id: str = ANN) -> list[bytes]:
        """Every byte sequence from which the person could be found again, or read."""

        def read(tx: Tx) -> list[bytes]:
            person_id = persons.find_id(tx, self.ledger.mode, VAULT, WORKSPACE, external_id)
            prefix = "" if self.ledger.mode == "live" else "test_"
            of_person = f"from {prefix}{{}} where person_id = :person_id"
            params = {"person_id": person_id}
            row = tx.one("select lookup, key_salt, external_id_sealed " + of_person.format("persons"), params)
            kept = tx.all("select sealed " + of_person.format("metadata"), params)
            return [bytes(value) for value in (*(row or ()), *(r[0] for r in kept))]

        return self.ledger.database.read(read)


@contextmanager
def place(folder: Path, mode: str = "live") -> Iterator[Place]:
    with opened(mode="test" if mode == "test" else "live") as ledger:
        yield Place(ledger, folder)


def record(ledger: Ledger, event_id: str, external_id: str | None) -> None:
    """A lead with metadata."""
    body = {
        "event_name": "lead", "event_id": event_id, "user_data": {"external_id": external_id},
        "custom_data": {"metadata": {"note": f"about {external_id}", "long": "x" * 900}},
    }  # fmt: skip
    claim = read_claim(jsontext.parse(json.dumps(body).encode()), NOW_MS)
    ledger.recorder.commit([[Authentic(WORKSPACE, ledger.mode, "secret", claim)]])


def report(ledger: Ledger) -> Report:
    with ledger.columnar(clicked=False) as columnar:
        return reported(columnar, ledger.mode, "link")


def figures(ledger: Ledger) -> object:
    """Everything that erasing must leave as it is."""
    verdicts = [ledger.verdict(event_id) for event_id in ("l", "s", "r", "other", "m1")]
    return verdicts, ledger.settlement("r"), ledger.moves(), report(ledger)


@pytest.mark.parametrize("mode", ["live", "test"])
def test_nothing_is_left_of_a_person_and_nothing_else_changes(tmp_path: Path, mode: str) -> None:
    with place(tmp_path, mode) as here:
        ledger = here.ledger
        ledger.record(
            [
                lead("l", person=ANN),
                sale("s", person=ANN, order="o"),
                back("r", 30, order="o"),
                sale("other", person="bob"),
            ]
        )
        record(ledger, "m1", ANN)
        record(ledger, "m2", "bob")
        here.sealed.seal()
        remains = here.remains()
        assert len(remains) == 4
        assert here.held(remains)
        before = figures(ledger)
        erased = here.eraser.erase(WORKSPACE, ANN, NOW_MS)
        assert erased.destroyed == {
            "live_persons": 0, "live_metadata": 0, "test_persons": 0, "test_metadata": 0,
            f"{mode}_persons": 1, f"{mode}_metadata": 1,
        }  # fmt: skip
        assert here.held([*remains, ANN.encode()]) == []
        assert figures(ledger) == before
        assert here.sealed.verify().flaws == []
        assert [ledger.standing(e).readable for e in ("l", "s", "m1")] == [NOTHING] * 3
        assert ledger.standing("other").readable.external_id == ledger.standing("m2").readable.external_id == "bob"


def test_a_repeat_names_no_erased_field_and_the_same_id_later_is_a_new_person(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        ledger = here.ledger
        ledger.record([sale("s", person=ANN)])
        here.eraser.erase(WORKSPACE, ANN, NOW_MS)
        (again,) = ledger.record([sale("s", person="somebody else")])
        assert (again.duplicate, again.differences) == (True, ())
        # The tie was that of the person who was forgotten.
        (new,) = ledger.record([sale("t", person=ANN, click=None)])
        assert new.outcome.person_id != again.outcome.person_id
        assert new.verdict.reason == "external_id_unknown"
        assert ledger.verdict("s").status == "attributed"


def test_what_waits_to_be_judged_again_is_not_any_more(tmp_path: Path) -> None:
    with opened(rejudge_max=1) as ledger:
        here = Place(ledger, tmp_path)
        ledger.record([sale(f"s{n}", person=ANN, click=None, at=5_000 + n) for n in range(5)])
        ledger.record([lead("l", click=A, person=ANN)])
        verdicts = [ledger.verdict(f"s{n}") for n in range(5)]
        assert ledger.database.read(lambda tx: tx.all("select 1 from docket where subject = 'person'"))
        here.eraser.erase(WORKSPACE, ANN, NOW_MS)
        assert ledger.database.read(lambda tx: tx.all("select 1 from docket where subject = 'person'")) == []
        ledger.work_off()
        assert [ledger.verdict(f"s{n}") for n in range(5)] == verdicts


@pytest.mark.parametrize("mode", ["live", "test"])
def test_what_came_with_an_event_without_a_customer_is_erased_by_the_event(tmp_path: Path, mode: str) -> None:
    with place(tmp_path, mode) as here:
        ledger = here.ledger
        ledger.record([lead("l", person=ANN), sale("s", person=ANN), back("r", 30, order="o"), sale("other")])
        for event_id, external_id in (("m1", None), ("m2", None), ("hers", ANN)):
            record(ledger, event_id, external_id)
        here.sealed.seal()
        prefix = "" if mode == "live" else "test_"
        joined = f"{prefix}metadata join {prefix}persons using (person_id)"
        sql = f"select sealed, key_salt from {joined} where event_id = 'm1'"
        ((sealed, salt),) = ledger.database.read(lambda tx: tx.all(sql))
        before = figures(ledger)
        erased = here.eraser.erase_event(WORKSPACE, "m1", NOW_MS)
        assert {name: count for name, count in erased.destroyed.items() if count} == {
            f"{mode}_persons": 1, f"{mode}_metadata": 1,
        }  # fmt: skip
        assert signet.signed(here.eraser.signet.public_key, erased.statement.encode(), erased.signature)
        assert here.held([sealed, salt]) == []
        assert figures(ledger) == before
        assert here.sealed.verify().flaws == []
        assert ledger.standing("m1").readable == NOTHING
        assert ledger.standing("m2").readable.metadata is not None
        # Erased, of somebody, without anything readable, unknown: nothing of these is the event's own.
        for event_id in ("m1", "hers", "other", "nobody"):
            with pytest.raises(Refused, match="person_not_found"):
                here.eraser.erase_event(WORKSPACE, event_id, NOW_MS)
        with pytest.raises(Refused, match="person_not_found"):
            here.eraser.erase_event("elsewhere", "m2", NOW_MS)
        assert ledger.standing("hers").readable.external_id == ANN


def test_who_was_never_seen_is_said_to_be_so(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        here.ledger.record([sale("s", person=ANN)])
        for workspace_id, external_id in ((WORKSPACE, "Ann"), ("elsewhere", ANN)):
            with pytest.raises(Refused, match="person_not_found"):
                here.eraser.erase(workspace_id, external_id, NOW_MS)
        here.eraser.erase(WORKSPACE, ANN, NOW_MS)
        with pytest.raises(Refused, match="person_not_found"):
            here.eraser.erase(WORKSPACE, ANN, NOW_MS)


def test_the_certificate_is_signed_and_says_nothing_of_whom(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        here.ledger.record([sale("s", person=ANN)])
        person_id = here.ledger.standing("s").outcome.person_id
        erased = here.eraser.erase(WORKSPACE, ANN, NOW_MS)
        assert signet.signed(here.eraser.signet.public_key, erased.statement.encode(), erased.signature)
        said = json.loads(erased.statement)
        assert list(said) == ["nimriz_erasure", "erasure_id", "workspace_id", "asked_at", "finished_at", "destroyed"]
        assert person_id not in erased.statement
        find = lambda tx: erasures.find(tx, WORKSPACE, erased.erasure_id)  # noqa: E731
        assert here.ledger.database.read(find) == erased
        assert here.ledger.database.read(lambda tx: erasures.page(tx, WORKSPACE, "", 9)) == [erased]
        with pytest.raises(Refused, match="erasure_not_found"):
            here.ledger.database.read(lambda tx: erasures.find(tx, "elsewhere", erased.erasure_id))


def many_persons(tx: Tx, count: int) -> list[str]:
    """So many that the pages of their indexes have been divided again and again."""
    names = [f"customer-{number}" for number in range(count)]
    tx.many(
        "insert into persons (person_id, workspace_id, lookup, key_salt, external_id_sealed, created_at_ms) "
        "values (:person_id, :workspace_id, :lookup, :key_salt, :external_id_sealed, :created_at_ms)",
        [
            (f"p{n}", WORKSPACE, VAULT.lookup(WORKSPACE, name), os.urandom(16), os.urandom(40), 1)
            for n, name in enumerate(names)
        ],
    )
    return names


def test_copies_that_stayed_behind_when_pages_were_divided_are_found_and_go_too(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        names = here.ledger.database.write(lambda tx: many_persons(tx, 6_000))
        whole = here.ledger.database.path
        here.ledger.database.purge((), (), 5)
        content = whole.read_bytes()
        doubled = [n for n in names if content.count(VAULT.lookup(WORKSPACE, n)) > 1]
        assert doubled, "no page was divided so that a copy stayed behind"
        for name in doubled[:3]:
            remains = here.remains(name)
            assert here.eraser.erase(WORKSPACE, name, NOW_MS).finished_at_ms == NOW_MS
            assert here.held(remains) == []


def test_a_reader_holds_the_last_copy_up_and_not_for_ever(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        here.ledger.record([sale("s", person=ANN)])
        remains = here.remains()
        reading, leave = threading.Event(), threading.Event()

        def read(tx: Tx) -> None:
            tx.one("select count(*) from persons")
            reading.set()
            assert leave.wait(60)

        reader = threading.Thread(target=here.ledger.database.read, args=(read,))
        reader.start()
        try:
            assert reading.wait(60)
            erased = here.eraser.erase(WORKSPACE, ANN, NOW_MS, wait_s=0.1)
            assert (erased.finished_at_ms, erased.statement) == (None, "")
            assert here.eraser.finish_abandoned(NOW_MS + 1_000_000, wait_s=0.1) == 0
        finally:
            leave.set()
            reader.join()
        assert here.eraser.finish_abandoned(NOW_MS + 1, wait_s=5) == 0  # Whoever began may still be at it.
        assert here.eraser.finish_abandoned(NOW_MS + 1_000_000, wait_s=5) == 1
        assert here.held(remains) == []
        done = here.ledger.database.read(lambda tx: erasures.find(tx, WORKSPACE, erased.erasure_id))
        assert done.finished_at_ms == NOW_MS + 1_000_000
        assert here.sealed.verify().flaws == []


def test_a_backup_that_was_put_back_forgets_again(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        here.ledger.record([sale("s", person=ANN), sale("t", person="bob")])
        here.ledger.database.purge((), (), 5)
        shutil.copy(here.ledger.database.path, tmp_path / "records.db")
        erased = here.eraser.erase(WORKSPACE, ANN, NOW_MS)
        restored = Sqlite(tmp_path / "records.db", secure_delete=True)
        try:
            eraser = here.eraser._replace(records=restored)
            assert eraser.repeat() == 1
            assert eraser.repeat() == 0
            assert restored.read(lambda tx: persons.find_id(tx, "live", VAULT, WORKSPACE, ANN)) is None
            assert restored.read(lambda tx: persons.find_id(tx, "live", VAULT, WORKSPACE, "bob")) is not None
            assert restored.read(lambda tx: erasures.find(tx, WORKSPACE, erased.erasure_id)) == erased
        finally:
            restored.close()
        assert here.eraser.repeat() == 0
