"""Tests of the live server: real sockets, real streams, real callbacks."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from PIL import Image

import understudy
from tests.live import PROVIDERS, STORIES, connected, key, links_when_done, make, raw, receiver, until
from understudy.callback import Delivery
from understudy.carrier import Addresses
from understudy.clock import SystemClock, VirtualClock
from understudy.courier import Courier
from understudy.errors import ContractInvalid, UsageError
from understudy.library import bundled_root
from understudy.listen import loop_factory, shown_host
from understudy.logbook import Logbook
from understudy.media import draw
from understudy.roster import Roster
from understudy.server import LiveServer, serve
from understudy.wire import MAX_BODY_BYTES, Reply, Request, Stream

JSON = {**key(), "content-type": "application/json"}


@pytest.fixture
def live() -> Iterator[LiveServer]:
    """All providers, on a clock that stands still unless it is moved."""
    with serve(clock=VirtualClock()) as server:
        yield server


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=20, trust_env=False) as client:
        yield client


def told(server: LiveServer, provider: str = "kie") -> Any:
    return server.provider(provider).journal


# --- lifecycles -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_lifecycle_at_speed(name: str, http: httpx.Client) -> None:
    """With the clock at 100 times the usual speed, a job is made, polled to its end, and its picture fetched."""
    with serve(name, speed=100) as server:
        job_id = make(http, server.url_of(name), name)
        (link,) = links_when_done(http, server.url_of(name), name, job_id)
        assert link.startswith(f"{server.asset_url}/{name}/")
        reply = http.get(link)
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "image/png"
        Image.open(io.BytesIO(reply.content)).load()
        head = http.head(link)
        assert head.content == b""
        assert head.headers["content-length"] == str(len(reply.content))


def test_the_clock_moves_by_hand(live: LiveServer, http: httpx.Client) -> None:
    """What falls due on the way is done before `advance` returns, each at its own moment."""
    job_id = make(http, live.url_of("kie"), "kie")
    began = live.clock.now()
    live.advance(60)
    assert [(step.status, step.at - began) for step in told(live).transitions if step.job_id == job_id] == [
        ("waiting", 0),
        ("queuing", 1),
        ("generating", 3),
        ("success", 15),
    ]


def test_a_clock_that_runs_can_be_moved(http: httpx.Client) -> None:
    """A running clock that is moved from another thread does what falls due, and the pump goes on from there."""
    with serve("kie") as server:
        job_id = make(http, server.url_of("kie"), "kie")
        server.clock.advance(60)
        (link,) = links_when_done(http, server.url_of("kie"), "kie", job_id)
        assert http.get(link).status_code == 200


def test_keys_do_not_meet(live: LiveServer, http: httpx.Client) -> None:
    """Each key is an account: neither sees the jobs of the other, nor pays for them."""
    url = live.url_of("kie")
    job_id = make(http, url, "kie")
    mine, other = (http.get(url + STORIES["kie"].status(job_id), headers=key(name)).json() for name in ("key", "other"))
    assert mine["data"]["taskId"] == job_id
    assert other["code"] == 422
    balances = [http.get(f"{url}/api/v1/chat/credit", headers=key(name)).json()["data"] for name in ("key", "other")]
    assert balances == [10000 - 18, 10000]


def test_scenario_and_errors_go_to_those_that_have_them(http: httpx.Client) -> None:
    """A scenario and an error transport apply to the providers that have them, and the others play as usual."""
    with serve(scenario="errors-as-http", errors="http") as server:
        assert [role.scenario for role in server.roster] == ["errors-as-http", None, "errors-as-http"]
        assert [role.errors for role in server.roster] == ["http", "http", "http"]
        assert http.get(f"{server.url_of('kie')}/api/v1/chat/credit").status_code == 401


# --- addresses ------------------------------------------------------------------------------------------------------


def link_of(live: LiveServer, http: httpx.Client, url: str, host: str | None = None) -> str:
    headers = {**key(), **({"host": host} if host else {})}
    job_id = http.post(url + STORIES["oxen"].create, json=STORIES["oxen"].body, headers=headers).json()
    live.advance(60)
    reply = http.get(url + STORIES["oxen"].status(STORIES["oxen"].id_of(job_id)), headers=headers)
    return STORIES["oxen"].links(reply.json())[0]


def test_links_name_the_host_that_the_client_named(live: LiveServer, http: httpx.Client) -> None:
    """A link to a result names the host that the client called us by, and the port of the result files."""
    port = live.asset_url.rpartition(":")[2]
    assert link_of(live, http, live.url_of("oxen")).startswith(f"{live.asset_url}/oxen/")
    named = link_of(live, http, live.url_of("oxen"), "studio.test:8080")
    assert named.startswith(f"http://studio.test:{port}/oxen/")


def test_a_providers_own_host_needs_no_prefix(live: LiveServer, http: httpx.Client) -> None:
    """Under a real host of a provider its paths answer at the root, and links name the server's own address."""
    link = link_of(live, http, live.url, "hub.oxen.ai")
    assert link.startswith(f"{live.asset_url}/oxen/")
    path = link.removeprefix(f"{live.asset_url}/oxen")
    assert http.get(live.asset_url + path, headers={"host": "hub.oxen.ai:80"}).status_code == 200


def test_a_bad_host_header_is_not_echoed(live: LiveServer, http: httpx.Client) -> None:
    """A Host header that is no host is left out of links."""
    assert link_of(live, http, live.url_of("oxen"), 'x"><script>').startswith(f"{live.asset_url}/oxen/")


def test_addresses_as_they_are_called() -> None:
    """The port of the providers is the one that the client saw, except on the port of the result files."""
    addresses = Addresses("127.0.0.1", 4010, 4011)
    assert addresses.as_called("[::1]", "4010", 4010) == ("http://[::1]:4010", "http://[::1]:4011")
    assert addresses.as_called("box", "80", 4010) == ("http://box:80", "http://box:4011")
    assert addresses.as_called("box", None, 4010) == ("http://box", "http://box:4011")
    assert addresses.as_called("box", "4011", 4011) == ("http://box:4010", "http://box:4011")


@pytest.mark.parametrize(
    ("bound", "shown"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]"), ("::2", "[::2]")],
)
def test_the_address_that_is_shown_can_be_reached(bound: str, shown: str) -> None:
    """An address for all interfaces is shown as loopback, and one of IPv6 in brackets."""
    listener: Any = SimpleNamespace(getsockname=lambda: (bound, 1))
    assert shown_host(listener) == shown


def test_both_ports_answer_alike(live: LiveServer, http: httpx.Client) -> None:
    """A request to the port of the result files is answered as one to the other port."""
    replies = [http.get(f"{url}/kie/api/v1/chat/credit", headers=key()) for url in (live.url, live.asset_url)]
    assert [reply.json()["data"] for reply in replies] == [10000, 10000]


def test_a_path_of_nobody_is_answered_helpfully(live: LiveServer, http: httpx.Client) -> None:
    """A path without a provider is a 404 that names the providers, and whose path it may be."""
    reply = http.post(f"{live.url}/api/v1/jobs/createTask", json={})
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["providers"] == {name: live.url_of(name) for name in PROVIDERS}
    assert "put /kie before it" in reply.json()["detail"]
    assert 'did you mean "kie"' in http.get(f"{live.url}/kei/x").json()["detail"]
    assert http.get(f"{live.url}/").status_code == 404


def test_an_unknown_provider_is_named(live: LiveServer) -> None:
    """Asking the server for a provider that it does not play says which one may be meant."""
    with pytest.raises(UsageError, match='did you mean "oxen"'):
        live.url_of("oxn")
    with pytest.raises(UsageError):
        live.provider("nobody")


def test_browsers_may_call(live: LiveServer, http: httpx.Client) -> None:
    """A preflight is answered for any origin, method and header, and replies may be read by the page."""
    headers = {
        "origin": "http://app.test:3000",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    preflight = http.options(f"{live.url_of('kie')}/api/v1/jobs/createTask", headers=headers)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert "POST" in preflight.headers["access-control-allow-methods"]
    reply = http.get(f"{live.url_of('kie')}/api/v1/chat/credit", headers={**key(), "origin": "http://app.test:3000"})
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-expose-headers"] == "*"


# --- bad input ------------------------------------------------------------------------------------------------------

BAD = {
    "malformed JSON": ("POST", "create", b'{"model": ', JSON),
    "no JSON value": ("POST", "create", b"\xff\xfe", JSON),
    "wrong content type": ("POST", "create", b"model=x", {**key(), "content-type": "text/plain"}),
    "no content type": ("POST", "create", b"{}", key()),
    "a list": ("POST", "create", b"[]", JSON),
    "nothing": ("POST", "create", b"", JSON),
    "17 MB": ("POST", "create", b" " * (17 * 1024 * 1024), JSON),
    "unknown path": ("GET", "/nowhere", b"", key()),
    "unknown path with blanks": ("GET", "/%00/%0a%20%ff", b"", key()),
    "wrong method": ("PUT", "create", b"{}", JSON),
    "odd method": ("PROPFIND", "create", b"", key()),
    "unknown id": ("GET", "unknown", b"", key()),
    "id=None": ("GET", "none", b"", key()),
    "no token": ("POST", "create", b"{}", {"content-type": "application/json"}),
    "refused token": ("POST", "create", b"{}", {**JSON, "authorization": "Bearer invalid"}),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("name", PROVIDERS)
def test_bad_input_is_the_clients_fault(name: str, what: str, http: httpx.Client) -> None:
    """Whatever is sent, with errors by HTTP status or in the body, it is never answered with a problem of ours."""
    method, path, body, headers = BAD[what]
    story = STORIES[name]
    path = {"create": story.create, "unknown": story.status("0" * 32), "none": story.status("None")}.get(path, path)
    with serve(name, clock=VirtualClock()) as server:
        reply = http.request(method, server.url_of(name) + path, content=body, headers=headers)
    assert reply.status_code < 500
    assert "defect" not in reply.text


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"BREW /kie HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /kie/\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT api.kie.ai:443 HTTP/1.1\r\nhost: api.kie.ai\r\n\r\n",
        b"POST /kie/ HTTP/1.1\r\nhost: x\r\ncontent-length: ten\r\n\r\n",
        b"GET /kie/ HTTP/1.1\r\nhost: x\r\nbroken header\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(garbage: bytes, live: LiveServer) -> None:
    """Bytes that are no HTTP request are answered with 400, or not at all."""
    answer = raw(live.url, garbage)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


def test_http_without_a_host_is_answered(live: LiveServer) -> None:
    """HTTP/1.0 needs no Host header, and is answered."""
    answer = raw(live.url, b"GET /kie/api/v1/chat/credit HTTP/1.0\r\nauthorization: Bearer key\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


def test_no_more_of_a_body_is_read_than_shows_its_size(live: LiveServer) -> None:
    """A body that has no end is answered as soon as it is too large."""
    head = b"POST /oxen/api/ai/queue HTTP/1.1\r\nhost: x\r\nauthorization: Bearer key\r\n"
    with connected(live.url) as connection:
        connection.sendall(head + b"content-length: 99999999999\r\n\r\n" + b" " * (MAX_BODY_BYTES + 1))
        assert connection.recv(12).startswith(b"HTTP/1.1 4")
    assert [exchange.error for exchange in told(live, "oxen").exchanges] == ["tooLarge"]


def test_a_client_that_leaves_while_it_sends_is_forgotten(live: LiveServer, http: httpx.Client) -> None:
    """A request that breaks off in its body makes nothing, and the server goes on."""
    assert raw(live.url, b"POST /kie/api/v1/jobs/createTask HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{") == b""
    assert make(http, live.url_of("kie"), "kie")
    assert len(told(live).exchanges) == 1


# --- defects --------------------------------------------------------------------------------------------------------


def test_a_defect_of_ours_is_no_traceback_for_clients(
    live: LiveServer, http: httpx.Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exception in the pipeline is a 500 problem for the client, and a traceback in the log, even in a quiet one."""

    def broken(_: Request) -> Reply:
        raise ZeroDivisionError("the secret of the house")

    monkeypatch.setattr(live.provider("kie"), "handle", broken)
    reply = http.get(f"{live.url_of('kie')}/api/v1/chat/credit", headers=key())
    assert reply.status_code == 500
    assert reply.headers["content-type"] == "application/problem+json"
    assert "secret" not in reply.text
    log = capsys.readouterr().err
    assert "GET /api/v1/chat/credit: this is a defect of Understudy" in log
    assert "ZeroDivisionError: the secret of the house" in log


def test_a_defect_on_the_clock_stops_nothing(
    live: LiveServer, http: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exception in something that falls due is logged, and what is due after it is done all the same."""
    done = threading.Event()

    def broken() -> None:
        raise ZeroDivisionError

    live.clock.call_at(live.clock.now(), broken)
    live.clock.call_at(live.clock.now(), done.set)
    assert done.wait(20)
    assert "on the clock: this is a defect of Understudy" in capsys.readouterr().err


def test_an_endless_reader_is_told(http: httpx.Client) -> None:
    """On a virtual clock that stands still, a loop that polls for ever is told so."""
    with serve("kie", clock=VirtualClock(max_reads=3)) as server:
        job_id = make(http, server.url_of("kie"), "kie")
        status = server.url_of("kie") + STORIES["kie"].status(job_id)
        replies = [http.get(status, headers=key()) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 508]
    assert "polls for ever" in replies[-1].json()["detail"]


def answers(monkeypatch: pytest.MonkeyPatch, server: LiveServer, outcome: Reply | Stream) -> None:
    monkeypatch.setattr(server.provider("kie"), "handle", lambda _: outcome)


def test_replies_that_have_no_body(live: LiveServer, http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 204 is sent without a body and without a length."""
    answers(monkeypatch, live, Reply(204, [], b"ignored"))
    reply = http.delete(f"{live.url_of('kie')}/api/v1/chat/credit")
    assert (reply.status_code, reply.content) == (204, b"")
    assert "content-length" not in reply.headers


def test_a_header_stays_one_header(live: LiveServer, http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would break a header, or is not of its alphabet, is replaced in it."""
    answers(monkeypatch, live, Reply(200, [("X-Said", "one\r\nset-cookie: two €")], b""))
    reply = http.post(f"{live.url_of('kie')}/api/v1/chat/credit")
    assert reply.headers["x-said"] == "one  set-cookie: two ?"
    assert "set-cookie" not in reply.headers


# --- blocking requests ----------------------------------------------------------------------------------------------

EDIT = {"model": "google-nano-banana-pro", "prompt": "a lighthouse"}


def edit_head(url: str) -> bytes:
    return f"POST /oxen/api/ai/images/edit HTTP/1.1\r\nhost: {url.removeprefix('http://')}\r\n".encode()


def edit_request(url: str) -> bytes:
    body = b'{"model": "google-nano-banana-pro", "prompt": "a lighthouse"}'
    head = f"authorization: Bearer key\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return edit_head(url) + head.encode() + body


def test_a_blocking_request_waits_for_its_job(http: httpx.Client) -> None:
    """A create that blocks is answered when the job has ended, with its result."""
    with serve("oxen", speed=200) as server:
        reply = http.post(f"{server.url_of('oxen')}/api/ai/images/edit", json=EDIT, headers=key())
        assert reply.status_code == 200
        assert http.get(reply.json()["images"][0]["url"]).status_code == 200


def test_moving_the_clock_ends_a_wait(live: LiveServer, http: httpx.Client) -> None:
    """A blocked request is answered at once when the clock is moved past the end of its job."""
    plays = live.provider("oxen").plays
    with connected(live.url) as connection:
        connection.sendall(edit_request(live.url))
        until(http, live.url, lambda: plays)
        for _ in range(3):
            live.advance(20)
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_a_client_that_leaves_ends_its_wait(
    http: httpx.Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the client of a blocked request goes, nothing waits any more, and there is no answer to log."""
    with serve("oxen", scenario="stuck-in-queue", clock=VirtualClock(), quiet=False) as server:
        plays = server.provider("oxen").plays
        with connected(server.url) as connection:
            connection.sendall(edit_request(server.url))
            until(http, server.url, lambda: plays)
            for _ in range(3):
                server.advance(20)  # the job is stuck: nothing will ever be due for it
        until(http, server.url, lambda: not server._carrier._waiters)
    assert "/api/ai/images/edit" not in capsys.readouterr().err


def test_the_end_of_the_server_ends_waits(http: httpx.Client) -> None:
    """A request that is blocked when the server stops is told so."""
    with serve("oxen", clock=VirtualClock()) as server:
        plays = server.provider("oxen").plays
        connection = connected(server.url)
        connection.sendall(edit_request(server.url))
        until(http, server.url, lambda: plays)
    with connection:
        assert connection.recv(12) == b"HTTP/1.1 503"


# --- streams --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listening(http: httpx.Client, url: str) -> Iterator[Iterator[str]]:
    """Read a stream line by line; it is open when the block begins."""
    with http.stream("GET", url, headers=key()) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/event-stream"
        yield reply.iter_lines()


def test_events_come_as_they_happen(live: LiveServer, http: httpx.Client) -> None:
    """A stream tells of each job of its key when it happens, and of nobody else's."""
    with httpx.Client() as other, listening(http, f"{live.url_of('oxen')}/api/events") as lines:
        other.post(f"{live.url_of('oxen')}/api/ai/queue", json=EDIT, headers=key("somebody else"))
        job_id = make(other, live.url_of("oxen"), "oxen")
        for _ in range(2):
            live.advance(10)
        seen = [line for line, _ in zip(lines, range(2), strict=False)]
        assert seen[0] == "event: media_generation_completed"
        assert job_id in seen[1]


def test_silence_is_broken_by_comments(live: LiveServer, http: httpx.Client) -> None:
    """After each spell of silence a stream sends its comment, and an event puts it off."""
    with httpx.Client() as other, listening(http, f"{live.url_of('oxen')}/api/events") as lines:
        live.advance(15)
        assert next(lines) == ": keep-alive"
        assert next(lines) == ""
        make(other, live.url_of("oxen"), "oxen")
        live.advance(12)
        assert next(lines) == "event: media_generation_completed"
        assert next(lines).startswith("data: ")
        assert next(lines) == ""
        live.advance(14.9)
        live.advance(0.2)
        assert next(lines) == ": keep-alive"


def test_a_stream_without_comments_stays_silent(
    live: LiveServer, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that has no keep-alive sends frames only, and ends when it is ended."""
    stream = Stream([("content-type", "text/event-stream")], None, b": never\n\n")
    answers(monkeypatch, live, stream)
    with listening(http, f"{live.url_of('kie')}/api/v1/chat/credit") as lines:
        live.advance(3600)
        stream.send(b"data: 1\n\n")
        assert next(lines) == "data: 1"
        stream.end()
        assert list(lines) == [""]


def test_a_reset_ends_streams(live: LiveServer, http: httpx.Client) -> None:
    """When a provider is reset, its streams end, for their accounts are gone."""
    with listening(http, f"{live.url_of('oxen')}/api/events") as lines:
        live.provider("oxen").reset()
        assert list(lines) == []


def test_a_listener_that_leaves_is_forgotten(live: LiveServer, http: httpx.Client) -> None:
    """When the client of a stream goes, its account has no stream any more."""
    with httpx.Client() as other, listening(other, f"{live.url_of('oxen')}/api/events"):
        (account,) = live.provider("oxen").accounts.values()
        assert len(account.streams) == 1
    until(http, live.url, lambda: not account.streams)


def test_an_event_wakes_from_any_thread(http: httpx.Client) -> None:
    """Frames that another thread has caused are sent."""
    with (
        serve("oxen") as server,
        httpx.Client() as other,
        listening(http, f"{server.url_of('oxen')}/api/events") as lines,
    ):
        make(other, server.url_of("oxen"), "oxen")
        server.clock.advance(60)
        assert "event: media_generation_completed" in (next(lines) for _ in range(10))


# --- callbacks ------------------------------------------------------------------------------------------------------


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


# --- starting and stopping ------------------------------------------------------------------------------------------


def test_a_stop_ends_streams_cleanly(http: httpx.Client) -> None:
    """A stream that is open when the server stops ends as a stream does, and a second stop does nothing."""
    server = serve("oxen")
    with listening(http, f"{server.url_of('oxen')}/api/events") as lines:
        server.close()
        assert list(lines) == []
    server.close()


def test_a_stop_cuts_off_who_does_not_let_go() -> None:
    """A client that never ends its request does not keep the server from stopping."""
    with serve("oxen") as server:
        connection = connected(server.url)
        connection.sendall(edit_head(server.url) + b"content-length: 10\r\n\r\n{")
        answer = raw(server.url, edit_head(server.url) + b"content-length: 1\r\n\r\n ")
        assert answer.startswith(b"HTTP/1.1 401")  # so the one before it has been read, too
    with connection, contextlib.suppress(ConnectionError):
        assert connection.recv(1) == b""


def test_a_stop_does_not_wait_for_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that is being drawn when the server stops is given up, and no error is told of it."""
    drawing, go_on = threading.Event(), threading.Event()

    def drawn(_: Request) -> Reply:
        drawing.set()
        go_on.wait(20)
        return Reply(200, [], b"")

    with serve("kie") as server:
        monkeypatch.setattr(server.provider("kie"), "handle", drawn)
        connection = connected(server.url)
        connection.sendall(b"GET /kie/p/0.png HTTP/1.1\r\nhost: x\r\n\r\n")
        assert drawing.wait(20)
    go_on.set()
    connection.close()


def test_other_requests_are_answered_while_a_picture_is_drawn(
    live: LiveServer, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture is drawn beside the loop that answers, and no lock is held meanwhile."""
    drawing, go_on = threading.Event(), threading.Event()

    def slow(picture: Any) -> bytes:
        drawing.set()
        assert go_on.wait(20)
        return draw(picture)

    job_id = make(http, live.url_of("kie"), "kie")
    live.advance(20)
    (link,) = links_when_done(http, live.url_of("kie"), "kie", job_id)
    monkeypatch.setattr("understudy.files.draw", slow)
    got: list[int] = []
    fetch = threading.Thread(target=lambda: got.append(httpx.get(link, timeout=20).status_code))
    fetch.start()
    assert drawing.wait(20)
    assert http.get(f"{live.url_of('kie')}/api/v1/chat/credit", headers=key()).status_code == 200
    go_on.set()
    fetch.join()
    assert got == [200]


def test_ports_that_are_taken() -> None:
    """A port that another program has is an error that says which one, and the other port is let go again."""
    with serve("kie") as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1: another program.*\n.*another port;"):
            serve("kie", port=port)
        with socket.create_server(("127.0.0.1", 0)) as spare:
            free = spare.getsockname()[1]
        with pytest.raises(UsageError, match="another asset_port"):
            serve("kie", port=free, asset_port=port)
        with socket.create_server(("127.0.0.1", free)):
            pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"port": 70_000}, "port is 70000, and has to be from 0 to 65535"),
        ({"host": "256.256.256.256"}, "cannot listen on port 0 of 256.256.256.256"),
        ({"speed": 0}, "the speed has to be above 0"),
        ({"speed": float("nan")}, "the speed has to be above 0"),
        (
            {"scenario": "stuck-in-queu"},
            'no provider here has the scenario "stuck-in-queu"; did you mean "stuck-in-que',
        ),
        ({"errors": "htp"}, 'no provider here has the error transport "htp"; did you mean "http"'),
    ],
)
def test_what_cannot_be_served(arguments: dict[str, Any], message: str) -> None:
    """Arguments that cannot be are refused before anything listens, with the nearest that can."""
    with pytest.raises(UsageError, match=re.escape(message)):
        serve("kie", **arguments)
    with pytest.raises(UsageError, match='there is no provider "kei"; did you mean "kie"'):
        serve("kei")


def test_every_broken_contract_is_told(tmp_path: Path) -> None:
    """When several contracts are broken, one error tells of all of them."""
    copy_of("kie", tmp_path, ("unknown: active", "unknwon: active"))
    copy_of("oxen", tmp_path, ("scope: account", "scope: acount"))
    with pytest.raises(ContractInvalid) as caught:
        serve(paths=[tmp_path])
    assert {Path(problem.file).parent.name for problem in caught.value.problems} == {"kie", "oxen"}


def test_an_open_address_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    """Listening on more than loopback is warned of, even by a quiet server."""
    with serve("kie", host="0.0.0.0") as server:
        assert server.url.startswith("http://127.0.0.1:")
    assert "whoever reaches this machine can use it" in capsys.readouterr().err


@pytest.mark.parametrize("first", [0, 1])
def test_servers_may_share_a_clock(first: int, http: httpx.Client) -> None:
    """Two servers on one clock stop in either order, and the other goes on."""
    clock = SystemClock(100)
    servers = [serve("kie", clock=clock), serve("oxen", clock=clock)]
    servers[first].close()
    name = ("oxen", "kie")[first]
    with servers[1 - first] as server:
        assert links_when_done(http, server.url_of(name), name, make(http, server.url_of(name), name))
    clock.call_at(clock.now(), lambda: None)


def test_without_uvloop_the_usual_loop_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no uvloop the event loop is asyncio's own."""
    assert loop_factory() is not None
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory() is None


def test_the_package_serves() -> None:
    """The package itself has `serve`."""
    assert understudy.serve is serve


# --- the roster -----------------------------------------------------------------------------------------------------


def copy_of(name: str, folder: Path, *changes: tuple[str, str]) -> Path:
    """Copy a provider to a folder, with changes to its document; return the document."""
    for kind in ("contracts", "fakes"):
        shutil.copytree(bundled_root() / kind / name, folder / kind / name)
    document = folder / "contracts" / name / "openapi.yaml"
    text = document.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    document.write_text(text, encoding="utf-8")
    return document


def roster_of(*names: str) -> Roster:
    return Roster(names, clock=VirtualClock(), send=lambda delivery, done: None)


def test_a_change_of_a_file_is_seen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider is outdated once for each change of a file, and while a file cannot be read it is not."""
    document = copy_of("kie", tmp_path)
    roster = roster_of(str(document.parent))
    assert roster.outdated() == []
    text = document.read_text(encoding="utf-8")
    document.write_text(text + "\n", encoding="utf-8")
    assert [role.name for role in roster.outdated()] == ["kie"]
    assert roster.outdated() == []
    document.write_text(text, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("understudy.roster.stamp", lambda folders: document.with_name("gone").stat())
        assert roster.outdated() == []
    assert [role.name for role in roster.outdated()] == ["kie"]


def test_a_provider_named_twice_is_played_once() -> None:
    """The same provider named twice is one provider."""
    assert [role.name for role in roster_of("kie", "kie")] == ["kie"]


# --- the log --------------------------------------------------------------------------------------------------------


def test_the_log_tells_a_lifecycle(http: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each request, state and callback, and none of them has a key or a query in it."""
    secret = "sk-do-not-tell"
    with serve("kie", clock=VirtualClock(), quiet=False) as server, receiver() as mailbox:
        url = f"{server.url_of('kie')}{STORIES['kie'].create}?api_key={secret}"
        body = {**STORIES["kie"].body, "callBackUrl": f"{mailbox.url}?token={secret}"}
        job_id = http.post(url, json=body, headers=key(secret)).json()["data"]["taskId"]
        server.advance(20)
        until(http, server.url, lambda: told(server).attempts)
        http.get(f"{server.url_of('kie')}/{'x' * 300}", headers=key(secret))
        http.get(f"{server.url}/favicon.ico")
    log = capsys.readouterr().err
    assert secret not in log
    shown = f"{job_id[:12]}…"
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", re.sub(r"\d+ ms$", "N ms", line)) for line in log.splitlines()]
    assert lines == [
        f"kie POST /api/v1/jobs/createTask, 200, job {shown} queued, N ms",
        f"kie job {shown} queued ('queuing')",
        f"kie job {shown} running ('generating')",
        f"kie job {shown} succeeded ('success')",
        f"kie job {shown} callback 1 to {mailbox.url}, delivered: 200",
        f"kie GET /{'x' * 119}…, 200 unknownPath, N ms",
        "- GET /favicon.ico, 404 no such provider, N ms",
    ]


def test_the_log_of_a_failed_callback_says_why(http: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    """A callback that is not sent, or met an error, is in the log with the reason."""
    with serve("kie", clock=VirtualClock(), quiet=False) as server:
        make(http, server.url_of("kie"), "kie", callBackUrl="http://user:password@example.com/hook?token=1")
        server.advance(20)
        until(http, server.url, lambda: told(server).attempts)
    log = capsys.readouterr().err
    assert "callback 1 to http://example.com/hook, not delivered: not sent: example.com is not loopback" in log
    assert "password" not in log


def test_the_log_of_streams_and_of_many_jobs(http: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    """A stream is logged when it opens, and a request about many jobs by the first of them."""
    with serve("oxen", clock=VirtualClock(), quiet=False) as server:
        with listening(http, f"{server.url_of('oxen')}/api/events"):
            pass
        make(http, server.url_of("oxen"), "oxen", num_generations=3)
    log = capsys.readouterr().err
    assert "oxen GET /api/events, 200 stream" in log
    assert re.search(r"oxen POST /api/ai/queue, 200, job \S+ queued and 2 more", log)


def test_the_log_knows_jobs_that_are_gone(capsys: pytest.CaptureFixture[str]) -> None:
    """A job that was forgotten while its request was answered is called so."""
    (role,) = roster_of("kie")
    request = Request("GET", "/x\x1b[31m")
    Logbook(VirtualClock(), quiet=False).request(role, request, Reply(200, [], b"", jobs=("gone",)), 1.4)
    assert capsys.readouterr().err.endswith("kie GET /x?[31m, 200, job gone forgotten, 1 ms\n")
