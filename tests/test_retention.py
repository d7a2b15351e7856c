"""Tests of what is left of a job some time after its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import clients
from tests.acme import Acme
from tests.clients import pair
from tests.small import JOB, VIEW, small
from understudy import ContractInvalid, Fake, JobExpired, State

kind = clients.kind

#: A view of a job that tells whether its data was removed.
OLD = {"body": {**VIEW["body"], "input": "$job.input", "removed": "$job.dataRemoved"}}

#: When a job of the usual timeline has ended, in seconds.
ENDS = 5


def keeping(root: Path, **retention: Any) -> Path:
    """Write a provider that keeps its jobs for so long."""
    status = {"operation": "getJob", "id": "$request.path.id", "reply": OLD}
    listing = {"operation": "listJobs", "reply": {"body": {"$each": "$jobs", "do": OLD["body"]}}}
    return small(root, status=status, list=listing, retention=retention)


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Fake:
    """A fake that removes data after a minute and shows jobs as expired after two."""
    root = tmp_path_factory.mktemp("small")
    return Fake("small", paths=[keeping(root, dataSeconds=60, jobSeconds=120, then="expired")])


def made(fake: Fake) -> str:
    return str(fake.client().post("/jobs", json={"prompt": "a"}).json()["id"])


@given(st.lists(st.integers(1, 40), max_size=9))
def test_a_job_loses_its_data_and_then_its_state(fake: Fake, pauses: list[int]) -> None:
    """Whenever one looks, a job has its data until a minute after its end, and its state until two; the list agrees."""
    fake.reset()
    job, began, client = made(fake), fake.clock.now(), fake.client()
    for pause in (*pauses, 0):
        fake.clock.advance(pause)
        age = fake.clock.now() - began - ENDS
        shown = client.get(f"/jobs/{job}").json()
        assert client.get("/jobs").json() == [shown]
        assert shown["removed"] == (age > 60)
        assert (shown["input"] is None) == (age > 60)
        assert (shown["result"] is not None) == (0 <= age <= 60)
        assert (shown["state"] == "expired") == (age > 120)
    assert fake.jobs[job].data_removed is False  # the stand-in itself remembers


def test_a_job_that_does_not_end_is_kept(fake: Fake) -> None:
    """Nothing is removed of a job before its end."""
    fake.reset()
    fake.next_job(state=State.QUEUED)
    job = made(fake)
    fake.clock.advance(10**6)
    assert fake.client().get(f"/jobs/{job}").json()["input"] == {"prompt": "a"}


def test_what_has_expired_cannot_be_cancelled(fake: Fake) -> None:
    """A cancel sees the state that is shown."""
    fake.reset()
    job = made(fake)
    fake.clock.advance(1000)
    assert fake.client().delete(f"/jobs/{job}").json()["state"] == "expired"


def test_a_client_reads_what_is_left(kind: Any, tmp_path: Path) -> None:
    """A client is told that data was removed, keeps what it knew, and waits for no job that has expired."""
    client, fake = pair(kind, "small", paths=[keeping(tmp_path, dataSeconds=60, jobSeconds=120, then="expired")])
    job = client.submit({"prompt": "a"})
    done = client.wait(job)
    assert (done.data_removed, len(done.outputs)) == (False, 1)
    fake.clock.advance(70)
    assert (client.wait(job).outputs, client.wait(job).data_removed) == ((), True)
    assert len(client.status(done).outputs) == 1
    fake.clock.advance(70)
    with pytest.raises(JobExpired):
        client.wait(job)


def test_to_expire_needs_a_word(tmp_path: Path) -> None:
    """A contract whose jobs are shown as expired has a word for that, and says when."""
    words = {state: word for state, word in JOB["states"].items() if state != "expired"}
    with pytest.raises(ContractInvalid, match='"states" has no word for it'):
        Fake("small", paths=[small(tmp_path, states=words, retention={"jobSeconds": 1, "then": "expired"})])
    with pytest.raises(ContractInvalid, match="jobSeconds"):
        Fake("small", paths=[small(tmp_path, retention={"then": "expired"})])


def test_a_job_without_data_is_held_to_the_schema(tmp_path: Path) -> None:
    """What is left of a job has to be what the schema of the status says, too."""
    acme = Acme(tmp_path)
    acme.openapi["components"]["schemas"]["Job"]["properties"]["input"] = {"type": "object"}
    assert acme.problems() == []
    acme.job["retention"] = {"dataSeconds": 60}
    assert len([text for text in acme.problems() if "at /input: null" in text]) == 3
    acme.job["status"]["reply"]["body"]["input"] = "$job.input|default({})"
    assert acme.problems() == []
