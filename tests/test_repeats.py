"""Tests of creates with a key: the same key makes no second job, in the fake and for the client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import contract_problems, job_of
from tests.player import RESET, Player, reply
from tests.small import create_with, small
from understudy import Client, Fake, OutcomeUnknown, Refused
from understudy.fake import API_KEY
from understudy.wire import Request

ONCE = {"key": "$request.header.Once", "seconds": 100, "conflict": "keyInUse"}
ERRORS = {
    "keyInUse": [{"http": 409, "body": {"error": {"$match": "key-in-use"}}}],
    "credits": [{"http": 402, "body": {"error": {"$match": "credits"}}}],
    "paused": [{"http": 503, "body": {"error": {"$match": "paused"}}, "retry": "later"}],
    "billed": [{"http": 502, "body": {"error": {"$match": "billed"}, "id": "$job.id"}, "committed": "yes"}],
}
FORM = {"multipart/form-data": {"schema": {"type": "object"}}, "application/json": {"schema": {"type": "object"}}}


def written(root: Path, **create: Any) -> Path:
    """Write a provider whose create takes a key, which costs two for each job."""
    post = {"operationId": "createJob", "requestBody": {"content": FORM}}
    return small(
        root,
        security={"type": "apiKey", "in": "header", "name": "X-Key"},
        paths={"/jobs": {"post": post}, "/others": {"post": {**post, "operationId": "createOther"}}},
        create=create_with(**{"operations": ["createJob", "createOther"], "idempotency": ONCE, **create}),
        errors=ERRORS,
        prices={"rules": [{"amount": 2}]},
        list=None,
    )


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Return a fake whose creates take a key."""
    return Fake("small", paths=[written(tmp_path)])


def post(fake: Fake, key: str | None, body: Any = None, path: str = "/jobs", **options: Any) -> httpx.Response:
    headers = {} if key is None else {"Once": key}
    return fake.client(**options).post(path, json=body or {"prompt": "a"}, headers=headers)


# The fake


@given(keys=st.lists(st.sampled_from(["a", "b", "c", None]), max_size=8))
def test_there_are_as_many_jobs_as_keys(once: Fake, keys: list[str | None]) -> None:
    """Creates make one job for each key, and one each without; each is charged once, and answered alike."""
    once.reset()
    ids = [(key, post(once, key).json()["id"]) for key in keys]
    distinct = len({key for key in keys if key is not None}) + keys.count(None)
    assert len(once.jobs) == distinct == len({job for _, job in ids})
    assert once.ledger.charged == 2 * distinct
    assert all(
        (a == b) == (first == second) for a, first in ids for b, second in ids if a is not None and b is not None
    )


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Fake:
    """Return a fake whose creates take a key."""
    return Fake("small", paths=[written(tmp_path_factory.mktemp("once"))])


def test_the_answer_is_what_it_was(fake: Fake) -> None:
    """However far the job has come, a repetition is answered as the create was."""
    first = post(fake, "k")
    fake.clock.advance(60)
    again = post(fake, "k")
    assert (again.status_code, again.content, again.headers) == (first.status_code, first.content, first.headers)


def test_another_request_with_the_key_is_a_named_error(fake: Fake) -> None:
    """A key stands for one request: another body, path or query is refused, and the first can still be repeated."""
    first = post(fake, "k").json()
    for refused in (
        post(fake, "k", {"prompt": "b"}),
        post(fake, "k", path="/others"),
        post(fake, "k", path="/jobs?x=1"),
    ):
        assert (refused.status_code, refused.json()) == (409, {"error": "key-in-use"})
    assert post(fake, "k").json() == first
    assert len(fake.jobs) == 1


def test_a_form_is_the_same_however_it_is_written(fake: Fake) -> None:
    """Another boundary makes no other request, another file does."""
    sent = [fake.client().post("/jobs", files={"f": content}, headers={"Once": "k"}) for content in (b"1", b"1", b"2")]
    assert [reply.status_code for reply in sent] == [201, 201, 409]


def test_a_key_is_one_account_s_and_is_forgotten(fake: Fake) -> None:
    """The key of another account is another key, and after its time a key is new."""
    ids = [post(fake, "k").json()["id"], post(fake, "k", api_key="other").json()["id"]]
    fake.clock.advance(100)
    assert post(fake, "k").json()["id"] == ids[0]
    fake.clock.advance(1)
    ids.append(post(fake, "k").json()["id"])
    assert len(set(ids)) == 3


def test_keys_are_bounded(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many keys the oldest is forgotten, and no other."""
    monkeypatch.setattr("understudy.repeats.MAX_KEYS", 5)
    ids = [post(fake, str(number)).json()["id"] for number in range(6)]
    assert post(fake, "1").json()["id"] == ids[1]
    assert post(fake, "0").json()["id"] not in ids


def test_a_create_that_made_no_job_leaves_its_key_free(fake: Fake) -> None:
    """What was refused may be tried again with the same key, even by another request."""
    fake.next_job(error="credits")
    assert post(fake, "k", {"prompt": "b"}).status_code == 402
    assert post(fake, "k").status_code == 201


def test_an_error_that_made_a_job_is_answered_again(fake: Fake) -> None:
    """Where a create was answered by an error and made a job all the same, so is its repetition, without another."""
    fake.next_job(error="billed")
    answers = [post(fake, "k") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [502, 502]
    assert answers[0].json() == answers[1].json()
    assert list(fake.jobs) == [answers[0].json()["id"]]


def test_while_the_first_is_answered_the_key_is_in_use(tmp_path: Path) -> None:
    """A create that blocks can be repeated once it is answered, and also where its client has gone meanwhile."""
    fake = Fake("small", paths=[written(tmp_path, sync={"maxSeconds": 4})])
    fake.fault("answer-lost", on="create")
    with pytest.raises(httpx.ReadError):
        post(fake, "k")
    assert post(fake, "k").json()["state"] == "running"
    assert len(fake.jobs) == 1
    waiting = fake.handle(_request("other"))
    refused = fake.handle(_request("other"))
    assert (waiting.__class__.__name__, refused.status) == ("Wait", 409)  # type: ignore[union-attr]
    fake.clock.advance(3)
    assert fake.handle(_request("other")).status == 409  # type: ignore[union-attr]
    fake.clock.advance(1)
    assert fake.handle(_request("other")).status == 201  # type: ignore[union-attr]


def _request(key: str) -> Any:
    return Request("POST", "/jobs", "", [("content-type", "application/json"), ("once", key), ("x-key", "k")], b"{}")


def test_the_error_of_a_conflict_is_one_that_there_is() -> None:
    """The name of the error is looked up, and the nearest is offered."""
    rule = {**ONCE, "conflict": "notFond"}
    create = {"operations": ["make"], "reply": {"body": {"id": "$job.id"}}, "idempotency": rule}
    assert contract_problems(job_of(create=[create])) == ['there is no error "notFond"; did you mean "notFound"?']


# The client


def test_a_create_whose_answer_is_lost_is_repeated(fake: Fake) -> None:
    """With a key the client asks again, and has its one job; without one it may not."""
    client = Client(fake.contract, api_key=API_KEY, http=fake.client(), clock=fake.clock)
    fake.fault("answer-lost", on="create", times=2)
    job = client.submit({"prompt": "a"})
    assert list(fake.jobs) == [job.id]
    assert fake.ledger.charged == 2
    assert client.submit({"prompt": "a"}).id != job.id


@pytest.mark.parametrize("place", ["$request.body#/once", "$request.query.once"])
def test_a_key_goes_where_the_contract_has_it(tmp_path: Path, place: str) -> None:
    """A key in the body is no part of the input, and one that the caller gives is the one that counts."""
    fake = Fake("small", paths=[written(tmp_path, idempotency={**ONCE, "key": place})])
    client = Client(fake.contract, api_key=API_KEY, http=fake.client(), clock=fake.clock)
    job = client.submit({"prompt": "a"})
    assert fake.jobs[job.id].input == {"prompt": "a"}
    same = {client.submit({"prompt": "a", "once": "mine"}).id for _ in range(2)}
    assert len(same) == (1 if "body" in place else 2)


ACCEPTED = reply({"id": "t", "state": "queued"}, 201)
REFUSED_CONNECTION = type(RESET)("ConnectError", sent=False)


@pytest.fixture
def player(tmp_path: Path) -> Player:
    """Return what plays a provider whose creates take a key."""
    return Player("small", written(tmp_path))


@pytest.mark.parametrize(
    "answers",
    [
        [RESET],
        [reply(b"<html>", 502), RESET],
        [reply(b"{", 201)],
        [RESET, REFUSED_CONNECTION],
        [RESET, reply({"error": "key-in-use"}, 409)],
        [RESET, reply({"error": "paused"}, 503)],
        [reply({"error": "paused"}, 503), RESET],
    ],
)
def test_a_create_in_doubt_is_repeated_with_its_key(player: Player, answers: list[Any]) -> None:
    """As long as a job may have been made, what is no answer, or none for good, is asked again by the same request."""
    (job,) = player.submit(*answers, ACCEPTED, model=None)
    assert job.id == "t"
    assert len(player.sent) == len(answers) + 1
    assert len({(send.url, send.headers, send.body) for send in player.sent}) == 1


@pytest.mark.parametrize("refusal", [reply({"error": "credits"}, 402), reply(b"", 404)])
def test_a_repetition_that_is_refused_leaves_the_outcome_unknown(player: Player, refusal: Any) -> None:
    """That the second try was refused does not say that the first one was."""
    with pytest.raises(OutcomeUnknown, match="when it was repeated it was refused") as caught:
        player.submit(RESET, refusal, model=None)
    assert caught.value.status_code == refusal.status
    assert isinstance(caught.value.__cause__, Refused)


@pytest.mark.parametrize(("seconds", "times"), [(600, [0, 1, 3, 7, 15, 31, 63]), (6, [0, 1, 3]), (0, [0])])
def test_a_create_in_doubt_is_not_repeated_for_ever(player: Player, seconds: float, times: list[float]) -> None:
    """It ends with the deadline, or with the time for which the provider remembers the key."""
    with pytest.raises(OutcomeUnknown):
        player.submit(RESET, seconds=seconds, model=None)
    assert player.times == times


def test_a_first_refusal_is_one(player: Player) -> None:
    """A create that has met no doubt is refused for certain, key or no key."""
    with pytest.raises(Refused):
        player.submit(REFUSED_CONNECTION, model=None)
    assert len(player.sent) == 1
