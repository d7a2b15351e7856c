"""Tests of server-sent events: their fields, several for one state, a stream that is replayed, and what they tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import httpx_sse
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import clients
from tests.acme import Acme
from tests.clients import Driver, pair
from tests.small import PATHS, small
from understudy import ContractInvalid, Fake, Job, State, VirtualClock
from understudy.reader import Reader
from understudy.stage import sse_frame

kind = clients.kind

DONE = {"data": {"$match": "[DONE]"}}
ENDED = {"event": "done", "data": {}, "id": "{$job.id}:{$event.number}", "retrySeconds": 1.5}
FRAMES: dict[str, Any] = {
    "running": [{"event": "began", "id": "$event.number", "data": {"at": "$job.startedAt"}}],
    "succeeded": [
        {"event": "output", "each": "$job.outputs", "id": "$event.number", "data": "$output.url"},
        ENDED,
        DONE,
    ],
    "failed": [{"event": "error", "data": "$job.error.message"}, {**ENDED, "data": {"why": {"$match": "error"}}}, DONE],
}


def streaming(root: Path, **events: Any) -> Path:
    """Write a provider that streams the events of one job, none of which says which one."""
    parameters = PATHS["/jobs/{id}"]["parameters"]
    part = {"operation": "listenToOne", "scope": "job", "id": "$request.path.id", "frames": FRAMES}
    return small(
        root,
        paths={"/jobs/{id}/events": {"parameters": parameters, "get": {"operationId": "listenToOne"}}},
        events={**part, "end": ["succeeded", "failed"], **events},
        failures={"rude": {"message": "No"}},
        behaviour={"pictures": {"count": "$job.input#/count|default(1)"}},
    )


@pytest.fixture(scope="module")
def replaying(tmp_path_factory: pytest.TempPathFactory) -> Fake:
    """A fake that replays its streams."""
    return Fake("small", paths=[streaming(tmp_path_factory.mktemp("small"), replay=True)])


def made(fake: Fake, **body: Any) -> str:
    return str(fake.client().post("/jobs", json={"prompt": "a", **body}).json()["id"])


def heard(fake: Fake, job: str, **headers: str) -> list[httpx_sse.ServerSentEvent]:
    """Return all events of a stream."""
    with fake.client().stream("GET", f"/jobs/{job}/events", headers=headers) as response:
        return list(httpx_sse.EventSource(response).iter_sse())


# --- as the fake sends them -----------------------------------------------------------------------------------------


def test_events_have_names_ids_and_times(tmp_path: Path) -> None:
    """An event has an id and a time to come again where the contract says so; one without a name is a message."""
    fake = Fake("small", paths=[streaming(tmp_path)])
    job = made(fake, count=2)
    began, first, second, done, last = heard(fake, job)
    assert (began.event, began.id, began.retry) == ("began", "1", None)
    assert [(one.event, one.id) for one in (first, second)] == [("output", "2"), ("output", "3")]
    assert [one.data for one in (first, second)] == [output.url for output in fake.jobs[job].outputs]
    assert (done.event, done.id, done.retry, done.data) == ("done", f"{job}:4", 1500, "{}")
    assert (last.event, last.data) == ("message", "[DONE]")


@given(st.text("ab \r\n:\x0b\u2028"))
def test_a_frame_keeps_its_lines_apart(data: str) -> None:
    """Each line of the data, however it ends, has a field of its own, as the HTML standard asks."""
    frame = sse_frame("a", data).decode()
    assert "\r" not in frame
    first, *fields = frame.removesuffix("\n\n").split("\n")
    assert first == "event: a"
    assert [field[:6] for field in fields] == ["data: "] * len(fields)
    assert "\n".join(field[6:] for field in fields) == data.replace("\r\n", "\n").replace("\r", "\n")


@given(
    st.none() | st.text("abc", min_size=1),
    st.text("ab \n:"),
    st.none() | st.text("12:", min_size=1),
    st.none() | st.integers(0, 9),
)
def test_a_frame_is_what_the_standard_reads(event: str | None, data: str, own: str | None, retry: int | None) -> None:
    """Whatever is in a frame, a reader of the standard gets it back."""
    decoder = httpx_sse._decoders.SSEDecoder()
    frame = sse_frame(event, data, id=own, retry_seconds=retry).decode()
    read = [found for line in frame.split("\n")[:-1] if (found := decoder.decode(line)) is not None]
    assert [(one.event, one.data, one.id) for one in read] == [(event or "message", data, own or "")]
    assert read[0].retry == (None if retry is None else retry * 1000)


def test_who_comes_late_hears_all_that_is_replayed(replaying: Fake, tmp_path: Path) -> None:
    """A stream that is replayed begins with all events so far, and one that is not with nothing."""
    for fake, number in ((replaying, 4), (Fake("small", paths=[streaming(tmp_path)]), 0)):
        job = made(fake)
        fake.clock.advance(60)
        assert len(heard(fake, job)) == number


@given(outputs=st.integers(1, 4), after=st.floats(0, 10), seen=st.integers(0, 9))
def test_a_stream_goes_on_after_the_last_event(replaying: Fake, outputs: int, after: float, seen: int) -> None:
    """Whenever one comes, nothing is missed; and who comes back with an id hears what came after that."""
    job = made(replaying, count=outputs)
    replaying.clock.advance(after)
    whole = heard(replaying, job)
    assert [one.event for one in whole] == ["began", *["output"] * outputs, "done", "message"]
    seen = min(seen, outputs + 1)
    for last, rest in ((whole[seen].id, whole[seen + 1 :]), ("odd", whole)):
        again = heard(replaying, job, **{"last-event-id": last})
        assert [(one.event, one.data) for one in again] == [(one.event, one.data) for one in rest]


def test_faults_get_at_what_is_replayed(replaying: Fake) -> None:
    """What a stream begins with meets the same faults as what comes later."""
    job = made(replaying)
    replaying.clock.advance(60)
    replaying.fault("stream-strangers", on="events")
    names = [event.event for event in heard(replaying, job)]
    assert [name for name in names if name != "unheard_of"] == ["began", "output", "done", "message"]
    assert names[0] == "unheard_of"
    replaying.fault("stream-drops", on="events")
    with pytest.raises(httpx.RemoteProtocolError):
        heard(replaying, job)


# --- as a client hears them -----------------------------------------------------------------------------------------


def test_a_stream_of_one_job_need_not_name_it(kind: Any, tmp_path: Path) -> None:
    """What comes on the stream of a job is about that job; an event by which several states end tells none."""
    client, fake = pair(kind, "small", paths=[streaming(tmp_path)])
    job = client.submit({"prompt": "a"})
    told = client.listen(lambda: None, job=job, count=9)
    assert [(one.id, one.state) for one in told] == [(job.id, "running"), (job.id, "succeeded"), (job.id, "succeeded")]
    fake.next_job(failure="rude")
    failing = client.submit({"prompt": "a"})
    assert [one.state for one in client.listen(lambda: None, job=failing, count=9)] == ["running", "failed", "failed"]


def test_a_job_is_followed_by_events_that_do_not_name_it(kind: Any, tmp_path: Path) -> None:
    """Such a stream ends the wait for a job, and the status tells the rest."""
    client, fake = pair(kind, "small", paths=[streaming(tmp_path)])
    done = client.follow(client.submit({"prompt": "a"}))
    assert (done.state, len(done.outputs)) == (State.SUCCEEDED, 1)
    assert [one.operation for one in fake.journal.exchanges][1:] == ["listenToOne", "getJob", "getJob"]


def test_an_event_of_another_job_is_another_job(kind: Any, tmp_path: Path) -> None:
    """On the stream of one job an event that names another one is told as that one."""
    frames = {"running": [{"event": "now", "data": {"id": "$job.id"}}]}
    root = streaming(tmp_path, frames=frames)
    text = 'event: now\ndata: {"id": "other"}\n\nevent: now\ndata: {"id": "mine"}\n\n'

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=text)

    client = Driver(kind, "small", httpx.MockTransport(answer), VirtualClock(), paths=[root])
    told = client.listen(lambda: None, job=Job(id="mine", model="m"), count=2)
    assert [(one.id, one.model) for one in told] == [("other", None), ("mine", "m")]


def test_the_frame_that_fits_best_is_meant(tmp_path: Path) -> None:
    """Of several frames of a name the one with the most literals that fit is meant; a tie of states tells nothing."""
    reader = Reader(Fake("small", paths=[streaming(tmp_path)]).contract)
    job = Job(id="mine")
    assert getattr(reader.event("done", "{}", job), "state", None) == "succeeded"
    assert getattr(reader.event("done", '{"why": "error"}', job), "state", None) == "failed"
    assert reader.event("message", "[DONE]", job) is None
    assert reader.event("done", "{}") is None


# --- what is wrong with a contract ----------------------------------------------------------------------------------


def test_a_stream_of_an_account_cannot_be_replayed(tmp_path: Path) -> None:
    """Only the stream of one job is replayed, and `each` wants a list that it knows."""
    for events, text in (
        ({"scope": "account", "replay": True}, "replay"),
        ({"frames": {"running": [{"each": "$job.id", "data": 1}]}}, "takes a list such as"),
    ):
        with pytest.raises(ContractInvalid, match=text):
            Fake("small", paths=[streaming(tmp_path, **events)])


def test_a_frame_may_say_nothing_and_not_the_wrong_thing(tmp_path: Path) -> None:
    """A frame of literals may end several states; one that has something of a job must tell its state."""
    acme = Acme(tmp_path)
    frames = acme.job["events"]["frames"]
    for state in frames:
        frames[state].append({"data": "[DONE]"})
    frames["succeeded"].append(
        {"event": "output", "each": "$job.outputs", "data": {"id": "$job.id", "u": "$output.url"}}
    )
    assert acme.problems() == []
    for state in frames:
        frames[state].append({"event": "same", "data": {"id": "$job.id"}})
    assert acme.problems() == [
        f"a client cannot get the state of a job that is {state} from this" for state in ("running", "succeeded")
    ]
