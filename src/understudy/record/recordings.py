"""Recordings: sequences as files of the project's format, with nothing in them that may not be written down."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from understudy.behaviour import Behaviour
from understudy.contract.codecs import dump_json
from understudy.contract.loader import Document, index_of, pointer_to
from understudy.contract.model import Contract
from understudy.contract.operations import key_in
from understudy.errors import Problem, writing
from understudy.lifecycle import Json
from understudy.playback import play
from understudy.probes import decoded, fits, rules_of, views_of
from understudy.reach import host_of, is_loopback
from understudy.record.redaction import Redactor
from understudy.record.sequences import Step, Told, header_names

#: Where a recorded create asks its callbacks to go.
CALLBACK_URL = "https://example.com/callback"

_NOW = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d)?")
_NUMBER = re.compile(r"[-+]?(?:[0-9.]+|0[xo][0-9a-fA-F]+)(?:[eE][-+]?[0-9]+)?|true|false|null|~", re.IGNORECASE)


@dataclass(slots=True)
class Recording:
    """A recording: how its file is called, what it says, and what the fake does otherwise."""

    name: str
    data: dict[str, Any]
    problems: Sequence[Problem] = ()

    @property
    def text(self) -> str:
        """The file."""
        return yaml.dump(self.data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def redactor_of(contract: Contract, told: Told) -> Redactor:
    """Return what takes the secrets out of all that was told, and the ids of its jobs."""
    redactor = Redactor(told.keys, _texts_of(contract.document.data), dict.fromkeys(told.callback_urls, CALLBACK_URL))
    redactor.name_ids(told.ids)
    return redactor


def recordings_of(
    contract: Contract, told: Told, redactor: Redactor, upstream: str | None, source: str
) -> list[Recording]:
    """Return a recording of each job, and of each kind of answer that is about none.

    Args:
        contract: Whose provider it is.
        told: What was seen.
        redactor: Takes the secrets out.
        upstream: The base URL that stood for the contract's first server; None where its own hosts were called.
        source: What they were recorded from.
    """
    found = []
    for name, steps in _sequences(told):
        writer = _Writer(contract, redactor, upstream)
        data = writer.written(steps, source)
        ids = {job_id for step in steps for job_id in step.ids}
        files = [file for file in told.files if ids & set(file.ids)]
        if files:
            data["files"] = [
                {"at": writer.offset(file.at), "status": file.status, "mediaType": file.media_type, "size": file.size}
                for file in files
            ]
        if writer.elided:
            data["elided"] = [{"at": at, "why": why} for at, why in writer.elided.items()]
        found.append(Recording(name, data))
    return found


def _sequences(told: Told) -> Iterator[tuple[str, list[Step]]]:
    """Yield the steps of each job, or of those that one create made, and of what is about none, with a name."""
    groups: list[tuple[set[str], list[Step]]] = []
    others: dict[str, list[Step]] = {}
    for step in told.steps:
        own = [group for group in groups if group[0] & set(step.ids)]
        if len(own) == 1 and step.part != "create":
            own[0][1].append(step)
        elif step.ids and (step.part == "create" or len(step.ids) == 1):
            groups.append((set(step.ids), [step]))
        else:
            name = step.event or (step.part if step.operation is None else step.operation.id)
            others.setdefault(f"{name}-{step.seen.status if step.seen else ''}".rstrip("-"), []).append(step)
    for number, (_, steps) in enumerate(groups, 1):
        yield f"job-{number:04}", _folded(steps)
    for name, steps in others.items():
        yield re.sub(r"[^A-Za-z0-9-]+", "-", name), _folded(steps)


def _folded(steps: list[Step]) -> list[Step]:
    """Return steps without those that say the same again as the one before."""
    kept: list[Step] = []
    said: dict[str, str] = {}
    for step in steps:
        what = _said(step)
        key = "" if step.operation is None else step.operation.id
        if step.part in ("create", "callback", "event") or said.get(key) != what:
            kept.append(step)
        said[key] = what
    return kept


def _said(step: Step) -> str:
    asked = None if step.request is None else [step.request.body, dict(step.request.query), dict(step.request.path)]
    return dump_json([step.seen.status if step.seen else 0, asked, _shape(step.body)])


def _shape(value: Json) -> Json:
    """Return a value without what changes from poll to poll though nothing has happened: numbers and times."""
    if isinstance(value, Mapping):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    if isinstance(value, str):
        return _NOW.sub("", value)
    return value if isinstance(value, bool) or value is None else 0


class _Writer:
    """Writes one recording."""

    def __init__(self, contract: Contract, redactor: Redactor, upstream: str | None) -> None:
        self._contract, self._redactor = contract, redactor
        self._upstream = None if upstream is None else upstream.rstrip("/")
        self._headers = header_names(contract)
        self._began: float | None = None
        self.elided: dict[str, str] = {}

    def offset(self, at: float) -> float:
        """Return how long after the first exchange something was, in seconds."""
        self._began = at if self._began is None else self._began
        return round(max(0.0, at - self._began), 3)

    def written(self, steps: list[Step], source: str) -> dict[str, Any]:
        first = next((step.at for step in steps if step.at is not None), 0.0)
        day = datetime.datetime.fromtimestamp(first, datetime.UTC).strftime("%Y-%m-%d")
        exchanges = []
        for index, step in enumerate(steps):
            timed = {} if step.at is None else {"at": self.offset(step.at)}
            exchanges.append({**timed, **self._exchange(step, ("exchanges", str(index)))})
        return {"source": {"document": source, "date": day, "mark": "observed"}, "exchanges": exchanges}

    def _exchange(self, step: Step, at: tuple[str, ...]) -> dict[str, Any]:
        if step.seen is not None:
            response: dict[str, Any] = {"status": step.seen.status, **self._named_headers(step)}
            if step.seen.answer:
                response["body"] = self._clean(step.body, (*at, "response", "body"))
            return {"request": self._request(step, at), "response": response}
        if step.part == "event":
            return {"event": {"event": step.event, "data": self._clean(step.body, (*at, "event", "data"))}}
        return {"callback": {**self._named_headers(step), "body": self._clean(step.body, (*at, "callback", "body"))}}

    def _request(self, step: Step, at: tuple[str, ...]) -> dict[str, Any]:
        operation, request = step.operation, step.request
        assert operation is not None  # it was seen
        assert request is not None
        keys = {entry.name for entry in self._contract.securities if entry.place == "query"}
        query = {name: value for name, value in request.query.items() if name not in keys}
        named = self._headers | {entry.name.lower() for entry in operation.parameters if entry.place == "header"}
        headers: dict[str, Json] = {
            name: self._redactor.text(value) for name, value in request.header.items() if name in named
        }
        refused = any(
            step.seen is not None
            and (rule.http == step.seen.status or step.seen.status == 200)
            and fits(rule.body, step.body)
            for rule in rules_of(step.kind, "unauthorized", operation.id)
        )
        result: dict[str, Any] = {"operation": operation.id}
        for name, value in (("path", dict(request.path)), ("query", query)):
            if value:
                result[name] = self._redactor.json(value)
        if refused:
            for entry in operation.security[:1]:
                if entry.place == "header":
                    headers[entry.name] = None
                    if key_in(operation.security, request.header, request.query) is not None:
                        place = pointer_to((*at, "request", "headers", entry.name))
                        self.elided[place] = "the key that was refused is taken out"
        if headers:
            result["headers"] = headers
        if request.body is not None:
            result["body"] = self._clean(request.body, (*at, "request", "body"), links=False)
        return result

    def _named_headers(self, step: Step) -> dict[str, Any]:
        """Return the headers that the contract tells of, by its own names."""
        names = {name.lower(): name for name in headers_told(step)}
        found = {
            names[name]: self._redactor.text(self._home(value)) for name, value in step.headers.items() if name in names
        }
        return {"headers": found} if found else {}

    def _clean(self, value: Json, at: tuple[str, ...], *, links: bool = True) -> Json:
        clean = self._redactor.json(self._homely(value))
        if links:
            for place in _links_to_here(clean, at):
                self.elided[pointer_to(place)] = "a link to this machine"
        return clean

    def _homely(self, value: Json) -> Json:
        """Return a value in whose texts the provider is where the contract has it."""
        if isinstance(value, Mapping):
            return {key: self._homely(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._homely(item) for item in value]
        return self._home(value) if isinstance(value, str) else value

    def _home(self, text: str) -> str:
        return text if self._upstream is None else text.replace(self._upstream, self._contract.servers[0])


def headers_told(step: Step) -> Iterator[str]:
    """Yield the names of the headers that the contract tells of for what was seen."""
    kind = step.kind
    if step.part == "callback":
        callback = kind.callback
        assert callback is not None  # or it were none
        yield from (name for name, _ in (*callback.headers, *(callback.sign.headers if callback.sign else ())))
        return
    operation = "" if step.operation is None else step.operation.id
    yield from (name for found, view in views_of(kind) if found == operation for name, _ in view.headers)
    for rules in kind.errors.rules.values():
        yield from (name for rule in rules for name, _ in rule.headers)


def _links_to_here(value: Json, at: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield where links lead to this machine, such as those of a fake, which no provider has."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _links_to_here(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _links_to_here(item, (*at, str(index)))
    elif isinstance(value, str):
        if value.startswith(("http://", "https://")) and is_loopback(host_of(value)):
            yield at
        elif value[:1] in ("{", "["):
            inner = decoded(value.encode())
            if not isinstance(inner, str):
                yield from _links_to_here(inner, at)


def with_story(contract: Contract, behaviour: Behaviour, recording: Recording) -> Recording:
    """Find how the fake has to act to tell the same: as usual, with a failure, or in one of its scenarios.

    Returns:
        The recording as the fake comes nearest to it, with what it does otherwise all the same.
    """
    ways: list[dict[str, Any]] = [{}]
    ways += [{"next": {"failure": name}} for kind in contract.job_types.values() for name in kind.failures]
    ways += [{"scenario": name} for name, scenario in behaviour.scenarios.items() if not scenario.faults]
    best: tuple[int, dict[str, Any], Sequence[Problem]] | None = None
    for way in ways:
        data = {"source": recording.data["source"], **way, **recording.data}
        document = Document(Path(f"{recording.name}.yaml"), data)
        play(contract, behaviour, document)
        if best is None or len(document.problems) < best[0]:
            best = len(document.problems), data, document.problems
        if not document.problems:
            break
    assert best is not None  # there is always the usual way
    return Recording(recording.name, best[1], best[2])


def write(recordings: Sequence[Recording], folder: Path, redactor: Redactor) -> list[Path]:
    """Write recordings, none of them over a file that is there.

    Raises:
        UsageError: The folder cannot be written to.
    """
    paths = []
    with writing(folder, "--out"):
        folder.mkdir(parents=True, exist_ok=True)
        for recording in recordings:
            text = recording.text
            assert not redactor.leaks(text), "a secret would be written"  # the last look; nothing should come so far
            path, number = folder / f"{recording.name}.yaml", 1
            while path.exists():
                number += 1
                path = folder / f"{recording.name}-{number}.yaml"
            path.write_text(text, encoding="utf-8")
            paths.append(path)
    return paths


class _Dumper(yaml.SafeDumper):
    """Writes YAML that is the same by the core schema of 1.2, and without aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    quoted = "'" if _NUMBER.fullmatch(text) or index_of(text) is not None else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=quoted)


_Dumper.add_representer(str, _text)


def _texts_of(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts_of(item)
