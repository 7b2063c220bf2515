"""Bursts: what comes at once out of a data centre is a scanner's, and what comes through a gateway may be."""

from __future__ import annotations

import pytest

from nimriz.core.clicks import bursts
from nimriz.core.clicks.bursts import BURST_CLICKS, BURST_DOORS, BURST_MS, Bursts, Sighting
from nimriz.core.clicks.quality import Corrected, Judged

SCANNED, THROUGH = Judged("bot", "scanner_burst"), Judged("suspect", "gateway_burst")
NOW_MS = 1_790_000_000_000


def seen(
    number: int, link_id: str = "l", placement: str = "", after_ms: int = 0, network: str = "hosting",
    address: str = "", user_agent: bytes = b"", workspace_id: str = "w",
) -> Sighting:  # fmt: skip
    """A click from a network and a user agent of its own, unless it is said otherwise."""
    address = address or f"10.{number}.0.1"
    return Sighting(number, workspace_id, link_id, placement, NOW_MS + after_ms, network, address,
                    user_agent or b"agent %d" % number)  # fmt: skip


def told(*clicks: Sighting) -> dict[int, Judged]:
    """What becomes of clicks, by their numbers."""
    book, found = Bursts(), dict[int, Judged]()
    for click in clicks:
        for each in book.see(click):
            assert each.click_seq not in found
            found[each.click_seq] = each.judged
    return found


def test_many_links_out_of_one_network_are_a_scanners_from_the_first_click_on() -> None:
    made = [seen(n, f"link{n}", address=f"192.0.2.{n}") for n in range(1, BURST_DOORS + 2)]
    assert told(*made[: BURST_DOORS - 1]) == {}
    assert told(*made) == dict.fromkeys(range(1, BURST_DOORS + 2), SCANNED)


def test_what_is_told_names_the_click_its_link_and_when_it_was_seen() -> None:
    book = Bursts()
    found = [
        book.see(seen(n, f"link{n}", after_ms=n, address="192.0.2.1", user_agent=b"a"))
        for n in range(1, BURST_DOORS + 1)
    ]
    assert found[:-1] == [[]] * (BURST_DOORS - 1)
    at_ms = NOW_MS + BURST_DOORS
    assert found[-1] == [Corrected(n, f"link{n}", at_ms, SCANNED) for n in range(1, BURST_DOORS + 1)]


def test_many_placements_of_one_link_are_as_good_as_many_links() -> None:
    made = [seen(n, placement=f"button{n}", address="192.0.2.1") for n in range(BURST_DOORS)]
    assert set(told(*made)) == set(range(BURST_DOORS))


def test_many_clicks_on_one_link_take_more() -> None:
    made = [seen(n, address=f"192.0.2.{n}") for n in range(1, BURST_CLICKS + 1)]
    assert told(*made[:-1]) == {}
    assert set(told(*made)) == {each.click_seq for each in made}


@pytest.mark.parametrize(
    ("address", "near", "far"),
    [
        ("192.0.2.1", "192.0.2.{}", "192.0.{}.1"),
        ("2001:db8:1::1", "2001:db8:1:{}::1", "2001:db8:{}::1"),
    ],
)
def test_a_network_is_as_large_as_one_customers(address: str, near: str, far: str) -> None:
    first = seen(1, "link1", address=address)
    assert len(told(first, *(seen(n, f"link{n}", address=near.format(n)) for n in range(2, BURST_DOORS + 1)))) > 0
    assert told(first, *(seen(n, f"link{n}", address=far.format(n)) for n in range(3, BURST_DOORS + 2))) == {}


def test_one_user_agent_out_of_many_data_centres_is_one_scanner() -> None:
    made = [seen(n, user_agent=b"Mozilla/5.0 the same") for n in range(1, BURST_CLICKS + 1)]
    assert set(told(*made)) == {each.click_seq for each in made}
    assert told(*(seen(n) for n in range(1, 50))) == {}


def test_people_behind_a_gateway_stay_suspects_and_share_their_browsers_with_everybody() -> None:
    near = [seen(n, network="gateway", address=f"192.0.2.{n}") for n in range(1, BURST_CLICKS + 1)]
    assert set(told(*near).values()) == {THROUGH}
    assert told(*(seen(n, network="gateway", user_agent=b"the same") for n in range(1, 50))) == {}


def test_workspaces_know_nothing_of_each_other() -> None:
    made = [seen(n, f"link{n}", address="192.0.2.1", workspace_id=f"w{n % 2}") for n in range(2 * BURST_DOORS - 2)]
    assert told(*made) == {}


def test_what_takes_longer_is_no_burst_and_what_was_long_before_no_part_of_one() -> None:
    slow = [
        seen(n, f"link{n}", after_ms=n * (BURST_MS // (BURST_DOORS - 1) + 1), address="192.0.2.1") for n in range(50)
    ]
    assert told(*slow) == {}
    late = [seen(100 + n, f"link{n}", after_ms=BURST_MS + 1, address="192.0.2.1") for n in range(BURST_DOORS)]
    assert set(told(seen(1, "before", address="192.0.2.1"), *late)) == {each.click_seq for each in late}


def test_clicks_that_changed_places_on_their_way_are_a_burst_all_the_same() -> None:
    made = [seen(n, f"link{n}", after_ms=-n, address="192.0.2.1") for n in range(BURST_DOORS)]
    assert len(told(*made)) == BURST_DOORS


def test_an_address_that_is_none_is_grouped_by_its_user_agent_alone() -> None:
    made = [seen(n, f"link{n}", address="unknown", user_agent=b"the same") for n in range(BURST_DOORS)]
    assert len(told(*made)) == BURST_DOORS


def test_only_so_much_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bursts, "GROUPS_MAX", 6)
    book = Bursts()
    for n in range(200):
        book.see(seen(n, f"link{n}", address=f"10.{n % 9}.0.1", user_agent=b"agent %d" % (n % 9)))
        assert len(book._groups) <= 6
        assert all(len(group) <= BURST_CLICKS for group in book._groups.values())


def test_neither_address_nor_user_agent_is_kept() -> None:
    book = Bursts()
    book.see(seen(1, address="198.51.100.234", user_agent=b"marked-agent"))
    kept = repr(book._groups)
    assert "198.51.100" not in kept
    assert "marked" not in kept
