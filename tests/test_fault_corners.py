"""Tests of faults where several things meet: proxies, pipelines, stops, several faults, other people's jobs."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from typing import Any

import httpx
import pytest

from tests.live import STORIES, connected, key
from tests.test_faults import EVENTS, client_of, create, heard, seen
from tests.test_post import App, make
from understudy import Fake, Receiver, SystemClock, UsageError, VirtualClock, serve
from understudy.server import LiveServer
from understudy.trouble import fault_rule

KIE = STORIES["kie"]


def arm(server: LiveServer, name: str, on: str | None = None, provider: str = "kie", **parameters: Any) -> None:
    """Have a fault strike at a live server."""
    server.provider(provider).arm(fault_rule(name, on, parameters))


# --- on a socket --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["answer-lost", "body-truncated"])
def test_a_client_that_says_to_be_another_is_cut_off_all_the_same(name: str, http: httpx.Client) -> None:
    """What a proxy tells of a client changes nothing: it is the connection that ends."""
    with serve("kie", clock=VirtualClock()) as server:
        arm(server, name)
        http.headers["x-forwarded-for"] = "9.9.9.9"
        assert seen(create(http, server.url_of("kie"))) in ("ReadError", "RemoteProtocolError")


def test_requests_that_wait_behind_one_that_is_cut_off_are_let_go(capfd: pytest.CaptureFixture[str]) -> None:
    """Of two requests in one piece the first is cut off: the server keeps nothing of either, and stops in silence."""
    body = json.dumps(KIE.body).encode()
    head = f"POST /kie{KIE.create} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\n"
    request = head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with serve("kie", clock=VirtualClock()) as server:
        arm(server, "answer-lost")
        with connected(server.url) as connection:
            connection.sendall(request * 2)
            with pytest.raises(ConnectionError):
                connection.recv(100)
        assert len(server.provider("kie").plays) == 1
    assert capfd.readouterr().err == ""


def test_pipelined_requests_are_answered_in_order() -> None:
    """Requests that come in one piece are answered one after another."""
    head = b"GET /kie/api/v1/chat/credit HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\n\r\n"
    with serve("kie", clock=VirtualClock()) as server, connected(server.url) as connection:
        connection.sendall(head * 3)
        answer = b""
        while answer.count(b'"data":10000') < 3:
            answer += connection.recv(65536)


def test_a_server_can_be_stopped_in_a_dribble(capfd: pytest.CaptureFixture[str]) -> None:
    """A body that is still being sent does not keep a server, and is no error of its."""
    with serve("kie", clock=VirtualClock()) as server, connected(server.url) as connection:
        arm(server, "dribble")
        body = json.dumps(KIE.body)
        connection.sendall(
            f"POST /kie{KIE.create} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        server.close()
    assert capfd.readouterr().err == ""


def test_a_server_that_was_closed_in_an_outage_leaves_its_clock_alone(http: httpx.Client) -> None:
    """A clock that goes on after the server is not bothered by the end of the outage."""
    clock = VirtualClock()
    with serve("kie", clock=clock, scenario="outage") as server:
        assert seen(create(http, server.url_of("kie"))) == "ReadError"
    clock.advance(60)


def test_outages_of_two_providers_are_one(http: httpx.Client, capfd: pytest.CaptureFixture[str]) -> None:
    """A server that is down for two providers comes back once, when both are over."""
    with serve("kie", "oxen", clock=VirtualClock(), quiet=False) as server:
        url = server.url
        server._loop.result().call_soon_threadsafe(server.go_down, server.clock.now() + 30)
        server._loop.result().call_soon_threadsafe(server.go_down, server.clock.now() + 60)
        server.advance(30)
        assert seen(lambda: http.get(f"{url}/__admin/health")) == "ConnectError"
        server.advance(30)
        for _ in range(1000):  # the sockets open a moment later, in the server's thread
            if seen(lambda: http.get(f"{url}/__admin/health")) != "ConnectError":
                break
        assert http.get(f"{url}/__admin/health").status_code == 200
    told = [line.partition(" ")[2] for line in capfd.readouterr().err.splitlines()]
    assert told == ["nobody listens any more: an outage", "the outage is over"]


# --- in process ---------------------------------------------------------------------------------------------------


def test_an_outage_outlasts_other_faults() -> None:
    """A connection that is reset in an outage does not end it."""
    fake = Fake("kie")
    http = client_of(fake)
    fake.fault("outage", seconds=100)
    seen(create(http, ""))
    fake.provider.record(object(), _severed())  # type: ignore[arg-type]
    fake.clock.advance(50)
    assert seen(create(http, "")) == "ConnectError"


def _severed() -> Any:
    from understudy.wire import Severed, Wait

    return Wait(0, Severed)


@pytest.mark.parametrize(("name", "status"), [("body-truncated", 200), ("reset-in-body", 200)])
def test_nothing_is_missing_where_there_is_nothing(name: str, status: int) -> None:
    """The headers alone, and a body that is sent whole, come as ever."""
    fake = Fake("kie")
    fake.fault(name, sent_share=1.0)
    assert seen(create(client_of(fake), ""))[0] == status
    (job_id,) = fake.jobs
    fake.wait_for(job_id)
    http = client_of(fake)
    (link,) = KIE.links(http.get(KIE.status(job_id)).json())
    fake.fault(name, on="assets")
    assert http.head(link).status_code == status


def test_faults_add_up() -> None:
    """Of several faults on one thing each does its part."""
    with Receiver() as receiver, Fake("kie") as fake:
        for name in ("callback-late", "callback-twice"):
            fake.fault(name)
        job_id = make(fake, receiver.url)
        fake.wait_for(job_id)
        fake.clock.advance(119)
        assert receiver.received == []
        fake.clock.advance(3)
        assert len(receiver.received) == 2
    fake = Fake("kie")
    for name in ("dribble", "body-truncated"):
        fake.fault(name)
    began = fake.clock.now()
    assert seen(create(client_of(fake), "")) == "RemoteProtocolError"
    assert fake.clock.now() - began > 10
    oxen = Fake("oxen")
    for name in ("stream-strangers", "stream-drops"):
        oxen.fault(name)
    lines, end = heard(oxen)
    assert (lines, end) == (["event: unheard_of"], "RemoteProtocolError")


def test_a_rule_of_a_callback_may_look_at_the_request() -> None:
    """The condition of a fault on a callback sees the request that made the job."""
    from dataclasses import replace

    from understudy.contract.compiler import Compiler
    from understudy.contract.loader import Document

    fake = Fake("kie")
    condition = Compiler(Document(fake.contract.folder)).condition('$request.body#/model == "nano-banana-pro"', ())
    rule = replace(fault_rule("callback-lost", None, {}), when=condition)
    fake.provider.arm(rule)
    fake.wait_for(make(fake, "http://127.0.0.1:9/"))
    assert [entry.fault for entry in fake.journal.faults] == ["callback-lost"]


def test_a_poll_by_somebody_else_meets_no_fault_of_a_job() -> None:
    """Only the requests of its own account count for a job."""
    fake = Fake("kie", scenario="bad-gateway")
    mine = fake.client(api_key="mine")
    job_id = KIE.id_of(mine.post(KIE.create, json=KIE.body).json())
    other = fake.client(api_key="other")
    for _ in range(3):
        other.get(KIE.status(job_id))
    assert [mine.get(KIE.status(job_id)).status_code for _ in range(3)] == [200, 502, 200]


@pytest.mark.parametrize(("name", "parameters"), [("answer-lost", {}), ("html-error-page", {"committed": True})])
def test_the_journal_knows_which_job_was_lost(name: str, parameters: dict[str, Any]) -> None:
    """An answer that never came, or came from another, is noted with its operation and its job."""
    fake = Fake("kie")
    fake.fault(name, **parameters)
    seen(create(client_of(fake), ""))
    (exchange,) = fake.journal.exchanges
    assert (exchange.operation, exchange.jobs) == ("createTask", tuple(fake.jobs))
    fake.fault("reset-before-commit")
    seen(create(client_of(fake), ""))
    assert (fake.journal.exchanges[-1].operation, fake.journal.exchanges[-1].jobs) == ("createTask", ())


def test_the_journal_knows_of_an_answer_that_nobody_waited_for() -> None:
    """A request whose client has gone is noted without an answer, and with the job that was made."""
    fake = Fake("kie")
    fake.fault("delay")
    assert seen(create(client_of(fake, timeout=10), "")) == "ReadTimeout"
    (exchange,) = fake.journal.exchanges
    assert (exchange.status, exchange.operation, exchange.jobs) == (None, "createTask", tuple(fake.jobs))


def test_the_journal_of_a_server_knows_of_a_client_that_has_gone() -> None:
    """On a socket, too, a request whose client has gone is in the journal."""
    with serve("kie", clock=VirtualClock()) as server:
        arm(server, "delay")
        with httpx.Client(trust_env=False, timeout=0.2) as http:
            assert seen(create(http, server.url_of("kie"))) == "ReadTimeout"
        with httpx.Client(trust_env=False, timeout=20) as http:
            for _ in range(1000):
                if server.provider("kie").journal.exchanges:
                    break
                http.get(f"{server.url}/__admin/health")
        (exchange,) = server.provider("kie").journal.exchanges
        assert (exchange.status, exchange.jobs) == (None, tuple(server.provider("kie").plays))


def test_the_header_counts_for_a_file_as_well() -> None:
    """The scenario of one request may be that of a download."""
    fake = Fake("kie")
    http = client_of(fake)
    job_id = fake.wait_for(KIE.id_of(create(http, "")().json())).id
    (link,) = KIE.links(http.get(KIE.status(job_id)).json())
    assert http.get(link, headers={"Understudy-Scenario": "result-file-corrupt"}).content[-50:] == bytes(50)
    assert http.get(link).content[-8:-4] == b"IEND"


def test_a_state_may_be_waited_for_by_its_name() -> None:
    """A state is as good as the text that it is."""
    fake = Fake("kie")
    assert fake.wait_for(make(fake), "running").state == "running"  # type: ignore[arg-type]


# --- applications that are called back ----------------------------------------------------------------------------


def test_callbacks_may_fall_due_while_an_application_asks() -> None:
    """An application that moves the clock by asking gets the next callback meanwhile, and nobody waits for ever."""
    app = App()
    with Fake("kie", callback_app=app) as fake:
        app.fake = fake
        jobs = [make(fake) for _ in range(3)]
        for job_id in jobs:
            fake.wait_for(job_id, delivery=True)
        assert sorted(body["data"]["taskId"] for _, body in app.got) == sorted(jobs)


async def _silent(scope: Any, receive: Any, send: Any) -> None:
    await receive()


async def _unfinished(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.debug", "info": {}})  # which tells the caller nothing
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})


async def _broken_off(scope: Any, receive: Any, send: Any) -> None:
    await _unfinished(scope, receive, send)
    raise RuntimeError("the app has a bug")


@pytest.mark.parametrize("app", [_silent, _unfinished, _broken_off])
def test_an_application_without_a_whole_answer_has_not_taken_the_callback(app: Any) -> None:
    """Whatever an application does, it does not end the test that moves the clock."""
    with Fake("kie", callback_app=app) as fake:
        fake.wait_for(make(fake))
        with pytest.raises(UsageError, match="no answer: the application has sent no whole one"):
            fake.wait_for(next(iter(fake.jobs)), delivery=True, timeout_seconds=5000)


def test_a_fake_that_was_not_closed_leaves_no_thread() -> None:
    """The thread of an application ends with the fake that it belongs to."""

    async def scene(fake: Fake) -> None:
        fake.wait_for(make(fake), delivery=True)

    before = threading.active_count()
    fake = Fake("kie", callback_app=App())
    asyncio.run(scene(fake))
    (thread,) = [one for one in threading.enumerate() if one.name == "understudy-post"]
    assert threading.active_count() == before + 1
    del fake
    gc.collect()
    thread.join(20)
    assert not thread.is_alive()


def test_a_stream_of_a_fast_clock_breaks_as_well() -> None:
    """On a clock that runs by itself a broken stream is an error of the client, too."""
    fake = Fake("oxen", clock=SystemClock(1000))
    fake.fault("stream-drops")
    with fake.client(timeout=20) as http, http.stream("GET", EVENTS) as reply:
        http.post(STORIES["oxen"].create, json=STORIES["oxen"].body)
        with pytest.raises(httpx.RemoteProtocolError):
            list(reply.iter_lines())


def test_the_key_of_these_tests_is_one() -> None:
    """Requests with and without the helper belong to one account."""
    fake = Fake("kie")
    client_of(fake).post(KIE.create, json=KIE.body, headers=key())
    assert fake.ledger_of("key").spent == 18
