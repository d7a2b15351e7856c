"""Tests of the faults: each strikes in process as it does on a socket, and does what it says."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import STORIES, key
from understudy import Fake, Receiver, SystemClock, VirtualClock, serve
from understudy.faults import fault_class, fault_names
from understudy.server import LiveServer
from understudy.trouble import fault_rule

KIE = STORIES["kie"]
LISTED = Path(__file__).parents[1] / "docs/faults.md"

#: Faults that the answer to a create shows, or its absence.
ON_A_REPLY = sorted(
    name for name in fault_names() if "create" in fault_class(name).on and set(fault_class(name).moments) - {"job"}
)
ID = re.compile(r"[0-9a-f]{32}")


def seen(send: Callable[[], httpx.Response]) -> Any:
    """Return what a client sees of a request: the error, or the answer without what differs from run to run."""
    try:
        reply = send()
    except httpx.HTTPError as error:
        return type(error).__name__
    return reply.status_code, reply.headers["content-type"], ID.sub("an id", reply.text)


def create(http: httpx.Client, url: str, **more: Any) -> Callable[[], httpx.Response]:
    """Return a request for a job of Kie."""
    return lambda: http.post(url + KIE.create, json={**KIE.body, **more}, headers=key())


def client_of(fake: Fake, **options: Any) -> httpx.Client:
    """Return a client with the key that the requests of these tests have."""
    return fake.client(api_key="key", **options)


@contextmanager
def fast() -> Iterator[LiveServer]:
    """A live Kie whose clock runs by itself, a thousand times as fast."""
    with serve("kie", clock=SystemClock(1000)) as server:
        yield server


@pytest.mark.parametrize("name", ON_A_REPLY)
def test_a_fault_is_the_same_in_process_and_on_a_socket(
    name: str, http: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    """A client sees the same of a fault on both, and the same number of jobs is made; the server is not upset by it."""
    given: dict[str, Any] = {"pointer": "/data/taskId"} if name.startswith("member") else {}
    fake = Fake("kie", clock=SystemClock(1000))
    fake.fault(name, **given)
    here = seen(create(client_of(fake), "https://api.kie.ai"))
    with fast() as server:
        server.provider("kie").arm(fault_rule(name, None, given))
        there = seen(create(http, server.url_of("kie")))
        assert len(server.provider("kie").plays) == len(fake.jobs)
        assert [entry.fault for entry in server.provider("kie").journal.faults] == [name]
    assert here == there
    assert [(entry.fault, entry.on) for entry in fake.journal.faults] == [(name, "create")]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "sight", "jobs"),
    [
        ("answer-lost", "ReadError", 1),
        ("body-truncated", "RemoteProtocolError", 1),
        ("delay", "ReadTimeout", 1),
        ("dribble", (200, "application/json"), 1),
        ("empty-body", (200, "application/json"), 1),
        ("error", (200, "application/json"), 0),
        ("html-error-page", (502, "text/html; charset=UTF-8"), 0),
        ("malformed-json", (200, "application/json"), 1),
        ("outage", "ReadError", 0),
        ("reset-before-commit", "ReadError", 0),
        ("reset-in-body", "ReadError", 1),
        ("unknown-fields", (200, "application/json"), 1),
        ("wrong-content-type", (200, "text/html; charset=utf-8"), 1),
    ],
)
def test_what_a_client_sees_of_a_fault(name: str, sight: Any, jobs: int) -> None:
    """Each fault of a reply is what its name says, and commits or does not."""
    fake = Fake("kie")
    fake.fault(name)
    found = seen(create(client_of(fake, timeout=10), ""))
    assert (found if isinstance(found, str) else found[:2]) == sight
    assert len(fake.jobs) == jobs
    assert (fake.ledger_of("key").spent > 0) == (jobs > 0)


def test_every_fault_of_a_reply_is_in_these_tests() -> None:
    """No fault is left out above."""
    assert {"answer-lost", "outage", "dribble", "callback-before-answer", "member-value"} <= set(ON_A_REPLY)


async def _read(fake: Fake) -> httpx.Response:
    async with fake.async_client(api_key="key", timeout=10) as http:
        return await http.post(KIE.create, json=KIE.body)


@pytest.mark.parametrize("name", ["answer-lost", "body-truncated", "delay", "dribble", "reset-in-body"])
def test_an_async_client_sees_the_same(name: str) -> None:
    """Sync and async clients see the same of a fault."""
    import asyncio

    sync, other = Fake("kie"), Fake("kie")
    sync.fault(name)
    other.fault(name)
    assert seen(create(client_of(sync, timeout=10), "")) == seen(lambda: asyncio.run(_read(other)))
    assert sync.clock.now() == other.clock.now()


def test_a_client_gives_up_on_a_pause_that_is_longer_than_its_patience() -> None:
    """A read timeout counts between two pieces of a body, as it does on a socket."""
    fake = Fake("kie")
    fake.fault("dribble", pause_seconds=11)
    began = fake.clock.now()
    assert seen(create(client_of(fake, timeout=10), "")) == "ReadTimeout"
    assert fake.clock.now() == began + fake.provider.behaviour.latency_seconds + 10


def test_an_outage_lasts_until_it_is_over() -> None:
    """While the provider is down every connection is refused; then all is as before."""
    fake = Fake("kie")
    fake.fault("outage", seconds=30)
    http = client_of(fake)
    assert [seen(create(http, "")) for _ in range(3)] == ["ReadError", "ConnectError", "ConnectError"]
    fake.clock.advance(30)
    assert seen(create(http, ""))[0] == 200
    fake.fault("outage")
    seen(create(http, ""))
    fake.reset()
    assert seen(create(http, ""))[0] == 200


def test_an_outage_closes_the_listener(http: httpx.Client) -> None:
    """On a live server nobody listens meanwhile, and afterwards the same addresses answer."""
    with serve("kie", clock=VirtualClock()) as server:
        server.provider("kie").arm(fault_rule("outage", None, {"seconds": 30}))
        url = server.url_of("kie")
        assert [seen(create(http, url)) for _ in range(3)] == ["ReadError", "ConnectError", "ConnectError"]
        server.advance(30)
        for _ in range(1000):  # the sockets open a moment later, in the server's thread
            answer = seen(create(http, url))
            if answer != "ConnectError":
                break
        assert answer[0] == 200


def test_an_outage_does_not_end_where_another_has_taken_the_port(
    http: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    """A server that cannot listen again says so, and can still be stopped."""
    import socket

    with serve("kie", clock=VirtualClock()) as server:
        server.provider("kie").arm(fault_rule("outage", None, {"seconds": 30}))
        port = int(server.url.rpartition(":")[2])
        seen(create(http, server.url_of("kie")))
        with socket.create_server(("127.0.0.1", port)):
            server.advance(30)
            server.advance(0)
    assert f"the outage does not end: cannot listen on port {port}" in capfd.readouterr().err


def test_a_client_that_leaves_amid_a_dribble_is_no_trouble(capfd: pytest.CaptureFixture[str]) -> None:
    """A server that sends a body piece by piece stops when nobody reads it."""
    with serve("kie", clock=VirtualClock()) as server, httpx.Client(trust_env=False, timeout=0.2) as http:
        server.provider("kie").arm(fault_rule("dribble", None, {}))
        assert seen(create(http, server.url_of("kie"))) == "ReadTimeout"
    with serve("kie", clock=VirtualClock()) as server:
        server.provider("kie").arm(fault_rule("dribble", None, {}))
        with httpx.Client(trust_env=False, timeout=0.2) as http:
            seen(create(http, server.url_of("kie")))
            http.close()
            server.advance(1000)
    assert capfd.readouterr().err == ""


# --- faults of jobs, files, callbacks and streams -----------------------------------------------------------------


def states_of(fake: Fake, polls: int = 8) -> list[str]:
    """Make a job, poll it every five seconds and return the words that it was in, each once."""
    http = client_of(fake)
    job_id = KIE.id_of(create(http, "")().json())
    words = []
    for _ in range(polls):
        words.append(http.get(KIE.status(job_id)).json()["data"]["state"])
        fake.clock.sleep(4.5)
    return list(dict.fromkeys(words))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unknown-state", ["waiting", "generating", "unheard_of", "success"]),
        ("undocumented-ending", ["waiting", "generating", "unheard_of"]),
        ("stuck", ["waiting", "generating"]),
    ],
)
def test_faults_of_a_job(name: str, words: list[str]) -> None:
    """A job goes where no document says, or nowhere."""
    fake = Fake("kie")
    fake.fault(name)
    assert states_of(fake) == words


def test_an_unknown_word_has_the_type_of_the_others() -> None:
    """Where state words are numbers, an unknown one is a number."""
    fake = Fake("shortapi")
    fake.fault("undocumented-ending")
    story = STORIES["shortapi"]
    job_id = story.id_of(client_of(fake).post(story.create, json=story.body).json())
    assert fake.wait_for(job_id).status == 99


@pytest.mark.parametrize("name", ["unknown-state", "stuck"])
def test_a_fault_of_a_job_that_is_done_at_once(name: str) -> None:
    """A timeline of one step is changed as any other."""
    fake = Fake("kie")
    fake.next_job(timeline=[dataclasses.replace(fake.provider.behaviour.timeline[-1])])
    fake.fault(name)
    assert states_of(fake)[0] in ("unheard_of", "waiting")


def test_a_record_that_is_not_there_yet() -> None:
    """A job's record comes a while after its create."""
    fake = Fake("kie")
    fake.fault("not-yet-visible", seconds=5)
    http = client_of(fake)
    job_id = KIE.id_of(create(http, "")().json())
    assert http.get(KIE.status(job_id)).json()["msg"] == "recordInfo is null"
    fake.clock.sleep(5)
    assert http.get(KIE.status(job_id)).json()["data"]["state"] == "generating"


def result_of(fake: Fake, name: str, **parameters: Any) -> list[httpx.Response]:
    """Fetch a result file twice, the second time long after the first."""
    fake.fault(name, **parameters)
    http = client_of(fake)
    job_id = KIE.id_of(create(http, "")().json())
    fake.wait_for(job_id)
    (url,) = KIE.links(http.get(KIE.status(job_id)).json())
    first = http.get(url)
    fake.clock.sleep(100)
    return [first, http.get(url)]


def test_a_link_that_expires() -> None:
    """A link to a result goes dead sooner than the contract says."""
    first, second = result_of(Fake("kie"), "link-expires", seconds=60)
    assert first.headers["content-type"] == "image/png"
    assert second.status_code == 403


def test_a_file_that_is_corrupt() -> None:
    """A result file has the right length and the wrong bytes."""
    first, second = result_of(Fake("kie"), "corrupt-file")
    assert len(first.content) == len(second.content)
    assert first.content[:100] == second.content[:100]
    assert first.content[-100:] == bytes(100)
    assert second.content[-8:-4] == b"IEND"


def test_a_fault_may_answer_for_a_file() -> None:
    """A file can be answered with a named error."""
    first, second = result_of(Fake("kie", errors="http"), "error", on="assets", error="serverError")
    assert (first.status_code, second.status_code) == (500, 200)


@pytest.mark.parametrize(
    ("name", "bodies"),
    [
        ("callback-lost", 0),
        ("callback-late", 1),
        ("callback-twice", 2),
        ("callback-reordered", 1),
        ("callback-wrong-signature", 1),
        ("callback-stale", 1),
        ("callback-truncated", 1),
        ("callback-other-job", 1),
        ("callback-before-answer", 1),
    ],
)
def test_faults_of_a_callback(name: str, bodies: int) -> None:
    """A callback is lost, late, doubled, wrong or of another; the job itself is as it should be."""
    with Receiver() as receiver, Fake("kie") as fake:
        fake.fault(name)
        job_id = KIE.id_of(create(client_of(fake), "", callBackUrl=receiver.url)().json())
        job = fake.wait_for(job_id)
        assert job.state == "succeeded"
        early = len(receiver.received)
        fake.clock.sleep(200)
        assert len(receiver.received) == bodies
        assert len(fake.journal.attempts) == bodies
    if name == "callback-truncated":
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            json.loads(receiver.received[0].body)
        return
    told = [json.loads(callback.body)["data"]["taskId"] for callback in receiver.received]
    assert (set(told) == {job_id}) == (name not in ("callback-lost", "callback-other-job"))
    assert early == {"callback-late": 0, "callback-reordered": 0, "callback-lost": 0}.get(name, 1)
    stamps = [int(callback.headers["x-webhook-timestamp"]) for callback in receiver.received]
    ended = job.ended_at or 0
    assert all((stamp < ended - 3000) == (name == "callback-stale") for stamp in stamps)


def test_a_fault_may_change_a_member_of_a_callback() -> None:
    """A member of a callback has another name, or another value."""
    with Receiver() as receiver, Fake("kie") as fake:
        fake.fault("member-renamed", on="callback", pointer="/data/taskId", name="task_id")
        fake.fault("member-value", on="callback", nth=2, pointer="/msg", value="?")
        for _ in range(2):
            job_id = KIE.id_of(create(client_of(fake), "", callBackUrl=receiver.url)().json())
            fake.wait_for(job_id, delivery=True)
    first, second = [json.loads(callback.body) for callback in receiver.received]
    assert "task_id" in first["data"]
    assert "taskId" not in first["data"]
    assert (second["data"]["taskId"], second["msg"]) == (job_id, "?")


@pytest.mark.parametrize("pointer", ["/data/nothing", "/nothing/at/all", "/code/x"])
def test_a_member_that_is_not_there_is_not_changed(pointer: str) -> None:
    """An answer that lacks the member stays as it is."""
    fake = Fake("kie")
    fake.fault("member-value", pointer=pointer)
    assert create(client_of(fake), "")().json()["msg"] == "success"


def test_what_is_no_json_gets_no_members() -> None:
    """A picture is left alone by a fault that adds members."""
    fake = Fake("kie")
    first, second = result_of(fake, "unknown-fields", on="assets")
    assert first.content == second.content


EVENTS = "/api/events"


def heard(fake: Fake) -> tuple[list[str], str]:
    """Listen to Oxen's events while a job is made and ends; return the lines, and how it ended."""
    story, lines = STORIES["oxen"], []
    fake.clock.call_at(fake.clock.now() + 300, lambda: None)
    try:
        with client_of(fake, timeout=60) as http, http.stream("GET", EVENTS) as reply:
            http.post(story.create, json=story.body)
            for line in reply.iter_lines():
                lines.append(line)
                if line.startswith('data: {"gen'):
                    return lines, "told"
                if fake.clock.now() > 1767225600 + 200:
                    return lines, "silent"
    except httpx.HTTPError as error:
        return lines, type(error).__name__
    return lines, "ended"


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("stream-drops", "RemoteProtocolError"),
        ("stream-ends", "ended"),
        ("stream-silent", "silent"),
        ("stream-strangers", "told"),
    ],
)
def test_faults_of_a_stream(name: str, end: str) -> None:
    """A stream breaks off, ends, says nothing, or has others' events in it."""
    fake = Fake("oxen")
    fake.fault(name)
    lines, how = heard(fake)
    assert how == end
    assert ("event: unheard_of" in lines) == (name == "stream-strangers")


@pytest.mark.parametrize("name", ["stream-drops", "stream-ends", "stream-strangers"])
def test_faults_of_a_stream_on_a_socket(name: str, http: httpx.Client, capfd: pytest.CaptureFixture[str]) -> None:
    """A live stream goes wrong as one in process does, and the server is not upset by it."""
    story = STORIES["oxen"]
    with serve("oxen", clock=VirtualClock()) as server:
        server.provider("oxen").arm(fault_rule(name, None, {}))
        lines = []
        try:
            with http.stream("GET", server.url_of("oxen") + EVENTS, headers=key()) as reply:
                http.post(server.url_of("oxen") + story.create, json=story.body, headers=key())
                server.advance(100)
                for line in reply.iter_lines():
                    lines.append(line)
                    if line.startswith('data: {"gen'):
                        break
            end = "told" if lines else "ended"
        except httpx.HTTPError as error:
            end = type(error).__name__
    fake = Fake("oxen")
    fake.fault(name)
    assert end == heard(fake)[1]
    assert capfd.readouterr().err == ""
