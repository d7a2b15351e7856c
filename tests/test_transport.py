"""Tests of the in-process transport: a fake behind any client of httpx or httpx2, without a socket."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from tests.small import small
from understudy.clock import EPOCH_SECONDS, Clock, SystemClock, VirtualClock
from understudy.errors import ClockExhausted
from understudy.fake import API_KEY, Fake
from understudy.lifecycle import State, Step

#: Makes a request and returns the reply, by a sync or an async client.
Ask = Callable[..., httpx.Response]


def client_of(kind: Callable[..., Any], fake: Fake, timeout: float | None) -> Any:
    """Return a client that somebody has made without our help: it is given the transport."""
    headers = fake.key_headers(API_KEY)
    return kind(transport=fake.transport(), base_url=fake.base_url, headers=headers, timeout=timeout)


def ask_sync(library: ModuleType, fake: Fake, method: str, url: str, **options: Any) -> httpx.Response:
    with client_of(library.Client, fake, options.pop("timeout", None)) as client:
        return client.request(method, url, **options)  # type: ignore[no-any-return]


def ask_async(library: ModuleType, fake: Fake, method: str, url: str, **options: Any) -> httpx.Response:
    async def main() -> httpx.Response:
        async with client_of(library.AsyncClient, fake, options.pop("timeout", None)) as client:
            return await client.request(method, url, **options)  # type: ignore[no-any-return]

    return anyio.run(main)


@pytest.fixture(params=[httpx, httpx2], ids=lambda library: library.__name__)
def library(request) -> ModuleType:
    """Return an HTTP library: each test is run with both."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=[ask_sync, ask_async])
def ask(request, library: ModuleType) -> Ask:
    """Return a way to make a request: each test is run with a sync and with an async client."""
    return functools.partial(request.param, library)


GENERATION = {"model": "nano-banana", "prompt": "a"}
EDIT = "/api/ai/images/edit"


# Requests


def test_a_request_gets_its_reply(ask: Ask) -> None:
    """Method, URL, query, headers and body reach the fake, and its reply reaches the client."""
    fake = Fake("kie")
    body = {"model": "nano-banana-pro", "input": {"prompt": "a"}}
    job = ask(fake, "POST", "/api/v1/jobs/createTask", json=body).json()["data"]["taskId"]
    reply = ask(fake, "GET", f"/api/v1/jobs/recordInfo?taskId={job}")
    assert (reply.status_code, reply.json()["data"]["state"]) == (200, "waiting")
    assert reply.headers["content-length"] == str(len(reply.content))
    assert fake.clock.now() == EPOCH_SECONDS + 2 * 0.5


def test_an_unknown_host_gets_a_loud_answer(ask: Ask) -> None:
    """A host that the fake does not play is told that nothing leaves the process, and which hosts there are."""
    reply = ask(Fake("kie"), "GET", "https://example.com/x")
    assert (reply.status_code, reply.headers["content-type"]) == (421, "application/problem+json")
    assert "example.com is not a host of this fake" in reply.json()["detail"]
    assert "api.kie.ai, kieai.redpandaai.co, tempfile.aiquickdraw.com" in reply.json()["detail"]


def test_the_hosts_of_files_are_played(ask: Ask) -> None:
    """A result link leads to its picture through the same client."""
    fake = Fake("shortapi")
    body = {"model": "google/nano-banana-2/text-to-image", "args": {"prompt": "a", "aspect_ratio": "1:1"}}
    job = ask(fake, "POST", "/api/v1/job/create", json=body).json()["data"]["job_id"]
    fake.clock.advance(60)
    result = ask(fake, "GET", "/api/v1/job/query", params={"id": job}).json()["data"]["result"]
    assert ask(fake, "GET", result["images"][0]["url"]).headers["content-type"] == "image/png"


def test_a_header_may_hold_any_text(ask: Ask, tmp_path: Path) -> None:
    """A reply whose header repeats what the client said is sent, whatever its letters."""
    headers = {"X-Said": "$request.query.x"}
    root = small(tmp_path, replies={"account": {"headers": headers, "body": 1}})
    reply = ask(Fake("small", paths=[root]), "GET", "/account", params={"x": "日本"})
    assert reply.headers["x-said"] == "日本"


# In the caller's library


def test_the_answer_is_of_the_library_that_asked(library: ModuleType, ask: Ask) -> None:
    """Replies are of the class that the client knows, those whose body comes bit by bit as well."""
    fake = Fake("kie")
    fake.fault("dribble", on="status", pause_seconds=1)
    slow, plain = (ask(fake, "GET", "/api/v1/jobs/recordInfo", params={"taskId": "x"}) for _ in range(2))
    assert type(slow) is type(plain) is library.Response
    assert (slow.content, fake.clock.now() > EPOCH_SECONDS + 2) == (plain.content, True)


@pytest.mark.parametrize(
    ("fault", "parameters", "error"),
    [
        ("answer-lost", {}, "ReadError"),
        ("reset-in-body", {}, "ReadError"),
        ("body-truncated", {}, "RemoteProtocolError"),
        ("dribble", {"pause_seconds": 20}, "ReadTimeout"),
    ],
)
def test_errors_are_of_the_library_that_asked(
    library: ModuleType, ask: Ask, fault: str, parameters: dict[str, Any], error: str
) -> None:
    """What goes wrong on the way is the error that the client's library has for it, with the request."""
    fake = Fake("kie")
    fake.fault(fault, on="status", **parameters)
    with pytest.raises(getattr(library, error)) as caught:
        ask(fake, "GET", "/api/v1/jobs/recordInfo", params={"taskId": "x"}, timeout=10)
    assert type(caught.value.request) is library.Request


def test_nobody_there_is_the_error_of_the_library_that_asked(library: ModuleType, ask: Ask) -> None:
    """A provider that is down resets one connection, and refuses the next."""
    fake = Fake("kie")
    fake.fault("outage")
    with pytest.raises(library.ReadError):
        ask(fake, "POST", "/api/v1/jobs/createTask", json={})
    with pytest.raises(library.ConnectError):
        ask(fake, "POST", "/api/v1/jobs/createTask", json={})


def test_a_broken_stream_is_the_error_of_the_library_that_asked(library: ModuleType, listen: Listen) -> None:
    """A stream that breaks off is the error that the client's library has for it."""
    fake = Fake("oxen")
    fake.fault("stream-drops")
    enqueue(fake)
    with pytest.raises(library.RemoteProtocolError, match="in the middle of the stream"):
        listen(fake)


def test_a_request_of_a_derived_class_is_answered(library: ModuleType) -> None:
    """A request whose class somebody has derived is answered in the library that it was derived from."""
    derived = type("Derived", (library.Request,), {})
    fake = Fake("kie")
    with client_of(library.Client, fake, None) as client:
        assert type(client.send(derived("GET", f"{fake.base_url}/x"))) is library.Response


def test_the_other_library_is_not_imported() -> None:
    """A fake that is asked by httpx leaves httpx2 alone."""
    code = "import sys, understudy; understudy.Fake('kie').client().get('/x'); print('httpx2' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


# Waiting for a reply


def test_a_blocking_create_moves_time(ask: Ask) -> None:
    """The reply of a blocking create comes when the job has ended, in no time of the machine."""
    fake = Fake("oxen")
    reply = ask(fake, "POST", EDIT, json=GENERATION)
    assert len(reply.json()["images"]) == 1
    assert fake.clock.now() == EPOCH_SECONDS + 0.3 + 12


@pytest.mark.parametrize(("timeout", "gives_up"), [(1, True), (11.5, True), (12, False), (13, False)])
def test_a_client_gives_up_when_its_read_timeout_is_over(
    library: ModuleType, ask: Ask, timeout: float, gives_up: bool
) -> None:
    """The read timeout counts from the request on through all steps of the job, in virtual time; the job goes on."""
    fake = Fake("oxen")
    if gives_up:
        with pytest.raises(library.ReadTimeout, match=f"no answer within {timeout:g} seconds"):
            ask(fake, "POST", EDIT, json=GENERATION, timeout=timeout)
        assert fake.clock.now() == EPOCH_SECONDS + 0.3 + timeout
        assert [job.terminal for job in fake.jobs.values()] == [False]
    else:
        assert ask(fake, "POST", EDIT, json=GENERATION, timeout=timeout).status_code == 200


def test_waiting_for_a_job_that_is_stuck_is_caught(ask: Ask) -> None:
    """A client without a timeout that waits for what never ends is stopped."""
    with pytest.raises(ClockExhausted):
        ask(Fake("oxen", scenario="stuck-in-queue"), "POST", EDIT, json=GENERATION)


def test_two_tasks_wait_at_once() -> None:
    """Two blocking creates of one loop take the time of one, and a task that sleeps less wakes before their replies."""
    fake, order = Fake("oxen"), []

    async def edit(client: httpx.AsyncClient) -> None:
        await client.post(EDIT, json=GENERATION)
        order.append(("edit", fake.clock.now() - EPOCH_SECONDS))

    async def nap() -> None:
        await fake.clock.sleep_async(5)
        order.append(("nap", fake.clock.now() - EPOCH_SECONDS))

    async def main() -> None:
        async with fake.async_client() as client, anyio.create_task_group() as group:
            group.start_soon(edit, client)
            group.start_soon(edit, client)
            group.start_soon(nap)

    anyio.run(main)
    assert [what for what, _ in order] == ["nap", "edit", "edit"]
    assert order[-1][1] == pytest.approx(0.6 + 12)


def test_a_real_clock_is_waited_for(ask: Ask) -> None:
    """On a clock that runs by itself a blocking create answers when its time has come."""
    fake = Fake("oxen", clock=SystemClock(speed=1000))
    assert ask(fake, "POST", EDIT, json=GENERATION).status_code == 200
    assert [job.state for job in fake.jobs.values()] == [State.SUCCEEDED]


def test_a_real_clock_times_out(library: ModuleType, ask: Ask) -> None:
    """On a clock that runs by itself a client gives up as well."""
    fake = Fake("oxen", clock=SystemClock(speed=1000), scenario="stuck-in-queue")
    with pytest.raises(library.ReadTimeout):
        ask(fake, "POST", EDIT, json=GENERATION, timeout=5)


# Streams


def listen_sync(
    library: ModuleType, fake: Fake, *, timeout: float | None = None, most: int = 10
) -> list[tuple[float, str]]:
    """Listen to the events of the account, and return each with the time at which it came."""
    heard: list[tuple[float, str]] = []
    with client_of(library.Client, fake, timeout) as client, client.stream("GET", "/api/events") as reply:
        assert reply.headers["content-type"] == "text/event-stream"
        pieces = reply.iter_raw()
        while len(heard) < most:
            piece = next(pieces, None)
            if piece is None:
                break
            heard.append((round(fake.clock.now() - EPOCH_SECONDS, 3), piece.decode()))
    return heard


def listen_async(
    library: ModuleType, fake: Fake, *, timeout: float | None = None, most: int = 10
) -> list[tuple[float, str]]:
    heard: list[tuple[float, str]] = []

    async def main() -> None:
        client = client_of(library.AsyncClient, fake, timeout)
        async with client, client.stream("GET", "/api/events") as reply:
            async for piece in reply.aiter_raw():
                heard.append((round(fake.clock.now() - EPOCH_SECONDS, 3), piece.decode()))
                if len(heard) == most:
                    break

    anyio.run(main)
    return heard


Listen = Callable[..., "list[tuple[float, str]]"]


@pytest.fixture(params=[listen_sync, listen_async])
def listen(request, library: ModuleType) -> Listen:
    """Return a way to listen: each test is run with a sync and with an async client."""
    return functools.partial(request.param, library)


def enqueue(fake: Fake, *steps: Step) -> None:
    fake.next_job(timeline=steps or None)
    fake.client().post("/api/ai/queue", json=GENERATION)


def test_frames_come_one_by_one_at_their_times(listen: Listen) -> None:
    """Each frame reaches the client when it is sent, and not with the next one."""
    fake = Fake("oxen")
    for seconds in (20, 10):
        enqueue(fake, Step(State.RUNNING, seconds=seconds), Step(State.SUCCEEDED))
    heard = listen(fake, most=2)
    first, second = (job for job in reversed(list(fake.jobs.values())))
    assert [when for when, _ in heard] == [10.6, 20.3]
    assert [json.loads(text.partition("data: ")[2])["generation_id"] for _, text in heard] == [first.id, second.id]
    account = next(iter(fake.provider.accounts.values()))
    assert account.streams == []


def test_waiting_for_an_event_that_nobody_will_send_is_caught(listen: Listen) -> None:
    """A stream that nothing planned will feed raises ClockExhausted, and says that there is no replay."""
    fake = Fake("oxen")
    enqueue(fake)
    fake.clock.advance(60)
    with pytest.raises(ClockExhausted, match="there is no replay"):
        listen(fake)


@pytest.mark.parametrize("planned", [True, False])
def test_a_silent_stream_times_out(library: ModuleType, listen: Listen, planned: bool) -> None:
    """A client whose read timeout is shorter than the silence between keep-alives gives up, event planned or not."""
    fake = Fake("oxen")
    if planned:
        enqueue(fake, Step(State.QUEUED, seconds=4), Step(State.RUNNING, seconds=4), Step(State.SUCCEEDED))
    began = fake.clock.now() + 0.3
    with pytest.raises(library.ReadTimeout, match="silent for 5 seconds"):
        listen(fake, timeout=5)
    assert fake.clock.now() - began == pytest.approx(5, abs=1e-3)


@pytest.mark.parametrize("timeout", [None, 15, 60])
def test_keep_alives_hold_a_patient_client(listen: Listen, timeout: float | None) -> None:
    """A client that waits as long as a keep-alive takes hears an event that comes after minutes."""
    fake = Fake("oxen")
    enqueue(fake, Step(State.RUNNING, seconds=300), Step(State.SUCCEEDED))
    assert [when for when, _ in listen(fake, timeout=timeout, most=1)] == [300.3]


def test_each_frame_begins_the_timeout_anew(listen: Listen) -> None:
    """Frames that are closer together than the read timeout hold the stream open."""
    fake = Fake("oxen")
    for seconds in (4, 8, 12):
        enqueue(fake, Step(State.RUNNING, seconds=seconds), Step(State.SUCCEEDED))
    assert len(listen(fake, timeout=5, most=3)) == 3


def test_a_stream_ends_when_the_fake_says(listen: Listen) -> None:
    """After the end of a stream the client gets no more, and does not wait."""
    fake = Fake("oxen")
    fake.clock.call_at(fake.clock.now() + 7, fake.reset)
    assert listen(fake) == []
    assert fake.clock.now() == EPOCH_SECONDS + 7


def test_a_listener_hears_what_another_task_does() -> None:
    """A task that listens lets the others run, hears a keep-alive if they take long, and a job at its time."""
    fake, heard = Fake("oxen"), []

    async def listen(client: httpx.AsyncClient) -> None:
        async with client.stream("GET", "/api/events") as reply:
            async for piece in reply.aiter_raw():
                heard.append((round(fake.clock.now() - EPOCH_SECONDS, 3), piece[:1]))
                if piece[:1] != b":":
                    return

    async def work(client: httpx.AsyncClient) -> None:
        await fake.clock.sleep_async(100)
        await client.post("/api/ai/queue", json=GENERATION)
        await fake.clock.sleep_async(1000)
        heard.append((round(fake.clock.now() - EPOCH_SECONDS, 3), b""))

    async def main() -> None:
        async with fake.async_client() as client, anyio.create_task_group() as group:
            group.start_soon(listen, client)
            group.start_soon(work, client)

    anyio.run(main)
    made = 0.3 + 100 + 0.3
    assert heard == [(100.3, b":"), (made + 12, b"e"), (made + 1000, b"")]


@pytest.mark.parametrize("timeout", [None, 10_000])
def test_a_stream_on_a_real_clock(library: ModuleType, listen: Listen, timeout: float | None) -> None:
    """On a clock that runs by itself frames come by themselves; a client that waits too long for one gives up."""
    fake = Fake("oxen", clock=SystemClock(speed=1000))
    enqueue(fake)
    assert len(listen(fake, timeout=timeout, most=1)) == 1
    with pytest.raises(library.ReadTimeout):
        listen(fake, timeout=5)


# The same every time


def lifecycle(fake: Fake) -> Iterator[Any]:
    """Make a job at Kie and poll it to its end; yield what came."""
    client = fake.client()
    body = {"model": "nano-banana-pro", "input": {"prompt": "a"}}
    job = client.post("/api/v1/jobs/createTask", json=body).json()["data"]["taskId"]
    while True:
        record = client.get("/api/v1/jobs/recordInfo", params={"taskId": job}).json()["data"]
        yield record
        if record["state"] in ("success", "fail"):
            return
        fake.clock.sleep(3)


@pytest.mark.parametrize("scenario", [None, "slow", "content-policy", "server-fails-generation"])
def test_a_lifecycle_is_the_same_every_time(scenario: str | None) -> None:
    """Two runs of the same seed see the same states with the same ids at the same times, in the same journal."""
    first, second = (Fake("kie", seed=7, scenario=scenario) for _ in range(2))
    assert list(lifecycle(first)) == list(lifecycle(second))
    assert list(first.journal) == list(second.journal)
    assert first.clock.now() == second.clock.now()


def test_another_seed_gives_other_ids() -> None:
    """Ids come from the seed alone."""
    ids = [next(lifecycle(Fake("kie", seed=seed)))["taskId"] for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]


def test_every_request_takes_the_latency() -> None:
    """Each request moves a virtual clock by the latency of the behaviour file."""
    clock: Clock = VirtualClock(0)
    fake = Fake("shortapi", clock=clock)
    for _ in range(3):
        fake.client().get("/api/v1/job/query", params={"id": "x"})
    assert clock.now() == pytest.approx(1.2)
