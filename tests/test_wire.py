"""Tests of requests and replies as data."""

from __future__ import annotations

from understudy.wire import MAX_WAITING_FRAMES, Reply, Request, Stream

# Requests, replies, streams


def test_a_request_has_its_headers_and_parameters_at_hand() -> None:
    """Of a name that stands twice the last counts, and an empty parameter is there."""
    request = Request("GET", "/a", "x=1&x=2&y=&z=%C3%A9", [("a", "1"), ("a", "2")])
    assert request.header == {"a": "2"}
    assert request.parameters == {"x": "2", "y": "", "z": "é"}


def test_a_reply_without_a_body_has_no_content_type() -> None:
    """A reply of nothing is empty, and any other is JSON with the headers it is given."""
    assert Reply.of_json(204, [("a", "b")], None) == Reply(204, [("a", "b")], b"")
    told = Reply.of_json(200, [("a", "b")], {"é": 1}, error="x")
    assert told == Reply(200, [("content-type", "application/json"), ("a", "b")], '{"é":1}'.encode(), error="x")


def test_a_stream_wakes_its_carrier_and_is_bounded() -> None:
    """Each frame and the end wake whoever carries the stream; of frames that nobody fetches the oldest go."""
    stream, woken = Stream([], None, b""), []
    stream.wake = lambda: woken.append(len(stream.frames))
    for index in range(MAX_WAITING_FRAMES + 1):
        stream.send(str(index).encode())
    stream.end()
    assert woken == [*range(1, MAX_WAITING_FRAMES + 1), MAX_WAITING_FRAMES, MAX_WAITING_FRAMES]
    assert (stream.frames[0], stream.ended) == (b"1", True)


def test_a_stream_that_nobody_carries_can_be_fed_and_closed() -> None:
    """Until a carrier has set what it wants to be told, nothing needs to be told."""
    stream = Stream([], None, b"")
    stream.send(b"x")
    stream.close()
    assert list(stream.frames) == [b"x"]
