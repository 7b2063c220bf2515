"""The calls of existing clients that change one thing about a link, and the one that asks for a slug."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from nimriz.base.errors import Refused
from nimriz.base.ids import new_reference
from nimriz.core.links import domains, drafts, slugs
from nimriz.core.links.drafts import LinkChange
from nimriz.store.db import Tx
from nimriz.web.api.desk import Desk, answer, caller
from nimriz.web.api.links import changed

router = APIRouter()


class SlugQuestion(BaseModel):
    """POST /api/check-slug"""

    model_config = drafts.STRICT
    domain_id: str
    slug: str


class NewSlug(BaseModel):
    """PUT /api/update-slug"""

    model_config = drafts.STRICT
    url_id: str
    new_slug: str


class NewDestination(BaseModel):
    """PUT /api/update-destination"""

    model_config = drafts.STRICT
    url_id: str
    long_url: str


class NewPassword(BaseModel):
    """PUT /api/update-password"""

    model_config = drafts.STRICT
    url_id: str
    password: drafts.Password | None


class NewExpiration(BaseModel):
    """PUT /api/update-expiration"""

    model_config = drafts.STRICT
    url_id: str
    expires_at: str | None


@router.post("/api/check-slug")
async def check_slug(request: Request, question: SlugQuestion) -> Response:
    """Whether a slug can be had on a domain: 200, or 403 with the code of why not."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")

    def read(tx: Tx) -> dict[str, str]:
        if domains.find_usable(tx, key.workspace_id, question.domain_id) is None:
            raise Refused("domain_not_found")
        return slugs.unavailable(tx, question.domain_id, [question.slug], desk.clock.now_ms())

    code = (await desk.read(read)).get(question.slug)
    if code is None:
        return answer({"available": True})
    return answer({**Refused(code).problem(new_reference()), "status": 403, "available": False}, 403)


@router.put("/api/update-slug")
async def update_slug(request: Request, new: NewSlug) -> Response:
    """Rename a link; the old slug rests for 30 days, and only this link can have it back before."""
    desk: Desk = request.app.state.desk
    return await changed(desk, caller(request, "links:write"), new.url_id, LinkChange(short_code=new.new_slug))


@router.put("/api/update-destination")
async def update_destination(request: Request, new: NewDestination) -> Response:
    """Let a link lead elsewhere."""
    desk: Desk = request.app.state.desk
    return await changed(desk, caller(request, "links:write"), new.url_id, LinkChange(long_url=new.long_url))


@router.put("/api/update-password")
async def update_password(request: Request, new: NewPassword) -> Response:
    """Set a password, or take it away with null; who has unlocked the link has to do it again."""
    desk: Desk = request.app.state.desk
    return await changed(desk, caller(request, "links:write"), new.url_id, LinkChange(password=new.password))


@router.put("/api/update-expiration")
async def update_expiration(request: Request, new: NewExpiration) -> Response:
    """Set the instant from which a link answers 410, or take it away with null."""
    desk: Desk = request.app.state.desk
    return await changed(desk, caller(request, "links:write"), new.url_id, LinkChange(expires_at=new.expires_at))
