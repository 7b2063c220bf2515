"""A link's rules: read, replaced as a whole, and the verbs of its experiments."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from nimriz.base.errors import Refused
from nimriz.core.links import destinations, drafts, history
from nimriz.core.links.links import Link
from nimriz.core.routing import decisions, experiments, rule_changes, rule_drafts, rules
from nimriz.core.routing.experiments import Verb
from nimriz.core.routing.rule_drafts import RuleDrafts
from nimriz.core.routing.rules import RuleList
from nimriz.store.db import Tx
from nimriz.web import rule_words
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.links import found

router = APIRouter()

_ETAG = re.compile(r'"([0-9]{1,15})"')
IfMatch = Annotated[str | None, Header()]
Versions = frozenset[int] | None
"""The versions of a list that a caller expects; None for any."""


class NewRules(BaseModel):
    """PUT /api/v1/links/{link_id}/rules: the whole list, in its order"""

    model_config = drafts.STRICT
    rules: RuleDrafts = Field(description="The rules; the first that matches decides.")


class Winner(BaseModel):
    """POST /api/v1/links/{link_id}/experiments/{experiment_id}/promote"""

    model_config = drafts.STRICT
    variant: str = Field(description="The key of the variant.")


@router.get("/api/v1/links/{link_id}/rules")
async def get_rules(request: Request, link_id: str) -> Response:
    """A link's rules in their order. `ETag` names their version, which replacing them asks for."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")

    def read(tx: Tx) -> dict[str, object]:
        link, _ = found(tx, key.workspace_id, link_id)
        return _told(tx, link, rules.find(tx, link.link_id))

    return _shown(await desk.read(read))


@router.put("/api/v1/links/{link_id}/rules")
async def replace_rules(request: Request, link_id: str, new: NewRules, if_match: IfMatch = None) -> Response:
    """Replace a link's rules as a whole; the redirect follows within a second.

    `If-Match` with the ETag of what was read is needed, so that nobody undoes what they have not seen.
    """
    desk: Desk = request.app.state.desk
    caller(request, "links:write")
    if if_match is None:
        raise Refused("precondition_required")
    rule_drafts.read(new.rules)

    def change(tx: Tx, link: Link, versions: Versions, actor: str, now_ms: int) -> RuleList:
        return rule_changes.replace(tx, link, new.rules, versions, desk.policy, actor, now_ms)

    return await _changed(request, link_id, if_match, change)


@router.get("/api/v1/links/{link_id}/experiments")
async def list_experiments(request: Request, link_id: str) -> Response:
    """A link's experiments, the oldest first, with those that are history."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")

    def read(tx: Tx) -> list[dict[str, object]]:
        link, _ = found(tx, key.workspace_id, link_id)
        numbers = _numbers(tx, link)
        return [
            rule_words.experiment(one, numbers, experiments.phases(tx, one.experiment_id))
            for one in experiments.of_link(tx, link.link_id)
        ]

    return answer({"experiments": await desk.read(read)})


@router.get("/api/v1/links/{link_id}/experiments/{experiment_id}")
async def get_experiment(request: Request, link_id: str, experiment_id: str) -> Response:
    """One experiment, also when it is history."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")

    def read(tx: Tx) -> dict[str, object]:
        link, _ = found(tx, key.workspace_id, link_id)
        one = experiments.find(tx, link.link_id, experiment_id)
        return rule_words.experiment(one, _numbers(tx, link), experiments.phases(tx, one.experiment_id))

    return answer({"experiment": await desk.read(read)})


@router.post("/api/v1/links/{link_id}/experiments/{experiment_id}/start")
async def start_experiment(request: Request, link_id: str, experiment_id: str, if_match: IfMatch = None) -> Response:
    """Start an experiment, or let one that was paused go on. Its variants stay as they are from now on."""
    return await _moved(request, link_id, experiment_id, "start", if_match)


@router.post("/api/v1/links/{link_id}/experiments/{experiment_id}/pause")
async def pause_experiment(request: Request, link_id: str, experiment_id: str, if_match: IfMatch = None) -> Response:
    """Let an experiment take no part for a while: visitors go on to the next rule."""
    return await _moved(request, link_id, experiment_id, "pause", if_match)


@router.post("/api/v1/links/{link_id}/experiments/{experiment_id}/stop")
async def stop_experiment(request: Request, link_id: str, experiment_id: str, if_match: IfMatch = None) -> Response:
    """End an experiment for good: visitors go on to the next rule, and what was found stays."""
    return await _moved(request, link_id, experiment_id, "stop", if_match)


@router.post("/api/v1/links/{link_id}/experiments/{experiment_id}/promote")
async def promote_variant(
    request: Request, link_id: str, experiment_id: str, winner: Winner, if_match: IfMatch = None
) -> Response:
    """Make a variant a route in its experiment's place, for the same visitors. The experiment is over, and history."""

    def change(tx: Tx, link: Link, versions: Versions, actor: str, now_ms: int) -> RuleList:
        return rule_changes.promote(tx, link, experiment_id, winner.variant, versions, actor, now_ms)

    return await _changed(request, link_id, if_match, change)


async def _moved(request: Request, link_id: str, experiment_id: str, verb: Verb, if_match: str | None) -> Response:
    def change(tx: Tx, link: Link, versions: Versions, actor: str, now_ms: int) -> RuleList:
        return rule_changes.move(tx, link, experiment_id, verb, versions, actor, now_ms)

    return await _changed(request, link_id, if_match, change)


async def _changed(
    request: Request, link_id: str, if_match: str | None, change: Callable[[Tx, Link, Versions, str, int], RuleList]
) -> Response:
    desk: Desk = request.app.state.desk
    key = caller(request, "links:write")
    now_ms = desk.clock.now_ms()
    versions = _versions(if_match)

    def write(tx: Tx) -> dict[str, object]:
        link, _ = found(tx, key.workspace_id, link_id)
        return _told(tx, link, change(tx, link, versions, history.by_key(key.key_id), now_ms))

    return _shown(await desk.write(write))


def _versions(if_match: str | None) -> Versions:
    """What a caller expects (RFC 9110, section 13.1.1). A weak or a foreign tag matches nothing."""
    if if_match is None or if_match.strip() == "*":
        return None
    matches = (_ETAG.fullmatch(tag.strip()) for tag in if_match.split(","))
    return frozenset(int(match[1]) for match in matches if match)


def _numbers(tx: Tx, link: Link) -> dict[tuple[str, str], int]:
    return {(one.rule_id, one.variant): one.decision for one in decisions.of_link(tx, link.link_id)}


def _told(tx: Tx, link: Link, found_rules: RuleList) -> dict[str, object]:
    blocked = destinations.blocked(tx, link.workspace_id, rules.destinations_of(found_rules.rules))
    return rule_words.rule_list(found_rules, link, _numbers(tx, link), frozenset(blocked))


def _shown(told: dict[str, object]) -> Response:
    response = answer(told)
    response.headers["ETag"] = f'"{told["version"]}"'
    return response
