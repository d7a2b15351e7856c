"""The answer has members that no document knows, at every level."""

from __future__ import annotations

from dataclasses import dataclass, replace

from understudy.contract.codecs import encode_json, parse_json
from understudy.faults.fault import ANSWERED, Fault
from understudy.lifecycle import Json
from understudy.wire import Reply


@dataclass(frozen=True)
class UnknownFields(Fault):
    """Each object of the answer has one member more; an answer that is no JSON stays as it is."""

    moments = ("reply",)
    on = ANSWERED

    def answer(self, reply: Reply, now: float) -> Reply:
        try:
            body = parse_json(reply.body)
        except ValueError:
            return reply
        return replace(reply, body=encode_json(_with_more(body)))


def _with_more(node: Json) -> Json:
    if isinstance(node, list):
        return [_with_more(item) for item in node]
    if isinstance(node, dict):
        return {"xUnheardOf": {"since": "today"}, **{key: _with_more(value) for key, value in node.items()}}
    return node
