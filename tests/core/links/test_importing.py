"""Importing: all rows or none, once however often, and only on what still holds when it is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nimriz.base.errors import Refused
from nimriz.core.directory import workspaces
from nimriz.core.links import blocklist, domains, history, importing, links, slugs
from nimriz.core.links.destinations import Policy
from nimriz.core.links.importing import Target, Unsettled
from nimriz.core.links.link_files import FileRow
from nimriz.core.links.links import ALL
from nimriz.store.db import Tx
from nimriz.store.prepared import Prepared
from nimriz.store.sqlite import Sqlite
from tests.laws.ledger import NOW_MS, opened

URL = "https://shop.example/landing"


@pytest.fixture
def records() -> Iterator[Sqlite]:
    """An empty database of records."""
    with opened() as ledger:
        yield ledger.database


@pytest.fixture
def target(records: Sqlite) -> Target:
    """A new workspace, on the default domain."""

    def write(tx: Tx) -> Target:
        workspace = workspaces.create(tx, "Alice's shop", NOW_MS)
        domain = domains.ensure_default(tx, "localhost", NOW_MS)
        return Target(workspace.workspace_id, domain, Policy(frozenset({"app.example"}), private_allowed=False))

    return records.write(write)


def rows(*named: tuple[str, str] | str, **said: Any) -> list[FileRow]:
    """Rows by their slugs, or slugs and destinations."""
    pairs = [(name, URL) if isinstance(name, str) else name for name in named]
    return [FileRow(line, slug, {"long_url": url, **said}, ()) for line, (slug, url) in enumerate(pairs, 2)]


def bring_in(records: Sqlite, target: Target, given: list[FileRow], **how: bool) -> tuple[list[str], bool]:
    outcomes, written = importing.bring_in(records, target, given, lambda: NOW_MS, lambda _: None, **how)
    return [one.code if isinstance(one, Refused) else one for one in outcomes], written


def stored(records: Sqlite, target: Target) -> list[links.Link]:
    return records.read(lambda tx: links.page(tx, target.workspace_id, "", 1_000, ALL._replace(archived=None)))


def test_rows_become_links_with_what_they_say_and_the_operator_in_their_history(
    records: Sqlite, target: Target
) -> None:
    given = rows("spring", title="Spring", tags=["mail"], utm={"source": "news"}, archived=True, status="disabled")
    assert bring_in(records, target, given) == (["made"], True)
    (link,) = stored(records, target)
    assert (link.slug, link.long_url, link.title, link.tags) == ("spring", URL, "Spring", '["mail"]')
    assert (link.utm, link.archived, link.status) == ('{"source": "news"}', 1, "disabled")
    (entry,) = records.read(lambda tx: history.page(tx, target.workspace_id, link.link_id, 0, 10))
    assert (entry.actor, entry.action) == ("operator", "created")


def test_a_row_that_is_there_already_is_neither_refused_nor_made_again(records: Sqlite, target: Target) -> None:
    assert bring_in(records, target, rows("a", "b")) == (["made", "made"], True)
    assert bring_in(records, target, rows("a", "b", "c")) == (["there", "there", "made"], True)
    assert bring_in(records, target, rows("a", "b", "c")) == (["there"] * 3, False)
    assert len(stored(records, target)) == 3


def test_a_row_that_stands_twice_in_a_file_is_made_once_and_another_destination_is_refused(
    records: Sqlite, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = rows("a", "a", ("a", URL + "?other"), "b")
    for slice_rows in (1_000, 1):
        monkeypatch.setattr(importing, "SLICE_ROWS", slice_rows)
        assert bring_in(records, target, given, dry_run=True)[0] == ["made", "there", "slug_taken", "made"]


def test_one_refused_row_stops_them_all_unless_it_is_to_be_skipped(records: Sqlite, target: Target) -> None:
    given = rows("a", "b c", ("c", "ftp://shop.example"), "api")
    codes = ["made", "slug_invalid", "destination_invalid", "slug_reserved"]
    assert bring_in(records, target, given) == (codes, False)
    assert bring_in(records, target, given, dry_run=True, skip_refused=True) == (codes, False)
    assert stored(records, target) == []
    assert bring_in(records, target, given, skip_refused=True) == (codes, True)
    assert [link.slug for link in stored(records, target)] == ["a"]


def test_rows_are_judged_as_the_api_judges(records: Sqlite, target: Target) -> None:
    def write(tx: Tx) -> None:
        blocklist.add(tx, target.workspace_id, "bad.example", "", NOW_MS)
        slugs.retire(tx, target.domain.domain_id, "old", "gone", NOW_MS)

    records.write(write)
    bring_in(records, target._replace(workspace_id="somebody-else"), rows("theirs"))
    given = rows(
        "old", "theirs", ("c", "https://x.bad.example"), ("d", "http://10.0.0.1"), ("e", "https://app.example"), ""
    )
    codes = ["slug_tombstoned", "slug_taken", *["destination_blocked"] * 3, "slug_invalid"]
    assert bring_in(records, target, given) == (codes, False)
    assert bring_in(records, target, rows("f", title="x" * 501)) == (["validation_failed"], False)
    assert bring_in(records, target, rows("f", expires_at="soon")) == (["validation_failed"], False)


def interrupted(monkeypatch: pytest.MonkeyPatch, change: Any) -> list[int]:
    """Have something happen after each judgment and before the writing; how often it did."""
    prepared_, times = importing._prepared, [0]

    def and_then(*given: Any) -> Any:
        result = prepared_(*given)
        times[0] += 1
        change(times[0])
        return result

    monkeypatch.setattr(importing, "_prepared", and_then)
    return times


def test_what_has_changed_between_judgment_and_writing_is_judged_again(
    records: Sqlite, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = drafted(target, "b")
    times = interrupted(
        monkeypatch, lambda n: records.write(lambda tx: links.create(tx, taken, "key:k", NOW_MS)) if n == 1 else None
    )
    assert bring_in(records, target, rows("a", ("b", URL + "?mine"))) == (["made", "slug_taken"], False)
    assert times == [2]
    assert [link.slug for link in stored(records, target)] == ["b"]


def test_what_does_not_concern_the_file_disturbs_nothing(
    records: Sqlite, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = interrupted(
        monkeypatch, lambda n: records.write(lambda tx: links.create(tx, drafted(target, f"x{n}"), "key:k", NOW_MS))
    )
    assert bring_in(records, target, rows("a")) == (["made"], True)
    assert times == [1]


def test_what_keeps_changing_is_given_up_and_nothing_is_written(
    records: Sqlite, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = interrupted(
        monkeypatch,
        lambda n: records.write(lambda tx: blocklist.add(tx, target.workspace_id, f"bad{n}.example", "", NOW_MS)),
    )
    with pytest.raises(Unsettled):
        bring_in(records, target, rows("a"))
    assert times == [importing.TRIES]
    assert stored(records, target) == []


def test_a_transaction_that_fails_halfway_leaves_nothing(
    records: Sqlite, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform = Prepared.perform

    def fail(self: Prepared, tx: Tx) -> None:
        perform(self, tx)
        raise OSError

    monkeypatch.setattr(Prepared, "perform", fail)
    with pytest.raises(OSError):
        bring_in(records, target, rows("a", "b"))
    assert stored(records, target) == []


def drafted(target: Target, slug: str) -> links.Link:
    """A link of this workspace that is not stored yet."""
    return links.Link(
        "",
        target.workspace_id,
        target.domain.domain_id,
        slug,
        URL,
        "",
        "[]",
        "active",
        None,
        302,
        0,
        None,
        "auto",
        0,
        0,
        0,
    )
