"""Operations: a listener of its own, apart from all visitors, for Prometheus and for the proxy in front.

    /metrics                   what is counted
    /certificate?domain=NAME   200 when a proxy may fetch a certificate for this host, else 404

The second question is answered to this machine alone, whatever address is listened on: who may ask it can
find out which names are served here.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from nimriz.base.errors import Refused
from nimriz.core.links import domains
from nimriz.store.db import StoreError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_QUERY_CHARS_MAX = 1_024


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever hangs up or says nothing is no news."""


class _Handler(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""

    def address_string(self) -> str:
        """The address as it is: its name is nobody's business, and asking for it takes time."""
        return str(self.client_address[0])


def listen(
    metrics: WSGIApplication, may_have_certificate: Callable[[str], bool], host: str, port: int
) -> tuple[WSGIServer, threading.Thread]:
    """Answer on a listener of its own; raises OSError when the address is taken.

    `may_have_certificate` is asked from any thread and may raise StoreError.
    """

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return metrics(environ, start_response)
        status = _certificate(environ, may_have_certificate) if path == "/certificate" else HTTPStatus.NOT_FOUND
        body = f"{status.phrase}\n".encode()
        start_response(
            f"{status.value} {status.phrase}",
            [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))],
        )
        return [body]

    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]

    class Server(_Server):
        address_family = family

    server = Server((str(address[0]), port), _Handler)
    server.set_app(answer)
    thread = threading.Thread(target=server.serve_forever, name="operations", daemon=True)
    thread.start()
    return server, thread


def _certificate(environ: WSGIEnvironment, may_have_certificate: Callable[[str], bool]) -> HTTPStatus:
    if not _is_loopback(environ.get("REMOTE_ADDR", "")):
        return HTTPStatus.FORBIDDEN
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return HTTPStatus.METHOD_NOT_ALLOWED
    query = environ.get("QUERY_STRING", "")
    names = [value for key, value in parse_qsl(query[:_QUERY_CHARS_MAX], keep_blank_values=True) if key == "domain"]
    if len(query) > _QUERY_CHARS_MAX or len(names) != 1:
        return HTTPStatus.BAD_REQUEST
    try:
        name = domains.read_name(names[0])
    except Refused:
        return HTTPStatus.BAD_REQUEST
    try:
        return HTTPStatus.OK if may_have_certificate(name) else HTTPStatus.NOT_FOUND
    except StoreError:
        return HTTPStatus.SERVICE_UNAVAILABLE


def _is_loopback(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
