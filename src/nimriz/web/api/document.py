"""The document: the whole API as OpenAPI 3.1, for programs and, as a page, for people.

Paths, parameters and bodies are what the framework knows of its endpoints; what it cannot know is laid over them.
Both forms are made at the first request and kept.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

import nimriz
from nimriz.base.errors import CODES, FieldError, Refused
from nimriz.web.api import document_balances as balances
from nimriz.web.api import document_exports as exported
from nimriz.web.api import document_results as results
from nimriz.web.api import document_rules as routing
from nimriz.web.api import document_signed as signed
from nimriz.web.api.document_call import Answer, Call
from nimriz.web.api.document_calls import CALLS, TAGS
from nimriz.web.api.document_examples import REFERENCE
from nimriz.web.api.document_page import rendered
from nimriz.web.api.document_schemas import SCHEMAS, Schema, ref
from nimriz.web.api.document_words import WORDS
from nimriz.web.http import Headers, encode

_ABOUT = """Short links that know which click earned the money.

Management calls take an API key; conversions are signed. A refusal is `application/problem+json` (RFC 9457) with a
stable `code`, a `support_reference` and, for fields, `errors`; it never repeats what was sent. Instants are RFC 3339
in UTC, ids are UUIDs, and lists are paged with `limit` and `cursor`."""
_EVERYWHERE = ("unauthorized", "validation_failed", "store_unavailable")
_WITH_BODY = (
    "json_malformed", "json_duplicate_key", "body_timeout", "body_too_large", "content_type_unsupported",
)  # fmt: skip
_SECURITY: list[Schema] = [{"bearer": []}, {"apiKey": []}]
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer nimkey_…`"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-Nim-Api-Key", "description": "The same key; send one."},
}
# The framework's own: our refusals are problems.
_NOT_OURS = ("HTTPValidationError", "ValidationError")
_JSON: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache")]


class Document:
    """The document of an application, in its two forms: headers and body."""

    def __init__(self, app: FastAPI, base_url: str) -> None:
        self._app = app
        self._base_url = base_url
        self._kept: dict[str, tuple[Headers, bytes]] = {}

    def as_json(self) -> tuple[Headers, bytes]:
        """For programs."""
        if "json" not in self._kept:
            self._kept["json"] = _JSON, encode(build(self._app, self._base_url))
        return self._kept["json"]

    def as_page(self) -> tuple[Headers, bytes]:
        """For people."""
        if "page" not in self._kept:
            self._kept["page"] = rendered(build(self._app, self._base_url))
        return self._kept["page"]


def build(app: FastAPI, base_url: str) -> dict[str, Any]:
    """The document of these endpoints. An endpoint that the overlay does not know is left out."""
    known = copy.deepcopy(app.openapi())
    names = {
        (method, route.path_format): route.name
        for route in app.state.endpoints
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    responses: dict[str, Schema] = {}
    paths: dict[str, Schema] = {}
    for path, methods in known["paths"].items():
        for method, operation in methods.items():
            key = (method.upper(), path)
            if key in CALLS:
                told = _managed(CALLS[key], path, operation, responses)
                paths.setdefault(path, {})[method] = {"operationId": names[key], **told}
    for (method, path), plain in signed.PLAIN.items():
        paths.setdefault(path, {})[method.lower()] = _plain(plain, responses)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nimriz", "version": nimriz.__version__, "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base_url}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(known["components"]["schemas"]),
            "responses": responses,
            "securitySchemes": _SCHEMES,
        },
    }  # fmt: skip


def _managed(call: Call, path: str, operation: Schema, responses: dict[str, Schema]) -> Schema:
    """An operation behind an API key."""
    body = operation.get("requestBody")
    codes = (*_EVERYWHERE, *call.refusals, *(_WITH_BODY if body else ()))
    codes += ("scope_missing",) if call.scope else ()
    codes += ("not_found",) if "{" in path and "{event_id}" not in path else ()
    told: Schema = {
        "tags": [call.tag],
        "summary": call.summary,
        "description": operation.get("description", ""),
        "security": _SECURITY,
        "x-scope": call.scope,
    }
    if operation.get("parameters"):
        told["parameters"] = [_parameter(_tidy(p), call) for p in operation["parameters"]]
    if body:
        told["requestBody"] = {
            **_tidy(body),
            "content": {"application/json": {**_tidy(body["content"]["application/json"]), "example": call.body}},
        }
    return {**told, "responses": _answers(call, codes, responses)}


def _plain(plain: signed.PlainCall, responses: dict[str, Schema]) -> Schema:
    """An operation in front of the framework."""
    call = plain.call
    told: Schema = {
        "operationId": call.summary.lower().replace(" ", "_"),
        "tags": [call.tag],
        "summary": call.summary,
        "description": plain.description,
        "security": [],
    }
    if plain.parameters:
        told["parameters"] = [_parameter(parameter, call) for parameter in plain.parameters]
    if plain.body:
        content = {"application/json": {"schema": ref(plain.body), "example": call.body}}
        told["requestBody"] = {"required": True, "content": content}
    return {**told, "responses": _answers(call, call.refusals, responses)}


def _parameter(parameter: Schema, call: Call) -> Schema:
    name = parameter["name"]
    # Headers have no case; this is how they are written.
    name = name.title() if name.islower() and parameter["in"] == "header" else name
    schema = parameter["schema"]
    # Null is a parameter that is left out.
    schema = next((option for option in schema.get("anyOf", ()) if option.get("type") != "null"), schema)
    described: Schema = {"description": WORDS.get(name, ""), **parameter, "name": name, "schema": schema}
    return {**described, "example": call.params[name]} if name in call.params else described


def _answers(call: Call, codes: Iterable[str], responses: dict[str, Schema]) -> Schema:
    """Every answer by its status: the good ones, and the refusals gathered."""
    answers: Schema = {str(status): _answer(answer) for status, answer in call.answers.items()}
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code].status, []).append(code)
    for status, same in sorted(by_status.items()):
        refused = _refusal(status, same)
        if str(status) in answers:  # A refusal beside an answer of its own.
            answers[str(status)]["content"].update(refused["content"])
            continue
        name = ".".join(same)
        responses[name] = refused
        answers[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(answers.items()))


def _answer(answer: Answer) -> Schema:
    content = {} if answer.schema is None else {"schema": answer.schema, "example": answer.example}
    return {"description": answer.text, "content": dict.fromkeys(answer.media, content)}


def _refusal(status: int, codes: list[str]) -> Schema:
    """One refusal: its codes, and an example of each."""
    only = {"properties": {"status": {"const": status}, "code": {"enum": codes}}}
    content = {
        "schema": {"allOf": [ref("Problem"), only]},
        "examples": {code: {"summary": CODES[code].title, "value": _problem(code)} for code in codes},
    }
    refused: Schema = {
        "description": ", ".join(f"`{code}`" for code in codes),
        "content": {"application/problem+json": content},
    }
    if status in (429, 503):
        seconds = {"type": "integer", "minimum": 1}
        refused["headers"] = {"Retry-After": {"description": "Seconds.", "required": True, "schema": seconds}}
    return refused


def _problem(code: str) -> dict[str, object]:
    if code == "scope_missing":
        refused = Refused(code, scope="links:write")
    elif code == "surface_not_enabled":
        refused = Refused(code, surface="conversion_reporting")
    elif code == "experiment_state":
        refused = Refused(code, state="stopped")
    elif code == "validation_failed":
        refused = Refused(code, errors=(FieldError("limit", "field_type"),))
    else:
        refused = Refused(code)
    return refused.problem(REFERENCE)


def _schemas(known: Schema) -> Schema:
    """The schemas of bodies as the framework knows them, and ours."""
    bodies = {name: _tidy(schema) for name, schema in known.items() if name not in _NOT_OURS}
    every = {
        **SCHEMAS,
        **balances.SCHEMAS,
        **exported.SCHEMAS,
        **results.SCHEMAS,
        **routing.SCHEMAS,
        **signed.SCHEMAS,
    }
    own = {name: _tidy(schema) for name, schema in every.items()}
    own["BulkRow"].pop("$defs")
    bodies["BulkRows"]["properties"]["rows"]["items"] = ref("BulkRow")
    utm = bodies["Utm"]["properties"]
    utm.update({f"utm_{name}": {**schema} for name, schema in list(utm.items())})
    for schema in (*bodies.values(), own["BulkRow"], own["NewEvents"]):
        for name, field in schema.get("properties", {}).items():
            field.setdefault("description", WORDS.get(name, ""))
    return dict(sorted({**bodies, **own}.items()))


def _tidy(value: Any) -> Any:
    """Without the titles and empty defaults that say nothing."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _tidy(item)
        for name, item in value.items()
        if not (name == "title" and isinstance(item, str)) and not (name == "default" and item in (None, ""))
    }
