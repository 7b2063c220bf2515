"""The clicks of one link, from the columnar tables, are what counting them one by one tells."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from nimriz.analytics import figures, link_figures
from nimriz.analytics.dimensions import OF_CONTEXT, Question
from nimriz.analytics.duck import Store
from nimriz.analytics.link_figures import KEYS_MAX
from nimriz.analytics.tables import columns_of

SHOP, OTHER_SHOP, LINK, OTHER_LINK = (str(uuid.UUID(int=n)) for n in range(1, 5))
HOUR_MS = 3_600_000
MIDNIGHT_MS = 1_790_035_200_000  # 2026-09-22 in UTC
CHANCE = random.Random(7)


def click(number: int) -> dict[str, Any]:
    """A click of any kind, of this link or of another one."""
    row = {name: "" for name, _ in columns_of("clicks")}
    row |= {name: CHANCE.choice(["", "a", "b", "c"]) for name in OF_CONTEXT}
    return row | {
        "log": number % 2, "seq": number + 1, "workspace_id": CHANCE.choice([SHOP] * 9 + [OTHER_SHOP]),
        "clicked_ms": MIDNIGHT_MS + CHANCE.randrange(72) * HOUR_MS, "decision": 0, "tracked": CHANCE.randrange(2),
        "visitor": CHANCE.choice([1, 2, 3, 2**64 - 1]), "quality": CHANCE.choice(["human", "human", "suspect", "bot"]),
        "click_id": str(uuid.UUID(int=100 + number)), "link_id": CHANCE.choice([LINK] * 3 + [OTHER_LINK]),
        "domain_id": str(uuid.UUID(int=9)), "tags": "[]", "touch_type": CHANCE.choice(["short_link_click", "qr_scan"]),
        "utm_content": f"x{CHANCE.randrange(300):03}",
    }  # fmt: skip


CLICKS = [click(number) for number in range(1_500)]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    opened = Store(None, memory_mib=128, threads=1)
    opened.write(lambda rows: rows.append("clicks", [list(row.values()) for row in CLICKS]))
    yield opened
    opened.close()


def asked(**fields: Any) -> Question:
    """A question for the link by day."""
    bounds = (MIDNIGHT_MS, MIDNIGHT_MS + 100 * HOUR_MS)
    question = Question(SHOP, "live", *bounds, "America/New_York", MIDNIGHT_MS + 200 * HOUR_MS, ("day",))
    return question._replace(**{"filters": {"link": [LINK]}, **fields})


def counted(question: Question) -> dict[str, Any]:
    """The same in the slow and obvious way."""
    mine = [
        row for row in CLICKS
        if (row["workspace_id"], row["link_id"]) == (SHOP, LINK)
        and max(question.from_ms, question.shown_from_ms) <= row["clicked_ms"] < question.to_ms
        and row["touch_type"] in question.filters.get("touch_type", row["touch_type"])
    ]  # fmt: skip
    kept = [row for row in mine if row["quality"] not in question.left_out]
    days = [datetime.fromtimestamp(row["clicked_ms"] // 1000, ZoneInfo(question.timezone)) for row in kept]
    return {
        "clicks": len(kept),
        "tracked": sum(row["tracked"] for row in kept),
        "unique": len({row["visitor"] for row in kept}),
        "bots": sum(row["quality"] == "bot" for row in mine),
        "suspects": sum(row["quality"] == "suspect" for row in mine),
        "by_day": dict(Counter(day.date().isoformat() for day in days)),
        "breakdowns": {name: link_figures.top(Counter(row[name] for row in kept)) for name in OF_CONTEXT},
    }


@pytest.mark.parametrize(
    "question",
    [
        asked(),
        asked(left_out=()),
        asked(left_out=("bot", "suspect")),
        asked(filters={"link": [LINK], "touch_type": ["qr_scan"]}),
        asked(from_ms=MIDNIGHT_MS + 5 * HOUR_MS, to_ms=MIDNIGHT_MS + 40 * HOUR_MS),
        asked(shown_from_ms=MIDNIGHT_MS + 30 * HOUR_MS),
    ],
)
def test_it_is_what_counting_one_by_one_tells(store: Store, question: Question) -> None:
    found = store.read(lambda rows: link_figures.told(rows, question))
    totals = figures.from_wire(found.pop("totals"))
    expected = counted(question)
    assert (totals.clicks, totals.tracked_clicks, totals.unique_clicks) == tuple(
        expected.pop(name) for name in ("clicks", "tracked", "unique")
    )
    assert found == expected
    assert totals.clicks


def test_a_link_without_clicks_has_nothing(store: Store) -> None:
    found = store.read(lambda rows: link_figures.told(rows, asked(filters={"link": [str(uuid.UUID(int=77))]})))
    assert (figures.from_wire(found["totals"]).clicks, found["by_day"], found["bots"]) == (0, {}, 0)
    assert found["breakdowns"] == {name: [] for name in OF_CONTEXT}


def test_beyond_the_most_told_the_rest_is_added_up() -> None:
    counts = {f"k{n:03d}": 2 for n in range(KEYS_MAX)} | {"a": 3, "z": 1, "y": 1, "": 9}
    told = link_figures.top(counts)
    assert told[:2] == [("a", 3), ("k000", 2)]
    assert told[-1] == (None, 4)
    assert len(told) == KEYS_MAX + 1
    assert sum(clicks for _, clicks in told) == sum(counts.values()) - 9
