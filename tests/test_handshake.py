"""Tests of callbacks that are sent once their receiver has answered a challenge."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given

from tests.documents import contract, contract_problems, hostile_values, job_of
from tests.live import until
from tests.small import VIEW, small
from understudy import Client, Fake, Inbox, State, VirtualClock, serve
from understudy.callback import answer_to
from understudy.contract.build import load_contract
from understudy.courier import MAX_ANSWER_BYTES
from understudy.fake import API_KEY

HANDSHAKE = {
    "body": {"type": "hello", "challenge": "$delivery.challenge"},
    "reply": {"challenge": "$delivery.challenge"},
    "timeoutSeconds": 3,
}
NOT_MET = "not sent: the challenge was not answered"


def written(root: Path, **more: Any) -> Path:
    """Write a provider that greets before it tells of a job."""
    part = {"trigger": ["running", "succeeded"], "view": VIEW, "handshake": HANDSHAKE, "retry": {"afterSeconds": [5]}}
    return small(root, callback=part, **more)


@contextmanager
def answering(answer: Any) -> Iterator[tuple[str, list[Any]]]:
    """Serve on loopback, and give what came in; a challenge is answered as the function says."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            seen.append(body)
            self.send_response_only(200)
            self.end_headers()
            self.wfile.write(answer(body["challenge"]) if "challenge" in body else b"")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", seen
    finally:
        server.shutdown()
        server.server_close()


def echo(challenge: str) -> bytes:
    return json.dumps({"more": 1, "challenge": challenge}).encode()


CALLBACK = contract(job_of(callback={"view": {"body": {"id": "$job.id"}}, "handshake": HANDSHAKE})).job_type.callback
PART: Any = CALLBACK and CALLBACK.handshake

ANSWERS = {
    "another": lambda challenge: b'{"challenge": "no"}',
    "nothing": lambda challenge: b"",
    "a list": lambda challenge: b"[]",
    "no end": lambda challenge: echo(challenge) + b" " * MAX_ANSWER_BYTES,
}


@contextmanager
def in_process(root: Path) -> Iterator[Any]:
    with Fake("small", paths=[root]) as fake:

        def play(url: str) -> list[Any]:
            fake.client().post("/jobs", json={"prompt": "a", "callback": url}).raise_for_status()
            fake.clock.sleep(60)
            return [(attempt.status, attempt.note) for attempt in fake.journal.attempts]

        yield play


@contextmanager
def live(root: Path) -> Iterator[Any]:
    with serve("small", paths=[root], clock=VirtualClock()) as server, httpx.Client(trust_env=False) as http:

        def play(url: str) -> list[Any]:
            http.post(f"{server.url_of('small')}/jobs", json={"prompt": "a", "callback": url}).raise_for_status()
            for _ in range(6):  # the next one is sent when the one before has come back
                server.advance(60)
                until(http, server.url, lambda: not server.courier.under_way)
            return [(attempt.status, attempt.note) for attempt in server.provider("small").journal.attempts]

        yield play


@pytest.mark.parametrize("shell", [in_process, live])
def test_a_receiver_that_answers_is_told(tmp_path: Path, shell: Any) -> None:
    """The challenge comes once, before all else, and then the callbacks do."""
    with answering(echo) as (url, seen), shell(written(tmp_path)) as play:
        assert play(url) == [(200, ""), (200, "")]
    assert [body.get("type", body.get("state")) for body in seen] == ["hello", "running", "succeeded"]
    assert len(seen[0]["challenge"]) == 32


@pytest.mark.parametrize("answer", ["another", "nothing", "a list"])
@pytest.mark.parametrize("shell", [in_process, live])
def test_a_receiver_that_does_not_answer_is_told_nothing(tmp_path: Path, shell: Any, answer: str) -> None:
    """Another answer, or none, keeps the callback back, and it is not tried again; the next one asks anew."""
    with answering(ANSWERS[answer]) as (url, seen), shell(written(tmp_path)) as play:
        assert play(url) == [(None, NOT_MET)] * 2
    assert [body.get("type") for body in seen] == ["hello", "hello"]


def test_an_answer_without_end_is_none(tmp_path: Path) -> None:
    """Live, no more of an answer is read than an answer can have."""
    with answering(ANSWERS["no end"]) as (url, _), live(written(tmp_path)) as play:
        assert play(url) == [(None, NOT_MET)] * 2


@pytest.mark.parametrize("shell", [in_process, live])
def test_a_receiver_that_is_not_there_is_tried_again(tmp_path: Path, shell: Any) -> None:
    """Nobody who could answer is trouble of the network, and the contract's schedule of repetitions counts."""
    with shell(written(tmp_path)) as play:
        notes = play("http://127.0.0.1:9/")
    assert notes == [(None, "no answer: ConnectError")] * 4


def test_an_inbox_answers_the_challenge(tmp_path: Path) -> None:
    """The client's inbox echoes it, and is told of the job then."""
    root = written(tmp_path)
    news: list[State] = []
    inbox = Inbox(
        Client(load_contract(root / "contracts/small"), api_key=API_KEY), on_job=lambda job: news.append(job.state)
    )
    with Fake("small", paths=[root], callback_app=inbox) as fake:
        fake.client().post("/jobs", json={"prompt": "a", "callback": "http://inbox/"})
        fake.clock.sleep(60)
        assert [attempt.status for attempt in fake.journal.attempts] == [200, 200]
    assert news == [State.RUNNING, State.SUCCEEDED]


def test_an_application_that_does_not_answer_is_told_nothing(tmp_path: Path) -> None:
    """What holds on a socket holds of an application in this process."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with Fake("small", paths=[written(tmp_path)], callback_app=app) as fake:
        fake.client().post("/jobs", json={"prompt": "a", "callback": "http://inbox/"})
        fake.clock.sleep(60)
        assert [attempt.note for attempt in fake.journal.attempts] == [NOT_MET] * 2


@given(value=hostile_values)
def test_an_inbox_answers_to_no_body_but_a_challenge(value: Any) -> None:
    """Whatever comes in, it is a challenge with a text, or none."""
    try:
        body = json.dumps(value).encode()
    except (TypeError, ValueError, RecursionError):
        body = repr(value).encode("utf-8", "replace")
    for sent in (body, b'{"type": "hello", "challenge": ' + body + b"}"):
        answer = answer_to(PART, sent)
        assert answer is None or isinstance(answer["challenge"], str)


def test_a_challenge_that_nobody_could_find_is_a_problem() -> None:
    """The challenge has to be a member of what is sent, or no receiver could read it."""
    callback = {
        "view": {"body": {"id": "$job.id"}},
        "handshake": {**HANDSHAKE, "body": {"a": "x{$delivery.challenge}"}},
    }
    assert contract_problems(job_of(callback=callback)) == [
        'a receiver cannot find the challenge: make "$delivery.challenge" a member'
    ]
