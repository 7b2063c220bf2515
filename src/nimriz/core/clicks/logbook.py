"""The logbook: writes clicks into one process's log, each with who made it and what it is worth.

Owns the table click_agents. An address and a user agent come in with a click and are forgotten here: what
stays is a place, a language, the visitor's hash of the day, and the family of the agent. An agent that was met before
stands in its click's own row; a new one is read in a thread of its own, off everybody's way, and told a moment later.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from nimriz.core.clicks import clicks, judgments
from nimriz.core.clicks.agents import Agent, Agents
from nimriz.core.clicks.bursts import WATCHED, Bursts, Sighting
from nimriz.core.clicks.clicks import Facts
from nimriz.core.clicks.contexts import Contexts
from nimriz.core.clicks.crawlers import USER_AGENT_BYTES_MAX
from nimriz.core.clicks.judgments import Judgment
from nimriz.core.clicks.languages import first_language
from nimriz.core.clicks.networks import Networks
from nimriz.core.clicks.places import Place, Places
from nimriz.core.clicks.quality import HUMAN, Corrected, Judged, Pace, by_network, by_request, graver
from nimriz.core.clicks.visitors import DayKeys
from nimriz.store.db import Database, Scalar, StoreError, Tx

UNREAD_MAX = 50_000
_TOGETHER_MAX = 1_000
_CLICK_AGENT = "insert into click_agents (click_seq, agent_id) values (:click_seq, :agent_id)"

log = structlog.get_logger()


class Arrival(NamedTuple):
    """A click on its way to disk, with what is forgotten once it is there.

    `country` is what a trusted proxy says, '' when none does; `strict` keeps hash, region and city away.
    """

    click_id: bytes
    clicked_at_ms: int
    facts: Facts
    purpose: str
    country: str
    address: str
    user_agent: bytes
    accept_language: bytes
    strict: bool


class _Later(NamedTuple):
    """A click that is on disk, and of which more is to be found out: its agent, where that is `unread`, and whether it
    is part of a burst. No more of it than that takes; `around` is what network and pace say."""

    click_seq: int
    link_id: str
    clicked_at_ms: int
    crawler: bool
    purpose: str
    user_agent: bytes
    unread: bool
    stood: Judged
    around: Judged
    sighting: Sighting | None


class Logbook:
    """Writes one log: `write` from one thread at a time. `skipped` is told of clicks whose agent stays unknown."""

    def __init__(
        self,
        log_file: Database,
        agents: Agents,
        places: Places,
        networks: Networks,
        days: DayKeys,
        skipped: Callable[[int], None],
    ) -> None:
        self._log_file = log_file
        self._agents = agents
        self._places = places
        self._networks = networks
        self._days = days
        self._skipped = skipped
        self._pace = Pace()
        self._bursts = Bursts()
        # What the file holds, as far as we know: two threads write rows of agents, and an id is given once.
        self._writing = threading.Lock()
        self._known = False
        self._contexts = Contexts()
        self._next_seq = 1
        self._unread: queue.SimpleQueue[_Later | Corrected | None] = queue.SimpleQueue()
        self._recall()
        self._reader = threading.Thread(target=self._read_agents, name="agent-reader", daemon=True)
        self._reader.start()

    def _recall(self) -> None:
        """Learn what the file holds, unless that is known. Raises StoreError."""
        if not self._known:
            self._log_file.read(self._contexts.recall)
            self._next_seq = self._log_file.read(clicks.newest) + 1
            self._known = True

    def write(self, arrivals: Sequence[Arrival]) -> None:
        """Write clicks, on disk when it returns. Raises StoreError; then none of them is, as far as one can know."""
        later: list[_Later] = []
        with self._writing:
            self._recall()
            rows: list[tuple[Scalar, ...]] = []
            named = self._contexts.begin(arrivals[0].clicked_at_ms)
            for seq, arrival in enumerate(arrivals, self._next_seq):
                click_id, clicked_at_ms, facts, purpose, _, address, user_agent, accept_language, strict = arrival
                visitor = None
                if not strict:
                    visitor = self._days.hash(clicked_at_ms, facts.workspace_id, address, user_agent) or None
                agent = self._agents.known(user_agent)
                network = self._networks.find(address)
                around = self._pace.judge(visitor, facts.link_id, clicked_at_ms, seq) if visitor else HUMAN
                if network:
                    around = graver(by_network(network), around)
                judged = around
                if purpose or facts.crawler or agent is None or agent.kind != "browser":
                    kind = "" if agent is None else agent.kind
                    judged = graver(by_request(kind, bool(facts.crawler), purpose), around)
                language = first_language(accept_language) if accept_language else ""
                alike = (facts, self._place(arrival), language, purpose, network, judged, agent)
                context_id, workspace_no = named.get(alike) or self._contexts.add(alike)
                rows.append((seq, click_id, workspace_no, clicked_at_ms, visitor, context_id))
                if agent is None or network in WATCHED:
                    later.append(_later(seq, arrival, network, judged, around, unread=agent is None))
            earlier = self._pace.earlier()
            try:
                self._append(rows)
            except StoreError:
                self._pace = Pace()  # It remembers clicks by numbers that others may be given now.
                raise
            self._next_seq += len(rows)
        found: list[_Later | Corrected] = [*earlier, *later]
        for new in found:
            if self._unread.qsize() < UNREAD_MAX:
                self._unread.put(new)
            elif isinstance(new, _Later) and new.unread:
                self._skipped(1)

    def _append(
        self,
        rows: Sequence[tuple[Scalar, ...]] = (),
        made: Sequence[Judgment] = (),
        corrected: Sequence[Corrected] = (),
        late: Sequence[tuple[int, int]] = (),
    ) -> None:
        """Append clicks, what they share, what is thought of earlier ones now, and which agents made those."""

        def append(tx: Tx) -> None:
            self._contexts.append(tx)
            clicks.append(tx, rows)
            judgments.correct(tx, made)
            judgments.worsen(tx, corrected)
            tx.many(_CLICK_AGENT, late)

        try:
            self._log_file.write(append)
        except StoreError:
            self._known = False  # It may have been written all the same: numbers are not given twice.
            raise
        self._contexts.written()

    @property
    def unread(self) -> int:
        """Clicks whose agent is still to be read, or of which something else is to be found out."""
        return self._unread.qsize()

    def _place(self, arrival: Arrival) -> Place:
        place = self._places.find(arrival.address)
        if arrival.strict:
            place = place._replace(region="", city="")
        if arrival.country and arrival.country != place.country:
            place = Place(arrival.country, "", "")  # The proxy knows better, and our region would be another country's.
        return place

    def _read_agents(self) -> None:
        """Read what is new, until told to stop."""
        while self._read_some():
            pass

    def _read_some(self) -> bool:
        """Wait, then read as much as has come meanwhile; False when told to stop. Keeps nothing while it waits."""
        together: list[_Later | Corrected] = []
        new = self._unread.get()
        while new is not None:
            together.append(new)
            if len(together) >= _TOGETHER_MAX or self._unread.empty():
                break
            new = self._unread.get()
        if together:
            self._write_read(together)
        return new is not None

    def _write_read(self, together: Sequence[_Later | Corrected]) -> None:
        later = [new for new in together if isinstance(new, _Later)]
        try:
            read: list[tuple[int, Agent]] = []
            made: list[Judgment] = []
            corrected = [new for new in together if isinstance(new, Corrected)]
            for new in later:
                judged = new.stood
                if new.unread:
                    agent = self._agents.read(new.user_agent)
                    read.append((new.click_seq, agent))
                    judged = graver(by_request(agent.kind, new.crawler, new.purpose), new.around)
                if judged != new.stood:
                    made.append(Judgment(new.click_seq, new.link_id, new.clicked_at_ms, *judged))
                # What says that it is a machine shows nothing of the others.
                if new.sighting is not None and judged.quality != "bot":
                    corrected += self._bursts.see(new.sighting)
            with self._writing:
                self._recall()
                late = [(seq, self._contexts.agent_id(agent)) for seq, agent in read]
                self._append((), made, corrected, late)
        except Exception as error:
            # Whatever it was, the next ones are read.
            lost = sum(new.unread for new in later)
            self._skipped(lost)
            said = str(error) if isinstance(error, StoreError) else type(error).__name__
            log.error("agents_lost", count=lost, error=said)

    def close(self) -> None:
        """Read what waits, then end. After the last `write`."""
        self._unread.put(None)
        self._reader.join()


def _later(seq: int, arrival: Arrival, network: str, stood: Judged, around: Judged, *, unread: bool) -> _Later:
    facts, user_agent = arrival.facts, arrival.user_agent[:USER_AGENT_BYTES_MAX]
    sighting = None
    if network in WATCHED:
        sighting = Sighting(
            seq, facts.workspace_id, facts.link_id, facts.placement, arrival.clicked_at_ms, network, arrival.address,
            user_agent,
        )  # fmt: skip
    return _Later(
        seq, facts.link_id, arrival.clicked_at_ms, bool(facts.crawler), arrival.purpose, user_agent, unread, stood,
        around, sighting,
    )  # fmt: skip
