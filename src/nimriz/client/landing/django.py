"""Keep the click token in Django: `"nimriz.client.landing.django.keep_click_token"` in MIDDLEWARE."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from nimriz.client.landing import COOKIE, COOKIE_DAYS, UNCACHED, click_id_of, cookie_to_set, token_of

Handler = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


@sync_and_async_middleware  # type: ignore[untyped-decorator]
def keep_click_token(get_response: Handler) -> Handler:
    """Middleware, for views of both kinds. The cookie is for https alone where `request.is_secure()`."""
    if iscoroutinefunction(get_response):

        async def keep_async(request: HttpRequest) -> HttpResponseBase:
            return _with_cookie(request, await get_response(request))

        return keep_async

    def keep(request: HttpRequest) -> HttpResponseBase:
        return _with_cookie(request, get_response(request))

    return keep


def click_id(request: HttpRequest) -> str | None:
    """The token to send with a lead or a sale; None when there is none."""
    return click_id_of(*_said(request))


def _with_cookie(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    query, cookies = _said(request)
    secure = request.is_secure()
    if cookie_to_set(query, cookies, secure=secure) is not None:
        response.set_cookie(
            COOKIE, token_of(query), max_age=COOKIE_DAYS * 86_400, secure=secure, httponly=True, samesite="Lax"
        )
        response["Cache-Control"] = UNCACHED
    return response


def _said(request: HttpRequest) -> tuple[str, list[str]]:
    return request.META.get("QUERY_STRING", ""), [request.META.get("HTTP_COOKIE", "")]
