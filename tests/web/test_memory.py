"""Memory: bounded, forgotten when something changes, and never older than the last change that was read."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from nimriz.core.links import blocklist, domains, links
from nimriz.core.links.destinations import Policy
from nimriz.core.routing import rule_changes, rule_drafts
from nimriz.store.db import StoreError
from nimriz.web import memory as module
from nimriz.web.memory import Shelf
from tests.web.place import NOW_MS, PATIENCE_S, URL, Place, run, until


def test_a_full_shelf_lets_go_of_what_was_put_down_first() -> None:
    shelf: Shelf[str, int] = Shelf(2)
    assert [shelf.put("a", 1), shelf.put("b", 2), shelf.put("a", 3), shelf.put("c", 4)] == [False, False, False, True]
    assert [shelf.get(key) for key in "abc"] == [None, 2, 4]
    shelf.drop("b")
    shelf.drop("never there")
    assert (shelf.put("d", 5), len(shelf)) == (False, 2)
    shelf.clear()
    assert (shelf.get("d"), len(shelf)) == (None, 0)


def test_a_shelf_that_weighs_makes_room_for_what_is_heavy() -> None:
    shelf: Shelf[str, bytes] = Shelf(10, 100, len)
    for name in "abc":
        assert shelf.put(name, b"x" * 30) == 0
    assert (shelf.put("d", b"x" * 60), len(shelf), shelf.weight) == (2, 2, 90)
    assert (shelf.put("d", b"x"), len(shelf), shelf.weight) == (0, 2, 31)
    shelf.drop("c")
    shelf.drop("c")
    assert shelf.weight == 1
    assert (shelf.put("e", b"x" * 1_000), len(shelf), shelf.weight) == (1, 1, 1_000)
    assert (shelf.put("f", b"x"), len(shelf), shelf.weight) == (1, 1, 1)
    shelf.clear()
    assert (len(shelf), shelf.weight) == (0, 0)


def test_long_destinations_take_the_room_of_many(place: Place) -> None:
    async def story() -> None:
        memory = place.memory(signpost_bytes_max=20_000)
        for n in range(10):
            place.link(f"short{n}")
            await place.leads_to(memory, f"short{n}")
        assert len(memory.signposts) == 10
        for n in range(3):
            place.link(f"long{n}", URL + "?" + "x" * 8_000)
            await place.leads_to(memory, f"long{n}")
        assert memory.signposts.weight <= 20_000
        assert len(memory.signposts) == 2

    run(story())


def test_links_and_slugs_that_lead_nowhere_are_bounded_apart(place: Place) -> None:
    async def story() -> None:
        memory = place.memory(signposts_max=2, misses_max=3)
        for n in range(5):
            place.link(f"s{n}")
            assert await place.leads_to(memory, f"s{n}") == URL.encode()
        for n in range(50):
            assert await place.leads_to(memory, f"nowhere{n}") is None
        assert (len(memory.signposts), len(memory.misses)) == (2, 3)
        assert place.counters.signposts_evicted == 3
        assert await place.leads_to(memory, "s0") == URL.encode()

    run(story())


def test_what_is_in_memory_is_not_read_again_and_those_who_ask_together_read_once(place: Place) -> None:
    async def story() -> None:
        memory = place.memory()
        place.link("launch")
        found = await asyncio.gather(*(memory.signpost(place.domain, "launch") for _ in range(20)))
        assert len(set(map(id, found))) == 1
        await asyncio.gather(*(memory.signpost(place.domain, "nowhere") for _ in range(20)))
        reads = place.directory.reads
        for slug in ("launch", "nowhere"):
            await place.leads_to(memory, slug)
        assert (reads, place.directory.reads) == (2, 2)

    run(story())


def test_a_slug_that_led_nowhere_is_found_once_another_process_has_made_the_link(place: Place) -> None:
    async def story() -> None:
        memory = place.memory()
        assert await place.leads_to(memory, "launch") is None
        link = place.link("launch")
        assert await place.leads_to(memory, "launch") is None  # Not known here yet.
        await memory.refresh()
        assert await place.leads_to(memory, "launch") == URL.encode()
        place.lead(link, "https://shop.example/elsewhere")
        await memory.refresh()
        assert await place.leads_to(memory, "launch") == b"https://shop.example/elsewhere"
        place.other.write(lambda tx: links.delete(tx, link, "operator", NOW_MS))
        await memory.refresh()
        assert await place.leads_to(memory, "launch") is None

    run(story())


def test_what_was_read_before_a_change_is_never_put_down_after_it(place: Place) -> None:
    async def story() -> None:
        memory = place.memory()
        link = place.link("launch")
        for slug, old in (("launch", URL.encode()), ("later", None)):
            place.directory.hold()
            early = asyncio.create_task(place.leads_to(memory, slug))
            await asyncio.to_thread(place.directory.holding.wait, PATIENCE_S)
            if old is None:
                place.link(slug, "https://new.example/")
            else:
                place.lead(link, "https://new.example/")
            await memory.refresh()
            # Whoever asks now does not share the answer that is still on its way.
            assert await place.leads_to(memory, slug) == b"https://new.example/"
            place.directory.release()
            assert await early == old
            assert await place.leads_to(memory, slug) == b"https://new.example/"
            assert not memory.misses.get((place.domain.domain_id, slug))

    run(story())


def test_what_could_not_be_read_is_not_remembered(place: Place) -> None:
    async def story() -> None:
        memory = place.memory()
        place.link("launch")
        place.directory.broken = True
        for ask in (memory.signpost(place.domain, "launch"), memory.domain("localhost"), memory.api_key("nimkey_x")):
            with pytest.raises(StoreError):
                await ask
        place.directory.broken = False
        assert await place.leads_to(memory, "launch") == URL.encode()
        assert await memory.domain("localhost") == place.domain

    run(story())


def test_the_one_who_asked_first_may_go_away_and_the_others_still_get_the_answer(place: Place) -> None:
    async def story() -> None:
        memory = place.memory()
        place.link("launch")
        place.directory.hold()
        first, second = (asyncio.create_task(place.leads_to(memory, "launch")) for _ in range(2))
        await asyncio.to_thread(place.directory.holding.wait, PATIENCE_S)
        first.cancel()
        await asyncio.wait([first])
        place.directory.release()
        assert await second == URL.encode()
        assert (first.cancelled(), place.directory.reads) == (True, 1)

    run(story())


def test_a_change_of_a_domain_forgets_everything(place: Place) -> None:
    async def story() -> None:
        memory = place.memory()
        place.link("launch")
        await memory.refresh()
        await place.leads_to(memory, "launch")
        await place.leads_to(memory, "nowhere")
        assert await memory.domain("new.example") is None
        assert (len(memory.signposts), len(memory.misses), len(memory.domains)) == (1, 1, 1)
        place.rename("new.example")
        await memory.refresh()
        assert (len(memory.signposts), len(memory.misses), len(memory.domains)) == (0, 0, 0)
        renamed = await memory.domain("new.example")
        assert renamed is not None
        assert renamed.domain_id == place.domain.domain_id

    run(story())


def test_a_flood_of_notes_forgets_everything_and_every_note_is_still_read(place: Place) -> None:
    async def story() -> None:
        memory = place.memory()
        place.link("launch")
        await memory.refresh()
        seen = place.counters.changes_seen
        await place.leads_to(memory, "launch")
        await place.leads_to(memory, "nowhere")
        place.note(1_001)
        await memory.refresh()
        assert (len(memory.signposts), len(memory.misses)) == (1, 1)
        place.note(20_001)
        await memory.refresh()
        assert (len(memory.signposts), len(memory.misses)) == (0, 0)
        await place.leads_to(memory, "launch")
        await memory.refresh()
        assert place.counters.changes_seen - seen == 21_002
        assert len(memory.signposts) == 1

    run(story())


def test_two_who_refresh_at_once_do_not_take_a_note_twice(place: Place) -> None:
    async def story() -> None:
        memory = place.memory()
        await memory.refresh()
        seen = place.counters.changes_seen
        place.note(5)
        place.directory.hold()
        slow = asyncio.create_task(memory.refresh())
        await asyncio.to_thread(place.directory.holding.wait, PATIENCE_S)
        place.note(5)
        await memory.refresh()
        place.directory.release()
        await slow
        assert place.counters.changes_seen - seen == 10
        place.note(1)
        await memory.refresh()
        assert place.counters.changes_seen - seen == 11

    run(story())


def test_notes_are_read_in_the_background_and_an_outage_does_not_end_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.005)

    async def story() -> None:
        memory = place.memory()
        place.link("before")
        await memory.start()
        assert place.counters.changes_seen == 0  # What changed before the start is not in memory anyway.
        assert await place.leads_to(memory, "launch") is None
        place.link("launch")
        await until(lambda: place.counters.changes_seen == 1)
        assert await place.leads_to(memory, "launch") == URL.encode()
        place.directory.broken = True
        reads = place.directory.reads
        await until(lambda: place.directory.reads > reads + 3)
        assert await place.leads_to(memory, "launch") == URL.encode()  # Known links go on.
        place.directory.broken = False
        place.note(1)
        await until(lambda: place.counters.changes_seen == 2)
        await memory.stop()

    run(story())


def test_a_fallback_whose_host_is_blocked_is_forgotten_and_comes_back(place: Place) -> None:
    async def story() -> None:
        memory = place.memory()
        own = place.other.write(lambda tx: domains.add(tx, place.workspace_id, "go.example", NOW_MS, ready=True))
        own = own._replace(
            root_url="https://bad.example/",
            not_found_url="https://a.bad.example/x",
            expired_url="https://fine.example/",
        )
        place.other.write(lambda tx: domains.update(tx, own, NOW_MS))
        await memory.refresh()
        assert await memory.domain("go.example") == own
        for on in (blocklist.INSTALLATION, place.workspace_id):
            place.other.write(partial(blocklist.add, workspace_id=on, host="bad.example", reason="", now_ms=NOW_MS))
            await memory.refresh()
            assert await memory.domain("go.example") == own._replace(root_url="", not_found_url="")
            place.other.write(partial(blocklist.remove, workspace_id=on, host="bad.example", now_ms=NOW_MS))
            await memory.refresh()
            assert await memory.domain("go.example") == own
        place.other.write(lambda tx: blocklist.add(tx, "somebody else", "bad.example", "", NOW_MS))
        await memory.refresh()
        assert await memory.domain("go.example") == own

    run(story())


def test_rules_that_another_process_has_changed_are_seen(place: Place) -> None:
    async def story() -> None:
        memory = place.memory()
        link = place.link("ruled")
        await place.leads_to(memory, "ruled")
        draft = rule_drafts.RouteDraft(kind="route", destination="https://shop.example/elsewhere")
        policy = Policy(frozenset(), private_allowed=False)
        place.other.write(lambda tx: rule_changes.replace(tx, link, [draft], None, policy, "operator", NOW_MS))
        assert memory.signposts.get((place.domain.domain_id, "ruled")) is not None
        await memory.refresh()
        assert memory.signposts.get((place.domain.domain_id, "ruled")) is None
        signpost = await memory.signpost(place.domain, "ruled")
        assert signpost is not None
        assert signpost.rules is not None
        assert signpost.rules.rules[0].targets[0].destination == b"https://shop.example/elsewhere"
        await memory.stop()

    run(story())
