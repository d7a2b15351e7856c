"""Tests of the walk through a contract: what a client cannot do with it is told by `check`, and not met by a user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.small import JOB, VIEW, small, write
from understudy.check import check_provider
from understudy.folders import find_provider

#: The creates of the small provider, without a callback, which its schemas do not speak of.
CREATE = [{key: part for key, part in JOB["create"][0].items() if key != "callbackUrl"}]


def problems(root: Path, **parts: Any) -> list[str]:
    """Return what `check` says of the small provider."""
    parts = {"create": CREATE, **parts}
    return [problem.text for problem in check_provider(find_provider("small", [small(root, **parts)])).problems]


def path_of(name: str) -> dict[str, Any]:
    """Return an operation below a parameter that only the create knows."""
    parameters = [
        {"name": "project", "in": "path", "required": True, "schema": {"type": "string", "example": "mine"}},
        {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
    ]
    return {"/projects/{project}/jobs/{id}": {"parameters": parameters, "get": {"operationId": name}}}


def test_a_client_comes_through(tmp_path: Path) -> None:
    """Of a contract that is whole nothing is told."""
    assert problems(tmp_path) == []


def test_an_operation_that_cannot_be_asked_is_told(tmp_path: Path) -> None:
    """Where nothing tells a client a part of a path, it says which, and what to do."""
    (text,) = problems(tmp_path, paths=path_of("look"), status={**JOB["status"], "operation": "look"})
    assert text.startswith("a client cannot have a job of createJob: look cannot be asked: nothing tells the project")
    assert 'or give the client parameters={"project": …}' in text


def test_files_that_nobody_gets_are_told(tmp_path: Path) -> None:
    """The bytes of a file are drawn for a reply, and not for a result: whoever puts them there gets nothing."""
    outputs = {"$each": "$job.outputs", "do": {"bytes": "$output.content|base64"}}
    assert "a client gets 0 of the 1 files that were made: the rest has no link, nor bytes" in problems(
        tmp_path, outputs=outputs
    )


@pytest.mark.parametrize(
    ("assets", "count", "text"),
    [
        ({"url": "https://files.small.test/{$job.id}"}, 2, "two files of a job have the same link: $output.index has"),
        ({"url": "https://files.small.test/{$output.index}"}, 2, "the files of two jobs have the same link: $job.id"),
        ({"url": "https://files.small.test/{$job.id}", "lifetimeSeconds": 0}, 1, "a client cannot have the file of a"),
    ],
)
def test_a_file_that_cannot_be_told_or_fetched_is_a_problem(
    tmp_path: Path, assets: dict[str, Any], count: int, text: str
) -> None:
    """Each file of each job has a link of its own, which a client can follow once it has the result."""
    (found,) = problems(tmp_path, assets=assets, behaviour={"pictures": {"count": count}})
    assert found.startswith(text)


def test_a_create_that_takes_nothing_known_is_let_be(tmp_path: Path) -> None:
    """What a body has to be may not be told by the document: then there is nothing to walk with."""
    schema = {
        "type": "object",
        "required": ["code"],
        "properties": {"code": {"type": "string", "pattern": "^[A-Z]{9}$"}},
    }
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    paths = {"/jobs": {"post": {"operationId": "createJob", "requestBody": body}, "get": {"operationId": "listJobs"}}}
    assert problems(tmp_path, paths=paths) == []


def test_without_a_status_a_create_is_all(tmp_path: Path) -> None:
    """Where nothing can be asked, the walk ends with the create."""
    sync = [{**CREATE[0], "sync": {}, "reply": VIEW}]
    assert problems(tmp_path, status=None, cancel=None, create=sync) == []


@pytest.mark.parametrize("pattern", ["job-{number}"])
def test_an_id_is_made_of_what_there_is(tmp_path: Path, pattern: str) -> None:
    """What stands in braces and is no kind of id would be sent as it stands."""
    (text,) = problems(tmp_path, id=pattern)
    assert text.endswith("is no kind of id: there is {hex:20}, {digits:15}, {base32:26}, {uuid}")


def test_a_slash_needs_a_parameter_that_spans(tmp_path: Path) -> None:
    """A recorded value with a slash in a parameter of one segment is told: nobody but our client would write it so."""
    root = small(tmp_path, create=CREATE)
    recording = {
        "source": {"document": "its page", "mark": "documented"},
        "exchanges": [{"request": {"operation": "getJob", "path": {"id": "a/b"}}, "response": {"status": 404}}],
    }
    write(root / "contracts/small/recordings/one.yaml", recording)
    problems = check_provider(find_provider("small", [root])).problems
    assert '"a/b" has a slash, and {id} in /jobs/{id} is one segment: give it `x-segments: many`' in str(problems[0])
