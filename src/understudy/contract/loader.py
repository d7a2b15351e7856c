"""Read a YAML or JSON file and remember on which line everything stands.

YAML is read by the 1.2 core schema, so `on` and `no` are strings and nothing turns into a date. A duplicate key is an
error. `$ref` to a file beside this one is put in place; `$ref` within the file stays for whoever needs it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from understudy.contract.codecs import MAX_NESTING, CodecError, as_number, check_nesting, parse_json
from understudy.errors import ContractInvalid, Problem
from understudy.lifecycle import Json

#: Larger files are refused: a contract is written by people.
MAX_FILE_BYTES = 8 * 1024 * 1024

#: Aliases can make a small file stand for a huge one; a file that stands for more values is refused.
MAX_VALUES = 1_000_000

# What a plain word is that is no text (YAML 1.2, section 10.3.2): the name of its kind, and what is made of it.
_CORE_SCHEMA = re.compile(
    r"(?P<null>null|Null|NULL|~|)|(?P<true>true|True|TRUE)|(?P<false>false|False|FALSE)|(?P<int>[-+]?[0-9]+)"
    r"|(?P<octal>0o[0-7]+)|(?P<hex>0x[0-9a-fA-F]+)|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
)
_MADE: dict[str | None, Callable[[str], Json]] = {
    "null": lambda text: None,
    "true": lambda text: True,
    "false": lambda text: False,
    "int": lambda text: as_number(int(text)),
    "octal": lambda text: as_number(int(text[2:], 8)),
    "hex": lambda text: as_number(int(text[2:], 16)),
    "float": lambda text: as_number(float(text)),
}

_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})")

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """PyYAML's composer without its 1.1 guesses at what a plain word means."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own way to say it)


@dataclass
class Document:
    """A file that was read.

    Attributes:
        path: The file.
        data: What it says, as plain dicts, lists and scalars.
        problems: What was found wrong with it so far.
    """

    path: Path
    data: Json = None
    problems: list[Problem] = field(default_factory=list)
    _lines: dict[int, dict[Hashable, tuple[str, int]]] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The file as a person would name it: relative to the working directory where it lies below it."""
        return file_name(self.path)

    def where(self, pointer: Iterable[str | int]) -> tuple[str, int]:
        """Return the file and line of the deepest part of `pointer` that exists."""
        found = (self.name, 1)
        node = self.data
        for part in pointer:
            key = str(part) if isinstance(node, dict) else part
            lines = self._lines.get(id(node), {}) if isinstance(node, dict | list) else {}
            if key not in lines:
                break
            found = lines[key]
            node = node[key]
        return found

    def lines(self, node: Json) -> dict[Hashable, tuple[str, int]]:
        """Return where each part of an object or list of this document stands."""
        return self._lines[id(node)]

    def enter(self, node: Json, lines: dict[Hashable, tuple[str, int]]) -> Json:
        """Note where the parts of an object or list stand that becomes a part of this document, and return it."""
        self._lines[id(node)] = dict(lines)
        return node

    def problem(self, pointer: Iterable[str | int], text: str) -> None:
        """Note a problem at a place."""
        file, line = self.where(pointer)
        self.problems.append(Problem(file, line, text))

    def raise_if_invalid(self) -> None:
        """Raise ContractInvalid when a problem was noted."""
        if self.problems:
            raise ContractInvalid(self.problems)


def file_name(path: Path) -> str:
    """Return a path as a person would name it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def load(path: Path) -> Document:
    """Read a file.

    Args:
        path: A YAML or JSON file (JSON is read as the YAML that it is).

    Returns:
        The document.

    Raises:
        ContractInvalid: The file is missing, too large, or not YAML; a key stands twice; a reference leads nowhere.
    """
    document = Document(path)
    document.data = _Reader(document, path).read()
    try:
        check_nesting(document.data)
    except ValueError as error:  # by way of aliases, or of other files
        document.problem((), str(error))
    document.raise_if_invalid()
    return document


class _Reader:
    """Turns the events of one file into plain data; events, since they need no stack and tell where an alias stands."""

    def __init__(self, document: Document, path: Path, reading: tuple[str, ...] = (), depth: int = 0) -> None:
        self._document = document
        self._path = path
        self._name = file_name(path)
        self._reading = (*reading, os.path.realpath(path))
        self._depth = depth
        self._values = 0
        self._next: Callable[[], Any]
        self._anchors: dict[str, tuple[Json, int]] = {}

    def read(self) -> Json:
        try:
            if self._path.stat().st_size > MAX_FILE_BYTES:
                return self._fail(1, f"the file is larger than {MAX_FILE_BYTES:,} bytes")
            text = self._path.read_text(encoding="utf-8")
            if self._path.suffix == ".json":  # the one escape of JSON that YAML does not have
                text = _PAIR.sub(lambda found: found[1] + parse_json(f'"{found[2]}"'), text)
            self._next = _Loader(text).get_event
            return self._only_document()
        except OSError as error:
            return self._fail(1, f"the file cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            return self._fail(1, "the file is not UTF-8 text")
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            return self._fail(mark.line + 1 if mark else 1, f"not YAML: {getattr(error, 'problem', None) or error}")

    def _fail(self, line: int, text: str) -> None:
        self._document.problems.append(Problem(self._name, line, text))

    def _only_document(self) -> Json:
        documents: list[Json] = []
        while not isinstance(event := self._next(), StreamEndEvent):
            if isinstance(event, DocumentStartEvent):
                if documents:
                    raise _refusal(event, "a second document begins")
                documents.append(self._value(self._next()))
        return documents[0] if documents else None

    def _value(self, event: Any) -> Json:
        if isinstance(event, AliasEvent):
            return self._aliased(event)
        before = self._values
        self._values += 1
        value = self._scalar(event) if isinstance(event, ScalarEvent) else self._collection(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._values - before
        return value

    def _aliased(self, event: Any) -> Json:
        if event.anchor not in self._anchors:
            raise _refusal(event, f'"*{event.anchor}" stands for nothing that ends before it')
        value, size = self._anchors[event.anchor]
        self._values += size
        if self._values > MAX_VALUES:
            raise _refusal(event, f"its aliases stand for more than {MAX_VALUES:,} values")
        return value

    def _collection(self, event: Any) -> Json:
        line = event.start_mark.line + 1
        value: Json = {} if isinstance(event, MappingStartEvent) else []
        lines = self._document._lines[id(value)] = {}
        if event.tag not in (None, "!"):
            self._fail(line, f"the tag {event.tag} is not read here: write plain values")
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise _refusal(event, "it is nested too deeply")
        if isinstance(value, dict):
            self._fill_mapping(value, lines)
        else:
            self._fill_list(value, lines)
        self._depth -= 1
        reference = value.get("$ref") if isinstance(value, dict) else None
        if isinstance(reference, str) and not reference.startswith("#"):
            return self._other_file(reference, line)
        return value

    def _fill_list(self, value: list[Json], lines: dict[Hashable, tuple[str, int]]) -> None:
        while not isinstance(event := self._next(), SequenceEndEvent):
            lines[len(value)] = (self._name, event.start_mark.line + 1)
            value.append(self._value(event))

    def _fill_mapping(self, value: dict[str, Json], lines: dict[Hashable, tuple[str, int]]) -> None:
        while not isinstance(event := self._next(), MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(self._value(event), str | int) or not isinstance(event, ScalarEvent):
                self._fail(line, "a key must be text")
                self._value(self._next())
                continue
            key = event.value  # 200: and true: are the keys "200" and "true"
            if key in lines:
                self._fail(line, f'the key "{key}" stands twice, first on line {lines[key][1]}')
            lines[key] = (self._name, line)
            value[key] = self._value(self._next())

    def _scalar(self, event: Any) -> Json:
        line, text = event.start_mark.line + 1, event.value
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            return self._fail(line, f"the tag {event.tag} is not read here: write plain values")
        if event.tag is None and not event.style:  # plain: neither quoted nor a block
            found = _CORE_SCHEMA.fullmatch(text)
            if found is not None:
                try:
                    return _MADE[found.lastgroup](text)
                except (CodecError, ValueError):
                    return self._fail(line, f"the number {text[:20]}… is too large")
        return text

    def _other_file(self, reference: str, line: int) -> Json:
        name, _, pointer = reference.partition("#")
        if "://" in reference:
            return self._fail(line, f'"{reference}" leads to another host: only files beside this one are read')
        if not name.isprintable():
            return self._fail(line, f"{name!r} is no name of a file")
        path = self._path.parent / name
        if os.path.realpath(path) in self._reading:
            return self._fail(line, f'"{reference}" leads back to a file that is being read')
        try:
            return follow(_Reader(self._document, path, self._reading, self._depth).read(), pointer)
        except LookupError as error:
            return self._fail(line, f'"{reference}" leads nowhere: there is no "{error.args[0]}"')


def _refusal(event: Any, text: str) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=event.start_mark)


def follow(node: Json, pointer: str) -> Json:
    """Return what a JSON pointer (RFC 6901), with or without its `#`, leads to.

    Raises:
        LookupError: There is no such part; it carries the part.
    """
    text = pointer.removeprefix("#")
    if text and not text.startswith("/"):
        raise LookupError(text)
    for part in pointer_parts(text):
        index = index_of(part)
        if isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, list) and index is not None and index < len(node):
            node = node[index]
        else:
            raise LookupError(part)
    return node


def index_of(part: str) -> int | None:
    """Return the index in a list that a part of a pointer or path is, or None when it is none."""
    return int(part) if _INDEX.fullmatch(part) else None


def pointer_to(parts: Iterable[str]) -> str:
    """Return the JSON pointer of some parts."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def pointer_parts(pointer: str) -> list[str]:
    """Split a JSON pointer (RFC 6901), with or without its `#`."""
    text = pointer.removeprefix("#")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def without_evidence(node: Json) -> Json:
    """Return a value as a provider shows it: how we know of it is nothing that it would say."""
    if isinstance(node, dict):
        return {key: without_evidence(item) for key, item in node.items() if key != "x-evidence"}
    return [without_evidence(item) for item in node] if isinstance(node, list) else node
