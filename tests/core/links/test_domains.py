"""Domains: what is a name, who may claim it, and when it is looked up again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.base.clock import DAY_MS
from nimriz.base.errors import Refused
from nimriz.core.directory import changes
from nimriz.core.links import dns, domains
from nimriz.core.links.domains import DOMAINS_MAX, EAGER_EVERY_MS, EAGER_MS, NAME_CHARS_MAX, SHARED, Domain
from nimriz.store.sqlite import Sqlite
from tests.laws.ledger import NOW_MS, opened

LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * (NAME_CHARS_MAX - 3 * 64)])


@pytest.fixture
def records() -> Iterator[Sqlite]:
    """An empty database of records."""
    with opened() as ledger:
        yield ledger.database


def add(records: Sqlite, workspace_id: str = "a", name: str = "go.example.com", *, ready: bool = False) -> Domain:
    """A claim, or a domain that the installation vouches for."""
    return records.write(lambda tx: domains.add(tx, workspace_id, name, NOW_MS, ready=ready))


def put(records: Sqlite, domain: Domain) -> Domain:
    """The domain as it is given."""
    return records.write(lambda tx: domains.update(tx, domain, NOW_MS))


def refusal(records: Sqlite, workspace_id: str, name: str = "go.example.com", *, ready: bool = False) -> str:
    """The code with which a claim is refused."""
    with pytest.raises(Refused) as refused:
        add(records, workspace_id, name, ready=ready)
    return refused.value.code


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Go.Example.COM", "go.example.com"), ("bücher.example", "xn--bcher-kva.example"), ("localhost", "localhost"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"), ("a-b.c1.example", "a-b.c1.example"), (LONGEST, LONGEST),
    ],
)  # fmt: skip
def test_a_name_is_kept_in_lower_case_and_ascii(text: str, name: str) -> None:
    assert domains.read_name(text) == name
    assert len(dns.challenge_name(name)) <= 253


@pytest.mark.parametrize(
    "text",
    [
        "", "example", "go.example.com.", ".example.com", "go..example.com", "https://go.example.com",
        "go.example.com/x", "go.example.com:443", "user@go.example.com", "go.example.com?", "go.example.com#",
        "127.0.0.1", "[::1]", "1.2.3",
        "0x7f.1", "-a.example.com", "a-.example.com", "_nimriz.example.com", "*.example.com", "a b.example.com",
        "go.example.com\n", "a%2eexample.com", "\ud800.example.com", "x" * 64 + ".example.com", "e" + LONGEST,
    ],
)  # fmt: skip
def test_what_is_no_name_of_a_host_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        domains.read_name(text)
    assert [error.code for error in refused.value.errors] == ["host_malformed"]


@given(st.text() | st.from_regex(r"[a-zA-Z0-9.:/@_ -]{0,80}", fullmatch=True))
def test_any_text_is_a_name_or_refused_and_a_name_is_itself(text: str) -> None:
    try:
        name = domains.read_name(text)
    except Refused:
        return
    assert domains.read_name(name) == name
    assert name.isascii()
    assert len(name) <= NAME_CHARS_MAX
    assert name == name.lower()


def test_every_claim_has_a_challenge_of_its_own(records: Sqlite) -> None:
    made = [add(records, "a"), add(records, "b"), add(records, "a", "www.example.com")]
    assert len({domain.challenge for domain in made}) == 3
    assert all(domain.challenge.startswith("nimriz-verify=") and len(domain.challenge) == 54 for domain in made)
    assert {domain.status for domain in made} == {"pending"}


def test_a_workspace_claims_a_name_once_and_another_may_claim_it_too(records: Sqlite) -> None:
    first = add(records, "a")
    assert refusal(records, "a") == "domain_taken"
    put(records, first._replace(status="ready"))
    assert add(records, "b").status == "pending"
    assert refusal(records, "a") == "domain_taken"


def test_what_the_installation_has_cannot_be_claimed(records: Sqlite) -> None:
    records.write(lambda tx: domains.ensure_default(tx, "go.example.com", NOW_MS))
    assert refusal(records, "a") == "domain_taken"
    assert refusal(records, "a", ready=True) == "domain_taken"


def test_a_name_that_the_installation_vouches_for_goes_to_who_comes_first(records: Sqlite) -> None:
    claim = add(records, "a")
    assert add(records, "b", ready=True).status == "ready"
    assert refusal(records, "c", ready=True) == "domain_taken"
    assert records.read(lambda tx: domains.find(tx, claim.domain_id)) == claim


def test_a_workspace_has_at_most_so_many_domains(records: Sqlite) -> None:
    for number in range(DOMAINS_MAX):
        add(records, "a", f"d{number}.example.com")
    assert refusal(records, "a", "one-more.example.com") == "quota_exceeded"
    assert add(records, "b", "one-more.example.com").status == "pending"


def test_a_host_is_the_domain_of_who_has_proved_it_and_else_somebodys_claim(records: Sqlite) -> None:
    add(records, "a")
    second = add(records, "b")
    claimed = records.read(lambda tx: domains.find_by_name(tx, "go.example.com"))
    assert claimed is not None
    assert not claimed.ready
    assert not records.read(lambda tx: domains.is_short_domain(tx, "go.example.com", "c"))
    second = put(records, second._replace(status="ready"))
    assert records.read(lambda tx: domains.find_by_name(tx, "go.example.com")) == second
    assert records.read(lambda tx: domains.is_short_domain(tx, "go.example.com", "c"))
    assert records.read(lambda tx: domains.find_by_name(tx, "www.go.example.com")) is None


@pytest.mark.parametrize(
    ("status", "may"), [("pending", False), ("verified", True), ("ready", True), ("disabled", False)]
)
def test_a_certificate_is_for_names_that_are_proved_and_switched_on(records: Sqlite, status: str, may: bool) -> None:
    put(records, add(records)._replace(status=status))
    assert records.read(lambda tx: domains.may_have_certificate(tx, "go.example.com")) == may
    assert not records.read(lambda tx: domains.may_have_certificate(tx, "example.com"))


def test_a_workspace_finds_its_own_domain_and_no_other(records: Sqlite) -> None:
    default = records.write(lambda tx: domains.ensure_default(tx, "localhost", NOW_MS))
    own = add(records)
    assert records.read(lambda tx: domains.find_own(tx, "a", own.domain_id)) == own
    for workspace_id, domain_id in (("b", own.domain_id), ("a", default.domain_id), ("a", "nothing")):
        with pytest.raises(Refused) as refused:
            records.read(partial(domains.find_own, workspace_id=workspace_id, domain_id=domain_id))
        assert refused.value.code == "domain_not_found"


def test_a_workspace_gives_way_to_the_installations_own_name(records: Sqlite) -> None:
    records.write(lambda tx: domains.ensure_default(tx, "localhost", NOW_MS))
    own = put(records, add(records)._replace(status="ready"))
    default = records.write(lambda tx: domains.ensure_default(tx, "go.example.com", NOW_MS))
    assert (default.workspace_id, default.domain_name, default.ready) == (SHARED, "go.example.com", True)
    assert records.read(lambda tx: domains.find_by_name(tx, "go.example.com")) == default
    left = records.read(lambda tx: domains.find(tx, own.domain_id))
    assert left == own._replace(status="pending")


def test_a_change_is_noted_for_every_process_and_a_look_is_not(records: Sqlite) -> None:
    own = add(records)
    before = records.read(changes.newest)
    records.write(lambda tx: domains.mark_checked(tx, own._replace(checked_at_ms=NOW_MS)))
    assert records.read(changes.newest) == before
    put(records, own._replace(status="ready"))
    assert records.read(changes.newest) == before + 1


def due(records: Sqlite, now_ms: int, limit: int = 100) -> list[str]:
    """The names of the domains whose time has come."""
    found = records.read(lambda tx: domains.due(tx, now_ms, DAY_MS, limit))
    return sorted(domain.domain_name for domain in found)


def test_a_domain_is_looked_up_again_after_a_day_and_an_unfinished_one_sooner(records: Sqlite) -> None:
    records.write(lambda tx: domains.ensure_default(tx, "localhost", NOW_MS))
    for status in ("pending", "verified", "ready", "disabled"):
        put(records, add(records, name=f"{status}.example.com")._replace(status=status, checked_at_ms=NOW_MS))
    assert due(records, NOW_MS + EAGER_EVERY_MS) == []
    unfinished = ["pending.example.com", "verified.example.com"]
    assert due(records, NOW_MS + EAGER_EVERY_MS + 1) == unfinished
    assert due(records, NOW_MS + DAY_MS + 1) == sorted([*unfinished, "ready.example.com"])


def test_nobody_waits_eagerly_for_more_than_a_week(records: Sqlite) -> None:
    late_ms = NOW_MS + EAGER_MS
    put(records, add(records)._replace(checked_at_ms=late_ms))
    assert due(records, late_ms + EAGER_EVERY_MS + 1) == []
    assert due(records, late_ms + DAY_MS + 1) == ["go.example.com"]


def test_who_waited_longest_is_looked_up_first(records: Sqlite) -> None:
    for number in (3, 1, 2):
        put(records, add(records, name=f"d{number}.example.com")._replace(checked_at_ms=number))
    add(records, name="d0.example.com")
    assert due(records, NOW_MS, limit=3) == ["d0.example.com", "d1.example.com", "d2.example.com"]


def remove(records: Sqlite, domain: Domain) -> None:
    """Give a domain back."""
    records.write(lambda tx: domains.remove(tx, domain, NOW_MS))


def test_a_domain_given_back_is_nowhere_to_be_found_and_its_name_is_free(records: Sqlite) -> None:
    own = put(records, add(records)._replace(status="ready", proved_at_ms=NOW_MS))
    remove(records, own)
    assert records.read(lambda tx: domains.find(tx, own.domain_id)) is None
    assert records.read(lambda tx: domains.find_by_name(tx, own.domain_name)) is None
    assert records.read(lambda tx: domains.of_workspace(tx, "a")) == []
    assert not records.read(lambda tx: domains.is_short_domain(tx, own.domain_name, "a"))
    assert not records.read(lambda tx: domains.may_have_certificate(tx, own.domain_name))
    assert due(records, NOW_MS + DAY_MS * 10) == []
    other = add(records, "b", ready=True)
    assert (other.status, other.domain_id == own.domain_id) == ("ready", False)
    records.write(lambda tx: domains.ensure_default(tx, own.domain_name, NOW_MS))
    assert records.read(lambda tx: domains.find(tx, own.domain_id)) is None


def test_a_name_taken_again_is_the_domain_that_it_was_and_has_to_be_proved_anew(records: Sqlite) -> None:
    first = put(
        records,
        add(records)._replace(status="ready", root_url="https://x.example/", proved_at_ms=1, checked_at_ms=1),
    )
    remove(records, first)
    again = records.write(lambda tx: domains.add(tx, "a", first.domain_name, NOW_MS + 1, ready=False))
    assert (again.domain_id, again.status, again.root_url) == (first.domain_id, "pending", "")
    assert (again.proved_at_ms, again.checked_at_ms, again.created_at_ms) == (None, None, NOW_MS + 1)
    assert again.challenge != first.challenge
    assert records.read(lambda tx: domains.find(tx, first.domain_id)) == again
    assert refusal(records, "a") == "domain_taken"


def test_domains_given_back_count_for_nothing(records: Sqlite) -> None:
    for number in range(DOMAINS_MAX):
        remove(records, add(records, "a", f"d{number}.example.com"))
    assert add(records, "a", "one-more.example.com").status == "pending"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_an_installation_on_the_loopback_answers_there_by_every_name(host: str) -> None:
    assert domains.hosts_of(host) == domains.Hosts(frozenset({"localhost", "127.0.0.1", "[::1]"}), "localhost")
    assert domains.hosts_of("go.example.com").default_domain == "go.example.com"
