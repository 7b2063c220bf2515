"""The document by itself: complete, valid, and its examples true to its schemas."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any, cast

import jsonschema_rs
import pytest
import schemathesis

from nimriz.web.api import app as api
from nimriz.web.api import document, document_page
from nimriz.web.api.desk import Desk
from nimriz.web.api.document_calls import CALLS, TAGS
from nimriz.web.api.document_words import WORDS

BASE_URL = "https://go.example.com"
APP = api.endpoints(cast(Desk, None))
Node = dict[str, Any]


@pytest.fixture(scope="module")
def told() -> Node:
    return document.build(APP, BASE_URL)


def operations(told: Node) -> Iterator[tuple[str, Node]]:
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def resolved(told: Node, response: Node) -> Node:
    """A response, which may stand among the components."""
    if "$ref" in response:
        return cast(Node, told["components"]["responses"][response["$ref"].rpartition("/")[2]])
    return response


def examples(told: Node) -> Iterator[tuple[str, Node, Any]]:
    """(where, schema, example) of everything that the document shows."""
    for name, operation in operations(told):
        for parameter in operation.get("parameters", ()):
            if "example" in parameter:
                yield f"{name} {parameter['name']}", parameter["schema"], parameter["example"]
        for media in operation.get("requestBody", {"content": {}})["content"].values():
            yield f"{name} body", media["schema"], media["example"]
        for status, response in operation["responses"].items():
            for media in resolved(told, response)["content"].values():
                shown = [media["example"]] if "example" in media else []
                shown += [example["value"] for example in media.get("examples", {}).values()]
                for example in shown:
                    yield f"{name} {status}", media["schema"], example


def test_every_endpoint_is_told_of_and_no_other() -> None:
    there = {(method.upper(), path) for path, methods in APP.openapi()["paths"].items() for method in methods}
    assert there == set(CALLS)


def test_every_call_has_its_words_and_examples(told: Node) -> None:
    for name, operation in operations(told):
        assert operation["tags"][0] in TAGS, name
        assert operation["summary"], name
        assert operation["description"], name
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], f"{name} {parameter['name']}"
            assert "example" in parameter or not parameter["required"], f"{name} {parameter['name']}"
        for status, response in operation["responses"].items():
            for content in resolved(told, response)["content"].values():
                assert not content or "example" in content or content["examples"], f"{name} {status}"


def test_every_field_of_a_body_has_its_sentence(told: Node) -> None:
    sent = [s for _, o in operations(told) if "requestBody" in o for s in [o["requestBody"]["content"]]]
    names = {content["application/json"]["schema"]["$ref"].rpartition("/")[2] for content in sent}
    silent = [
        f"{name}.{field}"
        for name in {*names, "Utm", "BulkRow", "UserData", "CustomData"}
        for field, schema in told["components"]["schemas"][name]["properties"].items()
        if not schema.get("description")
    ]
    assert silent == []


def test_no_sentence_is_of_something_that_cannot_be_sent(told: Node) -> None:
    sent = {parameter["name"] for _, operation in operations(told) for parameter in operation.get("parameters", ())}
    sent |= {name for schema in told["components"]["schemas"].values() for name in schema.get("properties", {})}
    assert set(WORDS) - sent == set()


def test_the_document_is_valid_openapi(told: Node) -> None:
    assert told["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(told).validate()
    names = [operation["operationId"] for _, operation in operations(told)]
    assert len(names) == len(set(names))


def test_the_check_of_the_document_finds_what_is_wrong(told: Node) -> None:
    with pytest.raises(Exception, match="paths"):
        schemathesis.openapi.from_dict({**told, "paths": []}).validate()


def test_every_example_is_true_to_its_schema(told: Node) -> None:
    wrong = []
    for where, schema, example in examples(told):
        whole = {**schema, "components": told["components"]}
        validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        wrong += [f"{where}: {error.message}" for error in validator.iter_errors(example)]
    assert wrong == []


def test_the_framework_speaks_nowhere(told: Node) -> None:
    assert "HTTPValidationError" not in str(told)
    assert "Successful Response" not in str(told)


def test_the_page_needs_nobody_elses_files_and_no_script(told: Node) -> None:
    _, page = document_page.rendered(told)
    text = page.decode()
    assert re.findall(r"<(?:script|link|img|iframe|object|form)\b", text) == []
    assert re.findall(r"""(?:src|style|on\w+)=""", text.split("</style>")[1].split("<main>")[0]) == []
    assert re.findall(r"url\(|@import", text) == []
    assert set(re.findall(r'href="([^#"][^"]*)"', text)) == {"/api/openapi.json"}


def test_the_policy_allows_the_style_of_the_page_and_nothing_else(told: Node) -> None:
    headers, page = document_page.rendered(told)
    policy = dict(headers)[b"content-security-policy"].decode()
    style = page.decode().split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert "unsafe" not in policy


def test_the_page_shows_every_call_with_its_fields_and_refusals(told: Node) -> None:
    text = document_page.rendered(told)[1].decode()
    for name, operation in operations(told):
        entry = text.split(f'<article id="{operation["operationId"]}">')[1].split("</article>")[0]
        assert name.split(" ")[1] in entry
        for parameter in operation.get("parameters", ()):
            assert f"<code>{parameter['name']}</code>" in entry
        for response in operation["responses"].values():
            content = resolved(told, response)["content"].get("application/problem+json", {"examples": {}})
            assert [code for code in content["examples"] if f"<code>{code}</code>" not in entry] == []


def test_what_a_document_says_is_text_on_the_page_and_no_markup(told: Node) -> None:
    loud = {**told, "info": {**told["info"], "description": "<b>`<i>`</b>"}}
    text = document_page.rendered(loud)[1].decode()
    assert "&lt;b&gt;<code>&lt;i&gt;</code>&lt;/b&gt;" in text
