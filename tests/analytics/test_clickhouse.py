"""One SQL for two engines: every question is answered by ClickHouse, in this process, as it is by DuckDB.

NIMRIZ_LAWS_EXAMPLES sets how many random questions are asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nimriz.analytics import answers
from nimriz.analytics.credit import Model
from nimriz.analytics.differences import Between
from nimriz.analytics.dimensions import BYS, CLICK_BYS, EVENT_NAMES, OF_CONTEXT, Question
from nimriz.analytics.tallies import Experiment
from nimriz.analytics.zones import UNITS
from nimriz.core.clicks.quality import QUALITIES
from tests.clickhouse import ClickHouse, engine
from tests.generated import FIRST_MS, TEXTS, Generated, generated
from tests.laws.histories import BASE_MS, DAY_MS
from tests.laws.ledger import DECISIONS, LINKS, NOW_MS, OTHER_LINK, WORKSPACE
from tests.laws.test_ledger_against_model import EXAMPLES

SEED = 1
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu")
FOR_EVER_MS = 10**15
MODELS = get_args(Model)
LINK_IDS = list(LINKS.values())
FILTERS: dict[str, list[str]] = {
    **{name: [*TEXTS] for name in OF_CONTEXT},
    "country": ["DE", ""], "region": ["DE-BE", "US-CA"], "device": ["mobile", ""], "language": ["de"],
    "link": [*LINK_IDS, "no id"], "domain": [OTHER_LINK, LINK_IDS[0]], "tag": ["spring", "sale"],
    "variant": [f"{LINK_IDS[0]}/red", f"{LINK_IDS[1]}/2", LINK_IDS[0]],
    "event_name": [*EVENT_NAMES], "token_suppressed": ["signed_aws", ""],
}  # fmt: skip


class Both:
    """One workspace in both engines."""

    def __init__(self, made: Generated, clickhouse: ClickHouse) -> None:
        self.moments = made.moments
        self._columnar, self._clickhouse = made.columnar, clickhouse

    def told(self, asked: str, question: Question | Experiment | Between) -> dict[str, Any]:
        """The answer of both, which is one."""
        told = self._columnar.answer(asked, question)
        again = answers.answer(self._clickhouse, asked, question._asdict())
        assert _sorted(asked, again) == _sorted(asked, told), question
        return told


def _sorted(asked: str, told: dict[str, Any]) -> dict[str, Any]:
    """The figures of an experiment have no order."""
    if asked != "experiment":
        return told
    return {name: sorted(rows) if isinstance(rows, list) else rows for name, rows in told.items()}


def question(*by: str, **asked: Any) -> Question:
    """A question about all that there is."""
    whole = Question(WORKSPACE, "live", 0, FOR_EVER_MS, "UTC", NOW_MS, by or ("link",))
    return whole._replace(**asked)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with generated(tmp_path_factory.mktemp("shop"), SEED) as made:
        clickhouse = engine()
        clickhouse.fill_from(made.columnar.store)
        yield Both(made, clickhouse)


def test_a_report_by_any_dimension_is_the_same(shop: Both) -> None:
    for n, by in enumerate(BYS):
        asked = question(
            by, timezone=ZONES[n % 4], clock=("event", "click")[n % 2], model=MODELS[n % 3], from_ms=FIRST_MS,
            to_ms=BASE_MS,
        )  # fmt: skip
        told = shop.told("report", asked)
        assert told["rows"], by
        assert told["totals"]["sales"] > 10
        assert told["totals"]["revenue"].keys() == {"USD", "EUR", "JPY"}


def test_clicks_by_any_dimension_are_the_same_as_of_any_moment(shop: Both) -> None:
    for n, by in enumerate(CLICK_BYS):
        as_of_ms = (0, *shop.moments)[n % 5]
        told = shop.told("clicks", question(by, as_of_ms=as_of_ms, timezone=ZONES[n % 4], left_out=("bot",)))
        assert told["totals"]["clicks"] > 100
        assert told["suppressed"].keys() == {"signed_aws", "fragment"}
        assert told["quality"].keys() == set(QUALITIES)


@pytest.mark.parametrize(("model", "clock"), [("last", "event"), ("first", "click"), ("linear", "event")])
def test_whoever_earns_a_report_as_of_any_moment_is_the_same(shop: Both, model: Model, clock: str) -> None:
    first_ms, _, all_ms, decided_ms = shop.moments
    told = [
        shop.told("report", question("variant", model=model, clock=clock, as_of_ms=as_of_ms))["totals"]["sales"]
        for as_of_ms in (first_ms, all_ms, decided_ms, 0)
    ]
    assert 0 < told[0] < told[1] > told[2] == told[3]


PERIODS = st.sampled_from([(0, FOR_EVER_MS), (FIRST_MS + DAY_MS, BASE_MS - DAY_MS), (BASE_MS - 3 * DAY_MS, BASE_MS)])
ASKED = st.builds(
    lambda period, filters, before, **others: {
        **dict(zip(("from_ms", "to_ms"), period, strict=True)),
        **dict(zip(("compared_from_ms", "compared_to_ms"), before, strict=True)),
        "filters": {name: FILTERS[name][:count] for name, count in filters.items()},
        **others,
    },
    PERIODS,
    st.dictionaries(st.sampled_from(sorted(FILTERS)), st.integers(1, 3), max_size=2),
    st.sampled_from([(0, 0), (FIRST_MS, FIRST_MS + 9 * DAY_MS)]),
    by=st.lists(st.sampled_from(BYS), min_size=1, max_size=2, unique=True).map(tuple),
    clock=st.sampled_from(("event", "click")),
    timezone=st.sampled_from(ZONES),
    left_out=st.sampled_from([(), ("bot",), ("bot", "suspicious")]),
    model=st.sampled_from(MODELS),
)


@settings(max_examples=max(EXAMPLES // 15, 1), deadline=None)
@given(ASKED, st.integers(0, 4), st.integers(0, 2))
def test_any_question_has_one_answer(shop: Both, asked: dict[str, Any], moment: int, page: int) -> None:
    as_of_ms = (0, *shop.moments)[moment]
    shop.told("report", question(**asked, as_of_ms=as_of_ms, offset=page, limit=9))


def test_a_series_has_the_same_units_in_the_same_order(shop: Both) -> None:
    for unit in UNITS:
        asked = question(unit, series=True, from_ms=FIRST_MS, to_ms=BASE_MS, timezone="Europe/Berlin")
        assert sum(row["sales"] for _, row in shop.told("report", asked)["rows"]) > 0


def test_funnels_cohorts_and_bridges_are_the_same(shop: Both) -> None:
    for n, unit in enumerate(("day", "week", "month")):
        asked = {"from_ms": FIRST_MS + 3 * n * DAY_MS, "timezone": ZONES[n], "model": MODELS[n]}
        steps = shop.told("funnel", question(**asked))["steps"]
        assert min(steps["leads"], steps["sales"], steps["leads_and_sales"]) > 0
        assert None not in (*steps["to_lead_ms"], *steps["to_sale_ms"], *steps["lead_to_sale_ms"])
        assert any(sum(row["by_days"]) for _, row in shop.told("cohorts", question(unit, **asked))["rows"])
        bridge = shop.told("bridge", question(**{**asked, "from_ms": BASE_MS - 30 * DAY_MS, "to_ms": BASE_MS}))[
            "currencies"
        ]
        assert bridge.keys() == {"USD", "EUR", "JPY"}
        assert any(opening for _, opening, *_ in bridge["USD"]["click_days"])
    nothing = shop.told("funnel", question(from_ms=FOR_EVER_MS, to_ms=FOR_EVER_MS))["steps"]
    assert nothing["to_sale_ms"] == [None, None]


def test_what_changed_between_two_moments_is_the_same_page_after_page(shop: Both) -> None:
    for since_ms, until_ms in pairwise(shop.moments):
        after_id, pages = "", 0
        while True:
            told = shop.told("changes", Between(WORKSPACE, "live", since_ms, until_ms, after_id, 40))
            assert told["changes"]
            pages += 1
            if not told["more"]:
                break
            after_id = told["changes"][-1]["event_id"]
        assert pages > 1 or until_ms == shop.moments[-1]


def test_experiments_come_to_the_same_by_visitors_and_by_clicks(shop: Both) -> None:
    decisions = list(DECISIONS.values())
    asked = Experiment(WORKSPACE, "live", LINK_IDS[0], decisions, [0, BASE_MS - 20 * DAY_MS], 0, BASE_MS, ["bot"])
    told = [shop.told("experiment", asked._replace(link_id=link_id)) for link_id in LINK_IDS]
    assert [one["unit"] for one in told] == ["visitor", "click"]
    assert all(one[name] for one in told for name in ("clicks", "visitors", "events", "money", "nets"))
    assert shop.told("experiment", asked._replace(decisions=[]))["events"] == []


def test_what_the_clicks_of_one_link_tell_is_the_same(shop: Both) -> None:
    for link_id in LINK_IDS:
        told = shop.told("link", question("day", filters={"link": [link_id]}, timezone="Europe/Berlin"))
        assert told["breakdowns"]["country"]
        assert told["bots"] > 0
