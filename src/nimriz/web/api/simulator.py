"""The simulator: where a visitor would be sent, and why, by the code that sends visitors.

Counts no click, uses none of a link's clicks, and mints no token: what stands in its place says SIMULATED and is
refused wherever a token is read.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from nimriz.base.clock import from_rfc3339, to_rfc3339
from nimriz.base.tokens import TOKEN_CHARS, TOKEN_PREFIX
from nimriz.base.urls import PARAMETER
from nimriz.core.clicks.crawlers import is_declared_crawler
from nimriz.core.directory import workspaces
from nimriz.core.links.domains import Domain
from nimriz.core.links.links import Link
from nimriz.core.routing import rule_changes, rule_drafts, rules, signposts
from nimriz.core.routing.buckets import SALT_BYTES, bucket_of
from nimriz.core.routing.conditions import Browser, Country, DeviceName, Instant, Language, System
from nimriz.core.routing.departures import location, read_query, why_no_token
from nimriz.core.routing.matching import Traits
from nimriz.core.routing.routing import Decision, Rules, decide, passed_over
from nimriz.core.routing.rule_drafts import RuleDrafts
from nimriz.core.routing.rules import Placed, RuleList
from nimriz.core.routing.signposts import Signpost
from nimriz.store.db import Tx
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.links import found
from nimriz.web.traits import TraitReader
from nimriz.web.visitor import Visitor

router = APIRouter()

TEXT_CHARS_MAX = 2_048
# As long as a token, so that what is too long with it is too long here; its first byte is no version.
SIMULATED = TOKEN_PREFIX + "SIMULATED".ljust(TOKEN_CHARS - len(TOKEN_PREFIX), "-")
_Text = Annotated[str, StringConstraints(max_length=TEXT_CHARS_MAX)]


class Visit(BaseModel):
    """POST /api/v1/links/{link_id}/simulate: what is left out is not known of the visitor"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)
    rules: RuleDrafts | None = Field(default=None, description="A draft to be tried; left out: what is live.")
    assume_running: bool = Field(default=False, description="Take drafts and paused experiments as if they ran.")
    host: _Text | None = Field(default=None, description="The host that is asked; left out: the link's.")
    path: _Text | None = Field(default=None, description="The path that is asked; left out: the link's.")
    query: _Text = Field(default="", description="The query, without its question mark.")
    at: Instant | None = Field(default=None, description="When; left out: now.")
    country: Country | None = Field(default=None, description="Where the visitor is.")
    device: DeviceName | None = Field(default=None, description="Left out: as `user_agent` tells.")
    os: System | None = Field(default=None, description="Left out: as `user_agent` tells.")
    browser: Browser | None = Field(default=None, description="Left out: as `user_agent` tells.")
    language: Language | None = Field(default=None, description="Left out: as `accept_language` tells.")
    referrer: _Text = Field(default="", description="The URL of the page with the link.")
    address: _Text = Field(default="", description="The visitor's address; decides the country and the variant.")
    user_agent: _Text = Field(default="", description="The header of that name.")
    accept_language: _Text = Field(default="", description="The header of that name.")
    privacy: Literal["standard", "strict"] | None = Field(default=None, description="`strict`: the visitor wants it.")


class Scene(NamedTuple):
    """What a visit is simulated on. `saved` are the ids of rules that have one to be known by."""

    link: Link
    domain: Domain
    rules: RuleList
    saved: frozenset[str]
    signpost: Signpost

    def named(self, rule_id: str) -> dict[str, object]:
        """Which rule is meant: its position in the list, from 0, and its id unless it is not saved yet."""
        position = next(n for n, rule in enumerate(self.rules.rules) if rule.rule_id == rule_id)
        return {"position": position, "rule_id": rule_id if rule_id in self.saved else None}


class Stop(NamedTuple):
    """Why a visitor does not get to the rules, and what is answered instead: a page, or a fallback URL."""

    code: str
    status: int | None
    fallback: str = ""


@router.post("/api/v1/links/{link_id}/simulate")
async def simulate_visit(request: Request, link_id: str, visit: Visit) -> Response:
    """Where a visitor would be sent by what is live, or by the rules of a draft, and why not elsewhere.

    Nothing is counted, and the token is none: `SIMULATED` stands in its place.
    """
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")
    if visit.rules is not None:
        rule_drafts.read(visit.rules)
    now_ms = desk.clock.now_ms() if visit.at is None else from_rfc3339(visit.at)

    def read(tx: Tx) -> Scene:
        link, domain = found(tx, key.workspace_id, link_id)
        listed = rules.find(tx, link_id)
        saved = frozenset(rule.rule_id for rule in listed.rules)
        if visit.rules is not None:
            listed = _always_alike(rule_changes.drafted(tx, link, visit.rules, desk.policy, now_ms), saved)
        if visit.assume_running:
            listed = _as_if_running(listed)
        workspace = workspaces.find(tx, key.workspace_id)
        assert workspace is not None, "a key belongs to a workspace"
        known = signposts.find_domain(tx, domain.domain_name)
        return Scene(link, known or domain, listed, saved, signposts.compiled(tx, link, workspace, listed))

    scene = await desk.read(read)
    told = simulated(scene, visit, desk.traits, now_ms)
    return answer({"version": None if visit.rules is not None else scene.rules.version, **told})


def _always_alike(listed: RuleList, saved: frozenset[str]) -> RuleList:
    """The list with the same salt, instead of a fresh one, for every experiment that has none of its own yet."""
    return listed._replace(
        rules=tuple(
            rule._replace(experiment=rule.experiment._replace(salt=bytes(SALT_BYTES)))
            if isinstance(rule, Placed) and rule.rule_id not in saved
            else rule
            for rule in listed.rules
        )
    )


def _as_if_running(listed: RuleList) -> RuleList:
    """The list with every experiment that could be started."""
    return listed._replace(
        rules=tuple(
            rule._replace(experiment=rule.experiment._replace(state="running"))
            if isinstance(rule, Placed) and rule.experiment.state in ("draft", "paused")
            else rule
            for rule in listed.rules
        )
    )


def simulated(scene: Scene, visit: Visit, reader: TraitReader, now_ms: int) -> dict[str, object]:
    """What would become of a visit at this instant."""
    signpost = scene.signpost
    visitor = _visitor(visit)
    query = visit.query.encode("utf-8", "replace")
    traits, decision = Traits(), Decision(signpost.own, None)
    passed: list[dict[str, object]] = []
    if signpost.rules is not None:
        traits = _traits(signpost.rules, visit, visitor, query, reader)
        decision = decide(signpost.rules, signpost.own, traits, now_ms)
        passed = [
            {**scene.named(one.rule_id), "idle": one.idle or None, "failing": one.failing}
            for one in passed_over(signpost.rules, decision, traits, now_ms)
        ]
    stop = _stop(scene, visit, decision, now_ms)
    return {
        "at": to_rfc3339(now_ms),
        "stopped_by": None if stop is None else stop.code,
        **_decided(scene, decision, traits),
        "passed_over": passed,
        **_answered(scene, visit, visitor, query, decision, stop),
    }


def _visitor(visit: Visit) -> Visitor:
    languages = visit.accept_language or visit.language or ""
    return Visitor(
        visit.address,
        visit.country or "",
        visit.user_agent.encode("utf-8", "replace"),
        visit.referrer.encode("utf-8", "replace"),
        languages.encode("utf-8", "replace"),
    )


def _traits(rules: Rules, visit: Visit, visitor: Visitor, query: bytes, reader: TraitReader) -> Traits:
    """What a request like this would show, and what is told of the visitor beside it."""
    traits = reader.read(rules, visitor, query, frozenset())
    told = {name: getattr(visit, name) for name in ("device", "os", "browser", "language")}
    return traits._replace(**{name: value for name, value in told.items() if value is not None})


def _stop(scene: Scene, visit: Visit, decision: Decision, now_ms: int) -> Stop | None:
    """What stands in the way, in the order of section 2 of the wire contract."""
    domain, signpost = scene.domain, scene.signpost
    host = domain.domain_name if visit.host is None else visit.host.lower()
    path = f"/{scene.link.slug}" if visit.path is None else visit.path
    if (host, path) != (domain.domain_name, f"/{scene.link.slug}"):
        return Stop("other_address", None)
    if not domain.ready:
        return Stop("domain_not_ready", 404)
    over = signpost.over(now_ms)
    if over == "taken_down":
        return Stop(over, 404)
    if over:
        return Stop(over, 410, domain.expired_url)
    if signpost.password_hash:
        return Stop("password", 200)
    if signpost.disabled:
        return Stop("disabled", 404, domain.not_found_url)
    return Stop("destination_blocked", 404) if decision.target.stopped else None


def _decided(scene: Scene, decision: Decision, traits: Traits) -> dict[str, object]:
    rule, target = decision.rule, decision.target
    placed = None if rule is None else next(one for one in scene.rules.rules if one.rule_id == rule.rule_id)
    variant = None
    if rule is not None and isinstance(placed, Placed):
        # Two variants may lead to one address: the very target tells them apart.
        variant = next(arm.key for arm, one in zip(placed.experiment.arms, rule.targets, strict=True) if one is target)
    return {
        "decided_by": "link" if rule is None else "experiment" if isinstance(placed, Placed) else "route",
        **({"position": None, "rule_id": None} if rule is None else scene.named(rule.rule_id)),
        "variant": variant,
        "bucket": bucket_of(rule.salt, traits.shown) if rule is not None and variant is not None else None,
        # A rule that is not saved yet has no number.
        "decision": target.decision or (0 if rule is None else None),
    }


def _answered(
    scene: Scene, visit: Visit, visitor: Visitor, query: bytes, decision: Decision, stop: Stop | None
) -> dict[str, object]:
    """The answer to the visitor; behind a password, the one that comes after it."""
    signpost, target = scene.signpost, decision.target
    strict = signpost.strict or visit.privacy == "strict"
    crawler = is_declared_crawler(visitor.user_agent)
    reason = why_no_token(signpost, target, crawler=crawler, private=strict)
    seen, forwarded = read_query(signpost, target, query)
    place, appended = location(target, forwarded, (PARAMETER + SIMULATED).encode() if reason is None else b"")
    if reason is None and not appended:
        reason = "too_long"
    app = target.app
    led: str | None = None if app is not None else place.decode("utf-8", "replace")
    status: int | None = 200 if app is not None else signpost.status_code
    if stop is not None and stop.code != "password":
        led, status = stop.fallback or None, 302 if stop.fallback else stop.status
        reason, appended, app = None, False, None
    elif stop is not None:
        status = stop.status
    return {
        "status": status,
        "location": led,
        "opens_app": None if app is None else {"link": app.link, "fallback": app.fallback},
        "token": {"appended": appended, "suppressed": reason or None},
        "touch_type": seen.touch_type,
    }
