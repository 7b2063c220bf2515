"""Signing secrets: made beside those that are live, listed without themselves, revoked within a second."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from nimriz.base.clock import to_rfc3339
from nimriz.base.errors import Refused
from nimriz.core.directory import credentials
from nimriz.core.directory.credentials import SigningSecret
from nimriz.core.directory.mode import Mode
from nimriz.core.links import history
from nimriz.web.api.desk import Desk, answer, caller

router = APIRouter()


class NewSecret(BaseModel):
    """POST /api/v1/signing-secrets"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)
    mode: Mode = "live"


@router.get("/api/v1/signing-secrets")
async def list_signing_secrets(request: Request) -> Response:
    """Every signing secret, oldest first, revoked ones too; only its last four characters are shown."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    now_ms = desk.clock.now_ms()
    found = await desk.read(lambda tx: credentials.list_secrets(tx, key.workspace_id))
    return answer({"signing_secrets": [told(secret, now_ms) for secret in found]})


@router.post("/api/v1/signing-secrets")
async def create_signing_secret(request: Request, body: NewSecret) -> Response:
    """Make a secret beside those that are live, at most 8 of a mode. It is shown this once."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    now_ms = desk.clock.now_ms()
    text, secret = await desk.write(
        lambda tx: credentials.create_secret(
            tx, desk.vault, key.workspace_id, body.mode, now_ms, history.by_key(key.key_id)
        )
    )
    return answer({**told(secret, now_ms), "signing_secret": text}, 201)


@router.delete("/api/v1/signing-secrets/{secret_id}")
async def revoke_signing_secret(request: Request, secret_id: str) -> Response:
    """Revoke a secret; it stops within a second, and stays in the list."""
    desk: Desk = request.app.state.desk
    key = caller(request, "admin")
    now_ms = desk.clock.now_ms()
    actor = history.by_key(key.key_id)
    if not await desk.write(lambda tx: credentials.revoke_secret(tx, key.workspace_id, secret_id, now_ms, actor)):
        raise Refused("signing_secret_not_found")
    return answer({"revoked": True})


def told(secret: SigningSecret, now_ms: int) -> dict[str, object]:
    """A secret as it may be shown."""
    return {
        "secret_id": secret.secret_id,
        "mode": secret.mode,
        "ends_in": secret.hint,
        "created_at": to_rfc3339(secret.created_at_ms),
        "last_used_at": None if secret.last_used_at_ms is None else to_rfc3339(secret.last_used_at_ms),
        "revoked_at": None if secret.revoked_at_ms is None else to_rfc3339(secret.revoked_at_ms),
        "unused_90_days": secret.unused(now_ms),
    }
