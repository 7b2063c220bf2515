"""Recording: claims become outcomes, judged and settled, in one transaction for a whole batch.

Seen before? A repeat brings the stored event and says what differs. Else the outcome is appended, its
person and click are tied, and a Hearing judges everything that it concerns. Nothing is answered before
the transaction is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from nimriz.base.errors import Refused
from nimriz.base.ids import new_id
from nimriz.core import attribution, ledger, persons
from nimriz.core.attribution import TokenReader, Verdict
from nimriz.core.claims import Claim, differences
from nimriz.core.hearing import Hearing
from nimriz.core.ledger import Outcome
from nimriz.core.mode import Mode, by_mode
from nimriz.core.persons import Readable
from nimriz.core.settlement import Settlement
from nimriz.core.vault import Vault
from nimriz.store.db import Database, Tx

DOCKET_PAGE = 256
_UNBOUNDED = 1_000_000_000

_DOCKET = by_mode(
    "select workspace_id, subject, subject_id, from_ms, after_event_id from @docket "
    "order by entered_at_ms, workspace_id, subject, subject_id limit 1000"
)
_LEAVE = by_mode(
    "delete from @docket where workspace_id = :workspace_id and subject = :subject and subject_id = :subject_id"
)
_PAGE = by_mode(
    "select from_ms, after_event_id from @docket "
    "where workspace_id = :workspace_id and subject = :subject and subject_id = :subject_id"
)
_PAGE_ON = by_mode(
    "update @docket set from_ms = :from_ms, after_event_id = :after_event_id "
    "where workspace_id = :workspace_id and subject = :subject and subject_id = :subject_id"
)


@dataclass(frozen=True, slots=True)
class Authentic:
    """A Claim and who signed it: the workspace, the mode of the secret, and the secret's id."""

    workspace_id: str
    mode: Mode
    secret_id: str
    claim: Claim
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What stands for an event after its claim was heard."""

    mode: Mode
    outcome: Outcome
    readable: Readable
    verdict: Verdict
    settlement: Settlement | None
    duplicate: bool = False
    differences: tuple[str, ...] = ()


Answer = Recorded | Refused


class Recorder:
    """Records claims. Holds what it needs for it: the vault, the reader of tokens, and the bound
    `rejudge_max` on how many events one claim may have judged again at once."""

    def __init__(
        self, database: Database, vault: Vault, reader: TokenReader, now_ms: Callable[[], int], rejudge_max: int
    ) -> None:
        self._database = database
        self._vault = vault
        self._reader = reader
        self._now_ms = now_ms
        self._rejudge_max = rejudge_max

    def commit(self, units: Sequence[Sequence[Authentic]]) -> list[list[Answer] | Exception]:
        """Record several requests' claims in one transaction; the answers are in the same order.

        When the transaction fails, each request is retried alone, so a poisoned one hurts nobody else.
        """
        flat = [authentic for unit in units for authentic in unit]
        try:
            answers = iter(self._database.write(lambda tx: self._record(tx, flat)))
            return [[next(answers) for _ in unit] for unit in units]
        except Exception as error:
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
        answers: list[Answer | None] = [None] * len(batch)
        groups: dict[tuple[str, Mode], list[int]] = {}
        for index, authentic in enumerate(batch):
            groups.setdefault((authentic.workspace_id, authentic.mode), []).append(index)
        for (workspace_id, mode), indexes in groups.items():
            group = _Group(tx, mode, workspace_id, self._vault, self._reader, now_ms, self._rejudge_max)
            for index, answer in zip(indexes, group.record([batch[i] for i in indexes]), strict=True):
                answers[index] = answer
        return [answer for answer in answers if answer is not None]

    def work_off(self, mode: Mode) -> int:
        """Judge what waits in the docket, a page at a time; returns how many entries there were."""
        entries = self._database.read(lambda tx: tx.all(_DOCKET[mode]))
        waiting: dict[str, list[str]] = {}
        for workspace_id, subject, subject_id, _, _ in entries:
            if subject == "event":
                waiting.setdefault(str(workspace_id), []).append(str(subject_id))
            else:
                self._work_off_person(mode, str(workspace_id), str(subject_id))
        for workspace_id, event_ids in waiting.items():
            self._database.write(lambda tx, w=workspace_id, e=event_ids: self._rehear(tx, mode, w, e))  # type: ignore[misc]
        return len(entries)

    def _rehear(self, tx: Tx, mode: Mode, workspace_id: str, event_ids: Iterable[str]) -> None:
        hearing = Hearing(tx, mode, workspace_id, self._reader, self._now_ms(), _UNBOUNDED)
        hearing.hear_again(event_ids)
        for event_id in event_ids:
            tx.run(_LEAVE[mode], {"workspace_id": workspace_id, "subject": "event", "subject_id": event_id})

    def _work_off_person(self, mode: Mode, workspace_id: str, person_id: str) -> None:
        key = {"workspace_id": workspace_id, "subject": "person", "subject_id": person_id}

        def page(tx: Tx) -> bool:
            row = tx.one(_PAGE[mode], key)
            if row is None:
                return False
            after = (int(row[0]), str(row[1]))
            outcomes = ledger.of_person(tx, mode, person_id, after, DOCKET_PAGE)
            Hearing(tx, mode, workspace_id, self._reader, self._now_ms(), _UNBOUNDED).hear((), outcomes)
            if len(outcomes) < DOCKET_PAGE:
                tx.run(_LEAVE[mode], key)
                return False
            last = outcomes[-1]
            tx.run(_PAGE_ON[mode], {**key, "from_ms": last.event_time_ms, "after_event_id": last.event_id})
            return True

        while self._database.write(page):
            pass


class _RolledBack(Exception):
    def __init__(self, answers: list[Answer]) -> None:
        super().__init__()
        self.answers = answers


class _Group:
    """The claims of one workspace and mode inside one transaction."""

    def __init__(
        self, tx: Tx, mode: Mode, workspace_id: str, vault: Vault, reader: TokenReader, now_ms: int, rejudge_max: int
    ) -> None:
        self._tx, self._mode, self._workspace_id, self._now_ms = tx, mode, workspace_id, now_ms
        self._vault, self._reader, self._rejudge_max = vault, reader, rejudge_max
        self._new: dict[str, Outcome] = {}
        self._readable: dict[str, Readable] = {}
        self._keys: dict[str, str] = {}

    def record(self, batch: Sequence[Authentic]) -> list[Answer]:
        seen: list[tuple[Authentic, Outcome | Refused, bool]] = []
        for authentic in batch:
            try:
                outcome, duplicate = self._seen_or_new(authentic)
                seen.append((authentic, outcome, duplicate))
            except Refused as refused:
                seen.append((authentic, refused, False))
        ledger.append(self._tx, self._mode, list(self._new.values()))
        bound = [(self._workspace_id, key, event_id, self._now_ms) for key, event_id in self._keys.items()]
        ledger.bind_keys(self._tx, self._mode, bound)
        budget = self._rejudge_max * max(1, len(self._new))
        hearing = Hearing(self._tx, self._mode, self._workspace_id, self._reader, self._now_ms, budget)
        hearing.hear(self._new.values(), self._retied(hearing))
        return [
            outcome if isinstance(outcome, Refused) else self._answer(hearing, authentic, outcome, duplicate)
            for authentic, outcome, duplicate in seen
        ]

    def _seen_or_new(self, authentic: Authentic) -> tuple[Outcome, bool]:
        event_id = authentic.claim.event_id
        key = authentic.idempotency_key
        if key is not None:
            holder = self._keys.get(key) or ledger.key_holder(
                self._tx, self._mode, self._workspace_id, key, self._now_ms
            )
            if holder is None:
                self._keys[key] = event_id
            elif holder != event_id:
                raise Refused("idempotency_key_reused")
        seen = self._new.get(event_id) or ledger.find(self._tx, self._mode, self._workspace_id, event_id)
        if seen is not None:
            return seen, True
        outcome = self._append(authentic)
        self._new[event_id] = outcome
        return outcome, False

    def _append(self, authentic: Authentic) -> Outcome:
        claim = authentic.claim
        person_id, commitment = "", b""
        if claim.external_id is not None or claim.metadata is not None:
            person = persons.find_or_add(
                self._tx, self._mode, self._vault, self._workspace_id, claim.external_id, self._now_ms
            )
            person_id = person.person_id
            commitment = person.key.commitment(claim.external_id or "", claim.metadata or b"")
            if claim.metadata is not None:
                persons.add_metadata(self._tx, self._mode, person, self._workspace_id, claim.event_id, claim.metadata)
        self._readable[claim.event_id] = Readable(claim.external_id, claim.metadata)
        return Outcome(
            outcome_id=new_id(self._now_ms),
            workspace_id=self._workspace_id,
            event_id=claim.event_id,
            event_name=claim.event_name,
            event_time_ms=self._now_ms if claim.event_time_ms is None else claim.event_time_ms,
            event_time_given=int(claim.event_time_ms is not None),
            received_at_ms=self._now_ms,
            click_token=claim.click_id or "",
            person_id=person_id,
            identified=int(claim.external_id is not None),
            value_minor=claim.value_minor,
            currency=claim.currency or "",
            order_id=claim.order_id or "",
            quantity=claim.quantity,
            related_event_id=claim.related_event_id or "",
            related_order_id=claim.related_order_id or "",
            secret_id=authentic.secret_id,
            commitment=commitment,
        )

    def _retied(self, hearing: Hearing) -> list[Outcome]:
        """Tie persons to clicks; the earlier outcomes that may be judged otherwise from now on."""
        again: dict[str, Outcome] = {}
        for outcome in self._new.values():
            if outcome.is_follow_on or not (outcome.identified and outcome.click_token):
                continue
            click = self._reader.read(self._tx, self._workspace_id, outcome.click_token)
            if isinstance(click, str):
                continue
            from_ms = attribution.tie(self._tx, self._mode, outcome, click, self._now_ms)
            if from_ms is None:
                continue
            limit = self._rejudge_max + 1
            concerned = ledger.of_person(self._tx, self._mode, outcome.person_id, (from_ms, ""), limit)
            if len(concerned) >= limit:
                hearing.enter_person(outcome.person_id, from_ms)
            else:
                again.update((o.event_id, o) for o in concerned if o.event_id not in self._new)
        return list(again.values())

    def _answer(self, hearing: Hearing, authentic: Authentic, outcome: Outcome, duplicate: bool) -> Recorded:
        event_id = outcome.event_id
        readable = self._readable.get(event_id)
        if readable is None:
            readable = persons.read(self._tx, self._mode, self._vault, self._workspace_id, event_id, outcome.person_id)
        recorded = Recorded(
            self._mode, outcome, readable, hearing.verdict(event_id), hearing.settlement(event_id), duplicate
        )
        if not duplicate:
            return recorded
        return replace(recorded, differences=differences(authentic.claim, outcome, readable))
