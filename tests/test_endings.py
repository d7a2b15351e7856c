"""Tests of operations that remove a job, or stop or remove it by the state that it is in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import clients
from tests.acme import MADE, MAKE, Acme, exchange, looked, told
from tests.clients import pair
from tests.small import JOB, PATHS, small
from understudy import Fake, ProviderError, State, UsageError
from understudy.wire import Request, Stream

kind = clients.kind

ACTIVE = ["queued", "running"]
ENDED = ["succeeded", "failed", "cancelled", "expired"]
GONE = {"body": {"deleted": True, "id": "$job.id"}}
BUSY = {"http": 409, "body": {"deleted": False}}


def removing(root: Path, *, cancel: bool = False, states: list[str] = ENDED) -> Path:
    """Write a provider whose jobs can be removed after their end, by the operation that stops them or nothing else."""
    named = {"operation": "cancelJob", "id": "$request.path.id"}
    part = {**named, "from": states, "reply": GONE, "refused": BUSY}
    stop = {**named, "from": ACTIVE, "reply": {"body": {"state": "$job.status"}}} if cancel else None
    return small(root, delete=part, cancel=stop)


def made(fake: Fake, state: State | None = None) -> str:
    if state is not None:
        fake.next_job(state=state)
    return str(fake.client().post("/jobs", json={"prompt": "a"}).json()["id"])


def test_what_was_removed_is_not_found(tmp_path: Path) -> None:
    """After a delete a job is neither found nor listed, its files are gone, and it cannot be deleted again."""
    fake = Fake("small", paths=[removing(tmp_path)])
    job, other = made(fake, State.SUCCEEDED), made(fake)
    client, link = fake.client(), str(fake.jobs[job].outputs[0].url)
    assert client.get(link).status_code == 200
    assert client.delete(f"/jobs/{job}").json() == {"deleted": True, "id": job}
    assert [client.get(f"/jobs/{job}").status_code, client.delete(f"/jobs/{job}").status_code] == [404, 404]
    assert client.get("/jobs").json()["jobs"] == [other]
    assert client.get(link).status_code == 404
    assert list(fake.jobs) == [other]


def test_what_is_at_work_is_removed_only_where_it_can_be(tmp_path: Path) -> None:
    """A delete in another state is refused and changes nothing; an active job that is removed does nothing more."""
    fake = Fake("small", paths=[removing(tmp_path / "no")])
    job = made(fake)
    assert fake.client().delete(f"/jobs/{job}").status_code == 409
    assert fake.client().get(f"/jobs/{job}").status_code == 200
    fake = Fake("small", paths=[removing(tmp_path / "yes", states=ACTIVE)])
    job = made(fake)
    assert fake.client().delete(f"/jobs/{job}").status_code == 200
    fake.clock.advance(100)
    assert [entry.state for entry in fake.journal.transitions] == ["queued"]


@pytest.mark.parametrize(
    ("works", "taken"),
    [
        (["pending"], [False, True, False]),
        (["pending", "staged"], [True, True, False]),
        (["queued", "pending"], [True, True, False]),
        (["pending", 2], [False, True, True]),
    ],
)
def test_what_works_may_depend_on_the_word_of_a_state(tmp_path: Path, works: list[Any], taken: list[bool]) -> None:
    """A state may have several words, and only under one of them a job can still be stopped."""
    states = {"queued": ["staged", {"word": "pending"}], "running": [2], "succeeded": ["done"], "cancelled": ["off"]}
    timeline = [{"status": "staged", "seconds": 1}, {"status": "pending", "seconds": 1}, {"state": "running"}]
    cancel = {**JOB["cancel"], "from": works, "refused": BUSY}
    root = small(tmp_path, states=states, cancel=cancel, behaviour={"timeline": timeline})
    found = []
    for seconds in range(3):
        with Fake("small", paths=[root]) as fake:
            job = made(fake)
            fake.clock.advance(seconds + 0.5)
            found.append(fake.client().delete(f"/jobs/{job}").status_code == 200)
            assert (fake.jobs[job].state is State.CANCELLED) == found[-1]
    assert found == taken


def test_a_word_where_a_state_belongs_is_told_with_its_state(acme: Acme) -> None:
    """Callbacks and streams go by normal states; the provider's own word for one is nearly right."""
    acme.job["states"]["succeeded"] = [{"word": "done"}]
    acme.job["events"]["end"] = ["done"]
    acme.job["callback"]["trigger"] = ["broken", "brokne"]
    assert sorted(acme.problems()) == [
        'an item of "end" cannot be "done", which is a word of succeeded: write succeeded',
        'an item of "trigger" cannot be "broken", which is a word of failed: write failed',
        'an item of "trigger" cannot be "brokne"; there is: cancelled, expired, failed, queued, running, succeeded',
    ]


def test_the_stream_of_a_job_ends_with_it(tmp_path: Path) -> None:
    """Who listens to one job hears of its end when it is removed, and who listens to all goes on listening."""
    parameters = PATHS["/jobs/{id}"]["parameters"]
    paths = {"/jobs/{id}/events": {"parameters": parameters, "get": {"operationId": "listenToOne"}}}
    part = {"operation": "cancelJob", "id": "$request.path.id", "from": ACTIVE, "reply": {}}
    streams = []
    for scope, operation in (("job", "listenToOne"), ("account", "listen")):
        events = {"operation": operation, "scope": scope, "id": "$request.path.id", "frames": {}}
        fake = Fake("small", paths=[small(tmp_path / scope, paths=paths, events=events, delete=part, cancel=None)])
        job = made(fake)
        stream = fake.handle(Request("GET", "/events" if scope == "account" else f"/jobs/{job}/events"))
        fake.client().delete(f"/jobs/{job}")
        assert isinstance(stream, Stream)
        streams.append(stream.ended)
    assert streams == [True, False]


def test_one_operation_may_stop_and_remove(tmp_path: Path) -> None:
    """Where one operation does both, the state of the job decides which."""
    fake = Fake("small", paths=[removing(tmp_path, cancel=True)])
    job, client = made(fake), fake.client()
    assert client.delete(f"/jobs/{job}").json() == {"state": "cancelled"}
    assert client.get(f"/jobs/{job}").json()["state"] == "cancelled"
    assert client.delete(f"/jobs/{job}").json() == {"deleted": True, "id": job}
    assert client.delete(f"/jobs/{job}").status_code == 404


def test_a_job_is_removed_by_a_client(kind: Any, tmp_path: Path) -> None:
    """The client removes a job, and is told of a refusal, of a job that is not there, and where nothing is removed."""
    client, fake = pair(kind, "small", paths=[removing(tmp_path)])
    job = client.submit({"prompt": "a"})
    with pytest.raises(ProviderError, match="the delete was refused") as caught:
        client.delete(job)
    assert (caught.value.status_code, caught.value.job) == (409, job)
    done = client.wait(job)
    assert client.delete(done) is None
    for ask in (client.status, client.delete):
        with pytest.raises(ProviderError):
            ask(done)
    assert fake.jobs == {}
    with pytest.raises(UsageError, match="oxen has no operation that deletes a job"):
        pair(kind, "oxen")[0].delete(job)


def test_a_refusal_has_the_name_that_the_contract_gives_it(kind: Any, tmp_path: Path) -> None:
    """A refused cancel that looks like any other error is told from it by an error of that operation."""
    body = {"code": {"$match": 400}, "text": "$error.message"}
    errors = {
        "invalid": [{"http": 400, "message": "{$violation.message}", "body": body}],
        "tooLate": [{"operations": ["cancelJob"], "http": 409, "message": "It has ended", "body": body}],
    }
    view = {"http": 200, "body": {"code": 400, "text": "It has ended"}}
    cancel = {**JOB["cancel"], "reply": {"body": {"code": 200}}, "refused": view}
    success = "$response.body#/code != 400"
    root = small(tmp_path, cancel=cancel, errors=errors, errorTransports=["body"], successCriteria=success)
    client, _ = pair(kind, "small", paths=[root])
    with pytest.raises(ProviderError, match="the cancel was refused") as caught:
        client.cancel(client.run({"prompt": "a"}))
    assert (caught.value.name, caught.value.provider_message) == ("tooLate", "It has ended")
    assert str(caught.value).endswith("they do not allow it. It made no job and ended none.")


def test_a_named_refusal_of_a_cancel_is_how_things_are(kind: Any, tmp_path: Path) -> None:
    """Whatever status it has: an error of that operation alone is no fault in the request; one of the provider is."""
    body = {"error": {"$match": "too late"}}
    rule = {"operations": ["cancelJob"], "http": 400, "body": body}
    cancel = {**JOB["cancel"], "refused": {"http": 400, "body": {"error": "too late"}}}
    for status, advice in ((400, "Look how things are now: they do not allow it."), (503, "Ask again later")):
        rule["http"] = cancel["refused"]["http"] = status
        client, _ = pair(kind, "small", paths=[small(tmp_path, cancel=cancel, errors={"tooLate": [rule]})])
        with pytest.raises(ProviderError, match="tooLate") as caught:
            client.cancel(client.run({"prompt": "a"}))
        assert advice in str(caught.value)


@pytest.fixture
def acme(tmp_path: Path) -> Acme:
    """A provider whose jobs can be removed once they have ended, and that tells so as its schema says."""
    acme = Acme(tmp_path)
    body = {"type": "object", "required": ["was"], "properties": {"was": {"enum": ["done", "broken"]}}}
    answer = {"description": "Gone", "content": {"application/json": {"schema": body}}}
    wrong = {"description": "Wrong", "content": {"application/json": {"schema": {}}}}
    acme.openapi["paths"]["/jobs/{id}/remove"] = {
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "post": {"operationId": "remove", "responses": {"200": answer, "default": wrong}},
    }
    acme.job["delete"] = {
        "operation": "remove",
        "id": "$request.path.id",
        "from": ["succeeded", "failed"],
        "reply": {"body": {"was": "$job.status"}},
        "refused": {"http": 409, "body": {"is": "$job.status"}},
    }
    return acme


def test_a_delete_is_held_to_the_schema(acme: Acme) -> None:
    """The answers to a delete are rendered in the states that they are for."""
    assert acme.problems() == []
    acme.job["delete"]["from"].append("cancelled")
    assert [text for text in acme.problems() if "a job that is cancelled" in text and "/was" in text] != []


def test_a_recording_may_remove_a_job(acme: Acme) -> None:
    """A recorded delete is reproduced, refused or not, and so is what comes after it."""
    remove = {"operation": "remove", "path": {"id": "id-0001"}}
    acme.openapi["paths"]["/jobs/{id}/remove"]["post"]["responses"]["409"] = {"description": "Not yet"}
    exchanges = [
        exchange(MAKE, MADE),
        exchange(remove, {"status": 409, "body": {"is": "waiting"}}),
        looked("done"),
        exchange(remove, {"status": 200, "body": {"was": "done"}}),
        exchange(remove, {"status": 404}),
    ]
    assert told(acme, *exchanges) == []
    exchanges[3]["response"]["body"] = {"was": "broken"}
    assert told(acme, *exchanges) != []
