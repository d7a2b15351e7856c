"""Tests of how jobs are made."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.small import BODY, create_with, small
from understudy.fake import API_KEY, Fake
from understudy.lifecycle import State, Step
from understudy.wire import Reply, Request, Wait


def fake_of(root: Path, *, provider: dict[str, Any] | None = None, **parts: Any) -> Fake:
    return Fake("small", paths=[small(root, **parts)], **(provider or {}))


def post(fake: Fake, body: Any, **options: Any) -> httpx.Response:
    return fake.client(**options).post("/jobs", json=body)


# Checking


def test_a_bad_input_is_refused_early(tmp_path: Path) -> None:
    """Usually a bad input is refused: no job, no charge."""
    fake = fake_of(tmp_path, errors={"invalid": [{"http": 422, "body": {"field": "$violation.field"}}]})
    reply = post(fake, {"prompt": "a" * 51})
    assert (reply.status_code, reply.json()) == (422, {"field": "prompt"})
    assert fake.jobs == {}


INPUT: dict[str, Any] = {
    "type": "object",
    "required": ["input"],
    "properties": {"input": BODY, "tag": {"type": "string"}},
}


def late(root: Path, *, nested: bool) -> Fake:
    """Return a fake that checks the input when the job runs."""
    flat = {**BODY, "properties": {**BODY["properties"], **INPUT["properties"]}}
    content = {"application/json": {"schema": INPUT if nested else flat}}
    return fake_of(
        root,
        paths={"/jobs": {"post": {"operationId": "createJob", "requestBody": {"required": True, "content": content}}}},
        create=create_with(
            input="$request.body#/input" if nested else "$request.body",
            claims=["$request.body#/tag"],
            validates="late",
        ),
        failures={"invalid": {"message": "bad {$violation.field}"}},
        list=None,
    )


@pytest.mark.parametrize(
    ("nested", "body", "message"),
    [
        (False, {"prompt": "a" * 51, "tag": "x"}, "bad prompt"),
        (False, {"tag": "x"}, "bad prompt"),
        (True, {"input": {"prompt": 5}}, "bad prompt"),
        (True, {"input": {}}, "bad prompt"),
        (True, {"input": 5}, "bad input"),
        (True, {}, "bad input"),
    ],
)
def test_a_bad_input_is_found_late_where_the_contract_says(tmp_path, nested: bool, body: Any, message: str) -> None:
    """A provider that looks at the input when the job runs makes the job, which then fails with the violation."""
    fake = late(tmp_path, nested=nested)
    reply = post(fake, body)
    assert reply.status_code == 201
    fake.clock.advance(100)
    job = fake.jobs[reply.json()["id"]]
    assert job.error is not None
    assert (job.state, job.error.name, job.error.message) == (State.FAILED, "invalid", message)


@pytest.mark.parametrize(
    ("nested", "body"),
    [(False, {"prompt": "a", "tag": 5}), (False, []), (True, {"input": {"prompt": "a"}, "tag": 5}), (True, "text")],
)
def test_what_is_outside_the_input_is_checked_early(tmp_path: Path, nested: bool, body: Any) -> None:
    """A provider that looks at the input late refuses at once what is wrong beside it."""
    fake = late(tmp_path, nested=nested)
    assert post(fake, body).status_code == 422
    assert fake.jobs == {}


def test_a_late_violation_without_a_failure_of_its_own_has_its_text(tmp_path: Path) -> None:
    """Where the contract names no failure `invalid`, the job fails with the violation as it is."""
    fake = fake_of(tmp_path, create=create_with(validates="late"))
    job = post(fake, {}).json()["id"]
    fake.clock.advance(100)
    error = fake.jobs[job].error
    assert error is not None
    assert (error.name, error.message) == (None, '"prompt" is a required property')


# The job


def test_a_job_is_what_was_asked_for(tmp_path: Path) -> None:
    """Model, input and callback URL are where the contract says; what another key claims is not part of the input."""
    fake = fake_of(tmp_path, create=create_with(model="$request.body#/model", claims=["$request.body#/tag"]))
    body = {"prompt": "a", "model": "m", "callback": "http://127.0.0.1/", "tag": 1, "size": 2}
    job_id = post(fake, body).json()["id"]
    job = fake.jobs[job_id]
    assert (job.model, job.input, job.request) == ("m", {"prompt": "a", "size": 2}, body)
    assert (job.callback_url, job.operation, job.created_at) == ("http://127.0.0.1/", "createJob", fake.clock.now())


@pytest.mark.parametrize("value", [5, None, "", [], {"a": 1}])
def test_what_is_no_text_is_no_model_and_no_url(tmp_path: Path, value: Any) -> None:
    """A model or a callback URL that is no text, or none at all, is none."""
    fake = fake_of(tmp_path, create=create_with(model="$request.body#/model", input="$request.body#/model"))
    job_id = post(fake, {"prompt": "a", "model": value, "callback": value}).json()["id"]
    job = fake.jobs[job_id]
    assert job.callback_url is None
    assert job.model == (value if isinstance(value, str) else None)
    assert job.input == (value if isinstance(value, dict) else {})


def test_a_form_makes_a_job_with_what_tells_of_its_files(tmp_path: Path) -> None:
    """Where a form is sent, the job's input has its fields, and of a file what tells of it, so that it can be shown."""
    content = {"multipart/form-data": {"schema": BODY}}
    paths = {"/jobs": {"post": {"operationId": "createJob", "requestBody": {"required": True, "content": content}}}}
    status = {"operation": "getJob", "id": "$request.path.id", "reply": {"body": ["$job.input", "$job.request"]}}
    fake = fake_of(tmp_path, paths=paths, status=status, list=None)
    client = fake.client()
    job = client.post("/jobs", data={"prompt": "a"}, files={"image": b"png"}).json()["id"]
    told = {"name": "upload", "mediaType": "application/octet-stream", "size": 3}
    assert client.get(f"/jobs/{job}").json() == [{"prompt": "a", "image": told}] * 2


# Its id

CHOSEN = ["$request.body#/own", "$request.header.Own", "job-{digits:8}"]


def test_a_client_may_choose_the_id(tmp_path: Path) -> None:
    """The first text at the places of an id is the id, and no part of the input; without one it is minted."""
    fake = fake_of(tmp_path, id=CHOSEN)
    assert post(fake, {"prompt": "a", "own": "mine"}).json()["id"] == "mine"
    assert fake.jobs["mine"].input == {"prompt": "a"}
    assert fake.client().get("/jobs/mine").json()["id"] == "mine"
    other = fake.client(headers={"Own": "theirs"})
    assert other.post("/jobs", json={"prompt": "a", "own": ""}).json()["id"] == "theirs"
    assert re.fullmatch(r"job-\d{8}", post(fake, {"prompt": "a", "own": None}).json()["id"])


def test_an_id_that_is_taken_is_refused(tmp_path: Path) -> None:
    """Another job with the id of one that there is, whoever made it, is a named error: no job and no charge."""
    answer = [{"http": 409, "body": {"field": "$violation.field", "value": "$violation.value"}}]
    fake = fake_of(tmp_path, id=CHOSEN, errors={"idTaken": answer}, prices={"rules": [{"amount": 2}]})
    post(fake, {"prompt": "a", "own": "mine"})
    reply = post(fake, {"prompt": "b", "own": "mine"}, api_key="other")
    assert (reply.status_code, reply.json()) == (409, {"field": "own", "value": "mine"})
    assert [job.request for job in fake.jobs.values()] == [{"prompt": "a", "own": "mine"}]
    assert fake.ledger.charged == 2


def test_an_id_that_is_the_whole_body_is_taken_as_well(tmp_path: Path) -> None:
    """A place may be the body itself."""
    content: dict[str, Any] = {"application/json": {"schema": {}}}
    paths = {"/jobs": {"post": {"operationId": "createJob", "requestBody": {"content": content}}}}
    fake = fake_of(tmp_path, id=["$request.body", "{uuid}"], paths=paths, list=None)
    assert post(fake, "mine").json()["id"] == "mine"
    assert post(fake, "mine").status_code == 409


def test_of_several_jobs_one_has_the_chosen_id(tmp_path: Path) -> None:
    """Where one request makes several jobs, the first has the id and the others have one of their own."""
    reply = {"body": {"ids": {"$each": "$jobs", "do": "$job.id"}}}
    fake = fake_of(tmp_path, id=CHOSEN, create=create_with(count=2, reply=reply))
    ids = post(fake, {"prompt": "a", "own": "mine"}).json()["ids"]
    assert ids[0] == "mine"
    assert len(set(ids)) == 2


# How many


@given(st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.lists(st.none()))
def test_as_many_jobs_as_asked(many: Fake, count: Any) -> None:
    """A number from 1 to 100 makes so many jobs; anything else makes one."""
    many.reset()
    reply = post(many, {"prompt": "a", "n": count})
    asked = int(count) if isinstance(count, int | float) and 1 <= count <= 100 else 1
    assert len(reply.json()["ids"]) == asked
    assert list(many.jobs) == reply.json()["ids"]
    assert many.ledger.charged == 2 * asked


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Fake:
    """Return a fake that makes as many jobs as a request says, at two a job."""
    reply = {"body": {"ids": {"$each": "$jobs", "do": "$job.id"}}}
    return fake_of(
        tmp_path_factory.mktemp("many"),
        create=create_with(count="$request.body#/n", reply=reply),
        prices={"rules": [{"amount": 2}]},
    )


# Money


def test_the_first_price_that_fits_is_charged(tmp_path: Path) -> None:
    """What a job costs is the first rule whose condition holds; without one that holds it costs nothing."""
    rules = [{"when": '$job.input#/prompt == "a"', "amount": 0.1}, {"when": "$request.body#/dear", "amount": 9}]
    fake = fake_of(tmp_path, prices={"rules": rules})
    for body in ({"prompt": "a", "dear": True}, {"prompt": "b", "dear": True}, {"prompt": "b"}):
        post(fake, body)
    assert [job.cost for job in fake.jobs.values()] == [0.1, 9, 0]
    assert fake.ledger.charged == 9.1


@pytest.mark.parametrize(
    ("per", "body", "cost"),
    [
        ("$job.input#/n", {"n": 3}, 0.06),
        (["$job.input#/n", 4], {}, 0.08),
        ("$job.input#/n", {}, 0.02),
        ("$job.input#/n", {"n": True}, 0.02),
        ("$job.input#/n", {"n": -3}, 0.02),
        ("$request.body#/n|string", {"n": "0.5"}, 0.01),
        ("$request.body#/n|string", {"n": "many"}, 0.02),
    ],
)
def test_a_price_is_for_each(tmp_path: Path, per: Any, body: dict[str, Any], cost: float) -> None:
    """A price is multiplied, exactly, by the number at its place; where there is none it is for one."""
    fake = fake_of(tmp_path, prices={"rules": [{"amount": 0.02, "per": per}]})
    post(fake, {"prompt": "a", **body})
    assert fake.ledger.charged == cost


def test_what_cannot_be_paid_is_not_made(tmp_path: Path) -> None:
    """Without the money for all of its jobs a request makes none, and nothing is charged."""
    fake = fake_of(tmp_path, create=create_with(count=3), prices={"rules": [{"amount": 4}]}, provider={"balance": 11})
    reply = post(fake, {"prompt": "a"})
    assert (reply.status_code, reply.json()["title"]) == (402, "credits")
    assert (fake.jobs, fake.ledger.balance) == ({}, 11)


def test_too_many_jobs_at_once_are_refused(tmp_path: Path) -> None:
    """An account may have so many active jobs; one that ends makes room, and other accounts have their own."""
    security = {"type": "apiKey", "in": "header", "name": "X-Key"}
    fake = fake_of(tmp_path, limits={"concurrent": {"jobs": 2}}, security=security)
    assert [post(fake, {"prompt": "a"}).status_code for _ in range(3)] == [201, 201, 429]
    assert post(fake, {"prompt": "a"}, api_key="other").status_code == 201
    fake.clock.advance(5)
    assert post(fake, {"prompt": "a"}).status_code == 201


# How it goes


def test_a_plan_goes_before_the_scenario(tmp_path: Path) -> None:
    """What the test asks for comes first, then what the scenario tells of this create, then the usual."""
    story = {"description": "x", "nth": 3, "timeline": [{"state": "cancelled"}]}
    fake = fake_of(tmp_path, scenarios={"story": story}, provider={"scenario": "story"})
    fake.next_job(state=State.EXPIRED)
    states = [post(fake, {"prompt": "a"}).json()["state"] for _ in range(4)]
    assert states == ["expired", "queued", "cancelled", "queued"]


def test_a_planned_error_makes_no_job(tmp_path: Path) -> None:
    """A create that answers a named error makes nothing, also where the contract has no rule for the error."""
    rules = {"serverError": [{"http": 500}], "mine": [{"when": "$job.id == 5", "http": 500}]}
    fake = fake_of(tmp_path, errors=rules, prices={"rules": [{"amount": 1}]})
    for name in ("serverError", "mine"):
        fake.next_job(error=name)
        assert post(fake, {"prompt": "a"}).status_code == 500
    assert (fake.jobs, fake.ledger.charged) == ({}, 0)


def test_an_error_that_commits_makes_the_job(tmp_path: Path) -> None:
    """Where the contract says that an error has made the job all the same, it has, and the answer may tell its id."""
    rule = {"http": 505, "body": {"id": "$job.id", "message": "$error.message"}, "message": "sorry", "committed": "yes"}
    fake = fake_of(tmp_path, errors={"serverError": [rule]}, prices={"rules": [{"amount": 1}]})
    fake.next_job(error="serverError")
    reply = post(fake, {"prompt": "a"})
    assert (reply.status_code, reply.json()) == (505, {"id": next(iter(fake.jobs)), "message": "sorry"})
    assert fake.ledger.charged == 1
    exchange = fake.journal.exchanges[-1]
    assert (exchange.error, exchange.jobs) == ("serverError", tuple(fake.jobs))
    fake.clock.advance(5)
    assert fake.client().get(f"/jobs/{reply.json()['id']}").json()["state"] == "succeeded"


# Blocking


def blocking(**sync: Any) -> list[dict[str, Any]]:
    """Return the group of a create that blocks, and tells of all of its jobs."""
    outputs = {"$each": "$job.outputs", "do": "$output.content|base64"}
    reply = {
        "body": {"states": {"$each": "$jobs", "do": "$job.status"}, "id": "$job.id", "error": "$job.error.message"},
        "bodyWhen": [{"when": "$job.input#/bytes", "body": {"files": outputs}}],
    }
    return create_with(sync=sync, reply=reply, count="$request.body#/n")


def test_a_blocking_create_answers_with_the_outcome(tmp_path: Path) -> None:
    """It takes as long as the job does and tells how it ended, for all jobs of the request."""
    fake = fake_of(tmp_path, create=blocking(), failures={"broken": {"message": "it broke"}})
    began = fake.clock.now()
    assert post(fake, {"prompt": "a", "n": 2}).json()["states"] == ["succeeded"] * 2
    assert fake.clock.now() == began + 5
    fake.next_job(failure="broken")
    assert post(fake, {"prompt": "a"}).json()["error"] == "it broke"
    assert len(fake.journal.exchanges) == 2


def test_a_blocking_create_may_carry_the_files(tmp_path: Path) -> None:
    """Where the answer has the bytes of the results in it, they are drawn for it."""
    fake = fake_of(tmp_path, create=blocking(), behaviour={"pictures": {"count": 2}})
    files = post(fake, {"prompt": "a", "bytes": True}).json()["files"]
    assert [file[:8] for file in files] == ["iVBORw0K"] * 2


def test_only_who_asks_to_wait_is_blocked(tmp_path: Path) -> None:
    """Where waiting is asked for by the request, others get the job as it begins."""
    fake = fake_of(tmp_path, create=blocking(when='$request.header.Prefer ~ "^wait"'))
    assert post(fake, {"prompt": "a"}).json()["states"] == ["queued"]
    assert post(fake, {"prompt": "a"}, headers={"Prefer": "wait=5"}).json()["states"] == ["succeeded"]


@pytest.mark.parametrize(("most", "state"), [(0.5, "queued"), (2, "running"), (4, "running"), (5, "succeeded")])
def test_the_patience_of_a_blocking_create_ends(tmp_path: Path, most: float, state: str) -> None:
    """After so many seconds the create answers with the job as it is, which goes on."""
    fake = fake_of(tmp_path, create=blocking(maxSeconds=most))
    began = fake.clock.now()
    reply = post(fake, {"prompt": "a"}).json()
    assert (reply["states"], fake.clock.now()) == ([state], began + most)
    fake.clock.advance(5)
    assert fake.jobs[reply["id"]].state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("prefer", "seconds", "state"),
    [("wait=1", 1, "queued"), ("respond-async, wait=3", 3, "running"), ("wait=0", 0, "queued"), ("wait", 4, "running")],
)
def test_a_request_says_how_long_it_waits(tmp_path: Path, prefer: str, seconds: float, state: str) -> None:
    """Where the longest wait is a place, it is the first value there; one that is no number waits for the end."""
    most = ['$request.header.Prefer|preference("wait")', 4]
    fake = fake_of(tmp_path, create=blocking(maxSeconds=most))
    began = fake.clock.now()
    assert post(fake, {"prompt": "a"}, headers={"Prefer": prefer}).json()["states"] == [state]
    assert fake.clock.now() == began + seconds
    assert post(fake, {"prompt": "a"}, headers={"Prefer": "wait=long"}).json()["states"] == ["succeeded"]


def test_nobody_reads_a_job_whose_create_blocks(tmp_path: Path) -> None:
    """Steps that wait for reads are over at once, at the beginning and later; the others take their time."""
    fake = fake_of(tmp_path, create=blocking())
    began = fake.clock.now()
    reads = Step(State.RUNNING, reads=3)
    fake.next_job(timeline=[Step(State.QUEUED, reads=9), Step(State.RUNNING, seconds=4), reads, Step(State.SUCCEEDED)])
    assert post(fake, {"prompt": "a", "n": 2}).json()["states"] == ["succeeded"] * 2
    assert fake.clock.now() == began + 4


def waiting(fake: Fake) -> Wait:
    body = json.dumps({"prompt": "a"}).encode()
    headers = [("content-type", "application/json"), *fake.key_headers(API_KEY).items()]
    outcome = fake.handle(Request("POST", "/jobs", "", headers, body))
    assert isinstance(outcome, Wait)
    return outcome


def test_a_job_that_never_ends_blocks_for_ever(tmp_path: Path) -> None:
    """A create of a job that is stuck has no moment at which it answers."""
    fake = fake_of(tmp_path, create=blocking())
    fake.next_job(state=State.QUEUED)
    assert waiting(fake).until == float("inf")


def test_a_reset_ends_a_blocking_create(tmp_path: Path) -> None:
    """A create that blocks while the fake forgets its job answers at its next look, with the job as it is."""
    fake = fake_of(tmp_path, create=blocking())
    fake.next_job(timeline=[Step(State.QUEUED, seconds=2), Step(State.RUNNING, reads=1), Step(State.SUCCEEDED)])
    wait = waiting(fake)
    fake.reset()
    fake.clock.advance(2)
    reply = wait.resume()
    assert isinstance(reply, Reply)
    assert json.loads(reply.body)["states"] == ["queued"]
    assert fake.jobs == {}


@pytest.mark.parametrize(("count", "balance", "status"), [(1, 2, 402), (1, 3, 201), (2, 5, 402), (2, 6, 201)])
def test_the_balance_of_a_request_has_to_cover_all_its_jobs(
    tmp_path: Path, count: int, balance: float, status: int
) -> None:
    """A scenario that is named by a request says what can be spent on it, whatever the account has."""
    fake = fake_of(
        tmp_path,
        create=create_with(count="$request.body#/count"),
        prices={"rules": [{"amount": 3}]},
        scenarios={"poor": {"description": "There is little.", "balance": balance}},
        provider={"balance": 100},
    )
    headers = {"understudy-scenario": "poor"}
    reply = fake.client().post("/jobs", json={"prompt": "a", "count": count}, headers=headers)
    assert (reply.status_code, len(fake.jobs)) == (status, count if status == 201 else 0)


@pytest.mark.parametrize(("body", "jobs"), [({}, 2), ({"count": 3}, 3)])
def test_a_default_stands_in_for_what_is_missing_alone(tmp_path: Path, body: dict[str, Any], jobs: int) -> None:
    """A default of the contract counts where a request says nothing, and not where it does."""
    fake = fake_of(tmp_path, create=create_with(count="$request.body#/count|default(2)"))
    assert post(fake, {"prompt": "a", **body}).status_code == 201
    assert len(fake.jobs) == jobs
