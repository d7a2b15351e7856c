"""Tests of both clients against the fakes: jobs, errors, waits."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import httpx
import pytest

from tests import clients
from tests.clients import CASES, Case, each_provider, pair, scripted
from tests.small import JOB, small
from understudy import (
    AsyncClient,
    Fake,
    Job,
    JobCancelled,
    JobError,
    JobFailed,
    OutcomeUnknown,
    ProviderError,
    Refused,
    State,
    Step,
    UsageError,
    WaitTimeout,
)
from understudy.fake import API_KEY

kind = clients.kind


# By the contract alone


@each_provider
def test_a_job_is_made_and_waited_for(kind: Any, provider: str, case: Case) -> None:
    """A job is made, goes through its states and succeeds with a file of the right kind, for each provider."""
    client, fake = pair(kind, provider)
    began = fake.clock.now()
    job = client.submit(**case.job)
    assert (job.state, job.model) == (State.QUEUED, case.model)
    assert fake.ledger.charged == case.cost
    fake.clock.advance(5)
    assert client.status(job).state is State.RUNNING
    done = client.wait(job)
    assert (done.id, done.state) == (job.id, State.SUCCEEDED)
    assert client.download(done.outputs[0]).startswith(b"\x89PNG")
    assert fake.clock.now() - began < case.seconds + 5


@each_provider
def test_a_job_that_fails_says_why(kind: Any, provider: str, case: Case) -> None:
    """A job that fails raises JobFailed with the contract's name, the provider's code and text, and with the job."""
    client, fake = pair(kind, provider)
    name, code, message = case.failure
    fake.next_job(failure=name)
    with pytest.raises(JobFailed) as caught:
        client.run(**case.job)
    error = caught.value
    assert (error.name, error.provider_message) == (name, message)
    assert error.job is not None
    assert error.job.error == JobError(name, code, message)
    assert (error.job.state, error.job.id) == (State.FAILED, next(iter(fake.jobs)))


def test_the_shorthands_pass_on_what_they_are_given(kind: Any) -> None:
    """`run` makes its job by the operation and waits as long as it is told; `submit_many` tries no longer than that."""
    client, fake = pair(kind, "oxen")
    assert client.run({"prompt": "x"}, model="nano-banana", operation="editImage").operation == "editImage"
    with pytest.raises(UsageError, match='no create is called "odd"'):
        client.submit_many(**CASES["oxen"].job, count=2, operation="odd")
    fake.next_job(error="rateLimited")
    with pytest.raises(Refused):
        client.submit_many(**CASES["oxen"].job, count=2, timeout_seconds=0)
    assert len(fake.journal.exchanges) == 2
    client, fake = pair(kind, "oxen", scenario="stuck-in-queue")
    with pytest.raises(WaitTimeout, match="the job did not end within 100 seconds"):
        client.run(**CASES["oxen"].job, timeout_seconds=100)


def test_a_job_is_cancelled(kind: Any) -> None:
    """A cancelled job is told as cancelled, and a wait for it raises JobCancelled."""
    client, _ = pair(kind, "oxen")
    job = client.cancel(client.submit(**CASES["oxen"].job))
    assert job.state is State.CANCELLED
    with pytest.raises(JobCancelled, match="the job was cancelled"):
        client.wait(job)


def test_a_job_that_has_ended_is_not_cancelled(kind: Any) -> None:
    """A cancel that comes too late leaves the job as it is and returns it so."""
    client, _ = pair(kind, "oxen")
    done = client.run(**CASES["oxen"].job)
    assert client.cancel(done) == done


def test_events_tell_of_jobs_that_end(kind: Any) -> None:
    """The stream tells of each job that ends, with its result or its error, and of nothing else."""
    client, fake = pair(kind, "oxen")
    http = fake.client()

    def submit_two() -> None:
        fake.next_job(failure="content-policy")
        for _ in range(2):
            http.post("/api/ai/queue", json={"model": "nano-banana", "prompt": "a lighthouse"})

    failed, done = client.listen(submit_two, count=2)
    first, second = fake.jobs
    assert failed.error is not None
    assert (failed.id, failed.state, failed.error.message) == (first, State.FAILED, CASES["oxen"].failure[2])
    assert (done.id, done.state, done.outputs[0].url) == (second, State.SUCCEEDED, fake.jobs[second].result)


def test_one_request_makes_several_jobs(kind: Any) -> None:
    """submit_many returns every job that the request made; submit refuses to choose among several."""
    client, fake = pair(kind, "oxen")
    jobs = client.submit_many(**CASES["oxen"].job, count=3)
    assert [job.id for job in jobs] == list(fake.jobs)
    assert {client.wait(job).state for job in jobs} == {State.SUCCEEDED}
    with pytest.raises(UsageError, match="the request made 2 jobs: call submit_many"):
        client.submit({**CASES["oxen"].input, "num_generations": 2}, model="nano-banana")


def test_a_refused_model_is_held_against_the_contract(kind: Any) -> None:
    """What was probably meant is named; a model that the contract has is not called wrong."""
    client, fake = pair(kind, "kie")
    with pytest.raises(Refused, match='no model "nano-banana-por"; did you mean "nano-banana-pro"'):
        client.submit({"prompt": "a lighthouse"}, model="nano-banana-por")
    fake.next_job(error="unknownModel")
    with pytest.raises(Refused) as caught:
        client.submit(**CASES["kie"].job)
    assert caught.value.what == "the create was refused"


def test_an_input_is_an_object(kind: Any) -> None:
    """Anything else is refused before a request is made."""
    client, fake = pair(kind, "oxen")
    with pytest.raises(UsageError, match=r"an input is an object, such as .*, and not 'a lighthouse'"):
        client.submit("a lighthouse", model="nano-banana")
    assert len(fake.journal) == 0


def test_each_of_several_jobs_has_its_own_state(kind: Any) -> None:
    """A create that tells of jobs which have ended returns them as ended, and a wait fetches what came of them."""
    client, _ = pair(kind, "oxen", scenario="ends-at-once")
    jobs = client.submit_many(**CASES["oxen"].job, count=2)
    assert [(job.state, job.outputs) for job in jobs] == [(State.SUCCEEDED, ())] * 2
    assert all(client.wait(job).outputs for job in jobs)


@pytest.mark.parametrize("form", ["url", "b64_json"])
def test_a_create_that_blocks_returns_a_job_that_has_ended(kind: Any, form: str) -> None:
    """A create that blocks returns the job succeeded, with a link or with the content itself."""
    client, fake = pair(kind, "oxen")
    job = client.submit({"prompt": "x", "response_format": form}, model="nano-banana", operation="editImage")
    assert (job.state, len(job.outputs)) == (State.SUCCEEDED, 1)
    assert (job.outputs[0].content is None) == (form == "url")
    assert client.wait(job) is job
    assert client.download(job.outputs[0]).startswith(b"\x89PNG")
    assert fake.ledger.charged == 0.05


def test_a_blocking_create_whose_job_fails_is_no_refusal(kind: Any) -> None:
    """A job that fails inside a blocking create is returned as failed: it was made, and it was charged."""
    client, fake = pair(kind, "oxen")
    fake.next_job(failure="content-policy")
    job = client.submit({"prompt": "x"}, model="nano-banana", operation="editImage")
    assert job.state is State.FAILED
    assert fake.ledger.charged == 0.05
    with pytest.raises(JobFailed, match="Green net check failed"):
        client.wait(job)


def test_a_create_that_blocks_for_too_long_is_unknown(kind: Any) -> None:
    """A blocking create that outlasts the client's deadline ends as unknown, at the deadline."""
    client, fake = pair(kind, "oxen", scenario="slow")
    began = fake.clock.now()
    with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
        client.submit({"prompt": "x"}, model="nano-banana", operation="editImage", timeout_seconds=60)
    assert fake.clock.now() == pytest.approx(began + 60, abs=1)
    assert len(fake.jobs) == 1


# Accepted, refused for certain, unknown

# Errors that a client cannot tell from others, by what it takes them for: the careful one of those that fit.
TAKEN_FOR = {
    ("kie", "unsupportedMediaType"): "unauthorized",  # the same body
    ("kie", "invalid"): "serverError",  # without a violation it has no text, and code 500 can mean anything
    ("oxen", "invalid"): "malformed",  # the same body
    ("oxen", "unknownPath"): "notFound",  # the same body
    ("shortapi body", "expired"): None,  # code 404 is no literal to match, and the status is 200
}


def named_errors() -> list[Any]:
    found = []
    for provider in CASES:
        job_type = Fake(provider).contract.job_type
        operation = job_type.creates[0].operations[0]
        for transport in job_type.errors.transports:
            for name in job_type.errors.rules:
                rule = job_type.errors.find(name, operation, {})
                if rule is not None and rule.name == name:
                    found.append(pytest.param(provider, transport, rule, id=f"{provider}-{transport}-{name}"))
    return found


@pytest.mark.parametrize(("provider", "transport", "rule"), named_errors())
def test_a_named_error_is_what_the_contract_says(kind: Any, provider: str, transport: Any, rule: Any) -> None:
    """Each named error of a create is accepted, refused or unknown, in each transport, as the contract has it."""
    client, fake = pair(kind, provider, errors=transport)
    fake.next_job(error=rule.name)
    taken = TAKEN_FOR.get((provider, rule.name), TAKEN_FOR.get((f"{provider} {transport}", rule.name), rule.name))
    if taken is None:
        committed = "unknown"
    else:
        rules = fake.contract.job_type.errors.rules[taken]
        committed = rule.committed if taken == rule.name else rules[0].committed
    if committed == "yes":
        assert client.submit(**CASES[provider].job, timeout_seconds=0).id in fake.jobs
        return
    with pytest.raises(Refused if committed == "no" else OutcomeUnknown) as caught:
        client.submit(**CASES[provider].job, timeout_seconds=0)
    assert caught.value.name == taken
    assert caught.value.operation == fake.contract.job_type.creates[0].operations[0]
    assert len(fake.journal.exchanges) == 1
    assert not fake.jobs


@each_provider
def test_what_is_charged_is_what_was_not_refused(kind: Any, provider: str, case: Case) -> None:
    """A refusal that is certain has charged nothing; too little money is such a refusal."""
    client, fake = pair(kind, provider, balance=case.cost / 2)
    with pytest.raises(Refused) as caught:
        client.submit(**case.job)
    assert caught.value.name == "credits"
    assert (fake.ledger.charged, fake.jobs) == (0, {})


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("no route"),
        httpx.ConnectTimeout("too slow"),
        httpx.PoolTimeout("all busy"),
        httpx.UnsupportedProtocol("ftp"),
        httpx.InvalidURL("no URL"),
        UnicodeEncodeError("ascii", "ü", 0, 1, "no header"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_was_not_sent_is_refused(kind: Any, error: Exception) -> None:
    """A create that never left is refused for certain, and sent once."""
    calls = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        raise error

    with pytest.raises(Refused, match=f"the create got no answer: {type(error).__name__}"):
        scripted(kind, answer).submit(**CASES["kie"].job)
    assert calls == 1


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout("too slow"),
        httpx.WriteTimeout("too slow"),
        httpx.ReadError("reset"),
        httpx.WriteError("reset"),
        httpx.RemoteProtocolError("half an answer"),
        httpx.ProxyError("who knows"),
        httpx.DecodingError("no gzip"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_have_been_sent_is_unknown(kind: Any, error: Exception) -> None:
    """A create whose answer got lost is unknown, and is sent exactly once however long the deadline is."""
    calls = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        raise error

    with pytest.raises(OutcomeUnknown, match=f"the create got no answer: {type(error).__name__}"):
        scripted(kind, answer).submit(**CASES["kie"].job, timeout_seconds=10_000)
    assert calls == 1


def test_a_create_that_may_pass_is_repeated(kind: Any) -> None:
    """A create that is refused for now is repeated until it is accepted, and charged once."""
    client, fake = pair(kind, "kie")
    for _ in range(3):
        fake.next_job(error="rateLimited")
    client.submit(**CASES["kie"].job)
    creates = [exchange.at for exchange in fake.journal.exchanges]
    pauses = [later - earlier for earlier, later in itertools.pairwise(creates)]
    assert pauses == pytest.approx([1.5, 2.5, 4.5])  # 1, 2 and 4 seconds, and half a second for each request
    assert fake.ledger.charged == 18


# Waits


@pytest.mark.parametrize(
    ("provider", "paces"),
    [
        ("kie", [(30, 3), (120, 10), (None, 30)]),
        ("shortapi", [(None, 3)]),
        ("oxen", [(30, 2), (None, 5)]),
    ],
)
def test_polls_keep_the_documented_pace(kind: Any, provider: str, paces: list[tuple[float | None, float]]) -> None:
    """A job that stays queued is polled at the pace that the contract documents, by the journal's times."""
    client, fake = pair(kind, provider, scenario="stuck-in-queue")
    job = client.submit(**CASES[provider].job)
    began, latency = fake.clock.now(), fake.provider.behaviour.latency_seconds
    with pytest.raises(WaitTimeout):
        client.wait(job, timeout_seconds=300)
    sent = [exchange.at - began - latency for exchange in fake.journal.exchanges[1:]]
    expected = [0.0]
    while expected[-1] < 300:
        pace = next(every for until, every in paces if until is None or expected[-1] < until)
        expected.append(expected[-1] + latency + pace)
    assert sent == pytest.approx(expected[:-1], abs=1e-3)


@each_provider
def test_a_wait_ends_at_its_deadline(kind: Any, provider: str, case: Case) -> None:
    """A wait for a job that never ends raises WaitTimeout at its deadline exactly, with the job as last seen."""
    client, fake = pair(kind, provider, scenario="stuck-in-queue")
    job = client.submit(**case.job)
    began = fake.clock.now()
    with pytest.raises(WaitTimeout) as caught:
        client.wait(job, timeout_seconds=100)
    assert fake.clock.now() == began + 100
    assert caught.value.job is not None
    assert (caught.value.job.id, caught.value.job.state) == (job.id, State.QUEUED)


def test_a_job_that_is_not_yet_visible_is_waited_for(kind: Any) -> None:
    """A job that the provider does not find at once is waited for within the window that the contract gives."""
    client, _ = pair(kind, "kie", scenario="not-yet-visible")
    assert client.run(**CASES["kie"].job).state is State.SUCCEEDED


@pytest.mark.parametrize("transport", ["body", "http"])
def test_a_job_that_is_not_there_ends_the_wait(kind: Any, transport: Any) -> None:
    """A job that is still not found after that window ends the wait, long before the deadline."""
    client, fake = pair(kind, "kie", errors=transport)
    began = fake.clock.now()
    with pytest.raises(ProviderError) as caught:
        client.wait(Job(id="0" * 32))
    assert caught.value.name == "notFound"
    assert 10 < fake.clock.now() - began < 20


def test_jobs_are_waited_for_side_by_side() -> None:
    """Waits in one event loop share the clock: two jobs take as long as the longer one."""
    fake = Fake("kie")
    client = AsyncClient("kie", api_key=API_KEY, http=fake.async_client(), clock=fake.clock)

    async def both() -> tuple[Job, Job]:
        return await asyncio.gather(client.run(**CASES["kie"].job), client.run(**CASES["kie"].job))

    began = fake.clock.now()
    assert [job.state for job in asyncio.run(both())] == [State.SUCCEEDED] * 2
    assert fake.clock.now() - began < 25


def test_reads_of_a_timeline_are_counted(kind: Any) -> None:
    """A client's polls move a timeline that goes by reads."""
    client, fake = pair(kind, "kie")
    fake.next_job(timeline=[Step(State.QUEUED, reads=2), Step(State.RUNNING, reads=1), Step(State.SUCCEEDED)])
    job = client.submit(**CASES["kie"].job)
    states = [client.status(job).state for _ in range(4)]
    assert states == [State.QUEUED, State.QUEUED, State.RUNNING, State.SUCCEEDED]


# Whose fault


def test_what_a_provider_lacks_is_told(kind: Any, tmp_path: Any) -> None:
    """What a provider cannot do, and a name that it does not have, raise UsageError with what there is."""
    kie, _ = pair(kind, "kie")
    case = CASES["kie"]
    bare, _ = pair(
        kind,
        "small",
        paths=[
            small(
                tmp_path,
                status=None,
                cancel=None,
                create=[{key: part for key, part in JOB["create"][0].items() if key != "callbackUrl"}],
            )
        ],
    )
    for call, text in (
        (lambda: kind("kei", api_key="k"), 'there is no provider "kei"; did you mean "kie"?'),
        (
            lambda: kie.submit(**case.job, operation="createTaks"),
            'no create is called "createTaks"; did you mean "createTask"?',
        ),
        (lambda: kie.submit_many(**case.job, count=2), "createTask has no place for a count"),
        (lambda: kie.submit({"prompt": {1, 2}}, model="x"), "the request to createTask cannot be written"),
        (lambda: kie.submit({"prompt": "\ud800"}, model="x"), "the request to createTask cannot be written"),
        (lambda: kie.cancel(Job(id="x")), "kie has no operation that cancels a job"),
        (lambda: kie.status(Job(id="")), "the job has no id, so recordInfo cannot ask for it"),
        (lambda: kie.listen(lambda: None), "kie has no stream of events"),
        (lambda: bare.status(Job(id="x")), "small has no operation that tells how a job is"),
        (lambda: bare.submit({}, callback_url="http://a.test"), "createJob has no place for a callback URL"),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert text in str(caught.value)
