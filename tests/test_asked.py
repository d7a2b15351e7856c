"""Tests of what a create asks for: kept as it came, and read when somebody looks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import json_values
from tests.small import PATHS, create_with, small
from understudy.fake import Fake
from understudy.store import Play


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Fake:
    """Return a fake whose creates have a tag in the body beside the input."""
    create = create_with(claims=["$request.body#/tag"])
    return Fake("small", paths=[small(tmp_path_factory.mktemp("asked"), create=create)])


def made(fake: Fake, **body: Any) -> Play:
    """Make a job that nobody has looked at."""
    reply = fake.client().post("/jobs", **body)
    return fake.provider.plays[reply.json()["id"]]


def test_a_body_that_nobody_has_looked_at_stays_as_it_came(fake: Fake) -> None:
    """Nothing of it is held twice."""
    sent = b'{"prompt": "a lighthouse"}'
    play = made(fake, content=sent, headers={"content-type": "application/json"})
    assert (play.sent, play.record.request, play.record.input) == (sent, None, None)


@given(st.dictionaries(st.text(), json_values))
def test_whoever_looks_finds_what_was_sent(fake: Fake, more: dict[str, Any]) -> None:
    """The body whole, and the input without what stands beside it."""
    body = {**more, "prompt": "a lighthouse", "count": 1, "tag": "one", "callback": None}
    play = made(fake, content=json.dumps(body).encode(), headers={"content-type": "application/json"})
    inner = {key: value for key, value in body.items() if key not in ("tag", "callback")}
    assert (play.job.request, play.job.input, play.sent) == (body, inner, None)


def test_an_input_of_its_own_keeps_what_is_called_like_something_beside_it(tmp_path: Path) -> None:
    """Only where the whole body is the input, what another key claims is no part of it."""
    create = create_with(input="$request.body#/input", claims=["$request.body#/tag"])
    fake = Fake("small", paths=[small(tmp_path, create=create)])
    play = made(fake, json={"prompt": "-", "input": {"prompt": "a lighthouse", "tag": "mine"}, "tag": "one"})
    assert play.job.input == {"prompt": "a lighthouse", "tag": "mine"}


def test_no_thread_reads_a_job_in_the_middle_of_its_create(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is handed there would lose its input when that is set aside: jobs are read under the stand-in's lock."""
    lock = MagicMock()
    monkeypatch.setattr(fake.provider, "_lock", lock)
    assert isinstance(fake.jobs, dict)
    lock.__enter__.assert_called_once()


def test_jobs_share_short_texts(fake: Fake) -> None:
    """One that many have is held once."""
    one, two = (made(fake, json={"prompt": "a lighthouse"}).job.input for _ in range(2))
    assert one is not None
    assert two is not None
    assert one["prompt"] is two["prompt"]


def test_a_failure_can_tell_of_the_input(tmp_path: Path) -> None:
    """It is read for the message."""
    failures = {"bad": {"message": "no {$job.input#/prompt}"}}
    fake = Fake("small", paths=[small(tmp_path, failures=failures)])
    fake.next_job(failure="bad")
    job_id = made(fake, json={"prompt": "a lighthouse"}).record.id
    fake.clock.advance(60)
    error = fake.jobs[job_id].error
    assert error is not None
    assert error.message == "no a lighthouse"


def test_a_form_is_read_at_once(tmp_path: Path) -> None:
    """Its fields cannot be read again without its content type."""
    form = {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}
    operation = {"operationId": "createJob", "requestBody": {"required": True, "content": form}}
    fake = Fake("small", paths=[small(tmp_path, paths={"/jobs": {**PATHS["/jobs"], "post": operation}})])
    play = made(fake, data={"prompt": "a lighthouse"})
    assert (play.sent, play.record.input) == (None, {"prompt": "a lighthouse"})


def test_what_stands_outside_of_the_body_is_read_at_once(tmp_path: Path) -> None:
    """An input of a header or a path is not in the body."""
    fake = Fake("small", paths=[small(tmp_path, create=create_with(input=["$request.header.x-input|json"]))])
    play = made(fake, json={"prompt": "-"}, headers={"x-input": '{"prompt": "a lighthouse"}'})
    assert (play.sent, play.record.input) == (None, {"prompt": "a lighthouse"})


def test_a_create_without_a_body_keeps_none(tmp_path: Path) -> None:
    """There is nothing to set aside."""
    bare = {**PATHS["/jobs"], "post": {"operationId": "createJob"}}
    fake = Fake("small", paths=[small(tmp_path, paths={"/jobs": bare})])
    play = made(fake)
    assert (play.sent, play.job.request, play.job.input) == (None, None, {})


def test_a_request_that_a_callback_may_tell_of_is_kept_read(tmp_path: Path) -> None:
    """It is needed soon."""
    fake = Fake("small", paths=[small(tmp_path, callback={"view": {"body": {"id": "$job.id"}}})])
    play = made(fake, json={"prompt": "a lighthouse", "callback": "http://localhost/told"})
    assert (play.sent, play.record.input) == (None, {"prompt": "a lighthouse"})
