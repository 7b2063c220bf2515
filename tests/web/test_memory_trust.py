"""Memory of credentials: believed only while the notes of changes are fresh, gone as soon as they are revoked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from nimriz.core.directory import credentials, entitlements
from nimriz.store.db import StoreError
from nimriz.web import memory as module
from nimriz.web.memory import TRUSTED_S
from tests.web.place import NOW_MS, PATIENCE_S, VAULT, Place, run


class Watch:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 1_000.0


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """The clock by which memory trusts its notes."""
    moved = Watch()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: moved.now_s))
    return moved


class Held:
    """A live secret and a live key of a workspace, and what the other process does to them."""

    def __init__(self, place: Place) -> None:
        self._place = place
        write, workspace_id = place.other.write, place.workspace_id
        _, self.secret = write(lambda tx: credentials.create_secret(tx, VAULT, workspace_id, "live", NOW_MS))
        self.text, self.key = write(lambda tx: credentials.create_key(tx, VAULT, workspace_id, "k", ("admin",), NOW_MS))

    def revoke_secret(self) -> None:
        """Stop the secret."""
        place = self._place
        revoked = place.other.write(
            lambda tx: credentials.revoke_secret(tx, place.workspace_id, self.secret.secret_id, NOW_MS)
        )
        assert revoked

    def revoke_key(self) -> None:
        """Stop the key."""
        place = self._place
        assert place.other.write(lambda tx: credentials.revoke_key(tx, place.workspace_id, self.key.key_id, NOW_MS))


@pytest.fixture
def held(place: Place) -> Held:
    """Credentials of the workspace."""
    return Held(place)


def test_credentials_are_believed_while_the_notes_are_fresh_and_no_longer(
    place: Place, held: Held, watch: Watch
) -> None:
    async def story() -> None:
        memory = place.memory()
        assert not memory.fresh  # No note was ever read.
        await memory.refresh()
        access = await memory.access(place.workspace_id)
        assert [secret.secret_id for secret in access.secrets] == [held.secret.secret_id]
        assert access.surfaces == frozenset(entitlements.SURFACES)
        assert await memory.api_key(held.text) == held.key
        reads = place.directory.reads
        held.revoke_secret()
        held.revoke_key()
        watch.now_s += TRUSTED_S - 0.01
        assert memory.access_in_memory(place.workspace_id) == access  # Within the second that is promised.
        assert await memory.api_key(held.text) == held.key
        assert place.directory.reads == reads
        watch.now_s += 0.02
        assert not memory.fresh
        assert memory.access_in_memory(place.workspace_id) is None
        assert (await memory.access(place.workspace_id)).secrets == ()
        assert await memory.api_key(held.text) is None

    run(story())


def test_notes_are_as_old_as_the_moment_at_which_reading_them_began(place: Place, watch: Watch) -> None:
    async def story() -> None:
        memory = place.memory()
        place.directory.hold()
        slow = asyncio.create_task(memory.refresh())
        await asyncio.to_thread(place.directory.holding.wait, PATIENCE_S)
        watch.now_s += TRUSTED_S
        place.directory.release()
        await slow
        assert not memory.fresh

    run(story())


def test_with_stale_notes_and_no_records_credentials_are_unavailable_rather_than_believed(
    place: Place, held: Held, watch: Watch
) -> None:
    async def story() -> None:
        memory = place.memory()
        await memory.refresh()
        await memory.access(place.workspace_id)
        await memory.api_key(held.text)
        place.directory.broken = True
        with pytest.raises(StoreError):
            await memory.refresh()
        assert await memory.api_key(held.text) == held.key
        watch.now_s += TRUSTED_S
        assert memory.access_in_memory(place.workspace_id) is None
        with pytest.raises(StoreError):
            await memory.access(place.workspace_id)
        with pytest.raises(StoreError):
            await memory.api_key(held.text)

    run(story())


def test_a_note_takes_away_exactly_what_it_names(place: Place, held: Held, watch: Watch) -> None:
    async def story() -> None:
        memory = place.memory()
        place.link("launch")
        await memory.refresh()
        await memory.access(place.workspace_id)
        await memory.api_key(held.text)
        await place.leads_to(memory, "launch")
        held.revoke_key()
        await memory.refresh()
        assert await memory.api_key(held.text) is None
        assert memory.access_in_memory(place.workspace_id) is not None
        held.revoke_secret()
        await memory.refresh()
        assert memory.access_in_memory(place.workspace_id) is None
        assert len(memory.signposts) == 1

    run(story())


def test_a_surface_that_is_closed_is_closed_in_memory_too(place: Place, held: Held, watch: Watch) -> None:
    async def story() -> None:
        memory = place.memory()
        await memory.refresh()
        await memory.access(place.workspace_id)
        place.other.write(
            lambda tx: entitlements.set_flag(tx, place.workspace_id, "conversion_tracking", False, NOW_MS)
        )
        await memory.refresh()
        assert memory.access_in_memory(place.workspace_id) is None
        assert "conversion_tracking" not in (await memory.access(place.workspace_id)).surfaces

    run(story())


@pytest.mark.parametrize("what", ["secret", "key"])
def test_what_was_read_before_a_revocation_is_never_put_down_after_it(
    place: Place, held: Held, watch: Watch, what: str
) -> None:
    async def story() -> None:
        memory = place.memory()
        await memory.refresh()
        asks: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
            "secret": lambda: memory.access(place.workspace_id),
            "key": lambda: memory.api_key(held.text),
        }
        place.directory.hold()
        early = asyncio.create_task(asks[what]())
        await asyncio.to_thread(place.directory.holding.wait, PATIENCE_S)
        held.revoke_secret()
        held.revoke_key()
        await memory.refresh()
        place.directory.release()
        await early
        assert memory.access_in_memory(place.workspace_id) is None
        assert (await memory.access(place.workspace_id)).secrets == ()
        assert await memory.api_key(held.text) is None

    run(story())


def test_a_workspace_that_is_not_there_has_nobody_who_signs_until_it_is_made(place: Place, watch: Watch) -> None:
    async def story() -> None:
        memory = place.memory()
        await memory.refresh()
        nobody = await memory.access("no such workspace")
        assert (nobody.secrets, nobody.surfaces) == ((), frozenset())
        assert memory.access_in_memory("no such workspace") == nobody
        place.note(1, "workspace", "no such workspace")
        await memory.refresh()
        assert memory.access_in_memory("no such workspace") is None

    run(story())
