"""The API application: FastAPI behind the front door, with our own answers for every refusal."""

from __future__ import annotations

from typing import TypeVar

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

import nimriz
from nimriz.base.errors import Refused
from nimriz.base.ids import new_reference
from nimriz.logs import where
from nimriz.store.db import StoreError
from nimriz.web.api import (
    balances,
    blocklist,
    bulk,
    click_stream,
    clicks,
    conversions,
    deliveries,
    domains,
    erasures,
    exclusions,
    explanations,
    exports,
    identities,
    link_analytics,
    links,
    qr,
    reports,
    results,
    rules,
    saved_reports,
    schedules,
    signing_secrets,
    simulator,
    updates,
    workspace,
)
from nimriz.web.api.desk import Desk
from nimriz.web.api.document import Document
from nimriz.web.api.door import Door
from nimriz.web.api.refusals import invalid, refusal
from nimriz.web.body import Bodies
from nimriz.web.http import Application

Result = TypeVar("Result")
log = structlog.get_logger()

_BY_STATUS = {404: "not_found", 405: "method_not_allowed"}


def build(desk: Desk, bodies: Bodies) -> Application:
    """The application behind its door. Its endpoints find the Desk in `app.state.desk`."""
    app = endpoints(desk)
    document = Document(app, desk.base_url)
    return Door(app, desk.memory, bodies, {"/api/openapi.json": document.as_json, "/api/docs": document.as_page})


def endpoints(desk: Desk) -> FastAPI:
    """The endpoints alone."""
    app = FastAPI(
        title="nimriz",
        version=nimriz.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.desk = desk
    routers = (
        workspace.router,
        domains.router,
        blocklist.router,
        links.router,
        rules.router,
        simulator.router,
        link_analytics.router,
        qr.router,
        bulk.router,
        updates.router,
        explanations.router,  # Before the event itself, whose id may hold anything.
        conversions.router,
        erasures.router,
        deliveries.router,
        identities.router,
        signing_secrets.router,
        exclusions.router,
        clicks.router,
        click_stream.router,
        reports.router,
        balances.router,
        exports.router,
        schedules.router,
        saved_reports.router,
        results.router,
    )
    for router in routers:
        app.include_router(router)
    app.state.endpoints = [route for router in routers for route in router.routes]
    app.add_exception_handler(Refused, _on_refused)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(StoreError, _on_store_error)
    app.add_exception_handler(Exception, _on_bug)
    return app


async def _on_refused(_: Request, error: Exception) -> Response:
    refused = error if isinstance(error, Refused) else Refused("internal_error")
    return refusal(refused, new_reference())


async def _on_invalid(_: Request, error: Exception) -> Response:
    refused = invalid(error.errors()) if isinstance(error, RequestValidationError) else Refused("internal_error")
    return refusal(refused, new_reference())


async def _on_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = _BY_STATUS.get(status, "json_malformed" if status == 400 else "internal_error")
    response = refusal(Refused(code), new_reference())
    if status == 405:
        response.headers["Allow"] = ", ".join(sorted(_methods_of(request)))
    return response


def _methods_of(request: Request) -> set[str]:
    """Every method of a path; the framework names those of its first route only."""
    return {
        method
        for route in request.app.state.endpoints
        if isinstance(route, Route) and route.matches({**request.scope, "method": "OPTIONS"})[0] != Match.NONE
        for method in route.methods or ()
    }


async def _on_store_error(_: Request, error: Exception) -> Response:
    reference = new_reference()
    log.error("store_unavailable", error=str(error), support_reference=reference)
    return refusal(Refused("store_unavailable", retry_after_s=1), reference)


async def _on_bug(_: Request, error: Exception) -> Response:
    reference = new_reference()
    log.error("internal_error", error=type(error).__name__, at=where(error), support_reference=reference)
    return refusal(Refused("internal_error"), reference)
