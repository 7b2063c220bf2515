"""Slugs against a model: whatever is made, renamed and deleted, one slug leads to one link, and rests."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from nimriz.base.errors import Refused
from nimriz.base.ids import SLUG_ALPHABET
from nimriz.core.links import drafts, links, slugs
from nimriz.core.links.links import Link
from nimriz.core.links.slugs import TOMBSTONE_MS
from nimriz.store.db import Tx
from tests.laws.ledger import NOW_MS, opened

SLUGS = ["a", "A", "b", "c-d", "api", "no/t"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.sampled_from(SLUGS), st.just("")),
        st.tuples(st.just("rename"), st.sampled_from(SLUGS), st.sampled_from(SLUGS)),
        st.tuples(st.just("delete"), st.sampled_from(SLUGS), st.just("")),
        st.tuples(st.just("wait"), st.sampled_from(["1", str(TOMBSTONE_MS // 2)]), st.just("")),
    ),
    max_size=25,
)


class Model:
    """Who holds which slug, and who gave up which when."""

    def __init__(self) -> None:
        self.held: dict[str, Link] = {}
        self.resting: dict[str, tuple[str, int]] = {}

    def why_not(self, slug: str, now_ms: int, link_id: str = "") -> str:
        """The code with which a slug is refused; '' when it is free."""
        if slug == "api":
            return "slug_reserved"
        if slug == "no/t":
            return "slug_invalid"
        if slug in self.held:
            return "slug_taken"
        owner, since_ms = self.resting.get(slug, ("", 0))
        return "slug_tombstoned" if since_ms > now_ms - TOMBSTONE_MS and owner != link_id else ""


@given(STEPS)
def test_slugs_are_taken_given_up_and_rest_as_the_model_says(steps: list[tuple[str, str, str]]) -> None:
    with opened() as ledger:
        model, now_ms = Model(), NOW_MS
        for action, slug, other in steps:
            now_ms += int(slug) if action == "wait" else 1
            code = ledger.database.write(
                partial(step, model=model, action=action, slug=slug, other=other, now_ms=now_ms)
            )
            assert code is None, (action, slug, other)
        for slug in SLUGS:
            held = ledger.database.read(partial(links.find_by_slug, domain_id="d", slug=slug))
            assert held == model.held.get(slug)


def step(tx: Tx, model: Model, action: str, slug: str, other: str, now_ms: int) -> str | None:
    """Do one step here and in the model; a sentence where they differ."""
    link = model.held.get(slug)
    if action == "create":
        expected = model.why_not(slug, now_ms)
        try:
            model.held[slug] = links.create(tx, drafts.blank("w", "d", slug), "operator", now_ms)
        except Refused as refused:
            return None if refused.code == expected else f"{refused.code}, not {expected}"
        return None if not expected else f"made, not {expected}"
    if link is None or action == "wait":
        return None
    if action == "delete":
        links.delete(tx, link, "operator", now_ms)
        model.resting[slug] = (model.held.pop(slug).link_id, now_ms)
        return None
    expected = "" if other == slug else model.why_not(other, now_ms, link.link_id)
    try:
        renamed = links.change(tx, link, link._replace(slug=other), "operator", now_ms)
    except Refused as refused:
        return None if refused.code == expected else f"{refused.code}, not {expected}"
    if expected:
        return f"renamed, not {expected}"
    del model.held[slug]
    model.held[other] = renamed
    if other != slug:
        model.resting[slug] = (link.link_id, now_ms)
    return None


def test_generated_slugs_have_seven_characters_without_look_alikes_and_are_free() -> None:
    with opened() as ledger:
        made = ledger.database.write(lambda tx: slugs.generate(tx, "d", 500, NOW_MS))
    assert len(set(made)) == 500
    assert {len(slug) for slug in made} == {7}
    assert set("".join(made)) <= set(SLUG_ALPHABET)
    assert not set(SLUG_ALPHABET) & set("0O1lI")


def test_old_tombstones_are_forgotten_and_young_ones_are_not() -> None:
    with opened() as ledger:
        ledger.database.write(lambda tx: slugs.retire(tx, "d", "old", "l", NOW_MS - TOMBSTONE_MS))
        ledger.database.write(lambda tx: slugs.retire(tx, "d", "young", "l", NOW_MS - TOMBSTONE_MS + 1))
        ledger.database.write(lambda tx: slugs.forget_old(tx, NOW_MS))
        rows = ledger.database.read(lambda tx: tx.all("select slug from tombstones"))
        assert rows == [("young",)]
        found = ledger.database.read(lambda tx: slugs.unavailable(tx, "d", ["old", "young"], NOW_MS))
        assert found == {"young": "slug_tombstoned"}
