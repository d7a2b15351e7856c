"""What stays: memory of a job, of a server after many requests, and what a poll costs among many jobs."""

from __future__ import annotations

import gc
import json
import random
import tempfile
import tracemalloc
from functools import partial
from pathlib import Path

import understudy
from benchmarks import played
from benchmarks.contenders import UNDERSTUDY, served
from benchmarks.figures import Found, Missing, Scale, Series, in_turn, ratios
from benchmarks.in_process import HEADERS, fake, timed
from benchmarks.load import drive
from benchmarks.programs import apart, on_last_cpu
from understudy.store import Plays
from understudy.wire import Reply, Request

_CREATE_HEADERS = [*HEADERS.items(), ("content-type", "application/json")]


def job(scale: Scale) -> Found:
    """Bytes that one job in play holds, counted and not estimated."""
    return {"bytes": Series([apart(bytes_of_a_job, scale.size(5000, 100))])}


def bytes_of_a_job(jobs: int) -> float:
    """Return what of the memory that is held is there for each of so many jobs."""
    with fake() as one:
        tracemalloc.start()
        before = held_after(one, min(1000, jobs))  # until what an account keeps of its movements is full
        after = held_after(one, jobs)
        tracemalloc.stop()
        return (after - before) / jobs


def held_after(one: understudy.Fake, jobs: int) -> int:
    """Return how many bytes are held after so many more jobs, but for what the journal has of them."""
    for _ in range(jobs):
        create(one)
    one.journal.clear()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def server(scale: Scale) -> Found | Missing:
    """What a live server has gained after 100,000 requests, a quarter of them creates, and from there to a million."""
    if reason := UNDERSTUDY.lacks():
        return Missing(reason)
    with tempfile.TemporaryDirectory() as name, served(UNDERSTUDY, Path(name)) as one, on_last_cpu():

        def load(requests: int) -> float:
            while requests > 0:
                polls = one.polls(64)  # of the newest jobs; older ones are forgotten in time
                mixed = [request for poll in polls for request in (one.contender.create, poll, poll, poll)]
                requests -= drive(one.port, mixed, one.contender.expected, 16, scale.window_seconds).requests
            return one.program.resident_megabytes()

        one.polls(1)  # or the provider is not loaded yet
        at_first = one.program.resident_megabytes()
        early = load(scale.size(100_000))
        late = load(scale.size(900_000))
    return {
        "first": Series([early - at_first], {"at first": [at_first], "after 100,000": [early]}, "MB"),
        "then": Series([late - early], {"after 100,000": [early], "after a million": [late]}, "MB"),
    }


def many(scale: Scale) -> Found:
    """A poll among a million jobs against one among a thousand."""
    lots = scale.size(1_000_000, 100)
    few = min(1000, lots)
    rounds = apart(polls_among, few, lots, scale.rounds(41))
    return {"ratio": ratios(f"{lots:,} jobs", f"{few:,} jobs", rounds, "µs")}


def polls_among(few: int, lots: int, rounds: int) -> list[tuple[float, ...]]:
    """Return how many microseconds a poll takes among many jobs and among few, in turn."""
    Plays.__init__.__defaults__ = (lots,)  # otherwise the first ones are forgotten when the later ones come
    with fake() as large, fake() as small:
        sides = []
        for one, jobs in ((large, lots), (small, few)):
            ids = [create(one) for _ in range(jobs)]
            sides.append(partial(poll, one, random.sample(ids, few)))  # so many on either side, from all over
        for one in (large, small):
            one.clock.sleep(60)  # so that all have ended, and are answered alike
        assert len(large.provider.plays) == lots
        return in_turn(rounds, *sides)


def create(one: understudy.Fake) -> str:
    """Make a job, and return its id."""
    one.clock.advance(0.001)
    body = json.dumps(played.BODY).encode()  # one for each job, as it is where they come over a wire
    reply = one.handle(Request("POST", played.CREATE_PATH, "", _CREATE_HEADERS, body))
    assert isinstance(reply, Reply)
    return str(json.loads(reply.body)["data"]["taskId"])


def poll(one: understudy.Fake, ids: list[str]) -> float:
    """Return how many microseconds a poll of one of some jobs takes."""
    requests = [
        Request("GET", played.POLL_PATH, f"taskId={chosen}", [*HEADERS.items()])
        for chosen in random.choices(ids, k=200)
    ]
    following = iter(requests)
    return timed(lambda: one.handle(next(following)), len(requests))
