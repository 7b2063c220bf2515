"""Quality: what a request says of itself, and what the pace of a visitor's clicks says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.core.clicks import quality
from nimriz.core.clicks.quality import (
    FAST_CLICKS,
    HUMAN,
    REPEAT_MS,
    SCANNED_LINKS,
    SPEED_MS,
    Corrected,
    Judged,
    Pace,
    by_network,
    by_request,
    graver,
)

REPEAT, FAST, SCANNER = (Judged("suspect", r) for r in ("repeat", "impossible_speed", "scanner_pattern"))
JUDGED = st.sampled_from([HUMAN, REPEAT, FAST, by_request("library", False, ""), by_request("crawler", False, "")])


@pytest.mark.parametrize(
    ("kind", "crawler", "purpose", "expected"),
    [
        ("browser", False, "", HUMAN),
        ("", False, "", HUMAN),
        ("", True, "", Judged("bot", "declared_crawler")),
        ("browser", True, "", Judged("bot", "declared_crawler")),
        ("scanner", True, "", Judged("bot", "email_scanner")),
        ("preview", False, "", Judged("bot", "link_preview")),
        ("library", False, "", Judged("suspect", "http_library")),
        ("library", True, "", Judged("bot", "declared_crawler")),
        ("unknown", False, "", Judged("suspect", "unknown_agent")),
        ("browser", False, "prefetch", Judged("bot", "prefetch")),
        ("browser", False, "preview", Judged("bot", "link_preview")),
    ],
)
def test_a_request_says_what_it_is(kind: str, crawler: bool, purpose: str, expected: Judged) -> None:
    assert by_request(kind, crawler, purpose) == expected


def judged(*clicks: tuple[int, str]) -> list[Judged]:
    """The clicks of one visitor, one after the other."""
    pace = Pace()
    return [pace.judge(b"visitor", link_id, at_ms, seq) for seq, (at_ms, link_id) in enumerate(clicks, 1)]


def test_a_click_on_the_same_link_within_seconds_is_a_repeat_also_when_another_link_was_between() -> None:
    assert judged((0, "a"), (REPEAT_MS, "a"), (2 * REPEAT_MS + 1, "a")) == [HUMAN, REPEAT, HUMAN]
    assert judged((0, "a"), (1, "b"), (2, "a")) == [HUMAN, HUMAN, REPEAT]


def test_many_links_within_seconds_are_a_scanners() -> None:
    fast = [(n * 1_000, f"link{n}") for n in range(SCANNED_LINKS)]
    assert judged(*fast) == [HUMAN] * (SCANNED_LINKS - 1) + [SCANNER]
    slow = [(n * SPEED_MS // (SCANNED_LINKS - 2), f"link{n}") for n in range(SCANNED_LINKS)]
    assert judged(*slow) == [HUMAN] * SCANNED_LINKS


def test_many_clicks_within_seconds_are_faster_than_a_person() -> None:
    assert judged(*[(n * 1_000, "a") for n in range(FAST_CLICKS)]) == [HUMAN] + [REPEAT] * (FAST_CLICKS - 2) + [FAST]
    assert FAST not in judged(*[(n * SPEED_MS // (FAST_CLICKS - 2), "a") for n in range(50)])


def told(*clicks: tuple[int, str]) -> list[Corrected]:
    """What one visitor's clicks, numbered from 1, say of those before them."""
    pace = Pace()
    for seq, (at_ms, link_id) in enumerate(clicks, 1):
        pace.judge(b"visitor", link_id, at_ms, seq)
    return pace.earlier()


def test_whoever_opens_many_links_at_once_was_a_scanner_from_the_first_one_on() -> None:
    fast = [(n * 1_000, f"link{n}") for n in range(SCANNED_LINKS + 2)]
    assert told(*fast[: SCANNED_LINKS - 1]) == []
    first_ones = [Corrected(n + 1, f"link{n}", (SCANNED_LINKS - 1) * 1_000, SCANNER) for n in range(SCANNED_LINKS - 1)]
    assert told(*fast) == first_ones


def test_whoever_clicks_faster_than_a_person_did_so_from_the_first_click_on() -> None:
    # The repeats in between were no person's already.
    assert told(*[(n * 500, "a") for n in range(50)]) == [Corrected(1, "a", (FAST_CLICKS - 1) * 500, FAST)]


def test_what_was_long_before_a_run_is_no_part_of_it() -> None:
    before = (0, "before")
    run = [(SPEED_MS + 1 + n, f"link{n}") for n in range(SCANNED_LINKS)]
    assert [each.click_seq for each in told(before, *run)] == list(range(2, SCANNED_LINKS + 1))


def test_nothing_is_told_twice() -> None:
    pace = Pace()
    for n in range(SCANNED_LINKS):
        pace.judge(b"visitor", f"link{n}", n, n + 1)
    assert (len(pace.earlier()), pace.earlier()) == (SCANNED_LINKS - 1, [])


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("", HUMAN), ("gateway", HUMAN), ("hosting", Judged("suspect", "data_centre")),
        ("scanner", Judged("bot", "email_scanner")),
    ],
)  # fmt: skip
def test_a_network_says_of_one_click_only_what_holds_of_all_its_people(network: str, expected: Judged) -> None:
    assert by_network(network) == expected


def test_a_clock_that_is_put_back_makes_nobody_fast() -> None:
    assert judged(*[(1_000_000 - n * 1_000, f"link{n % 6}") for n in range(30)]) == [HUMAN] * 30


def test_visitors_are_told_apart_and_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "VISITORS_MAX", 3)
    pace = Pace()
    visitors = [b"a", b"b", b"c"]
    assert [pace.judge(visitor, "l", 0, 1) for visitor in visitors] == [HUMAN] * 3
    assert pace.judge(b"a", "l", 1, 1) == REPEAT
    assert pace.judge(b"d", "l", 2, 1) == HUMAN
    # b clicked longest ago, and was forgotten.
    assert [pace.judge(visitor, "l", 3, 1) for visitor in (b"a", b"c")] == [REPEAT, REPEAT]
    assert pace.judge(b"b", "l", 4, 1) == HUMAN
    assert len(pace._last) == 3


def plainly(before: list[tuple[int, str]], link_id: str, at_ms: int) -> Judged:
    """The same rules said at length, about a visitor's whole past."""
    recent = [(t, link) for t, link in before if at_ms - t <= SPEED_MS][1 - FAST_CLICKS :]
    if recent and len({link for _, link in recent} | {link_id}) >= SCANNED_LINKS:
        return SCANNER
    if len(recent) + 1 >= FAST_CLICKS:
        return FAST
    return REPEAT if any(link == link_id and at_ms - t <= REPEAT_MS for t, link in recent) else HUMAN


@given(st.lists(st.tuples(st.integers(0, 4_000), st.sampled_from("abcdefg"), st.sampled_from("xy")), max_size=60))
def test_the_pace_is_what_the_whole_past_of_each_visitor_says(clicks: list[tuple[int, str, str]]) -> None:
    pace, at_ms = Pace(), 0
    past: dict[str, list[tuple[int, str]]] = {"x": [], "y": []}
    stood: dict[int, Judged] = {}
    made: dict[int, tuple[int, str]] = {}
    for seq, (wait_ms, link_id, visitor) in enumerate(clicks, 1):
        at_ms += wait_ms
        stood[seq] = pace.judge(visitor.encode(), link_id, at_ms, seq)
        assert stood[seq] == plainly(past[visitor], link_id, at_ms)
        for told in pace.earlier():
            # Each once, on this visitor's account, and only of what had passed for a person's.
            assert (stood[told.click_seq], made[told.click_seq][1]) == (HUMAN, visitor)
            assert (told.judged, told.seen_at_ms) == (stood[seq], at_ms)
            assert at_ms - made[told.click_seq][0] <= SPEED_MS
            stood[told.click_seq] = told.judged
        made[seq] = (at_ms, visitor)
        past[visitor].append((at_ms, link_id))
        assert all(len(last) <= FAST_CLICKS for last in pace._last.values())


@given(JUDGED, JUDGED)
def test_the_graver_of_two_is_never_better_than_either(one: Judged, other: Judged) -> None:
    found = graver(one, other)
    assert found in (one, other)
    worst = max(quality.QUALITIES.index(one.quality), quality.QUALITIES.index(other.quality))
    assert quality.QUALITIES.index(found.quality) == worst
    if one.quality == other.quality:
        assert found == one
