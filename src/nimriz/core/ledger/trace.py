"""Trace: what was checked on the way to a verdict and a settlement, in order, and in words.

The code that judges appends the steps itself, so that an explanation cannot say other than what was decided. A step
has a check and a code, and the facts that were looked at: ids, instants and figures, never a token or a secret. The
last step of the check `verdict` has the code of the verdict: its reason, or `attributed`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Check = Literal[
    "exclusion", "identity", "token_form", "token_authenticity", "workspace", "click_time", "tie", "external_id",
    "related", "verdict", "settlement",
]  # fmt: skip
Fact = str | int | bool | None | list[dict[str, object]]
Facts = dict[str, Fact]


class Step(NamedTuple):
    """One check and what it found."""

    check: Check
    code: str
    facts: Facts


Trace = list[Step]


class Words(NamedTuple):
    """What a code means for people. `passed` is None where there was nothing to pass."""

    passed: bool | None
    sentence: str
    advice: str = ""


_KEEP = "Keep the value of nim_ct as it came, all 78 characters, and send it unchanged."
_FORGED = "It was changed on the way, or comes from another installation: compare it with the landing page's address."
_OTHER = "Check that the event went to the workspace that the link belongs to."
_EARLY = "Check event_time and its offset: it is when the event happened, after the visit."
_LATE = "Nothing to mend: the click was too long ago. Give the link a longer window (up to 30 days) for clicks to come."
_UNTIED = "Send a lead or a sale with both ids, click_id and external_id: it ties the customer, for earlier events too."
_NOBODY = "Send click_id or external_id with the event, if there is one."
_WAITING = "Send what it names too; it is judged again when that arrives."
_INVALID = "Name the event_id of a lead or sale, and its own order_id or none."

_EXCLUDED = "If its sender is trusted after all, include the secret's events of that time again."

WORDS: dict[tuple[Check, str], Words] = {
    ("exclusion", "excluded"): Words(
        False, "What this secret signed when the event arrived is excluded, so it counts in nothing.", _EXCLUDED
    ),
    ("identity", "click_id_sent"): Words(True, "The event came with a click_id."),
    ("identity", "external_id_sent"): Words(True, "The event came with an external_id."),
    ("identity", "both_ids_sent"): Words(True, "The event came with a click_id and an external_id."),
    ("identity", "no_identity"): Words(False, "The event came with neither click_id nor external_id.", _NOBODY),
    ("identity", "identity_not_asked"): Words(
        None, "It takes the verdict of what it names; an identity of its own decides nothing."
    ),
    ("token_form", "token_well_formed"): Words(True, "The click_id has the form of a click token."),
    ("token_form", "token_malformed"): Words(
        False, "The click_id is no click token: it has {characters} characters and is not nimct_ with 72 more.", _KEEP
    ),
    ("token_authenticity", "token_authentic"): Words(True, "The token was made by this installation, and not changed."),
    ("token_authenticity", "token_forged"): Words(False, "The token does not authenticate.", _FORGED),
    ("workspace", "token_of_workspace"): Words(True, "The token is of a link of this workspace."),
    ("workspace", "token_other_workspace"): Words(False, "The token is of a link of another workspace.", _OTHER),
    ("click_time", "click_inside_window"): Words(
        True, "The event is {after_click_s} s after the click, which counts for {window_days} days."
    ),
    ("click_time", "before_click"): Words(
        False, "The event is {before_click_s} s before the click; at most 300 s are allowed.", _EARLY
    ),
    ("click_time", "outside_window"): Words(
        False, "The event is {after_click_s} s after the click, which counts for {window_days} days.", _LATE
    ),
    ("tie", "tie_fits"): Words(True, "This click is tied to the customer, and the event is inside its window."),
    ("tie", "tie_from_later"): Words(
        False, "This click was tied by an event that is more than 300 s later than this one."
    ),
    ("tie", "tie_excluded"): Words(False, "The event that tied this click is excluded, and ties nothing."),
    ("tie", "tie_before_click"): Words(False, "The event is more than 300 s before this click."),
    ("tie", "tie_outside_window"): Words(False, "The event is past the {window_days} days of this click."),
    ("external_id", "tie_chosen"): Words(
        True, "The latest fitting click before the event was taken, or else the nearest within 300 s after it."
    ),
    ("external_id", "external_id_unknown"): Words(
        False, "At the time of the event nothing ties this customer to a click.", _UNTIED
    ),
    ("external_id", "before_click"): Words(False, "No click fits: there is one, but the event is before it.", _EARLY),
    ("external_id", "outside_window"): Words(False, "Every click of this customer is too long ago.", _LATE),
    ("related", "related_found"): Words(True, "What the event names is there: the {named_event_name} shown in facts."),
    ("related", "reversal_found"): Words(True, "The sale names a reversal, and gives back what that took."),
    ("related", "no_reversal_named"): Words(
        None, "The sale names an event, but no reversal that has arrived: it is an ordinary sale."
    ),
    ("related", "related_pending"): Words(False, "What the event names has not arrived.", _WAITING),
    ("related", "related_invalid"): Words(
        False, "What the event names is no lead or sale, or is of another order.", _INVALID
    ),
    ("verdict", "attributed"): Words(True, "The event is attributed to the link, by {method}."),
    ("verdict", "token_malformed"): Words(False, "Not attributed: the click_id is no click token.", _KEEP),
    ("verdict", "token_forged"): Words(False, "Not attributed: the token does not authenticate.", _FORGED),
    ("verdict", "token_other_workspace"): Words(False, "Not attributed: the token is of another workspace.", _OTHER),
    ("verdict", "before_click"): Words(False, "Not attributed: the event is before the click.", _EARLY),
    ("verdict", "outside_window"): Words(False, "Not attributed: the event is past the click's window.", _LATE),
    ("verdict", "external_id_unknown"): Words(False, "Not attributed: no click is known of this customer.", _UNTIED),
    ("verdict", "no_identity"): Words(False, "Not attributed: the event says nothing of who it was.", _NOBODY),
    ("verdict", "excluded"): Words(False, "Not attributed: the event is excluded, or names one that is.", _EXCLUDED),
    ("verdict", "related_pending"): Words(None, "Pending: what the event names has not arrived.", _WAITING),
    ("verdict", "related_invalid"): Words(False, "Not attributed: the event names the wrong thing.", _INVALID),
    ("settlement", "settled"): Words(True, "All of {asked_for} was taken; {remaining} is left of the order."),
    ("settlement", "excess"): Words(
        False, "{asked_for} was asked for and {applied} was left: {excess} exceeds, and is part of no total.",
        "Check the amounts of the order, and whether one refund was sent under two event_ids.",
    ),
    ("settlement", "pending"): Words(None, "No money moves before what the event names has arrived.", _WAITING),
    ("settlement", "mismatch"): Words(
        False, "No money moves: the event names no sale, or its currency is not the sale's.",
        "Check the reference and the currency.",
    ),
    ("settlement", "no_money"): Words(None, "No money moves: the event follows a lead."),
    ("settlement", "given_back"): Words(True, "{given_back} went back to the sales that the reversal had taken from."),
    ("settlement", "order_too_large"): Words(
        None, "The order has too many follow-ons to be settled again here; the settlement that stands is above."
    ),
}  # fmt: skip


def words(step: Step) -> Words:
    """The words of a step, with its figures."""
    said = WORDS[step.check, step.code]
    return said._replace(sentence=said.sentence.format_map(step.facts))
