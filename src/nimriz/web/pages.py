"""The small pages that a visitor sees when a short link leads nowhere."""

from __future__ import annotations

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; display: grid; place-content: center; min-height: 100vh; margin: 0;
        text-align: center; padding: 0 1.5rem }}
h1 {{ font-size: 1.5rem; margin: 0 0 .5rem }} p {{ margin: 0; opacity: .75 }}
</style></head><body><main><h1>{title}</h1><p>{text}</p></main></body></html>
"""


def _page(title: str, text: str) -> bytes:
    return _PAGE.format(title=title, text=text).encode()


NOT_FOUND = _page("This link leads nowhere", "It may have been mistyped, or taken down.")
EXPIRED = _page("This link has expired", "Ask whoever gave it to you for a new one.")
NOT_READY = _page("This domain is not ready yet", "Its owner still has to finish setting it up.")
TRY_AGAIN = _page("Please try again", "This link cannot be looked up at the moment.")
