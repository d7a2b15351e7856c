"""Tests of what `check` says where a client reads another state than the one that was shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.small import JOB, small, write
from understudy import Client, Fake
from understudy.check import CheckReport, check_provider
from understudy.folders import find_provider
from understudy.lifecycle import State

REPLY = {"body": {"id": "$job.id", "done": "$job.status"}}
ENDED: dict[str, Any] = {"succeeded": [{"word": True, "when": "$response.body#/response"}]}
VIEW = {
    **REPLY,
    "bodyByState": {"succeeded": {"response": "$job.result"}, "failed": {"error": {"message": "$job.error.message"}}},
}


def ending(root: Path, states: dict[str, Any], **parts: Any) -> Path:
    """Write a provider that says whether a job has ended."""
    create = [{"operations": ["createJob"], "input": "$request.body", "reply": REPLY}]
    usual = {"create": create, "status": {**JOB["status"], "reply": VIEW}, "cancel": None, "list": None}
    return small(root, states=states, **{**usual, **parts})


def report(root: Path) -> CheckReport:
    return check_provider(find_provider("small", [root]))


def problems(root: Path) -> list[str]:
    return [problem.text for problem in report(root).problems]


WORDS = {"queued": [False], "running": [False], **ENDED, "failed": [{"word": True, "when": "$response.body#/error"}]}


def test_two_active_states_may_share_a_word(tmp_path: Path) -> None:
    """A client takes the first and waits on; it is worth a note, and a recording of it is played."""
    root = ending(tmp_path, WORDS)
    listing = {"operation": "listJobs", "reply": {"body": {"$each": "$jobs", "view": VIEW}}}
    found = report(ending(tmp_path, WORDS, list=listing))
    assert [problem.text for problem in found.problems] == []
    assert "a client takes a job that is running for queued by this, and waits for either" in str(found.notes)
    recording = {
        "source": {"document": "its page", "mark": "documented"},
        "exchanges": [
            {
                "request": {"operation": "createJob", "body": {"prompt": "a"}},
                "response": {"status": 200, "body": {"id": "job-1", "done": False}},
            },
            {
                "request": {"operation": "getJob", "path": {"id": "job-1"}},
                "response": {"status": 200, "body": {"id": "job-1", "done": False}},
            },
        ],
    }
    write(root / "contracts/small/recordings/first.yaml", recording)
    write(
        root / "fakes/small/behaviour.yaml", {"timeline": [{"state": "running", "seconds": 3}, {"state": "succeeded"}]}
    )
    assert (problems(root), report(root).reproduced) == ([], 1)
    with (
        Fake("small", paths=[root]) as fake,
        Client("small", api_key="", paths=[root], http=fake.client(), clock=fake.clock) as client,
    ):
        assert client.run({"prompt": "a"}).state is State.SUCCEEDED


def test_frames_of_two_active_states_may_be_alike(tmp_path: Path) -> None:
    """An event that says no more than that a job goes on is one that a client can do without."""
    frame = {"data": {"id": "$job.id", "done": "$job.status"}}
    frames = {"queued": [frame], "running": [frame]}
    events = {"operation": "listen", "scope": "account", "frames": frames}
    assert problems(ending(tmp_path, WORDS, events=events)) == []


@pytest.mark.parametrize(
    ("states", "state", "why"),
    [
        (
            {**WORDS, "cancelled": [{"word": True, "when": "$response.body#/error"}]},
            "cancelled",
            'it reads the word true, and no "when" that goes with it holds',
        ),
        (
            {**WORDS, "failed": [True], "cancelled": [True]},
            "cancelled",
            "it reads failed, the first state that fits the word true and what stands beside it",
        ),
        (
            {state: [{"when": "$response.body#/id"}] for state in ("queued", "succeeded")},
            "succeeded",
            "it reads queued, the first state that fits no word and what stands beside it",
        ),
        (
            {state: [{"when": "$response.body#/ended"}] for state in ("queued", "succeeded")},
            "succeeded",
            'it reads no word, and no "when" that goes with it holds',
        ),
    ],
)
def test_a_state_that_is_misread_is_told_with_why(tmp_path: Path, states: Any, state: str, why: str) -> None:
    """The problem names what a client takes the job for, and what led it there."""
    text = f"a client cannot get the state of a job that is {state} from this: {why}"
    assert text in problems(ending(tmp_path, states))


def test_a_word_of_no_state_is_told(tmp_path: Path) -> None:
    """Where a view writes the word in a way that cannot be undone, nothing is known by what comes back."""
    states = {"queued": [1], "succeeded": ["2"]}
    root = ending(
        tmp_path, states, status={**JOB["status"], "reply": {"body": {"id": "$job.id", "s": "$job.status|string"}}}
    )
    text = "a client cannot get the state of a job that is succeeded from this: it reads the word 2, which no state has"
    assert text in problems(root)
