"""Judgments: what was thought of clicks after they were made, as dated rows. Owns the table click_judgments.

What a click was worth when it was made stands in its own row and never changes. The newest judgment, if there is one,
goes before it. Nothing is ever taken back, only judged again, so that every figure can be explained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from nimriz.base.ids import to_bytes
from nimriz.core.clicks import quality
from nimriz.core.clicks.clicks import AGENT, OF_WORKSPACE
from nimriz.core.clicks.quality import CONVERTED, QUALITIES, Corrected, Judged
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
_OF_CLICKS = f"select seq, link_id, {STANDING}, {REASON} from clicks where {OF_WORKSPACE} and click_id in (:keys)"
_CONVERTED_EVER = "select click_seq from click_judgments where click_seq in (:keys) and reason = 'converted'"
_STANDING_OF = f"select seq, {STANDING} from clicks where seq in (:keys)"
_JUDGED_AGAIN = "judged_again"
_FACTS = (
    "select clicks.seq, clicks.link_id, clicks.clicked_at_ms, clicks.crawler, clicks.purpose, clicks.network, "
    f"clicks.visitor, coalesce(agents.kind, ''), {STANDING}, {REASON} from clicks {AGENT}"
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


def worsen(tx: Tx, found: Sequence[Corrected]) -> None:
    """Append what other clicks say of these, where it is graver than what stands, and never where one converted."""
    if not found:
        return
    standing = {row[0]: row[1] for row in tx.each(_STANDING_OF, sorted({each.click_seq for each in found}))}
    graver: dict[int, Judgment] = {}
    for seq, link_id, seen_at_ms, judged in found:
        if seq in standing and QUALITIES.index(judged.quality) > QUALITIES.index(standing[seq]):
            standing[seq] = judged.quality
            graver[seq] = Judgment(seq, link_id, seen_at_ms, *judged)
    correct(tx, list(graver.values()))


def mark_converted(tx: Tx, workspace_id: str, click_ids: Sequence[str], now_ms: int) -> int:
    """Judge clicks that brought a conversion as a person's, once each; how many were. Other logs' clicks are let be."""
    found = {
        row[0]: row[1]
        for row in tx.each(_OF_CLICKS, [to_bytes(click_id) for click_id in click_ids], {"workspace_id": workspace_id})
    }
    if not found:
        return 0
    for row in tx.each(_CONVERTED_EVER, list(found)):
        found.pop(row[0], None)
    append(tx, [Judgment(seq, link_id, now_ms, *CONVERTED) for seq, link_id in sorted(found.items())])
    return len(found)


def judge_again(log: Database, now_ms: int) -> Iterator[Changed]:
    """Judge every click of a log by the rules of today, a page at a time. Works beside the process that writes it.

    A click that converted stays a person's, and one of a burst what it was found to be. Changes nothing for one that
    is judged as it was, so that doing it twice changes nothing more.
    """
    pace, held, after_seq = quality.Pace(), dict[int, tuple[Row, Judged]](), 0
    while rows := log.read(partial(_page, after_seq=after_seq)):
        after_seq = int(rows[-1][0])
        for row in rows:
            held[row[0]] = (row, _by_rules(row, pace))
        for seq, _, _, judged in pace.earlier():
            if seq in held:
                held[seq] = (held[seq][0], quality.graver(held[seq][1], judged))
        # What comes within seconds may still say something of these.
        newest_ms = rows[-1][2]
        done = [seq for seq, (row, _) in held.items() if abs(newest_ms - row[2]) > quality.SPEED_MS]
        yield _settle(log, [held.pop(seq) for seq in done], now_ms)
    yield _settle(log, list(held.values()), now_ms)


def _settle(log: Database, judged: Sequence[tuple[Row, Judged]], now_ms: int) -> Changed:
    changes = {row: new for row, found in judged if (new := _again(row, found, now_ms)) is not None}
    # Few are changed, and their writer waits for no more than these.
    done = log.write(partial(_correct, changes=changes)) if changes else []
    return Changed(len(judged), Counter((row[8], changes[row].quality) for row in done))


def _page(tx: Tx, after_seq: int) -> list[Row]:
    return tx.all(_PAGE, {"after_seq": after_seq, "limit_count": PAGE_ROWS})


def _correct(tx: Tx, changes: dict[Row, Judgment]) -> list[Row]:
    """Append judgments of clicks that are still as they were read; these rows."""
    same = [row for row in tx.each(_THESE, [row[0] for row in changes]) if row in changes]
    append(tx, sorted(changes[row] for row in same))
    return same


def _by_rules(row: Row, pace: quality.Pace) -> Judged:
    seq, link_id, clicked_at_ms, crawler, purpose, network, visitor, kind, _, _ = row
    around = pace.judge(visitor, link_id, clicked_at_ms, seq) if visitor else quality.HUMAN
    around = quality.graver(quality.by_network(network), around)
    return quality.graver(quality.by_request(kind, bool(crawler), purpose), around)


def _again(row: Row, judged: Judged, now_ms: int) -> Judgment | None:
    seq, link_id, *_, stood, reason = row
    if reason in quality.BURST_REASONS:
        judged = quality.graver(Judged(stood, reason), judged)
    if reason == CONVERTED.reason or judged == Judged(stood, "" if reason == _JUDGED_AGAIN else reason):
        return None
    # A judgment has a reason; of a person's click that was judged otherwise before, this is it.
    return Judgment(seq, link_id, now_ms, judged.quality, judged.reason or _JUDGED_AGAIN)
