"""The document as a page for people: made from the document alone, without scripts and without anybody else's files."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from nimriz.base.errors import CODES
from nimriz.web.http import Headers

Node = dict[str, Any]


class Field(NamedTuple):
    """One parameter, header or member of a body."""

    name: str
    place: str
    kind: str
    required: bool
    text: str


class Shown(NamedTuple):
    """One answer: its status, what it means, and an example where there is one."""

    status: str
    text: str
    media: str
    example: str


class Entry(NamedTuple):
    """One call as the page shows it."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    access: str
    fields: list[Field]
    request: str
    answers: list[Shown]
    refusals: list[tuple[str, str, str]]


def rendered(document: Node) -> tuple[Headers, bytes]:
    """The page and its headers. The policy allows the page's own style, by its hash, and nothing else."""
    environment = Environment(
        loader=PackageLoader("nimriz.web.api", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    style = environment.get_template("document.css").render()
    groups = [
        (tag["name"], tag["description"], entries)
        for tag in document["tags"]
        if (entries := list(_entries(document, tag["name"])))
    ]
    page = environment.get_template("document.html").render(
        info=document["info"], server=document["servers"][0]["url"], groups=groups, style=style
    )
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode()),
        (b"cache-control", b"no-cache"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
    ]
    return headers, page.encode()


def _entries(document: Node, tag: str) -> Iterator[Entry]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield _entry(document, method.upper(), path, operation)


def _entry(document: Node, method: str, path: str, operation: Node) -> Entry:
    answers, refusals = [], []
    for status, response in operation["responses"].items():
        told = _resolved(document, response)
        for media, content in told["content"].items():
            if media == "application/problem+json":
                refusals += [(status, code, CODES[code].detail) for code in content["examples"]]
            else:
                example = json.dumps(content["example"], indent=2, ensure_ascii=False) if "example" in content else ""
                answers.append(Shown(status, told["description"], media, example))
    return Entry(
        operation["operationId"],
        method,
        path,
        operation["summary"],
        operation["description"],
        _access(operation),
        list(_fields(document, operation)),
        _curl(document, method, path, operation),
        answers,
        refusals,
    )


def _access(operation: Node) -> str:
    if operation["security"]:
        return f"scope {operation['x-scope']}" if operation["x-scope"] else "any API key"
    return "signed" if operation.get("requestBody") else "open to all"


def _resolved(document: Node, node: Node) -> Node:
    while "$ref" in node:
        found: Node = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = {**{name: value for name, value in node.items() if name != "$ref"}, **found}
    return node


def _fields(document: Node, operation: Node) -> Iterator[Field]:
    for told in operation.get("parameters", ()):
        kind = _kind(document, told["schema"])
        yield Field(told["name"], told["in"], kind, told["required"], told["description"])
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        yield from _members(document, _resolved(document, schema), "")


def _members(document: Node, schema: Node, above: str) -> Iterator[Field]:
    for name, field in schema["properties"].items():
        path = f"{above}{name}"
        required = name in schema.get("required", ())
        yield Field(path, "body", _kind(document, field), required, field.get("description", ""))
        inner, mark = _inside(document, field)
        if inner is not None:
            yield from _members(document, inner, f"{path}{mark}.")


def _inside(document: Node, field: Node) -> tuple[Node | None, str]:
    """The object that a member holds, or a list of which it holds, if any."""
    for option in _options(document, field):
        if "properties" in option:
            return option, ""
        if option.get("type") == "array":
            item = _resolved(document, option["items"])
            return (item, "[]") if "properties" in item else (None, "")
    return None, ""


def _options(document: Node, schema: Node) -> list[Node]:
    schema = _resolved(document, schema)
    return [_resolved(document, option) for option in schema.get("anyOf", [schema])]


def _kind(document: Node, schema: Node) -> str:
    """A schema in words."""
    words: list[str] = []
    for option in _options(document, schema):
        if "const" in option or "enum" in option:
            values = option.get("enum", [option.get("const")])
            words += [str(value) for value in values if value not in ("", None)]
            continue
        kinds = option.get("type", "any")
        kind = kinds if isinstance(kinds, str) else kinds[0]
        if kind == "array":
            kind = f"list of {_kind(document, option['items'])}"
        words.append(kind + _bounds(option))
        words += ["null"] if isinstance(kinds, list) and "null" in kinds else []
    default = f"; default {json.dumps(schema['default'])}" if "default" in schema else ""
    return " or ".join(dict.fromkeys(words)) + default


def _bounds(schema: Node) -> str:
    told = ""
    for least, most, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ):
        low, high = schema.get(least), schema.get(most)
        if low is not None and high is not None:
            told += f", {low:,} to {high:,}{unit}"
        elif low is not None or high is not None:
            told += f", at least {low:,}{unit}" if high is None else f", at most {high:,}{unit}"
    return told + (f", like {schema['pattern']}" if "pattern" in schema else "")


def _curl(document: Node, method: str, path: str, operation: Node) -> str:
    """The example of a request, as it can be typed."""
    query, lines = [], []
    for told in operation.get("parameters", ()):
        if "example" not in told:
            continue
        if told["in"] == "path":
            path = path.replace(f"{{{told['name']}}}", str(told["example"]))
        elif told["in"] == "query":
            query.append(f"{told['name']}={told['example']}")
        else:
            header = f"{told['name']}: {told['example']}"
            lines.append(f"-H {shlex.quote(header)}")
    url = document["servers"][0]["url"] + path + ("?" + "&".join(query) if query else "")
    verb = "" if method == "GET" else f"-X {method} "
    if operation["security"]:
        lines.insert(0, '-H "Authorization: Bearer $API_KEY"')
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["example"]
        lines.append("-H 'Content-Type: application/json'")
        lines.append(f"-d {shlex.quote(json.dumps(body, indent=2, ensure_ascii=False))}")
    return " \\\n  ".join([f"curl {verb}{shlex.quote(url)}", *lines])
