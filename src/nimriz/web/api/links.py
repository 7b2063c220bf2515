"""Making, reading and changing links."""

from __future__ import annotations

import json
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from nimriz.base import ids
from nimriz.base.clock import from_rfc3339, to_rfc3339
from nimriz.base.errors import FieldError, Refused
from nimriz.core import domains as domain_rows
from nimriz.core import links, signposts
from nimriz.core.domains import Domain
from nimriz.core.links import Link
from nimriz.store.db import Tx
from nimriz.web.api.desk import Desk, answer, caller

router = APIRouter()

TAGS_MAX = 50
LIMIT_MAX = 1_000
_Short = Annotated[str, StringConstraints(max_length=500)]
_Tag = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)


class _Fields(BaseModel):
    """What both making and changing a link take."""

    model_config = _STRICT
    title: _Short | None = None
    tags: Annotated[list[_Tag], Field(max_length=TAGS_MAX)] | None = None
    expires_at: str | None = None
    redirect_status_code: Literal[301, 302] | None = None
    conversion_tracking: bool | None = None
    conversion_window_days: Annotated[int, Field(ge=1, le=30)] | None = None
    append_token: Literal["auto", "always", "never"] | None = None
    forward_query: bool | None = None


class NewLink(_Fields):
    """POST /api/shorten"""

    domain_id: str
    long_url: str
    custom_slug: str | None = None


class LinkChange(_Fields):
    """PATCH /api/v1/links/{id}: any of the link's fields."""

    long_url: str | None = None
    status: Literal["active", "disabled"] | None = None


class UrlId(BaseModel):
    """POST /api/delete-link"""

    model_config = _STRICT
    url_id: str


class LinksQuery(BaseModel):
    """GET /api/v1/links"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = 100
    cursor: str = ""


class Shown(NamedTuple):
    """A link with what is shown beside it."""

    link: Link
    domain: Domain
    clicks: int


@router.post("/api/shorten")
async def shorten(request: Request, new: NewLink) -> Response:
    """Make a link."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:write")
    now_ms = desk.clock.now_ms()
    links.destination_host(new.long_url, desk.own_hosts)

    def write(tx: Tx) -> Shown:
        domain = domain_rows.find_usable(tx, key.workspace_id, new.domain_id)
        if domain is None:
            raise Refused("domain_not_found")
        blank = Link(
            "", key.workspace_id, domain.domain_id, new.custom_slug or "", new.long_url, "", "[]", "active",
            None, 302, 0, None, "auto", 0, 0, 0,
        )  # fmt: skip
        link = links.create(tx, _changed(blank, new), now_ms)
        return Shown(link, domain, 0)

    shown = await desk.write(write)
    wire = link_wire(shown, desk.base_url, now_ms)
    return answer(
        {
            "url_id": wire["id"],
            "id": wire["id"],
            "short_url": wire["short_url"],
            "short_code": wire["short_code"],
            "link": wire,
        },
        201,
    )


@router.get("/api/v1/links")
async def list_links(request: Request, query: Annotated[LinksQuery, Query()]) -> Response:
    """The workspace's links, newest first."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")
    if query.cursor and not ids.is_id(query.cursor):
        raise Refused("validation_failed", errors=(FieldError("cursor", "field_type"),))

    def read(tx: Tx) -> list[tuple[Link, Domain]]:
        usable = {d.domain_id: d for d in domain_rows.of_workspace(tx, key.workspace_id)}
        return [
            (link, usable[link.domain_id]) for link in links.page(tx, key.workspace_id, query.cursor, query.limit + 1)
        ]

    found = await desk.read(read)
    shown = found[: query.limit]
    counts = await desk.clicks_of([link.link_id for link, _ in shown])
    now_ms = desk.clock.now_ms()
    page = [
        link_wire(Shown(link, domain, counts.get(link.link_id, 0)), desk.base_url, now_ms) for link, domain in shown
    ]
    more = len(found) > query.limit
    return answer({"links": page, "next_cursor": page[-1]["id"] if more else None})


@router.get("/api/v1/links/{link_id}")
async def get_link(request: Request, link_id: str) -> Response:
    """One link."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")
    link, domain = await desk.read(lambda tx: _find(tx, key.workspace_id, link_id))
    counts = await desk.clicks_of([link_id])
    shown = Shown(link, domain, counts.get(link_id, 0))
    return answer({"link": link_wire(shown, desk.base_url, desk.clock.now_ms())})


@router.patch("/api/v1/links/{link_id}")
async def change_link(request: Request, link_id: str, change: LinkChange) -> Response:
    """Change any of a link's fields; the redirect follows within a second."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:write")
    now_ms = desk.clock.now_ms()
    if change.long_url is not None:
        links.destination_host(change.long_url, desk.own_hosts)

    def write(tx: Tx) -> tuple[Link, Domain]:
        link, domain = _find(tx, key.workspace_id, link_id)
        if change.long_url is not None:
            link = link._replace(long_url=change.long_url)
        if change.status is not None:
            link = link._replace(status=change.status)
        return links.update(tx, _changed(link, change), now_ms), domain

    link, domain = await desk.write(write)
    counts = await desk.clicks_of([link_id])
    return answer({"link": link_wire(Shown(link, domain, counts.get(link_id, 0)), desk.base_url, now_ms)})


@router.post("/api/delete-link")
async def delete_link(request: Request, which: UrlId) -> Response:
    """Delete a link; its slug rests for 30 days."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:write")
    now_ms = desk.clock.now_ms()
    await desk.write(lambda tx: links.delete(tx, _find(tx, key.workspace_id, which.url_id)[0], now_ms))
    return answer({"deleted": True})


def _find(tx: Tx, workspace_id: str, link_id: str) -> tuple[Link, Domain]:
    link = links.find(tx, workspace_id, link_id)
    domain = None if link is None else domain_rows.find_usable(tx, workspace_id, link.domain_id)
    if link is None or domain is None:
        raise Refused("link_not_found")
    return link, domain


def _changed(link: Link, fields: _Fields) -> Link:
    """The link with the fields that were sent; null takes expires_at, title and window back."""
    sent = fields.model_fields_set
    if "title" in sent:
        link = link._replace(title=fields.title or "")
    if "tags" in sent:
        link = link._replace(tags=json.dumps(fields.tags or [], ensure_ascii=False))
    if "expires_at" in sent:
        link = link._replace(expires_at_ms=_instant(fields.expires_at))
    if fields.redirect_status_code is not None:
        link = link._replace(redirect_status_code=fields.redirect_status_code)
    if fields.conversion_tracking is not None:
        link = link._replace(conversion_tracking=int(fields.conversion_tracking))
    if "conversion_window_days" in sent:
        link = link._replace(conversion_window_days=fields.conversion_window_days)
    if fields.append_token is not None:
        link = link._replace(append_policy=fields.append_token)
    if fields.forward_query is not None:
        link = link._replace(forward_query=int(fields.forward_query))
    return link


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return from_rfc3339(text)
    except ValueError:
        raise Refused("validation_failed", errors=(FieldError("expires_at", "event_time_malformed"),)) from None


def short_url(domain: Domain, slug: str, base_url: str) -> str:
    """The whole short URL; the default domain is the application's own, with its port."""
    if urlsplit(base_url).hostname == domain.domain_name:
        return f"{base_url}/{slug}"
    return f"https://{domain.domain_name}/{slug}"


def link_wire(shown: Shown, base_url: str, now_ms: int) -> dict[str, object]:
    """A link on the wire."""
    link, domain, click_count = shown
    expired = link.expires_at_ms is not None and link.expires_at_ms <= now_ms
    return {
        "id": link.link_id,
        "url_id": link.link_id,
        "domain_id": link.domain_id,
        "domain": domain.domain_name,
        "short_code": link.slug,
        "short_url": short_url(domain, link.slug, base_url),
        "long_url": link.long_url,
        "destination_host": links.destination_host(link.long_url, frozenset()),
        "title": link.title or None,
        "tags": json.loads(link.tags),
        "status": "expired" if expired and link.status == "active" else link.status,
        "expires_at": None if link.expires_at_ms is None else to_rfc3339(link.expires_at_ms),
        "redirect_status_code": link.redirect_status_code,
        "conversion_tracking": bool(link.conversion_tracking),
        "conversion_window_days": link.conversion_window_days,
        "append_token": link.append_policy,
        "token_suppressed": signposts.token_suppression(link.long_url, link.append_policy),
        "forward_query": bool(link.forward_query),
        "clicks": click_count,
        "created_at": to_rfc3339(link.created_at_ms),
        "updated_at": to_rfc3339(link.updated_at_ms),
    }
