"""Drafts: what a caller says of a link, checked field by field, and put into it.

The same rules for the API, for bulk requests and for imported files.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StringConstraints

from nimriz.base.clock import from_iso
from nimriz.base.errors import FieldError, Refused
from nimriz.base.urls import DESTINATION_BYTES_MAX, UTM_NAMES, append, utm_addition
from nimriz.core.directory import passwords
from nimriz.core.links import destinations
from nimriz.core.links.destinations import Destination
from nimriz.core.links.links import CLICKS_MAX_MAX, Link

TAGS_MAX = 50
TITLE_CHARS_MAX = 500
NOTES_CHARS_MAX = 5_000
UTM_CHARS_MAX = 255
STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)

_Title = Annotated[str, StringConstraints(max_length=TITLE_CHARS_MAX)]
_Notes = Annotated[str, StringConstraints(max_length=NOTES_CHARS_MAX)]
_Tag = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Password = Annotated[str, StringConstraints(min_length=1, max_length=passwords.PASSWORD_CHARS_MAX)]
_UtmValue = Annotated[str, StringConstraints(max_length=UTM_CHARS_MAX)]


def _utm_field(name: str) -> Any:
    return Field(default=None, validation_alias=AliasChoices(name, f"utm_{name}"))


class Utm(BaseModel):
    """The UTM parameters of a link; each may be written with its prefix `utm_` too."""

    model_config = STRICT
    source: _UtmValue | None = _utm_field("source")
    medium: _UtmValue | None = _utm_field("medium")
    campaign: _UtmValue | None = _utm_field("campaign")
    term: _UtmValue | None = _utm_field("term")
    content: _UtmValue | None = _utm_field("content")


class LinkFields(BaseModel):
    """What both making and changing a link take."""

    model_config = STRICT
    title: _Title | None = None
    notes: _Notes | None = None
    tags: Annotated[list[_Tag], Field(max_length=TAGS_MAX)] | None = None
    utm: Utm | None = None
    expires_at: str | None = None
    clicks_max: Annotated[int, Field(ge=1, le=CLICKS_MAX_MAX)] | None = None
    password: Password | None = None
    redirect_status_code: Literal[301, 302] | None = None
    conversion_tracking: bool | None = None
    conversion_window_days: Annotated[int, Field(ge=1, le=30)] | None = None
    append_token: Literal["auto", "always", "never"] | None = None
    forward_query: bool | None = None
    archived: bool | None = None
    privacy: Literal["strict"] | None = None


class NewLink(LinkFields):
    """A link to be made. `custom_slug` left out or empty: one is generated."""

    domain_id: str
    long_url: str
    custom_slug: str | None = None


class LinkChange(LinkFields):
    """A link to be changed: only what is sent changes; null takes a field back."""

    long_url: str | None = None
    short_code: str | None = None
    status: Literal["active", "disabled"] | None = None


class Draft(NamedTuple):
    """What was said of a link, read: what takes time or may be refused is done before the transaction begins."""

    fields: LinkFields
    destination: Destination | None
    password_hash: str


def read(fields: LinkFields) -> Draft:
    """Read a destination and hash a password. Raises Refused(destination_invalid). Takes some 20 ms for a password."""
    long_url = fields.long_url if isinstance(fields, NewLink | LinkChange) else None
    return Draft(
        fields,
        None if long_url is None else destinations.read(long_url),
        passwords.hashed(fields.password) if fields.password is not None else "",
    )


def blank(workspace_id: str, domain_id: str, slug: str) -> Link:
    """A link with everything as it is when nothing is said."""
    return Link("", workspace_id, domain_id, slug, "", "", "[]", "active", None, 302, 0, None, "auto", 0, 0, 0)


def applied(draft: Draft, link: Link, zone: ZoneInfo) -> Link:
    """The link with the fields that were sent. Instants without an offset are read in `zone`.

    Raises Refused: validation_failed for expires_at, destination_invalid when the UTM parameters do not fit.
    """
    changes: dict[str, Any] = {}
    if draft.destination is not None:
        changes |= {"long_url": draft.destination.given, "canonical_url": draft.destination.canonical}
    for name in draft.fields.model_fields_set & _PUT.keys():
        value = getattr(draft.fields, name)
        if value is not None or name in _TAKEN_BACK_BY_NULL:
            column, put = _PUT[name]
            changes[column] = put(value)
    if "expires_at" in draft.fields.model_fields_set:
        text = draft.fields.expires_at
        changes["expires_at_ms"] = None if text is None else _instant(text, zone)
    if "password" in draft.fields.model_fields_set:
        changes["password_hash"] = draft.password_hash
    link = link._replace(**changes)
    check_room(link)
    return link


def _utm(utm: Utm | None) -> str:
    values = {} if utm is None else {name: getattr(utm, name) for name in UTM_NAMES}
    return json.dumps({name: value for name, value in values.items() if value}, ensure_ascii=False)


def _as_it_is(value: object) -> object:
    return value


def _text(value: str | None) -> str:
    return value or ""


def _list(value: list[str] | None) -> str:
    return json.dumps(list(dict.fromkeys(value or ())), ensure_ascii=False)


# Where a field is kept, and how.
_PUT: dict[str, tuple[str, Callable[[Any], object]]] = {
    "title": ("title", _text),
    "notes": ("notes", _text),
    "tags": ("tags", _list),
    "utm": ("utm", _utm),
    "clicks_max": ("clicks_max", _as_it_is),
    "redirect_status_code": ("redirect_status_code", _as_it_is),
    "conversion_tracking": ("conversion_tracking", int),
    "conversion_window_days": ("conversion_window_days", _as_it_is),
    "append_token": ("append_policy", _as_it_is),
    "forward_query": ("forward_query", int),
    "archived": ("archived", int),
    "privacy": ("privacy", _text),
    "status": ("status", _as_it_is),
    "short_code": ("slug", _as_it_is),
}
_TAKEN_BACK_BY_NULL = {"title", "notes", "tags", "utm", "clicks_max", "conversion_window_days", "privacy"}


def check_room(link: Link) -> None:
    """Raises Refused(destination_invalid) when the link's UTM parameters do not fit behind its destination."""
    addition = utm_addition(link.long_url, json.loads(link.utm))
    if len(append(link.long_url, addition).encode()) > DESTINATION_BYTES_MAX:
        raise Refused("destination_invalid")


def _instant(text: str, zone: ZoneInfo) -> int:
    try:
        return from_iso(text, zone)
    except ValueError:
        raise Refused("validation_failed", errors=(FieldError("expires_at", "instant_malformed"),)) from None
