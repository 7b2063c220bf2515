"""Conditions: the filters of a question as SQL, its values bound."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from nimriz.analytics.dimensions import OF_CONTEXT, Question
from nimriz.analytics.tables import NO_ID

_IDS = {"link": "link_id", "domain": "domain_id"}
DECIDED = {
    # A number that means nothing any more, or nothing yet, is told as a number.
    "variant": "coalesce(d.variant, case when {table}.decision = 0 then '' else cast({table}.decision as varchar) end)",
    "rule": "coalesce(d.rule_id, '')",
}
"""What a decision means, in SQL, where `decisions` are joined as `d`."""


class Condition(NamedTuple):
    """SQL that is true for what is asked for, and what is bound in it."""

    sql: str
    params: dict[str, Any]


def all_of(conditions: list[Condition]) -> Condition:
    """What holds where each of them does."""
    params: dict[str, Any] = {}
    for condition in conditions:
        params |= condition.params
    return Condition(" and ".join(f"({condition.sql})" for condition in conditions) or "1 = 1", params)


def of_click(question: Question, context: str, verdict: str) -> Condition:
    """The filters on what a click was: in `context` are its surroundings, in `verdict` its link and decision."""
    found = []
    for name, values in sorted(question.filters.items()):
        if name in OF_CONTEXT:
            found.append(_one_of(f"{context}.{name}", name, values))
        elif name == "tag":
            tags = _one_of("tag", name, values)
            found.append(Condition(f"{context}.tags in (select tags from tagsets where {tags.sql})", tags.params))
        elif name in DECIDED:
            found.append(_decided(verdict, name, values))
        elif name in _IDS:
            table = verdict if name == "link" else context
            found.append(_one_of(f"{table}.{_IDS[name]}", name, [_uuid(value) for value in values], "UUID"))
    return all_of(found)


def of_event(question: Question, name: str) -> Condition:
    """The filter on event names."""
    asked = question.filters.get("event_name")
    return all_of([]) if asked is None else _one_of(name, "event_name", asked)


def needs_context(question: Question) -> bool:
    """Whether an event's own verdict does not tell what is asked of its click."""
    return any(name in OF_CONTEXT or name in ("tag", "domain") for name in (*question.by, *question.filters))


def _one_of(column: str, name: str, values: list[str], kind: str = "varchar") -> Condition:
    params = {f"{name}_{n}": value for n, value in enumerate(values)}
    told = ", ".join(f"cast(:{param} as {kind})" for param in params)
    return Condition(f"{column} in ({told})", params)


def _decided(table: str, name: str, values: list[str]) -> Condition:
    found = []
    for n, value in enumerate(values):
        link_id, _, meaning = value.partition("/")
        params = {f"{name}_of_{n}": _uuid(link_id), f"{name}_{n}": meaning}
        told = DECIDED[name].format(table=table)
        of_link = f"{table}.link_id = cast(:{name}_of_{n} as UUID)"
        found.append(Condition(f"{of_link} and {told} = cast(:{name}_{n} as varchar)", params))
    return Condition(" or ".join(f"({condition.sql})" for condition in found), all_of(found).params)


def needs_decisions(question: Question) -> bool:
    """Whether it is asked what decisions mean."""
    return any(name in DECIDED for name in (*question.by, *question.filters))


def _uuid(text: str) -> str:
    """An id in its one spelling; of what is no id, one that nothing has."""
    try:
        return str(uuid.UUID(text)) if len(text) == 36 else NO_ID[:-1] + "1"
    except ValueError:
        return NO_ID[:-1] + "1"
