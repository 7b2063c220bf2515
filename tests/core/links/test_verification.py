"""Verification: what each answer of the DNS means for a claim."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.core.directory import changes
from nimriz.core.links import domains, verification
from nimriz.core.links.dns import NOT_ASKED, Records
from nimriz.core.links.domains import Domain
from nimriz.core.links.verification import GRACE_MS, Finding, Terms
from nimriz.store.sqlite import Sqlite
from tests.laws.ledger import NOW_MS, opened

NAME = "go.example.com"
HERE = "192.0.2.1"
ANY_ADDRESS = Terms(frozenset(), frozenset())
HERE_ONLY = Terms(frozenset(), frozenset({HERE, "2001:db8::1"}))
VOUCHED = Terms(frozenset({NAME}), frozenset({HERE}))
NOTHING = Records(frozenset(), frozenset())


@pytest.fixture
def records() -> Iterator[Sqlite]:
    """An empty database of records."""
    with opened() as ledger:
        yield ledger.database


def claim(records: Sqlite, workspace_id: str = "a", **state: object) -> Domain:
    """A claim, put into a state."""
    made = records.write(lambda tx: domains.add(tx, workspace_id, NAME, NOW_MS, ready=False))
    return records.write(lambda tx: domains.update(tx, Domain(**{**made._asdict(), **state}), NOW_MS))


def said(*texts: str | Domain, leads_to: str = "") -> Records:
    """An answer of the DNS: these texts, and the challenges of these domains."""
    values = {text.challenge if isinstance(text, Domain) else text for text in texts}
    return Records(frozenset(value.encode() for value in values), frozenset({leads_to} if leads_to else ()))


def settle(
    records: Sqlite, domain: Domain, answer: Records, terms: Terms = ANY_ADDRESS, *,
    now_ms: int = NOW_MS, enable: bool = False,
) -> tuple[str, Finding]:  # fmt: skip
    """The state after a look, and what was found; what is answered is what is stored."""
    current = stored(records, domain)
    after, finding = records.write(lambda tx: verification.settle(tx, current, answer, terms, now_ms, enable=enable))
    assert after == stored(records, domain)
    assert (after.finding, after.checked_at_ms) == (finding, now_ms)
    return after.status, finding


def stored(records: Sqlite, domain: Domain) -> Domain:
    """The domain as it is stored."""
    found = records.read(lambda tx: domains.find(tx, domain.domain_id))
    assert found is not None
    return found


def test_the_exact_challenge_among_other_texts_proves_a_name(records: Sqlite) -> None:
    own = claim(records)
    assert settle(records, own, said("v=spf1 -all", own, "")) == ("ready", "verified")
    assert stored(records, own).proved_at_ms == NOW_MS


@pytest.mark.parametrize(
    "spoil",
    [
        str.upper, lambda text: text + " ", lambda text: " " + text, lambda text: text[:-1], lambda text: text + "0",
        lambda text: f'"{text}"', lambda text: text.removeprefix("nimriz-verify="), lambda text: "",
    ],
)  # fmt: skip
def test_anything_but_the_exact_challenge_proves_nothing(records: Sqlite, spoil: object) -> None:
    assert callable(spoil)
    own = claim(records)
    assert settle(records, own, said(spoil(own.challenge))) == ("pending", "record_mismatch")
    assert settle(records, own, said(claim(records, "b"))) == ("pending", "record_mismatch")
    assert settle(records, own, NOTHING) == ("pending", "record_missing")
    assert stored(records, own).proved_at_ms is None


def test_that_a_name_leads_here_proves_nothing(records: Sqlite) -> None:
    assert settle(records, claim(records), said(leads_to=HERE), HERE_ONLY) == ("pending", "record_missing")


def test_a_proved_name_is_ready_when_it_leads_here(records: Sqlite) -> None:
    own = claim(records)
    assert settle(records, own, said(own), HERE_ONLY) == ("verified", "verified")
    assert settle(records, own, said(own, leads_to="192.0.2.2"), HERE_ONLY) == ("verified", "verified")
    assert settle(records, own, said(own, leads_to="2001:db8::1"), HERE_ONLY) == ("ready", "verified")
    # A proxy may stand before it, or somebody have an old answer: who comes finds the links.
    assert settle(records, own, said(own, leads_to="192.0.2.2"), HERE_ONLY) == ("ready", "verified")


def test_a_domain_without_a_challenge_is_not_proved_by_an_empty_text(records: Sqlite) -> None:
    own = claim(records)
    records.write(lambda tx: tx.run("update domains set challenge = ''"))
    assert settle(records, own, said("")) == ("pending", "record_mismatch")


@pytest.mark.parametrize("status", ["pending", "verified", "ready", "disabled"])
@pytest.mark.parametrize("proved_at_ms", [None, NOW_MS, NOW_MS - 100 * GRACE_MS])
def test_trouble_in_the_dns_changes_nothing(records: Sqlite, status: str, proved_at_ms: int | None) -> None:
    own = claim(records, status=status, proved_at_ms=proved_at_ms)
    before = records.read(changes.newest)
    assert settle(records, own, NOT_ASKED, HERE_ONLY) == (status, "dns_unavailable")
    assert stored(records, own).proved_at_ms == proved_at_ms
    assert records.read(changes.newest) == before


@pytest.mark.parametrize("status", ["verified", "ready"])
def test_a_challenge_may_be_gone_for_the_time_of_grace_and_no_longer(records: Sqlite, status: str) -> None:
    own = claim(records, status=status, proved_at_ms=NOW_MS)
    last_ms = NOW_MS + GRACE_MS
    assert settle(records, own, NOTHING, HERE_ONLY, now_ms=last_ms) == (status, "record_missing")
    assert settle(records, own, said("other"), HERE_ONLY, now_ms=last_ms + 1) == ("pending", "record_mismatch")
    assert settle(records, own, said(own, leads_to=HERE), HERE_ONLY, now_ms=last_ms + 2) == ("ready", "verified")


def test_only_what_changes_the_redirect_is_noted(records: Sqlite) -> None:
    own = claim(records)
    before = records.read(changes.newest)
    for answer, notes in ((NOTHING, 0), (said(own), 1), (said(own), 1), (NOTHING, 1), (NOT_ASKED, 1)):
        settle(records, own, answer)
        assert records.read(changes.newest) == before + notes


def test_a_name_stays_with_who_has_it_while_the_challenge_stands(records: Sqlite) -> None:
    first, second = claim(records, status="ready", proved_at_ms=NOW_MS), claim(records, "b")
    assert settle(records, second, said(first, second)) == ("pending", "claimed_elsewhere")
    assert stored(records, first).status == "ready"


@pytest.mark.parametrize("status", ["verified", "ready", "disabled"])
def test_a_name_passes_to_who_proves_it_when_the_challenge_before_is_gone(records: Sqlite, status: str) -> None:
    first, second = claim(records, status=status, proved_at_ms=NOW_MS), claim(records, "b")
    assert settle(records, second, NOTHING) == ("pending", "record_missing")
    assert settle(records, second, NOT_ASKED) == ("pending", "dns_unavailable")
    assert stored(records, first).status == status
    assert settle(records, second, said(second)) == ("ready", "verified")
    assert stored(records, first).status == "pending"
    # And back, the same way.
    assert settle(records, first, said(first, second)) == ("pending", "claimed_elsewhere")
    assert settle(records, first, said(first)) == ("ready", "verified")
    assert stored(records, second).status == "pending"


def test_the_installations_own_name_never_passes(records: Sqlite) -> None:
    own = claim(records)
    default = records.write(lambda tx: domains.ensure_default(tx, NAME, NOW_MS))
    assert settle(records, own, said(own)) == ("pending", "claimed_elsewhere")
    assert settle(records, default, NOT_ASKED) == ("ready", "verified")


def test_what_the_installation_vouches_for_needs_no_proof_and_never_passes(records: Sqlite) -> None:
    first, second = claim(records), claim(records, "b")
    assert settle(records, first, NOT_ASKED, VOUCHED) == ("ready", "verified")
    assert settle(records, second, said(second), VOUCHED) == ("pending", "claimed_elsewhere")
    # When it vouches no more, the time of grace begins with the last time that it did.
    late_ms = NOW_MS + GRACE_MS
    assert settle(records, first, NOTHING, now_ms=late_ms) == ("ready", "record_missing")
    assert settle(records, first, NOTHING, now_ms=late_ms + 1) == ("pending", "record_missing")


@pytest.mark.parametrize(
    ("answer", "proved_ago_ms", "status"),
    [
        ("stands", GRACE_MS + 1, "ready"), ("nothing", GRACE_MS, "ready"), ("nothing", GRACE_MS + 1, "pending"),
        ("trouble", GRACE_MS, "ready"), ("trouble", GRACE_MS + 1, "pending"),
    ],
)  # fmt: skip
def test_a_domain_that_is_switched_on_again_is_looked_up(
    records: Sqlite, answer: str, proved_ago_ms: int, status: str
) -> None:
    own = claim(records, status="disabled", proved_at_ms=NOW_MS - proved_ago_ms)
    found = {"stands": said(own), "nothing": NOTHING, "trouble": NOT_ASKED}[answer]
    assert settle(records, own, found)[0] == "disabled"
    records.write(lambda tx: domains.update(tx, own, NOW_MS))
    assert settle(records, own, found, enable=True)[0] == status


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sets(st.sampled_from("abc")) | st.none(),
            st.sampled_from([ANY_ADDRESS, HERE_ONLY, VOUCHED]),
            st.integers(0, GRACE_MS),
            st.sampled_from(["look", "enable", "disable"]),
        ),
        max_size=20,
    )
)  # fmt: skip
def test_whatever_happens_one_workspace_at_most_has_the_name(
    records: Sqlite, story: list[tuple[str, set[str] | None, Terms, int, str]]
) -> None:
    records.write(lambda tx: tx.run("delete from domains"))
    claims, now_ms = {name: claim(records, name) for name in "abc"}, NOW_MS
    for name, standing, terms, passed_ms, what in story:
        now_ms += passed_ms
        current = stored(records, claims[name])
        if what == "disable" and current.status != "pending":
            records.write(partial(domains.update, domain=current._replace(status="disabled"), now_ms=now_ms))
        answer = NOT_ASKED if standing is None else said(*(claims[one] for one in standing))
        status, finding = settle(records, claims[name], answer, terms, now_ms=now_ms, enable=what == "enable")
        holders = [one for one in claims.values() if stored(records, one).status != "pending"]
        assert len(holders) <= 1
        assert finding != "verified" or status != "pending"
