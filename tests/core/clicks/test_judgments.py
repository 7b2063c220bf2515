"""Judgments: dated rows, the newest stands, and a click that brought a conversion is a person's."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from nimriz.base.ids import new_id
from nimriz.core.clicks import judgments
from nimriz.core.clicks.judgments import Judgment
from nimriz.core.clicks.quality import Corrected, Judged
from nimriz.store.db import StoreError
from nimriz.store.sqlite import Sqlite
from tests.clicklogs import click, count_of, opened, standing, write

NOW_MS = 1_790_000_000_000
BOT = ("bot", "prefetch")


@pytest.fixture
def log(tmp_path: Path) -> Sqlite:
    """An empty click log."""
    return opened(tmp_path / "clicks-0.db")


def judged_again(log: Sqlite) -> tuple[int, Counter[tuple[str, str]]]:
    looked_at, changes = 0, Counter[tuple[str, str]]()
    for changed in judgments.judge_again(log, NOW_MS):
        looked_at += changed.clicks
        changes += changed.qualities
    return looked_at, changes


def test_a_click_that_converted_is_a_persons_once_and_for_good(log: Sqlite) -> None:
    made = click(NOW_MS)
    (seq,) = write(log, made, purpose="prefetch")
    log.write(partial(judgments.append, judgments=[Judgment(seq, "l", NOW_MS, *BOT)]))
    mark = partial(judgments.mark_converted, workspace_id="w", click_ids=[made.click_id, new_id(NOW_MS)], now_ms=NOW_MS)
    assert [log.write(mark) for _ in range(3)] == [1, 0, 0]
    assert standing(log)[seq] == ("human", "converted")
    assert log.write(partial(judgments.mark_converted, workspace_id="x", click_ids=[made.click_id], now_ms=1)) == 0
    # Whoever reads its agent late, or judges again, leaves it so.
    log.write(partial(judgments.correct, judgments=[Judgment(seq, "l", NOW_MS, *BOT)]))
    assert judged_again(log) == (1, Counter())
    assert standing(log)[seq] == ("human", "converted")
    assert count_of(log, "click_judgments") == 2


def test_judging_again_follows_the_rules_of_today_and_doing_it_twice_changes_nothing(
    log: Sqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judgments, "PAGE_ROWS", 2)
    fine, crawler, _, repeat = (click(NOW_MS, "a"), click(NOW_MS, "b", crawler=1), click(NOW_MS), click(NOW_MS + 1))
    (one, two) = write(log, fine, crawler)
    (three, four) = write(log, click(NOW_MS), repeat, visitor=b"somebody")
    (five,) = write(log, click(NOW_MS), purpose="prefetch")
    # A rule of yesterday, and one that had another name for what it found.
    log.write(
        partial(
            judgments.append,
            judgments=[Judgment(one, "a", 0, "suspect", "repeat"), Judgment(five, "l", 0, "bot", "link_preview")],
        )
    )
    expected = {("suspect", "human"): 1, ("human", "bot"): 1, ("human", "suspect"): 1, ("bot", "bot"): 1}
    assert judged_again(log) == (5, Counter(expected))
    assert standing(log) == {
        one: ("human", "judged_again"),
        two: ("bot", "declared_crawler"),
        four: ("suspect", "repeat"),
        five: BOT,
    }
    assert three not in standing(log)
    rows = count_of(log, "click_judgments")
    assert judged_again(log) == (5, Counter())
    assert count_of(log, "click_judgments") == rows


def test_a_judgment_made_meanwhile_is_newer_and_stands(log: Sqlite, monkeypatch: pytest.MonkeyPatch) -> None:
    made = click(NOW_MS)
    (seq,) = write(log, made, purpose="prefetch")
    judge = judgments._again

    def and_it_converts(*given: object) -> Judgment | None:
        log.write(partial(judgments.mark_converted, workspace_id="w", click_ids=[made.click_id], now_ms=NOW_MS))
        return judge(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(judgments, "_again", and_it_converts)
    assert judged_again(log) == (1, Counter())
    assert standing(log)[seq] == ("human", "converted")


@pytest.mark.parametrize("statement", ["update click_judgments set quality = 'human'", "delete from click_judgments"])
def test_the_database_refuses_to_take_a_judgment_back(log: Sqlite, statement: str) -> None:
    (seq,) = write(log, click(NOW_MS))
    log.write(partial(judgments.append, judgments=[Judgment(seq, "l", NOW_MS, *BOT)]))
    with pytest.raises(StoreError):
        log.write(lambda tx: tx.run(statement))
    assert standing(log)[seq] == BOT


def test_a_run_that_goes_over_pages_is_judged_from_its_first_click_on(
    log: Sqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judgments, "PAGE_ROWS", 2)
    seqs = write(log, *(click(NOW_MS + n, f"link{n}") for n in range(5)), visitor=b"somebody")
    write(log, *(click(NOW_MS + 60_000 + n, f"link{n}") for n in range(4)), visitor=b"somebody")
    assert judged_again(log) == (9, Counter({("human", "suspect"): 5}))
    assert standing(log) == dict.fromkeys(seqs, ("suspect", "scanner_pattern"))
    assert judged_again(log) == (9, Counter())


def test_what_a_burst_was_found_to_be_stands_though_nobody_could_find_it_again(log: Sqlite) -> None:
    one, two = write(log, click(NOW_MS, "a"), click(NOW_MS, "b"), network="hosting")
    (three,) = write(log, click(NOW_MS), network="gateway")
    (four,) = write(log, click(NOW_MS, crawler=1), network="gateway")
    burst, gateway = Judged("bot", "scanner_burst"), Judged("suspect", "gateway_burst")
    found = [Corrected(one, "a", NOW_MS, burst), Corrected(three, "l", NOW_MS, gateway)]
    log.write(partial(judgments.worsen, found=[*found, Corrected(four, "l", NOW_MS, gateway)]))
    expected = {one: burst, two: ("suspect", "data_centre"), three: gateway, four: ("bot", "declared_crawler")}
    assert judged_again(log) == (4, Counter({("human", "suspect"): 1, ("suspect", "bot"): 1}))
    assert standing(log) == expected
    assert judged_again(log) == (4, Counter())


def test_what_other_clicks_say_only_makes_worse_and_makes_no_row_twice(log: Sqlite) -> None:
    made = click(NOW_MS, "a")
    one, two = write(log, made, click(NOW_MS, "b"))
    suspect, bot = Judged("suspect", "scanner_pattern"), Judged("bot", "scanner_burst")
    log.write(partial(judgments.mark_converted, workspace_id="w", click_ids=[made.click_id], now_ms=NOW_MS))
    for found in (suspect, suspect, bot, suspect, bot):
        both = [Corrected(seq, "l", NOW_MS, found) for seq in (one, two, two)]
        log.write(partial(judgments.worsen, found=[*both, Corrected(99, "gone", NOW_MS, found)]))
    assert standing(log) == {one: ("human", "converted"), two: bot}
    assert count_of(log, "click_judgments") == 3
