"""The real core on a real SQLite file, driven by the events of the model and read back in the model's words.

Every claim goes through the door as JSON text, every token is minted as a redirect would mint it. A `Ledger` is a
fresh copy of one migrated database; on Linux it lies in memory, where a flush costs nothing.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec

from nimriz.analytics import figures
from nimriz.analytics.credit import Model
from nimriz.analytics.dimensions import Question
from nimriz.analytics.figures import Figures
from nimriz.base import ids, jsontext
from nimriz.base.clock import to_rfc3339
from nimriz.base.tokens import Keyring
from nimriz.core.directory.mode import Mode
from nimriz.core.directory.vault import Vault
from nimriz.core.ledger import conversions, exclusions, settlement
from nimriz.core.ledger.attribution import TokenReader
from nimriz.core.ledger.claims import read_claim
from nimriz.core.ledger.exclusions import Exclusion
from nimriz.core.ledger.intake import Authentic, Recorded
from nimriz.core.ledger.recording import Recorder
from nimriz.store.migrate import migrate
from nimriz.store.sqlite import Sqlite
from nimriz.web import wire
from tests import clicklogs
from tests.columnar import Columnar, projected
from tests.laws import facts
from tests.laws.facts import Click, Event, Money, Order, Row, Settlement, Verdict
from tests.laws.histories import BASE_MS, CLICKS, CONTEXT, DAY_MS

WORKSPACE, OTHER_WORKSPACE = "01900000-0000-7000-8000-0000000000aa", "01900000-0000-7000-8000-0000000000bb"
LINKS = {"link-a": "01900000-0000-7000-8000-00000000000a", "link-b": "01900000-0000-7000-8000-00000000000b"}
OTHER_LINK, NO_LINK = "01900000-0000-7000-8000-00000000000c", "01900000-0000-7000-8000-00000000000d"
DECISIONS: dict[str | None, int] = {None: 0, "x": 1, "X": 2}
NOW_MS = BASE_MS + 400 * DAY_MS
FOR_EVER_MS = 10**15
LEAKED = "leaked"
TABLES = ("outcomes", "verdicts", "settlements", "movements", "ties", "persons", "metadata", "idempotency_keys",
          "docket")  # fmt: skip
_LINK_NAMES = {link_id: name for name, link_id in LINKS.items()}
_LINK_IDS = {**LINKS, "link-a/x": f"{LINKS['link-a']}/1", "link-b/x": f"{LINKS['link-b']}/1"}
_VARIANTS = {decision: variant for variant, decision in DECISIONS.items()}
_KEYRING = Keyring({1: b"k" * 64}, 1)
_FORGER = Keyring({1: b"f" * 64}, 1)
_MEMORY = Path("/dev/shm")


def click_uuid(click: Click) -> bytes:
    """A UUIDv7 of the click's millisecond; within one, these sort as the ids of the model do."""
    return (click.time_ms << 80 | 7 << 76 | 2 << 62 | int(click.click_id)).to_bytes(16, "big")


def token(click: Click | str) -> str:
    """The token of a click, or one that is refused for this reason."""
    stranger = Click("99", "", None, BASE_MS, 30)
    if click == "token_malformed":
        return "nimct_" + "A" * 71
    if click == "token_forged":
        return _FORGER.mint(click_uuid(stranger), ids.to_bytes(LINKS["link-a"]), 30)
    if isinstance(click, str):
        return _KEYRING.mint(click_uuid(stranger), ids.to_bytes(OTHER_LINK), 30)
    link_id = ids.to_bytes(LINKS[click.link_id])
    return _KEYRING.mint(click_uuid(click), link_id, click.window_days, DECISIONS[click.variant])


def body(event: Event) -> str:
    """The JSON text that a caller sends for an event."""
    value = None
    if event.minor is not None:
        value = str(event.minor) if event.currency == "JPY" else f"{event.minor // 100}.{event.minor % 100:02d}"
    return json.dumps(
        {
            "event_name": event.name,
            "event_id": event.event_id,
            "event_time": to_rfc3339(event.time_ms),
            "user_data": {
                "click_id": None if event.click is None else token(event.click),
                "external_id": event.external_id,
            },
            "custom_data": {
                "value": value,
                "currency": event.currency,
                "order_id": event.order_id,
                "related_event_id": event.related_event_id,
                "related_order_id": event.related_order_id,
            },
        }
    )


class Ledger:
    """One workspace and mode, and what can be asked of it."""

    def __init__(self, database: Sqlite, rejudge_max: int, mode: Mode) -> None:
        self.database, self.mode = database, mode
        self.vault = Vault(b"m" * 32)
        self.arrival_ms = NOW_MS
        owners = {**dict.fromkeys(LINKS.values(), WORKSPACE), OTHER_LINK: OTHER_WORKSPACE}
        reader = TokenReader(_KEYRING, lambda _tx, link_id: owners.get(link_id), 100)
        self.recorder = Recorder(database, self.vault, reader, self._now_ms, rejudge_max)

    def _now_ms(self) -> int:
        return self.arrival_ms

    def authentic(self, event: Event, key: str | None = None) -> Authentic:
        """What the door makes of an event."""
        claim = read_claim(jsontext.parse(body(event).encode()), self.arrival_ms)
        secret_id = LEAKED if event.excluded else "secret"
        return Authentic(WORKSPACE, self.mode, secret_id, claim, key)

    def decide(self, excludes: bool) -> None:
        """Exclude, or include again, whatever the leaked secret has signed and will sign, and let it be judged."""
        self.arrival_ms += 1_000
        decision = Exclusion(
            ids.new_id(self.arrival_ms), WORKSPACE, LEAKED, int(excludes), 0, FOR_EVER_MS, "", "bob", self.arrival_ms
        )
        self.database.write(lambda tx: exclusions.decide(tx, decision))
        self.work_off()

    def record(self, batch: Iterable[Event]) -> list[Recorded]:
        """Record events in one transaction, each a request of its own, a second after the last one."""
        self.arrival_ms += 1_000
        answers = []
        for answer in self.recorder.commit([[self.authentic(event)] for event in batch]):
            assert isinstance(answer, list), answer
            assert isinstance(answer[0], Recorded), answer
            answers.append(answer[0])
        return answers

    def record_all(self, batches: Iterable[Sequence[Event]]) -> None:
        """Record batch after batch, and let the background finish."""
        for batch in batches:
            self.record(batch)
        self.work_off()

    def work_off(self) -> int:
        """Work until the docket is empty; how many rounds that took."""
        for rounds in range(1_000):
            if not self.recorder.work_off(self.mode):
                return rounds
        raise AssertionError("the docket never empties")

    # --- read back ---

    def standing(self, event_id: str) -> conversions.Conversion:
        """One event as it stands."""
        found = self.database.read(lambda tx: conversions.find(tx, self.mode, self.vault, WORKSPACE, event_id))
        assert found is not None
        return found

    def verdict(self, event_id: str) -> Verdict:
        """The verdict that stands."""
        return verdict_of(self.standing(event_id))

    def settlement(self, event_id: str) -> Settlement | None:
        """The settlement that stands; `taken` is left out, see `moves`."""
        return settlement_of(self.standing(event_id))

    def order(self, event_id: str) -> conversions.Order | None:
        """The order of a sale, as the core tells it."""
        outcome = self.standing(event_id).outcome
        if outcome.event_name != "sale":
            return None
        return self.database.read(lambda tx: conversions.order_of(tx, self.mode, outcome))

    def moves(self) -> dict[tuple[str, str], int]:
        """What stands between each event and each sale, in minor units; nothing is left out."""
        prefix = "" if self.mode == "live" else "test_"
        rows = self.database.read(
            lambda tx: tx.all(f"select event_id, sale_event_id, amount_minor from {prefix}movements")
        )
        sums: dict[tuple[str, str], int] = {}
        for event_id, sale_id, amount in rows:
            sums[event_id, sale_id] = sums.get((event_id, sale_id), 0) + amount
        for sale_id in {sale_id for _, sale_id in sums}:
            told = self.database.read(
                lambda tx, s=sale_id: settlement.moved_from(tx, self.mode, WORKSPACE, s)  # type: ignore[misc]
            )
            assert told == {by: sums[by, of] for by, of in sums if of == sale_id and sums[by, of]}
        return {pair: amount for pair, amount in sums.items() if amount}

    @contextmanager
    def columnar(self, clicked: bool = True) -> Iterator[Columnar]:
        """The columnar copy of this ledger, with the clicks of the histories or with none."""
        with projected(self.database, {0: _click_log()} if clicked else {}) as columnar:
            yield columnar

    def state(self, event_ids: Iterable[str]) -> bytes:
        """What can be read of these events, byte for byte, without ids of ours and times of arrival."""
        told = []
        for event_id in sorted(event_ids):
            standing = wire.standing(self.standing(event_id))
            event = standing["event"]
            assert isinstance(event, dict)
            del event["id"], event["received_at"]
            told.append([standing, wire.order(self.order(event_id))])
        return msgspec.json.encode(told)

    def dump(self) -> list[object]:
        """Every row of every table of both ledgers."""
        tables = [prefix + table for prefix in ("", "test_") for table in TABLES]
        return [self.database.read(lambda tx, t=table: tx.all(f"select * from {t}")) for table in tables]  # type: ignore[misc]


def verdict_of(told: conversions.Conversion | Recorded) -> Verdict:
    """A verdict in the model's words."""
    v = told.verdict
    if v.status != "attributed":
        assert v[3:] == ("", 0, "", None, None)
        return Verdict(v.status, v.method or None, v.reason or None)
    raw = ids.to_bytes(v.click_id)
    assert v.clicked_at_ms == int.from_bytes(raw[:6], "big")
    return Verdict(
        v.status, v.method or None, v.reason or None, _LINK_NAMES[v.link_id], _VARIANTS[v.decision], f"{raw[15]:02d}"
    )


def settlement_of(told: conversions.Conversion | Recorded) -> Settlement | None:
    """A settlement in the model's words, without `taken`."""
    s = told.settlement
    if s is None:
        return None
    return Settlement(s.status, s.currency or None, s.applied_minor, s.excess_minor, s.remaining_minor)


def order_of(told: conversions.Order | None) -> Order | None:
    """An order in the model's words."""
    if told is None:
        return None
    net = told.gross_minor - told.taken_back_minor
    money = (told.gross_minor, told.taken_back_minor, net, told.excess_minor)
    return Order(told.currency or None, *money, told.sales, told.follow_ons)


def report(
    columnar: Columnar,
    mode: Mode,
    by: str,
    clock: str = "event",
    from_ms: int = 0,
    to_ms: int = FOR_EVER_MS,
    zone: str = "UTC",
    filters: Mapping[str, Sequence[str]] = {},
    as_of_ms: int = 0,
    model: Model = "last",
) -> facts.Report:
    """A report in the model's words, its rates as the API gives them."""
    asked = {name: [_LINK_IDS.get(value, value) for value in values] for name, values in filters.items()}
    question = Question(
        WORKSPACE, mode, from_ms, to_ms, zone, NOW_MS, (by,), clock, asked,
        left_out=("bot",), as_of_ms=as_of_ms, model=model,
    )  # fmt: skip
    told = columnar.report(question)
    clickless = by == "event_name"
    rows = {
        _told_key(key[0], by): _row(f, told.totals.tracked_clicks if clickless else f.tracked_clicks, clickless)
        for key, f in told.rows.items()
    }
    totals = _row(told.totals, told.totals.tracked_clicks, False)
    return facts.Report(rows, totals, _row(told.unattributed, 0, True), told.reasons)


def _told_key(key: str, by: str) -> str:
    if by == "link":
        return _LINK_NAMES[key]
    if by == "variant":
        link_id, _, decision = key.partition("/")
        return f"{_LINK_NAMES[link_id]}/{_VARIANTS[int(decision)]}" if decision else _LINK_NAMES[link_id]
    return key


def _row(f: Figures, base: int, clickless: bool) -> Row:
    return Row(
        None if clickless else f.tracked_clicks,
        f.leads,
        f.sales,
        f.refunds,
        f.cancellations,
        f.reversals,
        f.reinstatements,
        f.attributed,
        figures.rate(f.attributed, base),  # type: ignore[arg-type]
        {c: Money(m.gross_minor, m.taken_back_minor, m.net_minor) for c, m in f.revenue.items()},
    )


@cache
def _click_log() -> Sqlite:
    """The clicks of the histories, each twice: once as its token tells it, and once more under another id."""
    log = clicklogs.opened(Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None)) / "clicks-0.db")
    for number, click in enumerate(2 * CLICKS):
        click_id = click_uuid(click) if number < len(CLICKS) else click_uuid(replace(click, click_id=f"5{number}"))
        made = clicklogs.click(click.time_ms, LINKS[click.link_id], WORKSPACE)
        clicklogs.write(
            log,
            made._replace(
                click_id=ids.to_text(click_id),
                facts=made.facts._replace(
                    domain_id=OTHER_LINK,
                    decision=DECISIONS[click.variant],
                    utm_source=CONTEXT[click.click_id][0],
                ),
            ),
            tags=json.dumps(CONTEXT[click.click_id][1]),
        )
    return log


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.db"
        database = Sqlite(path)
        migrate(database, "records", NOW_MS)
        database.close()
        return path.read_bytes()


@contextmanager
def opened(rejudge_max: int = 256, mode: Mode = "live") -> Iterator[Ledger]:
    """A fresh ledger for the time of one example."""
    folder = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        path = folder / "records.db"
        path.write_bytes(_template())
        database = Sqlite(path)
        try:
            yield Ledger(database, rejudge_max, mode)
        finally:
            database.close()
    finally:
        shutil.rmtree(folder)
