"""Fakes whose contract was altered, as providers drift: for tests of `understudy verify`.

An altered fake is driven by a contract with one thing changed, and verified against the contract as it was.
"""

from __future__ import annotations

import copy
import functools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from understudy.behaviour import Behaviour
from understudy.callback import Delivery
from understudy.clock import VirtualClock
from understudy.contract.build import compile_contract, load_document
from understudy.contract.loader import Document
from understudy.contract.model import Contract
from understudy.errors import ContractInvalid
from understudy.folders import find_provider
from understudy.library import load_provider
from understudy.lifecycle import Json
from understudy.provider import Provider
from understudy.reach import host_of
from understudy.receiver import Received
from understudy.scenario import Scenarios
from understudy.transport import FakeTransport
from understudy.verify.budget import Budget
from understudy.verify.jobs import Callbacks
from understudy.verify.line import Line
from understudy.verify.suite import Checked, Suite
from understudy.wire import Outcome, Reply, Request, Wait

PROVIDERS = ("fal", "kie", "oxen", "replicate", "shortapi")

CALLBACK_URL = "http://127.0.0.1/callback"
KEY = "verify-key"

Edit = Callable[[dict[str, Any]], object]


class Altered:
    """A fake in this process, on a virtual clock, with its callbacks in a list.

    Args:
        name: The provider.
        edit: Changes the JSON of its contract, or the contract that it keeps to; None for as it is.
        change: Changes what it answers to a request; None for as it does.
        server: Which of its servers is verified.
    """

    def __init__(
        self,
        name: str,
        edit: Edit | Contract | None = None,
        change: Callable[[Request, Reply], Reply] | None = None,
        server: int = 0,
    ):
        self.contract, self.behaviour = load_provider(find_provider(name))
        self.server = self.contract.servers[server]
        played, behaviour = self.contract, self.behaviour
        if edit is not None:
            played = edit if isinstance(edit, Contract) else altered(name, edit)
            behaviour = _by_state(self.behaviour, name, played)
        self.clock = VirtualClock()
        self.callbacks: list[Received] = []
        self.said: list[object] = []
        self._change = change
        self.provider = Provider(played, behaviour, clock=self.clock, send=self._collect)
        handle = self._handle
        self.transport = FakeTransport(
            lambda host: handle, played.hosts, self.clock, behaviour.latency_seconds, lambda *_: None
        )

    def _collect(self, delivery: Delivery, done: Callable[[int | None, str], None]) -> None:
        headers = {name.lower(): value for name, value in delivery.headers}
        self.callbacks.append(Received("/callback", headers, delivery.body))
        self.said.append((sorted(headers.items()), delivery.body))
        done(200, "")

    def _handle(self, request: Request) -> Outcome:
        return self._said(request, self.provider.handle(request))

    def _said(self, request: Request, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Wait):
            resume = outcome.resume
            return replace(outcome, resume=lambda: self._said(request, resume()))
        if isinstance(outcome, Reply):
            outcome = outcome if self._change is None else self._change(request, outcome)
            self.said.append((outcome.status, outcome.headers, outcome.body))
        return outcome

    @property
    def secret(self) -> str | None:
        """The secret that callbacks are signed with, where a text is all there is to it."""
        callback = self.contract.job_type.callback
        hmac = callback is not None and callback.sign is not None and callback.sign.algorithm == "hmac-sha256"
        return self.behaviour.secrets.get("webhook") if hmac else None

    def verify(self, *, budget: str = "1", file: Path | None = None, only: tuple[str, ...] = ()) -> list[Checked]:
        """Verify it against the contract as it was."""
        return list(self.checks(budget=budget, file=file, only=only))

    def checks(self, *, budget: str = "1", file: Path | None = None, only: tuple[str, ...] = ()) -> Iterator[Checked]:
        """Verify it check by check; those that nobody waits for are not made."""
        with tempfile.TemporaryDirectory() as folder, httpx.Client(transport=self.transport, timeout=None) as http:
            progress = Budget(file or Path(folder, "progress.json"), Decimal(budget), {"provider": self.contract.name})
            line = Line(self.contract, base_url=self.server, api_key=KEY, http=http, clock=self.clock)
            suite = Suite(
                self.contract,
                self.behaviour,
                line,
                clock=self.clock,
                budget=progress,
                callbacks=Callbacks(CALLBACK_URL, self.callbacks),
                secret=self.secret,
            )
            yield from suite.run(only)


@functools.cache
def _document(name: str) -> Document:
    return load_document(find_provider(name).contract)


def altered(name: str, edit: Edit) -> Contract:
    """Return a provider's contract with something changed."""
    document = _document(name)
    data = copy.deepcopy(document.data)
    edit(data)
    return compile_contract(Document(document.path, data), find_provider(name).contract)


def _by_state(behaviour: Behaviour, name: str, contract: Contract) -> Behaviour:
    """Return a behaviour that names no words, which may be altered, and reads scenarios by the contract as altered."""
    timeline = tuple(replace(step, status=None) for step in behaviour.timeline)
    scenarios = Scenarios(find_provider(name).fake / "scenarios", contract.job_type)
    return behaviour._replace(timeline=timeline, scenarios=scenarios)


# --- one alteration for each leaf -----------------------------------------------------------------------------------


class Alteration(NamedTuple):
    """One thing changed: its name, where it is, and what changes it."""

    name: str
    at: tuple[str | int, ...]
    edit: Edit


def alterations(name: str) -> list[Alteration]:
    """Return an alteration for each leaf of what a provider's contract says that it says."""
    found: list[Alteration] = []
    for kind, node in _document(name).data["x-jobs"].items():
        found += _of_node(node, ("x-jobs", kind))
    data = _document(name).data  # what an alias stands for is one leaf, wherever it stands
    return list({(id(_parent(data, one.at)), one.at[-1], one.name.rpartition(":")[2]): one for one in found}.values())


def _of_node(node: Json, at: tuple[str | int, ...]) -> Iterator[Alteration]:
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        place = (*at, key)
        if key in ("x-evidence", "when", "trigger", "events", "prices", "limits", "successCriteria"):
            continue
        if key in ("body", "outputs"):
            yield from _of_template(value, place)
        elif key in ("bodyByState", "bodyWhen"):
            for inner, template in value.items() if isinstance(value, dict) else enumerate(value):
                if isinstance(value, dict):
                    yield from _of_template(template, (*place, inner))
                else:
                    yield from _of_template(template["body"], (*place, inner, "body"))
        elif key == "headers":
            for header in value:
                yield _renamed((*place, header))
        elif key == "states":
            yield from _of_states(value, place)
        elif key == "http":
            yield from _of_http(value, place)
        elif key == "code" and at[-2:-1] == ("failures",):
            yield _changed("type changed", place, lambda old: int(old) if isinstance(old, str) and old.isdigit() else 7)
        elif key == "sign" and isinstance(value, dict):
            yield _changed("encoding changed", (*place, "encoding"), lambda old: "hex" if old != "hex" else "base64")
            for header in value["headers"]:
                yield _renamed((*place, "headers", header))
        else:
            yield from _of_node(value, place)


def _of_template(node: Json, at: tuple[str | int, ...]) -> Iterator[Alteration]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "x-evidence":
                continue
            if key.startswith("$"):
                if key in ("$match",):
                    yield _changed("type changed", (*at, key), _other_type)
                elif key in ("$json", "$either"):
                    yield from _of_template(value, (*at, key))
                elif key == "$each":
                    yield from _of_template(node["do"], (*at, "do"))
            elif "$each" not in node:
                yield _renamed((*at, key))
                yield from _of_template(value, (*at, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _of_template(value, (*at, index))
    else:
        yield _changed("type changed", at, _other_type)


def _of_states(node: Json, at: tuple[str | int, ...]) -> Iterator[Alteration]:
    for state, words in node.items():
        if state in ("x-evidence", "unknown"):
            continue
        yield Alteration(
            f"{_pointer((*at, state))}: state missing", (*at, state), functools.partial(_remove, at=(*at, state))
        )
        for index, word in enumerate(words):
            place = (*at, state, index, "word") if isinstance(word, dict) else (*at, state, index)
            if not isinstance(word, dict) or "word" in word:
                yield _changed("word changed", place, lambda old: old + 40 if isinstance(old, int) else f"{old}_")


def _of_http(node: Json, at: tuple[str | int, ...]) -> Iterator[Alteration]:
    if isinstance(node, dict):
        for state in node:
            yield _changed("status moved", (*at, state), lambda old: old + 1)
    else:
        yield _changed("status moved", at, lambda old: old + 1)


def _other_type(old: Json) -> Json:
    """Return a value of another JSON type."""
    if isinstance(old, str) and old.startswith("$") and not old.startswith("$$"):
        return [old]
    if isinstance(old, str):
        return 7
    return "null" if old is None else str(old)


def _pointer(at: tuple[str | int, ...]) -> str:
    return "/".join(map(str, at[1:]))


def _changed(what: str, at: tuple[str | int, ...], change: Callable[[Json], Json]) -> Alteration:
    def edit(data: dict[str, Any]) -> None:
        node = _parent(data, at)
        node[at[-1]] = change(node[at[-1]] if not isinstance(node, dict) else node.get(at[-1]))

    return Alteration(f"{_pointer(at)}: {what}", at, edit)


def _renamed(at: tuple[str | int, ...]) -> Alteration:
    def edit(data: dict[str, Any]) -> None:
        node = _parent(data, at)
        entries = [(f"{key}_x" if key == at[-1] else key, value) for key, value in node.items()]
        node.clear()
        node.update(entries)

    return Alteration(f"{_pointer(at)}: key renamed", at, edit)


def _remove(data: dict[str, Any], at: tuple[str | int, ...]) -> None:
    del _parent(data, at)[at[-1]]


def _parent(data: dict[str, Any], at: tuple[str | int, ...]) -> Any:
    """Return what holds a place; what YAML has by an alias elsewhere is the same there."""
    node: Any = data
    for part in at[:-1]:
        node = node[part]
    return node


def node_at(contract: Contract, at: tuple[str | int, ...]) -> Json:
    """Return what stands at a place of a contract."""
    return _parent(contract.document.data, at)[at[-1]]


class Verdict(NamedTuple):
    """What came of an alteration: whether anybody could have seen it, and whether it was found."""

    name: str
    shown: bool
    found: bool


def judged(provider: str, alteration: Alteration) -> Verdict | None:
    """Verify an altered fake, at each of its servers; None where the contract cannot be altered so."""
    try:
        contract = altered(provider, alteration.edit)
    except ContractInvalid:
        return None
    shown = False
    for server in places(provider):
        fake = Altered(provider, contract, server=server)
        if any(check.found for check in fake.checks()):
            return Verdict(alteration.name, shown=True, found=True)
        shown = shown or fake.said != usual(provider, server)
    return Verdict(alteration.name, shown, found=False)


def places(provider: str) -> list[int]:
    """Return which servers of a provider have hosts of their own."""
    servers = load_provider(find_provider(provider))[0].servers
    return sorted({host_of(server): index for index, server in reversed([*enumerate(servers)])}.values())


@functools.cache
def usual(provider: str, server: int) -> list[object]:
    """Return what a fake says in a verify that was not altered."""
    fake = Altered(provider, lambda data: None, server=server)
    found = [found for check in fake.verify() for found in check.found]
    assert not found, found
    return fake.said
