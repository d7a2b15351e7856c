"""Tests of the courier: callbacks over real sockets."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import httpx
import pytest

from tests.live import (
    copy_of,
    key,
    make,
    receiver,
    told,
    until,
)
from understudy.callback import Delivery
from understudy.clock import VirtualClock
from understudy.courier import Courier
from understudy.server import LiveServer, serve


def test_a_callback_is_signed_and_delivered(live: LiveServer, http: httpx.Client) -> None:
    """When a job has ended its receiver is called, over a real socket and with a signature."""
    with receiver() as mailbox:
        job_id = make(http, live.url_of("kie"), "kie", callBackUrl=mailbox.url)
        live.advance(20)
        mailbox.wait(1)
        headers, body = mailbox.got[0]
        assert body["data"]["taskId"] == job_id
        assert headers["x-webhook-signature"]
        until(http, live.url, lambda: told(live).attempts)
        assert [(attempt.status, attempt.delivered) for attempt in told(live).attempts] == [(200, True)]


def test_a_callback_that_fails_is_sent_again(live: LiveServer, http: httpx.Client) -> None:
    """A receiver that answers an error is called again when the contract says, until it answers well."""
    with receiver() as mailbox:
        mailbox.status = 500
        make(http, live.url_of("kie"), "kie", callBackUrl=mailbox.url)
        live.advance(20)
        until(http, live.url, lambda: len(told(live).attempts) == 1)
        mailbox.status = 200
        live.advance(60)
        until(http, live.url, lambda: len(told(live).attempts) == 2)
        live.advance(10_000)
        assert [attempt.status for attempt in told(live).attempts] == [500, 200]


def test_a_slow_receiver_holds_nothing_up(live: LiveServer, http: httpx.Client) -> None:
    """While one receiver takes its time, requests are answered and other receivers called."""
    with receiver() as slow, receiver() as quick:
        slow.hold = threading.Event()
        make(http, live.url_of("kie"), "kie", callBackUrl=slow.url)
        make(http, live.url_of("shortapi"), "shortapi", callback_url=quick.url)
        live.advance(20)
        slow.wait(1)
        quick.wait(1)
        assert http.get(f"{live.url_of('kie')}/api/v1/chat/credit", headers=key()).status_code == 200
        assert not told(live).attempts


def test_many_callbacks_are_under_way_at_one_time(live: LiveServer, http: httpx.Client) -> None:
    """However many answers a receiver owes, each callback that it answers at last is delivered."""
    with receiver() as mailbox:
        mailbox.hold = threading.Event()
        for _ in range(8):
            make(http, live.url_of("kie"), "kie", callBackUrl=mailbox.url)
        live.advance(20)
        mailbox.wait(8)
        mailbox.hold.set()
        until(http, live.url, lambda: len(told(live).attempts) == 8)
        assert all(attempt.delivered for attempt in told(live).attempts)


def test_a_silent_receiver_is_given_up(http: httpx.Client, tmp_path: Path) -> None:
    """A receiver that does not answer in the contract's time counts as not reached."""
    copy_of("kie", tmp_path, ("timeoutSeconds: 15", "timeoutSeconds: 0.01"))
    with serve("kie", clock=VirtualClock(), paths=[tmp_path]) as server, receiver() as mailbox:
        mailbox.hold = threading.Event()
        make(http, server.url_of("kie"), "kie", callBackUrl=mailbox.url)
        server.advance(20)
        until(http, server.url, lambda: told(server).attempts)
        assert [attempt.note for attempt in told(server).attempts] == ["no answer within 0.01 seconds"]


@pytest.mark.parametrize(
    ("url", "note"),
    [
        ("http://example.com/hook", "not sent: example.com is not loopback and was not allowed"),
        ("http://127.0.0.1:1/a\nb", "no answer: InvalidURL"),
        ("http://127.0.0.1:1/hook", "no answer: ConnectError"),
    ],
)
def test_where_callbacks_do_not_go(url: str, note: str, live: LiveServer, http: httpx.Client) -> None:
    """A callback goes to loopback only, and where nobody answers the journal says so."""
    make(http, live.url_of("kie"), "kie", callBackUrl=url)
    live.advance(20)
    until(http, live.url, lambda: told(live).attempts)
    assert told(live).attempts[0].note == note


def test_an_allowed_host_is_called(http: httpx.Client) -> None:
    """A host that the user has allowed is called, in whatever case it is written."""
    with serve("kie", clock=VirtualClock(), allow_callbacks=["0.0.0.0"]) as server, receiver() as mailbox:
        make(http, server.url_of("kie"), "kie", callBackUrl=mailbox.url.replace("127.0.0.1", "0.0.0.0"))
        server.advance(20)
        mailbox.wait(1)


def test_a_stopped_server_calls_nobody(http: httpx.Client) -> None:
    """A clock that goes on after its server has stopped sends no callback, and the journal says why."""
    clock = VirtualClock()
    with serve("kie", clock=clock) as server:
        make(http, server.url_of("kie"), "kie", callBackUrl="http://127.0.0.1:1/")
    clock.advance(20)
    assert [attempt.note for attempt in told(server).attempts] == ["not sent: the server does not run"]


def test_a_stop_gives_up_deliveries(http: httpx.Client) -> None:
    """A delivery that is on its way when the server stops is given up, and nothing is noted of it."""
    with receiver() as mailbox:
        mailbox.hold = threading.Event()
        with serve("kie", clock=VirtualClock()) as server:
            make(http, server.url_of("kie"), "kie", callBackUrl=mailbox.url)
            server.advance(20)
            mailbox.wait(1)
        assert not told(server).attempts


def test_a_defect_after_a_delivery_is_told() -> None:
    """An exception in what follows a delivery is told, and no other delivery suffers."""
    seen: list[tuple[str, str]] = []

    async def deliver(url: str) -> None:
        ended = asyncio.Event()

        def defect(error: BaseException, where: str) -> None:
            seen.append((type(error).__name__, where))
            ended.set()

        def done(status: int | None, note: str) -> None:
            raise ZeroDivisionError

        courier = Courier((), lambda: None, defect)
        courier.open()
        courier.send(Delivery("delivery-1", "job-1", url, (), b"{}", 1, 15.0), done)
        await asyncio.wait_for(ended.wait(), 20)
        await courier.close()

    asyncio.run(deliver("http://127.0.0.1:1/"))
    assert seen == [("ZeroDivisionError", "callback of job job-1")]
