"""Lists and searches against the obvious: go through every link and look."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from nimriz.core.links import drafts, links
from nimriz.core.links.links import Filters, Link
from nimriz.store.db import Tx
from tests.laws.ledger import NOW_MS, opened

WORDS = st.text("abAB%_\\ éÉ.", max_size=4)
TAGS = st.lists(st.sampled_from(["a", "A", "spring", "é"]), max_size=2, unique=True)


class Said(NamedTuple):
    """What is said of one link."""

    workspace_id: str
    domain_id: str
    title: str
    tags: list[str]
    archived: int
    deleted: bool


SAID = st.builds(
    Said, st.sampled_from("wv"), st.sampled_from("de"), WORDS, TAGS, st.sampled_from([0, 0, 1]), st.booleans()
)
FILTERS = st.builds(
    Filters,
    st.sampled_from(["", "", "a", "A", "spring"]),
    WORDS,
    st.sampled_from(["", "d", "e"]),
    st.sampled_from([0, 1, None]),
)


def made(tx: Tx, number: int, said: Said) -> Link | None:
    """A link as it was said; None for one that was deleted at once."""
    blank = drafts.blank(said.workspace_id, said.domain_id, f"s{number}")
    link = blank._replace(
        long_url="https://shop.example/", title=said.title, tags=json.dumps(said.tags), archived=said.archived
    )
    link = links.create(tx, link, "operator", NOW_MS + number)
    if said.deleted:
        links.delete(tx, link, "operator", NOW_MS + number)
    return None if said.deleted else link


def fits(link: Link, filters: Filters) -> bool:
    """Whether a link is one of those asked for."""
    tags: list[Any] = json.loads(link.tags)
    text = f"{link.slug} {link.title} {link.long_url} {' '.join(tags)}".lower()
    return (
        link.workspace_id == "w"
        and filters.archived in (None, link.archived)
        and filters.domain_id in ("", link.domain_id)
        and (not filters.tag or filters.tag in tags)
        and filters.search.lower() in text
    )


@given(st.lists(SAID, max_size=12), FILTERS, st.integers(1, 5))
def test_every_question_finds_what_going_through_all_links_finds(
    said: list[Said], filters: Filters, limit: int
) -> None:
    with opened() as ledger:
        stored = ledger.database.write(lambda tx: [made(tx, number, one) for number, one in enumerate(said)])
        expected = [link for link in reversed(stored) if link is not None and fits(link, filters)]
        found: list[Link] = []
        before_id = ""
        while True:
            page = ledger.database.read(
                partial(links.page, workspace_id="w", before_id=before_id, limit=limit, filters=filters)
            )
            found += page
            if len(page) < limit:
                break
            before_id = page[-1].link_id
        assert found == expected
