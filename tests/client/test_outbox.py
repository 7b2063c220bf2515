"""The outbox: on disk, bounded, its owner's alone, and emptied only by answers."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from nimriz.client import Client, Flushed, Outbox, OutboxFull, Patience, Recorded, Refused, lead, sale, sending
from nimriz.client.sending import sending_async
from tests.client.conftest import async_client_of, client_of
from tests.client.faulty import DROP, HANG, LOSE, Faulty
from tests.patience import until
from tests.world import Served, Workspace


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """An empty outbox."""
    return Outbox(tmp_path / "conversions.db")


def test_what_was_put_is_sent_once_and_gone(shop: Workspace, client: Client, outbox: Outbox) -> None:
    for number in range(3):
        assert outbox.put(lead(f"put-{number}"))
    assert client.flush(outbox) == Flushed(recorded=3, refused=0, different=0, waiting=0, trouble=None)
    assert outbox.page() == []
    # The moment of the put, not of the arrival: it was in the text that was sent.
    assert shop.event("put-0")["event"]["event_time"] <= shop.event("put-0")["event"]["received_at"]


def test_an_id_that_waits_already_keeps_its_first_event(outbox: Outbox) -> None:
    assert outbox.put(lead("twice", external_id="first"))
    assert not outbox.put(lead("twice", external_id="second"))
    (waiting,) = outbox.page()
    assert json.loads(waiting.body)["user_data"] == {"external_id": "first"}


def test_what_was_refused_is_kept_apart_until_it_is_mended_tried_again_or_forgotten(
    shop: Workspace, client: Client, outbox: Outbox
) -> None:
    outbox.put(sale("odd", value="1.005", currency="USD"))
    outbox.put(lead("even"))
    told: list[Recorded | Refused] = []
    flushed = client.flush(outbox, told=told.append)
    assert (flushed.recorded, flushed.refused, flushed.waiting) == (1, 1, 0)
    assert {type(verdict) for verdict in told} == {Recorded, Refused}
    (kept,) = outbox.refused()
    assert (kept.event_id, kept.status, kept.code) == ("odd", 422, "validation_failed")
    assert "value_precision" in kept.why
    assert outbox.retry("odd")
    assert client.flush(outbox).refused == 1
    assert outbox.put(sale("odd", value="1.00", currency="USD"))
    assert client.flush(outbox).recorded == 1
    assert shop.event("odd")["event"]["value"] == "1.00"
    assert not outbox.forget("odd")
    assert not outbox.retry("odd")
    outbox.put(sale("odder", value="1.005", currency="USD"))
    client.flush(outbox)
    assert outbox.forget("odder")
    assert outbox.refused() == []


def test_a_full_outbox_says_so_loses_nothing_and_takes_more_once_it_is_sent(client: Client, tmp_path: Path) -> None:
    small = Outbox(tmp_path / "small.db", bytes_max=256 * 1024)

    def fill() -> None:
        for number in range(1_000):
            small.put(lead(f"full-{number}", metadata={"note": "x" * 3_000}))

    with pytest.raises(OutboxFull):
        fill()
    kept = small.waiting()
    assert kept > 20
    assert small.path.stat().st_size <= 256 * 1024
    assert client.flush(small).recorded == kept
    assert small.put(lead("room-again"))


def test_the_files_are_for_their_owner_alone_and_keep_nothing_of_what_was_sent(client: Client, outbox: Outbox) -> None:
    outbox.put(lead("private", external_id="alice@example.com"))
    assert b"alice@example.com" in outbox.path.read_bytes()
    client.flush(outbox)
    assert b"alice@example.com" not in outbox.path.read_bytes()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in outbox.path.parent.iterdir()}
    assert modes == {"conversions.db": 0o600, "conversions.db-turn": 0o600}


def test_one_sender_at_a_time_and_the_other_waits_for_its_turn(client: Client, outbox: Outbox) -> None:
    outbox.put(lead("turn"))
    turn = outbox.take_turn()
    assert turn is not None
    assert client.flush(outbox, patient=False).trouble == "another_sends"
    ended = threading.Timer(0.3, outbox.end_turn, (turn,))
    ended.start()
    assert client.flush(outbox).recorded == 1
    ended.join()


def test_everything_waits_on_while_the_secret_is_refused(shop: Workspace, proxy: Faulty, outbox: Outbox) -> None:
    outbox.put(lead("waits-1"))
    outbox.put(lead("waits-2"))
    with client_of(shop, proxy.url, secret="nimsec_live_wrong") as client, pytest.raises(Refused):
        client.flush(outbox)
    assert outbox.refused() == []
    assert len(proxy.asked) == 1
    with client_of(shop, proxy.url) as client:
        assert client.flush(outbox).recorded == 2


def test_an_event_that_always_fails_for_now_holds_up_nobody(
    shop: Workspace, client: Client, proxy: Faulty, outbox: Outbox
) -> None:
    outbox.put(lead("unlucky"))
    unlucky = {"results": [{"http_status": 503, "code": "store_unavailable"}]}
    proxy.faults = [(200, {}, json.dumps(unlucky).encode())]
    with client_of(shop, proxy.url, Patience(first_wait_s=300.0, wait_s_max=300.0)) as slow:
        assert slow.flush(outbox, deadline_s=60.0).trouble == "store_unavailable"
    outbox.put(lead("lucky"))
    assert [json.loads(event.body)["event_id"] for event in outbox.page()] == ["lucky", "unlucky"]
    assert client.flush(outbox).recorded == 2


def test_a_network_that_fails_is_waited_out(client: Client, proxy: Faulty, outbox: Outbox) -> None:
    outbox.put(lead("through"))
    proxy.faults = [DROP, (503, {}, b""), LOSE, (502, {}, b"<html>")]
    assert client.flush(outbox) == Flushed(recorded=1, refused=0, different=0, waiting=0, trouble=None)
    proxy.faults = [DROP] * 1_000
    outbox.put(lead("not-through"))
    flushed = client.flush(outbox, deadline_s=0.2)
    assert (flushed.waiting, flushed.recorded) == (1, 0)
    assert flushed.trouble is not None


def test_a_repeat_of_another_meaning_is_counted(client: Client, outbox: Outbox) -> None:
    client.send(sale("meant", value="1.00", currency="USD"))
    outbox.put(sale("meant", value="2.00", currency="USD"))
    assert client.flush(outbox).different == 1


def test_a_thread_sends_while_the_program_goes_on(shop: Workspace, client: Client, outbox: Outbox) -> None:
    with sending(client, outbox, look_every_s=0.02):
        outbox.put(lead("background"))
        until(lambda: outbox.waiting() == 0)
        outbox.put(lead("at-the-end"))
    assert shop.event("background")["event"]["event_name"] == "lead"
    assert shop.event("at-the-end")["event"]["event_name"] == "lead"


def test_a_thread_that_cannot_send_ends_with_its_block_and_leaves_all(
    shop: Workspace, proxy: Faulty, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.faults = [(503, {"Retry-After": "20"}, b"")] * 1_000
    client = client_of(shop, proxy.url, Patience(deadline_s=600.0))
    with client, sending(client, outbox, look_every_s=0.02, last_s=0.01):
        outbox.put(lead("left", click_id="nimct_secret"))
        until(lambda: bool(proxy.asked))
    assert outbox.waiting() == 1
    assert "1 events wait in the outbox: status_503" in caplog.text
    assert "nimct_secret" not in caplog.text


def test_a_thread_outlives_a_listener_that_fails(client: Client, outbox: Outbox) -> None:
    heard: list[str] = []

    def told(verdict: Recorded | Refused) -> None:
        heard.append(type(verdict).__name__)
        raise RuntimeError

    outbox.put(lead("heard"))
    with sending(client, outbox, look_every_s=0.02, told=told):
        until(lambda: bool(heard))
    assert heard == ["Recorded"]
    assert outbox.waiting() == 0


def test_a_task_sends_while_the_loop_goes_on(shop: Workspace, served: Served, outbox: Outbox) -> None:
    async def run() -> None:
        async with async_client_of(shop, served.url) as client, sending_async(client, outbox, look_every_s=0.02):
            assert await outbox.put_async(lead("task"))
            await asyncio.to_thread(until, lambda: outbox.waiting() == 0)
            await outbox.put_async(lead("task-end"))
        assert outbox.waiting() == 0

    asyncio.run(run())
    assert shop.event("task-end")["event"]["event_name"] == "lead"


def test_a_cancelled_flush_gives_its_turn_back(shop: Workspace, proxy: Faulty, outbox: Outbox) -> None:
    outbox.put(lead("cancelled"))
    proxy.faults = [HANG]

    async def run() -> None:
        async with async_client_of(shop, proxy.url) as client:
            task = asyncio.create_task(client.flush(outbox))
            await asyncio.to_thread(until, lambda: bool(proxy.asked))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert (await client.flush(outbox)).recorded == 1

    asyncio.run(run())


def test_an_outbox_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    Outbox(tmp_path / "box.db")
    raw = bytearray((tmp_path / "box.db").read_bytes())
    raw[60:64] = (9).to_bytes(4, "big")  # user_version
    (tmp_path / "box.db").write_bytes(raw)
    with pytest.raises(ValueError):
        Outbox(tmp_path / "box.db")


def test_threads_and_processes_put_into_one_file(outbox: Outbox) -> None:
    threads = [threading.Thread(target=outbox.put, args=(lead(f"thread-{number}"),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    child = os.fork()
    if child == 0:
        try:
            outbox.put(lead("forked"))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert outbox.waiting() == 9
