"""Settings: read once, and refused by name when they cannot be what they are."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from nimriz.config import Settings


@pytest.mark.parametrize(
    ("text", "base_url", "app_host"),
    [
        ("", "http://localhost:8000", "localhost"),
        ("https://go.example.com", "https://go.example.com", "go.example.com"),
        ("HTTPS://Go.Example.COM/", "https://go.example.com", "go.example.com"),
        ("https://go.example.com:443", "https://go.example.com", "go.example.com"),
        ("https://go.example.com:8443", "https://go.example.com:8443", "go.example.com"),
        ("http://bücher.example", "http://xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("http://127.0.0.1:18741", "http://127.0.0.1:18741", "127.0.0.1"),
        ("http://[0:0::1]:18751", "http://[::1]:18751", "[::1]"),
    ],
)
def test_the_applications_address_is_kept_in_its_canonical_form(text: str, base_url: str, app_host: str) -> None:
    settings = Settings(app_url=text)
    assert (settings.base_url, settings.app_host) == (base_url, app_host)


@pytest.mark.parametrize(
    "text",
    [
        "go.example.com", "ftp://x.com", "https://host/base", "https://host//", "https://user:pw@host", "https://@host",
        "https://host?", "https://host/?a", "https://host#", "https://", "https:host", "https:///host", "https://host\\",
        "https://host:99999", "https://host:", "https://a b", " https://host", "https://host\n", "https://host.",
        "https://256.1.1.1", "https://\ud800", "localhost:8000",
    ],
)  # fmt: skip
def test_an_address_with_more_or_less_than_scheme_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(app_url=text)
    assert [error["loc"] for error in refused.value.errors()] == [("app_url",)]
