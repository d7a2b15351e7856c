"""Tests of overlays: a published document stays as it is, and what it lacks is laid over it."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import shown, text_of
from understudy import Fake, Refused
from understudy.check import check_provider
from understudy.client import Client
from understudy.contract.build import load_contract, load_document
from understudy.contract.loader import Document
from understudy.errors import ContractInvalid
from understudy.folders import find_provider, stamp
from understudy.lifecycle import State

# As it may be published: 3.0, a scheme that is none, two branches that both fit, bodies without a schema.
PUBLISHED = """
openapi: 3.0.1
info: {title: Stills, version: "2"}
servers: [{url: "https://api.stills.test/v2"}]
security: [{token: []}]
paths:
  /stills:
    get: {operationId: listStills, responses: {200: {description: Success}}}
    post:
      operationId: createStill
      requestBody:
        required: true
        content:
          application/json:
            schema:
              oneOf:
                - {$ref: "#/components/schemas/Text"}
                - {$ref: "#/components/schemas/Image"}
      responses: {200: {description: Success}}
  /stills/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {responses: {200: {description: Success}}}
  /admin/reset:
    post: {responses: {200: {description: Success}}}
components:
  securitySchemes: {token: {type: bearer}}
  schemas:
    Text: &text
      type: object
      required: [prompt]
      properties:
        prompt: {type: string}
        style: {type: string, nullable: true}
        strength: {type: number, minimum: 0, exclusiveMinimum: true, maximum: 1, exclusiveMaximum: false}
    Image: *text
"""

OVERLAY = """
overlay: 1.0.0
info: {title: Stills as jobs, version: "1"}
extends: ./openapi.yaml
actions:
  - target: $.components.securitySchemes.token
    description: Bearer is a scheme of HTTP, and no type.
    update: {type: http, scheme: bearer}
  - target: $.paths['/admin/reset']
    remove: true
  - target: $.paths['/stills/{id}'].get
    update: {operationId: getStill}
  - target: $..schema.oneOf[1]
    description: Whatever fits the one fits the other.
    remove: true
  - target: $.components.schemas.Image.required
    update: style
  - target: $
    update:
      x-jobs:
        still:
          id: "still_{hex:8}"
          states: {queued: [new], running: [busy], succeeded: [done], failed: [bad]}
          create:
            - operations: [createStill]
              input: $request.body
              reply: {body: {id: $job.id}}
          status:
            operation: getStill
            id: $request.path.id
            reply: {body: {id: $job.id, status: $job.status, files: $job.result, why: $job.error.message}}
          outputs: {$each: $job.outputs, do: $output.url}
          assets: {url: "https://cdn.stills.test/{$job.id}.{$output.extension}"}
          errors:
            invalid: [{http: 400, message: $violation.message, body: {error: $error.message}}]
"""

BEHAVIOUR = """
timeline: [{state: queued, seconds: 1}, {state: running, seconds: 1}, {state: succeeded}]
"""


def written(root: Path, overlay: str | dict[str, Any], published: str | dict[str, Any] = PUBLISHED) -> Path:
    """Write a provider called `stills`, and return the folder of its contract."""
    contract, fake = root / "contracts/stills", root / "fakes/stills"
    for path, text in {
        contract / "openapi.yaml": published,
        contract / "overlay.yaml": overlay,
        fake / "behaviour.yaml": BEHAVIOUR,
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(text) if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return contract


def actions(*each: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an overlay of these actions."""
    return {"overlay": "1.0.0", "info": {"title": "A", "version": "1"}, "actions": [*each], **more}


def laid(base: Any, *each: dict[str, Any]) -> Document:
    """Return a document with actions laid over it."""
    with tempfile.TemporaryDirectory() as folder:
        return load_document(written(Path(folder), actions(*each), base))


def problems(base: Any, overlay: dict[str, Any] | str) -> list[str]:
    """Return what is wrong with an overlay, as `file:line: text`."""
    with tempfile.TemporaryDirectory() as folder, pytest.raises(ContractInvalid) as caught:
        load_document(written(Path(folder), overlay, base))
    return [line.removeprefix("overlay.yaml:") for line in shown(caught.value.problems)]


# --- a published document and its overlay ---------------------------------------------------------------------------


def test_a_published_document_plays_under_its_overlay(tmp_path: Path):
    """What is published stays untouched; with the overlay over it a client gets its picture."""
    written(tmp_path, OVERLAY)
    with Fake("stills", paths=[tmp_path]) as fake:
        client = Client(fake.contract, api_key="key-1", http=fake.client(), clock=fake.clock)
        job = client.wait(client.submit({"prompt": "A fox", "style": None, "strength": 0.5}))
        assert job.state is State.SUCCEEDED
        assert client.download(job.outputs[0]).startswith(b"\x89PNG")
        for body in ({}, {"prompt": "A fox", "strength": 0}, {"prompt": "A fox", "strength": 1.1}):
            with pytest.raises(Refused):
                client.submit(body)


def test_a_published_document_passes_the_check_under_its_overlay(tmp_path: Path):
    """Nothing is wrong with a document that its overlay has repaired."""
    written(tmp_path, OVERLAY)
    report = check_provider(find_provider("stills", [tmp_path]))
    assert report.problems == []


def test_without_its_overlay_the_document_is_no_contract(tmp_path: Path):
    """The published document alone has the mistakes that the overlay repairs, and no jobs."""
    (written(tmp_path, OVERLAY) / "overlay.yaml").unlink()
    report = check_provider(find_provider("stills", [tmp_path]))
    assert any('"type" cannot be "bearer"' in problem.text for problem in report.problems)


def test_a_problem_stands_where_its_value_comes_from(tmp_path: Path):
    """What the overlay says wrongly is named in the overlay, and what the document says in the document."""
    overlay = OVERLAY.replace("operation: getStill", "operation: getStil").replace("operationId: getStill", "tags: [a]")
    with pytest.raises(ContractInvalid) as caught:
        load_contract(written(tmp_path, overlay))
    assert shown(caught.value.problems) == [
        '21: "get /stills/{id}" lacks "operationId"',
        'overlay.yaml:28: there is no operation "getStil"; did you mean "createStill"?',
    ]


def test_a_change_of_the_overlay_is_noticed(tmp_path: Path):
    """A provider whose overlay has changed is read again."""
    folder = written(tmp_path, OVERLAY)
    before = stamp(find_provider("stills", [tmp_path]))
    (folder / "overlay.yaml").write_text("overlay: 1.0.0\n", encoding="utf-8")
    assert stamp(find_provider("stills", [tmp_path])) != before


def test_without_its_library_an_overlay_is_a_problem_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    """An overlay needs a library, which is named; a document without one does not."""
    monkeypatch.setitem(sys.modules, "jsonpath", None)
    (problem,) = problems({}, actions({"target": "$", "remove": True}))
    assert problem.startswith("1: an overlay needs the package python-jsonpath, which is not installed: pip install")


# --- what an action does --------------------------------------------------------------------------------------------

BASE: dict[str, Any] = {"a": {"b": {"c": 1, "d": [1, {"e": 2}]}}, "list": [{"n": 0}, {"n": 1}, {"n": 2}], "text": "t"}


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (
            {"target": "$.a.b", "update": {"c": 5, "x": {"y": 1}}},
            {"a": {"b": {"c": 5, "d": [1, {"e": 2}], "x": {"y": 1}}}},
        ),
        ({"target": "$", "update": {"a": {"b": {"d": [3]}}}}, {"a": {"b": {"c": 1, "d": [1, {"e": 2}, 3]}}}),
        ({"target": "$.a.b.d", "update": [4]}, {"a": {"b": {"c": 1, "d": [1, {"e": 2}, [4]]}}}),
        ({"target": "$.a.b", "remove": True, "update": {"c": 6}}, {"a": {}}),
        ({"target": "$.list[?@.n < 2]", "remove": True}, {"list": [{"n": 2}]}),
        ({"target": "$.list[0, 0, 1]", "update": {"m": 1}}, {"list": [{"n": 0, "m": 1}, {"n": 1, "m": 1}, {"n": 2}]}),
        ({"target": "$['list']", "remove": False, "update": {"n": 3}}, {"list": [*BASE["list"], {"n": 3}]}),
        ({"target": "$..d", "remove": True}, {"a": {"b": {"c": 1}}}),
    ],
)
def test_an_action_changes_what_it_selects(action: dict[str, Any], expected: dict[str, Any]):
    """Objects merge all the way down, lists get what is appended, other values are replaced; a removal wins."""
    assert laid(BASE, action).data == {**BASE, **expected}


def test_actions_are_carried_out_in_order():
    """A list is replaced by removing it and then writing it anew."""
    data = laid(BASE, {"target": "$.list", "remove": True}, {"target": "$", "update": {"list": [7]}}).data
    assert data["list"] == [7]


def test_what_an_alias_stands_for_changes_in_one_place():
    """A part that the document writes once and uses twice is changed where the target says, and nowhere else."""
    data = laid("a: &one {b: 1}\nc: *one\n", {"target": "$.c", "update": {"b": 2}}).data
    assert data == {"a": {"b": 1}, "c": {"b": 2}}


def test_an_update_of_two_places_is_two_values():
    """What was written into two places by one action can be changed in one of them."""
    update, change = {"m": {"x": 1}}, {"target": "$.list[0].m", "update": {"x": 2}}
    data = laid(BASE, {"target": "$.list[0, 1]", "update": update}, change).data
    assert [item.get("m") for item in data["list"]] == [{"x": 2}, {"x": 1}, None]


words = st.text("abc", max_size=2)
values = st.recursive(
    st.none() | st.integers() | words, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner)
)


@given(base=st.dictionaries(words, values, max_size=3))
def test_merging_a_document_into_itself_only_lengthens_its_lists(base: dict[str, Any]):
    """An update of the root merges as the specification says, whatever is in it."""

    def doubled(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: doubled(item) for key, item in node.items()}
        return [*node, *node] if isinstance(node, list) else node

    assert laid(base, {"target": "$", "update": base}).data == doubled(base)


def test_every_value_keeps_its_line():
    """After all actions each part still knows in which file and on which line it stands."""
    overlay = """
        overlay: 1.0.0
        info: {title: A, version: "1"}
        actions:
          - target: $.list[0]
            remove: true
          - target: $.list
            update: {n: 9}
          - target: $.a
            update:
              c: 2
    """
    with tempfile.TemporaryDirectory() as folder:
        base = "a:\n  b: 1\nlist:\n  - {n: 1}\n  - {n: 2}\n  - {n: 3}\n"
        document = load_document(written(Path(folder), overlay, base))
    at: list[list[Any]] = [["a", "b"], ["a", "c"], ["list", 0, "n"], ["list", 1], ["list", 2, "n"]]
    places = [document.where(pointer) for pointer in at]
    assert [f"{Path(file).name}:{line}" for file, line in places] == [
        "openapi.yaml:2",
        "overlay.yaml:10",
        "openapi.yaml:5",
        "openapi.yaml:6",
        "overlay.yaml:7",
    ]


# --- what is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "problem"),
    [
        (("$.a.bb.c", {}), "the target matches nothing: no ['bb'] in $['a']; did you mean \"b\"?"),
        (("$.lsit[*].n", {}), "the target matches nothing: no ['lsit'] in $; did you mean \"list\"?"),
        (("$.list[7]", {}), "the target matches nothing: no [7] in $['list']; there is none"),
        (("$.a[", {}), "the target is no JSONPath of RFC 9535: unexpected end of query"),
        (("", {}), "the target is no JSONPath of RFC 9535: expected 'TOKEN_ROOT', found 'TOKEN_EOF'"),
        (("$.text", {}), "the target is text: select the object that holds it"),
        (("$.a", [1]), "the target is an object, and so must the update be, not a list"),
        (("$.a", {"b": 5}), '"b" is an object in the document, not a number: remove it in an action before'),
        (("$", {"text": {}}), '"text" is text in the document, not an object: remove it in an action before'),
        ({"target": "$", "remove": True}, "the whole document cannot be removed"),
        ({"target": "$.text", "remove": True}, "text cannot be removed by itself, only an object or a list"),
        ({"target": "$.a"}, 'an action has an "update", or "remove: true"'),
        ({"target": "$.a", "remove": False}, 'an action has an "update", or "remove: true"'),
        ({"target": "$.a", "updat": {}}, 'unknown key "updat"; did you mean "update"?'),
    ],
)
def test_what_an_action_cannot_do_is_said(action: Any, problem: str):
    """A target that leads nowhere, or to a value of the wrong kind, is named with what is there."""
    if isinstance(action, tuple):
        action = dict(zip(("target", "update"), action, strict=True))
    assert problems(BASE, actions(action)) == [f"1: {problem}"]


def test_an_overlay_of_another_document_is_refused():
    """What it extends must be the document beside it, or an address at which that is published."""
    text = 'it extends "./other.yaml", but what lies beside it is "openapi.yaml"'
    action = {"target": "$.a", "update": {}}
    assert problems(BASE, actions(action, extends="./other.yaml")) == [f"1: {text}"]
    with tempfile.TemporaryDirectory() as folder:
        load_document(written(Path(folder), actions(action, extends="https://stills.test/openapi.yaml"), BASE))


def test_a_null_of_the_document_may_become_anything():
    """Where the document has nothing but a key, an update may say what it is."""
    assert laid({"a": None}, {"target": "$", "update": {"a": {"b": 1}}}).data == {"a": {"b": 1}}


def test_an_overlay_is_bounded(monkeypatch: pytest.MonkeyPatch):
    """Neither many targets, nor much laid over each of them, nor a nest of nests can fill the memory."""
    nest: dict[str, Any] = {}
    for _ in range(60):
        nest = {"n": nest}
    steps = [{"target": "$" + ".n" * 60 * count, "update": nest} for count in range(2)]
    assert problems({}, actions(*steps)) == ["1: it is nested too deeply"]
    monkeypatch.setattr("understudy.contract.overlay.MAX_VALUES", 12)
    assert problems(BASE, actions({"target": "$.list[*]", "update": {"m": 1}})) == [
        "1: with it the document has more than 12 values"
    ]
    monkeypatch.undo()
    monkeypatch.setattr("understudy.contract.overlay.MAX_TARGETS", 2)
    assert problems(BASE, actions({"target": "$.list[*]", "update": {"m": 1}})) == [
        "1: the target matches more than 2 places"
    ]
