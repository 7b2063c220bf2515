"""Members, their roles, passes, sessions and second factors, on a database of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nimriz.base.errors import Refused
from nimriz.core.directory import audit, workspaces
from nimriz.core.directory.vault import Vault
from nimriz.core.members import entry, members, passes, second_factor, sessions
from nimriz.core.members.entry import Person
from nimriz.core.members.members import Member, Role
from nimriz.store.db import StoreError, Tx
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite

NOW_MS = 1_790_000_000_000
VAULT = Vault(b"a" * 32)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Sqlite]:
    """Records without anybody."""
    database = Sqlite(tmp_path / "records.db")
    migrate(database, "records", NOW_MS)
    yield database
    database.close()


@pytest.fixture
def shop(records: Sqlite) -> str:
    """A workspace."""
    return records.write(lambda tx: workspaces.create(tx, "Ann's shop", NOW_MS)).workspace_id


def joined(records: Sqlite, workspace_id: str, name: str, role: Role) -> Member:
    """A member of a workspace."""

    def write(tx: Tx) -> Member:
        member = members.create(tx, f"{name}@shop.example", name, "hash", NOW_MS)
        members.join(tx, workspace_id, member.member_id, role, NOW_MS)
        return member

    return records.write(write)


def token_of(path: str) -> str:
    return path.rpartition("/")[2]


def refused(records: Sqlite, code: str, fn: Callable[[Tx], object]) -> None:
    with pytest.raises(Refused) as error:
        records.write(fn)
    assert error.value.code == code


def test_an_admin_gives_every_role_but_an_owners(records: Sqlite, shop: str) -> None:
    boss, admin = joined(records, shop, "o", "owner"), joined(records, shop, "a", "admin")
    viewer = joined(records, shop, "v", "viewer")
    records.write(lambda tx: members.change_role(tx, shop, admin, viewer.member_id, "member", NOW_MS))
    assert records.read(lambda tx: members.role_of(tx, shop, viewer.member_id)) == "member"
    refused(records, "role_missing", lambda tx: members.change_role(tx, shop, admin, viewer.member_id, "owner", NOW_MS))
    refused(records, "role_missing", lambda tx: members.change_role(tx, shop, admin, boss.member_id, "admin", NOW_MS))
    refused(records, "role_missing", lambda tx: members.remove(tx, shop, admin, boss.member_id, NOW_MS))
    refused(records, "role_missing", lambda tx: members.change_role(tx, shop, admin, admin.member_id, "owner", NOW_MS))
    refused(records, "role_missing", lambda tx: members.remove(tx, shop, viewer, admin.member_id, NOW_MS))


def test_the_last_owner_stays_one(records: Sqlite, shop: str) -> None:
    boss = joined(records, shop, "o", "owner")
    refused(records, "last_owner", lambda tx: members.remove(tx, shop, boss, boss.member_id, NOW_MS))
    refused(records, "last_owner", lambda tx: members.change_role(tx, shop, boss, boss.member_id, "admin", NOW_MS))
    joined(records, shop, "p", "owner")
    records.write(lambda tx: members.remove(tx, shop, boss, boss.member_id, NOW_MS))
    assert records.read(lambda tx: members.role_of(tx, shop, boss.member_id)) is None


def test_a_pass_works_once_and_for_a_while(records: Sqlite, shop: str) -> None:
    new = Person("bob@shop.example", "Bob", "hash")
    made = records.write(lambda tx: passes.for_invited(tx, VAULT, shop, "admin", "Bob", audit.OPERATOR, NOW_MS))
    late = NOW_MS + passes.LIFE_MS["invitation"]
    refused(records, "pass_not_found", lambda tx: entry.invited(tx, VAULT, token_of(made), new, late))
    refused(records, "pass_not_found", lambda tx: passes.find(tx, VAULT, "reset", token_of(made), NOW_MS))
    member, _ = records.write(lambda tx: entry.invited(tx, VAULT, token_of(made), new, NOW_MS))
    assert records.read(lambda tx: members.role_of(tx, shop, member.member_id)) == "admin"
    other = Person("eve@shop.example", "Eve", "hash")
    refused(records, "pass_not_found", lambda tx: entry.invited(tx, VAULT, token_of(made), other, NOW_MS))


def test_the_setup_makes_one_owner_and_no_second(records: Sqlite) -> None:
    old = records.write(lambda tx: passes.for_setup(tx, VAULT, NOW_MS))
    made = records.write(lambda tx: passes.for_setup(tx, VAULT, NOW_MS))
    ann = Person("ann@shop.example", "Ann", "hash")
    refused(records, "pass_not_found", lambda tx: entry.first_owner(tx, VAULT, token_of(old), ann, "Shop", NOW_MS))
    member = records.write(lambda tx: entry.first_owner(tx, VAULT, token_of(made), ann, "Shop", NOW_MS))
    (found,) = records.read(lambda tx: members.memberships(tx, member.member_id))
    assert (found.workspace_name, found.role) == ("Shop", "owner")
    again = records.write(lambda tx: passes.for_setup(tx, VAULT, NOW_MS))
    eve = Person("eve@shop.example", "Eve", "hash")
    refused(records, "pass_not_found", lambda tx: entry.first_owner(tx, VAULT, token_of(again), eve, "", NOW_MS))


def test_a_session_ends_by_idleness_by_age_and_with_the_password(records: Sqlite, shop: str) -> None:
    ann = joined(records, shop, "ann", "owner")

    def begun() -> str:
        return records.write(lambda tx: sessions.begin(tx, VAULT, ann.member_id, "", NOW_MS, complete=True))

    def lives(token: str, at_ms: int) -> bool:
        return records.read(lambda tx: sessions.find(tx, VAULT, token, at_ms)) is not None

    first, second = begun(), begun()
    assert lives(first, NOW_MS + sessions.IDLE_MS - 1)
    assert not lives(first, NOW_MS + sessions.IDLE_MS)
    (found, _) = records.read(lambda tx: sessions.of_member(tx, ann.member_id, NOW_MS))
    records.write(lambda tx: sessions.mark_used(tx, found.session_id, NOW_MS + sessions.LIFE_MS - 1))
    assert not any(lives(token, NOW_MS + sessions.LIFE_MS) for token in (first, second))
    fresh = records.write(lambda tx: entry.change_password(tx, VAULT, ann.member_id, "other", "", NOW_MS))
    assert [lives(token, NOW_MS) for token in (first, second, fresh)] == [False, False, True]


def test_what_owes_a_code_is_over_soon(records: Sqlite, shop: str) -> None:
    ann = joined(records, shop, "ann", "owner")
    token = records.write(lambda tx: sessions.begin(tx, VAULT, ann.member_id, "", NOW_MS, complete=False))
    assert records.read(lambda tx: sessions.find(tx, VAULT, token, NOW_MS + sessions.HALF_MS - 1))
    assert records.read(lambda tx: sessions.find(tx, VAULT, token, NOW_MS + sessions.HALF_MS)) is None
    records.write(lambda tx: sessions.forget_old(tx, NOW_MS + sessions.HALF_MS))
    assert records.read(lambda tx: sessions.find(tx, VAULT, token, NOW_MS)) is None


def test_a_code_works_once_and_so_does_a_recovery_code(records: Sqlite, shop: str) -> None:
    ann = joined(records, shop, "ann", "owner")
    secret = second_factor.read_secret(second_factor.new_secret())
    assert secret is not None
    refused(records, "code_wrong", lambda tx: second_factor.turn_on(tx, VAULT, ann, secret, "000000x", NOW_MS))
    code = second_factor.code_at(secret, NOW_MS)
    codes = records.write(lambda tx: second_factor.turn_on(tx, VAULT, ann, secret, code, NOW_MS))
    assert len(set(codes)) == second_factor.RECOVERY_CODES

    def use(given: str, at_ms: int) -> None:
        def write(tx: Tx) -> None:
            member = members.find(tx, ann.member_id)
            assert member is not None
            second_factor.use(tx, VAULT, member, given, at_ms)

        records.write(write)

    with pytest.raises(Refused):
        use(code, NOW_MS)
    later_ms = NOW_MS + 60_000
    later = second_factor.code_at(secret, later_ms)
    # Half a minute late is still in time, a minute and a half is not.
    with pytest.raises(Refused):
        use(later, later_ms + 90_000)
    use(f" {later[:3]} {later[3:]} ", later_ms + 30_000)
    with pytest.raises(Refused):
        use(later, later_ms + 30_000)
    use(codes[3].upper().replace("-", " "), NOW_MS)
    with pytest.raises(Refused):
        use(codes[3], NOW_MS)
    assert records.read(lambda tx: second_factor.codes_left(tx, ann.member_id)) == second_factor.RECOVERY_CODES - 1


def test_a_reset_sets_the_password_ends_sessions_and_the_second_factor(records: Sqlite, shop: str) -> None:
    ann = joined(records, shop, "ann", "owner")
    secret = second_factor.read_secret(second_factor.new_secret())
    assert secret is not None
    code = second_factor.code_at(secret, NOW_MS)
    other = joined(records, shop, "bob", "viewer")
    records.write(lambda tx: second_factor.turn_on(tx, VAULT, ann, secret, code, NOW_MS))
    session = records.write(lambda tx: sessions.begin(tx, VAULT, ann.member_id, "", NOW_MS, complete=True))
    made = records.write(lambda tx: passes.for_reset(tx, VAULT, ann.member_id, NOW_MS))
    records.write(lambda tx: entry.reset(tx, VAULT, token_of(made), "new hash", NOW_MS))
    found = records.read(lambda tx: members.find(tx, ann.member_id))
    assert found is not None
    assert (found.password_hash, found.totp_sealed) == ("new hash", None)
    assert records.read(lambda tx: sessions.find(tx, VAULT, session, NOW_MS)) is None
    deeds = records.read(lambda tx: audit.of_member(tx, ann.member_id, 10))
    assert [deed.action for deed in deeds] == ["totp_off", "password_reset", "reset_made", "totp_on"]
    assert records.read(lambda tx: audit.of_member(tx, other.member_id, 10)) == []


def test_what_was_done_is_noted_and_stays(records: Sqlite, shop: str) -> None:
    boss = joined(records, shop, "o", "owner")
    guest = joined(records, shop, "v", "viewer")
    records.write(lambda tx: members.change_role(tx, shop, boss, guest.member_id, "admin", NOW_MS))
    newest, oldest = records.read(lambda tx: audit.page(tx, shop, 0, 10))
    assert (newest.actor, newest.action, newest.subject) == (
        f"member:{boss.member_id}",
        "role_changed",
        guest.member_id,
    )
    assert json.loads(newest.facts) == {"before": "viewer", "after": "admin"}
    assert oldest.action == "workspace_created"
    assert records.read(lambda tx: audit.page(tx, shop, newest.seq, 10)) == [oldest]
    with pytest.raises(StoreError):
        records.write(lambda tx: tx.run("delete from deeds"))
    with pytest.raises(StoreError):
        records.write(lambda tx: tx.run("update deeds set actor = 'x'"))


def test_no_token_no_code_and_no_password_lies_in_the_records(records: Sqlite, shop: str, tmp_path: Path) -> None:
    ann = joined(records, shop, "ann", "owner")
    secret_text = second_factor.new_secret()
    secret = second_factor.read_secret(secret_text)
    assert secret is not None
    code = second_factor.code_at(secret, NOW_MS)
    shown = records.write(lambda tx: second_factor.turn_on(tx, VAULT, ann, secret, code, NOW_MS))
    shown.append(records.write(lambda tx: sessions.begin(tx, VAULT, ann.member_id, "", NOW_MS, complete=True)))
    shown.append(token_of(records.write(lambda tx: passes.for_setup(tx, VAULT, NOW_MS))))
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert ann.email.encode() in files
    assert [one for one in [*shown, secret_text] if one.encode() in files] == []
    assert secret not in files


@pytest.mark.parametrize("text", ["", "ann", "@", "ann@", "a b@c", "ann@shop\0.example", "x" * 251 + "@a.b"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert members.read_email(text) is None


def test_an_address_is_kept_in_lower_case() -> None:
    assert members.read_email(" Ann@Shop.Example ") == "ann@shop.example"


@pytest.mark.parametrize("text", ["short", "a" * 20, "abab" * 5, "Ann@shop.example", "x" * 129])
def test_a_poor_password_is_none(text: str) -> None:
    assert not entry.is_password(text, "ann@shop.example")
