"""The landing page in each framework: one story, told to the real thing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple
from wsgiref.util import setup_testing_defaults

import django
import django.conf
import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from nimriz.base.tokens import KEY_BYTES, Keyring, is_shaped
from nimriz.client import landing
from nimriz.client.landing import asgi, wsgi
from nimriz.client.landing import django as in_django
from nimriz.client.landing import flask as in_flask
from nimriz.client.landing.fastapi import ClickId, KeepClickToken

KEYRING = Keyring({1: bytes(KEY_BYTES)}, 1)
FIRST, SECOND = (KEYRING.mint(bytes([n] * 16), bytes(16), 30) for n in (1, 2))


class Page(NamedTuple):
    """What a visitor got: the click id that the page saw, and the headers."""

    seen: str
    headers: dict[str, str]


Visit = Callable[[str, str, bool], Page]
"""Query, Cookie header, https or not."""


def seen(click_id: str | None) -> str:
    return click_id or "none"


# --- ASGI and FastAPI --------------------------------------------------------------------------------------------


async def plain_asgi(scope: Any, receive: Any, send: Any) -> None:
    body = seen(asgi.click_id(scope)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"Cache-Control", b"public")]})
    await send({"type": "http.response.body", "body": body})


def visit_asgi(app: Any, query: str, cookie: str, https: bool) -> Page:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": "/",
        "raw_path": b"/", "root_path": "", "scheme": "https" if https else "http", "query_string": query.encode(),
        "headers": [(b"host", b"shop.example"), *([(b"cookie", cookie.encode())] if cookie else [])],
        "server": ("shop.example", 443), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return Page(b"".join(m.get("body", b"") for m in sent[1:]).decode(), headers)


def in_asgi() -> Visit:
    app = asgi.KeepClickToken(plain_asgi)
    return lambda query, cookie, https: visit_asgi(app, query, cookie, https)


def in_fastapi() -> Visit:
    app = FastAPI()
    app.add_middleware(KeepClickToken)

    @app.get("/", response_class=PlainTextResponse)
    def page(click_id: ClickId) -> str:
        return seen(click_id)

    return lambda query, cookie, https: visit_asgi(app, query, cookie, https)


# --- WSGI and Flask ----------------------------------------------------------------------------------------------


def visit_wsgi(app: Any, query: str, cookie: str, https: bool) -> Page:
    sent: dict[str, str] = {}
    environ: dict[str, Any] = {"QUERY_STRING": query, "HTTP_HOST": "shop.example"}
    environ |= {"HTTP_COOKIE": cookie} if cookie else {}
    environ["wsgi.url_scheme"] = "https" if https else "http"
    setup_testing_defaults(environ)

    def start_response(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], object]:
        sent.update({name.lower(): value for name, value in headers})
        return lambda some: None

    answer = app(environ, start_response)
    body = b"".join(answer).decode()
    getattr(answer, "close", lambda: None)()
    return Page(body, sent)


def in_wsgi() -> Visit:
    def page(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "public")])
        return [seen(wsgi.click_id(environ)).encode()]

    app = wsgi.keep_click_token(page)
    return lambda query, cookie, https: visit_wsgi(app, query, cookie, https)


def in_the_real_flask() -> Visit:
    app = Flask("shop")
    in_flask.keep_click_token(app)

    @app.get("/")
    def page() -> str:
        return seen(in_flask.click_id())

    return lambda query, cookie, https: visit_wsgi(app, query, cookie, https)


# --- Django ------------------------------------------------------------------------------------------------------


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(seen(in_django.click_id(request)), headers={"Cache-Control": "public"})


async def page_async(request: HttpRequest) -> HttpResponse:
    return page(request)


urlpatterns = [path("", page), path("async/", page_async)]


def set_up_django() -> None:
    if not django.conf.settings.configured:
        django.conf.settings.configure(
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF=__name__,
            MIDDLEWARE=["nimriz.client.landing.django.keep_click_token"],
            SECRET_KEY="of a test",
        )
        django.setup()


def page_of(response: Any) -> Page:
    headers = {name.lower(): value for name, value in response.headers.items()}
    if response.cookies:
        headers["set-cookie"] = response.cookies["nim_ct"].OutputString()
    return Page(response.content.decode(), headers)


def in_the_real_django() -> Visit:
    set_up_django()

    def visit(query: str, cookie: str, https: bool) -> Page:
        return page_of(Client().get(f"/?{query}", secure=https, headers={"cookie": cookie} if cookie else {}))

    return visit


def in_async_django() -> Visit:
    set_up_django()

    def visit(query: str, cookie: str, https: bool) -> Page:
        headers = {"cookie": cookie} if cookie else {}
        return page_of(asyncio.run(AsyncClient().get(f"/async/?{query}", secure=https, headers=headers)))

    return visit


# --- the story ---------------------------------------------------------------------------------------------------

FRAMEWORKS = [in_asgi, in_fastapi, in_wsgi, in_the_real_flask, in_the_real_django, in_async_django]


@pytest.fixture(params=FRAMEWORKS, ids=lambda made: made.__name__)
def visit(request: pytest.FixtureRequest) -> Visit:
    """How a visitor comes to this framework's page."""
    made: Visit = request.param()
    return made


def attributes(header: str) -> set[str]:
    return {part.strip().lower() for part in header.split(";")[1:] if "expires" not in part.lower()}


def test_a_token_is_seen_at_once_kept_for_thirty_days_and_given_back(visit: Visit) -> None:
    landed = visit(f"a=1&nim_ct={FIRST}&b=2", "", True)
    assert landed.seen == FIRST
    cookie = landed.headers["set-cookie"]
    assert cookie.startswith(f"nim_ct={FIRST};")
    assert attributes(cookie) == {"max-age=2592000", "path=/", "httponly", "samesite=lax", "secure"}
    assert landed.headers["cache-control"] == "private, no-store"
    bought = visit("", f"theme=dark; nim_ct={FIRST}", True)
    assert bought.seen == FIRST
    assert "set-cookie" not in bought.headers


def test_without_https_the_cookie_is_not_for_https_alone(visit: Visit) -> None:
    assert "secure" not in attributes(visit(f"nim_ct={FIRST}", "", False).headers["set-cookie"])


def test_the_latest_click_wins(visit: Visit) -> None:
    landed = visit(f"nim_ct={SECOND}", f"nim_ct={FIRST}", True)
    assert landed.seen == SECOND
    assert landed.headers["set-cookie"].startswith(f"nim_ct={SECOND};")
    assert "set-cookie" not in visit(f"nim_ct={FIRST}", f"nim_ct={FIRST}", True).headers


@pytest.mark.parametrize(
    "bad",
    ["nimct_x", FIRST + "A", FIRST[:-1], "%3B+Domain=evil", FIRST[:-1] + "%0d", FIRST + "%0aSet-Cookie:x", "", "ü"],
)
def test_what_is_no_token_by_its_shape_is_neither_kept_nor_given_back(visit: Visit, bad: str) -> None:
    landed = visit(f"nim_ct={bad}", "", True)
    assert landed.seen == "none"
    assert "set-cookie" not in landed.headers
    assert "cache-control" not in landed.headers or landed.headers["cache-control"] == "public"
    assert visit("", "nim_ct=nimct_x", True).seen == "none"


def test_cookies_of_others_are_no_hindrance(visit: Visit) -> None:
    assert visit("", f'odd="[a,{{b}}]; x; =y; nim_ct={FIRST}; z=1', True).seen == FIRST


@given(st.text(), st.lists(st.text()))
def test_any_query_and_any_cookies_end_in_a_token_or_in_nothing(query: str, cookies: list[str]) -> None:
    found = landing.click_id_of(query, cookies)
    assert found is None or is_shaped(found)
    assert landing.cookie_to_set(f"{query}&nim_ct={FIRST}", [], secure=True) is not None


def test_a_websocket_is_handed_on_as_it_is() -> None:
    handed: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        handed.append(send)

    asyncio.run(asgi.KeepClickToken(app)({"type": "websocket"}, None, "the same"))  # type: ignore[arg-type]
    assert handed == ["the same"]
