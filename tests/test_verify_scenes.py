"""Tests of the scenes of `understudy verify`: what a stand-in is told to play, and its twin plays too."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.alterations import KEY, Altered
from understudy.clock import SystemClock
from understudy.contract.expressions import parse_expression
from understudy.journal import Exchange
from understudy.provider import SCENARIO_HEADER
from understudy.server import serve
from understudy.verify.jobs import CALLBACK_SECONDS
from understudy.verify.questions import put
from understudy.verify.run import run
from understudy.verify.suite import SCENES


def stories(fake: Altered) -> list[dict[str, object]]:
    """Return the stories that a fake is told from now on, in a list that grows."""
    told: list[dict[str, object]] = []
    inner = fake.transport.handle_request

    def handle(request: httpx.Request) -> httpx.Response:
        if SCENARIO_HEADER in request.headers:
            told.append(json.loads(request.headers[SCENARIO_HEADER]))
        return inner(request)

    fake.transport.handle_request = handle  # type: ignore[method-assign]
    return told


def test_every_name_of_the_contract_is_played():
    """Each error in each way that it can come, each word of each state and each failure is told to a stand-in."""
    fake = Altered("kie")
    told = stories(fake)
    assert not any(check.found or check.skipped for check in fake.verify(budget="0", only=SCENES))
    kind = fake.contract.job_type
    text = json.dumps(told)
    for error in kind.errors.rules.keys() - {"invalid"}:
        assert f'"error": "{error}"' in text
    assert {story.get("errors") for story in told} == {None, *kind.errors.transports}
    assert {story.get("failure") for story in told} == {None, *kind.failures}
    assert '{"status": "queuing"' in text


def test_no_limit_binds_a_scene():
    """Scenes follow one another without a pause, each from an account of its own, and none comes too soon."""
    fake = Altered("kie")
    began = fake.clock.now()
    fake.verify(only=("scene-models",))
    asked = [entry for entry in fake.provider.journal if isinstance(entry, Exchange)]
    assert fake.clock.now() - began < len(asked)
    assert len(fake.provider.accounts) > 20
    assert not any(entry.error == "rateLimited" for entry in asked)


def test_a_provider_is_told_nothing():
    """A provider that does not answer as a stand-in is asked so once, and the scenes are skipped with a reason."""
    fake = Altered("kie")
    inner = fake.transport.handle_request

    def handle(request: httpx.Request) -> httpx.Response:
        request.headers.pop(SCENARIO_HEADER, None)  # a provider has never heard of it
        return inner(request)

    fake.transport.handle_request = handle  # type: ignore[method-assign]
    told = stories(fake)
    checks = fake.verify(only=SCENES)
    assert len(told) == 1
    assert not fake.provider.plays
    assert {check.skipped for check in checks} == {
        "a stand-in alone plays what it is told; a provider cannot be told to fail"
    }


def test_who_does_not_answer_is_no_provider_without_scenes():
    """Where nothing is answered, no further model is bought, and each check of scenes says that nothing came."""
    fake = Altered("kie")

    def handle(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody is there")

    fake.transport.handle_request = handle  # type: ignore[method-assign]
    bought, *played = fake.verify(only=("other-models", *SCENES))
    assert bought.skipped is not None
    assert [found.rule for check in played for found in check.found] == ["no-answer"] * len(SCENES)


@pytest.mark.parametrize(
    ("name", "scene", "steps", "value"),
    [
        ("kie", "scene-errors", ("errors", "maintenance", 0, "http"), 454),
        ("kie", "scene-errors", ("errors", "notFound", 3, "http"), 454),
        ("kie", "scene-transports", ("errors", "unauthorized", 0, "http"), 403),
        ("kie", "scene-states", ("states", "queued", 1), "lining-up"),
        ("kie", "scene-failures", ("failures", "content-policy", "code"), 422),
        ("replicate", "scene-models", ("create", 2, "reply"), {"body": {}}),
        ("oxen", "scene-models", ("create", 1, "reply", "bodyWhen", 0, "body"), {}),
        ("fal", "scene-states", ("status", "reply", "bodyWhen", 0, "body"), {}),
    ],
)
def test_what_no_request_brings_about_is_found(name: str, scene: str, steps: tuple[str | int, ...], value: object):
    """A scene finds an error, however it comes, a second word, a failure, another create, what is shown on demand."""

    def edit(data):
        node = next(iter(data["x-jobs"].values()))
        for step in steps[:-1]:
            node = node[step]
        node[steps[-1]] = value

    assert any(check.found for check in Altered(name, edit).verify(only=(scene,)))


def test_what_a_place_cannot_hold_is_not_put_there():
    """A value for a place that is none, or that cannot hold it, changes nothing of what an operation takes."""
    given = {"body": {"a": "text"}}
    for place in ("$job.id", "$request.body", "$request.body#/a/b"):
        assert put(given, (parse_expression(place),), 1) == given


def test_a_callback_that_does_not_come_is_waited_for_once():
    """Where callbacks are lost, a check of scenes waits for the first of them and leaves the rest."""

    def edit(data):
        data["x-jobs"]["task"]["callback"]["trigger"] = ["succeeded"]

    fake = Altered("kie", edit)
    began = fake.clock.now()
    (check,) = fake.verify(only=("scene-failures",))
    assert [found.rule for found in check.found] == ["callback-missing"]
    assert fake.clock.now() - began < 2 * CALLBACK_SECONDS


def test_what_is_elsewhere_is_not_told_where_to_call_back(monkeypatch, capsys):
    """A stand-in on another machine plays its scenes without callbacks, which could not come here."""
    monkeypatch.setenv("PROVIDER_KEY", KEY)
    monkeypatch.setattr("understudy.verify.run.is_loopback", lambda host: False)
    with serve("kie", speed=50) as server:
        url = f"{server.url}/kie"
        assert run("kie", base_url=url, key_env="PROVIDER_KEY", only=["scene-states"], clock=SystemClock(50)) == 0
        assert all(play.job.callback_url is None for play in server.provider("kie").plays.values())
    assert "1 of 1 checks made, 0 USD spent" in capsys.readouterr().out
