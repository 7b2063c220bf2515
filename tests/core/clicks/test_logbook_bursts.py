"""What the logbook thinks of clicks that come at once, from their first one on, and that judging again agrees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nimriz.base.ids import to_text
from nimriz.core.clicks import judgments
from nimriz.core.clicks.networks import Networks
from nimriz.core.clicks.quality import SCANNED_LINKS
from nimriz.store.db import StoreError
from tests.clicklogs import standing
from tests.logbooks import FIREFOX, NOW_MS, Bench, arrival, stands
from tests.mmdb import mmdb


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A logbook's surroundings."""
    made = Bench(tmp_path)
    yield made
    made.end()


@pytest.fixture
def cloud(bench: Bench, tmp_path: Path) -> Bench:
    """The same, with a file of networks."""
    file = tmp_path / "networks.mmdb"
    names = {"192.0.2.0/24": "Amazon.com, Inc.", "198.51.100.0/24": "Zscaler, Inc.", "198.18.0.0/24": "Mimecast"}
    file.write_bytes(mmdb({network: {"autonomous_system_organization": name} for network, name in names.items()}))
    bench.networks = Networks(file)
    return bench


SCANNED, IN_CLOUD = ("bot", "scanner_burst"), ("suspect", "data_centre")


@pytest.mark.parametrize("met_before", [True, False])
def test_the_first_clicks_of_one_visitors_run_are_judged_with_it(bench: Bench, met_before: bool) -> None:
    if met_before:
        bench.agents.read(FIREFOX)
    book = bench.book()
    for n in range(SCANNED_LINKS + 1):
        book.write([arrival(NOW_MS + n, link_id=f"link{n}")])
    stands(bench, dict.fromkeys(range(1, SCANNED_LINKS + 2), ("suspect", "scanner_pattern")))
    # What each was worth when it was made is as it was, and the correction is dated by the click that showed it.
    assert bench.rows("select count(*) from clicks where quality = 'human'") == [(SCANNED_LINKS - 1,)]
    dates = bench.rows("select distinct judged_at_ms from click_judgments")
    assert dates == [(NOW_MS + SCANNED_LINKS - 1,)]


@pytest.mark.parametrize("met_before", [True, False])
@pytest.mark.parametrize("strict", [True, False])
def test_a_burst_out_of_a_data_centre_is_a_bots_from_its_first_click_on(
    cloud: Bench, met_before: bool, strict: bool
) -> None:
    if met_before:
        cloud.agents.read(FIREFOX)
    book = cloud.book()
    first = [arrival(NOW_MS + n, link_id=f"link{n}", address=f"192.0.2.{n}", strict=strict) for n in range(4)]
    book.write([*first, arrival(NOW_MS, link_id="home")])
    stands(cloud, dict.fromkeys(range(1, 5), IN_CLOUD))
    book.write([arrival(NOW_MS + 5_000, link_id="l", address="192.0.2.99", strict=strict)])
    stands(cloud, {**dict.fromkeys((1, 2, 3, 4, 6), SCANNED)})
    assert cloud.rows("select network, count(*) from clicks group by network") == [("", 1), ("hosting", 5)]


def test_placements_of_one_link_are_tried_as_links_are(cloud: Bench) -> None:
    cloud.book().write([arrival(NOW_MS + n, placement=f"b{n}", address=f"192.0.2.{n}") for n in range(1, 6)])
    stands(cloud, dict.fromkeys(range(1, 6), SCANNED))


def test_behind_a_gateway_people_are_people_until_they_come_all_at_once_and_suspects_then(cloud: Bench) -> None:
    cloud.agents.read(FIREFOX)
    book = cloud.book()
    book.write([arrival(NOW_MS, address="198.51.100.1")])
    stands(cloud, {})
    book.write([arrival(NOW_MS + n, address=f"198.51.100.{n}") for n in range(2, 11)])
    stands(cloud, dict.fromkeys(range(1, 11), ("suspect", "gateway_burst")))


def test_who_looks_into_mail_is_a_bot_at_once_and_judged_so_when_it_is_strict(cloud: Bench) -> None:
    book = cloud.book()
    book.write([arrival(address="198.18.0.1"), arrival(address="198.18.0.2", strict=True)])
    stands(cloud, dict.fromkeys((1, 2), ("bot", "email_scanner")))


def test_crawlers_show_nothing_of_who_shares_their_data_centre(cloud: Bench) -> None:
    book = cloud.book()
    crawlers = [arrival(NOW_MS + n, b"Googlebot/2.1", f"link{n}", address="192.0.2.1") for n in range(20)]
    book.write([*crawlers, arrival(NOW_MS + 20, link_id="l", address="192.0.2.2")])
    stands(cloud, {**dict.fromkeys(range(1, 21), ("bot", "declared_crawler")), 21: IN_CLOUD})


def test_a_click_that_converted_before_its_burst_was_seen_stays_a_persons(cloud: Bench) -> None:
    cloud.agents.read(FIREFOX)
    book = cloud.book()
    made = [arrival(NOW_MS + n, link_id=f"link{n}", address=f"192.0.2.{n}") for n in range(5)]
    book.write(made[:4])
    cloud.file.write(lambda tx: judgments.mark_converted(tx, "w", [to_text(made[0].click_id)], NOW_MS))
    book.write(made[4:])
    stands(cloud, {1: ("human", "converted"), **dict.fromkeys(range(2, 6), SCANNED)})
    cloud.file.write(lambda tx: judgments.mark_converted(tx, "w", [to_text(made[4].click_id)], NOW_MS))
    stands(cloud, {**dict.fromkeys((1, 5), ("human", "converted")), **dict.fromkeys(range(2, 5), SCANNED)})


def test_a_write_that_failed_corrects_no_click_that_has_its_number_now(bench: Bench) -> None:
    bench.agents.read(FIREFOX)
    book = bench.book()
    bench.failing.how = "before"
    with pytest.raises(StoreError):
        book.write([arrival(NOW_MS + n, link_id=f"link{n}") for n in range(4)])
    bench.failing.how = ""
    book.write([arrival(NOW_MS + 5, link_id=f"link{n}", address=f"198.51.100.{n}") for n in range(4)])
    book.write([arrival(NOW_MS + 6, link_id="link5")])
    book.close()
    bench.opened.clear()
    assert standing(bench.file) == {}
