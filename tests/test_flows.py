"""Tests of the client's rules for creates and cancels, flow by flow, and of what its errors say."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.clients import CASES
from tests.player import CREATED, HTML, NOW, RESET, Player, reply, told
from tests.small import VIEW, small
from understudy.errors import ClientError, OutcomeUnknown, ProviderError, Refused, UnreadableReply
from understudy.exchange import Answer, NoAnswer
from understudy.lifecycle import Job, JobError, Output, State

each_provider = pytest.mark.parametrize("provider", CREATED)


# Creates


@each_provider
def test_an_accepted_create_returns_its_job(provider: str) -> None:
    """A create that is accepted returns the job with its id, and is sent once with the default patience."""
    player = Player(provider)
    (job,) = player.submit(reply(CREATED[provider]))
    assert (job.id, job.state, job.model) == ("t", State.QUEUED, "m")
    assert job.operation == player.flows.job_type.creates[0].operations[0]
    assert [send.timeout_seconds for send in player.sent] == [30]


@pytest.mark.parametrize(
    ("answer", "kind", "name"),
    [
        (reply(HTML, 502), OutcomeUnknown, None),
        (reply(HTML, 200), OutcomeUnknown, None),
        (reply(b"", 204), OutcomeUnknown, None),
        (reply(CREATED["kie"], 300), OutcomeUnknown, None),
        (reply(HTML, 302), OutcomeUnknown, None),
        (reply(HTML, 408), OutcomeUnknown, None),
        (reply(HTML, 400), Refused, None),
        (reply(HTML, 404), Refused, None),
        (reply(HTML, 499), Refused, None),
        (reply(HTML, 500), OutcomeUnknown, None),
        (reply({"code": 999, "msg": "new"}), OutcomeUnknown, None),
        (reply({"code": 200, "data": {}}), OutcomeUnknown, None),
        (reply({"code": 200, "data": {"taskId": ""}}), OutcomeUnknown, None),
        (reply({"code": 200, "data": {"taskId": 7}}), OutcomeUnknown, None),
        (reply({"code": 200, "data": None}), OutcomeUnknown, None),
        (reply({"code": 500, "msg": "who knows"}), OutcomeUnknown, "invalid"),
        (reply({"code": 500, "msg": "prompt is required"}), Refused, "invalid"),
        (reply({"code": 505, "msg": "success", "data": {"taskId": ""}}), OutcomeUnknown, "featureDisabledWithTask"),
        (NoAnswer("ReadTimeout", sent=True), OutcomeUnknown, None),
        (NoAnswer("ConnectError", sent=False), Refused, None),
    ],
)
def test_a_create_is_refused_for_certain_or_unknown(answer: Any, kind: type[ClientError], name: str | None) -> None:
    """What is no acceptance is refused only where contract or HTTP says so; else it is unknown, and never repeated."""
    player = Player()
    with pytest.raises(kind) as caught:
        player.submit(answer)
    assert type(caught.value) is kind
    assert caught.value.name == name
    assert len(player.sent) == 1


def test_an_error_with_an_id_is_an_acceptance() -> None:
    """An error that the contract calls committed, and that has an id, is a job."""
    (job,) = Player().submit(reply({"code": 505, "msg": "success", "data": {"taskId": "t"}}))
    assert job.id == "t"


LATER = {"code": 429, "msg": "Rate limit exceeded"}


@pytest.mark.parametrize(
    ("answers", "times"),
    [
        ([reply(LATER)] * 4, [0, 1, 3, 7, 15]),
        ([reply(LATER, retry_after="20")] * 2, [0, 20, 40]),
        ([reply(LATER, retry_after=formatdate(NOW + 45, usegmt=True))], [0, 45]),
        ([reply(LATER, retry_after="0")] * 3, [0, 1, 2, 3]),
        ([reply(LATER, retry_after=formatdate(NOW - 45, usegmt=True))], [0, 1]),
        ([reply(LATER, retry_after="400")], [0, 400]),
        ([reply(HTML, 429, retry_after="20")], [0, 20]),
        ([reply({"code": 500, "msg": "This interface is temporarily paused."})], [0, 1]),
    ],
    ids=["backing off", "seconds", "date", "at once", "past date", "long", "of a proxy", "paused"],
)
def test_a_create_that_may_pass_is_repeated_when_asked(answers: list[Answer], times: list[float]) -> None:
    """A create that is refused for now is repeated after the pause that the provider asks for, and not before."""
    player = Player()
    (job,) = player.submit(*answers, reply(CREATED["kie"]))
    assert job.id == "t"
    assert player.times == times
    assert len({(send.url, send.body) for send in player.sent}) == 1


@pytest.mark.parametrize(
    ("answer", "seconds", "times"),
    [
        (reply(LATER), 20, [0, 1, 3, 7, 15]),
        (reply(LATER, retry_after="20"), 60, [0, 20, 40]),
        (reply(LATER, retry_after="3600"), 600, [0]),
        (reply(LATER, retry_after="9" * 400), 600, [0]),
        (reply(LATER), 0, [0]),
        (reply({"code": 402, "msg": "Credits insufficient"}), 600, [0]),
    ],
    ids=["backing off", "seconds", "too long", "endless", "no time", "for good"],
)
def test_a_create_is_not_repeated_past_its_deadline(answer: Answer, seconds: float, times: list[float]) -> None:
    """A create that would be repeated after its deadline, or that is refused for good, raises Refused at once."""
    player = Player()
    with pytest.raises(Refused):
        player.submit(answer, seconds=seconds)
    assert player.times == times


def test_the_deadline_of_a_create_counts_slow_answers() -> None:
    """The time that the answers take counts for the deadline as the pauses do."""
    player = Player(seconds=25)
    with pytest.raises(Refused):
        player.submit(reply(LATER), seconds=60)
    assert player.times == [0, 26, 53]


def test_a_rule_of_another_operation_does_not_make_a_create_repeatable(tmp_path: Any) -> None:
    """Whether an error may pass is asked of the rules for the operation that met it."""
    body = {"error": {"$match": "busy"}}
    errors = {
        "busy": [
            {"operations": ["createJob"], "http": 503, "message": "busy", "body": body},
            {"operations": ["getJob"], "http": 503, "message": "busy", "body": body, "retry": "later"},
        ]
    }
    player = Player("small", small(tmp_path, errors=errors))
    with pytest.raises(Refused):
        player.submit(reply({"error": "busy"}, 503), model=None)
    assert player.wait(reply({"error": "busy"}, 503), reply({"state": "succeeded"})).state is State.SUCCEEDED


def test_a_stream_that_does_not_open_has_the_error_of_its_operation(tmp_path: Any) -> None:
    """The answer to a subscription is recognised by the rules for the stream, and not by those for a create."""
    errors = {
        name: [{"operations": [operation], "http": 503, "message": name, "body": {"error": {"$match": "busy"}}}]
        for name, operation in (("busy", "createJob"), ("deaf", "listen"))
    }
    events = {"operation": "listen", "scope": "account", "frames": {}}
    player = Player("small", small(tmp_path, errors=errors, events=events))
    error = player.flows.unsubscribed(reply({"error": "busy"}, 503))
    assert (error.name, error.operation, error.status_code) == ("deaf", "listen", 503)
    assert str(error).startswith("the stream of events could not be opened\n")


# Creates that block


def edit(player: Player, *script: Answer | NoAnswer, **options: Any) -> Any:
    return player.submit(*script, operation="editImage", **options)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply({}), OutcomeUnknown),
        (reply({"images": []}), OutcomeUnknown),
        (reply({"images": "?"}), OutcomeUnknown),
        (reply(HTML, 422), OutcomeUnknown),
        (reply(HTML, 413), Refused),
    ],
)
def test_a_blocking_create_that_shows_nothing_is_unknown(answer: Answer, kind: type[ClientError]) -> None:
    """A blocking create whose answer has neither result nor reason is not taken for a success."""
    with pytest.raises(kind):
        edit(Player("oxen"), answer)


def test_a_blocking_create_has_the_status_of_its_view() -> None:
    """An HTTP status that the view gives to a state is that state, and no refusal."""
    (done,) = edit(Player("oxen"), reply({"images": [{"url": "https://a.test/1"}], "model": "m"}))
    (failed,) = edit(Player("oxen"), reply({"error": {"message": "no"}}, 422))
    assert (done.state, done.outputs[0].url) == (State.SUCCEEDED, "https://a.test/1")
    assert (failed.state, failed.error) == (State.FAILED, JobError(message="no"))


def test_a_blocking_create_may_take_what_is_left() -> None:
    """A blocking create may take as long as its deadline is away."""
    player = Player("oxen")
    edit(player, reply({"error": {"message": "later"}}, 429), reply({"images": [{"url": "u"}]}), seconds=100)
    assert [send.timeout_seconds for send in player.sent] == [100, 99]


# Cancels


def test_a_cancel_looks_at_the_job_after_it() -> None:
    """A cancel is followed by one look at the job, whose state counts."""
    player = Player("oxen")
    job = player.play(player.flows.cancel(Job(id="t")), reply({"status": "success"}), told("oxen", "processing"))
    assert job.state is State.RUNNING
    assert [(send.method, send.url.rpartition("/")[2]) for send in player.sent] == [("DELETE", "t"), ("GET", "t")]


@pytest.mark.parametrize("answer", [reply({}, 404), RESET])
def test_a_cancel_that_fails_is_told(answer: Any) -> None:
    """A cancel that is answered by an error, or not at all, raises ProviderError with the job, and looks at nothing."""
    player = Player("oxen")
    job = Job(id="t")
    with pytest.raises(ProviderError, match=r"^the (cancel was refused|cancel got no answer: ReadError)") as caught:
        player.play(player.flows.cancel(job), answer)
    assert caught.value.job is job
    assert len(player.sent) == 1


def test_a_cancel_may_be_refused_by_a_status_of_its_own(tmp_path: Any) -> None:
    """Where the contract has a view for a cancel that comes too late, that answer is no error."""
    cancel = {"operation": "cancelJob", "id": "$request.path.id", "from": ["queued"], "reply": VIEW}
    player = Player("small", small(tmp_path, cancel={**cancel, "refused": {"http": 409, "body": {}}}))
    job = player.play(player.flows.cancel(Job(id="t")), reply({}, 409), reply({"state": "running"}))
    assert job.state is State.RUNNING


# Texts


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (
            lambda: Player().submit(reply({"code": 402, "msg": "Credits insufficient : top up"}), seconds=0),
            "the create was refused\n"
            "  in createTask\n"
            '  got: HTTP 200 · credits · "Credits insufficient : top up"\n'
            "  The fault is yours. Top up the account. No job was made and nothing was charged.",
        ),
        (
            lambda: Player().submit(RESET),
            "the create got no answer: ReadError: reset\n"
            "  in createTask\n"
            "  The fault is the network's, between you and the provider. "
            "A job may exist and may have been charged: look at the provider's log before you repeat the request.",
        ),
        (
            lambda: Player().submit(reply(HTML, 502)),
            "the create failed, and a job may have been made\n"
            "  in createTask\n"
            '  got: HTTP 502 · "<html>Bad gateway</html>"\n'
            "  The fault is the provider's. "
            "A job may exist and may have been charged: look at the provider's log before you repeat the request.",
        ),
        (
            lambda: Player().submit(reply({"code": 200, "data": {"taskId": 7}})),
            "the answer to the create cannot be read: text for $job.id is expected at /\n"
            "  in createTask\n"
            '  got: HTTP 200 · "{"code": 200, "data": {"taskId": 7}}"\n'
            "  The fault is the provider's. "
            "A job may exist and may have been charged: look at the provider's log before you repeat the request.",
        ),
        (
            lambda: Player().wait(told("kie", "waiting"), seconds=10),
            "the job did not end within 10 seconds\n"
            "  job t is queued ('waiting')\n"
            "  The fault is the provider's, if the deadline was long enough. "
            "The job goes on at the provider: wait again with a later deadline, or cancel it.",
        ),
        (
            lambda: Player().wait(told("kie", "fail", failCode="422", failMsg="prohibited", creditsConsumed=18)),
            "the job failed\n"
            "  job t is failed ('fail'), cost: 18 credits\n"
            '  got: 422 · "prohibited"\n'
            "  The fault is yours or the provider's. "
            "The job has ended: if it is the input that its text speaks of, mend that before you make another.",
        ),
        (
            lambda: Player().wait(reply({"code": 401, "msg": "Unauthorized"})),
            "the status could not be read\n  in recordInfo, job t is queued\n"
            '  got: HTTP 200 · unauthorized · "Unauthorized"\n'
            "  The fault is yours. Check the key. It made no job and ended none.",
        ),
        (
            lambda: Player().wait(reply({"code": 433, "msg": "Request Limit"})),
            "the status could not be read\n  in recordInfo, job t is queued\n"
            '  got: HTTP 200 · keyLimit · "Request Limit"\n'
            "  The fault is yours. Mend the request. It made no job and ended none.",
        ),
        (
            lambda: Player().play(Player().flows.status(Job(id="t", cost=18)), RESET),
            "the status got no answer: ReadError: reset\n"
            "  in recordInfo, job t is queued, cost: 18 credits\n"
            "  The fault is the network's, between you and the provider. "
            "See that it can be reached. It made no job and ended none.",
        ),
        (
            lambda: Player("oxen").play(Player("oxen").flows.status(Job(id="t")), reply([])),
            "the status cannot be read: an object is expected at /\n"
            "  in getGeneration, job t is queued\n"
            "  got: HTTP 200\n"
            "  The fault is the provider's, or the network's. Either the contract is out of date or something between "
            "you and the provider answered instead; a job that you have goes on.",
        ),
    ],
    ids=[
        "refused",
        "lost",
        "502",
        "unreadable-create",
        "timeout",
        "failed",
        "unauthorized",
        "limited",
        "silent",
        "unreadable-status",
    ],
)
def test_errors_read_like_this(act: Any, text: str) -> None:
    """An error says what happened, where, what was answered, and what to do."""
    with pytest.raises(ClientError) as caught:
        act()
    assert str(caught.value) == text


def test_a_status_that_cannot_be_read_is_told() -> None:
    """A status that is not what the contract says raises UnreadableReply, with the job as it was."""
    player = Player("oxen")
    job = Job(id="t", state=State.RUNNING)
    with pytest.raises(UnreadableReply) as caught:
        player.play(player.flows.status(job), reply({"generation_id": 7}))
    assert caught.value.job is job


def test_cases_are_those_of_all_providers() -> None:
    """The providers here are those that the tests of both clients have."""
    assert set(CREATED) == set(CASES)


# Files and streams


@pytest.mark.parametrize("moves", [0, 1, 9, 10, 11])
def test_a_file_may_move_ten_times(moves: int) -> None:
    """A link is followed ten times, from where it was each time, and no further."""
    player = Player()
    script = [reply(status=302, location=f"{place}") for place in range(moves)]
    flow = player.flows.download(Output(url="https://a.test/files/first"))
    if moves <= 10:
        assert player.play(flow, *script, reply(b"png")) == b"png"
        assert player.sent[-1].url == f"https://a.test/files/{moves - 1 if moves else 'first'}"
    else:
        with pytest.raises(UnreadableReply, match=r"could not be fetched from https://a.test/files/9: it was moved 10"):
            player.play(flow, *script)
    assert len(player.sent) == min(moves, 10) + 1


@given(st.integers(100, 599), st.booleans())
@example(200, True)
@example(299, True)
@example(300, True)
@example(301, False)
@example(308, False)
def test_a_file_is_what_comes_with_success(status: int, moved: bool) -> None:
    """Any 2xx brings the file; what is no 2xx, and leads nowhere else, is told with its status."""
    assume(not (moved and status in (301, 302, 303, 307, 308)))
    player = Player()
    answer = reply(b"png", status, **({"location": "https://b.test/2"} if moved else {}))
    flow = player.flows.download(Output(url="https://a.test/1"))
    if 200 <= status < 300:
        assert player.play(flow, answer) == b"png"
    else:
        with pytest.raises(UnreadableReply) as caught:
            player.play(flow, answer)
        assert caught.value.status_code == status
    assert [(send.method, send.url) for send in player.sent] == [("GET", "https://a.test/1")]
