"""What every page of ours begins with: one head, one palette, and headers that let nothing be loaded and nothing run.

A page has its style inside itself, named by its hash in the policy.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape

from nimriz.web.http import NO_STORE, Headers

PALETTE = """
:root { color-scheme: light dark; --ground: #f3f4f8; --card: #fff; --ink: #171a26; --soft: #565d73; --mark: #3547d1;
  --on-mark: #fff; --wrong: #b3172d; --wrong-ground: #fdeef0 }
@media (prefers-color-scheme: dark) { :root { --ground: #10121a; --card: #191c28; --ink: #eef0f7; --soft: #a4abc2;
  --mark: #98a5ff; --on-mark: #10121a; --wrong: #ffa3ad; --wrong-ground: #35161d } }
* { box-sizing: border-box }
"""
"""The colours of every page, by light and in the dark."""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def page(title: str, style: str, body: str) -> bytes:
    """A whole page. Whatever somebody wrote is escaped in `body` already; the title is escaped here."""
    return _PAGE.format(title=escape(title), style=style, body=body).encode()


def named(text: str) -> str:
    """What a policy calls a style or a script that stands inside the page."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def headers(style: str, referrer: tuple[bytes, bytes], more: str = "") -> Headers:
    """What a page with this style is sent with; `more` is added to the policy. The icon is the browser's own wish."""
    policy = f"default-src 'none'; style-src {named(style)}; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    return [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", (policy + more).encode("ascii")),
        (b"x-content-type-options", b"nosniff"),
        NO_STORE,
        referrer,
    ]
