"""Rate limits: a bucket for each address and each workspace, and a wait that is told in whole seconds."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from nimriz.base.errors import Refused
from nimriz.web import limits
from nimriz.web.limits import Attempts, Buckets


class Watch:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 1_000.0


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """The clock of the buckets."""
    moved = Watch()
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: moved.now_s))
    return moved


def passed(take: Callable[[str], None], key: str, tries: int) -> int:
    """How many of so many requests pass."""
    refusals = []
    for _ in range(tries):
        try:
            take(key)
        except Refused as refused:
            refusals.append((refused.code, refused.status, refused.retry_after_s))
    assert set(refusals) <= {("rate_limited", 429, 1)}
    return tries - len(refusals)


def test_one_seconds_worth_passes_at_once_and_the_rest_is_refused(watch: Watch) -> None:
    assert passed(Buckets(5, 0).take_address, "192.0.2.1", 20) == 5
    assert passed(Buckets(0, 5).take_workspace, "w", 20) == 5


def test_a_bucket_fills_at_its_rate_and_holds_no_more_than_a_second(watch: Watch) -> None:
    buckets = Buckets(4, 0)
    assert passed(buckets.take_address, "192.0.2.1", 20) == 4
    watch.now_s += 0.25
    assert passed(buckets.take_address, "192.0.2.1", 20) == 1
    watch.now_s += 0.5
    assert passed(buckets.take_address, "192.0.2.1", 20) == 2
    watch.now_s += 3_600
    assert passed(buckets.take_address, "192.0.2.1", 20) == 4


def test_a_burst_passes_at_once_and_then_the_rate_holds(watch: Watch) -> None:
    buckets = Buckets(2, 2, address_burst=10, workspace_burst=1)
    assert passed(buckets.take_address, "192.0.2.1", 20) == 10
    assert passed(buckets.take_workspace, "w", 20) == 1
    watch.now_s += 1
    assert passed(buckets.take_address, "192.0.2.1", 20) == 2


def test_the_addresses_of_one_ipv6_network_share_a_bucket(watch: Watch) -> None:
    buckets = Buckets(2, 0)
    assert passed(buckets.take_address, "2001:db8:0:1::1", 2) == 2
    assert passed(buckets.take_address, "2001:db8:0:1:ffff::9", 2) == 0
    assert passed(buckets.take_address, "2001:db8:0:2::1", 2) == 2


def test_being_refused_costs_nothing(watch: Watch) -> None:
    buckets = Buckets(1, 0)
    assert passed(buckets.take_address, "192.0.2.1", 1_000) == 1
    asked_often = []
    for _ in range(8):  # Asking eight times during the second does not put it off.
        watch.now_s += 0.125
        asked_often.append(passed(buckets.take_address, "192.0.2.1", 1))
    assert asked_often == [0, 0, 0, 0, 0, 0, 0, 1]


def test_whoever_waits_as_long_as_was_said_passes(watch: Watch) -> None:
    for rate in (1, 2, 7, 1_000):
        buckets = Buckets(rate, 0)
        passed(buckets.take_address, "192.0.2.1", rate)
        with pytest.raises(Refused) as refused:
            buckets.take_address("192.0.2.1")
        assert refused.value.retry_after_s is not None
        watch.now_s += refused.value.retry_after_s
        buckets.take_address("192.0.2.1")


def test_addresses_and_workspaces_have_buckets_of_their_own(watch: Watch) -> None:
    buckets = Buckets(2, 3)
    assert passed(buckets.take_address, "same", 9) == 2
    assert passed(buckets.take_workspace, "same", 9) == 3
    assert passed(buckets.take_address, "192.0.2.2", 9) == 2
    assert passed(buckets.take_workspace, "v", 9) == 3


def test_a_rate_of_0_is_no_limit_and_keeps_no_bucket(watch: Watch) -> None:
    buckets = Buckets(0, 0)
    assert passed(buckets.take_address, "192.0.2.1", 10_000) == 10_000
    assert passed(buckets.take_workspace, "w", 10_000) == 10_000
    assert len(buckets._levels) == 0


def test_there_are_never_more_buckets_than_may_be(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_BUCKETS_MAX", 100)
    buckets = Buckets(1, 0)
    for n in range(1_000):
        buckets.take_address(f"192.0.2.{n}")
    assert len(buckets._levels) == 100


def guessed(attempts: Attempts, address: str, link_id: str, tries: int) -> int:
    """How many of so many attempts are looked at."""
    looked_at = 0
    for _ in range(tries):
        try:
            attempts.take(address, link_id)
        except Refused:
            continue
        looked_at += 1
    return looked_at


def test_an_address_guesses_ten_times_at_a_link_and_then_every_six_seconds(watch: Watch) -> None:
    attempts = Attempts()
    assert guessed(attempts, "192.0.2.1", "link", 50) == 10
    with pytest.raises(Refused) as refused:
        attempts.take("192.0.2.1", "link")
    assert refused.value.retry_after_s == 6
    assert guessed(attempts, "192.0.2.1", "another", 50) == 10
    assert guessed(attempts, "192.0.2.2", "link", 50) == 10
    watch.now_s += 6.001
    assert guessed(attempts, "192.0.2.1", "link", 50) == 1


def test_all_addresses_together_guess_a_hundred_times_at_a_link_and_then_once_a_second(watch: Watch) -> None:
    attempts = Attempts()
    assert sum(guessed(attempts, f"192.0.2.{n}", "link", 10) for n in range(20)) == 100
    watch.now_s += 5
    assert sum(guessed(attempts, f"198.51.100.{n}", "link", 10) for n in range(20)) == 5
    assert guessed(attempts, "192.0.2.1", "another", 10) == 10


def test_a_right_password_gives_its_attempt_back(watch: Watch) -> None:
    attempts = Attempts()
    for _ in range(1_000):
        attempts.take("192.0.2.1", "link")
        attempts.give_back("192.0.2.1", "link")
    attempts.give_back("192.0.2.9", "never taken")
    assert guessed(attempts, "192.0.2.1", "link", 50) == 10


def test_addresses_of_one_ipv6_household_share_their_attempts() -> None:
    attempts = Attempts()
    for n in range(10):
        attempts.take(f"2001:db8::{n:x}", "l")
    with pytest.raises(Refused):
        attempts.take("2001:db8::ffff", "l")
    attempts.take("2001:db8:0:1::1", "l")
    attempts.take("192.0.2.1", "l")


def test_an_attempt_that_the_link_refuses_costs_its_address_nothing() -> None:
    attempts = Attempts()
    for n in range(100):
        attempts.take(f"192.0.2.{n}", "l")
    for _ in range(20):
        with pytest.raises(Refused):
            attempts.take("198.51.100.1", "l")
    for _ in range(10):
        attempts.give_back("192.0.2.1", "l")
    for _ in range(9):
        attempts.take("198.51.100.1", "l")
