"""Whose clicks a report counts, as its parameters say."""

from __future__ import annotations

from nimriz.base.errors import FieldError, Refused
from nimriz.core.clicks.clicks import Audience


def audience_of(include_bots: bool, include_suspects: bool) -> Audience:
    """The audience. Raises Refused(validation_failed): with bots, suspects count too."""
    if include_bots and not include_suspects:
        raise Refused("validation_failed", errors=(FieldError("include_suspects", "field_type"),))
    if include_bots:
        return "all"
    return "no_bots" if include_suspects else "people"
