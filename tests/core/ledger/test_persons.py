"""Persons: what can be read about somebody lies apart from the ledger, and goes with the salt."""

from __future__ import annotations

from nimriz.base import jsontext
from nimriz.core.ledger import persons
from nimriz.core.ledger.claims import read_claim
from nimriz.core.ledger.intake import Authentic
from nimriz.core.ledger.persons import NOTHING, Readable
from tests.laws.examples import back, lead, sale
from tests.laws.ledger import NOW_MS, WORKSPACE, Ledger, opened


def record(ledger: Ledger, body: bytes) -> None:
    """Record an event by its JSON text."""
    claim = read_claim(jsontext.parse(body), NOW_MS)
    (answers,) = ledger.recorder.commit([[Authentic(WORKSPACE, ledger.mode, "secret", claim)]])
    assert isinstance(answers, list), answers


def whole_file(ledger: Ledger) -> str:
    """Every byte of the database that is text or bytes, as one text."""
    return repr(ledger.dump())


def test_one_external_id_is_one_person_and_case_tells_two_apart() -> None:
    with opened() as ledger:
        ledger.record([lead("1", person="ann"), sale("2", person="ann"), lead("3", person="Ann"), lead("4")])
        ids = [ledger.standing(event_id).outcome.person_id for event_id in "1234"]
        assert ids[0] == ids[1] != ids[2]
        assert ids[3] == ""


def test_an_external_id_can_be_read_and_stands_nowhere_in_clear() -> None:
    with opened() as ledger:
        ledger.record([lead("1", person="ann@shop.example")])
        assert ledger.standing("1").readable == Readable("ann@shop.example", None)
        assert "ann@shop" not in whole_file(ledger)


def test_metadata_is_kept_as_sent_and_stands_nowhere_in_clear() -> None:
    body = b'{"event_name":"lead","event_id":"1","custom_data":{"metadata":{"note":"confidential","n":1.50}}}'
    with opened() as ledger:
        record(ledger, body)
        assert ledger.standing("1").readable == Readable(None, b'{"note":"confidential","n":1.50}')
        assert ledger.standing("1").outcome.identified == 0
        assert "confidential" not in whole_file(ledger)


def test_metadata_without_an_external_id_has_a_person_of_its_own() -> None:
    body = b'{"event_name":"lead","event_id":"%d","custom_data":{"metadata":{}}}'
    with opened() as ledger:
        record(ledger, body % 1)
        record(ledger, body % 2)
        assert ledger.standing("1").outcome.person_id != ledger.standing("2").outcome.person_id


def test_without_the_person_nothing_can_be_read_and_verdicts_stand() -> None:
    with opened() as ledger:
        ledger.record([sale("s", person="ann"), back("r", 5, of="s")])
        verdict = ledger.verdict("s")
        ledger.database.write(lambda tx: tx.run("delete from persons"))
        assert ledger.standing("s").readable == NOTHING
        assert ledger.verdict("s") == verdict
        (again,) = ledger.record([sale("s", person="ann")])
        assert (again.duplicate, again.differences) == (True, ())


def test_the_same_external_id_later_is_a_new_person() -> None:
    with opened() as ledger:
        ledger.record([lead("1", person="ann")])
        ledger.database.write(lambda tx: tx.run("delete from persons"))
        ledger.record([lead("2", person="ann")])
        assert ledger.standing("1").outcome.person_id != ledger.standing("2").outcome.person_id


def test_a_person_is_found_by_external_id_in_their_own_mode_alone() -> None:
    with opened() as ledger:
        ledger.record([lead("1", person="ann")])
        person_id = ledger.standing("1").outcome.person_id
        for mode, expected in (("live", person_id), ("test", None)):
            found = ledger.database.read(
                lambda tx, m=mode: persons.find_id(tx, m, ledger.vault, WORKSPACE, "ann")  # type: ignore[misc]
            )
            assert found == expected
