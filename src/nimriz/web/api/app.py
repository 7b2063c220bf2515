"""The API application: FastAPI behind the front door, with our own answers for every refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

import nimriz
from nimriz.base.clock import Clock
from nimriz.base.errors import FieldError, Refused
from nimriz.base.ids import new_reference
from nimriz.core.credentials import ApiKey
from nimriz.core.vault import Vault
from nimriz.store.db import Database, StoreError, Tx
from nimriz.web.http import encode
from nimriz.web.memory import Memory

Result = TypeVar("Result")
log = structlog.get_logger()

_BY_STATUS = {404: "not_found", 405: "method_not_allowed"}
_FIELD_CODES = {
    "extra_forbidden": "field_unknown",
    "missing": "field_missing",
    "string_too_short": "field_length",
    "string_too_long": "field_length",
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What the API's endpoints work with. `click_logs` opens every process's log for reading."""

    records: Database
    click_logs: Callable[[], list[Database]]
    vault: Vault
    memory: Memory
    clock: Clock
    base_url: str
    own_hosts: frozenset[str]

    async def read(self, fn: Callable[[Tx], Result]) -> Result:
        """Read in a thread. Raises StoreError."""
        return await asyncio.to_thread(self.records.read, fn)

    async def write(self, fn: Callable[[Tx], Result]) -> Result:
        """Write in a thread; what this process remembers is refreshed before the answer. Raises StoreError."""
        result = await asyncio.to_thread(self.records.write, fn)
        await self.memory.refresh()
        return result

    async def key(self, request: Request, scope: str) -> ApiKey:
        """The caller's API key. Raises Refused: unauthorized, scope_missing."""
        sent = request.headers.getlist("x-nim-api-key")
        for value in request.headers.getlist("authorization"):
            scheme, _, credentials = value.partition(" ")
            if scheme.lower() == "bearer":
                sent.append(credentials.strip())
        key = await self.memory.api_key(sent[0]) if len(sent) == 1 else None
        if key is None:
            raise Refused("unauthorized")
        if not key.allows(scope):
            raise Refused("scope_missing", scope=scope)
        return key


def answer(body: object, status: int = 200) -> Response:
    """A JSON response that nobody may keep."""
    return Response(encode(body), status, media_type="application/json", headers={"Cache-Control": "private, no-store"})


def refusal(refused: Refused) -> Response:
    """A problem response (RFC 9457)."""
    headers = {"Cache-Control": "private, no-store"}
    if refused.retry_after_s is not None:
        headers["Retry-After"] = str(refused.retry_after_s)
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = encode(refused.problem(new_reference()))
    return Response(body, refused.status, media_type="application/problem+json", headers=headers)


def build(desk: Desk) -> FastAPI:
    """The application. Its endpoints find the Desk in `app.state.desk`."""
    from nimriz.web.api import conversions, links, reports, workspace

    app = FastAPI(title="nimriz", version=nimriz.__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = desk
    for router in (workspace.router, links.router, conversions.router, reports.router):
        app.include_router(router)
    app.add_exception_handler(Refused, _on_refused)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(StoreError, _on_store_error)
    app.add_exception_handler(Exception, _on_bug)
    return app


async def _on_refused(_: Request, error: Exception) -> Response:
    return refusal(error) if isinstance(error, Refused) else refusal(Refused("internal_error"))


async def _on_invalid(_: Request, error: Exception) -> Response:
    errors = []
    for found in error.errors() if isinstance(error, RequestValidationError) else ():
        if found["type"] in ("json_invalid", "json_type"):
            return refusal(Refused("json_malformed"))
        path = [str(part) for part in found["loc"] if part not in ("body", "query")]
        errors.append(FieldError(".".join(path) or "body", _FIELD_CODES.get(found["type"], "field_type")))
    return refusal(Refused("validation_failed", errors=tuple(errors)))


async def _on_http(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    response = refusal(Refused(_BY_STATUS.get(status, "json_malformed" if status == 400 else "internal_error")))
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    return response


async def _on_store_error(_: Request, error: Exception) -> Response:
    log.error("store_unavailable", error=str(error))
    return refusal(Refused("store_unavailable", retry_after_s=1))


async def _on_bug(_: Request, error: Exception) -> Response:
    log.error("internal_error", error=type(error).__name__)
    return refusal(Refused("internal_error"))
