"""What stands on the wire: where a link's short URL leads."""

from __future__ import annotations

import pytest

from nimriz.core.links.domains import SHARED, Domain
from nimriz.web import wire


def domain(workspace_id: str, name: str) -> Domain:
    return Domain("d", workspace_id, name, "ready", "", "", "", 0)


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:18741", "http://[::1]:18751", "http://localhost:8000", "https://localhost"]
)
def test_a_link_on_the_installations_own_domain_is_where_the_application_is(base_url: str) -> None:
    assert wire.short_url(domain(SHARED, "localhost"), "spring", base_url) == f"{base_url}/spring"
    assert wire.short_url(domain("w", "go.example"), "spring", base_url) == "https://go.example/spring"
    assert wire.short_url(domain("w", "localhost"), "spring", base_url) == "https://localhost/spring"
