"""Tests of event loops in virtual time."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import anyio
import anyio.to_thread
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtual import really_under
from understudy import ClockExhausted, VirtualClock
from understudy.virtual_time import virtual_time


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@given(st.lists(st.lists(st.floats(0.001, 100), min_size=1, max_size=4), min_size=1, max_size=4))
def test_tasks_wake_in_the_order_of_their_times(naps: list[list[float]]) -> None:
    """However many tasks sleep however long, they wake in order, each at its moment, with what is due between."""
    clock = VirtualClock()
    woken: list[float] = []
    due: list[float] = []
    began = clock.now()

    async def nap(seconds: list[float]) -> None:
        at = clock.now()
        for one in seconds:
            await asyncio.sleep(one)
            at += one
            assert clock.now() == pytest.approx(at, abs=1e-3)
            woken.append(clock.now())

    async def scene() -> None:
        clock.call_at(began + 50, lambda: due.append(clock.now()))
        await asyncio.gather(*map(nap, naps))

    with virtual_time(clock):
        asyncio.run(scene())
    assert woken == sorted(woken)
    assert due == [began + 50] * (woken[-1] > began + 50)


def test_timeouts_of_a_loop_come_in_virtual_time(clock: VirtualClock) -> None:
    """asyncio's and anyio's sleeps and timeouts, and the time of the loop, go by the clock."""

    async def scene() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(1000), 60)
        with anyio.move_on_after(5):
            await anyio.sleep(1000)
        await anyio.sleep(5)
        async with asyncio.timeout(1_000_000):
            pass  # a timer that was cancelled moves nothing
        await asyncio.sleep(1)
        return loop.time() - began

    with virtual_time(clock), really_under(60):
        assert asyncio.run(scene()) == pytest.approx(101, abs=0.01)


def test_a_loop_that_nothing_wakes_is_stopped(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that waits for what nobody will do raises ClockExhausted instead of hanging."""
    monkeypatch.setattr("understudy.virtual_loop._PATIENCE_SECONDS", 0.01)
    with virtual_time(clock), pytest.raises(ClockExhausted, match="nothing is planned that would wake it"):
        asyncio.run(asyncio.Event().wait())


def test_a_loop_that_another_thread_wakes_goes_on(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is planned, a thread of somebody else's may still wake the loop."""
    looked, next_due = threading.Event(), clock.next_due

    def asked() -> float | None:
        looked.set()
        return next_due()

    async def scene() -> str:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[str] = loop.create_future()

        def wake() -> None:
            looked.wait()
            loop.call_soon_threadsafe(told.set_result, "awake")

        threading.Thread(target=wake, daemon=True).start()
        return await told

    monkeypatch.setattr(clock, "next_due", asked)
    monkeypatch.setattr("understudy.virtual_loop._PATIENCE_SECONDS", 60)
    with virtual_time(clock), really_under(60):
        assert asyncio.run(scene()) == "awake"


def test_a_loop_that_sleeps_for_ever_is_stopped(clock: VirtualClock) -> None:
    """A task that sleeps again and again ends at the ceiling."""

    async def scene() -> None:
        while True:
            await asyncio.sleep(60)

    with virtual_time(clock, ceiling_seconds=3600), pytest.raises(ClockExhausted, match="the ceiling of 3,600"):
        asyncio.run(scene())


@pytest.mark.parametrize("run", [asyncio.to_thread, anyio.to_thread.run_sync], ids=["asyncio", "anyio"])
def test_a_thread_of_the_loop_is_waited_for(clock: VirtualClock, run: Callable[..., Any]) -> None:
    """While a thread works for the loop, its timers do not come before their real time."""

    async def scene() -> str:
        async with asyncio.timeout(3600):
            await run(time.sleep, 0.03)
            return "done"

    began = clock.now()
    with virtual_time(clock), really_under(60):
        assert asyncio.run(scene()) == "done"
    assert clock.now() - began < 60


def test_a_pipe_of_the_loop_is_waited_for(clock: VirtualClock) -> None:
    """While another process works for the loop, its timers do not come before their real time."""

    async def scene() -> bytes:
        program = "import time; time.sleep(0.05); print('done')"
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
        async with asyncio.timeout(3600):
            return (await process.communicate())[0]

    with virtual_time(clock), really_under(60):
        assert asyncio.run(scene()).strip() == b"done"


def slow_server(pause_seconds: float) -> tuple[socket.socket, int]:
    """Return a listening socket, and its port, that answers in two pieces with a pause before each."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while connection.recv(65536):
                    time.sleep(pause_seconds)
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n")
                    connection.sendall(b"done")

    threading.Thread(target=serve, daemon=True).start()
    return listener, listener.getsockname()[1]


async def by_httpx(url: str, pause: float) -> list[str]:
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        texts = []
        for _ in range(3):
            texts.append((await http.get(url)).text)
            await asyncio.sleep(pause)
        return texts


async def by_aiohttp(url: str, pause: float) -> list[str]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        texts = []
        for _ in range(3):
            async with http.get(url) as reply:
                texts.append(await reply.text())
            await asyncio.sleep(pause)
        return texts


@pytest.mark.parametrize("ask", [by_httpx, by_aiohttp])
@pytest.mark.parametrize("pause", [5.0, 100.0])
def test_a_real_socket_is_waited_for(clock: VirtualClock, ask: Callable[..., Any], pause: float) -> None:
    """While an answer is on its way over a real socket no timeout comes; sleeps between requests cost nothing."""
    listener, port = slow_server(0.02)
    began = clock.now()
    with listener, virtual_time(clock), really_under(60):
        assert asyncio.run(ask(f"http://127.0.0.1:{port}/", pause)) == ["done"] * 3
    assert 3 * pause <= clock.now() - began < 3 * pause + 30


def test_a_silent_socket_times_out_as_ever(clock: VirtualClock) -> None:
    """Where nothing ever comes over a real socket, the timeout comes when it really would."""

    async def scene() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            _, writer = await asyncio.open_connection(*silent.getsockname())
            writer.write(b"?")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.05)
            writer.close()

    with virtual_time(clock), really_under(60):
        asyncio.run(scene())


def test_a_server_in_the_same_loop_does_not_stop_the_clock(clock: VirtualClock) -> None:
    """A server that runs in the loop under test, with a connection that it keeps, holds nothing up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            writer.write(b"done\n")
        writer.close()
        await writer.wait_closed()

    async def scene() -> list[bytes]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        got = []
        for _ in range(3):
            writer.write(b"?\n")
            got.append(await reader.readline())
            await asyncio.sleep(600)
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(1)  # the other side closes
        server.close()
        return got

    with virtual_time(clock), really_under(60):
        assert asyncio.run(scene()) == [b"done\n"] * 3


def test_a_loop_of_another_thread_runs_in_real_time(clock: VirtualClock) -> None:
    """A loop that runs in another thread has the real time, and serves who calls it from virtual time."""
    woken: list[float] = []
    began = clock.now()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.001)
        woken.append(clock.now())
        writer.close()

    async def serve_one() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        address.append(server.sockets[0].getsockname())
        there.set()
        while not woken:
            await asyncio.sleep(0.001)
        server.close()

    address: list[tuple[str, int]] = []
    there = threading.Event()
    with virtual_time(clock):
        thread = threading.Thread(target=lambda: asyncio.run(serve_one()))
        thread.start()
        assert there.wait(60)
        with socket.create_connection(address[0]):
            thread.join(60)
    assert woken == [began]


def test_sockets_of_other_threads_are_not_looked_at(clock: VirtualClock) -> None:
    """What a thread beside the loop asks over a socket of its own is its own affair."""

    def ask(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"?")
            answer = b""
            while not answer.endswith(b"done"):
                answer += connection.recv(100)
            return answer

    listener, port = slow_server(0.001)
    with listener, virtual_time(clock), really_under(60):
        assert asyncio.run(asyncio.to_thread(ask, port)).startswith(b"HTTP/1.1 200")
