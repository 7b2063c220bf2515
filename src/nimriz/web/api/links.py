"""Making, finding, reading and changing links."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from nimriz.base import ids
from nimriz.base.errors import FieldError, Refused
from nimriz.core.directory import workspaces
from nimriz.core.directory.credentials import ApiKey
from nimriz.core.links import creation, destinations, domains, drafts, history, links, short_urls
from nimriz.core.links.creation import Made, Order
from nimriz.core.links.domains import Domain
from nimriz.core.links.drafts import LinkChange, LinkFields, NewLink
from nimriz.core.links.links import Filters, Link
from nimriz.store.db import Tx
from nimriz.web import wire
from nimriz.web.api.desk import Desk, answer, caller

router = APIRouter()

LIMIT_MAX = 1_000
_QUERY = ConfigDict(extra="forbid", hide_input_in_errors=True)
_Key = Annotated[str, StringConstraints(min_length=1, max_length=creation.KEY_CHARS_MAX, pattern=r"^[!-~]+$")]


class UrlId(BaseModel):
    """POST /api/delete-link"""

    model_config = drafts.STRICT
    url_id: str


class LinksQuery(BaseModel):
    """GET /api/v1/links"""

    model_config = _QUERY
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = 100
    cursor: str = ""
    tag: Annotated[str, Field(max_length=64)] = ""
    search: Annotated[str, Field(max_length=200)] = ""
    domain_id: str = ""
    archived: Literal["false", "true", "all"] = "false"


class FindQuery(BaseModel):
    """GET /api/v1/links/find: short_url, or domain_id and short_code"""

    model_config = _QUERY
    short_url: Annotated[str, Field(max_length=2_048)] = ""
    domain_id: str = ""
    short_code: str = ""


class HistoryQuery(BaseModel):
    """GET /api/v1/links/{link_id}/history"""

    model_config = _QUERY
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = 100
    cursor: Annotated[int, Field(ge=0, le=2**62)] = 0


@router.post("/api/shorten")
async def shorten(request: Request, new: NewLink, idempotency_key: Annotated[_Key | None, Header()] = None) -> Response:
    """Make a link. With an Idempotency-Key, sending it again makes no other link."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:write")
    now_ms = desk.clock.now_ms()
    order = Order(await desk.in_turn(lambda: drafts.read(new)), idempotency_key or "")
    actor = history.by_key(key.key_id)

    def write(tx: Tx) -> Made:
        return creation.create(tx, key.workspace_id, order, desk.policy, actor, now_ms)

    made = await desk.write(write)
    body = wire.made(made, desk.base_url, now_ms)
    return answer({**body, "idempotent": True} if made.replayed else body, 200 if made.replayed else 201)


@router.get("/api/v1/links")
async def list_links(request: Request, query: Annotated[LinksQuery, Query()]) -> Response:
    """The workspace's links, newest first. Archived ones only when asked for."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")
    if query.cursor and not ids.is_id(query.cursor):
        raise Refused("validation_failed", errors=(FieldError("cursor", "field_type"),))
    archived = {"false": 0, "true": 1, "all": None}[query.archived]
    filters = Filters(query.tag, query.search, query.domain_id, archived)

    def read(tx: Tx) -> tuple[list[tuple[Link, Domain]], set[str]]:
        usable = {d.domain_id: d for d in domains.of_workspace(tx, key.workspace_id)}
        found = links.page(tx, key.workspace_id, query.cursor, query.limit + 1, filters)
        blocked = destinations.blocked(tx, key.workspace_id, [link.long_url for link in found])
        return [(link, usable[link.domain_id]) for link in found if link.domain_id in usable], blocked

    found, blocked = await desk.read(read)
    shown = found[: query.limit]
    counts = await desk.clicks_of([link.link_id for link, _ in shown])
    now_ms = desk.clock.now_ms()

    def spelled() -> list[dict[str, object]]:
        return [
            wire.link(
                link, domain, counts.get(link.link_id, 0), desk.base_url, now_ms, blocked=link.long_url in blocked
            )
            for link, domain in shown
        ]

    # A thousand links take long enough to keep a visitor waiting.
    page = await asyncio.to_thread(spelled)
    more = len(found) > query.limit
    return answer({"links": page, "next_cursor": page[-1]["id"] if more else None})


@router.get("/api/v1/links/find")
async def find_link(request: Request, query: Annotated[FindQuery, Query()]) -> Response:
    """The link behind a short URL, or behind a short code of a domain."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")
    if bool(query.short_url) == bool(query.domain_id and query.short_code):
        raise Refused("validation_failed", errors=(FieldError("short_url", "field_missing"),))

    def read(tx: Tx) -> tuple[Link, Domain]:
        if query.short_url:
            domain, slug = _placed(tx, key.workspace_id, query.short_url, desk)
        else:
            domain, slug = domains.find_usable(tx, key.workspace_id, query.domain_id), query.short_code
        link = None if domain is None else links.find_by_slug(tx, domain.domain_id, slug)
        if link is None or domain is None or link.workspace_id != key.workspace_id:
            raise Refused("link_not_found")
        return link, domain

    link, domain = await desk.read(read)
    return await _shown(desk, link, domain)


def _placed(tx: Tx, workspace_id: str, short_url: str, desk: Desk) -> tuple[Domain | None, str]:
    """The domain and the slug that a short URL names."""
    host, slug = short_urls.read(short_url)
    shared = host in desk.policy.own_hosts
    for domain in domains.of_workspace(tx, workspace_id):
        if domain.workspace_id == domains.SHARED if shared else domain.domain_name == host:
            return domain, slug
    return None, slug


@router.get("/api/v1/links/{link_id}")
async def get_link(request: Request, link_id: str) -> Response:
    """One link."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")
    return await _shown(desk, *await desk.read(lambda tx: found(tx, key.workspace_id, link_id)))


@router.patch("/api/v1/links/{link_id}")
async def change_link(request: Request, link_id: str, change: LinkChange) -> Response:
    """Change any of a link's fields; the redirect follows within a second."""
    return await changed(request.app.state.desk, caller(request, "links:write"), link_id, change)


@router.post("/api/delete-link")
async def delete_link(request: Request, which: UrlId) -> Response:
    """Delete a link; its slug rests for 30 days."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:write")
    now_ms = desk.clock.now_ms()
    actor = history.by_key(key.key_id)
    await desk.write(lambda tx: links.delete(tx, found(tx, key.workspace_id, which.url_id)[0], actor, now_ms))
    return answer({"deleted": True})


@router.get("/api/v1/links/{link_id}/history")
async def link_history(request: Request, link_id: str, query: Annotated[HistoryQuery, Query()]) -> Response:
    """Who changed what on a link, newest first; of a deleted one too."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")

    def read(tx: Tx) -> list[history.Entry]:
        if links.workspace_of(tx, link_id) != key.workspace_id:
            raise Refused("link_not_found")
        return history.page(tx, key.workspace_id, link_id, query.cursor, query.limit + 1)

    entries = await desk.read(read)
    page = entries[: query.limit]
    cursor = page[-1].seq if len(entries) > query.limit else None
    return answer({"changes": [wire.change(entry) for entry in page], "next_cursor": cursor})


async def changed(desk: Desk, key: ApiKey, link_id: str, fields: LinkFields) -> Response:
    """Change a link and answer with it: what every call that changes one link does."""
    now_ms = desk.clock.now_ms()
    draft = await desk.in_turn(lambda: drafts.read(fields))

    def write(tx: Tx) -> tuple[Link, Domain]:
        before, domain = found(tx, key.workspace_id, link_id)
        workspace = workspaces.find(tx, key.workspace_id)
        zone = ZoneInfo("UTC" if workspace is None else workspace.timezone)
        after = drafts.applied(draft, before, zone)
        if draft.destination is not None:
            destinations.check(tx, key.workspace_id, draft.destination, desk.policy)
        return links.change(tx, before, after, history.by_key(key.key_id), now_ms), domain

    return await _shown(desk, *await desk.write(write))


def found(tx: Tx, workspace_id: str, link_id: str) -> tuple[Link, Domain]:
    """A link of a workspace with its domain. Raises Refused(link_not_found)."""
    link = links.find(tx, workspace_id, link_id)
    domain = None if link is None else domains.find_usable(tx, workspace_id, link.domain_id)
    if link is None or domain is None:
        raise Refused("link_not_found")
    return link, domain


async def _shown(desk: Desk, link: Link, domain: Domain) -> Response:
    counts, blocked = await asyncio.gather(
        desk.clicks_of([link.link_id]),
        desk.read(lambda tx: destinations.blocked(tx, link.workspace_id, [link.long_url])),
    )
    clicks, now_ms = counts.get(link.link_id, 0), desk.clock.now_ms()
    shown = wire.link(link, domain, clicks, desk.base_url, now_ms, blocked=bool(blocked))
    return answer({"link": shown})
