"""Tests of the admin API of the live server."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.live import PROVIDERS, make, raw, receiver, until
from understudy.clock import VirtualClock
from understudy.server import LiveServer, serve


@pytest.fixture
def admin(live: LiveServer) -> Iterator[httpx.Client]:
    """A client of the admin API."""
    with httpx.Client(base_url=f"{live.url}/__admin", timeout=20, trust_env=False) as client:
        yield client


def test_health(admin: httpx.Client) -> None:
    """A server that answers is healthy, and says which version it is."""
    assert admin.get("/health").json() == {"status": "ok", "version": "0.1.0"}


def test_providers(live: LiveServer, admin: httpx.Client) -> None:
    """Each provider is shown with its address, its scenarios, and how many jobs and which balances it has."""
    make(admin, live.url_of("kie"), "kie")
    providers = {one["name"]: one for one in admin.get("/providers").json()["providers"]}
    assert tuple(providers) == PROVIDERS
    kie = providers["kie"]
    assert (kie["url"], kie["asset_url"]) == (live.url_of("kie"), f"{live.asset_url}/kie")
    assert kie["hosts"][0] == "api.kie.ai"
    assert (kie["scenario"], kie["jobs"]) == (None, 1)
    assert "stuck-in-queue" in kie["scenarios"]
    assert [account["balance"] for account in kie["accounts"]] == [9982]


def test_jobs(live: LiveServer, admin: httpx.Client) -> None:
    """Jobs are shown in the order in which they were made, of all providers or of one; of many, the newest."""
    first = make(admin, live.url_of("kie"), "kie", callBackUrl="http://user:password@127.0.0.1:1/hook?token=secret")
    live.advance(20)
    second = make(admin, live.url_of("oxen"), "oxen")
    reply = admin.get("/jobs")
    assert "password" not in reply.text
    assert "secret" not in reply.text
    jobs = reply.json()["jobs"]
    assert [(job["id"], job["state"]) for job in jobs] == [(first, "succeeded"), (second, "queued")]
    assert jobs[0]["callback_url"] == "http://127.0.0.1:1/hook"
    assert jobs[1]["callback_url"] is None
    assert jobs[0]["outputs"][0].startswith(live.asset_url)
    assert [job["id"] for job in admin.get("/jobs?provider=oxen").json()["jobs"]] == [second]
    assert [job["id"] for job in admin.get("/jobs?limit=1").json()["jobs"]] == [second]
    assert admin.get("/jobs?limit=1").json()["total"] == 2


def test_a_list_looks_at_what_it_shows(live: LiveServer, admin: httpx.Client) -> None:
    """Results of jobs that are not shown are not made for it, however many jobs there are."""
    for _ in range(3):
        make(admin, live.url_of("kie"), "kie")
    live.advance(20)
    assert len(admin.get("/jobs?limit=1").json()["jobs"][0]["outputs"]) == 1
    made = [play for play in live.provider("kie").plays.values() if play.make_result is None]
    assert len(made) == 1


def test_a_failed_job_says_why(admin: httpx.Client) -> None:
    """A job that failed is shown with the provider's text."""
    with serve("oxen", scenario="content-policy", clock=VirtualClock()) as live:
        make(admin, live.url_of("oxen"), "oxen")
        live.advance(20)
        (job,) = admin.get(f"{live.url}/__admin/jobs").json()["jobs"]
    assert job["error"] == "DataInspectionFailed - Green net check failed"


def test_the_journal(live: LiveServer, admin: httpx.Client) -> None:
    """Requests, transitions and callbacks are shown in order, with bodies and without keys."""
    with receiver() as mailbox:
        job_id = make(admin, live.url_of("kie"), "kie", callBackUrl=mailbox.url)
        live.advance(20)
        until(admin, live.url, lambda: live.provider("kie").journal.attempts)
    reply = admin.get("/journal")
    assert "Bearer" not in reply.text
    entries = reply.json()["entries"]
    assert [entry["kind"] for entry in entries] == ["transition", "exchange", *["transition"] * 3, "callback"]
    exchange, callback = entries[1], entries[-1]
    assert (exchange["operation"], exchange["status"], exchange["jobs"]) == ("createTask", 200, [job_id])
    assert '"nano-banana-pro"' in exchange["request_body"]
    assert job_id in exchange["reply_body"]
    assert (callback["job"], callback["url"], callback["status"]) == (job_id, mailbox.url, 200)
    assert [entry["kind"] for entry in admin.get("/journal?limit=1").json()["entries"]] == ["callback"]
    assert admin.get("/journal?provider=oxen").json() == {"entries": [], "total": 0}


def test_bodies_that_are_no_text_are_left_out(live: LiveServer, admin: httpx.Client) -> None:
    """A body is shown as text up to where the journal cuts it, and a picture is not shown."""
    url = f"{live.url_of('kie')}/api/v1/chat/credit"
    admin.post(url, content="é".encode() * 8191 + b"xx" + "é".encode())
    admin.post(url, content=b"x" + "é".encode() * 8192)
    admin.post(url, content=b"\x89PNG\r\n" + b"\xff" * 100)
    shown = [entry["request_body"] for entry in admin.get("/journal").json()["entries"]]
    assert shown == ["é" * 8191 + "xx", "x" + "é" * 8191, None]


def test_the_clock_is_moved(live: LiveServer, admin: httpx.Client) -> None:
    """The clock is shown, and moves by as much as is asked for, with all that falls due."""
    before = admin.get("/clock").json()
    assert before == {"now": 1767225600.0, "iso": "2026-01-01T00:00:00.000+00:00"}
    make(admin, live.url_of("kie"), "kie")
    reply = admin.post("/clock", json={"advance_seconds": 60})
    assert reply.json()["now"] == before["now"] + 60
    assert admin.get("/jobs").json()["jobs"][0]["state"] == "succeeded"


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "{}", *(f'{{"advance_seconds": {value}}}' for value in ('"1"', "true", "null", "-1", "1e99"))],
)
def test_the_clock_refuses_what_is_no_time(body: str, admin: httpx.Client) -> None:
    """The clock moves by a number of seconds from zero to a year, and by nothing else."""
    reply = admin.post("/clock", content=body)
    assert reply.status_code == 422
    assert "advance_seconds" in reply.json()["detail"]


def test_a_reset_forgets(live: LiveServer, admin: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    """A reset forgets the jobs of all providers, or of the one that is named."""
    for name in PROVIDERS:
        make(admin, live.url_of(name), name)
    assert admin.post("/reset?provider=kie").json() == {"reset": ["kie"]}
    assert [job["provider"] for job in admin.get("/jobs").json()["jobs"]] == ["fal", "oxen", "replicate", "shortapi"]
    assert admin.post("/reset").json() == {"reset": list(PROVIDERS)}
    assert admin.get("/jobs").json()["jobs"] == []


def test_what_is_changed_here_is_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    """The log tells when the clock was moved or a provider reset from outside."""
    with serve("kie", clock=VirtualClock(), quiet=False) as live:
        httpx.post(f"{live.url}/__admin/clock", json={"advance_seconds": 1.5})
        httpx.post(f"{live.url}/__admin/reset")
    log = capsys.readouterr().err
    assert "the clock was moved by 1.5 seconds" in log
    assert "kie was reset" in log


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/nowhere", 404, "GET /__admin/nowhere: Not Found"),
        ("DELETE", "/jobs", 405, "DELETE /__admin/jobs: Method Not Allowed"),
        ("GET", "/reset", 405, "GET /__admin/reset: Method Not Allowed"),
        ("GET", "/jobs?provider=kei", 404, 'did you mean "kie"'),
        ("GET", "/jobs?limit=0", 422, "limit has to be a whole number from 1"),
        ("GET", "/jobs?limit=-1", 422, "limit has to be"),
        ("GET", "/journal?limit=ten", 422, "limit has to be"),
        ("GET", "/journal?limit=%C2%B2", 422, "limit has to be"),
        ("GET", "/journal?limit=99999999999", 422, "limit has to be"),
    ],
)
def test_what_cannot_be_answered(method: str, path: str, status: int, detail: str, admin: httpx.Client) -> None:
    """A wrong path, method or parameter is a problem that says what is wrong."""
    reply = admin.request(method, path)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert detail in reply.json()["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:4010", "LOCALHOST", "[::1]:4010"])
def test_loopback_may_ask(host: str, admin: httpx.Client) -> None:
    """Under each name of this machine, from its own pages and from programs, the admin API answers."""
    for origin in ({}, {"origin": f"http://{host}"}, {"origin": "https://localhost:3000"}):
        assert admin.get("/health", headers={"host": host, **origin}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "localhost.evil.example"},
        {"host": "evil.example:4010"},
        {"host": "127.0.0.1.nip.example"},
        {"host": "192.168.1.5:4010"},
        {"host": ""},
        {"host": "localhost/x"},
        {"host": "api.kie.ai"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://localhost.evil.example"},
        {"origin": "http://[::1"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/health"), ("GET", "/"), ("POST", "/reset"), ("GET", "/no")])
def test_nobody_else_may_ask(method: str, path: str, headers: dict[str, str], admin: httpx.Client) -> None:
    """Another Host, as a rebound name has it, or another Origin, is refused with 403 whatever it asks for."""
    reply = admin.request(method, path, headers=headers)
    assert reply.status_code == 403
    assert reply.headers["content-type"] == "application/problem+json"
    assert "access-control-allow-origin" not in reply.headers


def test_two_hosts_are_one_too_many(live: LiveServer, admin: httpx.Client) -> None:
    """A request with two Host headers is refused, for either could be meant; so is one with a foreign second Origin."""
    two = b"GET /__admin/health HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n"
    assert raw(live.url, two).startswith(b"HTTP/1.1 403")
    origins = [("origin", "http://127.0.0.1"), ("origin", "http://evil.example")]
    assert admin.get("/health", headers=origins).status_code == 403


def test_an_encoded_path_is_guarded_too(live: LiveServer, admin: httpx.Client) -> None:
    """The admin API is the same, and as guarded, under another spelling of its path."""
    url = f"{live.url}/%5F%5Fadmin/health"
    assert admin.get(url).status_code == 200
    assert admin.get(url, headers={"host": "evil.example"}).status_code == 403


def test_the_page(live: LiveServer, admin: httpx.Client) -> None:
    """The page has all that it needs in itself, may not be framed, and asks for what there is."""
    reply = admin.get(f"{live.url}/__admin", follow_redirects=True)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert not re.search(r"(?:src|href)=|@import|https?://", reply.text)
    for path in re.findall(r'"((?:clock|providers|jobs|journal)[^" ]*)"', reply.text):
        assert admin.get(f"/{path}").status_code == 200
    assert "innerHTML" not in reply.text  # or a prompt could be a script


def test_the_colours_of_the_page_can_be_read(admin: httpx.Client) -> None:
    """Each colour of text has a contrast of 4.5:1 or more, on white and on a dark that is not quite black."""

    def luminance(colour: str) -> float:
        parts = [int(part * (2 // len(part)), 16) / 255 for part in re.findall("." * (len(colour) // 3), colour)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    style = admin.get("/").text.partition("</style>")[0]
    colours = re.findall(r"--(\w+): light-dark\(#(\w+), #(\w+)\)", style)
    assert {name for name, _, _ in colours} == set(re.findall(r"[ {;]color: var\(--(\w+)\)", style))
    for name, light, dark in colours:
        assert 1.05 / (luminance(light) + 0.05) >= 4.5, name
        assert (luminance(dark) + 0.05) / (luminance("1e1e1e") + 0.05) >= 4.5, name


def test_a_defect_of_ours_is_no_traceback_for_clients(
    live: LiveServer, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exception in the admin API is a 500 problem for the client, and a traceback in the log."""
    monkeypatch.setattr(live.provider("kie"), "plays", None)
    reply = admin.get("/jobs")
    assert reply.status_code == 500
    assert reply.headers["content-type"] == "application/problem+json"
    assert "NoneType" not in reply.text
    log = capsys.readouterr().err
    assert "GET /__admin/jobs: this is a defect of Understudy: AttributeError" in log
    assert "Traceback" in log
