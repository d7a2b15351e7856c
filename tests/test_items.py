"""Tests of the items of a list of jobs: each may be a view of its job, by the state that the job is in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.small import JOB, PATHS, small, write
from understudy import Client, Fake
from understudy.check import check_provider
from understudy.contract.build import load_contract
from understudy.diff.compare import compare
from understudy.folders import find_provider
from understudy.lifecycle import State

#: A boolean tells whether a job has ended, and what stands beside it how.
STATES = {
    "queued": [{"word": False, "when": "!$response.body#/started"}],
    "running": [False],
    "succeeded": [{"word": True, "when": "$response.body#/response"}],
    "failed": [{"word": True, "when": '$response.body#/error && $response.body#/error/code != "STOPPED"'}],
    "cancelled": [{"word": True, "when": '$response.body#/error/code == "STOPPED"'}],
}

VIEW: dict[str, Any] = {
    "body": {"name": "$job.id", "done": "$job.status"},
    "bodyByState": {
        "running": {"started": True},
        "succeeded": {"response": "$job.result"},
        "failed": {"error": {"code": "FAILED", "message": "$job.error.message"}},
        "cancelled": {"error": {"code": "STOPPED", "message": "it was stopped"}},
    },
}


def listing(each: dict[str, Any]) -> dict[str, Any]:
    return {"operation": "listJobs", "reply": {"body": {"operations": {"$each": "$jobs", **each}}}}


def operations(root: Path, each: dict[str, Any], **parts: Any) -> Path:
    """Write a provider whose operations look alike in a list and in a poll."""
    reply = {"http": 201, "body": VIEW["body"]}
    create = [{"operations": ["createJob"], "input": "$request.body", "reply": reply}]
    status, cancel = {**JOB["status"], "reply": VIEW}, {**JOB["cancel"], "reply": VIEW}
    states = {"states": STATES, "create": create, "status": status, "cancel": cancel, "list": listing(each)}
    return small(root, **{**states, **parts})


def problems(root: Path) -> list[str]:
    return [problem.text for problem in check_provider(find_provider("small", [root])).problems]


def listed(root: Path) -> list[tuple[State, int, Any]]:
    """Return how a client finds a job of each state in a list: its state, its files and its error."""
    with Fake("small", paths=[root]) as fake, Client("small", api_key="", paths=[root], http=fake.client()) as client:
        for name in STATES:
            fake.next_job(state=State(name))
            client.submit({"prompt": "a"})
        return [(job.state, len(job.outputs), job.error and job.error.message) for job in client.jobs()]


def test_each_item_of_a_list_is_read_by_its_own_state(tmp_path: Path) -> None:
    """An item looks like the answer to a poll, and a client reads of it what it would of that."""
    root = operations(tmp_path, {"view": VIEW})
    assert problems(root) == []
    assert listed(root) == [
        (State.QUEUED, 0, None),
        (State.RUNNING, 0, None),
        (State.SUCCEEDED, 1, None),
        (State.FAILED, 0, "the job failed"),
        (State.CANCELLED, 0, None),
    ]


def test_an_item_may_have_words_of_its_own(tmp_path: Path) -> None:
    """A view in a list has its own words as any other view has."""
    words = {state: [f"in-{state}"] for state in STATES}
    root = operations(tmp_path, {"view": {"states": words, "body": {"name": "$job.id", "state": "$job.status"}}})
    assert problems(root) == []
    assert [state for state, *_ in listed(root)] == [State(name) for name in STATES]


def test_an_item_may_go_without_a_word(tmp_path: Path) -> None:
    """What tells the states apart may be a literal, or what the item has beside it."""
    view = {"body": {"name": "$job.id"}, "bodyByState": {state: {"is": {"$match": f"<{state}>"}} for state in STATES}}
    assert [state for state, *_ in listed(operations(tmp_path, {"view": view}))] == [State(name) for name in STATES]


def test_a_state_that_a_list_tells_wrongly_is_a_problem(tmp_path: Path) -> None:
    """A condition looks at the whole page where the items have no view: `check` says what a client reads then.

    A running job is read as queued, too, which is as good: a client waits for both.
    """
    found = problems(operations(tmp_path, {"do": VIEW["body"]}))
    assert [text.partition(":")[0] for text in found] == [
        f"a client that lists jobs reads one that is {state} as queued"
        for state in ("cancelled", "failed", "succeeded")
    ]
    assert found[0].endswith('conditions look at an item where "$each" has a "view" in place of "do"')


def test_a_list_may_tell_no_state(tmp_path: Path) -> None:
    """Ids alone are a list, too."""
    assert problems(operations(tmp_path, {"do": {"name": "$job.id"}})) == []


def test_a_list_that_a_client_cannot_ask_for_is_a_problem(tmp_path: Path) -> None:
    """What a client meets when it lists jobs is told as it stands."""
    parameter = {"name": "region", "in": "query", "required": True, "schema": {"type": "string", "pattern": "^eu"}}
    paths = {"/jobs": {**PATHS["/jobs"], "get": {"operationId": "listJobs", "parameters": [parameter]}}}
    (text,) = problems(operations(tmp_path, {"view": VIEW}, paths=paths))
    assert text.startswith("a client cannot list jobs: the list could not be read")


def test_an_item_that_does_not_fit_is_told_with_its_place(tmp_path: Path) -> None:
    """The error names the item within the page."""
    view = Fake("small", paths=[operations(tmp_path, {"view": VIEW})]).contract.job_type.listing
    assert view is not None
    with pytest.raises(Exception, match="an object is expected at /operations/1"):
        view.reply.read({"operations": [{"name": "a", "done": True}, 7]}, {})


@pytest.mark.parametrize(
    ("each", "text"),
    [
        ({"do": VIEW}, '"bodyByState" means nothing in "do", which is the item itself; write "view" in place of "do"'),
        ({"do": "$job.id", "view": VIEW}, '"do" cannot stand beside "view": an item is the one or the other'),
        ({"view": {"bodyBystate": {}}}, 'unknown key "bodyBystate"; did you mean "bodyByState"?'),
        ({"view": {"body": "$job.nothing"}}, '"$job" has no "nothing"; '),
    ],
)
def test_what_cannot_be_an_item_is_told(tmp_path: Path, each: dict[str, Any], text: str) -> None:
    """A key in the wrong place would be a member of the item, without a word."""
    found = [problem for problem in problems(operations(tmp_path, each)) if text in problem]
    assert len(found) == 1


def test_only_jobs_have_a_view(tmp_path: Path) -> None:
    """A file or a model has no state by which it could differ."""
    text = '"view" is for the items of $jobs in a reply: nothing else has states; write "do"'
    assert text in problems(small(tmp_path, outputs={"$each": "$job.outputs", "view": VIEW}))


def test_a_recorded_list_is_held_against_each_item_by_its_state(tmp_path: Path) -> None:
    """Ids and links are compared by kind, also where they stand in one state alone."""
    root = operations(tmp_path, {"view": VIEW})
    item = {"name": "job-1", "done": True, "response": ["https://files.small.test/job-1/0.png"]}
    made = {"status": 201, "body": {"name": "job-1", "done": False}}
    exchanges = [
        {"request": {"operation": "createJob", "body": {"prompt": "a"}}, "response": made},
        {"request": {"operation": "getJob", "path": {"id": "job-1"}}, "response": {"status": 200, "body": item}},
        {"request": {"operation": "listJobs"}, "response": {"status": 200, "body": {"operations": [item]}}},
    ]
    recording = {"source": {"document": "its page", "mark": "documented"}, "exchanges": exchanges}
    write(root / "contracts/small/recordings/list.yaml", recording)
    report = check_provider(find_provider("small", [root]))
    assert ([problem.text for problem in report.problems], report.reproduced) == ([], 1)


def test_what_an_item_loses_in_one_state_is_a_change(tmp_path: Path) -> None:
    """`diff` looks into the views of a list as it does into what is the same for all items."""
    fewer = {**VIEW, "bodyByState": {state: {} for state in VIEW["bodyByState"]}}
    old, new, plain = (
        load_contract(operations(tmp_path / name, each) / "contracts/small")
        for name, each in (("old", {"view": VIEW}), ("new", {"view": fewer}), ("plain", {"do": VIEW["body"]}))
    )
    told = {change.where.rpartition(".")[2]: change.rule for change in compare(old, new)}
    assert set(told.values()) == {"member-gone"}, told
    assert compare(new, plain) == []
