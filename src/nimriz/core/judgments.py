"""Judgments: what was thought of clicks after they were made, as dated rows. Owns the table click_judgments.

What a click was worth when it was made stands in its own row and never changes. The newest judgment, if there is one,
goes before it. Nothing is ever taken back, only judged again, so that every figure can be explained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from nimriz.core import quality
from nimriz.core.clicks import AGENT
from nimriz.core.quality import CONVERTED, Judged
from nimriz.store.db import Database, Row, Tx

PAGE_ROWS = 2_000


class Judgment(NamedTuple):
    """One judgment of one click."""

    click_seq: int
    link_id: str
    judged_at_ms: int
    quality: str
    reason: str


_COLUMNS = ", ".join(Judgment._fields)
_APPEND = f"insert into click_judgments ({_COLUMNS}) values ({', '.join(':' + f for f in Judgment._fields)})"
_NEWEST = "(select j.{} from click_judgments as j where j.click_seq = clicks.seq order by j.seq desc limit 1)"
STANDING = f"coalesce({_NEWEST.format('quality')}, clicks.quality)"
"""SQL: the quality of the row of `clicks` that a statement looks at."""
REASON = f"coalesce({_NEWEST.format('reason')}, clicks.reason)"
"""SQL: why."""
_OF_CLICKS = (
    f"select seq, link_id, {STANDING}, {REASON} from clicks where workspace_id = :workspace_id and click_id in (:keys)"
)
_CONVERTED_EVER = "select click_seq from click_judgments where click_seq in (:keys) and reason = 'converted'"
_JUDGED_AGAIN = "judged_again"
_FACTS = (
    "select clicks.seq, clicks.link_id, clicks.clicked_at_ms, clicks.crawler, clicks.purpose, clicks.visitor, "
    f"coalesce(agents.kind, ''), {STANDING}, {REASON} from clicks {AGENT}"
)
_PAGE = _FACTS + "where clicks.seq > :after_seq order by clicks.seq limit :limit_count"
_THESE = _FACTS + "where clicks.seq in (:keys)"


class Changed(NamedTuple):
    """What judging again came to: how many clicks were looked at, and how many went from which quality to which.

    From and to are the same where only the reason is another.
    """

    clicks: int
    qualities: Counter[tuple[str, str]]


def append(tx: Tx, judgments: Sequence[Judgment]) -> None:
    """Append judgments of clicks of this transaction."""
    tx.many(_APPEND, judgments)


def correct(tx: Tx, judgments: Sequence[Judgment]) -> None:
    """Append judgments of clicks, but of none that brought a conversion meanwhile."""
    if not judgments:
        return
    converted = {row[0] for row in tx.each(_CONVERTED_EVER, [judgment.click_seq for judgment in judgments])}
    append(tx, [judgment for judgment in judgments if judgment.click_seq not in converted])


def mark_converted(tx: Tx, workspace_id: str, click_ids: Sequence[str], now_ms: int) -> int:
    """Judge clicks that brought a conversion as a person's, once each; how many were. Other logs' clicks are let be."""
    found = {row[0]: row[1] for row in tx.each(_OF_CLICKS, click_ids, {"workspace_id": workspace_id})}
    if not found:
        return 0
    for row in tx.each(_CONVERTED_EVER, list(found)):
        found.pop(row[0], None)
    append(tx, [Judgment(seq, link_id, now_ms, *CONVERTED) for seq, link_id in sorted(found.items())])
    return len(found)


def judge_again(log: Database, now_ms: int) -> Iterator[Changed]:
    """Judge every click of a log by the rules of today, a page at a time. Works beside the process that writes it.

    A click that converted stays a person's. Changes nothing for one that is judged as it was, so that doing it twice
    changes nothing more.
    """
    pace, after_seq = quality.Pace(), 0
    while rows := log.read(partial(_page, after_seq=after_seq)):
        after_seq = int(rows[-1][0])
        changes = {row: new for row in rows if (new := _again(row, pace, now_ms)) is not None}
        # Few are changed, and their writer waits for no more than these.
        done = log.write(partial(_correct, changes=changes)) if changes else []
        yield Changed(len(rows), Counter((row[7], changes[row].quality) for row in done))


def _page(tx: Tx, after_seq: int) -> list[Row]:
    return tx.all(_PAGE, {"after_seq": after_seq, "limit_count": PAGE_ROWS})


def _correct(tx: Tx, changes: dict[Row, Judgment]) -> list[Row]:
    """Append judgments of clicks that are still as they were read; these rows."""
    same = [row for row in tx.each(_THESE, [row[0] for row in changes]) if row in changes]
    append(tx, sorted(changes[row] for row in same))
    return same


def _again(row: Row, pace: quality.Pace, now_ms: int) -> Judgment | None:
    seq, link_id, clicked_at_ms, crawler, purpose, visitor, kind, stood, reason = row
    judged = quality.by_request(kind, bool(crawler), purpose)
    if visitor:
        judged = quality.graver(judged, pace.judge(visitor, link_id, clicked_at_ms))
    if reason == CONVERTED.reason or judged == Judged(stood, "" if reason == _JUDGED_AGAIN else reason):
        return None
    # A judgment has a reason; of a person's click that was judged otherwise before, this is it.
    return Judgment(seq, link_id, now_ms, judged.quality, judged.reason or _JUDGED_AGAIN)
