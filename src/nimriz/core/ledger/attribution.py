"""Attribution: which click an outcome belongs to, as dated verdicts beside the ledger.

Owns the tables verdicts and ties. The rules are section 3.6 of the wire contract: a click token, else
the clicks tied to the external id, else what a follow-on names. Event times and event ids decide,
never arrival; only the token is read, never the click's row.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import NamedTuple

from nimriz.base import ids
from nimriz.base.clock import DAY_MS, to_rfc3339
from nimriz.base.tokens import ClickToken, Keyring, TokenRefused
from nimriz.core.directory.mode import Mode, by_mode
from nimriz.core.ledger import exclusions
from nimriz.core.ledger.exclusions import Exclusions
from nimriz.core.ledger.ledger import Outcome
from nimriz.core.ledger.trace import Check, Facts, Step, Trace
from nimriz.store.db import Params, Row, Tx

GRACE_MS = 300_000
WINDOW_DAYS_MAX = 30
TIES_TRACED_MAX = 20


class Click(NamedTuple):
    """A click as its token tells it."""

    click_id: str
    link_id: str
    decision: int
    clicked_at_ms: int
    window_days: int

    def refusal(self, event_time_ms: int) -> str:
        """Why an event at this time is not this click's, or '' when it is. Both ends are inside."""
        after_ms = event_time_ms - self.clicked_at_ms
        if after_ms < -GRACE_MS:
            return "before_click"
        return "outside_window" if after_ms > self.window_days * DAY_MS else ""


class Verdict(NamedTuple):
    """What we think of an outcome. Empty strings and None where the wire says null."""

    status: str
    method: str = ""
    reason: str = ""
    link_id: str = ""
    decision: int = 0
    click_id: str = ""
    clicked_at_ms: int | None = None
    window_days: int | None = None


RELATED_PENDING = Verdict("pending", reason="related_pending")
RELATED_INVALID = Verdict("unattributed", reason="related_invalid")
EXCLUDED = Verdict("unattributed", reason="excluded")

_VERDICT = ", ".join(Verdict._fields)
_NEWEST = by_mode(
    f"select {_VERDICT} from @verdicts where workspace_id = :workspace_id and event_id = :event_id "
    "order by seq desc limit 1"
)
_APPEND = by_mode(
    f"insert into @verdicts (workspace_id, event_id, judged_at_ms, {_VERDICT}) "
    f"values (:workspace_id, :event_id, :judged_at_ms, {', '.join(':' + f for f in Verdict._fields)})"
)
_CLICK = ", ".join(Click._fields)
_ALREADY_TIED = by_mode(
    "select 1 from @ties where person_id = :person_id and clicked_at_ms = :clicked_at_ms "
    "and click_id = :click_id and from_ms <= :from_ms limit 1"
)
_TIE = by_mode(
    f"insert into @ties (workspace_id, person_id, {_CLICK}, from_ms, event_id, tied_at_ms) "
    f"values (:workspace_id, :person_id, {', '.join(':' + f for f in Click._fields)}, "
    ":from_ms, :event_id, :tied_at_ms)"
)
_LATEST_BEFORE = by_mode(
    f"select {_CLICK} from @ties where person_id = :person_id and from_ms <= :event_time_ms "
    "and clicked_at_ms <= :event_time_ms and clicked_at_ms >= :event_time_ms - :window_ms_max "
    "and clicked_at_ms >= :event_time_ms - window_days * :day_ms order by clicked_at_ms desc, click_id desc limit 1"
)
_NEAREST_AFTER = by_mode(
    f"select {_CLICK} from @ties where person_id = :person_id and from_ms <= :event_time_ms "
    "and clicked_at_ms > :event_time_ms and clicked_at_ms <= :event_time_ms + :grace_ms "
    "order by clicked_at_ms, click_id desc limit 1"
)
# Any tie that held by then; a click that came after the event first.
_ANY_TIE = by_mode(
    "select clicked_at_ms from @ties where person_id = :person_id and from_ms <= :event_time_ms "
    "order by clicked_at_ms desc limit 1"
)
_WITNESS = "join @outcomes as o on o.workspace_id = t.workspace_id and o.event_id = t.event_id"
_OF_TIE = ", ".join(f"t.{column}" for column in Click._fields)
_TIES_WITNESSED = by_mode(
    f"select {_OF_TIE}, o.secret_id, o.received_at_ms from @ties as t {_WITNESS} "
    "where t.person_id = :person_id and t.from_ms <= :event_time_ms order by t.clicked_at_ms desc, t.click_id desc"
)
_SAME_TIES = by_mode(
    f"select o.secret_id, o.received_at_ms from @ties as t {_WITNESS} where t.person_id = :person_id "
    "and t.clicked_at_ms = :clicked_at_ms and t.click_id = :click_id and t.from_ms <= :from_ms"
)
_WITNESS_OF = by_mode(
    "select secret_id, received_at_ms from @outcomes where workspace_id = :workspace_id and event_id = :event_id"
)
_TIES_BEFORE = by_mode(
    f"select {_CLICK}, from_ms, event_id from @ties where person_id = :person_id "
    "and clicked_at_ms <= :event_time_ms order by clicked_at_ms desc, click_id desc, from_ms limit :limit_count"
)
_TIES_AFTER = by_mode(
    f"select {_CLICK}, from_ms, event_id from @ties where person_id = :person_id "
    "and clicked_at_ms > :event_time_ms order by clicked_at_ms, click_id desc, from_ms limit :limit_count"
)
_ALL = by_mode(
    f"select judged_at_ms, {_VERDICT} from @verdicts where workspace_id = :workspace_id and event_id = :event_id "
    "order by seq desc limit :limit_count"
)


class TokenReader:
    """Opens click tokens and says whose they are. Remembers which workspace a link belongs to.

    `workspace_of_link(tx, link_id)` is asked once per link: a link never changes its workspace.
    """

    def __init__(self, keyring: Keyring, workspace_of_link: Callable[[Tx, str], str | None], links_max: int) -> None:
        self._keyring = keyring
        self._workspace_of_link = workspace_of_link
        self._links_max = links_max
        self._owners: dict[bytes, tuple[str, str]] = {}

    def read(self, tx: Tx, workspace_id: str, text: str) -> Click | str:
        """The click, or the reason why the token is not one of this workspace."""
        try:
            token = self._keyring.open(text)
        except TokenRefused as refused:
            return refused.code
        owner, link_id = self._owners.get(token.link_id) or self._ask(tx, token)
        if owner != workspace_id:
            return "token_other_workspace"
        return Click(ids.to_text(token.click_id), link_id, token.decision, token.clicked_at_ms, token.window_days)

    def _ask(self, tx: Tx, token: ClickToken) -> tuple[str, str]:
        link_id = ids.to_text(token.link_id)
        owner = self._workspace_of_link(tx, link_id)
        if owner is None:
            return "", link_id
        if len(self._owners) >= self._links_max:
            self._owners.clear()
        self._owners[token.link_id] = (owner, link_id)
        return owner, link_id


def by_identity(
    tx: Tx,
    mode: Mode,
    outcome: Outcome,
    click: Click | str | None,
    trace: Trace | None = None,
    excluded: Exclusions = exclusions.NONE,
) -> Verdict:
    """Rules 1, 2 and 4: the outcome's own click (None when it sent none), else its person's ties."""
    if trace is not None:
        trace.append(_identity_step(outcome))
    reason = ""
    if click is not None:
        reason = click if isinstance(click, str) else click.refusal(outcome.event_time_ms)
        if trace is not None:
            trace += _token_steps(outcome, click, reason)
        if not reason and not isinstance(click, str):
            return _attributed("click_id", click)
    if outcome.identified:
        tied = _by_counted_ties(tx, mode, outcome, excluded) if excluded else _by_ties(tx, mode, outcome)
        if trace is not None:
            trace += _tie_steps(tx, mode, outcome, tied, excluded)
        if not isinstance(tied, str):
            return _attributed("external_id", tied)
        reason = reason or tied
    return Verdict("unattributed", reason=reason or "no_identity")


def _attributed(method: str, click: Click) -> Verdict:
    return Verdict("attributed", method, "", *_link_first(click))


def _link_first(click: Click) -> tuple[str, int, str, int, int]:
    return click.link_id, click.decision, click.click_id, click.clicked_at_ms, click.window_days


def _by_ties(tx: Tx, mode: Mode, outcome: Outcome) -> Click | str:
    params: Params = {
        "person_id": outcome.person_id,
        "event_time_ms": outcome.event_time_ms,
        "window_ms_max": WINDOW_DAYS_MAX * DAY_MS,
        "day_ms": DAY_MS,
        "grace_ms": GRACE_MS,
    }
    latest = tx.one(_ANY_TIE[mode], params)
    if latest is None:
        return "external_id_unknown"
    row = tx.one(_LATEST_BEFORE[mode], params) or tx.one(_NEAREST_AFTER[mode], params)
    if row is not None:
        return Click._make(row)
    # Of several ties that fail, the contract's first reason that holds for any of them.
    return "before_click" if int(latest[0]) > outcome.event_time_ms + GRACE_MS else "outside_window"


def _by_counted_ties(tx: Tx, mode: Mode, outcome: Outcome, excluded: Exclusions) -> Click | str:
    """The same where something is excluded: a tie that an excluded event has made ties nothing."""
    rows = tx.all(_TIES_WITNESSED[mode], {"person_id": outcome.person_id, "event_time_ms": outcome.event_time_ms})
    clicks = [Click._make(row[:-2]) for row in rows if not excluded.exclude(*row[-2:])]
    if not clicks:
        return "external_id_unknown"
    fit = [click for click in clicks if not click.refusal(outcome.event_time_ms)]
    for click in fit:
        if click.clicked_at_ms <= outcome.event_time_ms:
            return click
    if fit:
        return max(fit, key=lambda click: (-click.clicked_at_ms, click.click_id))
    return "before_click" if clicks[0].clicked_at_ms > outcome.event_time_ms + GRACE_MS else "outside_window"


def _identity_step(outcome: Outcome) -> Step:
    sent = bool(outcome.click_token), bool(outcome.identified)
    code = {(True, True): "both_ids_sent", (True, False): "click_id_sent", (False, True): "external_id_sent"}
    facts: Facts = {"click_id_sent": sent[0], "external_id_sent": sent[1]}
    return Step("identity", code.get(sent, "no_identity"), facts)


# What a token is asked, in order: the check, the code of a pass, the reason of a refusal.
_TOKEN_CHECKS: tuple[tuple[Check, str, str], ...] = (
    ("token_form", "token_well_formed", "token_malformed"),
    ("token_authenticity", "token_authentic", "token_forged"),
    ("workspace", "token_of_workspace", "token_other_workspace"),
)


def _token_steps(outcome: Outcome, click: Click | str, reason: str) -> Trace:
    steps: Trace = []
    for check, passed, refused in _TOKEN_CHECKS:
        facts: Facts = {"characters": len(outcome.click_token)} if check == "token_form" else {}
        if reason == refused:
            return [*steps, Step(check, refused, facts)]
        steps.append(Step(check, passed, facts))
    if not isinstance(click, str):
        steps.append(Step("click_time", reason or "click_inside_window", _click_facts(click, outcome.event_time_ms)))
    return steps


def _click_facts(click: Click, event_time_ms: int) -> Facts:
    after_ms = event_time_ms - click.clicked_at_ms
    return {
        "link_id": click.link_id,
        "click_id": click.click_id,
        "clicked_at": to_rfc3339(click.clicked_at_ms),
        "event_time": to_rfc3339(event_time_ms),
        "after_click_s": after_ms // 1000,
        "before_click_s": -(after_ms // 1000),
        "window_days": click.window_days,
        "counts_from": to_rfc3339(click.clicked_at_ms - GRACE_MS),
        "counts_until": to_rfc3339(click.clicked_at_ms + click.window_days * DAY_MS),
    }


def _tie_steps(tx: Tx, mode: Mode, outcome: Outcome, found: Click | str, excluded: Exclusions) -> Trace:
    """Every tie that was asked, the latest click before the event first, then those after it; then what was found."""
    params: Params = {
        "person_id": outcome.person_id,
        "event_time_ms": outcome.event_time_ms,
        "limit_count": TIES_TRACED_MAX + 1,
    }
    rows = [*tx.all(_TIES_BEFORE[mode], params), *tx.all(_TIES_AFTER[mode], params)]
    steps = []
    for row in rows[:TIES_TRACED_MAX]:
        step = _tie_step(outcome, Click._make(row[:-2]), *row[-2:])
        out = excluded and _made_by_excluded(tx, mode, outcome.workspace_id, row[-1], excluded)
        steps.append(step._replace(code="tie_excluded") if out else step)
    asked: Facts = {"ties_asked": len(steps), "more_ties": len(rows) > len(steps)}
    if isinstance(found, str):
        return [*steps, Step("external_id", found, asked)]
    return [*steps, Step("external_id", "tie_chosen", asked | _click_facts(found, outcome.event_time_ms))]


def _made_by_excluded(tx: Tx, mode: Mode, workspace_id: str, event_id: str, excluded: Exclusions) -> bool:
    row = tx.one(_WITNESS_OF[mode], {"workspace_id": workspace_id, "event_id": event_id})
    return row is not None and excluded.exclude(row[0], row[1])


def _tie_step(outcome: Outcome, click: Click, from_ms: int, event_id: str) -> Step:
    refusal = "from_later" if from_ms > outcome.event_time_ms else click.refusal(outcome.event_time_ms)
    facts = {"tied_by": event_id, "tied_from": to_rfc3339(from_ms)} | _click_facts(click, outcome.event_time_ms)
    return Step("tie", f"tie_{refusal or 'fits'}", facts)


def by_named(named: Verdict) -> Verdict:
    """Rule 3: a follow-on (or a reinstating sale) takes the verdict of what it names."""
    return named._replace(method="related") if named.status == "attributed" else named


def tie(
    tx: Tx,
    mode: Mode,
    pairs: Iterable[tuple[Outcome, Click]],
    known: Container[str],
    now_ms: int,
    excluded: Exclusions = exclusions.NONE,
) -> list[tuple[str, int]]:
    """Tie persons to clicks, each from 300 s before the outcome's own time on.

    Returns (person id, event time in ms from which their earlier outcomes may be judged otherwise), for
    the ties that say something new about a person who was `known` before.
    """
    earliest: dict[tuple[str, str, bool], tuple[Outcome, Click]] = {}
    for outcome, click in pairs:
        key = (outcome.person_id, click.click_id, excluded.cover(outcome))
        if key not in earliest or outcome.event_time_ms < earliest[key][0].event_time_ms:
            earliest[key] = (outcome, click)
    rows = []
    concerned: dict[str, int] = {}
    for outcome, click in earliest.values():
        from_ms = outcome.event_time_ms - GRACE_MS
        if outcome.person_id in known:
            params: Params = {
                "person_id": outcome.person_id,
                "clicked_at_ms": click.clicked_at_ms,
                "click_id": click.click_id,
                "from_ms": from_ms,
            }
            if _is_tied(tx, mode, params, excluded):
                continue
            concerned[outcome.person_id] = min(from_ms, concerned.get(outcome.person_id, from_ms))
        rows.append((outcome.workspace_id, outcome.person_id, *click, from_ms, outcome.event_id, now_ms))
    tx.many(_TIE[mode], rows)
    return list(concerned.items())


def _is_tied(tx: Tx, mode: Mode, params: Params, excluded: Exclusions) -> bool:
    """Whether the ledger knows this already, by a tie that holds."""
    if not excluded:
        return tx.one(_ALREADY_TIED[mode], params) is not None
    return any(not excluded.exclude(*row) for row in tx.all(_SAME_TIES[mode], params))


def standing(tx: Tx, mode: Mode, workspace_id: str, event_id: str) -> Verdict | None:
    """The newest verdict on an event."""
    row = tx.one(_NEWEST[mode], {"workspace_id": workspace_id, "event_id": event_id})
    return None if row is None else _verdict(row)


def history(tx: Tx, mode: Mode, workspace_id: str, event_id: str, limit: int) -> list[tuple[int, Verdict]]:
    """(judged_at_ms, verdict) of an event, the newest first, at most `limit`."""
    params: Params = {"workspace_id": workspace_id, "event_id": event_id, "limit_count": limit}
    return [(int(row[0]), _verdict(row[1:])) for row in tx.all(_ALL[mode], params)]


def _verdict(row: Row) -> Verdict:
    return Verdict._make(row)


def append(tx: Tx, mode: Mode, workspace_id: str, verdicts: Iterable[tuple[str, Verdict]], now_ms: int) -> None:
    """Append (event_id, verdict) rows, dated `now_ms`."""
    tx.many(_APPEND[mode], [(workspace_id, event_id, now_ms, *verdict) for event_id, verdict in verdicts])
