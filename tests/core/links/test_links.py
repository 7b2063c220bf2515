"""Links: slugs that are unique, reserved and tombstoned, and destinations kept byte for byte."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nimriz.base.errors import Refused
from nimriz.core.directory import changes
from nimriz.core.links import domains, links, slugs
from nimriz.core.links.links import Link
from nimriz.core.links.slugs import RESERVED_SLUGS, TOMBSTONE_MS
from nimriz.store.sqlite import Sqlite
from tests.laws.ledger import NOW_MS, opened

URL = "https://shop.example/landing"


@pytest.fixture
def records() -> Iterator[Sqlite]:
    """An empty database of records."""
    with opened() as ledger:
        yield ledger.database


def draft(slug: str = "", long_url: str = URL, workspace_id: str = "w", domain_id: str = "d") -> Link:
    """A link that is not stored yet."""
    return Link("", workspace_id, domain_id, slug, long_url, "", "[]", "active", None, 302, 1, None, "auto", 0, 0, 0)


def create(records: Sqlite, link: Link, now_ms: int = NOW_MS) -> Link:
    """Store it."""
    return records.write(lambda tx: links.create(tx, link, "key:k", now_ms))


def refusal(records: Sqlite, link: Link, now_ms: int = NOW_MS) -> str:
    """The code with which it is refused."""
    with pytest.raises(Refused) as refused:
        create(records, link, now_ms)
    return refused.value.code


@pytest.mark.parametrize("long_url", [URL, URL + "?a=%7E&b=~&&c#x?y=é", "HTTPS://Shop.Example:443/ü/../%2e%2E/"])
def test_a_destination_is_stored_byte_for_byte(records: Sqlite, long_url: str) -> None:
    made = create(records, draft(long_url=long_url))
    found = records.read(lambda tx: links.find(tx, "w", made.link_id))
    assert found is not None
    assert found.long_url == long_url


def test_slugs_tell_case_apart_and_are_taken_once_in_a_domain(records: Sqlite) -> None:
    create(records, draft("Launch"))
    create(records, draft("launch"))
    create(records, draft("launch", domain_id="e"))
    assert refusal(records, draft("launch", workspace_id="v")) == "slug_taken"


@pytest.mark.parametrize("slug", sorted(RESERVED_SLUGS))
def test_reserved_slugs_are_refused(records: Sqlite, slug: str) -> None:
    assert refusal(records, draft(slug)) == "slug_reserved"


@pytest.mark.parametrize("slug", ["a b", "a/b", "é", "a" * 65, "a.b", "a\n", "%61"])
def test_a_slug_has_64_letters_digits_hyphens_and_underscores_at_most(records: Sqlite, slug: str) -> None:
    assert refusal(records, draft(slug)) == "slug_invalid"
    assert not slugs.is_slug(slug)


def test_a_deleted_links_slug_rests_for_30_days(records: Sqlite) -> None:
    made = create(records, draft("launch"))
    records.write(lambda tx: links.delete(tx, made, "key:k", NOW_MS))
    assert records.read(lambda tx: links.find_by_slug(tx, "d", "launch")) is None
    assert refusal(records, draft("launch"), NOW_MS + TOMBSTONE_MS - 1) == "slug_tombstoned"
    assert create(records, draft("launch"), NOW_MS + TOMBSTONE_MS).slug == "launch"


def test_the_tokens_of_a_deleted_link_still_belong_to_its_workspace(records: Sqlite) -> None:
    made = create(records, draft("launch"))
    records.write(lambda tx: links.delete(tx, made, "key:k", NOW_MS))
    assert records.read(lambda tx: links.workspace_of(tx, made.link_id)) == "w"
    assert records.read(lambda tx: links.workspace_of(tx, "never")) is None


def test_a_link_is_found_by_its_own_workspace_alone(records: Sqlite) -> None:
    made = create(records, draft())
    assert records.read(lambda tx: links.find(tx, "w", made.link_id)) == made
    assert records.read(lambda tx: links.find(tx, "v", made.link_id)) is None


def test_links_are_listed_newest_first_a_page_at_a_time(records: Sqlite) -> None:
    made = [create(records, draft(), NOW_MS + n) for n in range(5)]
    create(records, draft(workspace_id="v"))
    first = records.read(lambda tx: links.page(tx, "w", "", 3))
    rest = records.read(lambda tx: links.page(tx, "w", first[-1].link_id, 3))
    assert [link.link_id for link in first + rest] == [link.link_id for link in made[::-1]]


def test_every_change_is_noted_under_domain_and_slug(records: Sqlite) -> None:
    made = create(records, draft("launch"))
    records.write(lambda tx: links.change(tx, made, made._replace(title="x"), "key:k", NOW_MS + 1))
    records.write(lambda tx: links.delete(tx, made, "key:k", NOW_MS + 2))
    noted = records.read(lambda tx: changes.since(tx, 0, 10))
    assert [(change.topic, change.subject) for change in noted] == [("link", "d/launch")] * 3


def test_a_link_keeps_its_name_and_its_slug_rests_when_its_domain_is_given_back(records: Sqlite) -> None:
    domain = records.write(lambda tx: domains.add(tx, "w", "go.example", NOW_MS, ready=False))
    wanted = draft("spring", domain_id=domain.domain_id)
    link = records.write(lambda tx: links.create(tx, wanted, "operator", NOW_MS))
    records.write(lambda tx: links.delete(tx, link, "operator", NOW_MS))
    records.write(lambda tx: domains.remove(tx, domain, NOW_MS))
    label = {link.link_id: "go.example/spring"}
    assert records.read(lambda tx: links.labels(tx, "w", [link.link_id])) == label
    again = records.write(lambda tx: domains.add(tx, "w", "go.example", NOW_MS, ready=False))
    assert again.domain_id == domain.domain_id
    with pytest.raises(Refused) as refused:
        records.write(lambda tx: links.create(tx, wanted, "operator", NOW_MS))
    assert refused.value.code == "slug_tombstoned"
    assert records.read(lambda tx: links.labels(tx, "w", [link.link_id])) == label
