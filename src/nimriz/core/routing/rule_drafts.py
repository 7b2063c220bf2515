"""Drafts of rules: what a caller says of a link's list, checked field by field, and read into rules.

The same for what is saved and for what is only simulated. Destinations are read here; where they may lead is asked
in the transaction that stores them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from nimriz.base.errors import FieldError, Refused
from nimriz.base.ids import new_id
from nimriz.core.links import destinations, drafts
from nimriz.core.links.links import Link
from nimriz.core.routing import app_links, buckets, experiments
from nimriz.core.routing.conditions import Conditions
from nimriz.core.routing.experiments import VARIANTS_MIN, Experiment, Variant
from nimriz.core.routing.rules import ANDROID, IOS, NAME_CHARS_MAX, RULES_MAX, Placed, Route, RuleList

KEY = "^[a-z0-9][a-z0-9_-]{0,31}$"
_STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)
_Name = Annotated[str, StringConstraints(max_length=NAME_CHARS_MAX)]
_Package = Annotated[str, StringConstraints(max_length=255, pattern=app_links.PACKAGE)]


class AppOnIos(BaseModel):
    """How visitors with iOS come into an app; the store is where the others go, else the route's destination."""

    model_config = _STRICT
    link: str = Field(description="The address that opens the app, with the app's own scheme: `shop://item/7`.")
    store: str | None = Field(default=None, description="Where to go without the app; else the route's destination.")


class AppOnAndroid(AppOnIos):
    """How visitors with Android come into an app."""

    package: _Package = Field(description="The package of the app.")


class Apps(BaseModel):
    """The apps of a route, by system."""

    model_config = _STRICT
    ios: AppOnIos | None = Field(default=None, description="For visitors with iOS.")
    android: AppOnAndroid | None = Field(default=None, description="For visitors with Android.")


class _Rule(BaseModel):
    model_config = _STRICT
    id: str | None = Field(default=None, description="Which rule of the list it is; left out for a new one.")
    name: _Name = Field(default="", description="What people call it.")
    enabled: bool = Field(default=True, description="`false` passes it over.")
    when: Conditions = Field(default_factory=Conditions, description="For whom it is; all of it must hold.")


class RouteDraft(_Rule):
    """A route."""

    kind: Literal["route"] = Field(description="A route.")
    destination: str = Field(description="An absolute http(s) URL.")
    app: Apps | None = Field(default=None, description="An app to be opened instead, by system.")


class VariantDraft(BaseModel):
    """A variant of an experiment. `key` left out: one is made. Its weight is whole percent."""

    model_config = _STRICT
    key: Annotated[str, StringConstraints(pattern=KEY)] | None = Field(
        default=None, description="Names it for ever, alone among all of the link's; one is made when it is left out."
    )
    name: _Name = Field(default="", description="What people call it; renaming changes nothing else.")
    weight: int = Field(ge=0, le=buckets.BUCKETS, description="Whole percent; all of them sum to 100.")
    destination: str = Field(description="An absolute http(s) URL.")


class ExperimentDraft(_Rule):
    """An experiment."""

    kind: Literal["experiment"] = Field(description="An experiment.")
    variants: list[VariantDraft] = Field(
        min_length=VARIANTS_MIN, max_length=buckets.VARIANTS_MAX, description="What is compared."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if sum(variant.weight for variant in self.variants) != buckets.BUCKETS:
            raise PydanticCustomError("weights_sum", "the weights do not sum to 100")
        keys = [variant.key for variant in self.variants if variant.key is not None]
        if len(set(keys)) < len(keys):
            raise PydanticCustomError("key_repeated", "a key stands twice")
        return self


RuleDraft = Annotated[RouteDraft | ExperimentDraft, Field(discriminator="kind")]
RuleDrafts = Annotated[list[RuleDraft], Field(max_length=RULES_MAX)]


def read(given: Sequence[RuleDraft]) -> None:
    """Reads every destination, and raises Refused(destination_invalid), which says where, for one that is none."""
    for n, rule in enumerate(given):
        if isinstance(rule, ExperimentDraft):
            for m, variant in enumerate(rule.variants):
                _read(f"rules.{n}.variants.{m}.destination", variant.destination)
            continue
        _read(f"rules.{n}.destination", rule.destination)
        for system in ("ios", "android"):
            app: AppOnIos | None = getattr(rule.app, system, None)
            if app is not None:
                _read_app(f"rules.{n}.app.{system}", app)


def _read(field: str, given: str) -> None:
    try:
        destinations.read(given)
    except Refused as refused:
        raise at(field, refused) from None


def _read_app(field: str, app: AppOnIos) -> None:
    try:
        app_links.read(app.link)
    except Refused as refused:
        raise at(f"{field}.link", refused) from None
    if app.store is not None:
        _read(f"{field}.store", app.store)


def at(field: str, refused: Refused) -> Refused:
    """A refusal of a destination that says which one is meant."""
    return Refused(refused.code, errors=(FieldError(field, "destination_refused"),))


def applied(
    given: Sequence[RuleDraft], before: RuleList, link: Link, taken: Collection[str], now_ms: int
) -> tuple[Route | Placed, ...]:
    """The rules of the list as it will be.

    `taken` are the keys of variants that the link has or had. Raises Refused: validation_failed
    for ids, destination_invalid where the link's UTM parameters do not fit, experiment_started, and experiment_state
    where one that is history would change.
    """
    known = {rule.rule_id: rule for rule in before.rules}
    seen: set[str] = set()
    keys = set(taken)
    found: list[Route | Placed] = []
    for n, draft in enumerate(given):
        old = None if draft.id is None else known.get(draft.id)
        kind = Placed if isinstance(draft, ExperimentDraft) else Route
        if draft.id is not None and not isinstance(old, kind):
            raise Refused("validation_failed", errors=(FieldError(f"rules.{n}.id", "rule_unknown"),))
        rule_id = draft.id or new_id(now_ms)
        if rule_id in seen:
            raise Refused("validation_failed", errors=(FieldError(f"rules.{n}.id", "key_repeated"),))
        seen.add(rule_id)
        if isinstance(draft, ExperimentDraft):
            experiment = old.experiment if isinstance(old, Placed) else None
            if experiment is None:
                experiment = experiments.new(rule_id, link.workspace_id, link.link_id, now_ms)
            found.append(Placed(_experiment(draft, experiment, keys), draft.enabled))
        else:
            found.append(_route(draft, rule_id))
    _check_room(link, found)
    return tuple(found)


def _experiment(draft: ExperimentDraft, experiment: Experiment, keys: set[str]) -> Experiment:
    variants = []
    keys |= {variant.key for variant in draft.variants if variant.key}
    for variant in draft.variants:
        key = variant.key or _new_key(keys)
        keys.add(key)
        variants.append(Variant(key, variant.name, variant.weight, variant.destination))
    conditions = json.dumps(draft.when.stored(), ensure_ascii=False)
    changed = experiments.with_variants(experiment._replace(name=draft.name, conditions=conditions), variants)
    if experiment.state == "stopped" and changed != experiment:
        raise Refused("experiment_state", state=experiment.state)
    return changed


def _new_key(keys: set[str]) -> str:
    number = 1
    while f"v{number}" in keys:
        number += 1
    return f"v{number}"


def _route(draft: RouteDraft, rule_id: str) -> Route:
    app = None
    if draft.app is not None:
        systems = {IOS: draft.app.ios, ANDROID: draft.app.android}
        app = {name: one.model_dump(exclude_none=True) for name, one in systems.items() if one is not None}
    return Route(rule_id, draft.name, draft.enabled, draft.when.stored(), draft.destination, app or None)


def _check_room(link: Link, found: list[Route | Placed]) -> None:
    for n, rule in enumerate(found):
        if isinstance(rule, Route):
            named = {f"rules.{n}.destination": rule.destination}
        else:
            named = {f"rules.{n}.variants.{m}.destination": v.destination for m, v in enumerate(rule.experiment.arms)}
        for field, destination in named.items():
            try:
                drafts.check_room(link._replace(long_url=destination))
            except Refused as refused:
                raise at(field, refused) from None
