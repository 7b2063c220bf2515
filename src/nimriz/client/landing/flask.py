"""Keep the click token in Flask: `keep_click_token(app)`."""

from __future__ import annotations

from flask import Flask, Response, request

from nimriz.client.landing import UNCACHED, cookie_to_set, wsgi


def keep_click_token(app: Flask, *, secure: bool | None = None) -> None:
    """Every answer of the application keeps the token of its request. `secure` as the request came, by default."""

    def with_cookie(response: Response) -> Response:
        over_https = request.is_secure if secure is None else secure
        cookies = [request.environ.get("HTTP_COOKIE", "")]
        cookie = cookie_to_set(request.environ.get("QUERY_STRING", ""), cookies, secure=over_https)
        if cookie is not None:
            response.headers.add("Set-Cookie", cookie)
            response.headers["Cache-Control"] = UNCACHED
        return response

    app.after_request(with_cookie)


def click_id() -> str | None:
    """The token to send with a lead or a sale of the current request; None when there is none."""
    return wsgi.click_id(request.environ)
