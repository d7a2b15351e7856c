"""Tests of the address that receives callbacks; what it hears comes over the loopback interface."""

from __future__ import annotations

import socket
import threading
from http.client import HTTPResponse, RemoteDisconnected
from urllib.parse import urlsplit

import httpx
import pytest

from tests.clients import CASES
from understudy import Client, Fake, Receiver, State, UsageError, receiver
from understudy.fake import API_KEY


def status_of(receiver: Receiver, request: str) -> int:
    """Send a request, byte by byte as it stands, and return the status that it is answered with; 0 for no answer."""
    parts = urlsplit(receiver.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(request.encode())
        connection.shutdown(socket.SHUT_WR)
        response = HTTPResponse(connection)
        try:
            response.begin()
        except RemoteDisconnected:
            return 0
        return response.status


def test_callbacks_are_received(http: httpx.Client) -> None:
    """What is sent is kept as it came, in order, whichever path and method it came by."""
    with Receiver(status=202) as receiver:
        assert http.post(f"{receiver.url}/a?b=c", content=b"one", headers={"X-Name": "Value"}).status_code == 202
        assert http.put(receiver.url).status_code == 202
        first, second = receiver.received
    assert (first.path, first.headers["x-name"], first.body) == ("/callback/a?b=c", "Value", b"one")
    assert (second.path, second.body) == ("/callback", b"")


def test_a_fake_calls_back() -> None:
    """A fake's callback comes in and is read as the job that has ended."""
    with Receiver() as receiver, Fake("kie") as fake:
        client = Client("kie", api_key=API_KEY, http=fake.client(), clock=fake.clock)
        job = client.submit(**CASES["kie"].job, callback_url=receiver.url)
        fake.clock.sleep(60)
        (callback,) = receiver.received
        told = client.read_callback(callback.headers, callback.body, secret="understudy-webhook-key")
    assert (told.id, told.state) == (job.id, State.SUCCEEDED)
    assert [attempt.delivered for attempt in fake.journal.attempts] == [True]


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("POST /callback HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", 413),
        (f"POST /callback HTTP/1.1\r\nContent-Length: {'9' * 5000}\r\n\r\n", 413),
        ("POST /callback HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 411),
        ("POST /callback HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n", 411),
        ("POST /callback HTTP/1.1\r\nContent-Length: 100\r\n\r\ncut o", 0),
        ("GET /callback HTTP/1.1\r\n\r\n", 501),
    ],
    ids=["too large", "absurd", "negative", "chunked", "cut off", "no callback"],
)
def test_what_is_no_whole_callback_is_not_kept(request_text: str, status: int) -> None:
    """What is too large, of unknown length, cut off or no callback is refused, and is not among the callbacks."""
    with Receiver() as receiver:
        assert status_of(receiver, request_text) == status
        assert receiver.received == []


def test_a_receiver_that_is_full_says_so(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once as many callbacks are kept as may be, further ones are answered 503."""
    monkeypatch.setattr(receiver, "MAX_CALLBACKS", 2)
    with Receiver() as full:
        assert [http.post(full.url).status_code for _ in range(3)] == [200, 200, 503]
        assert len(full.received) == 2


def test_a_wait_ends_with_the_callbacks(http: httpx.Client) -> None:
    """A wait returns what has come in once there is enough of it, from whichever thread it comes."""
    with Receiver() as receiver:
        thread = threading.Thread(target=http.post, args=(receiver.url,))
        thread.start()
        assert len(receiver.wait(1)) == 1
        thread.join()


def test_a_wait_for_what_does_not_come_is_told() -> None:
    """A wait for more callbacks than come in raises UsageError, with how many there were."""
    with (
        Receiver() as receiver,
        pytest.raises(UsageError, match="0 callbacks came in within 0 seconds, not 1"),
    ):
        receiver.wait(1, timeout_seconds=0)


def test_a_closed_receiver_has_no_address() -> None:
    """A receiver has an address while it is open, and keeps what it has received."""
    closed = Receiver()
    for _ in range(2):
        with pytest.raises(UsageError, match="the receiver is not open: use it in a with statement"):
            _ = closed.url
        with closed:
            assert closed.url.startswith("http://127.0.0.1:")
    closed.__exit__()
    assert closed.received == []
