"""Nothing that a caller sends comes back in a refusal, and none of it reaches the log."""

from __future__ import annotations

import json
from typing import Any

from tests.stories import raw
from tests.world import HUMAN, Served, Workspace, create_workspace, lead, sale

MARK = "m4rk3r"


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
