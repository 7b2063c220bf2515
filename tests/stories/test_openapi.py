"""The document is true: a running server is called by it, with data that it allows and with data that it does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, cast
from urllib.parse import quote

import pytest
import requests
import schemathesis
from hypothesis import Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from nimriz.web.api.app import endpoints
from nimriz.web.api.desk import Desk
from nimriz.web.api.document import build
from nimriz.web.api.document_calls import CALLS
from nimriz.web.api.document_signed import PLAIN
from tests.patience import PATIENCE_S
from tests.world import Body, Served, Workspace, sale, serving

EXAMPLES = 5
OWN_DOMAIN, OTHER_DOMAIN = "go.brand-a.example", "go.brand-b.example"
ELSEWHERE = "019ab1f4-7c00-7c3e-9a51-5f0d3c1b2a11"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Rows and events are judged one by one: what is wrong with one is a result in an answer of 200.
JUDGED_INSIDE = {"/api/shorten/bulk", "/api/conversions/callback/{workspace_id}/batch"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data_dir = tmp_path_factory.mktemp("installation") / "data"
    with serving(data_dir, ready_domains=f"{OWN_DOMAIN},{OTHER_DOMAIN}") as running:
        yield running


@pytest.fixture(scope="module")
def told(shop: Workspace) -> Body:
    """The document as it is served."""
    assert shop.post(sale("stripe:pi_1", external_id="customer-1")).status_code == 201
    return cast(Body, shop.client.get("/api/openapi.json").json())


@pytest.fixture
def document(told: Body, shop: Workspace) -> Body:
    """The document, with what is there, and what is not, among what may be sent."""
    shop.call("POST", "/api/v1/domains", {"domain_name": OWN_DOMAIN})
    domains = [domain["id"] for domain in shop.get("/api/v1/domains").json()["domains"]]
    link = shop.link()["id"]
    there = {
        "domain_id": [*domains, ELSEWHERE],
        "link_id": [link, ELSEWHERE],
        "url_id": [link, ELSEWHERE],
        "event_id": ["stripe:pi_1", "stripe:pi_2"],
        "workspace_id": [shop.workspace_id],
        "long_url": ["https://shop.example/?a=1", "https://shop.example/?sig=1&sv=2", "http://localhost/", "shop"],
    }
    return cast(Body, with_ids(told, there))


def with_ids(node: Any, there: dict[str, list[str]]) -> Any:
    """Paths and bodies take these ids; and no key but the one that is sent is made up."""
    if isinstance(node, list):
        return [with_ids(item, there) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("in") == "path":
        return {**node, "schema": {"enum": there.get(node["name"], [node["example"]])}}
    node = {name: with_ids(item, there) for name, item in node.items() if name != "security"}
    for name in {"domain_id", "url_id", "long_url"} & node.get("properties", {}).keys():
        if "description" in node["properties"][name]:  # Fields of bodies are described, members of answers not.
            node["properties"][name] = {"enum": there[name]}
    return node


def tried(document: Body, method: str, path: str, mode: GenerationMode, send: Callable[[Case[Any]], None]) -> None:
    """Send generated requests of one call."""
    operation = document["paths"][path][method.lower()]
    alone = {**document, "paths": {path: {method.lower(): operation}}}

    @settings(
        max_examples=EXAMPLES, database=None, derandomize=True, phases=[Phase.generate],
    )  # fmt: skip
    @given(schemathesis.openapi.from_dict(alone)[path][method].as_strategy(generation_mode=mode))
    def send_each(case: Case[Any]) -> None:
        send(case)

    send_each()


MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


TOLD = build(endpoints(cast(Desk, None)), "http://localhost")["paths"]
# An answer that does not end is heard in a story of its own.
ENDLESS = {"/api/v1/clicks/stream"}
CASES = [
    (method, path, mode)
    for method, path in [*CALLS, *PLAIN]
    if path not in ENDLESS
    for mode in MODES
    # A call that takes nothing cannot be sent anything wrong.
    if mode == GenerationMode.POSITIVE or TOLD[path][method.lower()].keys() & {"parameters", "requestBody"}
]


@pytest.mark.parametrize(("method", "path", "mode"), CASES)
def test_the_server_answers_as_the_document_says(
    document: Body, shop: Workspace, method: str, path: str, mode: GenerationMode
) -> None:
    headers = {} if (method, path) in PLAIN else {"Authorization": f"Bearer {shop.api_key}"}
    with requests.Session() as session:

        def send(case: Case[Any]) -> None:
            case.call_and_validate(shop.served.url, session, headers, checks=checks_of(path), timeout=PATIENCE_S)

        tried(document, method, path, mode, send)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", [path for _, path in PLAIN if "callback" in path])
def test_signed_events_are_answered_as_the_document_says(
    document: Body, shop: Workspace, path: str, mode: GenerationMode
) -> None:
    with requests.Session() as session:

        def send(case: Case[Any]) -> None:
            request = requests.Request(**case.as_transport_kwargs(shop.served.url)).prepare()
            body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
            request.headers.update(shop.sign(body))
            case.validate_response(session.send(request), checks_of(path, signed=True))

        tried(document, "POST", path, mode, send)


def checks_of(path: str, *, signed: bool = False) -> list[Any]:
    """What is checked of an answer. A body within its schema may still be refused: a slug is taken, say."""
    # A header that was made wrong is written over by the signature.
    return CHECKS if path in JUDGED_INSIDE or signed else [*CHECKS, negative_data_rejection]


def test_the_checks_find_a_document_that_is_wrong(document: Body, shop: Workspace) -> None:
    schemas = document["components"]["schemas"]
    wrong = {**document, "components": {**document["components"], "schemas": {**schemas, "Whoami": {"type": "null"}}}}

    def send(case: Case[Any]) -> None:
        case.call_and_validate(shop.served.url, headers={"X-Nim-Api-Key": shop.api_key}, checks=CHECKS)

    with pytest.raises(FailureGroup, match="violates schema"):
        tried(wrong, "GET", "/api/v1/whoami", GenerationMode.POSITIVE, send)


# --- what the document says of keys ------------------------------------------------------------------------------


def test_a_key_without_the_scope_of_a_call_is_told_which_it_is(told: Body, served: Served, shop: Workspace) -> None:
    made = json.loads(served.run("key", "create", shop.workspace_id, "--scope", "webhooks", "--json").stdout)
    headers = {"Authorization": f"Bearer {made['api_key']}"}
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            if not operation.get("x-scope"):
                continue
            examples = {p["name"]: str(p["example"]) for p in operation.get("parameters", ()) if "example" in p}
            query = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"}
            body = operation.get("requestBody", {"content": {}})["content"].get("application/json", {}).get("example")
            answer = shop.client.request(
                method,
                "/".join(examples.get(part.strip("{}"), part) if part[:1] == "{" else part for part in path.split("/")),
                params={name: example for name, example in examples.items() if name in query},
                json=body,
                headers=headers,
            )
            assert (answer.status_code, answer.json().get("scope")) == (403, operation["x-scope"]), f"{method} {path}"


def test_calls_that_the_document_leaves_open_need_no_key(told: Body, shop: Workspace) -> None:
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            answer = shop.client.request(method, path.replace("{", "").replace("}", ""))
            assert (answer.json().get("code") == "unauthorized") == bool(operation["security"]), f"{method} {path}"


# --- where it stands ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "media"), [("/api/openapi.json", "application/json"), ("/api/docs", "text/html; charset=utf-8")]
)
def test_both_forms_are_read_without_a_key_on_the_application_host_alone(
    shop: Workspace, path: str, media: str
) -> None:
    shown = shop.client.get(path)
    assert (shown.status_code, shown.headers["content-type"]) == (200, media)
    head = shop.client.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(shown.content)))
    assert shop.client.post(path).status_code == 405
    assert shop.client.post(path).headers["allow"] == "GET, HEAD"
    assert shop.call("POST", "/api/v1/domains", {"domain_name": OTHER_DOMAIN}).status_code in (201, 409)
    elsewhere = shop.client.get(path, headers={"Host": OTHER_DOMAIN})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (404, "not_found")


# --- content types -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 200),
        ({"Content-Type": "Application/JSON; charset=UTF-8"}, 200),
        ({}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json; charset=latin-1"}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
    ],
)
def test_a_body_of_another_type_is_refused_as_that(shop: Workspace, headers: dict[str, str], status: int) -> None:
    body = json.dumps({"domain_id": shop.domain_id, "slug": "free"}).encode()
    key = {"Authorization": f"Bearer {shop.api_key}"}
    answer = shop.client.post("/api/check-slug", content=body, headers={**key, **headers})
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["code"] == "content_type_unsupported"


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}])
def test_a_call_without_a_body_needs_no_type(shop: Workspace, headers: dict[str, str]) -> None:
    key = {"X-Nim-Api-Key": shop.api_key}
    answer = shop.client.request("DELETE", "/api/v1/conversions", params={"mode": "test"}, headers={**key, **headers})
    assert answer.status_code == 200, answer.text


def test_a_body_that_is_missing_is_a_field_that_is_missing(shop: Workspace) -> None:
    answer = shop.client.post("/api/check-slug", headers={"X-Nim-Api-Key": shop.api_key})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "body", "code": "field_missing", "message": "This field is needed."}]


def test_an_event_id_with_line_breaks_is_read_whole(shop: Workspace) -> None:
    for event_id in ("a\nb", "a\n", "a"):
        assert shop.post(sale(event_id)).status_code == 201
    for event_id in ("a\nb", "a\n", "a"):
        assert shop.event(quote(event_id, safe=""))["event"]["event_id"] == event_id
