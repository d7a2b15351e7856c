"""Tests of virtual time for code under test."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Any

import aiohttp
import httpx
import pytest
import tenacity

from tests.virtual import really_under
from understudy import ClockExhausted, Fake, Receiver, VirtualClock, serve
from understudy.server import LiveServer
from understudy.virtual_time import virtual_time

KIE = {"model": "nano-banana-pro", "input": {"prompt": "a lighthouse"}}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


# --- functions of time ------------------------------------------------------------------------------------------------


def test_a_sleep_moves_the_clock_and_returns_at_once(clock: VirtualClock) -> None:
    """`time.sleep`, also where it was imported by name, moves the clock by just so much."""
    began = clock.now()
    with virtual_time(clock), really_under(60):
        time.sleep(3600)
        sleep(600)
    assert clock.now() - began == 4200


def test_what_tells_the_time_follows(clock: VirtualClock) -> None:
    """The time, and the time that only goes on, follow the clock in all their forms, and go back to the real ones."""
    real = time.time(), time.monotonic()
    with virtual_time(clock):
        before = time.time(), time.time_ns() / 1e9, time.monotonic(), time.monotonic_ns() / 1e9, monotonic()
        assert time.time() == clock.now()
        clock.advance(1000)
        after = time.time(), time.time_ns() / 1e9, time.monotonic(), time.monotonic_ns() / 1e9, monotonic()
    assert [round(b - a, 3) for a, b in zip(before, after, strict=True)] == [1000] * 5
    assert before[2] >= real[1]
    assert 0 <= time.time() - real[0] < 600
    assert 0 <= monotonic() - real[1] < 600


def test_a_loop_with_a_deadline_ends(clock: VirtualClock) -> None:
    """A loop that waits until a moment of its own clock ends when the virtual one is there."""
    with virtual_time(clock), really_under(60):
        deadline = time.monotonic() + 600
        looks = 0
        while time.monotonic() < deadline:
            looks += 1
            time.sleep(5)
    assert looks == 120


def test_what_is_due_happens_on_the_way(clock: VirtualClock) -> None:
    """What is planned within a sleep happens at its moment, in order."""
    seen: list[float] = []
    began = clock.now()
    for seconds in (7, 3, 20):
        clock.call_at(began + seconds, lambda: seen.append(clock.now() - began))
    with virtual_time(clock):
        time.sleep(10)
        assert seen == [3, 7]
        time.sleep(10)
    assert seen == [3, 7, 20]


def test_a_negative_sleep_is_refused_as_ever(clock: VirtualClock) -> None:
    """A sleep of less than nothing raises what the real one raises."""
    with virtual_time(clock), pytest.raises(ValueError, match="sleep length must be non-negative"):
        time.sleep(-1)


def test_a_wait_that_nothing_ends_is_stopped(clock: VirtualClock) -> None:
    """A loop that swallows every exception ends all the same, at the ceiling."""

    def loop() -> None:
        while True:
            try:
                time.sleep(60)
            except Exception:  # as code under test does
                continue

    with (
        virtual_time(clock, ceiling_seconds=7200),
        pytest.raises(ClockExhausted, match="more than the ceiling of 7,200"),
    ):
        loop()


def test_other_threads_have_the_real_time(clock: VirtualClock) -> None:
    """A thread that did not ask for it sleeps for real, and moves no clock."""
    began = clock.now()
    with virtual_time(clock):
        seen: list[float] = []

        def nap() -> None:
            time.sleep(0.001)
            seen.append(time.time())

        thread = threading.Thread(target=nap)
        thread.start()
        thread.join(60)
    assert clock.now() == began
    assert abs(seen[0] - time.time()) < 600


def test_who_leaves_first_takes_nothing_from_the_other(clock: VirtualClock) -> None:
    """A virtual time lasts as long as it is asked for, whatever other threads have had one and have it no more."""
    entered, gone, other = threading.Event(), threading.Event(), VirtualClock()
    told: list[float] = []

    def wait() -> None:
        with virtual_time(other):
            entered.set()
            gone.wait(60)
            told.append(time.time())

    thread = threading.Thread(target=wait)
    with virtual_time(clock):
        thread.start()
        assert entered.wait(60)
    gone.set()
    thread.join(60)
    assert told == [other.now()]
    assert time.sleep.__module__ == "time"


def test_pythons_own_machinery_has_the_real_time(clock: VirtualClock) -> None:
    """What waits for a lock with a deadline of its own does so by the real time."""
    with virtual_time(clock), really_under(60):
        assert not threading.Event().wait(0.001)
        assert subprocess.run([sys.executable, "-c", ""], timeout=60).returncode == 0


def test_virtual_times_can_be_nested(clock: VirtualClock) -> None:
    """Within another virtual time the inner one counts, and after it the outer one."""
    inner = VirtualClock()
    began = clock.now()
    with virtual_time(clock):
        with virtual_time(inner):
            time.sleep(5)
        time.sleep(7)
    assert (inner.now() - began, clock.now() - began) == (5, 7)


@pytest.mark.parametrize("run", ["sync", "async"])
def test_tenacity_waits_in_virtual_time(clock: VirtualClock, run: str) -> None:
    """A library that sleeps on behalf of the code under test sleeps so, too."""
    tries: list[float] = []
    again = tenacity.retry(wait=tenacity.wait_fixed(30), stop=tenacity.stop_after_delay(100), reraise=True)

    def fail() -> None:
        tries.append(clock.now())
        raise OSError("no")

    async def fail_async() -> None:
        fail()

    with virtual_time(clock), really_under(60), pytest.raises(OSError, match="no"):
        again(fail)() if run == "sync" else asyncio.run(again(fail_async)())
    assert [round(at - tries[0]) for at in tries] == [0, 30, 60, 90, 120]


# --- with a fake ------------------------------------------------------------------------------------------------------


def polled(http: httpx.Client, pause: float) -> int:
    """Poll a job to its end as plain code does, and return how often it was asked for."""
    task = http.post("/api/v1/jobs/createTask", json=KIE).json()["data"]["taskId"]
    polls = 0
    while True:
        polls += 1
        if http.get("/api/v1/jobs/recordInfo", params={"taskId": task}).json()["data"]["state"] == "success":
            return polls
        time.sleep(pause)


def test_code_that_polls_with_sleep_sees_its_job_go_on(clock: VirtualClock) -> None:
    """Code that sleeps between polls finds the fake's job as far as the time that it has slept."""
    with Fake("kie", clock=clock) as fake, virtual_time(clock), really_under(60):
        assert polled(fake.client(), 5.0) == 4


def test_waits_in_process_and_sleeps_come_in_order(clock: VirtualClock) -> None:
    """A request that waits in process for its answer, and a task that sleeps, wake in the order of their times."""
    fake = Fake("oxen", scenario="slow-edit", clock=clock)
    woken: list[str] = []

    async def edit() -> None:
        async with fake.async_client() as http:
            body = {"model": "nano-banana", "prompt": "a", "input_image": "https://a.example/a.png"}
            await http.post("/api/ai/images/edit", json=body)
            woken.append("edit")

    async def tick() -> None:
        for _ in range(3):
            await asyncio.sleep(10)
            woken.append("tick")

    async def scene() -> None:
        await asyncio.gather(edit(), tick())

    with virtual_time(clock), really_under(60):
        asyncio.run(scene())
    assert woken == ["tick"] * 3 + ["edit"]


# --- with a live server -----------------------------------------------------------------------------------------------


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[LiveServer]:
    """A live server on the clock of the test."""
    with serve("kie", "oxen", clock=clock) as server:
        server.share_clock()
        yield server


HEADERS = {"authorization": "Bearer key"}


def test_a_live_job_goes_on_while_the_code_under_test_sleeps(clock: VirtualClock, server: LiveServer) -> None:
    """Plain code that polls a live server finds its job as far as the time that it has slept."""
    with virtual_time(clock, peers=(server,)), really_under(60), httpx.Client(trust_env=False) as http:
        http.base_url, http.headers = server.url_of("kie"), HEADERS
        assert polled(http, 5.0) == 4
    assert server.provider("kie").journal.transitions[-1].at <= clock.now()


@pytest.mark.parametrize("library", ["httpx", "aiohttp"])
def test_a_live_job_goes_on_while_a_loop_sleeps(clock: VirtualClock, server: LiveServer, library: str) -> None:
    """The same holds for asynchronous code, which keeps its connections."""
    url = server.url_of("kie")

    async def by_httpx(method: str, path: str, **options: Any) -> Any:
        async with httpx.AsyncClient(trust_env=False, headers=HEADERS) as http:
            return (await http.request(method, url + path, **options)).json()

    async def by_aiohttp(method: str, path: str, **options: Any) -> Any:
        async with sessions[0].request(method, url + path, headers=HEADERS, **options) as reply:
            return await reply.json()

    async def scene() -> int:
        ask = {"httpx": by_httpx, "aiohttp": by_aiohttp}[library]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session, asyncio.timeout(900):
            sessions.append(session)
            task = (await ask("POST", "/api/v1/jobs/createTask", json=KIE))["data"]["taskId"]
            polls = 1
            while (await ask("GET", f"/api/v1/jobs/recordInfo?taskId={task}"))["data"]["state"] != "success":
                polls += 1
                await asyncio.sleep(5)
            return polls

    sessions: list[aiohttp.ClientSession] = []
    with virtual_time(clock, peers=(server,)), really_under(60):
        assert asyncio.run(scene()) == 4


def test_a_callback_arrives_before_time_goes_on(clock: VirtualClock, server: LiveServer) -> None:
    """A callback that falls due in a sleep has been delivered, and refused ones tried again, when the sleep is over."""
    with virtual_time(clock, peers=(server,)), Receiver(status=500) as receiver, httpx.Client(trust_env=False) as http:
        body = {**KIE, "callBackUrl": receiver.url}
        http.post(f"{server.url_of('kie')}/api/v1/jobs/createTask", json=body, headers=HEADERS)
        time.sleep(3600)
    attempts = server.provider("kie").journal.attempts
    assert len(receiver.received) == len(attempts) == 4
    assert [round(b.at - a.at) for a, b in itertools.pairwise(attempts)] == [60, 300, 900]


EDIT = {"model": "nano-banana", "prompt": "a", "input_image": "https://a.example/a.png"}


def test_a_request_that_blocks_moves_the_clock(clock: VirtualClock, server: LiveServer) -> None:
    """A live request that waits for its job gets its answer at once, and the clock has moved by as much."""
    began = clock.now()
    with virtual_time(clock, peers=(server,)), really_under(60), httpx.Client(trust_env=False, timeout=60) as http:
        assert http.post(f"{server.url_of('oxen')}/api/ai/images/edit", json=EDIT, headers=HEADERS).json()["images"]
    assert clock.now() - began == pytest.approx(12, abs=0.1)


def test_a_loop_keeps_its_times_while_a_request_blocks(
    clock: VirtualClock, server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that sleeps wakes in order while another waits for a live request, however slow the machine lets it be."""
    monkeypatch.setattr("understudy.pump._HURRY_SECONDS", 0.0)
    woken: list[str] = []

    async def edit() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=None) as http:
            await http.post(f"{server.url_of('oxen')}/api/ai/images/edit", json=EDIT, headers=HEADERS)
            woken.append("edit")

    async def tick() -> None:
        for _ in range(3):
            await asyncio.sleep(3)
            woken.append("tick")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(edit(), 5)
        woken.append("timeout")

    async def scene() -> None:
        await asyncio.gather(edit(), tick())

    with virtual_time(clock, peers=(server,)), really_under(60):
        asyncio.run(scene())
    assert woken == ["tick"] * 3 + ["edit", "timeout"]


def test_a_request_that_blocks_for_ever_ends_at_the_ceiling(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream on which nothing but keep-alives comes is ended when it has lasted for the ceiling."""
    monkeypatch.setattr("understudy.pump.CEILING_SECONDS", 600)
    with serve("oxen", clock=clock) as server, httpx.Client(trust_env=False, timeout=60) as http:
        server.share_clock()
        with virtual_time(clock, peers=(server,)), really_under(60):
            url = f"{server.url_of('oxen')}/api/events"
            with http.stream("GET", url, headers=HEADERS) as stream:
                assert set(stream.iter_lines()) == {": keep-alive", ""}
    assert 600 < clock.now() - VirtualClock().now() < 700
