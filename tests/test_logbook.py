"""Tests of the log of a live server."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.live import (
    STORIES,
    key,
    listening,
    make,
    receiver,
    roster_of,
    told,
    until,
)
from understudy.clock import VirtualClock
from understudy.logbook import Logbook
from understudy.server import serve
from understudy.wire import Reply, Request


def test_the_log_tells_a_lifecycle(http: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each request, state and callback, and none of them has a key or a query in it."""
    secret = "sk-do-not-tell"
    with serve("kie", clock=VirtualClock(), quiet=False) as server, receiver() as mailbox:
        url = f"{server.url_of('kie')}{STORIES['kie'].create}?api_key={secret}"
        body = {**STORIES["kie"].body, "callBackUrl": f"{mailbox.url}?token={secret}"}
        job_id = http.post(url, json=body, headers=key(secret)).json()["data"]["taskId"]
        server.advance(20)
        until(http, server.url, lambda: told(server).attempts)
        lost = http.get(f"{server.url_of('kie')}/{'x' * 300}", headers=key(secret))
        http.get(f"{server.url}/favicon.ico")
    log = capsys.readouterr().err
    assert secret not in log
    shown = f"{job_id[:8]}…"
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", re.sub(r"\d+ ms$", "N ms", line)) for line in log.splitlines()]
    assert lines == [
        f"kie POST /api/v1/jobs/createTask, 200, job {shown} queued, N ms",
        f"kie job {shown} queued ('queuing')",
        f"kie job {shown} running ('generating')",
        f"kie job {shown} succeeded ('success')",
        f"kie job {shown} callback 1 to {mailbox.url}, delivered: 200",
        f"kie GET /{'x' * 119}…, {lost.status_code} unknownPath, N ms",
        "- GET /favicon.ico, 404 no such provider, N ms",
    ]


def test_the_log_of_a_failed_callback_says_why(http: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    """A callback that is not sent, or met an error, is in the log with the reason."""
    with serve("kie", clock=VirtualClock(), quiet=False) as server:
        make(http, server.url_of("kie"), "kie", callBackUrl="http://user:password@example.com/hook?token=1")
        server.advance(20)
        until(http, server.url, lambda: told(server).attempts)
    log = capsys.readouterr().err
    assert "callback 1 to http://example.com/hook, not delivered: not sent: example.com is not loopback" in log
    assert "password" not in log


def test_the_log_of_streams_and_of_many_jobs(http: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    """A stream is logged when it opens, and a request about many jobs by the first of them."""
    with serve("oxen", clock=VirtualClock(), quiet=False) as server:
        with listening(http, f"{server.url_of('oxen')}/api/events"):
            pass
        make(http, server.url_of("oxen"), "oxen", num_generations=3)
    log = capsys.readouterr().err
    assert "oxen GET /api/events, 200 stream" in log
    assert re.search(r"oxen POST /api/ai/queue, 200, job \S+ queued and 2 more", log)


def test_the_log_knows_jobs_that_are_gone(capsys: pytest.CaptureFixture[str]) -> None:
    """A job that was forgotten while its request was answered is called so."""
    (role,) = roster_of("kie")
    request = Request("GET", "/x\x1b[31m")
    Logbook(VirtualClock(), quiet=False).request(role, request, Reply(200, [], b"", jobs=("gone",)), 1.4)
    assert capsys.readouterr().err.endswith("kie GET /x?[31m, 200, job gone forgotten, 1 ms\n")


def test_the_log_of_faults(http: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault that strikes is one line, and a request that it left without an answer is called so."""
    with serve("kie", clock=VirtualClock(), quiet=False, scenario="answer-lost") as server:
        with pytest.raises(httpx.ReadError):
            make(http, server.url_of("kie"), "kie")
        entries = http.get(f"{server.url}/__admin/journal").json()["entries"]
    log = [re.sub(r"^\S+ |, \d+ ms$", "", line) for line in capsys.readouterr().err.splitlines()]
    assert log[:2] == ["kie POST /api/v1/jobs/createTask, no answer", "kie fault answer-lost on create"]
    (struck,) = [entry for entry in entries if entry["kind"] == "fault"]
    assert (struck["fault"], struck["on"], struck["job"]) == ("answer-lost", "create", None)
