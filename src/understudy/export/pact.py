"""The contract as a Pact, version 4 of its specification: requests and answers, and callbacks as messages."""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Iterator
from urllib.parse import parse_qs

from understudy.behaviour import Behaviour
from understudy.contract.codecs import parse_json
from understudy.contract.model import Contract
from understudy.contract.validation import JSON
from understudy.export.scenes import Scene, Sent, Way, callbacks_of, scenes_of
from understudy.lifecycle import Job, Json

#: Who the consumer is called.
CONSUMER = "consumer"

_NEXT = "the next create"
_BY_TYPE = {"combine": "AND", "matchers": [{"match": "type"}]}
_MEMBER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def as_pact(contract: Contract, behaviour: Behaviour) -> dict[str, Json]:
    """Return a contract as a Pact.

    Each scene is played twice, with other ids and times: what differs then is matched by its type, all else as it is.
    A provider state is `a job`, with its `state`, its `failure` and the `id` that requests name, or `the next create`,
    with the `state` and `failure` of its job, or the named `error` that it is answered with.
    A Pact is of one address, so operations of other servers are left out.
    """
    here = {name for name, operation in contract.operations.items() if operation.server == contract.servers[0]}
    pairs = zip(scenes_of(contract, behaviour), scenes_of(contract, behaviour, seed=1), strict=True)
    sent = zip(callbacks_of(contract, behaviour), callbacks_of(contract, behaviour, seed=1), strict=True)
    return {
        "consumer": {"name": CONSUMER},
        "provider": {"name": contract.name},
        "interactions": [
            *(_exchange(*pair) for pair in pairs if pair[0].operation in here),
            *itertools.starmap(_message, sent),
        ],
        "metadata": {"pactSpecification": {"version": "4.0"}},
    }


def _exchange(scene: Scene, other: Scene) -> dict[str, Json]:
    request, reply = scene.request, scene.reply
    return {
        "type": "Synchronous/HTTP",
        "description": f"{scene.operation}: {scene.name}",
        "pending": False,
        "providerStates": _states(scene.way, scene.error, scene.job),
        "request": {
            "method": request.method,
            "path": request.path,
            **({"query": parse_qs(request.query, keep_blank_values=True)} if request.query else {}),
            "headers": {name: [value] for name, value in request.headers},
            **_body(dict(request.headers), request.body),
            **_rules(
                path=_path_rule(request.path, other.request.path),
                query=_differing(parse_qs(request.query), parse_qs(other.request.query)),
            ),
        },
        "response": {
            "status": reply.status,
            "headers": {name: [value] for name, value in reply.headers},
            **_body(dict(reply.headers), reply.body),
            **_rules(
                header=_differing(dict(reply.headers), dict(other.reply.headers)),
                body=dict.fromkeys(_varying(_json(reply.body), _json(other.reply.body), "$"), _BY_TYPE),
            ),
        },
    }


def _message(sent: Sent, other: Sent) -> dict[str, Json]:
    headers, others = (
        {name: value for name, value in one.delivery.headers if name != "content-type"} for one in (sent, other)
    )
    varying = _varying(_json(sent.delivery.body), _json(other.delivery.body), "$")
    return {
        "type": "Asynchronous/Messages",
        "description": f"callback: {sent.way.name}",
        "pending": False,
        "providerStates": _states(sent.way, None, sent.job),
        "contents": _body({"content-type": JSON}, sent.delivery.body)["body"],
        **_rules(
            body=dict.fromkeys(varying, _BY_TYPE),
            metadata=_differing(headers, others),
        ),
        "metadata": {"contentType": JSON, **headers},
    }


def _states(way: Way | None, error: str | None, job: Job | None) -> list[Json]:
    if error is not None:
        return [{"name": _NEXT, "params": {"error": error}}]
    if way is None:
        return []
    told = {"state": way.state.value, "failure": way.failure, "id": None if job is None else job.id}
    name = _NEXT if job is None else "a job"
    return [{"name": name, "params": {key: value for key, value in told.items() if value is not None}}]


def _body(headers: dict[str, str], body: bytes) -> dict[str, Json]:
    if not body:
        return {}
    media_type, value = headers.get("content-type", "application/octet-stream"), _json(body)
    if media_type.startswith(JSON) and value is not None:
        return {"body": {"content": value, "contentType": JSON, "encoded": False}}
    encoded = base64.b64encode(body).decode()
    return {"body": {"content": encoded, "contentType": media_type, "encoded": "base64"}}


def _json(body: bytes) -> Json:
    try:
        return parse_json(body)
    except ValueError:
        return None


# --- matching rules -------------------------------------------------------------------------------------------------


def _rules(**rules: Json) -> dict[str, Json]:
    told = {part: rule for part, rule in rules.items() if rule}
    return {"matchingRules": told} if told else {}


def _differing(one: dict[str, Json], other: dict[str, Json]) -> dict[str, Json]:
    return {name: _BY_TYPE for name, value in one.items() if other.get(name) != value}


def _path_rule(one: str, other: str) -> Json:
    """Return a rule by which any segment may stand where two paths differ."""
    if one == other:
        return None
    pairs = zip(one.split("/"), other.split("/"), strict=True)
    pattern = "/".join(re.escape(mine) if mine == yours else "[^/]+" for mine, yours in pairs)
    return {"combine": "AND", "matchers": [{"match": "regex", "regex": f"^{pattern}$"}]}


def _varying(one: Json, other: Json, at: str) -> Iterator[str]:
    """Yield the JSONPath of everything in a value that is another in the other one."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name, value in one.items():
            yield from _varying(value, other[name], at + _step(name))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (mine, yours) in enumerate(zip(one, other, strict=True)):
            yield from _varying(mine, yours, f"{at}[{index}]")
    elif one != other:
        yield at


def _step(name: str) -> str:
    return f".{name}" if _MEMBER.fullmatch(name) else "['" + name.replace("'", "\\'") + "']"
