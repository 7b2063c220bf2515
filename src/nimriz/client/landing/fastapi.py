"""Keep the click token in FastAPI, and in Starlette under it: `app.add_middleware(KeepClickToken)`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from nimriz.client.landing import asgi
from nimriz.client.landing.asgi import KeepClickToken

__all__ = ["ClickId", "KeepClickToken", "click_id"]


def click_id(request: Request) -> str | None:
    """The token to send with a lead or a sale; None when there is none."""
    return asgi.click_id(request.scope)


ClickId = Annotated[str | None, Depends(click_id)]
"""A parameter of a path operation: `async def buy(click_id: ClickId)`."""
