"""Tests of the carrier: what clients may send, what they wait for, and what they listen to."""

from __future__ import annotations

import threading

import httpx
import pytest

from tests.live import (
    PROVIDERS,
    STORIES,
    connected,
    key,
    listening,
    make,
    raw,
    told,
    until,
)
from understudy.clock import VirtualClock
from understudy.connection import MAX_PROMPT_BYTES
from understudy.server import LiveServer, serve
from understudy.wire import MAX_BODY_BYTES, Reply, Request, Stream

JSON = {**key(), "content-type": "application/json"}

#: A request of a page of somebody else goes the way of ASGI, and one of a program is answered where it is parsed.
BOTH_WAYS = pytest.mark.parametrize("more", [{}, {"origin": "http://localhost"}], ids=["of a program", "of a page"])


def answers(monkeypatch: pytest.MonkeyPatch, server: LiveServer, outcome: Reply | Stream) -> None:
    monkeypatch.setattr(server.provider("kie"), "handle", lambda _: outcome)


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


@pytest.mark.parametrize("sent", [b"{", b"{" * (MAX_PROMPT_BYTES + 1)], ids=["short", "long"])
def test_a_client_that_leaves_while_it_sends_is_forgotten(live: LiveServer, http: httpx.Client, sent: bytes) -> None:
    """A request that breaks off in its body makes nothing, and the server goes on."""
    head = b"POST /kie/api/v1/jobs/createTask HTTP/1.1\r\nhost: x\r\ncontent-length: 99999\r\n\r\n"
    assert raw(live.url, head + sent) == b""
    assert make(http, live.url_of("kie"), "kie")
    assert len(told(live).exchanges) == 1


# --- defects --------------------------------------------------------------------------------------------------------


@BOTH_WAYS
def test_a_defect_of_ours_is_no_traceback_for_clients(
    live: LiveServer,
    http: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: dict[str, str],
) -> None:
    """An exception in the pipeline is a 500 problem for the client, and a traceback in the log, even in a quiet one."""

    def broken(_: Request) -> Reply:
        raise ZeroDivisionError("the secret of the house")

    monkeypatch.setattr(live.provider("kie"), "handle", broken)
    reply = http.get(f"{live.url_of('kie')}/api/v1/chat/credit", headers={**key(), **more})
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


@BOTH_WAYS
def test_replies_that_have_no_body(
    live: LiveServer, http: httpx.Client, monkeypatch: pytest.MonkeyPatch, more: dict[str, str]
) -> None:
    """A 204 is sent without a body and without a length."""
    answers(monkeypatch, live, Reply(204, [], b"ignored"))
    reply = http.delete(f"{live.url_of('kie')}/api/v1/chat/credit", headers=more)
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


EDIT_REQUEST = (
    b"POST /oxen/api/ai/images/edit HTTP/1.1\r\nhost: x\r\nauthorization: Bearer key\r\n"
    b"content-type: application/json\r\ncontent-length: 61\r\n\r\n"
    b'{"model": "google-nano-banana-pro", "prompt": "a lighthouse"}'
)


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
        connection.sendall(EDIT_REQUEST)
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
            connection.sendall(EDIT_REQUEST)
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
        connection.sendall(EDIT_REQUEST)
        until(http, server.url, lambda: plays)
    with connection:
        assert connection.recv(12) == b"HTTP/1.1 503"


# --- streams --------------------------------------------------------------------------------------------------------


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
