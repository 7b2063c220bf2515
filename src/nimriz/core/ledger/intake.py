"""Intake: the claims of one workspace and mode, all of one batch, become ledger rows that are judged.

Everything that can be asked or written once for the whole batch is: what was seen before, who the persons
are, the rows, the ties, and one Hearing at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nimriz.base.errors import Refused
from nimriz.base.ids import new_id
from nimriz.core.directory.mode import Mode
from nimriz.core.directory.vault import Vault
from nimriz.core.ledger import attribution, exclusions, ledger, persons
from nimriz.core.ledger.attribution import Click, TokenReader, Verdict
from nimriz.core.ledger.claim import Claim
from nimriz.core.ledger.claims import differences
from nimriz.core.ledger.exclusions import Exclusions
from nimriz.core.ledger.hearing import Crowd, Hearing
from nimriz.core.ledger.ledger import Outcome
from nimriz.core.ledger.persons import Person, Readable
from nimriz.core.ledger.settlement import Settlement
from nimriz.core.routing import decisions
from nimriz.store.db import Tx


class Authentic(NamedTuple):
    """A Claim and who signed it: the workspace, the mode of the secret, and the secret's id."""

    workspace_id: str
    mode: Mode
    secret_id: str
    claim: Claim
    idempotency_key: str | None = None


class Recorded(NamedTuple):
    """What stands for an event after its claim was heard. `variant` is the key of its click's variant, '' for none."""

    mode: Mode
    outcome: Outcome
    readable: Readable
    verdict: Verdict
    settlement: Settlement | None
    variant: str
    duplicate: bool = False
    differences: tuple[str, ...] = ()


Answer = Recorded | Refused


@dataclass(slots=True)
class Intake:
    """One batch's claims of one workspace and mode, inside one transaction."""

    tx: Tx
    mode: Mode
    workspace_id: str
    vault: Vault
    reader: TokenReader
    now_ms: int
    rejudge_max: int
    crowded: set[Crowd] = field(default_factory=set)
    _stored: dict[str, Outcome] = field(default_factory=dict)
    _new: dict[str, Authentic] = field(default_factory=dict)
    _outcomes: dict[str, Outcome] = field(default_factory=dict)
    _holders: dict[str, str] = field(default_factory=dict)
    _clicks: dict[str, Click | str] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _excluded: Exclusions = exclusions.NONE
    _variants: dict[tuple[str, int], str] = field(default_factory=dict)

    def record(self, batch: Sequence[Authentic]) -> list[Answer]:
        """Record the claims; the answers are in the same order."""
        self._look_up(batch)
        refused = self._sift(batch)
        self._append()
        budget = self.rejudge_max * max(1, len(self._new))
        self._excluded = exclusions.read(self.tx, self.workspace_id)
        hearing = Hearing(
            self.tx, self.mode, self.workspace_id, self.reader, self.now_ms, budget, self._clicks,
            self.rejudge_max + len(self._new), self.crowded, excluded=self._excluded,
        )  # fmt: skip
        again = self._tie(hearing)
        hearing.hear(list(self._outcomes.values()), again)
        return [refused.get(n) or self._answer(hearing, authentic) for n, authentic in enumerate(batch)]

    def _look_up(self, batch: Sequence[Authentic]) -> None:
        """Which events are there already, and which events hold the idempotency keys."""
        event_ids = list(dict.fromkeys(authentic.claim.event_id for authentic in batch))
        found = ledger.find_each(self.tx, self.mode, self.workspace_id, event_ids)
        self._stored = {outcome.event_id: outcome for outcome in found}
        keys = list({authentic.idempotency_key for authentic in batch if authentic.idempotency_key})
        if keys:
            self._holders = ledger.key_holders(self.tx, self.mode, self.workspace_id, keys, self.now_ms)

    def _sift(self, batch: Sequence[Authentic]) -> dict[int, Refused]:
        """Sort out what is new, bind keys, and refuse keys that are bound to another event."""
        refused: dict[int, Refused] = {}
        bound: dict[str, str] = {}
        for number, authentic in enumerate(batch):
            event_id, key = authentic.claim.event_id, authentic.idempotency_key
            if key is not None:
                holder = self._holders.get(key) or bound.setdefault(key, event_id)
                if holder != event_id:
                    refused[number] = Refused("idempotency_key_reused")
                    continue
            if event_id not in self._stored:
                self._new.setdefault(event_id, authentic)
        if bound:
            rows = [(self.workspace_id, key, event_id, self.now_ms) for key, event_id in bound.items()]
            ledger.bind_keys(self.tx, self.mode, rows)
        return refused

    def _append(self) -> None:
        """Append an outcome for each new claim, and what can be read about its person apart from it."""
        claims = [authentic.claim for authentic in self._new.values()]
        found = persons.of_claims(self.tx, self.mode, self.vault, self.workspace_id, claims, self.now_ms)
        self._known = {person.person_id for person in found.values() if person.known}
        for event_id, authentic in self._new.items():
            self._outcomes[event_id] = self._outcome(authentic, found.get(event_id))
        ledger.append(self.tx, self.mode, list(self._outcomes.values()))

    def _outcome(self, authentic: Authentic, person: Person | None) -> Outcome:
        claim, now_ms = authentic.claim, self.now_ms
        commitment = b""
        if person is not None:
            commitment = person.key.commitment(claim.external_id or "", claim.metadata or b"")
        return Outcome(
            new_id(now_ms),
            self.workspace_id,
            claim.event_id,
            claim.event_name,
            now_ms if claim.event_time_ms is None else claim.event_time_ms,
            int(claim.event_time_ms is not None),
            now_ms,
            claim.click_id or "",
            "" if person is None else person.person_id,
            int(claim.external_id is not None),
            claim.value_minor,
            claim.currency or "",
            claim.order_id or "",
            claim.quantity,
            claim.related_event_id or "",
            claim.related_order_id or "",
            authentic.secret_id,
            commitment,
        )

    def _tie(self, hearing: Hearing) -> list[Outcome]:
        """Tie persons to clicks; the earlier outcomes that may be judged otherwise from now on."""
        ties: list[tuple[Outcome, Click]] = []
        for outcome in self._outcomes.values():
            if outcome.click_token and not outcome.is_follow_on:
                click = self.reader.read(self.tx, self.workspace_id, outcome.click_token)
                self._clicks[outcome.event_id] = click
                if outcome.identified and not isinstance(click, str):
                    ties.append((outcome, click))
        again: dict[str, Outcome] = {}
        for person_id, from_ms in attribution.tie(self.tx, self.mode, ties, self._known, self.now_ms, self._excluded):
            limit = self.rejudge_max + len(self._outcomes) + 1
            concerned = ledger.of_person(self.tx, self.mode, person_id, (from_ms, ""), limit)
            if len(concerned) >= limit:
                hearing.postpone_person(person_id, from_ms)
            else:
                again.update((o.event_id, o) for o in concerned if o.event_id not in self._outcomes)
        return list(again.values())

    def _answer(self, hearing: Hearing, authentic: Authentic) -> Recorded:
        claim = authentic.claim
        event_id = claim.event_id
        if self._new.get(event_id) is authentic:
            readable = Readable(claim.external_id, claim.metadata)
            outcome = self._outcomes[event_id]
            verdict, settled = hearing.verdict(event_id), hearing.settlement(outcome)
            return Recorded(self.mode, outcome, readable, verdict, settled, self._variant(verdict))
        outcome = self._stored.get(event_id) or self._outcomes[event_id]
        readable = persons.read(self.tx, self.mode, self.vault, self.workspace_id, event_id, outcome.person_id)
        verdict, settled = hearing.verdict(event_id), hearing.settlement(outcome)
        repeat = Recorded(self.mode, outcome, readable, verdict, settled, self._variant(verdict), duplicate=True)
        return repeat._replace(differences=differences(claim, outcome, readable))

    def _variant(self, verdict: Verdict) -> str:
        pair = verdict.link_id, verdict.decision
        if pair not in self._variants:
            self._variants[pair] = decisions.variant_key(self.tx, *pair)
        return self._variants[pair]
