"""Every question about links is answered through an index, whether or not SQLite knows how many rows there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any

import pytest

from nimriz.core.directory import changes
from nimriz.core.links import blocklist, creation, destinations, domains, drafts, history, links, slugs
from nimriz.core.links.creation import Order
from nimriz.core.links.destinations import Policy
from nimriz.core.links.drafts import NewLink
from nimriz.core.links.links import Filters
from nimriz.core.routing import decisions, experiments, rules, signposts
from nimriz.store.db import NO_PARAMS, Params, Row, Scalar, Tx
from nimriz.store.migrate import migrate
from nimriz.store.sql import for_keys
from nimriz.store.sqlite import Sqlite

NOW_MS = 1_763_900_000_000
LINKS = 2_000
BIG = "links|link_texts|link_tags|link_history|tombstones|creation_keys|changes|domains|blocked_hosts|workspaces"
POLICY = Policy(frozenset({"localhost"}), False)


class Listener:
    """A transaction that writes down what is asked of it."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.heard: list[str] = []

    def all(self, sql: str, params: Params = NO_PARAMS) -> list[Row]:
        self.heard.append(sql)
        return self._tx.all(sql, params)

    def one(self, sql: str, params: Params = NO_PARAMS) -> Row | None:
        self.heard.append(sql)
        return self._tx.one(sql, params)

    def run(self, sql: str, params: Params = NO_PARAMS) -> None:
        self.heard.append(sql)
        self._tx.run(sql, params)

    def many(self, sql: str, rows: Iterable[Params | Sequence[Scalar]]) -> None:
        self._tx.many(sql, rows)

    def each(self, sql: str, keys: Sequence[Scalar], params: Params = NO_PARAMS) -> list[Row]:
        self.heard.append(for_keys(sql, 8))
        return self._tx.each(sql, keys, params)


@pytest.fixture(scope="module", params=["without statistics", "with statistics"])
def records(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Sqlite]:
    """Many links of one workspace, all under one tag, and domains of others."""
    database = Sqlite(tmp_path_factory.mktemp("plans") / "records.db")
    migrate(database, "records", 0)

    def fill(tx: Tx) -> None:
        domain = domains.ensure_default(tx, "localhost", NOW_MS)
        made = [
            drafts.blank("w", domain.domain_id, f"slug{n}")._replace(long_url="https://shop.example/", tags='["all"]')
            for n in range(LINKS)
        ]
        links.create_many(tx, made, "operator", NOW_MS)
        for n in range(LINKS // 20):
            domains.add(tx, f"v{n}", f"go-{n}.example", NOW_MS, ready=True)
        if request.param == "with statistics":
            tx.run("analyze")

    database.write(fill)
    yield database
    database.close()


Question = Callable[[Tx, domains.Domain, links.Link], object]
QUESTIONS: dict[str, Question] = {
    "the redirect": lambda tx, domain, link: signposts.compile_signpost(tx, domain, link.slug),
    "a miss": lambda tx, domain, _: signposts.compile_signpost(tx, domain, "nothing"),
    "a click of a bounded link": lambda tx, _, link: links.use_clicks(tx, [link.link_id], NOW_MS),
    "a host": lambda tx, domain, _: domains.find_by_name(tx, domain.domain_name),
    "a domain": lambda tx, domain, _: domains.find_usable(tx, "w", domain.domain_id),
    "a workspace's domains": lambda tx, *_: domains.of_workspace(tx, "w"),
    "whether a domain is used": lambda tx, domain, _: links.has_any(tx, domain.domain_id),
    "a link": lambda tx, _, link: links.find(tx, "w", link.link_id),
    "some links": lambda tx, _, link: links.find_many(tx, "w", [link.link_id]),
    "a link by its slug": lambda tx, domain, link: links.find_by_slug(tx, domain.domain_id, link.slug),
    "links by their slugs": lambda tx, domain, link: links.find_by_slugs(tx, domain.domain_id, [link.slug]),
    "whose a link is": lambda tx, _, link: links.workspace_of(tx, link.link_id),
    "names of links": lambda tx, _, link: links.labels(tx, "w", [link.link_id]),
    "whether a slug is free": lambda tx, domain, _: slugs.unavailable(tx, domain.domain_id, ["free"], NOW_MS),
    "free slugs": lambda tx, domain, _: slugs.generate(tx, domain.domain_id, 3, NOW_MS),
    "whether a host is blocked": lambda tx, *_: blocklist.blocks(tx, "w", "www.shop.example"),
    "a destination": lambda tx, *_: destinations.check(tx, "w", destinations.read("https://shop.example/"), POLICY),
    "making links": lambda tx, domain, _: creation.create_many(tx, "w", orders(domain.domain_id), POLICY, "x", NOW_MS),
    "renaming a link": lambda tx, _, link: links.change(tx, link, link._replace(slug="b", tags="[]"), "x", NOW_MS),
    "deleting a link": lambda tx, _, link: links.delete(tx, link, "operator", NOW_MS),
    "a link's history": lambda tx, _, link: history.page(tx, "w", link.link_id, 0, 100),
    "a link's rules": lambda tx, _, link: rules.find(tx, link.link_id),
    "a link's experiments": lambda tx, _, link: experiments.of_link(tx, link.link_id),
    "the phases of an experiment": lambda tx, *_: experiments.phases(tx, "e"),
    "the numbers of a link": lambda tx, _, link: decisions.of_link(tx, link.link_id),
    "the numbers of some rules": lambda tx, _, link: decisions.of_rules(tx, link.link_id, ["r"]),
    "what numbers mean": lambda tx, _, link: decisions.named(tx, [(link.link_id, 7)]),
    "the newest changes": lambda tx, *_: changes.since(tx, changes.newest(tx), 100),
}


def orders(domain_id: str) -> list[Order]:
    row = NewLink(domain_id=domain_id, long_url="https://shop.example/")
    return [Order(drafts.read(row), f"key-{n}") for n in range(2)]


def plans_of(records: Sqlite, question: Question) -> list[tuple[str, str]]:
    """What a question says in SQL, each with the steps of its plan."""

    def ask(tx: Tx) -> list[tuple[str, str]]:
        domain = domains.find_by_name(tx, "localhost")
        link = None if domain is None else links.find_by_slug(tx, domain.domain_id, "slug7")
        assert domain is not None
        assert link is not None
        listener = Listener(tx)
        question(listener, domain, link)
        assert listener.heard
        return [(sql, step) for sql in listener.heard for step in steps_of(tx, sql)]

    with pytest.raises(_Undone) as undone:
        records.write(lambda tx: _undo(ask(tx)))
    plans: list[tuple[str, str]] = undone.value.args[0]
    return plans


def steps_of(tx: Tx, sql: str) -> list[str]:
    params: dict[str, Any] = dict.fromkeys(re.findall(r":(\w+)", sql), "1")
    return [row[3] for row in tx.all(f"explain query plan {sql}", params)]


class _Undone(Exception):
    """What was asked leaves nothing behind."""


def _undo(plans: list[tuple[str, str]]) -> None:
    raise _Undone(plans)


def reads_too_much(step: str) -> bool:
    whole = re.search(rf"SCAN ({BIG})\b", step)
    workspace = re.search(r"SEARCH link\w* .*\(workspace_id=\?\)$", step)
    return bool(whole or workspace)


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_no_question_reads_all_links(records: Sqlite, name: str) -> None:
    for sql, step in plans_of(records, QUESTIONS[name]):
        assert not reads_too_much(step), (step, sql)


@pytest.mark.parametrize(
    "filters",
    [
        Filters(tag, search, domain_id, archived)
        for tag, search, domain_id, archived in product(("", "all"), ("", "shop"), ("", "d"), (0, 1, None))
    ],
)
def test_a_list_is_read_in_its_order_and_from_its_cursor_on(records: Sqlite, filters: Filters) -> None:
    plans = plans_of(records, lambda tx, _, link: links.page(tx, "w", link.link_id, 100, filters))
    steps = [step for _, step in plans]
    assert not any(reads_too_much(step) or "TEMP B-TREE" in step for step in steps), steps
    assert steps[0].endswith("link_id<?)"), steps
    # A tag is narrower than a search, and both are narrower than the workspace.
    assert ("link_tags" if filters.tag else "link_texts" if filters.search else "links") in steps[0], steps


def test_a_search_reads_narrow_texts_alone(records: Sqlite) -> None:
    plans = plans_of(records, lambda tx, *_: links.page(tx, "w", "", 100, Filters(search="shop")))
    assert [step.split(" ")[1] for _, step in plans] == ["link_texts", "links"]


def test_a_scan_would_be_seen(records: Sqlite) -> None:
    for sql in ("select link_id from links where title = :title", "select link_id from links where workspace_id = :w"):
        steps = records.read(lambda tx, sql=sql: steps_of(tx, sql))  # type: ignore[misc]
        assert reads_too_much(steps[0]), steps
