"""One call of the document: what it is for, what it answers and how it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nimriz.web.api.document_schemas import Schema, ref


class Answer(NamedTuple):
    """One answer of a call. `media` are the types that it may have; an image has no schema and no example."""

    text: str
    schema: Schema | None
    example: Any = None
    media: tuple[str, ...] = ("application/json",)


class Call(NamedTuple):
    """What the overlay tells of one call.

    `scope` '' takes any key. `refusals` are the codes beyond those that every call has. `body` and `params` are the
    request of the example.
    """

    tag: str
    summary: str
    scope: str
    answers: Mapping[int, Answer]
    refusals: tuple[str, ...] = ()
    body: Any = None
    params: Mapping[str, Any] = {}


def answers(schema: str, text: str, example: Any) -> Answer:
    return Answer(text, ref(schema), example)
