"""What the strategies draw is what they say: a fake takes it, a client can read it, and a person would write it."""

from __future__ import annotations

import doctest
import functools
import importlib
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from tests.small import JOB, create_with, small
from understudy import (
    Client,
    ClientError,
    Fake,
    Job,
    JobError,
    State,
    Step,
    UsageError,
    VirtualClock,
)
from understudy.fake import API_KEY
from understudy.faults import fault_names
from understudy.folders import find_provider
from understudy.library import load_provider
from understudy.lifecycle import TERMINAL
from understudy.mishaps import combinations
from understudy.strategies import (
    Callback,
    InvalidRequest,
    asks,
    callback_bodies,
    delivery_orders,
    fault_plans,
    faults,
    happenings,
    invalid_requests,
    machine,
    outcomes,
    posted,
    requests,
    timelines,
)
from understudy.strategies.pasted import code_of

PROVIDERS = ("kie", "oxen", "replicate", "shortapi")
CREATES = [("kie", "createTask"), ("oxen", "enqueue"), ("oxen", "editImage"), ("shortapi", "createJob")]

# What is found needs no explanation, which would take as long as the search.
seek = settings(
    database=None,
    derandomize=True,
    max_examples=1000,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
first = settings(seek, phases=[Phase.generate])
plain = settings(database=None, deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))


valid = functools.cache(lambda provider, operation: requests(provider, operation=operation))
invalid = functools.cache(lambda provider, operation: invalid_requests(provider, operation=operation))
signed_by = functools.cache(lambda provider, secret: callback_bodies(provider, secret=secret))


@functools.cache
def plainest(provider: str) -> dict[str, Any]:
    """Return the plainest request to a provider."""
    return find(requests(provider), lambda request: True, settings=seek)


def client_of(fake: Fake) -> Client:
    """Return a client that talks to a fake."""
    return Client(fake.contract, api_key=API_KEY, http=fake.client(), clock=fake.clock)


# --- requests ---


@pytest.mark.parametrize(("provider", "operation"), CREATES)
@given(data=st.data())
@plain
def test_a_request_is_accepted(provider: str, operation: str, data: st.DataObject) -> None:
    """Each request is one that a client can send, and that makes one job of its model."""
    request = data.draw(valid(provider, operation))
    fake = Fake(provider, balance=1e9)
    job = client_of(fake).submit(**request, operation=operation)
    fake.clock.advance(1000)
    assert [(one.model, one.state) for one in fake.jobs.values()] == [(request["model"], State.SUCCEEDED)]
    assert job.model == request["model"]


@pytest.mark.parametrize(("provider", "operation"), CREATES)
@given(data=st.data())
@plain
def test_an_invalid_request_is_refused(provider: str, operation: str, data: st.DataObject) -> None:
    """Each invalid request is refused, or makes a job that fails, as the contract has it."""
    found = data.draw(invalid(provider, operation))
    fake = Fake(provider, balance=1e9)
    with suppress(ClientError):
        client_of(fake).submit(**{"model": None, **found.request}, operation=operation)
    error = fake.journal.exchanges[0].error
    assert error in (("unknownModel",) if found.keyword == "discriminator" else ("invalid", None))
    fake.clock.advance(1000)
    assert {job.error and job.error.name for job in fake.jobs.values()} == (set() if error else {"invalid"})
    assert found.message


@given(requests("kie", "seedream/4.5-edit"), invalid_requests("kie", "seedream/4.5-edit"))
@plain
def test_a_model_can_be_named(request: dict[str, Any], invalid: InvalidRequest) -> None:
    """With a model named, each request is for it."""
    assert {request["model"], invalid.request["model"]} == {"seedream/4.5-edit"}


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("provider", "model", "given_input"),
    [
        ("kie", "google/nano-banana", {"prompt": "a"}),
        ("kie", "google/nano-banana-edit", {"prompt": "a", "image_urls": []}),
        ("oxen", "nano-banana", {"prompt": "a"}),
        ("replicate", "black-forest-labs/flux-schnell", {"prompt": "a"}),
        ("shortapi", "google/nano-banana-2/text-to-image", {"prompt": "a", "aspect_ratio": "9:16"}),
    ],
)
def test_the_plainest_request_is_what_a_person_would_write(provider: str, model: str, given_input: Any) -> None:
    """It has no member that is not needed, and short texts."""
    found = find(requests(provider, model), lambda request: True, settings=seek)
    assert found == {"model": model, "input": given_input}


@pytest.mark.unmeasured
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_plainest_model_needs_little(provider: str) -> None:
    """Of all models, the plainest needs few members."""
    assert set(plainest(provider)["input"]) <= {"prompt", "aspect_ratio"}


@pytest.mark.unmeasured
@pytest.mark.parametrize("keyword", ["required", "enum", "maxLength", "discriminator"])
def test_an_invalid_request_says_why(keyword: str) -> None:
    """It has the pointer to what is wrong, the word that is broken, and a sentence."""
    found = find(invalid_requests("kie"), lambda invalid: invalid.keyword == keyword, settings=first)
    assert isinstance(found, InvalidRequest)
    assert found.pointer.startswith(("/input/", "/model"))


def test_what_cannot_be_asked_for_is_refused() -> None:
    """A model, a create or a provider that there is not is refused at once."""
    with pytest.raises(UsageError, match="nano-banana"):
        requests("kie", "nano-bananas")
    with pytest.raises(UsageError, match="createTask"):
        invalid_requests("kie", operation="createTasks")
    with pytest.raises(UsageError, match="kie"):
        requests("kei")


def test_a_contract_without_models(tmp_path: Path) -> None:
    """Where there are no models, a request has an input alone, and the callback is left to the client."""
    small(tmp_path)
    found = find(requests("small", paths=[tmp_path]), lambda request: True, settings=seek)
    assert found == {"input": {"prompt": "a"}}
    wrong = find(invalid_requests("small", paths=[tmp_path]), lambda invalid: True, settings=plain)
    assert list(wrong.request) == ["input"]


def test_a_contract_with_a_deep_input(tmp_path: Path) -> None:
    """Model and input are put where the contract has them, however deep; a model may be any text."""
    inner = {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}}
    job = {"type": "object", "required": ["input"], "properties": {"input": inner, "model": {"enum": ["one"]}}}
    body = {"$ref": "#/components/schemas/Body"}
    post = {
        "operationId": "createJob",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
    }
    create = create_with(
        input="$request.body#/job/input", model="$request.body#/job/model", callbackUrl="$request.body#/hook"
    )
    schemas = {"Body": {"type": "object", "properties": {"job": job, "hook": {"type": "string"}}}}
    small(tmp_path, paths={"/jobs": {"post": post, "get": {"operationId": "listJobs"}}}, create=create, schemas=schemas)
    found = find(requests("small", paths=[tmp_path]), lambda request: True, settings=seek)
    assert found == {"model": "one", "input": {"prompt": "a"}}
    drawn = invalid_requests("small", paths=[tmp_path])
    wrong = find(drawn, lambda found: found.keyword == "enum", settings=first)
    assert wrong.request["model"] in ("unknown", "one-unknown")


def test_a_create_without_a_place_or_a_body(tmp_path: Path) -> None:
    """Where a client cannot put an input, there are no requests; where nothing is checked, none is invalid."""
    small(tmp_path, create=create_with(input="$request.query.input"))
    with pytest.raises(UsageError, match="no place for an input"):
        requests("small", paths=[tmp_path])
    small(
        tmp_path / "bare", paths={"/jobs": {"post": {"operationId": "createJob"}, "get": {"operationId": "listJobs"}}}
    )
    assert find(requests("small", paths=[tmp_path / "bare"]), lambda request: True, settings=seek) == {"input": {}}
    asking = asks._Asking(Fake("small", paths=[tmp_path / "bare"]).contract, None)
    assert asking.judged({"input": {}}) is None


# --- what happens ---


@pytest.mark.parametrize("provider", PROVIDERS)
@given(data=st.data())
@plain
def test_a_job_goes_through_a_timeline(provider: str, data: st.DataObject) -> None:
    """Each timeline is one that a job goes through, and ends or stays as it says."""
    steps = data.draw(timelines(provider))
    fake = Fake(provider)
    fake.next_job(timeline=steps)
    client = client_of(fake)
    job = client.submit(**plainest(provider))
    for _ in range(10):
        fake.clock.advance(100)
        client.status(job)
    record = fake.jobs[job.id]
    assert (record.state, record.terminal) == (steps[-1].state, steps[-1].state in TERMINAL)


@pytest.mark.parametrize("provider", PROVIDERS)
@given(data=st.data())
@plain
def test_an_outcome_comes(provider: str, data: st.DataObject) -> None:
    """Each outcome can be planned, and comes: a failure, an error, a job that is stuck or hidden."""
    outcome = data.draw(outcomes(provider))
    fake = Fake(provider)
    fake.next_job(**outcome)
    request = plainest(provider)
    client = client_of(fake)
    try:
        job: Job | None = client.submit(**request, timeout_seconds=0)
    except ClientError:
        job = None
    assert ("error" in outcome) >= (job is None)
    fake.clock.advance(5000)
    expected = {"failure": State.FAILED, "state": outcome.get("state")}.get(next(iter(outcome), ""), State.SUCCEEDED)
    assert {record.state for record in fake.jobs.values()} <= {expected}
    assert bool(fake.jobs) or "error" in outcome


@pytest.mark.parametrize("provider", PROVIDERS)
@given(data=st.data())
def test_a_fault_can_be_armed(provider: str, data: st.DataObject) -> None:
    """Each fault, and each plan of several, is one that the fake takes."""
    fake = Fake(provider)
    for fault in [data.draw(faults(provider)), *data.draw(fault_plans(provider))]:
        fake.fault(**fault)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_fault_that_a_contract_can_meet_is_drawn(provider: str) -> None:
    """A fault is left out where the contract lacks what it strikes, and drawn where it has it."""
    contract = load_provider(find_provider(provider))[0]
    met = {name for name, _ in combinations(contract)}
    assert ("callback-twice" in met) == (contract.job_type.callback is not None)
    assert ("stream-drops" in met) == (contract.job_type.events is not None)
    assert met <= set(fault_names())


def test_a_fault_strikes_where_it_is_asked_to() -> None:
    """With a part named, each fault strikes it; a part that nothing strikes is refused."""
    assert find(faults("kie", on="status"), lambda fault: True, settings=seek)["on"] == "status"
    with pytest.raises(UsageError, match="status"):
        faults("kie", on="statuses")


def test_the_plainest_is_short() -> None:
    """What shrinking ends at: a job that succeeds at once, one that goes as usual, no fault."""
    assert find(timelines("kie"), lambda steps: True, settings=seek) == (Step(State.SUCCEEDED),)
    assert find(timelines("oxen"), lambda steps: True, settings=seek) == (Step(State.SUCCEEDED),)
    assert find(outcomes("kie"), lambda outcome: True, settings=seek) == {}
    assert find(fault_plans("kie"), lambda plan: True, settings=seek) == []
    assert find(faults("kie"), lambda fault: fault["fault"] == "outage", settings=seek) == {
        "fault": "outage",
        "on": "create",
    }


def test_a_job_that_only_ends_has_one_step(tmp_path: Path) -> None:
    """Where a contract has words for ends alone, a timeline is an end."""
    small(tmp_path, states={"succeeded": ["done"]}, behaviour={"timeline": [{"state": "succeeded"}]}, cancel=None)
    assert find(timelines("small", paths=[tmp_path]), lambda steps: True, settings=seek) == (Step(State.SUCCEEDED),)


# --- callbacks ---


@pytest.mark.parametrize("secret", [None, "a-secret"])
@pytest.mark.parametrize("provider", ["kie", "shortapi"])
@given(data=st.data())
@plain
def test_a_callback_can_be_read(provider: str, secret: str | None, data: st.DataObject) -> None:
    """A client reads each callback, by its signature where there is one, as the job that it tells of."""
    callback = data.draw(signed_by(provider, secret))
    contract = load_provider(find_provider(provider))[0]
    signed = contract.job_type.callback is not None and contract.job_type.callback.sign is not None
    key = (secret or "understudy-webhook-key") if signed else None
    client = Client(provider, api_key=API_KEY, clock=VirtualClock())
    job = client.read_callback(callback.headers, callback.body, secret=key)
    client.close()
    assert isinstance(callback, Callback)
    assert (job.id, job.state) == (callback.job.id, callback.job.state)


@pytest.mark.unmeasured
def test_a_callback_may_tell_of_any_state(tmp_path: Path) -> None:
    """A contract that calls back for states on the way has callbacks for them."""
    view = {"body": {"id": "$job.id", "state": "$job.status"}}
    small(tmp_path, callback={"trigger": ["running", "failed"], "view": view})
    drawn = callback_bodies("small", paths=[tmp_path])
    for state in (State.RUNNING, State.FAILED):
        assert find(drawn, lambda callback, state=state: callback.job.state is state, settings=first)  # type: ignore[misc]


def test_a_provider_without_callbacks() -> None:
    """A provider that sends no callbacks has none to draw."""
    with pytest.raises(UsageError, match="sends no callbacks"):
        callback_bodies("oxen")


@given(st.data())
def test_an_order_has_what_was_sent(data: st.DataObject) -> None:
    """An order has each delivery once, unless duplicates or losses are asked for."""
    sent = ["a", "b", "c"]
    assert sorted(data.draw(delivery_orders(sent, duplicates=False))) == sent
    assert set(data.draw(delivery_orders(sent))) == set(sent)
    assert set(data.draw(delivery_orders(sent, losses=True))) <= set(sent)


def test_the_plainest_order_is_as_sent() -> None:
    """Shrinking ends at the order in which they were sent."""
    assert find(delivery_orders([1, 2, 3]), lambda order: True, settings=seek) == [1, 2, 3]
    assert find(delivery_orders([1, 2]), lambda order: len(order) > 2, settings=seek) == [1, 2, 2]
    assert 1 not in find(delivery_orders([1, 2], losses=True), lambda order: 1 not in order, settings=seek)


# --- how it is offered ---


def test_what_is_drawn_is_printed_as_code() -> None:
    """Steps, states and jobs are printed as they would be written."""
    step, job = Step(State.QUEUED, seconds=3), Job(id="1", state=State.FAILED, error=JobError("rude"))
    for value in ((step, Step(State.SUCCEEDED)), {"state": State.QUEUED}, job, Step(state=State.QUEUED)):
        assert eval(code_of(value)) == value
    assert code_of(step) == "Step(state=State.QUEUED, seconds=3)"
    assert code_of(JobError()) == "JobError()"


@pytest.mark.parametrize("module", [asks, happenings, machine, posted], ids=lambda module: module.__name__)
def test_the_examples_in_docstrings_run(module: Any) -> None:
    """The examples in the docstrings show what happens."""
    failed, tried = doctest.testmod(module, verbose=False)
    assert (failed, tried > 0) == (0, True)


@pytest.mark.unmeasured
def test_a_contract_can_be_given_in_place_of_a_name() -> None:
    """A contract that was loaded does as well as its name."""
    contract = load_provider(find_provider("kie"))[0]
    assert find(requests(contract), lambda request: True, settings=seek)["input"] == {"prompt": "a"}
    assert find(callback_bodies(contract), lambda callback: True, settings=first).job.terminal


def test_without_hypothesis_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Hypothesis is missing, the error names the extra that brings it."""
    monkeypatch.delitem(sys.modules, "understudy.strategies")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"understudy\[test\]"):
        importlib.import_module("understudy.strategies")


def test_the_small_provider_is_as_these_tests_think() -> None:
    """The small provider takes its callbacks beside the input."""
    assert JOB["create"][0]["callbackUrl"] == "$request.body#/callback"
