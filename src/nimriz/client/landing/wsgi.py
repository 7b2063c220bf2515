"""Keep the click token in any WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from nimriz.client.landing import UNCACHED, click_id_of, cookie_to_set

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def keep_click_token(app: WSGIApplication, *, secure: bool | None = None) -> WSGIApplication:
    """Middleware. `secure` says whether the cookie is for https alone; by default as the request came."""

    def middleware(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        over_https = environ.get("wsgi.url_scheme") == "https" if secure is None else secure
        cookie = cookie_to_set(environ.get("QUERY_STRING", ""), _cookies(environ), secure=over_https)
        if cookie is None:
            return app(environ, start_response)

        def with_cookie(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], object]:
            others = [pair for pair in headers if pair[0].lower() != "cache-control"]
            return start_response(status, [*others, ("Set-Cookie", cookie), ("Cache-Control", UNCACHED)], *more)

        return app(environ, with_cookie)

    return middleware


def click_id(environ: WSGIEnvironment) -> str | None:
    """The token to send with a lead or a sale; None when there is none."""
    return click_id_of(environ.get("QUERY_STRING", ""), _cookies(environ))


def _cookies(environ: WSGIEnvironment) -> list[str]:
    return [environ.get("HTTP_COOKIE", "")]
