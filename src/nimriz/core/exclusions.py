"""Exclusions: what one secret signed in a period counts in nothing, after it has leaked; or counts again.

Owns the table exclusions. A period is of arrival, since whoever has the secret says when things happened. Rows are
only ever added: of those that cover an event the newest stands, so that all is dated and can be taken back.
"""

from __future__ import annotations

from typing import NamedTuple


class Exclusion(NamedTuple):
    """One decision: events of `secret_id` that arrived in [from_ms, to_ms) are out (`excludes` 1) or in again (0)."""

    exclusion_id: str
    workspace_id: str
    secret_id: str
    excludes: int
    from_ms: int
    to_ms: int
    note: str
    actor: str
    decided_at_ms: int
