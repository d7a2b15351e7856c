"""Tests of what each kind of operation does."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from tests import signing
from tests.small import VIEW, create_with, small
from understudy.errors import ClockExhausted
from understudy.fake import Fake
from understudy.lifecycle import State, Step
from understudy.wire import Reply, Request, Stream

KEY = {"type": "apiKey", "in": "header", "name": "X-Key"}


def fake_of(root: Path, *, provider: dict[str, Any] | None = None, **parts: Any) -> Fake:
    return Fake("small", paths=[small(root, **parts)], **(provider or {}))


def made(fake: Fake, body: dict[str, Any] | None = None, **options: Any) -> str:
    """Make a job and return its id."""
    reply = fake.client(**options).post("/jobs", json={"prompt": "a", **(body or {})})
    return str(reply.json()["id"])


def read(fake: Fake, job: str, **options: Any) -> httpx.Response:
    return fake.client(**options).get(f"/jobs/{job}")


# Reading


def test_only_the_owner_sees_a_job(tmp_path: Path) -> None:
    """A job can be read, cancelled and listed by the account that made it, and is not there for others."""
    fake = fake_of(tmp_path, security=KEY)
    job, other = made(fake), fake.client(api_key="another")
    assert read(fake, job).json()["id"] == job
    for method in ("GET", "DELETE"):
        assert other.request(method, f"/jobs/{job}").json()["title"] == "notFound"
    assert other.get("/jobs").json() == {"count": 0, "jobs": []}
    assert fake.client().get("/jobs").json() == {"count": 1, "jobs": [job]}


@pytest.mark.parametrize("job", ["unknown", "%2e%2e", "é", "job-87425473%20"])
def test_an_unknown_job_is_not_found(tmp_path: Path, job: str) -> None:
    """An id that no job has is not found."""
    assert read(fake_of(tmp_path), job).json()["title"] == "notFound"


def test_a_job_is_kept_for_so_long_after_its_end(tmp_path: Path) -> None:
    """After its retention a job can neither be read, cancelled nor listed; before its end it always can."""
    fake = fake_of(tmp_path, retention={"jobSeconds": 60})
    job = made(fake)
    fake.clock.advance(65)
    assert read(fake, job).status_code == 200
    fake.clock.advance(1)
    assert read(fake, job).status_code == 404
    assert fake.client().delete(f"/jobs/{job}").status_code == 404
    assert fake.client().get("/jobs").json()["count"] == 0
    fake.next_job(state=State.QUEUED)
    stuck = made(fake)
    fake.clock.advance(10**6)
    assert read(fake, stuck).status_code == 200


@pytest.mark.parametrize("parts", [{}, {"notYetVisible": {"error": "tooEarly", "withinSeconds": 5}}])
def test_a_new_job_may_be_invisible_for_a_while(tmp_path: Path, parts: dict[str, Any]) -> None:
    """Until it is visible a job answers the error that the contract names, or that it is not found."""
    status = {"operation": "getJob", "id": "$request.path.id", "reply": {"body": "$job.id"}, **parts}
    errors = {"tooEarly": [{"http": 425}]}
    fake = fake_of(tmp_path, status=status, errors=errors, behaviour={"visibleAfterSeconds": 3})
    job = made(fake)
    fake.clock.advance(2.5)
    assert read(fake, job).status_code == (425 if parts else 404)
    fake.clock.advance(0.5)
    assert read(fake, job).status_code == 200
    fake.next_job(visible_after_seconds=0)
    assert read(fake, made(fake)).status_code == 200


def test_reading_for_ever_is_caught(tmp_path: Path) -> None:
    """A loop that reads a job without waiting ends in ClockExhausted, which names the job and its state."""
    fake = fake_of(tmp_path)
    fake.clock._max_reads = 5  # type: ignore[attr-defined]
    fake.next_job(timeline=[Step(State.QUEUED, reads=3), Step(State.RUNNING)])
    job = made(fake)
    states = [read(fake, job).json()["state"] for _ in range(5)]
    assert states == ["queued"] * 3 + ["running"] * 2
    with pytest.raises(ClockExhausted, match=f"job {job}, which is still running"):
        read(fake, job)


def test_a_job_that_has_ended_may_be_read_for_ever(tmp_path: Path) -> None:
    """Reads of a job that has ended do not count."""
    fake = fake_of(tmp_path)
    fake.clock._max_reads = 5  # type: ignore[attr-defined]
    fake.next_job(state=State.FAILED)
    job = made(fake)
    assert {read(fake, job).status_code for _ in range(10)} == {200}


# Cancelling


def test_a_job_is_cancelled_where_it_can_be(tmp_path: Path) -> None:
    """In the states that the contract names a job is cancelled; in others the answer is that of a refusal."""
    view = {"body": {"state": "$job.status"}}
    refused = {"http": 409, "body": {"state": "$job.status"}}
    cancel = {"operation": "cancelJob", "id": "$request.path.id", "from": ["queued"], "reply": view, "refused": refused}
    fake = fake_of(tmp_path, cancel=cancel)
    first, second = made(fake), made(fake)
    assert fake.client().delete(f"/jobs/{first}").json() == {"state": "cancelled"}
    fake.clock.advance(2)
    reply = fake.client().delete(f"/jobs/{second}")
    assert (reply.status_code, reply.json()) == (409, {"state": "running"})
    fake.clock.advance(100)
    assert [job.state for job in fake.jobs.values()] == [State.CANCELLED, State.SUCCEEDED]


def test_cancelling_what_has_ended_changes_nothing(tmp_path: Path) -> None:
    """Where a contract says that cancelling works after the end as well, the answer is the same and the job stays."""
    every = [state.value for state in State]
    view = {"body": {"state": "$job.status"}}
    fake = fake_of(tmp_path, cancel={"operation": "cancelJob", "id": "$request.path.id", "from": every, "reply": view})
    job = made(fake)
    fake.clock.advance(100)
    assert fake.client().delete(f"/jobs/{job}").json() == {"state": "succeeded"}


# Listing


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, ["queued", "running"]),
        ({"state": ""}, ["queued", "running"]),
        ({"state": "succeeded"}, ["succeeded"]),
        ({"state": "nothing"}, []),
        ({"number": "2"}, ["running"]),
        ({"number": "2", "state": "queued"}, []),
    ],
)
def test_a_list_shows_what_is_asked_for(tmp_path: Path, query: dict[str, str], shown: list[str]) -> None:
    """Each filter compares with the request's value as text, and has its own idea of what is meant without one."""
    listing = {
        "operation": "listJobs",
        "reply": {"body": {"$each": "$jobs", "do": "$job.status"}},
        "filter": [
            {"by": "$request.query.state", "is": "$job.status", "otherwise": ["queued", "running"]},
            {"by": "$request.query.number|string", "is": "$job.input#/count"},
        ],
    }
    fake = fake_of(tmp_path, list=listing)
    for number, state in enumerate(("queued", "running", "succeeded"), start=1):
        fake.next_job(state=State(state))
        made(fake, {"count": number})
    assert fake.client().get("/jobs", params=query).json() == shown


def test_a_filter_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A parameter that is not what its codec says is invalid, and the error tells which."""
    listing = {
        "operation": "listJobs",
        "reply": {"body": []},
        "filter": [{"by": "$request.query.number|string", "is": "$job.id"}],
    }
    rule = {"http": 400, "body": {"field": "$violation.field", "at": "$violation.pointer", "why": "$violation.message"}}
    fake = fake_of(tmp_path, list=listing, errors={"invalid": [rule]})
    assert fake.client().get("/jobs", params={"number": "many"}).json() == {
        "field": "number",
        "at": "/number",
        "why": "a number inside the text is expected",
    }


# Where a value is


@pytest.mark.parametrize(
    ("place", "body", "found"),
    [
        ("$request.body#/a", {"a": "m"}, "m"),
        ("$request.body#/a|default(\"m\")", {}, "m"),
        ("$request.body#/a|json", {"a": "{"}, None),
        ("$request.body#/a|head(2)", {"a": "m/n/o"}, "m/n"),
        (["$request.body#/a", "$request.body#/b"], {"b": "m"}, "m"),
        (["$request.body#/a", "fixed"], {}, "fixed"),
        (["$request.body#/a"], {}, None),
        ("$request.body#/a|json", {"a": "\"m\""}, "m"),
    ],
)  # fmt: skip
def test_a_place_is_read_as_the_client_wrote_it(tmp_path: Path, place: Any, body: dict, found: str | None) -> None:
    """Codecs at a place of the request are undone, a default fills in, and the first place that exists counts."""
    fake = fake_of(tmp_path, create=create_with(model=place))
    if found is None and body:
        assert fake.client().post("/jobs", json={"prompt": "a", **body}).json()["title"] == "invalid"
    else:
        job = made(fake, body)
        assert fake.jobs[job].model == found


# Models


def test_the_models_describe_themselves() -> None:
    """The list has every model of the contract, and each can be asked for with its schema; others are not found."""
    fake = Fake("oxen")
    client = fake.client()
    models = client.get("/api/ai/models").json()["data"]
    assert [model["id"] for model in models] == list(fake.contract.job_type.models)
    assert client.get(f"/api/ai/models/{models[0]['id']}").json() == models[0]
    assert models[0]["request_schema"]["required"] == ["model", "prompt"]
    missing = client.get("/api/ai/models/unknown")
    assert (missing.status_code, missing.json()["error"]["message"]) == (404, "Model not found: unknown")


# Fresh links


def finished(fake: Fake) -> str:
    """Make a job at Kie, wait for its end, and return the link to its picture."""
    body = {"model": "nano-banana-pro", "input": {"prompt": "a"}}
    fake.client().post("/api/v1/jobs/createTask", json=body)
    fake.clock.advance(60)
    return str(list(fake.jobs.values())[-1].outputs[0].url)


def test_a_link_can_be_made_afresh() -> None:
    """A fresh link works for its own time when the old one is dead, and then is dead as well."""
    fake = Fake("kie")
    client, link = fake.client(), finished(fake)
    fake.clock.advance(90_000)
    assert client.get(link).status_code == 403
    fresh = client.post("/api/v1/common/download-url", json={"url": f"{link}?old=1"}).json()["data"]
    assert client.get(fresh).headers["content-type"] == "image/png"
    fake.clock.advance(1200)
    assert client.get(fresh).status_code == 403


def test_a_link_of_another_base_can_be_made_afresh(tmp_path: Path) -> None:
    """Where the fake serves files under a URL of its own, links of that URL are its own, and no others."""
    fake = Fake("kie")
    for url, status in (("http://127.0.0.1:1/_files/p/a.png", 200), ("https://tempfile.aiquickdraw.com/p/a.png", 422)):
        request = Request(
            "POST",
            "/api/v1/common/download-url",
            headers=[("authorization", "Bearer key"), ("content-type", "application/json")],
            body=f'{{"url": "{url}"}}'.encode(),
            asset_url="http://127.0.0.1:1/_files",
        )
        reply = fake.handle(request)
        assert isinstance(reply, Reply)
        assert f'"code":{status}'.encode() in reply.body


@given(
    st.text()
    | st.sampled_from(
        ["http://[", "https://tempfile.aiquickdraw.com.evil.test/p/a", "https://tempfile.aiquickdraw.com@evil.test/"]
    )
)
def test_a_foreign_link_is_refused(url: str) -> None:
    """What is no link of this provider is refused in its own words, whatever it is."""
    assume(not url.startswith("https://tempfile.aiquickdraw.com/"))
    reply = Fake("kie").client().post("/api/v1/common/download-url", json={"url": url}).json()
    assert (reply["code"], reply["msg"][:16]) == (422, "Validation Error")


def test_a_foreign_link_is_a_violation_of_the_url(tmp_path: Path) -> None:
    """The rule for a link that cannot be made afresh is told which member is wrong, how, and what it was."""
    body = {"schema": {"type": "object", "properties": {"url": {"type": "string"}}}}
    operation = {"operationId": "renew", "requestBody": {"content": {"application/json": body}}}
    renewal = {
        "operation": "renew",
        "url": "$request.body#/url",
        "lifetimeSeconds": 60,
        "reply": {"body": "$asset.url"},
    }
    names = ("field", "pointer", "keyword", "value", "message")
    fake = fake_of(
        tmp_path,
        paths={"/links": {"post": operation}},
        assets={"url": "https://files.small.test/{$job.id}", "renew": renewal},
        errors={"invalid": [{"http": 422, "body": {name: f"$violation.{name}" for name in names}}]},
    )
    assert fake.client().post("/links", json={"url": "https://a.test/1"}).json() == {
        "field": "url",
        "pointer": "/url",
        "keyword": "format",
        "value": "https://a.test/1",
        "message": "it is no link to a result of this provider",
    }


# Uploads

UPLOADS = "https://kieai.redpandaai.co/api"

file_names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20).filter(
    lambda name: not set(name) & {'"', "\\"} and name.strip("./") == name
)


@given(file_names, st.binary(), st.sampled_from(["a", "a/b c", "/é/", "X/aX", ""]))
def test_an_upload_can_be_fetched_again(name: str, content: bytes, folder: str) -> None:
    """Whatever was uploaded under whatever name comes back byte for byte from the link in the answer."""
    client = Fake("kie").client()
    files, data = {"file": (name, content, "image/x-test")}, {"uploadPath": folder or "x"}
    reply = client.post(f"{UPLOADS}/file-stream-upload", files=files, data=data).json()["data"]
    path = f"{folder.strip('/') or 'x'}/{name}"
    assert (reply["fileName"], reply["filePath"], reply["fileSize"]) == (name, path, len(content))
    fetched = client.get(reply["downloadUrl"])
    assert (fetched.status_code, fetched.content) == (200, content)
    assert fetched.headers["content-type"] == reply["mimeType"] == "image/x-test"


def test_an_upload_as_text_can_be_fetched_again() -> None:
    """Bytes that were sent as base64 or as a data URL come back as bytes, under the name that was asked for."""
    client = Fake("kie").client()
    for text in ("aGVsbG8=", "data:image/png;base64,aGVsbG8="):
        body = {"base64Data": text, "uploadPath": "a", "fileName": "b c.png"}
        reply = client.post(f"{UPLOADS}/file-base64-upload", json=body).json()["data"]
        assert (reply["filePath"], reply["fileSize"]) == ("a/b c.png", 5)
        assert client.get(reply["downloadUrl"]).content == b"hello"


def test_text_that_is_no_base64_is_refused() -> None:
    """What cannot be decoded is refused in the provider's own words."""
    body = {"base64Data": "***", "uploadPath": "a"}
    reply = Fake("kie").client().post(f"{UPLOADS}/file-base64-upload", json=body).json()
    assert reply == {"success": False, "code": 400, "msg": "Base64 decoding failed: Invalid Base64 format"}


def test_a_picture_stands_in_for_what_would_have_to_be_fetched() -> None:
    """Nothing is fetched for an upload by URL; a picture of the fake's own is there instead, under a minted name."""
    client = Fake("kie").client()
    replies = [
        client.post(f"{UPLOADS}/file-url-upload", json={"fileUrl": "http://example.com/a", "uploadPath": "a", **more})
        for more in ({}, {"fileName": "b.png"})
    ]
    minted, named = (reply.json()["data"] for reply in replies)
    assert named["fileName"] == "b.png"
    assert re.fullmatch(r"[0-9a-f]{12}\.png", minted["fileName"])
    assert minted["mimeType"] == client.get(minted["downloadUrl"]).headers["content-type"] == "image/png"
    assert Image.open(BytesIO(client.get(minted["downloadUrl"]).content)).size == (512, 512)


def test_an_upload_expires_in_the_words_of_the_provider() -> None:
    """After its lifetime an upload has the status of an expired link."""
    fake = Fake("kie")
    body = {"fileUrl": "http://example.com/a", "uploadPath": "a"}
    link = fake.client().post(f"{UPLOADS}/file-url-upload", json=body).json()["data"]["downloadUrl"]
    fake.clock.advance(259_201)
    assert fake.client().get(link).status_code == 403


def test_bytes_that_cannot_be_decoded_are_a_violation(tmp_path: Path) -> None:
    """What a codec cannot read is told as a violation of its member; a body of bytes has no text for a schema."""
    names = ("field", "pointer", "keyword", "limit", "value", "message")
    schema = {"type": "object", "properties": {"data": {"type": "string"}}}
    upload = {"operations": ["upload"], "url": "https://up.test/{$file.path}", "reply": {"body": "$file.size"}}
    errors = {"invalid": [{"http": 422, "body": {name: f"$violation.{name}" for name in names}}]}
    kinds: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("$request.body#/data|base64", "application/json", schema),
        ("$request.body", "application/octet-stream", {"type": "string", "maxLength": 0}),
    )
    as_text, as_bytes = (
        fake_of(
            tmp_path / kind,
            paths={"/files": {"post": {"operationId": "upload", "requestBody": {"content": {kind: {"schema": one}}}}}},
            files=[{**upload, "content": place}],
            errors=errors,
        ).client()
        for place, kind, one in kinds
    )
    assert as_text.post("/files", json={"data": "aGVsbG8="}).json() == 5
    assert as_text.post("/files", json={"data": "***"}).json() == {
        "field": "data",
        "pointer": "/data",
        "keyword": "format",
        "limit": "base64 text",
        "value": "***",
        "message": "base64 text is expected",
    }
    assert as_bytes.post("/files", content=b"abc", headers={"content-type": "application/octet-stream"}).json() == 3


def test_an_upload_without_a_folder_is_at_the_top(tmp_path: Path) -> None:
    """Where the contract has no folder, the path is the name; the reply and the link may be anywhere."""
    content: dict[str, Any] = {"application/octet-stream": {}}
    paths = {"/files": {"post": {"operationId": "upload", "requestBody": {"content": content}}}}
    reply = {"body": {"path": "$file.path", "url": "$file.url", "account": "$account.balance"}}
    upload = {
        "operations": ["upload"],
        "content": "$request.body",
        "url": "https://up.test/{$file.path}",
        "reply": reply,
    }
    fake = fake_of(tmp_path, paths=paths, files=[upload], assets=None, outputs=None)
    answer = fake.client().post("/files", content=b"abc", headers={"content-type": "application/octet-stream"}).json()
    assert answer["url"] == f"https://up.test/{answer['path']}"
    assert fake.client().get(answer["url"]).content == b"abc"
    fake.reset()
    assert fake.client().get(answer["url"]).status_code == 404


# The rest


def test_an_operation_about_no_job_is_answered(tmp_path: Path) -> None:
    """Such an operation is rendered over the account and the request."""
    replies = {"account": {"body": {"left": "$account.balance", "at": "$now", "said": "$request.query.x"}}}
    fake = fake_of(tmp_path, replies=replies, provider={"balance": 7})
    reply = fake.client().get("/account", params={"x": "y"}).json()
    assert reply == {"left": 7, "at": fake.clock.now(), "said": "y"}


def test_the_key_of_callbacks_is_published(tmp_path: Path) -> None:
    """The answer is the key set that goes with the stand-in's secrets, and is noted under its operation."""
    kind = signing.PUBLIC[0]
    fake = Fake("small", paths=[signing.provider(tmp_path, signing.KINDS[kind])])
    reply = fake.client().get("/keys")
    assert (reply.status_code, reply.json()) == (200, signing.published(kind))
    assert fake.journal.exchanges[-1].operation == "keys"


def test_a_reply_has_the_status_of_the_state(tmp_path: Path) -> None:
    """Where a view has an HTTP status for each state, creates, reads and cancels answer with it."""
    by_state = {"http": {"default": 200, "queued": 202, "cancelled": 410}}
    cancel = {"operation": "cancelJob", "id": "$request.path.id", "from": ["queued"]}
    fake = fake_of(
        tmp_path,
        create=create_with(reply={"body": {"id": "$job.id", "state": "$job.status"}, **by_state}),
        status={"operation": "getJob", "id": "$request.path.id", "reply": {**VIEW, **by_state}},
        cancel={**cancel, "reply": {**VIEW, **by_state}},
    )
    client = fake.client()
    job = client.post("/jobs", json={"prompt": "a"})
    path = f"/jobs/{job.json()['id']}"
    assert [job.status_code, client.get(path).status_code, client.delete(path).status_code] == [202, 202, 410]
    assert client.get("/jobs").json()["count"] == 1
    assert [entry.jobs for entry in fake.journal.exchanges] == [tuple(fake.jobs)] * 4


def test_an_operation_that_no_part_claims_leads_nowhere(tmp_path: Path) -> None:
    """An operation of the document that nothing in x-jobs speaks of is checked and then unknown."""
    fake = fake_of(tmp_path)
    assert fake.client().get("/account").json()["title"] == "unknownPath"


def test_a_stream_tells_its_keep_alive(tmp_path: Path) -> None:
    """A stream says how often a carrier is to send which comment, and is noted in the journal when it opens."""
    events = {
        "operation": "listen",
        "scope": "account",
        "keepAlive": {"everySeconds": 15, "comment": "still here"},
        "frames": {},
    }
    fake = fake_of(tmp_path, events=events)
    stream = fake.handle(Request("GET", "/events"))
    assert isinstance(stream, Stream)
    assert (stream.keep_alive_seconds, stream.keep_alive) == (15, b": still here\n\n")
    assert dict(stream.headers) == {"content-type": "text/event-stream", "cache-control": "no-cache"}
    assert [(entry.operation, entry.status) for entry in fake.journal.exchanges] == [("listen", 200)]
