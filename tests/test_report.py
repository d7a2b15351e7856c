"""Tests of the report on a run: what is a breach, whose, and what is none."""

from __future__ import annotations

from collections import Counter

import httpx
import pytest

from tests.live import key, make, receiver, until
from understudy import report
from understudy.report import Report
from understudy.server import LiveServer
from understudy.wire import Reply, Request


def test_a_callback_that_nobody_takes(live: LiveServer, http: httpx.Client) -> None:
    """A callback that is refused to the last is a breach of the receiver's."""
    with receiver() as mailbox:
        mailbox.status = 500
        make(http, live.url_of("shortapi"), "shortapi", callback_url=mailbox.url)
        live.advance(60)
        until(http, live.url, lambda: live.provider("shortapi").journal.attempts)
    got = Report(live.roster).data(Counter(), Counter(), 0)
    assert [(each["what"], each["got"], each["do"]) for each in got["breaches"]] == [
        (f"a callback was not taken: {mailbox.url}", "HTTP 500", "mend the receiver")
    ]


ODD = [
    ("GET", "/api/v1/job/query", "unsupportedMediaType"),
    ("GET", "/api/v1/job/query", "unknownModel"),
    ("GET", "/nothing", "unauthorized"),
    ("GET", "/nothing", "notFound"),
    ("POST", "/api/v1/job/create", "rateLimited"),
]


@pytest.mark.parametrize(("method", "path", "error"), ODD)
def test_an_error_where_the_client_cannot_have_made_it(live: LiveServer, method: str, path: str, error: str) -> None:
    """An error that only a story can have put where it came is no breach."""
    kept = Report(live.roster)
    kept.note(live.roster.role("shortapi"), Request(method, path), Reply(400, [], b"", error=error))
    assert kept.data(Counter(), Counter(), 0)["breaches"] == []


def test_a_job_that_is_not_found_by_its_own_key(live: LiveServer, http: httpx.Client) -> None:
    """A job that its own key does not find is a story."""
    job_id = make(http, live.url_of("shortapi"), "shortapi")
    kept = Report(live.roster)
    request = Request("GET", "/api/v1/job/query", f"id={job_id}", list(key().items()))
    kept.note(live.roster.role("shortapi"), request, Reply(404, [], b"", error="notFound"))
    assert kept.data(Counter(), Counter(), 0)["breaches"] == []


def test_a_job_whose_id_no_reply_tells(live: LiveServer) -> None:
    """A reply to a create that does not tell the id of its job is a story, and kept like any other."""
    kept = Report(live.roster)
    kept.note(live.roster.role("shortapi"), Request("POST", "/api/v1/job/create"), Reply(200, [], b"{}", jobs=("x",)))
    assert kept.data(Counter(), Counter(), 0)["breaches"] == []


def test_a_body_that_cannot_be_read(live: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a body that cannot be read no model is known; beyond the bound no further breach is kept."""
    kept = Report(live.roster)
    headers = [("content-type", "application/json")]
    for error in ("unknownModel", "malformed"):
        request = Request("POST", "/api/v1/job/create", headers=headers, body=b"{")
        kept.note(live.roster.role("shortapi"), request, Reply(400, [], b"", error=error))
        monkeypatch.setattr(report, "MAX_BREACHES", 1)
    assert [each["got"] for each in kept.data(Counter(), Counter(), 0)["breaches"]] == ['"None"']


def test_places() -> None:
    """Where something stands in JSON is found in objects and lists, and what is not there is nowhere."""
    assert report._place_of({"a": [1, {"b": "x"}]}, "x") == "a[1].b"
    assert report._place_of({"a": 1}, "x") is None
    assert report._json(b"x") is None
