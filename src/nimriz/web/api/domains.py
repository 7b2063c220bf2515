"""A workspace's domains: added, proved, given fallback URLs, switched off, given back."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import Response

from nimriz.base.errors import Refused
from nimriz.core.links import destinations, domains, drafts, links, verification
from nimriz.core.links.domains import Domain
from nimriz.core.links.verification import Finding
from nimriz.core.routing import app_links
from nimriz.core.routing.app_links import APPS_MAX
from nimriz.store.db import Tx
from nimriz.web import wire
from nimriz.web.api.desk import Desk, answer, caller

router = APIRouter()

_AppId = Annotated[str, StringConstraints(pattern=app_links.APP_ID)]
_Fingerprint = Annotated[str, StringConstraints(pattern=app_links.FINGERPRINT)]
_FALLBACKS = ("root_url", "not_found_url", "expired_url")


class NewDomain(BaseModel):
    """POST /api/v1/domains"""

    model_config = drafts.STRICT
    domain_name: str


class DomainId(BaseModel):
    """POST /api/domains/verify"""

    model_config = drafts.STRICT
    domain_id: str


class AndroidApp(BaseModel):
    """An Android app that opens a domain's links"""

    model_config = drafts.STRICT
    package: Annotated[str, StringConstraints(max_length=255, pattern=app_links.PACKAGE)]
    fingerprints: Annotated[list[_Fingerprint], Field(min_length=1, max_length=app_links.FINGERPRINTS_MAX)]


class DomainChange(BaseModel):
    """PATCH /api/v1/domains/{domain_id}: only what is sent changes; null takes a URL, or all apps, away"""

    model_config = drafts.STRICT
    root_url: str | None = None
    not_found_url: str | None = None
    expired_url: str | None = None
    ios_apps: Annotated[list[_AppId], Field(max_length=APPS_MAX)] | None = None
    android_apps: Annotated[list[AndroidApp], Field(max_length=APPS_MAX)] | None = None
    enabled: bool | None = None


@router.get("/api/v1/domains")
async def list_domains(request: Request) -> Response:
    """The domains that the workspace may put links on: its own, and the shared one."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")
    found = await desk.read(lambda tx: domains.of_workspace(tx, key.workspace_id))
    return answer({"domains": [wire.domain(domain) for domain in found]})


@router.post("/api/v1/domains")
async def add_domain(request: Request, new: NewDomain) -> Response:
    """Claim a domain; the answer says what to put into the DNS to prove it."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    name = domains.read_name(new.domain_name)
    ready = name in desk.lookups.terms.vouched
    now_ms = desk.clock.now_ms()
    return _shown(await desk.write(lambda tx: domains.add(tx, key.workspace_id, name, now_ms, ready=ready)), 201)


@router.get("/api/v1/domains/{domain_id}")
async def get_domain(request: Request, domain_id: str) -> Response:
    """One domain."""
    desk: Desk = request.app.state.desk
    key = caller(request, "links:read")
    return _shown(await desk.read(lambda tx: _usable(tx, key.workspace_id, domain_id)))


@router.post("/api/domains/verify")
async def verify_domain(request: Request, which: DomainId) -> Response:
    """Look a domain's challenge up in the DNS now, which takes up to 5 seconds."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    records = await desk.lookups.ask(await desk.read(lambda tx: _usable(tx, key.workspace_id, which.domain_id)))
    now_ms = desk.clock.now_ms()

    def write(tx: Tx) -> tuple[Domain, Finding]:
        # It may have been deleted meanwhile.
        domain = _usable(tx, key.workspace_id, which.domain_id)
        return verification.settle(tx, domain, records, desk.lookups.terms, now_ms)

    domain, finding = await desk.write(write)
    return answer(
        {
            "verified": domain.status != "pending",
            "verification_status": finding,
            "ready_for_traffic": domain.ready,
            "domain_status": domain.status,
            "domain_id": domain.domain_id,
            "domain_name": domain.domain_name,
        }
    )


@router.patch("/api/v1/domains/{domain_id}")
async def change_domain(request: Request, domain_id: str, change: DomainChange) -> Response:
    """Set where visitors go whose link is not there, which apps open its links, or switch the domain off and on."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    sent = {name: getattr(change, name) for name in _FALLBACKS if name in change.model_fields_set}
    read = {name: None if url is None else destinations.read(url) for name, url in sent.items()}
    domain = await desk.read(lambda tx: domains.find_own(tx, key.workspace_id, domain_id))
    enable = bool(change.enabled) and domain.status == "disabled"
    records = await desk.lookups.ask(domain) if enable else None
    now_ms = desk.clock.now_ms()

    def write(tx: Tx) -> Domain:
        domain = domains.find_own(tx, key.workspace_id, domain_id)
        if change.enabled is False and domain.status == "pending":
            raise Refused("domain_pending")
        for destination in read.values():
            if destination is not None:
                destinations.check(tx, domain.workspace_id, destination, desk.policy)
        changes: dict[str, Any] = {name: "" if url is None else url.given for name, url in read.items()}
        changes |= _apps(change)
        if change.enabled is False:
            changes["status"] = "disabled"
        domain = domains.update(tx, domain._replace(**changes), now_ms)
        if records is None:
            return domain
        return verification.settle(tx, domain, records, desk.lookups.terms, now_ms, enable=True)[0]

    return _shown(await desk.write(write))


@router.delete("/api/v1/domains/{domain_id}")
async def delete_domain(request: Request, domain_id: str) -> Response:
    """Give a domain back; it must have no links."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    now_ms = desk.clock.now_ms()

    def write(tx: Tx) -> None:
        domain = domains.find_own(tx, key.workspace_id, domain_id)
        if links.has_any(tx, domain.domain_id):
            raise Refused("domain_in_use")
        domains.remove(tx, domain, now_ms)

    await desk.write(write)
    return answer({"deleted": True})


def _apps(change: DomainChange) -> dict[str, str]:
    """The apps that were sent, as they are kept."""
    sent = change.model_dump(include={"ios_apps", "android_apps"} & change.model_fields_set)
    return {name: json.dumps(apps or []) for name, apps in sent.items()}


def _usable(tx: Tx, workspace_id: str, domain_id: str) -> Domain:
    domain = domains.find_usable(tx, workspace_id, domain_id)
    if domain is None:
        raise Refused("domain_not_found")
    return domain


def _shown(domain: Domain, status: int = 200) -> Response:
    """The domain as a member, and its members beside it for clients that look there."""
    shown = wire.domain(domain)
    return answer({**shown, "domain": shown}, status)
