"""Tests of the scenarios: each can be played in four ways, and tells the story that it says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import PROVIDERS, STORIES, key
from tests.small import small
from understudy import Fake, Receiver, State, SystemClock, VirtualClock, serve
from understudy.folders import find_provider
from understudy.library import load_provider
from understudy.server import LiveServer

SCENARIOS = [(provider, name) for provider in PROVIDERS for name in load_provider(find_provider(provider))[1].scenarios]
ID = re.compile(r"[0-9a-f]{32}|[0-9a-f-]{36}")


def play(fake: Fake, name: str, **headers: str) -> list[Any]:
    """Make two jobs at a fake and read each of them until it is long over; return what a client sees."""
    story, sights = STORIES[name], list[Any]()
    with fake.client(timeout=10) as http:
        for _ in range(2):
            try:
                reply = http.post(story.create, json=story.body, headers=headers)
                sights.append((reply.status_code, ID.sub("", reply.text)))
                job_id = story.id_of(reply.json())
            except httpx.HTTPError as error:
                sights.append(type(error).__name__)
                fake.clock.advance(60)
                continue
            except (LookupError, TypeError, ValueError):
                continue
            for _ in range(5):
                try:
                    reply = http.get(story.status(job_id))
                    sights.append((reply.status_code, ID.sub("", reply.text)))
                except httpx.HTTPError as error:
                    sights.append(type(error).__name__)
                fake.clock.advance(10)
    return sights


@pytest.mark.parametrize(("provider", "name"), SCENARIOS)
def test_a_scenario_can_be_named_by_a_header(provider: str, name: str) -> None:
    """A job whose create names a scenario goes as if the fake played it, for life."""
    fake = Fake(provider)
    assert play(Fake(provider, scenario=name), provider) == play(fake, provider, **{"understudy-scenario": name})
    assert fake.provider.scenario is None


def test_the_header_is_gone_before_anybody_sees_it() -> None:
    """Neither the journal nor the contract's expressions have the header."""
    fake = Fake("kie")
    body = {**STORIES["kie"].body, "callBackUrl": "http://localhost/told"}  # or the request would be forgotten
    fake.client().post(STORIES["kie"].create, json=body, headers={"Understudy-Scenario": "slow"})
    (play,) = fake.provider.plays.values()
    assert play.request is not None
    assert "understudy-scenario" not in play.request.header
    assert play.story is not None
    assert play.story.name == "slow"


def test_a_scenario_that_is_not_there_is_told() -> None:
    """A header that names no scenario is answered with the nearest one, by the stand-in and not by the provider."""
    reply = Fake("kie").client().get("/api/v1/chat/credit", headers={"understudy-scenario": "slwo"})
    assert reply.status_code == 400
    assert reply.headers["content-type"] == "application/problem+json"
    assert 'there is no scenario "slwo"; did you mean "slow"?' in reply.json()["detail"]


def test_a_scenario_can_be_told_by_a_header() -> None:
    """A header can tell a whole scenario as JSON; it is one story however often it is told, so its faults count."""
    fake = Fake("kie")
    told = {"understudy-scenario": '{"faults": [{"fault": "error", "nth": 2, "with": {"error": "maintenance"}}]}'}
    story = STORIES["kie"]
    codes = [fake.client().post(story.create, json=story.body, headers=told).json()["code"] for _ in range(3)]
    assert codes == [200, 455, 200]


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ("{", "is no JSON object"),
        ('{"failure": "nobody-knows"}', 'there is no failure "nobody-knows"'),
        ('{"timeline": []}', "timeline"),
    ],
)
def test_a_scenario_that_cannot_be_played_is_told(told: str, text: str) -> None:
    """What is wrong with a scenario that a header tells is answered by the stand-in."""
    reply = Fake("kie").client().get("/api/v1/chat/credit", headers={"understudy-scenario": told})
    assert reply.status_code == 400
    assert text in reply.json()["detail"]


def test_a_scenario_can_be_chosen_by_the_admin_api(live: LiveServer, http: httpx.Client) -> None:
    """The admin API has providers play a story from now on, those that have it; null ends it."""
    url = f"{live.url}/__admin/scenario"
    assert http.post(url, json={"scenario": "insufficient-credits"}).json() == {
        "scenario": "insufficient-credits",
        "providers": ["kie", "oxen", "shortapi"],
    }
    kie = STORIES["kie"]
    reply = http.post(live.url_of("kie") + kie.create, json=kie.body, headers=key())
    assert reply.json()["code"] == 402
    http.post(url, json={"scenario": "polls-too-fast"})
    assert live.roster.role("kie").scenario == "polls-too-fast"
    assert http.post(url, json={"scenario": None, "provider": "kie"}).json() == {"scenario": None, "providers": ["kie"]}
    assert live.provider("kie").scenario is None


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 422, "the body has to be"),
        ([], 422, "the body has to be"),
        ({"scenario": 5}, 422, "the body has to be"),
        ({"scenario": "slow", "provider": 1}, 422, "the body has to be"),
        ({"scenario": "slwo"}, 404, 'nobody here has the scenario "slwo"; did you mean "slow"?'),
        ({"scenario": "slow", "provider": "kei"}, 404, '"kei" is not played here; did you mean "kie"?'),
    ],
)
def test_what_cannot_be_played_is_told(live: LiveServer, http: httpx.Client, body: Any, status: int, text: str) -> None:
    """A wrong body or name is a clear error of the admin API."""
    reply = http.post(f"{live.url}/__admin/scenario", json=body)
    assert reply.status_code == status
    assert text in reply.json()["detail"]


def test_a_new_story_is_for_new_jobs() -> None:
    """A job keeps the story that it was made under; an account gets the new story's balance."""
    fake = Fake("kie", scenario="server-error-on-poll")
    story = STORIES["kie"]
    http = fake.client()
    job_id = story.id_of(http.post(story.create, json=story.body).json())
    fake.provider.play("insufficient-credits")
    codes = [http.get(story.status(job_id)).json()["code"] for _ in range(4)]
    assert codes == [200, 500, 500, 200]
    assert http.post(story.create, json=story.body).json()["code"] == 402


# --- when to come again -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["seconds", "date", None])
def test_a_window_tells_when_to_come_again(form: str | None, tmp_path: Path) -> None:
    """Who asks too often is told when to come again as the behaviour file says, and is let in then and not before."""
    limits = {"rate": [{"operations": ["createJob"], "count": 1, "perSeconds": 10}]}
    errors = {"rateLimited": [{"http": 429, "body": {"error": "too many"}}]}
    behaviour = {"latencySeconds": 0.3, **({} if form is None else {"retryAfter": form})}
    fake = Fake("small", paths=[small(tmp_path, limits=limits, errors=errors, behaviour=behaviour)])
    http = fake.client()
    http.post("/jobs", json={"prompt": "a"})
    reply = http.post("/jobs", json={"prompt": "a"})
    assert reply.status_code == 429
    asked = reply.headers.get("retry-after")
    if form is None:
        assert asked is None
        return
    seconds = float(asked) if form == "seconds" else parsedate_to_datetime(asked).timestamp() - fake.clock.now()
    assert 9.7 <= seconds < 11.7
    fake.clock.advance(8)
    assert http.post("/jobs", json={"prompt": "a"}).status_code == 429
    fake.clock.advance(seconds - 8)
    assert http.post("/jobs", json={"prompt": "a"}).status_code == 201


# --- the modes in which real providers have surprised their clients -----------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of callbacks."""
    with Receiver() as one:
        yield one


class Scene:
    """A fake of a provider, in a scenario, and a client that talks to it."""

    def __init__(self, provider: str, scenario: str | None = None, **options: Any) -> None:
        self.story = STORIES[provider]
        self.fake = Fake(provider, scenario=scenario, **options)
        self.http = self.fake.client(timeout=30)

    def create(self, **more: Any) -> httpx.Response:
        """Ask for a job."""
        return self.http.post(self.story.create, json={**self.story.body, **more})

    def job(self, **more: Any) -> str:
        """Make a job and return its id."""
        return self.story.id_of(self.create(**more).json())

    def read(self, job_id: str) -> Any:
        """Read a job."""
        return self.http.get(self.story.status(job_id)).json()

    def ended(self) -> Any:
        """Make a job, wait for its end and read it."""
        return self.read(self.fake.wait_for(self.job()).id)


def test_mode_1_the_id_is_where_it_is() -> None:
    """Two providers alone tell the id at the top of their answer, and not by the same name."""
    at_top = []
    for provider in PROVIDERS:
        body = Scene(provider, "as-usual").create().json()
        if {"id", "job_id", "taskId", "task_id", "request_id"} & set(body):
            at_top.append(provider)
        assert STORIES[provider].id_of(body)
    assert at_top == ["fal", "replicate"]


def test_modes_2_and_3_errors_come_in_the_body_or_by_status() -> None:
    """The same error comes as HTTP 200 with the truth in the body, or as a real status."""
    for provider in ("kie", "shortapi"):
        usual, other = Scene(provider, balance=0).create(), Scene(provider, "errors-as-http", balance=0).create()
        assert (usual.status_code, other.status_code) == (200, 402)
        assert usual.json() == other.json()


def test_mode_4_a_job_begins_by_waiting() -> None:
    """The first state is not the running one."""
    fal, kie, oxen, replicate, short = (Scene(provider, "as-usual") for provider in PROVIDERS)
    assert fal.read(fal.job())["status"] == "IN_QUEUE"
    assert kie.read(kie.job())["data"]["state"] == "waiting"
    assert oxen.read(oxen.job())["status"] == "queued"
    assert replicate.read(replicate.job())["status"] == "starting"
    assert short.read(short.job())["data"]["status"] == 0


def test_mode_5_a_job_fails() -> None:
    """A job ends in failure, under the provider's own word."""
    assert Scene("kie", "content-policy").ended()["data"]["state"] == "fail"
    assert Scene("oxen", "content-policy").ended()["status"] == "failed"
    assert Scene("shortapi", "content-policy").ended()["data"]["status"] == 3


def test_mode_6_a_status_is_a_number() -> None:
    """ShortAPI's status is a number, and never text."""
    assert Scene("shortapi", "as-usual").ended()["data"]["status"] == 2
    assert isinstance(Scene("shortapi", "unknown-state").ended()["data"]["status"], int)


def test_mode_7_the_result_is_json_in_text() -> None:
    """Kie's result is text that holds JSON; it can be cut off, or be empty at first."""
    assert isinstance(Scene("kie").ended()["data"]["resultJson"], str)
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(Scene("kie", "result-is-broken-json").ended()["data"]["resultJson"])
    scene = Scene("kie", "result-is-empty")
    job_id = scene.fake.wait_for(scene.job()).id
    assert [bool(scene.read(job_id)["data"]["resultJson"]) for _ in range(3)] == [False, False, True]


def test_mode_8_a_record_is_not_there_yet() -> None:
    """For a while after its create a task has no record."""
    scene = Scene("kie", "not-yet-visible")
    job_id = scene.job()
    assert scene.read(job_id)["msg"] == "recordInfo is null"
    scene.fake.clock.advance(5)
    assert scene.read(job_id)["code"] == 200


def test_mode_9_500_is_said_of_two_things() -> None:
    """Code 500 is a parameter that is wrong, for certain, and a server that broke: each create is counted."""
    scene = Scene("kie", "server-error-on-create")
    wrong = scene.create(input={"prompt": "a", "resolution": "8K"}).json()
    broken = scene.create().json()
    assert (wrong["code"], broken["code"]) == (500, 500)
    assert wrong["msg"] != broken["msg"]
    assert len(scene.fake.ledger.entries) == len(scene.fake.jobs)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_mode_10_the_answer_is_lost(provider: str) -> None:
    """The connection is cut when the job is there and was charged for."""
    scene = Scene(provider, "answer-lost")
    with pytest.raises(httpx.ReadError):
        scene.create()
    assert len(scene.fake.jobs) == 1
    assert scene.fake.ledger.spent > 0


def test_mode_11_too_many_requests() -> None:
    """A refusal for now has a Retry-After in seconds, as a date, or none; the 21st create in ten seconds meets it."""
    by_seconds = Scene("kie", "rate-limited", errors="http").create()
    assert (by_seconds.status_code, by_seconds.headers["retry-after"]) == (429, "7")
    scene = Scene("kie", "rate-limited-by-date", errors="http")
    date = parsedate_to_datetime(scene.create().headers["retry-after"])
    assert 7 <= date.timestamp() - scene.fake.clock.now() <= 8
    assert "retry-after" not in Scene("kie", "rate-limited-without-a-word", errors="http").create().headers
    with serve("kie", clock=VirtualClock()) as server, httpx.Client(headers=key(), trust_env=False) as http:
        codes = [
            http.post(server.url_of("kie") + STORIES["kie"].create, json=STORIES["kie"].body).json()["code"]
            for _ in range(21)
        ]
    assert codes == [200] * 20 + [429]


def test_mode_12_a_link_dies() -> None:
    """A link to a result is dead after a while, and Kie makes a new one for twenty minutes."""
    for provider in ("kie", "oxen"):
        scene = Scene(provider, "result-links-expire")
        (link,) = scene.story.links(scene.ended())
        assert scene.http.get(link).status_code == 200
        scene.fake.clock.advance(61)
        assert scene.http.get(link).status_code == 403
        if provider == "kie":
            fresh = scene.http.post("/api/v1/common/download-url", json={"url": link}).json()["data"]
            assert scene.http.get(fresh).status_code == 200
            scene.fake.clock.advance(20 * 60)
            assert scene.http.get(fresh).status_code == 403


@pytest.mark.parametrize(
    ("scenario", "count"),
    [("callback-twice", 2), ("callback-late", 1), ("callback-wrong-signature", 1), ("callback-with-task-id", 1)],
)
def test_mode_13_callbacks_go_wrong(scenario: str, count: int, receiver: Receiver) -> None:
    """A callback comes twice, after the poll that told the end, with a wrong signature, or another name for the id."""
    with Fake("kie", scenario=scenario) as fake:
        scene = Scene("kie")
        scene.fake, scene.http = fake, fake.client()
        job_id = fake.wait_for(scene.job(callBackUrl=receiver.url)).id
        assert scene.read(job_id)["data"]["state"] == "success"
        assert (scenario == "callback-late") == (not receiver.received)
        fake.clock.advance(200)
        assert len(receiver.received) == count
        data = json.loads(receiver.received[0].body)["data"]
        assert data["task_id" if scenario == "callback-with-task-id" else "taskId"] == job_id


def test_mode_13_a_receiver_that_fails_is_tried_again(receiver: Receiver) -> None:
    """A callback that was answered with an error comes again."""
    receiver.status = 500
    with Fake("kie") as fake:
        scene = Scene("kie")
        scene.fake, scene.http = fake, fake.client()
        scene.job(callBackUrl=receiver.url)
        fake.clock.advance(3000)
    assert len(receiver.received) == 4


def events_of(scenario: str, *, first: bool = True, cancel: bool = False) -> list[str]:
    """Listen to Oxen's events, make a generation, perhaps cancel it; return the lines until all is over."""
    scene = Scene("oxen", scenario)
    lines: list[str] = []
    if not first:
        scene.job()
    scene.fake.clock.call_at(scene.fake.clock.now() + 200, lambda: None)
    end = scene.fake.clock.now() + 100
    with scene.fake.client(timeout=60) as http, http.stream("GET", "/api/events") as reply:
        if first:
            job_id = scene.job()
            if cancel:
                scene.http.delete(f"/api/ai/queue/{job_id}")
        try:
            for line in reply.iter_lines():
                lines.append(line)
                if "generation_id" in line or scene.fake.clock.now() > end:
                    break
        except httpx.HTTPError as error:
            lines.append(type(error).__name__)
    return lines


def test_mode_14_streams_of_events_go_wrong() -> None:
    """A stream was too late, has others' events, keep-alives only, breaks off, or tells a failure by the same name."""
    told = "event: media_generation_completed"
    assert told not in events_of("ends-at-once", first=False)
    strangers = events_of("stream-strangers")
    assert strangers.index("event: unheard_of") < strangers.index(told)
    silent = events_of("stream-silent")
    assert silent
    assert all(line.startswith(":") or not line for line in silent)
    assert events_of("stream-drops")[-1] == "RemoteProtocolError"
    assert events_of("stream-ends") == []
    assert told in events_of("content-policy")
    assert told not in events_of("stuck-in-queue", cancel=True)


def test_mode_15_a_generation_is_dropped_when_it_is_done() -> None:
    """Once a generation has ended, its row is not there any more; usually it stays."""
    scene = Scene("oxen", "gone-when-done")
    job_id = scene.job()
    assert scene.read(job_id)["status"] == "queued"
    scene.fake.wait_for(job_id, State.SUCCEEDED)
    assert scene.http.get(scene.story.status(job_id)).status_code == 404
    assert Scene("oxen").ended()["status"] == "succeeded"


def test_mode_16_a_parameter_is_looked_at_late() -> None:
    """Oxen's queue takes a wrong parameter and fails the generation for it."""
    scene = Scene("oxen", "as-usual")
    reply = scene.create(aspect_ratio="99:1")
    assert reply.status_code == 200
    assert scene.read(scene.fake.wait_for(scene.story.id_of(reply.json())).id)["status"] == "failed"


def test_mode_17_a_synchronous_call_takes_long() -> None:
    """A synchronous edit takes ninety seconds, or is cut off by a gateway that gives up with 524."""
    edit = {"model": "google-nano-banana-pro", "prompt": "a lighthouse", "input_image": "https://example.com/a.png"}
    scene = Scene("oxen", "slow-edit")
    with pytest.raises(httpx.ReadTimeout):
        scene.http.post("/api/ai/images/edit", json=edit)
    began = scene.fake.clock.now()
    assert scene.http.post("/api/ai/images/edit", json=edit, timeout=None).status_code == 200
    assert scene.fake.clock.now() - began > 90
    scene = Scene("oxen", "gateway-timeout")
    reply = scene.http.post("/api/ai/images/edit", json=edit, timeout=None)
    assert (reply.status_code, reply.headers["content-type"]) == (524, "text/html; charset=UTF-8")
    assert len(scene.fake.jobs) == 1


def test_mode_18_a_user_agent_is_blocked() -> None:
    """The CDN before Kie refuses what urllib calls itself, everywhere."""
    scene = Scene("kie", "python-is-blocked")
    (link,) = scene.story.links(scene.ended())
    assert scene.http.get(link).status_code == 200
    scene.http.headers["user-agent"] = "Python-urllib/3.11"
    job_id = next(iter(scene.fake.jobs))
    answers = [scene.create(), scene.http.get(scene.story.status(job_id)), scene.http.get(link)]
    assert [answer.status_code for answer in answers] == [403, 403, 403]


@pytest.mark.parametrize("job_id", ["undefined", "None", ""])
def test_mode_19_an_id_that_is_none(job_id: str) -> None:
    """An id that a client has made of nothing is answered with an error that says so, and not with a job."""
    body = Scene("shortapi", "as-usual").read(job_id)
    assert body["code"] != 0
    assert body["info"]


def test_a_live_server_plays_a_scenario() -> None:
    """A live server that was started with a scenario plays it."""
    with serve("kie", clock=SystemClock(1000), scenario="answer-lost") as server, httpx.Client(trust_env=False) as http:
        with pytest.raises(httpx.ReadError):
            http.post(server.url_of("kie") + STORIES["kie"].create, json=STORIES["kie"].body, headers=key())
        assert len(server.provider("kie").plays) == 1
