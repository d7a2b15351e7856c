"""Hold what the expressions of a file mention against the contract: states, models, parameters, members, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from understudy.contract.codecs import dump_json
from understudy.contract.expressions import Expression
from understudy.contract.loader import Document, pointer_parts
from understudy.contract.model import Contract, JobType
from understudy.contract.signs import SIGNS
from understudy.errors import suggestion
from understudy.lifecycle import Json, State
from understudy.probes import operation_node, properties_of, resolved

At = tuple[str | int, ...]

#: What holds values of the provider's, in which a key means nothing to us.
VALUES = frozenset({"example", "examples", "default", "enum", "const"})

_COMPARED = re.compile(r"\$job\.(state|model|status)\s*[!=]=\s*[\"']([^\"']*)[\"']")
_PARAMETER = re.compile(r"\$request\.(query|path)\.([A-Za-z0-9_-]+)")
_SECRET = re.compile(r"\$secret\.([A-Za-z0-9_-]+)")
_MEMBER = re.compile(r"\$(request\.body|job\.input|job\.request)#/([^\s|()=!<>&{}\"/]+)")

# Where a kind of job says how its callbacks are signed.
_SIGN = ("callback", "sign")


def check_names(contract: Contract, job_type: JobType, document: Document, at: At) -> None:
    """Note each expression in a part of a file that speaks of a state, a model, a parameter or a member that is none.

    Args:
        contract: What there is.
        job_type: The kind of job that the part is about.
        document: The contract's own, or a file of the fake.
        at: Where in it the part begins.
    """
    node = document.data
    for part in at:
        node = node[part]
    for place, text, operations in _texts(node, at, tuple(contract.operations), contract):
        for kind, name in _COMPARED.findall(text):
            words = {word.word for entries in job_type.words.by_state.values() for word in entries}
            valid = {"state": list(State), "model": job_type.models, "status": words}[kind]
            if name not in valid and valid:
                document.problem(place, f'there is no {kind} "{name}"; {suggestion(name, map(str, valid))}')
        for kind, name in _PARAMETER.findall(text):
            declared = {
                parameter.name
                for operation in operations
                for parameter in contract.operations[operation].parameters
                if parameter.place == kind
            }
            if name not in declared:
                document.problem(place, f'there is no {kind} parameter "{name}"; {suggestion(name, declared)}')
        for root, name in _MEMBER.findall(text):
            of_job = [operation for group in job_type.creates for operation in group.operations]
            members = _members(contract, operations if root == "request.body" else of_job)
            if root == "job.input":
                members = _inputs(contract, job_type)
            name = pointer_parts(f"/{name}")[0]
            if members and name not in members:
                document.problem(place, f'nothing has a member "{name}"; {suggestion(name, members)}')


def check_secrets(contract: Contract, secrets: Iterable[str], file: str) -> None:
    """Note each secret that the contract names and the behaviour file does not have.

    A signature is left out where nothing is there that its `when` asks for: all that it names may be missing then. But
    a secret that nothing names was meant to be one of them.
    """
    there, named = set(secrets), []
    for job_type in contract.job_types.values():
        at: At = ("x-jobs", job_type.name)
        texts = _texts(contract.document.data["x-jobs"][job_type.name], at, (), contract)
        spelt = [(place, dump_json(SIGNS[text]) if place[2:] == _SIGN else text) for place, text, _ in texts]
        found = [(place, name) for place, text in spelt for name in _SECRET.findall(text)]
        guards = {name for place, name in found if place[2:] in (_SIGN, (*_SIGN, "when"))}
        off = bool(guards) and not guards & there
        named += [(place, name, off and place[2:4] == _SIGN) for place, name in found]
    idle = there - {name for _, name, _ in named}
    for place, name, off in named:
        if name not in there and (idle or not off):
            text = f'"{name}" has to be one of the "secrets" in {file}; {suggestion(name, there)}'
            contract.document.problem(place, text)


def _texts(
    node: Json, at: At, operations: tuple[str, ...], contract: Contract
) -> Iterator[tuple[At, str, tuple[str, ...]]]:
    """Yield each text below a node, with the operations that it is about."""
    if isinstance(node, str):
        yield at, node, operations
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from _texts(item, (*at, index), operations, contract)
    elif isinstance(node, Mapping):
        own = node.get("operations", [node.get("operation")])
        known = isinstance(own, list) and all(isinstance(name, str) and name in contract.operations for name in own)
        operations = tuple(own) if known and own else operations
        for key, item in node.items():
            inner = (key,) if at[-1:] == ("replies",) and key in contract.operations else operations
            if key not in VALUES:
                yield from _texts(item, (*at, key), inner, contract)


def _members(contract: Contract, operations: Iterable[str]) -> set[str]:
    """Return the members that the bodies of some operations can have."""
    return {
        name for operation in operations for schema in _bodies(contract, operation) for name in properties_of(*schema)
    }


def _bodies(contract: Contract, operation: str) -> Iterator[tuple[Json, Json]]:
    data = contract.document.data
    body = resolved(data, operation_node(contract, operation).get("requestBody", {}))
    for media in body.get("content", {}).values():
        if "schema" in media:
            yield data, media["schema"]


def _inputs(contract: Contract, job_type: JobType) -> set[str]:
    """Return the members that the input of a job can have."""
    data, found = contract.document.data, set[str]()
    for group in job_type.creates:
        pointers = [item.pointer or () for item in group.input if isinstance(item, Expression)]
        for operation in group.operations:
            for _, schema in _bodies(contract, operation):
                for whole in (schema, *(info.schema for info in job_type.models.values())):
                    for pointer in pointers:
                        node = whole
                        for name in pointer:
                            node = properties_of(data, node).get(name, {})
                        found |= properties_of(data, node).keys()
    return found
