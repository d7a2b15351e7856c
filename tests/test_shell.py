"""Tests of what both clients share: how an answer is read in pieces, and a request that is sent again."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests import clients
from tests.clients import scripted
from tests.player import told
from understudy import Job, State
from understudy.exchange import NoAnswer, Send
from understudy.shell import add, no_answer

kind = clients.kind
SEND = Send("GET", "https://a.test/", (), b"", timeout_seconds=1, most_seconds=10, most_bytes=8)


@given(st.binary(max_size=12), st.binary(max_size=12), st.integers(0, 20))
@example(b"", b"x", 11)  # the first piece may come late: the provider was thinking
@example(b"x", b"x", 10)
@example(b"x", b"x", 11)
@example(b"1234", b"5678", 0)
@example(b"1234", b"56789", 0)
def test_an_answer_is_bounded(body: bytes, piece: bytes, seconds: int) -> None:
    """A piece is added unless the answer gets too long, or goes on for too long; then it was sent and is no answer."""
    answer = bytearray(body)
    late = bool(body) and seconds > 10
    if late or len(body + piece) > 8:
        with pytest.raises(NoAnswer) as caught:
            add(answer, piece, SEND, seconds)
        assert caught.value.sent
        assert str(caught.value) == ("it was not whole after 10 seconds" if late else "it is longer than 8 bytes")
    else:
        add(answer, piece, SEND, seconds)
        assert answer == body + piece


@pytest.mark.parametrize(
    ("error", "sent"),
    [(httpx.ConnectError("no route"), False), (httpx.InvalidURL("odd"), False), (httpx.ReadError("reset"), True)],
)
def test_what_httpx_raises_says_whether_it_was_sent(error: Exception, sent: bool) -> None:
    """The text names the error; only what failed before anything was sent is known to be unsent."""
    ours = no_answer(error)
    assert (str(ours), ours.sent) == (f"{type(error).__name__}: {error}", sent)


def test_a_poll_is_the_same_request_again(kind: Any) -> None:
    """A request that is sent again is not built again, and another one is."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=told("kie", "waiting").body)

    client = scripted(kind, answer)
    for job_id in ("a", "a", "b", "b", "a"):
        assert client.status(Job(id=job_id)).state is State.QUEUED
    assert [request.url.params["taskId"] for request in seen] == ["a", "a", "b", "b", "a"]
    assert seen[0] is seen[1]
    assert seen[2] is seen[3]
    assert len({id(request) for request in seen}) == 3
