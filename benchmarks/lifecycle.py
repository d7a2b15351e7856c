"""A ten-minute job in virtual time: create, polls at the documented pace, result; beside as many constant answers.

The floor is an httpx client over a transport that answers the same bytes to everything, for as many requests.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

import httpx

import understudy
from understudy import State, Step

ROUNDS = 41
TIMELINE = [Step(State.QUEUED, seconds=60), Step(State.RUNNING, seconds=540), Step(State.SUCCEEDED)]


def main() -> None:
    """Print the figures."""
    fake = understudy.Fake("kie", balance=10**9)
    client = understudy.Client("kie", api_key="key", http=fake.client(), clock=fake.clock)
    constant = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200, content=b"{}")))

    def lifecycle() -> float:
        fake.next_job(timeline=TIMELINE)
        began = time.perf_counter()
        job = client.submit({"prompt": "a lighthouse"}, model="nano-banana-pro")
        client.wait(job, timeout_seconds=900)
        return (time.perf_counter() - began) * 1000

    before = len(fake.journal.exchanges)
    lifecycle()
    requests = len(fake.journal.exchanges) - before

    def floor() -> float:
        began = time.perf_counter()
        for _ in range(requests):
            constant.get("https://api.kie.ai/api/v1/jobs/recordInfo?taskId=cd072cd8be6f9f62ac4c09c28206e7e3")
        return (time.perf_counter() - began) * 1000

    floor()
    both = [(lifecycle(), floor()) for _ in range(ROUNDS)]
    ours, theirs = [first for first, _ in both], [second for _, second in both]
    ratios = [first / second for first, second in both]
    machine = f"{os.cpu_count()} CPUs, Python {sys.version.split()[0]}"
    print(f"ten virtual minutes, {requests} requests, {ROUNDS} pairs, {machine}")
    print(f"  lifecycle   {statistics.median(ours):.1f} ms ({min(ours):.1f} to {max(ours):.1f})   (under 10)")
    print(f"  floor       {statistics.median(theirs):.1f} ms ({min(theirs):.1f} to {max(theirs):.1f})")
    print(f"  ratio       {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
