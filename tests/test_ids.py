"""Tests of ids that are resource names: of parts of the request that makes the job, and of what is minted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.small import BODY, JOB, VIEW, small
from understudy import Client, Fake
from understudy.check import check_provider
from understudy.folders import find_provider

NAME = "projects/{$request.path.project}/operations/op-{hex:4}"


def parameter(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, **more}


def named(root: Path, id: Any = NAME, **parts: Any) -> Path:
    """Write a provider whose operations are resources of a project."""
    body = {"content": {"application/json": {"schema": BODY}}}
    paths = {
        "/projects/{project}/jobs": {
            "parameters": [parameter("project")],
            "post": {"operationId": "createJob", "requestBody": body},
            "get": {"operationId": "listJobs"},
        },
        "/v1/{name}": {"parameters": [parameter("name", **{"x-segments": "many"})], "get": {"operationId": "getJob"}},
        "/jobs": {},
        "/jobs/{id}": {},
    }
    create = [{"operations": ["createJob"], "input": "$request.body", "reply": {"body": {"id": "$job.id"}}}]
    listing = {
        "operation": "listJobs",
        "filter": [{"by": "$request.path.project", "is": "$job.parameters.project"}],
        "reply": {"body": {"$each": "$jobs", "do": "$job.id"}},
    }
    status = {"operation": "getJob", "id": "$request.path.name", "reply": VIEW}
    usual = {"create": create, "status": status, "cancel": None, "list": listing}
    return small(root, id=id, paths=paths, **{**usual, **parts})


def problems(root: Path) -> list[str]:
    return [problem.text for problem in check_provider(find_provider("small", [root])).problems]


def test_an_id_may_name_what_the_request_names(tmp_path: Path) -> None:
    """A resource name has the project of the create in it, and a client asks by the whole of it and has the files."""
    root = named(tmp_path)
    assert problems(root) == []
    with Fake("small", paths=[root]) as fake:
        client = Client(
            "small", api_key="", paths=[root], http=fake.client(), parameters={"project": "mine"}, clock=fake.clock
        )
        job = client.run({"prompt": "a"})
        assert job.id.startswith("projects/mine/operations/op-")
        assert client.download(job.outputs[0])


def test_a_list_may_be_of_one_project(tmp_path: Path) -> None:
    """A list is told by the path of its own request from that of another project."""
    root = named(tmp_path)
    with Fake("small", paths=[root]) as fake:
        for project in ("mine", "yours", "mine"):
            fake.client().post(f"/projects/{project}/jobs", json={"prompt": "a"})
        found = {project: fake.client().get(f"/projects/{project}/jobs").json() for project in ("mine", "yours", "no")}
        assert {project: len(ids) for project, ids in found.items()} == {"mine": 2, "yours": 1, "no": 0}
        assert all(id.startswith("projects/yours/") for id in found["yours"])


@pytest.mark.parametrize(
    ("id", "text"),
    [
        ("p/{$request.path.projekt}/{hex:4}", 'createJob has no path parameter "projekt"; did you mean "project"?'),
        ("p/{$job.model}/{hex:4}", 'an id is made of the request for its job; "$job.model" is no part of that'),
        (
            "p/{$request.path.project}/{hxe:4}",
            "{hxe:4} is no kind of id: there is {hex:20}, {digits:15}, {base32:26}, ",
        ),
        ("p/{$request.path.project|hed(1)}", 'there is no codec "hed"; did you mean "head"?'),
    ],
)
def test_an_id_is_made_of_the_request_alone(tmp_path: Path, id: str, text: str) -> None:
    """What the request for a job has not is told, with what there is."""
    assert any(problem.startswith(text) for problem in problems(named(tmp_path, id)))


def test_an_id_may_have_what_a_body_names(tmp_path: Path) -> None:
    """Any part of the request will do, and what is not there stands for nothing."""
    root = small(tmp_path, id="{$request.body#/tenant}-{digits:3}", create=JOB["create"])
    with Fake("small", paths=[root]) as fake:
        ids = [fake.client().post("/jobs", json={"prompt": "a", **more}).json()["id"] for more in ({"tenant": "t"}, {})]
        assert [id.partition("-")[0] for id in ids] == ["t", ""]
