"""Tests of what a body must have beside the input: what the client sends itself, and what `check` says of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import clients
from tests.clients import Driver
from tests.small import create_with, small
from understudy import Fake, Refused
from understudy.check import CheckReport, check_provider
from understudy.folders import find_provider

kind = clients.kind
Node = dict[str, Any]

INPUT: Node = {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}}


def schema_of(**members: Node) -> Node:
    """Return the schema of a body with an input and these members, all of which there must be."""
    properties = {**members, "input": INPUT}
    return {"type": "object", "required": [*properties], "properties": properties}


def provider(root: Path, schema: Node, **more: Any) -> Path:
    """Write a provider whose create takes a body of this schema, its input below `input`."""
    schemas: Node = {"Order": schema, **more.pop("schemas", {})}
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}
    paths = {"/jobs": {"post": {"operationId": "createJob", "requestBody": body}, "get": {"operationId": "listJobs"}}}
    group = {**create_with(**{"input": "$request.body#/input", **more})[0]}
    if "callbackUrl" not in more:
        del group["callbackUrl"]
    return small(root, paths=paths, schemas=schemas, create=[group])


def of_models(**models: Node) -> Node:
    """Return the parts of a provider whose models have schemas of their own."""
    schemas = {name.title(): schema_of(model={"const": name}, **members) for name, members in models.items()}
    references = {name: f"#/components/schemas/{name.title()}" for name in models}
    order = {
        "oneOf": [{"$ref": target} for target in references.values()],
        "discriminator": {"propertyName": "model", "mapping": references},
    }
    return {"schema": order, "schemas": schemas, "model": "$request.body#/model"}


def sent(kind: Any, root: Path, parameters: Node | None = None, model: str | None = None) -> Any:
    """Return the body of the create that a client sends."""
    fake = Fake("small", paths=[root])
    driver = Driver(kind, fake.contract, fake.transport(), fake.clock, parameters=parameters)
    job = driver.submit({"prompt": "x"}, model=model)
    return fake.jobs[job.id].request


def checked(root: Path) -> CheckReport:
    """Return what `check` finds."""
    return check_provider(find_provider("small", [root]))


@pytest.mark.parametrize("only", [{"const": "txt2img"}, {"enum": ["txt2img"]}, {"allOf": [{"const": "txt2img"}]}])
def test_a_member_of_one_value_is_sent(kind: Any, tmp_path: Path, only: Node) -> None:
    """What a body must have and can have in one way alone, a client sends by itself."""
    root = provider(tmp_path, schema_of(task_type=only))
    assert sent(kind, root) == {"task_type": "txt2img", "input": {"prompt": "x"}}
    assert checked(root).problems == []


def test_a_member_of_one_value_is_that_of_the_model(kind: Any, tmp_path: Path) -> None:
    """Where the body is told apart by its model, what is sent is what the schema of that model has."""
    root = provider(tmp_path, **of_models(still={"task": {"const": "txt2img"}}, film={"task": {"const": "txt2vid"}}))
    bodies = [sent(kind, root, model=model) for model in ("still", "film")]
    assert [body["task"] for body in bodies] == ["txt2img", "txt2vid"]


def test_a_member_of_one_value_may_stand_within_others(kind: Any, tmp_path: Path) -> None:
    """An object that there must be is sent with what it must have, and what a caller gives counts first."""
    size = {"type": "object", "required": ["unit"], "properties": {"unit": {"const": "px"}, "zoom": {"const": 1}}}
    root = provider(tmp_path, {"allOf": [schema_of(size=size), {"required": ["v"], "properties": {"v": {"const": 2}}}]})
    assert sent(kind, root) == {"size": {"unit": "px"}, "v": 2, "input": {"prompt": "x"}}
    assert sent(kind, root, {"size": {"unit": "px", "zoom": 1}})["size"] == {"unit": "px", "zoom": 1}


def test_a_schema_that_has_itself_as_a_member_is_read(tmp_path: Path) -> None:
    """What one must have of a kind that must have one of the same kind is nothing that could be sent."""
    inner = {"type": "object", "required": ["inner"], "properties": {"inner": {"$ref": "#/components/schemas/Order"}}}
    assert Fake("small", paths=[provider(tmp_path, inner)]).contract.operations["createJob"].body is not None


def test_a_member_that_the_caller_chooses_is_a_parameter(kind: Any, tmp_path: Path) -> None:
    """What a body must have and is no input is given by its name to the client, and `check` has a note on it."""
    root = provider(tmp_path, schema_of(secret={"type": "string"}, notify={"type": "boolean"}))
    assert sent(kind, root, {"secret": "s", "notify": True})["secret"] == "s"
    with pytest.raises(Refused):
        sent(kind, root, {"notify": True})
    report = checked(root)
    assert report.problems == []
    text = 'a client of createJob needs what is no input: Client(…, parameters={"notify": …, "secret": …})'
    assert text in [note.text for note in report.notes]


def test_a_member_within_another_is_a_parameter_as_it_stands_there(kind: Any, tmp_path: Path) -> None:
    """What a caller chooses within an object is laid beside what the client puts there."""
    text = {"type": "string"}
    hook = {"type": "object", "properties": {"url": text, "secret": text}}
    config = {"type": "object", "properties": {"hook": hook}}
    root = provider(tmp_path, schema_of(config=config), callbackUrl="$request.body#/config/hook/url")
    fake, url = Fake("small", paths=[root]), "http://127.0.0.1:9/"
    given = {"config": {"hook": {"secret": "mine"}}}
    driver = Driver(kind, fake.contract, fake.transport(), fake.clock, parameters=given)
    job = driver.submit({"prompt": "x"}, callback_url=url)
    assert fake.jobs[job.id].request["config"] == {"hook": {"url": url, "secret": "mine"}}


def test_what_no_client_can_send_is_told(tmp_path: Path) -> None:
    """Where a client cannot write a body that the schema takes, `check` names the schema and the member."""
    settings = {"type": "object", "required": ["mode"], "properties": {"mode": {"type": "string"}, "input": INPUT}}
    film = {"type": "object", "required": ["model"], "properties": {"model": {"const": "film"}, "settings": settings}}
    film["example"] = {"model": "film", "settings": {"mode": "fast", "input": {"prompt": "x"}}}
    parts = of_models(still={}, film={})
    parts["schemas"]["Film"] = film
    root = provider(tmp_path, **parts, input=["$request.body#/settings/input", "$request.body#/input"])
    (problem,) = checked(root).problems
    assert problem.text.startswith(
        'no client can make a create of createJob that Film takes: "mode" is a required property, at /settings/mode;'
    )
