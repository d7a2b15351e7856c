"""Tests of the client's rules for waits, and of any flow, whatever is answered."""

from __future__ import annotations

import contextlib
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.player import CREATED, HTML, JSON, NOW, RESET, WORDS, Player, reply, told
from tests.small import VIEW, small
from understudy.errors import (
    ClientError,
    JobCancelled,
    JobEnded,
    JobExpired,
    JobFailed,
    OutcomeUnknown,
    ProviderError,
    Refused,
    UsageError,
    WaitTimeout,
)
from understudy.exchange import Answer, NoAnswer
from understudy.lifecycle import Job, JobError, Json, Output, State

each_provider = pytest.mark.parametrize("provider", CREATED)


# Waits


@each_provider
@pytest.mark.parametrize(
    "bad",
    [
        reply(HTML, 500),
        reply(HTML, 502),
        reply(HTML, 200),
        reply(b'{"code": 200, "data": {"state"', 200),
        reply([], 200),
        reply(HTML, 429),
        reply(HTML, 429, retry_after="1"),
        reply(HTML, 408),
        RESET,
        NoAnswer("ConnectError: no route", sent=False),
    ],
    ids=["500", "502", "html", "broken", "list", "429", "429 with a pause", "408", "reset", "no route"],
)
def test_a_bad_poll_does_not_end_a_wait(provider: str, bad: Any) -> None:
    """A poll that fails in passing is repeated, and the job that was paid for is not lost."""
    player = Player(provider)
    waiting, running, succeeded, _ = WORDS[provider]
    job = player.wait(told(provider, waiting), bad, bad, told(provider, running), bad, told(provider, succeeded))
    assert job.state is State.SUCCEEDED
    assert len(player.sent) == 6


def test_the_last_pace_is_kept_to_the_end(tmp_path: Path) -> None:
    """Where the contract documents a pace for the beginning alone, polls go on at the last one."""
    status = {"operation": "getJob", "id": "$request.path.id", "reply": VIEW}
    paces = [{"untilSeconds": 4, "everySeconds": 1}, {"untilSeconds": 10, "everySeconds": 3}]
    player = Player("small", small(tmp_path, status={**status, "poll": paces}))
    with pytest.raises(WaitTimeout):
        player.wait(reply({"state": "queued"}), seconds=20)
    assert player.times == [0, 1, 2, 3, 4, 7, 10, 13, 16, 19]


@pytest.mark.parametrize("http", [False, True], ids=["body", "http"])
@pytest.mark.parametrize(
    ("code", "text", "name", "ends"),
    [
        (401, "Unauthorized", "unauthorized", True),
        (402, "Credits insufficient", "credits", True),
        (404, "Task not found", "notFound", True),
        (400, "taskId parameter is required", "invalid", True),
        (433, "Request Limit", "keyLimit", True),
        (429, "Rate limit exceeded", "rateLimited", False),
        (455, "Service Unavailable", "maintenance", False),
        (500, "Server Error", "serverError", False),
        (505, "Feature Disabled", "featureDisabled", False),
    ],
)
def test_what_does_not_pass_ends_a_wait(code: int, text: str, name: str, ends: bool, http: bool) -> None:
    """An error that does not pass ends a wait by its own name, and one that may pass does not, in both transports."""
    player = Player()
    player.now += 20  # of no meaning: the window is counted from the wait
    error = reply({"code": code, "msg": text}, code if http else 200)
    script = [told("kie", "waiting"), *[error] * 4, told("kie", "success")]
    if not ends:
        assert player.wait(*script).state is State.SUCCEEDED
        return
    with pytest.raises(ProviderError) as caught:
        player.wait(*script)
    assert caught.value.name == name
    assert len(player.sent) == (5 if name == "notFound" else 2)


def test_a_refusal_that_the_contract_does_not_know_ends_a_wait() -> None:
    """A poll that is refused by HTTP's own words ends the wait."""
    with pytest.raises(ProviderError) as caught:
        Player("oxen").wait(reply(HTML, 410))
    assert (caught.value.name, caught.value.status_code) == (None, 410)


@pytest.mark.parametrize(("found_at", "succeeds"), [(3, True), (9, True), (12, True), (15, False)])
def test_a_job_may_be_invisible_for_a_while(found_at: int, succeeds: bool) -> None:
    """`notFound` is waited out for the ten seconds that the contract gives, and ends the wait after them."""
    player = Player()
    missing = reply({"code": 422, "msg": "recordInfo is null"})
    script = [*[missing] * (found_at // 3), told("kie", "success")]
    if succeeds:
        assert player.wait(*script).state is State.SUCCEEDED
    else:
        with pytest.raises(ProviderError):
            player.wait(*script)


def test_pauses_after_bad_polls_grow() -> None:
    """After bad polls the pauses grow beyond the usual pace, and shrink again after a good one."""
    player = Player("shortapi")
    bad = reply(HTML, 500)
    player.wait(*[bad] * 5, told("shortapi", 1), told("shortapi", 2))
    assert player.times == [0, 3, 6, 10, 18, 34, 37]


@pytest.mark.parametrize(
    ("pause", "times"),
    [("20", [0, 20, 23]), ("0", [0, 3, 6]), ("590", [0, 590, 593])],
    ids=["longer", "shorter", "long"],
)
def test_a_poll_keeps_the_pause_that_is_asked_for(pause: str, times: list[float]) -> None:
    """A Retry-After is kept where it is longer than the usual pace."""
    player = Player("shortapi")
    player.wait(reply(HTML, 429, retry_after=pause), told("shortapi", 1), told("shortapi", 2))
    assert player.times == times


@given(
    st.lists(
        st.tuples(
            st.sampled_from([200, 429, 500, 503]), st.sampled_from(["0", "1", "7", "45", "700", "9" * 400, "soon"])
        ),
        min_size=1,
        max_size=6,
    )
)
def test_nothing_is_asked_before_its_retry_after(script: list[tuple[int, str]]) -> None:
    """Whatever a status read is answered, none is sent before its Retry-After has passed; the wait ends in its time."""
    player = Player()
    answers = [
        replace(told("kie", "waiting") if status == 200 else reply(HTML, status), headers={"retry-after": asked})
        for status, asked in script
    ]
    with pytest.raises(WaitTimeout):
        player.wait(*answers, told("kie", "waiting"), seconds=600)
    assert player.now == NOW + 600
    for index, (earlier, later) in enumerate(itertools.pairwise(player.times)):
        asked = script[index][1] if index < len(script) else "0"
        assert later - earlier >= (float(asked) if asked.isdecimal() else 0)


@pytest.mark.parametrize("pause", ["600", "86400", "9" * 400])
def test_a_retry_after_that_does_not_fit_ends_the_wait_at_its_deadline(pause: str) -> None:
    """A Retry-After beyond the deadline is not shortened: nothing more is asked, and the deadline ends the wait."""
    player = Player()
    with pytest.raises(WaitTimeout) as caught:
        player.wait(reply(HTML, 429, retry_after=pause), seconds=600)
    assert (player.times, player.now) == ([0], NOW + 600)
    assert isinstance(caught.value.__cause__, ProviderError)


def test_a_word_that_is_not_listed_is_waited_out() -> None:
    """A word that the contract does not know leaves the job as it was, and ends no wait before its deadline."""
    player = Player()
    with pytest.raises(WaitTimeout) as caught:
        player.wait(told("kie", "generating"), told("kie", "paused"), seconds=20)
    assert caught.value.job is not None
    assert (caught.value.job.state, caught.value.job.status) == (State.RUNNING, "paused")


@pytest.mark.parametrize("word", [4, 7, "2", True])
def test_a_word_that_is_not_listed_may_mean_failure(word: Json) -> None:
    """Where the contract says so, a word that it does not know means that the job failed."""
    with pytest.raises(JobFailed) as caught:
        Player("shortapi").wait(told("shortapi", word, error="broken"))
    assert caught.value.provider_message == "broken"


@each_provider
def test_unknown_fields_are_passed_over(provider: str) -> None:
    """Members that the contract does not know change nothing."""
    plain = Player(provider).wait(told(provider, WORDS[provider][2]))
    more = Player(provider).wait(told(provider, WORDS[provider][2], new={"deep": [1]}, other="x"))
    assert replace(more, input=None) == replace(plain, input=None)


@given(
    st.floats(0, 1000),
    st.floats(0, 40),
    st.lists(st.sampled_from([reply(HTML, 500), reply(HTML, 429, retry_after="70"), RESET, told("kie", "waiting")])),
)
def test_a_wait_ends_at_its_deadline(seconds: float, latency: float, script: list[Any]) -> None:
    """Whatever is answered, however slowly, a wait ends at its deadline, and no request is allowed to outlast it."""
    player = Player(seconds=0)
    with pytest.raises(WaitTimeout) as caught:
        player.wait(*script, told("kie", "waiting"), seconds=seconds)
    assert player.now - NOW == pytest.approx(seconds, abs=1e-3)
    for sent_at, send in zip(player.times, player.sent, strict=True):
        assert send.timeout_seconds == pytest.approx(min(30, seconds - sent_at), abs=1e-3)
    assert f"the job did not end within {seconds:g} seconds" in str(caught.value)
    slow = Player(seconds=latency)
    with pytest.raises(WaitTimeout):
        slow.wait(told("kie", "waiting"), seconds=seconds)
    assert slow.now - NOW < seconds + latency + 1e-3


def test_a_wait_that_times_out_says_what_was_wrong() -> None:
    """A WaitTimeout has the last trouble as its cause, unless a good answer came after it."""
    with pytest.raises(WaitTimeout) as caught:
        Player().wait(told("kie", "waiting"), reply(HTML, 502), seconds=10)
    assert isinstance(caught.value.__cause__, ProviderError)
    with pytest.raises(WaitTimeout) as caught:
        Player().wait(reply(HTML, 502), told("kie", "waiting"), seconds=10)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(("provider", "seconds"), [("kie", 600), ("small", 50)])
def test_a_wait_has_a_deadline_of_its_own(provider: str, seconds: float, tmp_path: Any) -> None:
    """Without a deadline of the caller's a wait lasts as long as the contract says, or ten minutes."""
    status = {"operation": "getJob", "id": "$request.path.id", "reply": VIEW, "giveUpSeconds": 50}
    player = Player(provider, small(tmp_path, status=status))
    word = told("kie", "waiting") if provider == "kie" else reply({"state": "queued"})
    with pytest.raises(WaitTimeout):
        player.wait(word, seconds=None)
    assert player.now - NOW == seconds
    assert provider == "kie" or player.times[:3] == [0, 2, 4]  # where the contract names no pace


@pytest.mark.parametrize(
    "job",
    [
        Job(id="t", state=State.SUCCEEDED, outputs=(Output(url="u"),)),
        Job(id="t", state=State.SUCCEEDED, result="a text"),
        Job(id="", state=State.SUCCEEDED),
        Job(id="t", state=State.FAILED, error=JobError(message="no")),
        Job(id="t", state=State.CANCELLED),
        Job(id="t", state=State.EXPIRED),
    ],
    ids=["files", "text", "no id", "failed", "cancelled", "expired"],
)
def test_a_job_that_has_ended_is_not_asked_for(job: Job) -> None:
    """A wait for a job that is known to have ended, and how, sends nothing."""
    player = Player()
    with contextlib.suppress(JobEnded):
        assert player.wait(RESET, job=job) is job
    assert player.sent == []


@pytest.mark.parametrize(("state", "word"), [(State.SUCCEEDED, "succeeded"), (State.FAILED, "failed")])
def test_what_came_of_a_job_is_asked_for(state: State, word: str) -> None:
    """A job that was told to have ended, but not how, is asked for until one answer has told."""
    player = Player("oxen")
    answer = told("oxen", word, result_url="https://a.test/1", error_message="no")
    ends = pytest.raises(JobFailed, match="no") if state is State.FAILED else contextlib.nullcontext()
    with ends:
        job = player.wait(RESET, reply(HTML, 502), answer, job=Job(id="t", state=state))
        assert [output.url for output in job.outputs] == ["https://a.test/1"]
    assert player.times == [0, 2, 4]


@pytest.mark.parametrize(
    ("state", "kind", "what"),
    [
        (State.FAILED, JobFailed, "the job failed"),
        (State.CANCELLED, JobCancelled, "the job was cancelled"),
        (State.EXPIRED, JobExpired, "the job is no longer kept"),
    ],
)
def test_each_ending_has_its_error(state: State, kind: type[ClientError], what: str) -> None:
    """A job that ended without a result raises the error of its ending, with the job and the provider's words."""
    job = Job(id="t", state=state, error=JobError(code=7, message="words"), operation="make")
    ended = Player().flows.ended
    with pytest.raises(kind) as caught:
        ended(job)
    error = caught.value
    assert (error.what, error.name, error.provider_message, error.job, error.operation) == (
        what,
        "7",
        "words",
        job,
        "make",
    )
    with pytest.raises(kind):
        ended(replace(job, error=None))


# Whatever is answered


def shaped(value: Json) -> Any:
    """Draw JSON that looks like a value but for a few members, which are anything."""
    same: st.SearchStrategy[Any] = st.just(value)
    if isinstance(value, dict):
        same = st.fixed_dictionaries({}, optional={key: shaped(item) for key, item in value.items()})
    elif isinstance(value, list) and value:
        same = st.lists(shaped(value[0]), max_size=2)
    return same | st.just(value) | JSON


BODIES = st.one_of(
    st.binary(),
    JSON.map(lambda value: json.dumps(value).encode()),
    *(
        shaped(value).map(lambda body: json.dumps(body).encode())
        for provider, created in CREATED.items()
        for value in (created, json.loads(told(provider, WORDS[provider][2], error="x", result={"images": []}).body))
    ),
    shaped(
        {
            "code": 200,
            "data": {
                "state": "success",
                "taskId": "t",
                "param": '{"input": {}}',
                "resultJson": '{"resultUrls": ["u"]}',
                "createTime": 1,
                "progress": 5,
            },
        }
    ).map(lambda body: json.dumps(body).encode()),
)
ANSWERS = st.builds(
    Answer,
    st.sampled_from([200, 200, 200, 201, 204, 302, 400, 401, 404, 422, 429, 500, 503]),
    st.dictionaries(st.sampled_from(["retry-after", "location"]), st.text()),
    BODIES,
    st.just(0.0),
)


@each_provider
@given(st.lists(ANSWERS | st.just(RESET), min_size=1, max_size=4))
def test_any_answer_ends_in_a_result_or_in_our_error(provider: str, script: list[Any]) -> None:
    """Whatever a provider answers, each flow ends in a result or in an error of ours, and its text can be written."""
    operations = [name for create in Player(provider).flows.job_type.creates for name in create.operations]
    for act in (
        *(lambda player, name=name: player.submit(*script, operation=name) for name in operations),
        lambda player: player.wait(*script, seconds=100),
        lambda player: player.play(player.flows.cancel(Job(id="t")), *script),
        lambda player: player.play(player.flows.download(Output(url="https://a.test/1")), *script),
    ):
        error = outcome(act, Player(provider))
        assert "sk-12345" not in f"{error!s}{error!r}"
        assert str(error).encode()


def outcome(act: Any, player: Player) -> ClientError | UsageError | None:
    """Return the error of ours that a flow ended in, if it did; any other error comes through."""
    try:
        assert act(player) is not None
    except (ClientError, UsageError) as error:
        return error
    return None


@given(st.lists(ANSWERS | st.just(RESET), min_size=1, max_size=6))
def test_a_create_with_an_unknown_outcome_is_the_last_one(script: list[Any]) -> None:
    """Whatever is answered, no create is sent after one that was not refused for certain."""
    player = Player()
    with contextlib.suppress(Refused, OutcomeUnknown):
        player.submit(*script)
    refused = 0
    for answer in script:
        try:
            Player().submit(answer, seconds=0)
        except Refused:
            refused += 1
            continue
        except OutcomeUnknown:
            pass
        break
    assert len(player.sent) <= refused + 1 or refused == len(script)
