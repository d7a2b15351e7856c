"""Tests of how what a provider says of a job is read: replies, events, callbacks."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.player import JSON, contract_of
from tests.small import small
from understudy.callback import Notice, compose
from understudy.contract.reading import Reading
from understudy.contract.views import Read
from understudy.errors import SignatureInvalid, UnderstudyError, UnreadableReply, UsageError
from understudy.lifecycle import Job, JobError, Output, State
from understudy.reader import Reader

NOW = 1_800_000_000
SECRET = "understudy-webhook-key"

#: Jobs as each provider's callback can show them.
DONE = Job(
    id="t",
    state=State.SUCCEEDED,
    model="m",
    input={"prompt": "x"},
    outputs=(Output(url="https://a.test/1"), Output(url="https://a.test/2", index=1)),
    cost=0.5,
    spent=0.5,
    refunded=False,
    created_at=NOW - 20,
    updated_at=NOW,
    ended_at=NOW,
    duration_seconds=20,
)
FAILED = replace(
    DONE,
    state=State.FAILED,
    outputs=(),
    spent=0,
    refunded=True,
    error=JobError("content-policy", "422", "Invalid prompt: prompt contains prohibited content"),
)


def sent(provider: str, job: Job, secret: str | None = None) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of the callback that a provider sends of a job."""
    job_type = contract_of(provider).job_type
    assert job_type.callback is not None
    assert job_type.outputs is not None
    result = job_type.outputs.render({"job": job}) if job.outputs else None
    shown = replace(job, status=job_type.words.shown(job.state), result=result)
    scope = {"now": NOW, "secret": {} if secret is None else {"webhook": secret}, "server": {"url": ""}}
    delivery = compose(job_type.callback, Notice("d", shown, None), url="http://127.0.0.1/hook", attempt=1, scope=scope)
    return dict(delivery.headers), delivery.body


def read(provider: str, headers: dict[str, str], body: bytes, secret: str | None = None, now: float = NOW) -> Job:
    return Reader(contract_of(provider)).callback(headers, body, secret=secret, now=now)


# Callbacks


@pytest.mark.parametrize("provider", ["kie", "shortapi"])
@pytest.mark.parametrize("job", [DONE, FAILED], ids=["succeeded", "failed"])
def test_a_callback_turns_back_into_its_job(provider: str, job: Job) -> None:
    """A callback is read as the job that it was made from: state, files, error and input."""
    told = read(provider, *sent(provider, job))
    assert (told.id, told.state, told.model, told.input) == (job.id, job.state, job.model, job.input)
    assert [output.url for output in told.outputs] == [output.url for output in job.outputs]
    assert (told.error and told.error.message) == (job.error and job.error.message)
    assert told.created_at == job.created_at


def test_a_signed_callback_is_verified() -> None:
    """A callback that was signed with the secret is read, whatever the case of its headers."""
    headers, body = sent("kie", DONE, SECRET)
    assert read("kie", headers, body, SECRET).id == "t"
    assert read("kie", {name.upper(): value for name, value in headers.items()}, body, SECRET, NOW + 300).id == "t"


@pytest.mark.parametrize(
    ("change", "now", "text"),
    [
        ({}, NOW + 301, "the callback's timestamp is not within 300 seconds of now"),
        ({}, NOW - 301, "the callback's timestamp is not within 300 seconds of now"),
        ({"X-Webhook-Timestamp": str(NOW - 1)}, NOW, "the callback's signature is wrong"),
        ({"X-Webhook-Signature": "AAAA"}, NOW, "the callback's signature is wrong"),
        ({"X-Webhook-Signature": "ü"}, NOW, "the callback's signature is wrong"),
        ({"X-Webhook-Signature": ""}, NOW, "the callback's signature is wrong"),
        ({"X-Webhook-Signature": None}, NOW, 'the callback lacks the header "X-Webhook-Signature"'),
        ({"X-Webhook-Timestamp": None}, NOW, 'the callback lacks the header "X-Webhook-Timestamp"'),
        ({"X-Webhook-Timestamp": "²"}, NOW, "the callback's timestamp is not within 300 seconds of now"),
        ({"X-Webhook-Timestamp": "9" * 5000}, NOW, "the callback's timestamp is not within 300 seconds of now"),
    ],
    ids=["stale", "early", "another time", "forged", "no base64", "empty", "unsigned", "no time", "no digit", "huge"],
)
def test_a_callback_that_the_provider_did_not_sign_is_refused(change: Any, now: float, text: str) -> None:
    """A callback whose signature is forged, stale or missing raises SignatureInvalid, and says what is wrong."""
    headers, body = sent("kie", DONE, SECRET)
    changed = {name: value for name, value in {**headers, **change}.items() if value is not None}
    with pytest.raises(SignatureInvalid) as caught:
        read("kie", changed, body, SECRET, now)
    assert str(caught.value) == text
    assert SECRET not in str(caught.value)


def test_a_callback_of_another_job_is_not_covered_by_a_signature() -> None:
    """The signature of one job's callback does not do for another job."""
    headers, _ = sent("kie", DONE, SECRET)
    _, body = sent("kie", replace(DONE, id="other"))
    with pytest.raises(SignatureInvalid):
        read("kie", headers, body, SECRET)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{}", b"[]", b'{"data": {}}', b'{"data": {"taskId": 7}}', b'{"data": {"state": "success"}}'],
)
def test_what_is_no_callback_is_unreadable(body: bytes) -> None:
    """A body that is no JSON, has the wrong shape or names no job raises UnreadableReply."""
    with pytest.raises(UnreadableReply):
        read("kie", {}, body)


def test_what_a_provider_does_not_do_is_told() -> None:
    """Callbacks of a provider that sends none, and signatures of one that makes none, are a mistake of the caller's."""
    with pytest.raises(UsageError, match="oxen sends no callbacks"):
        read("oxen", {}, b"{}")
    with pytest.raises(UsageError, match="shortapi does not sign its callbacks: pass no secret"):
        read("shortapi", *sent("shortapi", DONE), SECRET)


HEADERS = st.dictionaries(st.sampled_from(["X-Webhook-Timestamp", "x-webhook-signature"]), st.text())


@pytest.mark.parametrize("provider", ["kie", "shortapi"])
@given(HEADERS, st.binary() | JSON.map(lambda value: json.dumps({"code": 0, "data": value}).encode()), st.booleans())
def test_any_callback_ends_in_a_job_or_in_our_error(
    provider: str, headers: dict[str, str], body: bytes, signed: bool
) -> None:
    """Whatever is sent to a receiver, reading it ends in a job with an id or in an error of ours."""
    with contextlib.suppress(UnderstudyError):
        assert read(provider, headers, body, SECRET if signed else None).id


@given(HEADERS, st.text(), st.text())
def test_any_signature_is_refused(headers: dict[str, str], job_id: str, key: str) -> None:
    """Whoever does not have the secret cannot sign, whatever the headers are and whichever job it is about."""
    body = json.dumps({"data": {"taskId": job_id, "state": "success"}}).encode()
    with pytest.raises((SignatureInvalid, UnreadableReply)):
        read("kie", headers, body, SECRET)
    forged, made = sent("kie", DONE, f"{SECRET}{key}" if key else "")
    with pytest.raises(SignatureInvalid):
        read("kie", forged, made, SECRET)


# Events

FRAME = {"generation_id": "t", "status": "succeeded", "media_type": "image", "model": "m", "url": "https://a.test/1"}


def event(data: Any, name: str = "media_generation_completed") -> Job | None:
    return Reader(contract_of("oxen")).event(name, data if isinstance(data, str) else json.dumps(data))


def test_an_event_turns_into_its_job() -> None:
    """An event is read as the job that it tells of, in the state that it is sent for."""
    done, failed = event(FRAME), event({"generation_id": "t", "status": "failed", "error": "Insufficient credits"})
    assert done is not None
    assert (done.id, done.state, [output.url for output in done.outputs]) == (
        "t",
        State.SUCCEEDED,
        ["https://a.test/1"],
    )
    assert failed is not None
    assert (failed.state, failed.error) == (
        State.FAILED,
        JobError("insufficient-credits", None, "Insufficient credits"),
    )


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (FRAME, "media_generation_started"),
        ({**FRAME, "status": "processing"}, "media_generation_completed"),
        ({**FRAME, "generation_id": 7}, "media_generation_completed"),
        ({"status": "succeeded"}, "media_generation_completed"),
        ([], "media_generation_completed"),
        ("not JSON", "media_generation_completed"),
        ("", "message"),
    ],
    ids=["name", "state", "id", "no id", "list", "text", "empty"],
)
def test_other_events_are_passed_over(data: Any, name: str) -> None:
    """An event of another name or state, of no job or of no shape that is known is passed over."""
    assert event(data, name) is None


@given(st.sampled_from(["media_generation_completed", "message"]), st.text() | JSON.map(json.dumps))
def test_any_event_is_read_or_passed_over(name: str, data: str) -> None:
    """Whatever an event holds, it is read or passed over."""
    assert event(data, name) is None or name == "media_generation_completed"


def test_the_data_of_an_event_may_be_plain_text(tmp_path: Path) -> None:
    """An event whose data is no JSON is read as text; without a word, its frame tells the state."""
    events = {
        "operation": "listen",
        "scope": "account",
        "frames": {
            "running": [{"event": "started", "data": "$job.id"}],
            "succeeded": [{"event": "ended", "data": {"id": "$job.id", "is": "$job.status"}}],
        },
    }
    reader = Reader(contract_of("small", small(tmp_path, events=events)))
    started, ended = reader.event("started", "job-1"), reader.event("ended", '{"id": "job-1", "is": "succeeded"}')
    assert started is not None
    assert (started.id, started.state) == ("job-1", State.RUNNING)
    assert ended is not None
    assert (ended.state, ended.status) == (State.SUCCEEDED, "succeeded")
    assert reader.event("ended", '{"id": "job-1", "is": "failed"}') is None


# Jobs


def test_what_is_told_is_laid_over_what_was_known() -> None:
    """A reply changes what it tells of; the id, and what it does not mention, stay."""
    reader, known = Reader(contract_of("kie")), Job(id="t", model="m", cost=3)
    told = reader.job({("job", "id"): "other", ("job", "model"): "n"}, ("job",), None, State.RUNNING, known)
    assert told == Job(id="t", model="n", cost=3, state=State.RUNNING)
    assert reader.job({("job", "id"): "u"}, ("job",), None, State.RUNNING, Job(id="")).id == "u"


def test_the_normal_state_on_the_wire_is_no_second_opinion() -> None:
    """A view that shows the normal state as well as the word is read by its word."""
    reader = Reader(contract_of("kie"))
    reading: Reading = {("job", "state"): "failed", ("job", "status"): "success"}
    for known in (None, Job(id="t")):
        assert reader.job(dict(reading), ("job",), None, State.SUCCEEDED, known).state is State.SUCCEEDED


@pytest.mark.parametrize(("provider", "state"), [("kie", State.RUNNING), ("shortapi", State.FAILED)])
def test_an_unknown_word_is_taken_as_the_contract_says(provider: str, state: State) -> None:
    """A word that is not listed leaves a job as it was, or means failure, as the contract says."""
    reader = Reader(contract_of(provider))
    assert reader.job({}, ("job",), None, None, Job(id="t", state=State.RUNNING)).state is state


def test_each_of_several_jobs_is_read_by_its_own_word() -> None:
    """In a reply about several jobs each has a state of its own; a word that is not listed is an unknown state."""
    contract = contract_of("oxen")
    view = contract.job_type.creates[0].reply
    words = ["queued", "succeeded", "paused", None]
    body = {"generations": [{"generation_id": str(index), "status": word} for index, word in enumerate(words)]}
    scope = {"statusCode": 200}
    jobs = Reader(contract).jobs(view.read(body, scope), view, scope)
    assert [job.state for job in jobs] == [State.QUEUED, State.SUCCEEDED, State.QUEUED, State.QUEUED]
    assert [job.id for job in jobs] == ["0", "1", "2", "3"]
    assert [job.id for job in Reader(contract).jobs(Read(State.QUEUED, {}), view, scope)] == [""]


@pytest.mark.parametrize(
    ("message", "code", "name"),
    [
        ("Invalid prompt: prompt contains prohibited content", "422", "content-policy"),
        ("Invalid prompt: prompt contains prohibited content", "500", None),
        ("something new", "422", None),
        (None, "422", None),
    ],
)
def test_a_failure_has_the_name_that_the_contract_gives_it(message: str | None, code: str, name: str | None) -> None:
    """A job's error is named after the failure whose code and text it has, and else has no name."""
    reading: Reading = {("job", "error", "message"): message, ("job", "error", "code"): code}
    job = Reader(contract_of("kie")).job(dict(reading), ("job",), None, State.FAILED, Job(id="t"))
    assert job.error == JobError(name, code, message)
