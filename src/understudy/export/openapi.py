"""The contract as a plain document of OpenAPI 3.1, with examples that its stand-in has played."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from understudy.behaviour import Behaviour
from understudy.consistency import EXTENSIONS
from understudy.contract.model import Contract
from understudy.contract.openapi import METHODS
from understudy.contract.validation import JSON
from understudy.export.scenes import Scene, callbacks_of, scenes_of
from understudy.lifecycle import Json
from understudy.probes import decoded, resolved

#: The version that is written.
VERSION = "3.1.0"


def as_openapi(contract: Contract, behaviour: Behaviour) -> dict[str, Json]:
    """Return the document of a contract, its overlay laid over it, without what only this format knows.

    Each operation has an example of its body, of its answer in every state of a job, and of every error; the callbacks
    have one for every state that they tell of. Examples that the document has already stay.
    """
    data: dict[str, Json] = _plain(contract.document.data)
    data["openapi"] = VERSION
    nodes = {node["operationId"]: node for node in _operations(data) if "operationId" in node}
    for scene in scenes_of(contract, behaviour):
        node = nodes[scene.operation]
        if scene.reply.error is None:
            _show_request(data, node, scene)
        _show_reply(data, node, scene)
    for sent in callbacks_of(contract, behaviour):
        for operation in (name for group in sent.job_type.creates for name in group.operations):
            for body in _callback_bodies(data, nodes[operation]):
                _add_example(body, JSON, sent.way.name, decoded(sent.delivery.body))
    return data


def _plain(node: Json) -> Any:
    """Return a document as data of its own, without the keys that nobody else knows."""
    if isinstance(node, dict):
        return {key: _plain(item) for key, item in node.items() if key not in EXTENSIONS}
    return [_plain(item) for item in node] if isinstance(node, list) else node


def _operations(data: Json) -> Iterator[dict[str, Json]]:
    for item in data.get("paths", {}).values():
        found = resolved(data, item)
        yield from (found[method] for method in METHODS if method in found)


def _own(data: Json, holder: dict[str, Json], key: str) -> dict[str, Json]:
    """Return a member that may be a reference; what it refers to becomes its own, since others refer to it, too."""
    own: dict[str, Json] = copy.deepcopy(resolved(data, holder[key]))
    holder[key] = own
    return own


def _show_request(data: Json, node: dict[str, Json], scene: Scene) -> None:
    if "body" not in scene.given or "requestBody" not in node:
        return
    media = _own(data, node, "requestBody")["content"]
    for entry in media.values():
        if "example" not in entry and "examples" not in entry:
            entry["examples"] = {"played": {"value": scene.given["body"]}}


def _show_reply(data: Json, node: dict[str, Json], scene: Scene) -> None:
    declared, status = node.setdefault("responses", {}), str(scene.reply.status)
    name = next((name for name in (status, f"{status[0]}XX", "default") if name in declared), status)
    declared.setdefault(name, {"description": scene.name})
    content_type = dict(scene.reply.headers).get("content-type", "")
    if scene.reply.body and content_type.startswith(JSON):
        _add_example(_own(data, declared, name), JSON, scene.name, decoded(scene.reply.body))


def _callback_bodies(data: Json, node: dict[str, Json]) -> Iterator[dict[str, Json]]:
    for name in node.get("callbacks", {}):
        for item in _own(data, node["callbacks"], name).values():
            for method in METHODS:
                if "requestBody" in item.get(method, {}):
                    yield _own(data, item[method], "requestBody")


def _add_example(holder: dict[str, Json], media_type: str, name: str, value: Json) -> None:
    """Add an example to what has `content`; the one that may be there already keeps its place under a name."""
    media = holder.setdefault("content", {}).setdefault(media_type, {})
    examples = media.setdefault("examples", {})
    if "example" in media:
        examples["documented"] = {"value": media.pop("example")}
    examples.setdefault(name, {"value": _plain(value)})
