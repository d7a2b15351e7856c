"""Replicate's official SDK, as it is published, runs against its stand-in: in this process and over a socket."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import replicate
import replicate.pagination
from httpx import MockTransport, Response
from PIL import Image
from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError
from replicate.webhook import InvalidSignatureError

from understudy import Fake, Receiver, State, VirtualClock, serve
from understudy.receiver import Received
from understudy.virtual_time import virtual_time

Node = dict[str, Any]

FLUX = "black-forest-labs/flux-schnell"
SDXL = "7762fd07cf82c948538e41f63f77d685e02b063e37e496e96eefd46c929f9bdc"
INPUT = {"prompt": "a lighthouse"}


@contextmanager
def playing(scenario: str | None) -> Iterator[Fake]:
    """Play a scenario to a test that runs in the time of the stand-in."""
    clock = VirtualClock()
    with Fake("replicate", scenario=scenario, clock=clock) as fake, virtual_time(clock):
        yield fake


@pytest.fixture
def fake() -> Iterator[Fake]:
    """A stand-in in whose time the test runs."""
    with playing(None) as fake:
        yield fake


def sdk(fake: Fake, token: str = "r8_key") -> Any:
    """Return the SDK's client, which is given the stand-in as its transport and nothing else."""
    return Client(api_token=token, transport=fake.transport())


def paths(fake: Fake) -> list[str]:
    """Return what was asked for, method and path, below /v1."""
    return [f"{exchange.method} {exchange.path.removeprefix('/v1')}" for exchange in fake.journal.exchanges]


# --- making, waiting, cancelling ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "version", [SDXL, f"stability-ai/sdxl:{SDXL}"], ids=["by its id", "by the model's name and its id"]
)
def test_a_prediction_is_made_and_waited_for(fake: Fake, version: str) -> None:
    """The SDK makes a prediction with a version, polls it to its end, and finds the file."""
    prediction = sdk(fake).predictions.create(version, INPUT)
    assert (prediction.status, prediction.output, prediction.metrics) == ("starting", None, {})
    assert (prediction.model, prediction.version) == ("stability-ai/sdxl", SDXL)
    prediction.wait()
    assert (prediction.status, prediction.error) == ("succeeded", None)
    assert prediction.metrics["total_time"] == pytest.approx(7)
    (url,) = prediction.output
    assert url.startswith("https://replicate.delivery/")
    assert prediction.completed_at > prediction.started_at > prediction.created_at


def test_run_waits_for_the_answer_and_reads_the_file(fake: Fake) -> None:
    """`run` holds one request open until the end, and its output can be read as a picture."""
    (output,) = sdk(fake).run(FLUX, INPUT)
    assert paths(fake) == [f"POST /models/{FLUX}/predictions"]
    assert Image.open(io.BytesIO(output.read())).size == (1024, 1024)


def test_a_model_that_makes_one_file_has_it_without_a_list(fake: Fake) -> None:
    """The output of such a model is a link and not a list of links."""
    output = sdk(fake).run("google/nano-banana-pro", {**INPUT, "resolution": "1K", "output_format": "png"})
    assert Image.open(io.BytesIO(output.read())).format == "PNG"


def test_run_with_a_version_reads_the_version(fake: Fake) -> None:
    """With a version, `run` asks for that version, to learn whether its output is an iterator."""
    outputs = sdk(fake).run(f"stability-ai/sdxl:{SDXL}", {**INPUT, "num_outputs": 2})
    assert len(outputs) == 2
    assert paths(fake) == ["POST /predictions", f"GET /models/stability-ai/sdxl/versions/{SDXL}"]


@pytest.mark.parametrize(
    ("wait", "seconds", "status"), [(3, 3, "starting"), (60, 7, "succeeded"), (True, 7, "succeeded")]
)
def test_a_create_waits_as_long_as_it_is_told_to(fake: Fake, wait: Any, seconds: float, status: str) -> None:
    """A prediction that is not done when the wait is over says starting, even if it runs."""
    began = fake.clock.now()
    prediction = sdk(fake).predictions.create(SDXL, INPUT, wait=wait)
    assert (prediction.status, round(fake.clock.now() - began - 0.3, 6)) == (status, seconds)
    prediction.reload()
    assert prediction.status == ("processing" if status == "starting" else status)


def test_run_polls_on_after_the_longest_wait() -> None:
    """Because the create says starting after a minute, the SDK goes on to poll and gets its output."""
    with playing("slow") as fake:
        assert len(sdk(fake).run(FLUX, INPUT)) == 1
    first, *polls = paths(fake)
    assert first.startswith("POST")
    assert {poll.partition(" ")[0] for poll in polls} == {"GET"}


def test_a_prediction_is_cancelled(fake: Fake) -> None:
    """A cancelled prediction is over at once; to cancel one that has ended changes nothing."""
    client = sdk(fake)
    prediction = client.predictions.create(SDXL, INPUT)
    prediction.cancel()
    assert (prediction.status, prediction.output) == ("canceled", None)
    prediction.wait()
    done = client.predictions.create(SDXL, INPUT, wait=True)
    done.cancel()
    assert done.status == "succeeded"


def test_predictions_of_models_and_deployments_are_listed(fake: Fake) -> None:
    """Whatever made it, a prediction is on the one page of the list."""
    client = sdk(fake)
    made = [
        client.models.predictions.create(FLUX, INPUT),
        client.models.predictions.create("acme/hotdog-detector", {"image": "https://example.com/a.png"}),
        client.deployments.predictions.create("acme/images", INPUT),
    ]
    page = client.predictions.list()
    assert {prediction.id for prediction in page} == {prediction.id for prediction in made}
    assert (page.next, page.previous) == (None, None)


def test_the_async_client_does_the_same(fake: Fake) -> None:
    """The SDK's other half makes, polls, cancels and reads as well."""

    async def use() -> tuple[str, str, bytes]:
        client = sdk(fake)
        first = await client.predictions.async_create(SDXL, INPUT)
        await first.async_wait()
        second = await client.predictions.async_create(model=FLUX, input=INPUT)
        await second.async_cancel()
        (output,) = await client.async_run(FLUX, {**INPUT, "output_format": "png"})
        return first.status, second.status, await output.aread()

    first, second, picture = asyncio.run(use())
    assert (first, second, picture[:4]) == ("succeeded", "canceled", b"\x89PNG")


def test_predictions_are_listed_page_by_page(fake: Fake) -> None:
    """`paginate` follows the links of the pages to the oldest prediction; a page leads back to the one before it."""
    client = sdk(fake)
    made = [client.predictions.create(SDXL, INPUT).id for _ in range(130)]
    pages = list(replicate.pagination.paginate(client.predictions.list))
    assert [len(page) for page in pages] == [100, 30]
    assert [prediction.id for page in pages for prediction in page] == made[::-1]
    assert (pages[0].previous, pages[1].next) == (None, None)
    with pytest.raises(ReplicateError, match="Invalid cursor"):
        client.predictions.list("/v1/predictions?cursor=odd")
    back = client.predictions.list(pages[1].previous)
    assert [prediction.id for prediction in back] == [prediction.id for prediction in pages[0]]


@pytest.mark.parametrize("ref", [FLUX, f"stability-ai/sdxl:{SDXL}"])
def test_a_model_is_streamed(fake: Fake, ref: str) -> None:
    """`stream` makes a prediction and yields its files, each with an id, and the end."""
    *outputs, done = sdk(fake).stream(ref, input={**INPUT, "num_outputs": 2})
    assert [(event.event.value, event.retry) for event in outputs] == [("output", None)] * 2
    assert [str(event.data) for event in outputs] == [output.url for output in next(iter(fake.jobs.values())).outputs]
    assert (done.event.value, done.data) == ("done", "{}")
    assert len({event.id for event in (*outputs, done)}) == 3


def test_a_prediction_is_streamed_whenever_one_comes(fake: Fake) -> None:
    """`prediction.stream` tells the same while the prediction runs and after it has ended; a cancel ends the stream."""
    client = sdk(fake)
    prediction = client.predictions.create(SDXL, INPUT)
    live = [(event.event, event.id) for event in prediction.stream()]
    assert [(event.event, event.id) for event in prediction.stream()] == live
    assert len(live) == 2
    other = client.predictions.create(SDXL, INPUT)
    other.cancel()
    assert [event.data for event in other.stream()] == ['{"reason":"canceled"}']


def test_a_prediction_that_fails_breaks_its_stream(fake: Fake) -> None:
    """The SDK raises what an `error` event says, sync and async."""
    client = sdk(fake)
    fake.next_job(failure="nsfw")
    with pytest.raises(RuntimeError, match="NSFW content detected"):
        list(client.stream(FLUX, input=INPUT))
    fake.next_job(failure="nsfw")

    async def use() -> None:
        async for _ in await client.async_stream(FLUX, input=INPUT):
            pass

    with pytest.raises(RuntimeError, match="NSFW content detected"):
        asyncio.run(use())


def test_the_data_of_a_prediction_goes_after_an_hour(fake: Fake) -> None:
    """An hour after its end a prediction still tells that it succeeded, and neither what from nor what came of it."""
    client = sdk(fake)
    prediction = client.predictions.create(SDXL, INPUT)
    prediction.wait()
    (url,) = prediction.output
    fake.clock.advance(3590)
    prediction.reload()
    assert (prediction.input, prediction.output) == (INPUT, [url])
    fake.clock.advance(20)
    prediction.reload()
    assert (prediction.status, prediction.input, prediction.output, prediction.logs) == ("succeeded", {}, None, "")
    assert prediction.completed_at is not None
    raw = client._client.get(f"/v1/predictions/{prediction.id}").json()
    assert raw["data_removed"] is True
    (listed,) = client.predictions.list()
    assert (listed.input, listed.output) == ({}, None)


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_prediction_fails(fake: Fake) -> None:
    """`wait` returns a prediction that failed; `run` raises what the model raised."""
    client = sdk(fake)
    fake.next_job(failure="nsfw")
    prediction = client.predictions.create(SDXL, INPUT)
    prediction.wait()
    assert (prediction.status, prediction.output) == ("failed", None)
    fake.next_job(failure="nsfw")
    with pytest.raises(ModelError, match="NSFW content detected"):
        client.run(FLUX, INPUT)


@pytest.mark.parametrize(
    ("body", "status", "title", "detail"),
    [
        ({"version": "0" * 64, "input": INPUT}, 422, "Invalid version or not permitted", "does not exist"),
        ({"model": FLUX, "input": {}}, 422, "Input validation failed", "- input: prompt is required\n"),
        (
            {"model": FLUX, "input": {**INPUT, "num_outputs": 9}},
            422,
            "Input validation failed",
            "less than or equal to 4",
        ),
        ({"model": FLUX, "input": {**INPUT, "num_outputs": 0}}, 422, "Input validation failed", "or equal to 1"),
        ({"model": FLUX, "input": {**INPUT, "seed": "x"}}, 422, "Input validation failed", "seed"),
    ],
)
def test_a_request_is_refused(fake: Fake, body: Any, status: int, title: str, detail: str) -> None:
    """The SDK finds status, title and detail where it looks for them."""
    with pytest.raises(ReplicateError) as caught:
        sdk(fake).predictions.create(**body)
    assert (caught.value.status, caught.value.title) == (status, title)
    assert detail in (caught.value.detail or "")


def test_keys_are_refused(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """No token and a wrong one get 401, in words of their own; the scheme may be Token as well as Bearer."""
    monkeypatch.delenv("REPLICATE_API_TOKEN", raising=False)
    for client, detail in (
        (sdk(fake, "invalid"), "Invalid or expired API token."),
        (Client(transport=fake.transport()), "You did not pass an authentication token"),
    ):
        with pytest.raises(ReplicateError, match="Unauthenticated") as caught:
            client.predictions.list()
        assert (caught.value.status, caught.value.detail) == (401, detail)
    old = Client(transport=fake.transport(), headers={"Authorization": "Token r8_key"})
    assert old.predictions.create(SDXL, INPUT).status == "starting"
    assert len(sdk(fake).predictions.list()) == 1


def test_an_unknown_prediction_is_not_found(fake: Fake) -> None:
    """A prediction that nobody has made is a 404 with a detail."""
    with pytest.raises(ReplicateError) as caught:
        sdk(fake).predictions.get("nobodys")
    assert (caught.value.status, caught.value.detail) == (404, "The requested resource could not be found.")


def outcome(act: Any) -> Any:
    """Return what a call of the SDK comes to: what it returns, or what it raises in short."""
    try:
        found = act()
    except ReplicateError as error:
        return ("ReplicateError", error.status)
    except ModelError as error:
        return ("ModelError", error.prediction.status)
    except Exception as error:
        return type(error).__name__
    return [type(item).__name__ for item in found] if isinstance(found, list) else found


#: What goes wrong, by a scenario or a plan, and what the SDK makes of it: what `run` comes to, what a create and `wait`
#: come to, and how many predictions each of the two has made.
FAULTS: dict[str, tuple[str | Node, Any, Any, int]] = {
    "nothing": ({}, ["FileOutput"], "succeeded", 1),
    "429 on create is not repeated": ("rate-limited", ("ReplicateError", 429), ("ReplicateError", 429), 0),
    "402 on create": ("insufficient-credit", ("ReplicateError", 402), ("ReplicateError", 402), 0),
    "503 on create is not repeated": ("unavailable-on-create", ("ReplicateError", 503), ("ReplicateError", 503), 0),
    "the answer to a create is lost": ("answer-lost", "ReadError", "ReadError", 1),
    "429 on polls is repeated": ("polls-too-fast", ["FileOutput"], "succeeded", 1),
    "503 on polls is repeated": ("unavailable-on-poll", ["FileOutput"], "succeeded", 1),
    "the prediction fails": ("nsfw", ("ModelError", "failed"), "failed", 1),
    "the provider cancels it": ({"state": State.CANCELLED}, None, "canceled", 1),
    "a word of newer clients": ("aborted", "ValidationError", "ValidationError", 1),
    "a word that nobody knows": ("unknown-status", ["FileOutput"], "ValidationError", 1),
    "the longest wait is over": ("slow", ["FileOutput"], "succeeded", 1),
    "it takes long to start": ("cold-boot", ["FileOutput"], "succeeded", 1),
}


@pytest.mark.parametrize("plan", FAULTS)
def test_what_the_sdk_makes_of_it(plan: str) -> None:
    """Of each thing that goes wrong the SDK makes what it is known to make, and never a second prediction."""
    how, run, wait, made = FAULTS[plan]

    def waited(client: Any) -> Any:
        prediction = client.predictions.create(SDXL, INPUT)
        prediction.wait()
        return prediction.status

    for act, expected in ((lambda client: client.run(FLUX, INPUT), run), (waited, wait)):
        with playing(how if isinstance(how, str) else None) as fake:
            if isinstance(how, dict) and how:
                fake.next_job(**how)
            assert outcome(lambda act=act, fake=fake: act(sdk(fake))) == expected
            assert len(fake.jobs) == made
            assert [path.partition(" ")[0] for path in paths(fake)].count("POST") == 1


def test_a_poll_that_is_refused_waits_as_long_as_it_is_told_to() -> None:
    """The SDK keeps the seconds of `Retry-After` for a poll."""
    with playing("polls-too-fast") as fake:
        began = fake.clock.now()
        sdk(fake).predictions.create(SDXL, INPUT).wait()
        assert fake.clock.now() - began > 6


def test_a_create_that_says_processing_has_no_output() -> None:
    """`run` takes any status but starting for the end, so an answer that says processing gives None."""
    with playing("slow") as fake:
        fake.fault("member-value", on="create", pointer="/status", value="processing")
        assert sdk(fake).run(FLUX, INPUT) is None


def test_the_sdk_needs_four_members(fake: Fake) -> None:
    """Without id, model, version or status the SDK cannot read a prediction; all the rest may be missing."""
    prediction = sdk(fake).predictions.create(SDXL, INPUT)
    whole = sdk(fake)._client.get(f"/v1/predictions/{prediction.id}").json()
    needed = set()
    for name in whole:
        body = {key: value for key, value in whole.items() if key != name}
        client: Any = Client(api_token="r8_key", transport=MockTransport(lambda _, body=body: Response(200, json=body)))
        if outcome(lambda client=client: client.predictions.get("any") and None) is not None:
            needed.add(name)
    assert needed == {"id", "model", "version", "status"}


# --- webhooks -------------------------------------------------------------------------------------------------------


def called_back(scenario: str | None, count: int, **params: Any) -> tuple[Any, list[Received]]:
    """Make a prediction with a webhook, let it end, and return the secret and what came."""
    with Receiver() as receiver, Fake("replicate", scenario=scenario) as fake:
        client = sdk(fake)
        prediction = client.predictions.create(SDXL, INPUT, webhook=receiver.url, **params)
        fake.wait_for(prediction.id, delivery=True)
        return client.webhooks.default.secret(), receiver.wait(count)


def test_webhooks_are_verified_by_the_sdk() -> None:
    """Start and completed are told, and the SDK's own verifier takes them with the secret that it asked for."""
    secret, received = called_back(None, 2)
    for callback in received:
        body = callback.body.decode()
        replicate.webhooks.validate(headers=dict(callback.headers), body=body, secret=secret)
        with pytest.raises(InvalidSignatureError):
            replicate.webhooks.validate(headers=dict(callback.headers), body=f"{body} ", secret=secret)
    bodies = [json.loads(callback.body) for callback in received]
    assert [body["status"] for body in bodies] == ["processing", "succeeded"]
    assert bodies[-1]["urls"]["get"] == f"https://api.replicate.com/v1/predictions/{bodies[-1]['id']}"


def test_only_the_events_that_were_asked_for_are_told() -> None:
    """With a filter there is a webhook for those events alone."""
    _, received = called_back(None, 1, webhook_events_filter=["completed"])
    assert [json.loads(callback.body)["status"] for callback in received] == ["succeeded"]


def test_a_forged_webhook_is_refused_by_the_sdk() -> None:
    """A webhook that is signed with another key does not pass the SDK's verifier."""
    secret, received = called_back("webhook-wrong-signature", 2)
    with pytest.raises(InvalidSignatureError):
        replicate.webhooks.validate(headers=dict(received[0].headers), body=received[0].body.decode(), secret=secret)


# --- over a socket --------------------------------------------------------------------------------------------------


def test_the_sdk_talks_to_a_live_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """With two variables of the environment the SDK's own functions make, poll, cancel, stream, list and fetch."""
    clock = VirtualClock()
    with serve("replicate", clock=clock) as server:
        server.share_clock()
        base_url = server.url_of("replicate").removesuffix("/v1")  # the SDK puts /v1 before each path itself
        monkeypatch.setenv("REPLICATE_BASE_URL", base_url)
        monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_key")
        client: Any = Client()
        with virtual_time(clock, peers=(server,)), closing(client._client):  # the SDK itself never closes it
            prediction = client.predictions.create(SDXL, INPUT)
            assert prediction.urls["get"] == f"{base_url}/v1/predictions/{prediction.id}"
            prediction.wait()
            (url,) = prediction.output
            assert url.startswith(f"{server.asset_url}/replicate/")
            assert client._client.get(url).content[:4] == b"\x89PNG"
            other = client.models.predictions.create(FLUX, INPUT)
            other.cancel()
            assert [event.event.value for event in other.stream()] == ["done"]
            assert {one.id: one.status for one in client.predictions.list()} == {
                prediction.id: "succeeded",
                other.id: "canceled",
            }
            server.provider("replicate").next_job(state=State.FAILED, failure="interrupted")
            with pytest.raises(ModelError, match="interrupted"):
                client.run(FLUX, INPUT)
