"""Tests of what headers say of a job: when it may be asked for again, and where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.player import Player, reply
from tests.small import create_with, small
from understudy import Client, Fake, Job, State, WaitTimeout
from understudy.check import check_provider
from understudy.fake import API_KEY
from understudy.folders import find_provider
from understudy.lifecycle import Step

POLL = [{"untilSeconds": 3, "everySeconds": 1}, {"everySeconds": 2.5}]
VIEW = {"id": "$job.id", "state": "$job.status", "result": "$job.result"}
HEADER = {"http": 200, "headers": {"Retry-After": "$job.pollAfterSeconds|seconds"}, "body": VIEW}
MILLISECONDS = {"headers": {"Poll-After-Ms": "$job.pollAfterSeconds|milliseconds|string"}, "body": VIEW}
MEMBER = {"body": {**VIEW, "next": "$job.pollAfterSeconds"}}


def written(root: Path, view: dict[str, Any], **more: Any) -> Path:
    """Write a provider whose status has this view."""
    status = {"operation": "getJob", "id": "$request.path.id", "reply": view, "poll": POLL}
    return small(root, status=status, **more)


# The fake


@pytest.mark.parametrize(("view", "texts"), [(HEADER, ["1", "2"]), (MILLISECONDS, ["1000", "2500"])])
def test_a_header_says_when_to_ask_again(tmp_path: Path, view: dict[str, Any], texts: list[str]) -> None:
    """The hint is the documented pace at that time, and goes when the job has ended."""
    fake = Fake("small", paths=[written(tmp_path, view)])
    fake.next_job(timeline=[Step(State.RUNNING, seconds=5), Step(State.SUCCEEDED)])
    (name,) = view["headers"]
    job = fake.client().post("/jobs", json={"prompt": "a"}).json()["id"]
    seen = []
    for _ in range(3):
        seen.append(fake.client().get(f"/jobs/{job}").headers.get(name))
        fake.clock.advance(3)
    assert seen == [*texts, None]


def test_an_answer_to_a_create_may_say_it_too(tmp_path: Path) -> None:
    """A client does not ask before that; where the status says nothing, the documented pace counts from there."""
    create = create_with(reply={"http": 202, "headers": HEADER["headers"], "body": {"id": "$job.id"}})
    fake = Fake("small", paths=[written(tmp_path, {"body": VIEW}, create=create)])
    client = Client(fake.contract, api_key=API_KEY, http=fake.client(), clock=fake.clock)
    job = client.submit({"prompt": "a"})
    assert job.poll_after_seconds == 1
    began = fake.clock.now()
    client.wait(job)
    reads = [exchange.at - began for exchange in fake.journal.exchanges if exchange.operation == "getJob"]
    assert reads == [1, 2, 3, 5.5]


def test_without_a_documented_pace_there_is_no_hint(tmp_path: Path) -> None:
    """Where the contract has no pace, nothing is said of one."""
    status = {"operation": "getJob", "id": "$request.path.id", "reply": HEADER}
    fake = Fake("small", paths=[small(tmp_path, status=status)])
    job = fake.client().post("/jobs", json={"prompt": "a"}).json()["id"]
    assert "retry-after" not in fake.client().get(f"/jobs/{job}").headers


# The client

DONE = reply({"id": "t", "state": "succeeded", "result": ["https://files.small.test/t/0.png"]})


def active(**headers: Any) -> Any:
    return reply({"id": "t", "state": "running"}, **headers)


@pytest.mark.parametrize(
    ("view", "answers", "times"),
    [
        (HEADER, [active(retry_after="7"), active(retry_after="20")], [0, 7, 27]),
        (HEADER, [active(retry_after="0.5")], [0, 0.5]),
        (MILLISECONDS, [active(poll_after_ms="7000"), active(poll_after_ms="250")], [0, 7, 7.25]),
        (MILLISECONDS, [active(poll_after_ms="7000"), active()], [0, 7, 14]),
        (MEMBER, [reply({"id": "t", "state": "running", "next": 7})], [0, 7]),
        *((HEADER, [active(retry_after=text)], [0, 1]) for text in ("soon", "0", "-5", "true", "[]", "NaN", "")),
        (MEMBER, [reply({"id": "t", "state": "running", "next": None})], [0, 1]),
    ],
)
def test_a_client_asks_when_it_is_told_to(
    tmp_path: Path, view: dict[str, Any], answers: list[Any], times: list[float]
) -> None:
    """A hint in a header or the body is kept until another comes; what is no time is no hint, and the pace counts."""
    player = Player("small", written(tmp_path, view))
    assert player.wait(*answers, DONE, job=Job(id="t")).state is State.SUCCEEDED
    assert player.times == times


def test_an_endless_hint_ends_with_the_deadline(tmp_path: Path) -> None:
    """However long the provider wants to wait, the caller's deadline is kept."""
    player = Player("small", written(tmp_path, MEMBER))
    with pytest.raises(WaitTimeout):
        player.wait(reply({"id": "t", "state": "running", "next": 1e300}), job=Job(id="t"), seconds=60)
    assert player.times == [0]


# What else a header says


def test_an_id_is_read_from_the_address_in_a_header(tmp_path: Path) -> None:
    """A create that answers with nothing but the address of its job is one that a client and the check understand."""
    headers = {"Operation-Location": "{$server.url}/jobs/{$job.id}", "Broken": "{$job.id}/{$job.createdAt|epoch}"}
    root = written(tmp_path, HEADER, create=create_with(reply={"http": 202, "headers": headers}))
    fake = Fake("small", paths=[root])
    client = Client(fake.contract, api_key=API_KEY, http=fake.client(), clock=fake.clock)
    job = client.submit({"prompt": "a"})
    assert list(fake.jobs) == [job.id]
    assert client.wait(job).outputs
    texts = [problem.text for problem in check_provider(find_provider("small", [root])).problems]
    assert not [text for text in texts if "create" in text], texts


def test_what_the_body_says_counts_before_a_header(tmp_path: Path) -> None:
    """Where both tell the same thing, the body is right."""
    view = {"headers": {"Job": "$job.model"}, "body": {**VIEW, "model": "$job.model"}}
    player = Player("small", written(tmp_path, view))
    both = reply({"id": "t", "state": "running", "model": "body"}, job="header")
    assert player.play(player.flows.status(Job(id="t")), both).model == "body"
    assert player.play(player.flows.status(Job(id="t")), active(job="header")).model == "header"
