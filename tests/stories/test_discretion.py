"""Nothing that a caller sends comes back in a refusal, and none of it reaches the log."""

from __future__ import annotations

import base64
import ipaddress
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.stories import raw
from tests.world import HUMAN, Body, Served, Workspace, create_workspace, lead, sale, serving

MARK = "m4rk3r"
PROXY, PEER = "127.0.0.1", "127.77.66.55"
MARKED_ADDRESSES = ("203.0.113.177", "198.51.100.188", "2001:db8:77:88:99:aa:bb:cc", PEER)
MARKED_AGENTS = (
    f"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 {MARK}", f"{MARK}bot/77.66 (+http://x/)",
    f"curl/8.{MARK}", "x" * 500 + MARK * 100,
)  # fmt: skip


def hostile_bodies() -> list[Any]:
    """Bodies that are refused for the value in one place."""
    return [
        MARK,
        [MARK],
        {"event_name": MARK, "event_id": "x"},
        {"event_name": "lead", "event_id": MARK * 60},
        {"event_name": "lead", "event_id": [MARK]},
        {"event_name": "lead", "event_id": "x", "event_time": MARK},
        {"event_name": "lead", "event_id": "x", "user_data": MARK},
        {"event_name": "lead", "event_id": "x", "user_data": {"click_id": MARK * 100}},
        {"event_name": "lead", "event_id": "x", "user_data": {"external_id": {MARK: MARK}}},
        {"event_name": "sale", "event_id": "x", "custom_data": {"value": MARK, "currency": "USD"}},
        {"event_name": "sale", "event_id": "x", "custom_data": {"value": "1", "currency": MARK}},
        {"event_name": "sale", "event_id": "x", "custom_data": {"value": "1", "currency": [MARK]}},
        {"event_name": "sale", "event_id": "x", "custom_data": {"quantity": MARK}},
        {"event_name": "sale", "event_id": "x", "custom_data": {"metadata": MARK}},
        {"event_name": "sale", "event_id": "x", "custom_data": {"metadata": {"a": MARK * 1_000}}},
        {"event_name": "sale", "event_id": "x", "unknown": MARK},
        {"event_name": "sale", "event_id": "x", f"{MARK} <b>": MARK},
        {"event_name": "sale", "event_id": "x", "custom_data": {f"{MARK}@shop.example": 1}},
        {"event_name": "sale", "event_id": "x", MARK * 20: 1},
        {"events": [{"event_name": MARK, "event_id": MARK}, MARK]},
    ]


def test_no_refusal_of_the_conversion_api_repeats_what_was_sent(shop: Workspace, served: Served) -> None:
    answers: list[tuple[int, str]] = []
    for body in hostile_bodies():
        for path in ("", "/batch", f"?validate_only={MARK}", f"?{MARK}={MARK}"):
            response = shop.post(body, path=path, User_Agent=f"{HUMAN} {MARK}", Referer=f"https://{MARK}.example/")
            answers.append((response.status_code, response.text + str(response.headers)))
    good = b'{"event_name":"lead","event_id":"x"}'
    path = f"/api/conversions/callback/{shop.workspace_id}"
    signed = shop.sign(good)
    for name in (*signed, "Idempotency-Key", "Content-Encoding", "Cookie", "Authorization", "Host", "X-Forwarded-For"):
        for value in (MARK, f"{MARK}\t{MARK}", f"v1={MARK}", f"<{MARK}>", f"é{MARK}"):
            headers: list[raw.Header] = [*signed.items(), ("Connection", "close")]
            headers = [header for header in headers if header[0] != name]
            headers.append((name, value.encode()))
            if name != "Host":
                headers.append(("Host", "localhost"))
            headers.append(("Content-Length", str(len(good))))
            reply = raw.send_bytes(served.port, "POST", raw.head("POST", path, headers) + good)
            if reply.status >= 400:
                answers.append((reply.status, reply.body.decode() + str(reply.headers)))
    for target in (f"/api/conversions/callback/{MARK}", f"/api/conversions/callback/x/{MARK}", f"/api/{MARK}?{MARK}"):
        reply = raw.send(served.port, "POST", target, list(signed.items()), good)
        answers.append((reply.status, reply.body.decode() + str(reply.headers)))
    for raw_body in (
        b"{%s" % MARK.encode(),
        b'{"a":"%s",' % MARK.encode(),
        b'{"%s":1,"%s":2}' % ((MARK.encode(),) * 2),
    ):
        response = shop.post_raw(raw_body)
        answers.append((response.status_code, response.text))
    assert len(answers) > 100
    assert {status for status, _ in answers} <= {200, 400, 401, 404, 415, 421, 422}
    # A batch names, per result, nothing either; 200 is the batch's own status.
    assert [text for _, text in answers if MARK in text] == []
    assert MARK not in served.log_path.read_text()


def test_no_refusal_of_the_management_api_repeats_what_was_sent(shop: Workspace, served: Served) -> None:
    bodies: list[Any] = [
        MARK, {"long_url": MARK}, {"domain_id": MARK, "long_url": f"https://{MARK}.example/"},
        {"domain_id": shop.domain_id, "long_url": f"javascript:{MARK}"},
        {"domain_id": shop.domain_id, "long_url": f"https://localhost/{MARK}"},
        {"domain_id": shop.domain_id, "long_url": "https://shop.example/", "custom_slug": f"{MARK} "},
        {"domain_id": shop.domain_id, "long_url": "https://shop.example/", "tags": MARK},
        {"domain_id": shop.domain_id, "long_url": "https://shop.example/", "expires_at": MARK},
        {"domain_id": shop.domain_id, "long_url": "https://shop.example/", "redirect_status_code": MARK},
        {"domain_id": shop.domain_id, "long_url": "https://shop.example/", f"{MARK} <b>": MARK},
    ]  # fmt: skip
    texts = []
    for body in bodies:
        for method, path in (
            ("POST", "/api/shorten"),
            ("PATCH", f"/api/v1/links/{MARK}"),
            ("POST", "/api/delete-link"),
        ):
            response = shop.call(method, path, body)
            assert 400 <= response.status_code < 500
            texts.append(response.text + str(response.headers))
    for path in (
        f"/api/v1/links?limit={MARK}", f"/api/v1/links?cursor={MARK}", f"/api/v1/conversions?mode={MARK}",
        f"/api/v1/conversions/{MARK}", f"/api/v1/analytics/conversions?by={MARK}", f"/api/v1/conversions?from={MARK}",
        f"/api/v1/analytics/conversions?timezone={MARK}", f"/api/v1/conversions?cursor={MARK}", f"/api/{MARK}",
    ):  # fmt: skip
        response = shop.client.get(path, headers={"X-Nim-Api-Key": shop.api_key})
        assert 400 <= response.status_code < 500, path
        texts.append(response.text + str(response.headers))
    for headers in ({"X-Nim-Api-Key": MARK}, {"Authorization": f"Bearer {MARK}"}, {"Authorization": MARK}):
        response = shop.client.get("/api/v1/whoami", headers=headers)
        assert response.status_code == 401
        texts.append(response.text + str(response.headers))
    assert [text for text in texts if MARK in text] == []
    assert MARK not in served.log_path.read_text()


def test_the_log_of_a_busy_server_holds_no_secret_token_address_agent_or_id(served: Served) -> None:
    world = create_workspace(served)
    link = world.link(f"https://shop.example/?x={MARK}")
    token = world.click(link["short_code"])
    world.location(link["short_code"], f"?utm_source={MARK}&p={MARK}", Referer=f"https://{MARK}.example/")
    world.post(lead(f"{MARK}-1", token, MARK))
    world.post(sale(f"{MARK}-2", external_id=MARK, order_id=MARK, metadata={MARK: MARK}), Idempotency_Key=MARK)
    world.post(sale(f"{MARK}-2"), secret="nimsec_live_" + MARK)
    world.get("/api/v1/conversions", external_id=MARK)
    world.client.get(f"/{MARK}?{MARK}")
    world.client.close()
    log = served.log_path.read_text()
    for secret in (MARK, token, world.api_key, world.signing_secret, world.test_signing_secret, HUMAN, "127.0.0.1"):
        assert secret not in log
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert "delivery_refused" in {line["event"] for line in lines}


# --- on disk -----------------------------------------------------------------------------------------------------


def disguises(text: bytes) -> Iterator[bytes]:
    """Bytes as they might be written: as they are, in hexadecimal, in base64 wherever they begin."""
    yield text
    yield text.hex().encode()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + text)
        # What is shared with the bytes around them is left out.
        yield encoded[(0, 2, 3)[before] : len(encoded) - 4]


def marks() -> dict[bytes, str]:
    """Everything that no file may hold, and what it stands for."""
    found = dict.fromkeys(disguises(MARK.encode()), MARK)
    for address in MARKED_ADDRESSES:
        read = ipaddress.ip_address(address)
        for text in {address, read.exploded, read.compressed, str(int(read))}:
            found |= dict.fromkeys(disguises(text.encode()), address)
        found |= dict.fromkeys((read.packed, read.packed[::-1], read.packed.hex().encode()), address)
        if read.version == 6:
            found |= dict.fromkeys(disguises(read.packed), address)
    return {each: meaning for each, meaning in found.items() if len(each) >= 4}


def found_in(folder: Path) -> list[str]:
    """The marks in every file below a folder."""
    held = {path: path.read_bytes().lower() for path in folder.rglob("*") if path.is_file()}
    assert {"records.db", "clicks-0.db", "data.log", "data.master-key", "data.day-key"} <= {p.name for p in held}
    return [
        f"{path.name}: {meaning} as {mark!r}"
        for path, content in held.items()
        for mark, meaning in marks().items()
        if mark.lower() in content
    ]


def marked(
    world: Workspace, method: str, target: str, *headers: raw.Header, body: bytes = b"", number: int = 0
) -> raw.Reply:
    """A request full of marks: through the trusted proxy, or straight from a marked address."""
    address = MARKED_ADDRESSES[number % len(MARKED_ADDRESSES)]
    given: list[raw.Header] = [
        ("Host", "localhost"), ("Connection", "close"), ("Content-Length", str(len(body))),
        ("User-Agent", MARKED_AGENTS[number // len(MARKED_ADDRESSES) % len(MARKED_AGENTS)]),
        ("X-Forwarded-For", f"{MARKED_ADDRESSES[0]}, {address}"), ("Forwarded", f"for={address}"),
        ("X-Real-IP", address), ("Via", f"1.1 {MARK}"), ("Accept-Language", f"{MARK}, de"),
        ("Cookie", f"{MARK}={MARK}; nimriz_unlock={MARK}"), ("Referer", f"https://blog.example/{MARK}?{MARK}"),
    ]  # fmt: skip
    peer = PEER if address == PEER else PROXY
    with socket.create_connection((PROXY, world.served.port), timeout=60, source_address=(peer, 0)) as connection:
        connection.sendall(raw.head(method, target, [*given, *headers]) + body)
        return raw.read_reply(connection, method)


def busy(world: Workspace) -> None:
    """Clicks, conversions, wrong passwords, refusals, reports: each from every address and agent."""
    strict, gated = world.link(privacy="strict"), world.link(password="right")
    counted, gone = world.link(clicks_max=3), world.link(expires_at="2020-01-01T00:00:00Z")
    link = world.link("https://shop.example/landing", tags=["kept"])
    form: raw.Header = ("Content-Type", "application/x-www-form-urlencoded")
    event = json.dumps(lead("kept", world.click(link["short_code"]), "customer")).encode()
    conversions = f"/api/conversions/callback/{world.workspace_id}"
    key: raw.Header = ("Authorization", f"Bearer {world.api_key}")
    for number in range(len(MARKED_ADDRESSES) * len(MARKED_AGENTS)):
        for each in (link, strict, gated, counted, gone):
            marked(world, "GET", f"/{each['short_code']}?p=keptplacement", number=number)
        marked(world, "HEAD", f"/{link['short_code']}", number=number)
        marked(world, "GET", f"/{link['short_code']}", ("Sec-Purpose", f"prefetch;{MARK}"), number=number)
        marked(world, "GET", f"/{link['short_code']}", ("Sec-GPC", "1"), ("DNT", "1"), number=number)
        marked(world, "GET", f"/{link['short_code']}", ("X-Forwarded-For", f"{MARK}, {PEER}"), number=number)
        marked(world, "GET", f"/{MARK}?{MARK}", number=number)
        marked(world, "GET", "/a%00b", number=number)
        marked(world, "POST", f"/{gated['short_code']}", form, body=f"password={MARK}".encode(), number=number)
        marked(world, "POST", f"/{gated['short_code']}", form, body=b"password=right", number=number)
        marked(world, "POST", conversions, *world.sign(event).items(), body=event, number=number)
        marked(world, "POST", conversions, ("Content-Type", "application/json"), body=event, number=number)
        marked(world, "POST", f"{conversions}/{MARK}", body=event, number=number)
        marked(world, "GET", "/api/v1/links", ("X-Nim-Api-Key", MARK), number=number)
        for path in ("links", "analytics/conversions", f"links/{link['id']}/analytics", "conversions", "workspace"):
            assert marked(world, "GET", f"/api/v1/{path}", key, number=number).status == 200
        marked(world, "DELETE", f"/api/v1/links/{link['id']}", key, number=number)
        marked(world, "PATCH", f"/api/v1/links/{link['id']}", key, body=b"{", number=number)


def test_no_file_that_the_server_wrote_holds_an_address_or_an_agent(tmp_path: Path) -> None:
    folder = tmp_path / "installation"
    folder.mkdir()
    with serving(folder / "data", trusted_proxies=PROXY, log_level="debug") as served:
        world = create_workspace(served)
        busy(world)
        # While it runs there are write-ahead logs.
        assert list((folder / "data").glob("clicks-*.db-wal"))
        assert found_in(folder) == []
        served.run("export", "links", "--workspace", world.workspace_id, "--output", str(folder / "links.csv"))
        (folder / "doctor.json").write_bytes(served.run("doctor", "--json").stdout)
        told: Body = world.get("/api/v1/links").json()
        assert served.stop() == 0
        assert found_in(folder) == []
        world.client.close()
    assert sum(link["clicks"] for link in told["links"]) > 50
    # What should be there is found, so a mark would be too.
    written = b"".join(path.read_bytes() for path in (folder / "data").iterdir() if path.is_file())
    assert b"keptplacement" in written
    assert b"blog.example" in written
    (folder / "planted").write_bytes(b"..." + ipaddress.ip_address(MARKED_ADDRESSES[2]).packed + b"...")
    (folder / "planted too").write_bytes(base64.b64encode(b"a" + MARKED_ADDRESSES[0].encode() + b"bcd"))
    assert {line.partition(":")[0] for line in found_in(folder)} == {"planted", "planted too"}
