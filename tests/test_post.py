"""Tests of callbacks into an ASGI application, and of waiting for them."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from tests.live import STORIES
from understudy import Fake, Receiver, State, SystemClock, UsageError, VirtualClock
from understudy.virtual_time import virtual_time

KIE = STORIES["kie"]
HOOK = "https://my.app.example/hooks/kie?x=1"


class App:
    """An ASGI application that keeps what it gets."""

    def __init__(
        self,
        fake: Fake | None = None,
        *,
        status: int = 200,
        hangs: bool = False,
        breaks: type[BaseException] | None = None,
    ) -> None:
        self.got: list[tuple[str, Any]] = []
        self.read: list[str] = []
        self.fake: Fake | None = None
        self.status = status
        self.hangs = hangs
        self.breaks = breaks

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        self.got.append((scope["path"], json.loads(body)))
        if self.hangs:
            await asyncio.Event().wait()
        if self.breaks is not None:
            raise self.breaks("the app has a bug")
        if self.fake is not None:
            async with self.fake.async_client() as http:
                reply = await http.get(KIE.status(json.loads(body)["data"]["taskId"]))
                self.read.append(reply.json()["data"]["state"])
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def make(fake: Fake, url: str = HOOK) -> str:
    """Make a job of Kie that calls back."""
    with fake.client() as http:
        return KIE.id_of(http.post(KIE.create, json={**KIE.body, "callBackUrl": url}).json())


def test_a_callback_goes_into_an_application() -> None:
    """An application that was handed to the fake gets each callback, whatever its address, and no socket is opened."""
    app = App()
    with Fake("kie", callback_app=app) as fake:
        job_id = make(fake)
        job = fake.wait_for(job_id, delivery=True)
        assert job.state is State.SUCCEEDED
        ((path, body),) = app.got
        assert path == "/hooks/kie"
        assert body["data"]["taskId"] == job_id
        (attempt,) = fake.journal.attempts
        assert (attempt.status, attempt.delivered, attempt.url) == (200, True, "https://my.app.example/hooks/kie")


def test_an_application_may_ask_the_fake_meanwhile() -> None:
    """While it is called back an application can read the job; it is the fake that waits for it."""
    app = App()
    with Fake("kie", callback_app=app) as fake:
        app.fake = fake
        fake.wait_for(make(fake), delivery=True)
    assert app.read == ["success"]


def test_an_application_may_take_its_time_to_answer() -> None:
    """It may answer in parts, hears then that the caller has gone, and is asked as by a socket."""
    heard: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heard.append((scope["path"], scope["query_string"], dict(scope["headers"])[b"host"], await receive()))
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})
        heard.append(await receive())

    with Fake("kie", callback_app=app) as fake:
        fake.wait_for(make(fake), delivery=True)
        assert fake.journal.attempts[0].status == 202
    (path, query, host, asked), gone = heard
    assert (path, query, host) == ("/hooks/kie", b"x=1", b"my.app.example")
    assert json.loads(asked["body"])["data"]["state"] == "success"
    assert gone == {"type": "http.disconnect"}


def test_an_application_runs_where_the_clock_is_moved() -> None:
    """It runs in the thread of the test, with no thread beside it, and loops are left behind by neither."""
    app = Threaded()
    with Fake("kie", callback_app=app) as fake:
        fake.wait_for(make(fake), delivery=True)
        fake.wait_for(make(fake), delivery=True)
    assert app.threads == [threading.get_ident()] * 2


def test_what_an_application_has_begun_goes_on() -> None:
    """Tasks that it leaves behind run on by themselves, in a thread that the next callbacks come to as well."""
    go, done = threading.Event(), threading.Event()
    app = Threaded(begins=lambda: finished(go, done))
    with Fake("kie", callback_app=app) as fake:
        fake.wait_for(make(fake), delivery=True)
        go.set()
        assert done.wait(20)
        fake.wait_for(make(fake), delivery=True)
        first, second = app.threads
        assert first == threading.get_ident() != second


async def finished(go: threading.Event, done: threading.Event) -> None:
    """Wait until it may go on, and say then that it is done."""
    await asyncio.to_thread(go.wait)
    done.set()


class Threaded(App):
    """An application that notes in which thread it runs, and may begin something that it does not wait for."""

    def __init__(self, begins: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        super().__init__()
        self.threads: list[int] = []
        self._begins = begins
        self._begun: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.threads.append(threading.get_ident())
        if self._begins is not None:
            self._begun.append(asyncio.get_running_loop().create_task(self._begins()))
        await super().__call__(scope, receive, send)


def test_an_application_keeps_out_of_another_time_and_of_trio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the thread has a virtual time, or a loop that is none of asyncio's, it runs in one of its own."""
    app, clock = Threaded(), VirtualClock()
    with Fake("kie", clock=clock, callback_app=app) as fake, virtual_time(clock):
        fake.wait_for(make(fake), delivery=True)
    monkeypatch.setitem(sys.modules, "sniffio", SimpleNamespace(thread_local=SimpleNamespace(name="trio")))
    with Fake("kie", callback_app=app) as fake:
        fake.wait_for(make(fake), delivery=True)
    assert len(app.threads) == 2
    assert threading.get_ident() not in app.threads


def test_an_application_is_called_from_a_test_that_is_async() -> None:
    """A test on an event loop of its own gets its callbacks, too."""
    app = App()

    async def scene(fake: Fake) -> None:
        async with fake.async_client() as http:
            reply = await http.post(KIE.create, json={**KIE.body, "callBackUrl": HOOK})
            await fake.clock.sleep_async(60)
            assert app.got[0][1]["data"]["taskId"] == KIE.id_of(reply.json())

    with Fake("kie", callback_app=app) as fake:
        asyncio.run(scene(fake))


@pytest.mark.parametrize(
    ("app", "status", "note"),
    [
        (App(status=503), 503, ""),
        (App(breaks=RuntimeError), 500, ""),
        (App(breaks=asyncio.CancelledError), None, "no answer: CancelledError"),
        (App(hangs=True), None, "no answer within 0.01 seconds"),
    ],
)
def test_an_application_may_fail(app: App, status: int | None, note: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that refuses, breaks or hangs has not taken the callback."""
    with Fake("kie", callback_app=app) as fake:
        callback = fake.contract.job_type.callback
        assert callback is not None
        monkeypatch.setattr(type(callback), "timeout_seconds", 0.01)
        fake.clock.advance(0)
        make(fake)
        fake.clock.advance(30)
        attempt = fake.journal.attempts[0]
        assert (attempt.status, attempt.delivered, attempt.note) == (status, False, note)


def test_a_fake_can_be_closed_and_used_again() -> None:
    """What was closed is opened again when it is needed."""
    app = App()
    fake = Fake("kie", callback_app=app)
    for count in (1, 2):
        fake.wait_for(make(fake), delivery=True)
        assert len(app.got) == count
        fake.close()
    Fake("kie", callback_app=app).close()


# --- waiting ------------------------------------------------------------------------------------------------------


def test_a_wait_ends_with_the_state_that_is_waited_for() -> None:
    """Time passes until the job is there, and not longer."""
    fake = Fake("kie")
    job_id = make(fake)
    assert fake.wait_for(job_id, State.RUNNING).state is State.RUNNING
    job = fake.wait_for(job_id)
    assert fake.clock.now() == job.ended_at
    assert fake.wait_for(job_id, State.SUCCEEDED) is job


def test_a_wait_for_what_does_not_come_says_what_came() -> None:
    """What never happens, or not in time, is told with where the job is and what became of its callbacks."""
    with Receiver(status=500) as receiver, Fake("kie") as fake:
        job_id = make(fake, receiver.url)
        with pytest.raises(UsageError, match=r"was not terminal within 5 seconds\n  it is running"):
            fake.wait_for(job_id, timeout_seconds=5)
        with pytest.raises(UsageError, match=r"and told of .*\n.*, and 4 callbacks were tried, the last: 500"):
            fake.wait_for(job_id, delivery=True, timeout_seconds=5000)
        with pytest.raises(UsageError, match="was not failed"):
            fake.wait_for(job_id, State.FAILED, timeout_seconds=1)
        with pytest.raises(UsageError, match=re.escape(f'there is no job "{job_id}x"; did you mean "{job_id}"?')):
            fake.wait_for(job_id + "x")


def test_a_wait_on_a_clock_that_runs_by_itself() -> None:
    """On the system's clock a wait looks now and then."""
    fake = Fake("kie", clock=SystemClock(1000))
    assert fake.wait_for(make(fake)).state is State.SUCCEEDED
    fake.next_job(state=State.QUEUED)
    with pytest.raises(UsageError, match="it is queued"):
        fake.wait_for(make(fake), timeout_seconds=5)


def test_no_callback_leaves_for_a_host_that_was_not_allowed() -> None:
    """Without an application an address has to be allowed."""
    fake = Fake("kie")
    make(fake)
    fake.clock.advance(60)
    (attempt,) = fake.journal.attempts
    assert attempt.note == "not sent: my.app.example is not loopback and was not allowed"
