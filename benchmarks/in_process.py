"""In this process: a job that is created and polled three times, by a client that does not know who answers."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import requests
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

import understudy
from benchmarks import by_hand, played
from benchmarks.by_hand import CREATE_URL, POLL_URL
from benchmarks.figures import Found, Scale, Series, in_turn, ratios
from benchmarks.least import Least
from understudy import State, Step
from understudy.wire import Reply, Request

#: In one round.
LIFECYCLES = 20
ROUNDS = 41

POLLS = 3
HEADERS = {"authorization": played.KEY}

#: Of the provider's time between two polls; the third finds the job done.
PAUSE_SECONDS = 6.0

Pause = Callable[[float], object]


@contextmanager
def fake(**options: Any) -> Iterator[understudy.Fake]:
    """Yield a fake with limits, money and faults out of reach."""
    with tempfile.TemporaryDirectory() as name:
        paths = [played.write_provider(Path(name))]
        with understudy.Fake(played.PROVIDER, paths=paths, scenario=played.ARMED, **options) as made:
            yield made


def no_pause(_: float) -> None:
    """Wait for nobody: what answers has no time that could pass."""


def lifecycle(client: Any, pause: Pause) -> None:
    """Make a job and poll it, with a client of httpx or of requests."""
    created = client.post(CREATE_URL, json=played.BODY, headers=HEADERS).json()
    for _ in range(POLLS):
        pause(PAUSE_SECONDS)
        polled = client.get(POLL_URL, params={"taskId": created["data"]["taskId"]}, headers=HEADERS).json()
        assert polled["code"] == 200


async def async_lifecycle(client: httpx.AsyncClient, pause: Pause) -> None:
    """Do the same in async code."""
    created = (await client.post(CREATE_URL, json=played.BODY, headers=HEADERS)).json()
    for _ in range(POLLS):
        pause(PAUSE_SECONDS)
        params = {"taskId": created["data"]["taskId"]}
        polled = (await client.get(POLL_URL, params=params, headers=HEADERS)).json()
        assert polled["code"] == 200


def core_lifecycle(one: understudy.Fake | Least) -> None:
    """Do the same with requests and replies as data."""
    headers = [*HEADERS.items(), ("content-type", "application/json")]
    created = one.handle(Request("POST", played.CREATE_PATH, "", headers, _BODY))
    assert isinstance(created, Reply)
    task_id = json.loads(created.body)["data"]["taskId"]
    for _ in range(POLLS):
        one.clock.sleep(PAUSE_SECONDS)
        polled = one.handle(Request("GET", played.POLL_PATH, f"taskId={task_id}", [*HEADERS.items()]))
        assert isinstance(polled, Reply)


_BODY = json.dumps(played.BODY).encode()


def timed(run: Callable[[], object], times: int, patch: AbstractContextManager[object] | None = None) -> float:
    """Return how many microseconds this process computes for something each time; a patch is in place before."""
    with patch or nullcontext():
        began = time.process_time()
        for _ in range(times):
            run()
        return (time.process_time() - began) / times * 1e6


def transport(scale: Scale) -> Found:
    """Through a transport, against one that answers the same to everybody, and the mocks of others beside."""
    count = scale.size(LIFECYCLES, 5)
    least = Least()
    with fake() as ours, ours.client() as client, httpx.Client() as plain, requests.Session() as session:
        floor, alone = httpx.Client(transport=httpx.MockTransport(by_hand.constant)), least.client()
        sides = {
            "floor": lambda: timed(lambda: lifecycle(floor, no_pause), count),
            "Understudy": lambda: timed(lambda: lifecycle(client, ours.clock.sleep), count),
            "least": lambda: timed(lambda: lifecycle(alone, least.sleep), count),
            "respx": lambda: timed(lambda: lifecycle(plain, no_pause), count, by_hand.by_respx()),
            "pytest-httpx": lambda: timed(lambda: lifecycle(plain, no_pause), count, by_hand.by_pytest_httpx()),
            "responses": lambda: timed(lambda: lifecycle(session, no_pause), count, by_hand.by_responses()),
        }
        rounds = [dict(zip(sides, ran, strict=True)) for ran in in_turn(scale.rounds(ROUNDS), *sides.values())]
    others = [name for name in sides if name != "floor"]
    return {name: ratios(name, "floor", [(one[name], one["floor"]) for one in rounds], "µs") for name in others}


def async_transport(scale: Scale) -> Found:
    """The same in async code."""
    count = scale.size(LIFECYCLES, 5)
    with fake() as ours, asyncio.Runner() as runner:
        client, floor = ours.async_client(), httpx.AsyncClient(transport=httpx.MockTransport(by_hand.constant))

        async def lived(client: httpx.AsyncClient, pause: Pause) -> float:
            began = time.process_time()
            for _ in range(count):
                await async_lifecycle(client, pause)
            return (time.process_time() - began) / count * 1e6

        rounds = in_turn(
            scale.rounds(ROUNDS),
            lambda: runner.run(lived(client, ours.clock.sleep)),
            lambda: runner.run(lived(floor, no_pause)),
        )
        return {"Understudy": ratios("Understudy", "floor", rounds, "µs")}


def patched(scale: Scale) -> Found:
    """With every httpx client patched, against a side effect of respx that somebody wrote by hand."""
    count = scale.size(LIFECYCLES, 5)
    with fake() as ours, httpx.Client() as plain:
        rounds = in_turn(
            scale.rounds(ROUNDS),
            lambda: timed(lambda: lifecycle(plain, ours.clock.sleep), count, ours.mock()),
            lambda: timed(lambda: lifecycle(plain, no_pause), count, by_hand.by_respx()),
        )
        return {"Understudy": ratios("Understudy", "respx by hand", rounds, "µs")}


def core(scale: Scale) -> Found:
    """The core alone, with requests as data; and what is written by hand for this one provider."""
    least = Least()
    with fake() as ours:
        sides = [lambda: timed(lambda: core_lifecycle(ours), 100), lambda: timed(lambda: core_lifecycle(least), 100)]
        rounds = in_turn(scale.rounds(ROUNDS), *sides)
        return {"lifecycle": Series([one for one, _ in rounds]), "least": Series([one for _, one in rounds])}


def callbacks(scale: Scale) -> Found:
    """Jobs in virtual time, each with a signed callback into an application."""
    jobs = scale.size(1000, 20)
    told = list[bytes]()

    async def receiver(scope: AsgiScope, receive: Receive, send: Send) -> None:
        assert any(name == b"x-webhook-signature" for name, _ in scope["headers"])
        told.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    def run() -> float:
        told.clear()
        with fake(callback_app=receiver) as ours, ours.client() as client:
            began = time.process_time()
            for _ in range(jobs):
                client.post(played.CREATE_PATH, json={**played.BODY, "callBackUrl": "http://localhost/told"})
            ours.clock.sleep(60)
            assert len(told) == jobs
            return (time.process_time() - began) * 1000 / jobs

    return {"seconds": Series([one for (one,) in in_turn(scale.rounds(5), run)])}


def ten_minutes(scale: Scale) -> Found:
    """A job of ten virtual minutes as the reference client waits for it, against as many constant answers."""
    timeline = [Step(State.QUEUED, seconds=60), Step(State.RUNNING, seconds=540), Step(State.SUCCEEDED)]
    with fake() as ours, ExitStack() as stack:
        client = understudy.Client(played.PROVIDER, api_key="key", http=ours.client(), clock=ours.clock)
        floor = stack.enter_context(httpx.Client(transport=httpx.MockTransport(by_hand.constant)))

        def wait() -> None:
            ours.next_job(timeline=timeline)
            client.wait(client.submit(played.BODY["input"], model=played.BODY["model"]), timeout_seconds=900)

        wait()
        requests_made = len(ours.journal.exchanges)

        def answers() -> None:
            for _ in range(requests_made):
                floor.get(POLL_URL, params={"taskId": played.TASK_ID}, headers=HEADERS)

        sides = [lambda: timed(wait, 1) / 1000, lambda: timed(answers, 1) / 1000]
        found = ratios("Understudy", "floor", in_turn(scale.rounds(ROUNDS), *sides), "ms")
        return {"against the floor": found, "milliseconds": Series(found.sides["Understudy"])}
