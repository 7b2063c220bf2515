"""Recording: claims become outcomes, judged and settled, in one transaction for a whole batch.

Seen before? A repeat brings the stored event and says what differs. Else the outcome is appended, its
person and click are tied, and a Hearing judges everything that it concerns. Nothing is answered before
the transaction is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from nimriz.core.directory.mode import Mode
from nimriz.core.directory.vault import Vault
from nimriz.core.ledger import attribution, docket, exclusions, ledger, rehearing
from nimriz.core.ledger.attribution import GRACE_MS, TokenReader
from nimriz.core.ledger.docket import Entry
from nimriz.core.ledger.hearing import Crowd, Hearing
from nimriz.core.ledger.intake import Answer, Authentic, Intake
from nimriz.core.ledger.ledger import Outcome
from nimriz.store.db import Database, StoreError, Tx

DOCKET_PAGE = 256
_UNBOUNDED = 1_000_000_000


class Recorder:
    """Records claims. Holds what it needs for it: the vault, the reader of tokens, and the bound
    `rejudge_max` on how many events one claim may have judged again at once. `failing` says that the store
    refused the newest transaction."""

    def __init__(
        self, database: Database, vault: Vault, reader: TokenReader, now_ms: Callable[[], int], rejudge_max: int
    ) -> None:
        self._database = database
        self._vault = vault
        self._reader = reader
        self._now_ms = now_ms
        self._rejudge_max = rejudge_max
        self._crowded: set[Crowd] = set()
        self.failing = False

    def commit(self, units: Sequence[Sequence[Authentic]]) -> list[list[Answer] | Exception]:
        """Record several requests' claims in one transaction; the answers are in the same order.

        When the transaction fails, each request is retried alone, so a poisoned one hurts nobody else.
        """
        flat = [authentic for unit in units for authentic in unit]
        try:
            answers = iter(self._database.write(lambda tx: self._record(tx, flat)))
            self.failing = False
            return [[next(answers) for _ in unit] for unit in units]
        except Exception as error:
            self.failing = isinstance(error, StoreError)
            if len(units) == 1:
                return [error]
            return [self.commit([unit])[0] for unit in units]

    def validate(self, unit: Sequence[Authentic]) -> list[Answer]:
        """What `commit` would answer; nothing is recorded and no key is bound."""

        def dry(tx: Tx) -> None:
            raise _RolledBack(self._record(tx, unit))

        try:
            self._database.write(dry)
        except _RolledBack as rolled_back:
            return rolled_back.answers
        raise AssertionError("a dry run always rolls back")

    def _record(self, tx: Tx, batch: Sequence[Authentic]) -> list[Answer]:
        now_ms = self._now_ms()
        groups: dict[tuple[str, Mode], list[int]] = {}
        for number, authentic in enumerate(batch):
            groups.setdefault((authentic.workspace_id, authentic.mode), []).append(number)
        answers: dict[int, Answer] = {}
        for (workspace_id, mode), numbers in groups.items():
            intake = Intake(tx, mode, workspace_id, self._vault, self._reader, now_ms, self._rejudge_max, self._crowded)
            answers.update(zip(numbers, intake.record([batch[n] for n in numbers]), strict=True))
        return [answers[number] for number in range(len(batch))]

    def work_off(self, mode: Mode) -> int:
        """Judge what waits in the docket; returns how many entries there were."""
        entries = self._database.read(lambda tx: docket.waiting(tx, mode))
        events: dict[str, list[Entry]] = {}
        for entry in entries:
            if entry.subject == "event":
                events.setdefault(entry.workspace_id, []).append(entry)
            elif entry.subject == "exclusion":
                while self._hear_excluded(mode, entry):
                    pass
            else:
                while self._database.write(partial(self._hear_person, mode=mode, entry=entry)):
                    pass
        for waiting in events.values():
            # The test ledger may be emptied at any moment, so that nothing is prepared for it.
            if mode == "test" or not self._hear_apart(mode, waiting):
                self._database.write(partial(self._hear_events, mode=mode, entries=waiting))
        return len(entries)

    def _hear_apart(self, mode: Mode, entries: Sequence[Entry]) -> bool:
        """Hear on a snapshot, so that nobody waits; False when it cannot be written any more."""
        reheard = self._database.read(
            lambda tx: rehearing.prepare(
                tx, mode, entries, lambda snapshot: self._hearing(snapshot, mode, entries[0], rehearing.Breath())
            )
        )
        return self._database.write(lambda tx: rehearing.perform(tx, mode, reheard))

    def _hear_events(self, tx: Tx, mode: Mode, entries: Sequence[Entry]) -> None:
        self._hearing(tx, mode, entries[0]).hear_again([entry.subject_id for entry in entries])
        for entry in entries:
            docket.leave(tx, mode, entry)

    def _hear_person(self, tx: Tx, mode: Mode, entry: Entry) -> bool:
        """Hear one page of a person's outcomes; whether there are more."""
        after = docket.place(tx, mode, entry)
        if after is None:
            return False
        outcomes = ledger.of_person(tx, mode, entry.subject_id, after, DOCKET_PAGE)
        self._hearing(tx, mode, entry).hear((), outcomes)
        if len(outcomes) < DOCKET_PAGE:
            docket.leave(tx, mode, entry)
            return False
        docket.move_on(tx, mode, entry, outcomes[-1].turn)
        return True

    def _hear_excluded(self, mode: Mode, entry: Entry) -> bool:
        """Hear one page of what an exclusion covers; whether there are more."""
        # Looked for beside the writers: what a secret signed may lie far apart.
        page = self._database.read(partial(_covered, mode=mode, entry=entry))
        if page:
            self._database.write(partial(self._hear_page, mode=mode, entry=entry, page=page))
        else:
            self._database.write(partial(docket.leave, mode=mode, entry=entry))
        return bool(page)

    def _hear_page(self, tx: Tx, mode: Mode, entry: Entry, page: Sequence[tuple[int, Outcome]]) -> None:
        outcomes = [outcome for _, outcome in page]
        hearing = self._hearing(tx, mode, entry)
        hearing.hear_again([outcome.event_id for outcome in outcomes])
        # Whom they tied is judged anew by the ties that hold now; other events may know the same clicks.
        earliest: dict[str, int] = {}
        for o in outcomes:
            if o.identified and o.click_token and not o.is_follow_on:
                earliest[o.person_id] = min(o.event_time_ms, earliest.get(o.person_id, o.event_time_ms))
        for person_id, event_time_ms in earliest.items():
            self._tie_again(tx, mode, entry, person_id)
            hearing.postpone_person(person_id, event_time_ms - GRACE_MS)
        docket.move_on(tx, mode, entry, (page[-1][0], ""))

    def _tie_again(self, tx: Tx, mode: Mode, entry: Entry, person_id: str) -> None:
        """Note the ties of a person that were not, because the ledger knew them by an event that is excluded now."""
        excluded, after = exclusions.read(tx, entry.workspace_id), (0, "")
        while outcomes := ledger.of_person(tx, mode, person_id, after, DOCKET_PAGE):
            read = [(o, self._reader.read(tx, o.workspace_id, o.click_token)) for o in outcomes if o.click_token]
            counted = [(o, click) for o, click in read if o.identified and not excluded.cover(o)]
            pairs = [(o, click) for o, click in counted if not isinstance(click, str)]
            attribution.tie(tx, mode, pairs, {person_id}, self._now_ms(), excluded)
            after = outcomes[-1].turn

    def _hearing(self, tx: Tx, mode: Mode, entry: Entry, breathe: Callable[[], None] = lambda: None) -> Hearing:
        return Hearing(tx, mode, entry.workspace_id, self._reader, self._now_ms(), _UNBOUNDED, breathe=breathe)


def _covered(tx: Tx, mode: Mode, entry: Entry) -> list[tuple[int, Outcome]]:
    """The next page of what an exclusion covers."""
    place, decision = docket.place(tx, mode, entry), exclusions.find(tx, entry.subject_id)
    if place is None or decision is None:
        return []
    period = decision.from_ms, decision.to_ms
    return ledger.signed_by(tx, mode, entry.workspace_id, decision.secret_id, period, place[0], DOCKET_PAGE)


class _RolledBack(Exception):
    def __init__(self, answers: list[Answer]) -> None:
        super().__init__()
        self.answers = answers
