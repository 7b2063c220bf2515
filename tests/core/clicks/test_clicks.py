"""Clicks counted over all logs, by link."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from nimriz.core.clicks import clicks, judgments
from nimriz.core.clicks.judgments import Judgment
from tests.clicklogs import click, opened, write


def test_what_a_link_was_clicked_is_counted_over_all_logs_as_clicks_are_judged_now(tmp_path: Path) -> None:
    logs = [opened(tmp_path / f"clicks-{number}.db") for number in range(2)]
    seqs = write(logs[0], *[click(1_000) for _ in range(6)])
    write(logs[1], click(1_000), click(1_000, "other"))
    judged = [
        Judgment(seqs[0], "l", 0, "bot", "prefetch"),
        Judgment(seqs[1], "l", 0, "suspect", "repeat"),
        Judgment(seqs[2], "l", 0, "bot", "prefetch"),
        Judgment(seqs[2], "l", 0, "human", "converted"),
    ]
    logs[0].write(partial(judgments.append, judgments=judged))
    assert clicks.count_by_link(logs, ["l", "other", "none"]) == {"l": 6, "other": 1}
