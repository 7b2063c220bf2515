"""Saying no: one order of checks, one shape of answer, and never a word of what the caller sent."""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections.abc import Iterator

import pytest

from tests.stories import raw
from tests.world import Served, Workspace, create_workspace, lead

GOOD = b'{"event_name":"lead","event_id":"order-of-checks"}'
# Contract 3.3, in its order. 429 and 408 have tests of their own below.
ORDER = (
    "body_too_large", "content_type_unsupported",
    "timestamp_missing", "timestamp_malformed", "timestamp_outside_tolerance",
    "signature_missing", "signature_malformed", "signature_mismatch",
    "surface_not_enabled", "json_malformed", "json_duplicate_key", "validation_failed", "idempotency_key_reused",
)  # fmt: skip
STATUS = {
    "body_too_large": 413, "content_type_unsupported": 415, "surface_not_enabled": 403, "json_malformed": 400,
    "json_duplicate_key": 400, "validation_failed": 422, "idempotency_key_reused": 409,
}  # fmt: skip
# A header has one value, so it cannot be wrong in two of these ways; of one body one reading is malformed.
ONE_HEADER = [{"timestamp_missing", "timestamp_malformed", "timestamp_outside_tolerance"}]
ONE_HEADER.append({"signature_missing", "signature_malformed", "signature_mismatch"})
PAIRS = [
    pair
    for pair in itertools.combinations(ORDER, 2)
    if not any(set(pair) <= header for header in ONE_HEADER)
]  # fmt: skip


@pytest.fixture(scope="module")
def closed(served: Served) -> Iterator[Workspace]:
    """A workspace whose surface is closed."""
    workspace = create_workspace(served, "Closed")
    served.run("workspace", "plan", workspace.workspace_id, "--disable", "conversion_tracking")
    yield workspace
    workspace.client.close()


@pytest.fixture(scope="module")
def used_key(shop: Workspace, closed: Workspace) -> str:
    """An Idempotency-Key that belongs to another event."""
    assert shop.post(lead("first"), Idempotency_Key="used").status_code == 201
    return "used"


def body_of(faults: set[str], batch: bool = False) -> bytes:
    """A body with these faults, where faults are in the body."""
    name = "nonsense" if "validation_failed" in faults and not batch else "lead"
    event = f'"event_name":"{name}","event_id":"order-of-checks"'
    if "json_duplicate_key" in faults:
        event += ',"event_id":"order-of-checks"'
    more = ',"more":1' if "validation_failed" in faults else ""
    body = f'{{"events":[{{{event}}}]{more}}}' if batch else f"{{{event}}}"
    if "json_malformed" in faults:
        body = body[:-1]
    if "body_too_large" in faults:
        body = body.ljust((2 * 1024 * 1024 if batch else 65_536) + 1)
    return body.encode()


def with_faults(open_shop: Workspace, shut: Workspace, faults: set[str], batch: bool = False) -> raw.Reply:
    """Send a request that deserves each of these refusals."""
    workspace = shut if "surface_not_enabled" in faults else open_shop
    body = body_of(faults, batch)
    late = {"timestamp_outside_tolerance": 1_000_000_000}
    signed = workspace.sign(body, timestamp_s=next((late[f] for f in faults if f in late), None))
    stamp, signature = signed["X-Nim-Timestamp"], signed["X-Nim-Signature"]
    headers: list[raw.Header] = []
    headers.append(("Content-Type", "text/plain" if "content_type_unsupported" in faults else "application/json"))
    if "timestamp_missing" not in faults:
        headers.append(("X-Nim-Timestamp", stamp + ("x" if "timestamp_malformed" in faults else "")))
    if "signature_malformed" in faults:
        signature = signature[:-1]
    elif "signature_mismatch" in faults:
        signature = "v1=" + "0" * 64
    if "signature_missing" not in faults:
        headers.append(("X-Nim-Signature", signature))
    if "idempotency_key_reused" in faults:
        headers.append(("Idempotency-Key", "used"))
    path = f"/api/conversions/callback/{workspace.workspace_id}{'/batch' if batch else ''}"
    return raw.send(workspace.served.port, "POST", path, headers, body)


def check_problem(reply: raw.Reply, code: str, status: int) -> None:
    """A refusal has the shape of RFC 9457, with our members."""
    assert (reply.status, reply.code) == (status, code), reply.body
    problem = reply.json
    assert reply.header("content-type") == "application/problem+json"
    assert problem["status"] == status
    assert all(isinstance(problem[member], str) and problem[member] for member in ("type", "title", "detail"))
    assert re.fullmatch(r"req_\w+", problem["support_reference"])
    for error in problem.get("errors", []):
        assert set(error) == {"field", "code", "message"}
        assert error["message"]


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_what_deserves_two_refusals_gets_the_earlier(
    shop: Workspace, closed: Workspace, used_key: str, pair: tuple[str, str]
) -> None:
    reply = with_faults(shop, closed, set(pair))
    check_problem(reply, pair[0], STATUS.get(pair[0], 401))
    assert reply.json.get("surface") == ("conversion_tracking" if pair[0] == "surface_not_enabled" else None)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if "idempotency_key_reused" not in pair], ids="+".join)
def test_a_batch_is_refused_in_the_same_order(
    shop: Workspace, closed: Workspace, used_key: str, pair: tuple[str, str]
) -> None:
    check_problem(with_faults(shop, closed, set(pair), batch=True), pair[0], STATUS.get(pair[0], 401))


@pytest.mark.parametrize("code", ORDER)
def test_each_refusal_stands_alone_with_its_status(
    shop: Workspace, closed: Workspace, used_key: str, code: str
) -> None:
    check_problem(with_faults(shop, closed, {code}), code, STATUS.get(code, 401))


def test_every_refusal_at_once_is_the_first(shop: Workspace, closed: Workspace, used_key: str) -> None:
    for number in range(len(ORDER)):
        code = ORDER[number]
        check_problem(with_faults(shop, closed, set(ORDER[number:])), code, STATUS.get(code, 401))


@pytest.mark.parametrize("name", ["X-Nim-Timestamp", "X-Nim-Signature", "Content-Type", "Idempotency-Key"])
def test_a_header_sent_twice_is_malformed_even_when_it_says_the_same_twice(shop: Workspace, name: str) -> None:
    headers = [*shop.sign(GOOD).items(), ("Idempotency-Key", "k")]
    headers.append(next(header for header in headers if header[0] == name))
    reply = raw.send(shop.served.port, "POST", f"/api/conversions/callback/{shop.workspace_id}", headers, GOOD)
    code, status = {
        "X-Nim-Timestamp": ("timestamp_malformed", 401),
        "X-Nim-Signature": ("signature_malformed", 401),
        "Content-Type": ("content_type_unsupported", 415),
        "Idempotency-Key": ("validation_failed", 422),
    }[name]
    check_problem(reply, code, status)
    if name == "Idempotency-Key":
        assert list(reply.field_codes.values()) == ["idempotency_key_malformed"]


@pytest.mark.parametrize("encoding", ["gzip", "identity", "", "br", "aes128gcm", "utf-8"])
def test_any_content_encoding_is_refused(shop: Workspace, encoding: str) -> None:
    headers = [*shop.sign(GOOD).items(), ("Content-Encoding", encoding)]
    reply = raw.send(shop.served.port, "POST", f"/api/conversions/callback/{shop.workspace_id}", headers, GOOD)
    check_problem(reply, "content_type_unsupported", 415)


@pytest.mark.parametrize(
    ("content_type", "passes"),
    [
        ("application/json", True),
        ("Application/JSON", True),
        ("application/json;charset=utf-8", True),
        ("application/json; charset=UTF-8", True),
        ('application/json; charset="utf-8"', True),
        ("application/json ; charset=utf-8", True),
        ("application/json; charset=latin1", False),
        ("application/json; charset=utf-16", False),
        ("text/json", False),
        ("application/jsonp", False),
        ("application/problem+json", False),
        ("application/x-www-form-urlencoded", False),
        ("text/plain, application/json", False),
        ("", False),
        (None, False),
    ],
)
def test_the_body_is_json_in_utf8(shop: Workspace, content_type: str | None, passes: bool) -> None:
    signed = {name: value for name, value in shop.sign(GOOD).items() if name != "Content-Type"}
    headers: list[raw.Header] = [
        *signed.items(),
        *([("Content-Type", content_type)] if content_type is not None else []),
    ]
    reply = raw.send(shop.served.port, "POST", f"/api/conversions/callback/{shop.workspace_id}", headers, GOOD)
    if passes:
        assert reply.status in (200, 201)
    else:
        check_problem(reply, "content_type_unsupported", 415)


def test_who_does_not_exist_has_no_secret_or_signs_wrongly_is_answered_alike(shop: Workspace, served: Served) -> None:
    bare = create_workspace(served, "Without a secret")
    bare.client.close()
    for secret in json.loads(served.run("secret", "list", bare.workspace_id, "--json").stdout):
        served.run("secret", "revoke", bare.workspace_id, secret["secret_id"])
    signed = shop.sign(GOOD)
    wrong = {**signed, "X-Nim-Signature": "v1=" + "ab" * 32}
    asked = [
        (shop.workspace_id, wrong),
        (bare.workspace_id, shop.sign(GOOD, bare.signing_secret)),
        (str(uuid.uuid4()), signed),
        (shop.workspace_id.upper(), signed),
        ("x", signed),
        ("%00", signed),
        ("%ff", signed),
        ("..%2f..", signed),
        ("x" * 1_500, signed),
    ]
    answers = []
    for workspace_id, headers in asked:
        path = f"/api/conversions/callback/{workspace_id}"
        reply = raw.send(served.port, "POST", path, list(headers.items()), GOOD)
        names = [(name, value) for name, value in reply.headers if name not in ("date", "content-length")]
        answers.append((reply.status, names, {**reply.json, "support_reference": ""}))
    assert answers[0][2]["code"] == "signature_mismatch"
    assert answers[1:3] == [answers[0], answers[0]]
    assert {answer[0] for answer in answers} <= {401, 404}


@pytest.mark.parametrize(
    "query",
    [
        "validateonly=true", "validate_only", "validate_only=", "validate_only=1", "validate_only=yes",
        "validate_only=true&validate_only=true", "validate_only=true&validate_only=false", "a=1",
        "validate_only=true&a=1", "Validate_Only=true", "validate_only=TRUE", "validate_only=true%00", "=", "%",
        "mode=test", "validate_only[]=true", "validate_only=true;a=1", "a", "%ff=%ff",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["", "/batch"])
def test_an_unknown_or_repeated_query_parameter_is_refused(shop: Workspace, path: str, query: str) -> None:
    body = b'{"events":[%s]}' % GOOD if path else GOOD
    target = f"/api/conversions/callback/{shop.workspace_id}{path}?{query}"
    reply = raw.send(shop.served.port, "POST", target, list(shop.sign(body).items()), body)
    check_problem(reply, "validation_failed", 422)
    assert reply.json["errors"]
