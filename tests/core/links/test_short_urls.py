"""Short URLs as people paste them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.core.links import short_urls


@pytest.mark.parametrize(
    "text",
    [
        "go.example/a-b",
        "https://go.example/a-b",
        "HTTP://GO.example:8000/a-b?nr=qr#x",
        "//go.example/a-b/",
        "go.example/a-b?to=https://other.example/",
        "go.example/a-b#http://x",
    ],
)
def test_only_host_and_slug_are_of_account(text: str) -> None:
    assert short_urls.read(text) == ("go.example", "a-b")


@pytest.mark.parametrize(
    ("text", "host", "slug"),
    [
        ("https://bücher.example/x", "xn--bcher-kva.example", "x"),
        ("http://[::1]:8000/x", "[::1]", "x"),
        ("localhost", "localhost", ""),
        ("https://", "", ""),
        ("", "", ""),
        ("go.example//x", "go.example", "/x"),
    ],
)
def test_other_spellings(text: str, host: str, slug: str) -> None:
    assert short_urls.read(text) == (host, slug)


@given(st.text(max_size=80))
def test_any_text_is_read(text: str) -> None:
    assert len(short_urls.read(text)) == 2
