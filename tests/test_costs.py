"""Tests of what it costs, by what can be counted: a clock would tell a different story on every machine."""

from __future__ import annotations

import cProfile
import gc
import os
import pstats
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.live import STORIES, key
from understudy import Fake
from understudy.behaviour import Pictures
from understudy.clock import VirtualClock
from understudy.lifecycle import Job
from understudy.media import Picture
from understudy.server import serve
from understudy.wire import Reply, Request

#: What is needed to play a provider, and not to say that a server is there.
LATER = ("yaml", "jsonschema_rs", "PIL", "httpx", "httpx_sse", "understudy.contract.views", "understudy.provider")

CREATE = Request(
    "POST",
    STORIES["kie"].create,
    "",
    [*key().items(), ("content-type", "application/json")],
    httpx.Request("POST", "http://localhost", json=STORIES["kie"].body).content,
)


@pytest.fixture
def fake() -> Fake:
    """Return a fake that lives long and has money for all its jobs."""
    return Fake("kie", balance=10**9)


def make(fake: Fake) -> str:
    """Make a job where no limit is near, and return its id."""
    fake.clock.advance(1)
    body = bytes(bytearray(CREATE.body))  # one for each, as it is where they come over a wire
    reply = fake.handle(Request(CREATE.method, CREATE.path, "", CREATE.headers, body))
    assert isinstance(reply, Reply)
    assert reply.jobs
    return reply.jobs[0]


def calls(run: Callable[[], object]) -> float:
    """Return how many calls of functions something takes, once it has been done before."""
    run()
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(20):
        run()
    profile.disable()
    return float(pstats.Stats(profile).total_calls) / 20  # type: ignore[attr-defined] # which typeshed leaves out


def test_a_server_is_there_before_what_plays_a_provider() -> None:
    """Neither the compiler of contracts nor what it needs is imported when a server begins to listen."""
    code = f"import sys, understudy.server; print([name for name in {LATER!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_fake_without_an_application_brings_no_event_loop() -> None:
    """Most tests have no loop, and the first of them does not wait for asyncio."""
    code = "import sys, understudy; understudy.Fake('kie').client(); print('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_poll_looks_little_up(fake: Fake) -> None:
    """A poll of a job that has not changed is answered from what was told before, with fewer than 100 calls."""
    task_id = make(fake)
    polls = [Request("GET", "/api/v1/jobs/recordInfo", f"taskId={task_id}", [*key().items()]) for _ in range(21)]

    def poll() -> None:
        fake.clock.advance(0.2)
        fake.handle(polls.pop())

    fake.clock.advance(60)
    assert calls(poll) < 100


def test_a_create_does_what_it_has_to(fake: Fake) -> None:
    """A create is checked, priced, charged, noted and put on the agenda with fewer than 330 calls, its end and all."""
    assert calls(lambda: make(fake)) < 330


def test_a_result_is_made_for_whoever_looks(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture is thought out for jobs that nobody looks at; for all of them, where somebody foresees a link."""
    made: list[str] = []
    usual = Pictures.of

    def of(pictures: Pictures, job: Job) -> Picture:
        made.append(job.id)
        return usual(pictures, job)

    monkeypatch.setattr(Pictures, "of", of)
    jobs = [make(fake) for _ in range(3)]
    fake.clock.advance(60)
    assert made == []
    link = fake.provider.plays[jobs[0]].job.outputs[0].url or ""
    assert made == jobs[:1]
    foreseen = urlsplit(link.replace(jobs[0], jobs[2])).path
    assert fake.handle(Request("GET", foreseen)).status == 200  # type: ignore[union-attr]
    assert sorted(made) == sorted(jobs)


def test_a_job_takes_little_memory(fake: Fake) -> None:
    """A job in play that nobody has looked at holds less than 1.75 KB, its request and all."""
    for _ in range(1_100):  # until the account keeps no more movements
        make(fake)
    tracemalloc.start()
    try:
        fake.journal.clear()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(300):
            make(fake)
        fake.journal.clear()
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (held - before) / 300 < 1_750


def test_a_cancelled_entry_holds_nothing() -> None:
    """What was planned and is not to happen any more lets go at once, and not when it would have been due."""
    clock, job = VirtualClock(), Fake
    holders = len(gc.get_referrers(job))
    entry = clock.call_at(clock.now() + 3600, partial(setattr, job, "seen", True))
    entry.cancel()
    assert len(gc.get_referrers(job)) == holders


@pytest.mark.parametrize("there", [False, True])
def test_a_callback_looks_for_no_module(tmp_path: Path, there: bool) -> None:
    """In a process that serves, nobody goes and looks each time for the module that httpcore can do without."""
    if there:
        (tmp_path / "sniffio.py").write_text("def current_async_library(): return 'asyncio'\n", encoding="utf-8")
    code = """
import sys
from understudy import foreground

class Finder:
    def find_spec(name, path, target=None):
        looked.append(name)

foreground.settle()
looked = []
sys.meta_path.insert(0, Finder)
from httpcore._synchronization import current_async_library
current_async_library()
before = [*looked]
assert current_async_library() == "asyncio"
print(looked == before, sys.modules["sniffio"] is not None)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == f"True {there}\n"


def test_callbacks_share_a_connection() -> None:
    """All callbacks of a server to one receiver, one after another, go over one connection."""
    told, connections = threading.Semaphore(0), set[tuple[str, int]]()

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            connections.add(self.client_address)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
            told.release()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    try:
        with serve("kie", clock=VirtualClock()) as server, httpx.Client(trust_env=False) as http:
            url = f"http://127.0.0.1:{receiver.server_port}/told"
            for _ in range(5):
                body = {**STORIES["kie"].body, "callBackUrl": url}
                http.post(server.url_of("kie") + STORIES["kie"].create, json=body, headers=key())
                server.advance(60)
                assert told.acquire(timeout=20)
    finally:
        receiver.shutdown()
        receiver.server_close()
    assert len(connections) == 1
