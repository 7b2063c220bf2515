"""QR codes of links. What they say ends in `?nr=qr`, so that a scan is told from a click."""

from __future__ import annotations

import asyncio
import io
from typing import Annotated, Literal

import segno
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from nimriz.web import wire
from nimriz.web.api.desk import Desk, caller
from nimriz.web.api.links import found

router = APIRouter()

_Color = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]
_MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png"}


class QrQuery(BaseModel):
    """GET /api/v1/links/{link_id}/qr: `scale` is pixels a module, `border` the quiet zone in modules."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    format: Literal["svg", "png"] = "svg"
    scale: Annotated[int, Field(ge=1, le=40)] = 10
    border: Annotated[int, Field(ge=0, le=20)] = 4
    error_correction: Literal["L", "M", "Q", "H"] = "M"
    dark: _Color = "#000000"
    light: _Color = "#ffffff"


@router.get("/api/v1/links/{link_id}/qr")
async def link_qr(request: Request, link_id: str, query: Annotated[QrQuery, Query()]) -> Response:
    """A link's QR code, as SVG or PNG."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")
    link, domain = await desk.read(lambda tx: found(tx, key.workspace_id, link_id))
    text = f"{wire.short_url(domain, link.slug, desk.base_url)}?nr=qr"
    image = await asyncio.to_thread(drawn, text, query)
    return Response(image, media_type=_MEDIA_TYPES[query.format], headers={"Cache-Control": "private, no-store"})


def drawn(text: str, query: QrQuery) -> bytes:
    """The code as a file of the format asked for."""
    code = segno.make(text, error=query.error_correction, boost_error=False, micro=False)
    image = io.BytesIO()
    code.save(image, kind=query.format, scale=query.scale, border=query.border, dark=query.dark, light=query.light)
    return image.getvalue()
