"""A client over real sockets to a real server, through a network that fails."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime

import pytest

from nimriz.client import Client, GaveUp, Patience, Recorded, Refused, cancellation, lead, refund, reversal, sale
from tests.client.conftest import async_client_of, client_of
from tests.client.faulty import DROP, HANG, HTML, LOSE, TWICE, Faulty
from tests.world import Served, Workspace


@pytest.fixture(params=["sync", "async"])
def send(request: pytest.FixtureRequest, shop: Workspace, proxy: Faulty) -> Iterator[object]:
    """Both clients, asked alike."""
    if request.param == "sync":
        with client_of(shop, proxy.url) as client:
            yield client.send
        return

    async def send(event: dict[str, object], **more: float) -> Recorded:
        async with async_client_of(shop, proxy.url) as client:
            return await client.send(event, **more)

    yield lambda event, **more: asyncio.run(send(event, **more))


def test_every_kind_of_event_is_recorded_and_told_back(shop: Workspace, client: Client) -> None:
    token = shop.click(shop.link()["short_code"])
    signed_up = client.send(lead("kind-lead", click_id=token, external_id="customer-1", metadata={"form": "x"}))
    assert signed_up.attributed
    assert not signed_up.duplicate
    paid_at = datetime.now(UTC)
    paid = client.send(
        sale(
            "kind-sale",
            external_id="customer-1",
            value=Decimal("1E+2"),
            currency="USD",
            order_id="A-1",
            quantity=2,
            event_time=paid_at,
        )
    )
    assert paid.event["value"] == "100.00"
    assert paid.event["event_time"] == paid_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    back = client.send(refund("kind-refund", related_order_id="A-1", value="29.90", currency="usd"))
    assert back.settlement is not None
    assert back.settlement["remaining"] == "70.10"
    assert client.send(cancellation("kind-off", related_order_id="A-1", value=0, currency="USD")).attributed
    assert client.send(reversal("kind-bank", related_event_id="kind-sale")).attribution["method"] == "related"


@pytest.mark.parametrize("fault", [DROP, LOSE, TWICE, HTML, (500, {}, b""), (408, {}, b"{}"), (429, {}, b"")])
def test_what_fails_for_now_is_tried_again_until_it_is_there_once(
    send: object, shop: Workspace, proxy: Faulty, fault: object, request: pytest.FixtureRequest
) -> None:
    proxy.faults = [fault, fault]  # type: ignore[list-item]
    event_id = request.node.name
    answer = send(sale(event_id, value="5.00", currency="USD"))  # type: ignore[operator]
    assert answer.event["event_id"] == event_id
    assert shop.event(event_id)["event"]["value"] == "5.00"
    assert len({asked.body for asked in proxy.asked}) == 1


def test_one_call_has_one_key_and_the_next_another_and_each_attempt_is_signed_anew(
    client: Client, proxy: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10))
    now_s = time.time()
    monkeypatch.setattr("nimriz.client.delivery.time.time", lambda: now_s + next(clock))
    proxy.faults = [DROP, LOSE]
    first = client.send(lead("keyed"))
    again = client.send(lead("keyed"))
    assert first.duplicate
    assert again.duplicate
    keys = [asked.headers["idempotency-key"] for asked in proxy.asked]
    assert len(keys) == 4
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]
    assert len({asked.headers["x-nim-timestamp"] for asked in proxy.asked}) == 4
    assert len({asked.headers["x-nim-signature"] for asked in proxy.asked}) == 4


def test_a_server_that_says_nothing_is_left_and_asked_again(shop: Workspace, proxy: Faulty) -> None:
    proxy.faults = [HANG]
    with client_of(shop, proxy.url, Patience(deadline_s=60.0, attempt_s=0.5, first_wait_s=0.01)) as client:
        assert client.send(lead("after-silence"), deadline_s=60.0).event["event_id"] == "after-silence"
    assert len(proxy.asked) >= 2


def test_the_deadline_ends_it_and_says_why(send: object, proxy: Faulty) -> None:
    proxy.faults = [(503, {}, b'{"code": "store_unavailable"}')] * 1_000
    began_s = time.monotonic()
    with pytest.raises(GaveUp) as gave_up:
        send(lead("never"), deadline_s=0.4)  # type: ignore[operator]
    assert gave_up.value.code == "store_unavailable"
    assert time.monotonic() - began_s < 20
    assert len(proxy.asked) > 1


@pytest.mark.parametrize("spelled", ["seconds", "date"])
def test_retry_after_is_honoured(client: Client, proxy: Faulty, spelled: str) -> None:
    # A date has whole seconds, so two of them are more than one.
    until = "1" if spelled == "seconds" else format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    proxy.faults = [(503, {"Retry-After": until}, b"")]
    began_s = time.monotonic()
    client.send(lead(f"after-{spelled}"))
    assert time.monotonic() - began_s >= 0.99


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(client: Client, proxy: Faulty) -> None:
    proxy.faults = [(429, {"Retry-After": "3600"}, b"")]
    with pytest.raises(GaveUp) as gave_up:
        client.send(lead("too-late"))
    assert gave_up.value.retry_after_s == 3600
    assert len(proxy.asked) == 1


def test_what_is_refused_for_good_is_never_sent_again(send: object, proxy: Faulty) -> None:
    with pytest.raises(Refused) as refused:
        send(sale("no-such-money", value="1.00", currency="XXQ"))  # type: ignore[operator]
    assert (refused.value.status, refused.value.code) == (422, "validation_failed")
    assert [(error.field, error.code) for error in refused.value.errors] == [
        ("custom_data.currency", "currency_unknown")
    ]
    assert "XXQ" not in str(refused.value)
    assert refused.value.support_reference.startswith("req_")
    assert len(proxy.asked) == 1


def test_a_wrong_secret_is_told_by_its_code_and_two_secrets_sign_together(shop: Workspace, proxy: Faulty) -> None:
    with client_of(shop, proxy.url, secret="nimsec_live_wrong") as client, pytest.raises(Refused) as refused:
        client.send(lead("unsigned"))
    assert refused.value.code == "signature_mismatch"
    assert len(proxy.asked) == 1
    with Client(proxy.url, shop.workspace_id, ["nimsec_live_old", shop.signing_secret]) as client:
        assert client.send(lead("signed-twice")).event["event_id"] == "signed-twice"
        assert shop.signing_secret not in repr(client._target)


def test_a_redirect_is_not_followed(client: Client, proxy: Faulty) -> None:
    proxy.faults = [(307, {"Location": proxy.url}, b"")]
    with pytest.raises(Refused) as refused:
        client.send(lead("elsewhere"))
    assert (refused.value.status, refused.value.code) == (307, "answer_unknown")
    assert len(proxy.asked) == 1


def test_a_rehearsal_records_nothing(shop: Workspace, client: Client) -> None:
    assert client.validate(lead("rehearsed")).body["status"] == "valid"
    assert shop.get("/api/v1/conversions/rehearsed").status_code == 404


def test_many_are_sent_in_batches_with_a_verdict_each(shop: Workspace, client: Client, proxy: Faulty) -> None:
    events = [lead(f"many-{number}") for number in range(1_001)]
    events[7] = sale("many-7", value="1.005", currency="USD")
    events[1_000] = lead("many-0", value=1, currency="USD")
    answers = client.send_many(events)
    assert [len(json.loads(asked.body)["events"]) for asked in proxy.asked] == [1_000, 1]
    assert {asked.path for asked in proxy.asked} == {f"/api/conversions/callback/{shop.workspace_id}/batch"}
    refused, repeated = answers[7], answers[1_000]
    assert isinstance(refused, Refused)
    assert refused.errors[0].code == "value_precision"
    assert isinstance(repeated, Recorded)
    assert repeated.duplicate
    assert "custom_data.value" in repeated.differences
    recorded = [answer for place, answer in enumerate(answers) if place not in (7, 1_000)]
    assert all(isinstance(answer, Recorded) and not answer.duplicate for answer in recorded)


def test_a_batch_stays_within_the_bytes_that_the_endpoint_takes(client: Client, proxy: Faulty) -> None:
    big = [lead(f"big-{number}", external_id="ü" * 255, metadata={"note": "x" * 4_000}) for number in range(600)]
    assert all(isinstance(answer, Recorded) for answer in client.send_many(big))
    assert len(proxy.asked) == 2
    assert max(len(asked.body) for asked in proxy.asked) <= 2 * 1024 * 1024


def test_only_what_was_not_answered_is_sent_again(client: Client, proxy: Faulty) -> None:
    unavailable = {"http_status": 503, "code": "store_unavailable"}
    refused = {"http_status": 422, "code": "validation_failed", "errors": []}
    half = {"results": [unavailable, refused, unavailable]}
    proxy.faults = [LOSE, (200, {"Content-Type": "application/json"}, json.dumps(half).encode())]
    first, second, third = client.send_many([lead("half-1"), lead("half-2"), lead("half-3")])
    assert isinstance(first, Recorded)
    assert first.duplicate  # It had arrived the first time, when the answer was lost.
    assert isinstance(second, Refused)
    assert isinstance(third, Recorded)
    assert [len(json.loads(asked.body)["events"]) for asked in proxy.asked] == [3, 3, 2]


def test_one_event_for_which_a_whole_body_is_refused_takes_nobody_with_it(client: Client) -> None:
    poison = lead("poison", metadata={"name": "NUL \0"})
    answers = client.send_many([lead("well-1"), poison, lead("well-2"), lead("well-3")])
    refused = answers.pop(1)
    assert isinstance(refused, Refused)
    assert (refused.status, refused.code) == (400, "json_malformed")
    assert all(isinstance(answer, Recorded) for answer in answers)


def test_a_batch_that_nobody_takes_is_told_for_every_event(shop: Workspace, proxy: Faulty) -> None:
    with client_of(shop, proxy.url, secret="nimsec_live_wrong") as client:
        answers = client.send_many([lead("nobody-1"), lead("nobody-2")])
    assert [type(answer) for answer in answers] == [Refused, Refused]
    assert len(proxy.asked) == 1


def test_the_async_client_sends_many_too(shop: Workspace, served: Served) -> None:
    async def send() -> list[Recorded | Refused | GaveUp]:
        async with async_client_of(shop, served.url) as client:
            assert (await client.validate(lead("async-1"))).body["status"] == "valid"
            return await client.send_many([lead("async-1"), lead("async-2")])

    assert all(isinstance(answer, Recorded) and not answer.duplicate for answer in asyncio.run(send()))
