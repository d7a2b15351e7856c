"""Read a YAML or JSON file and remember on which line everything stands.

YAML is read by the 1.2 core schema, so `on` and `no` are strings and nothing turns into a date. A duplicate key is an
error. `$ref` to a file beside this one is put in place; `$ref` within the file stays for whoever needs it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from understudy.errors import ContractInvalid, Problem
from understudy.lifecycle import Json

#: Larger files are refused: a contract is written by people.
MAX_FILE_BYTES = 8 * 1024 * 1024

_CORE_SCHEMA: list[tuple[re.Pattern[str], Any]] = [
    (re.compile(r"null|Null|NULL|~|"), lambda text: None),
    (re.compile(r"true|True|TRUE"), lambda text: True),
    (re.compile(r"false|False|FALSE"), lambda text: False),
    (re.compile(r"[-+]?[0-9]+"), int),
    (re.compile(r"0o[0-7]+"), lambda text: int(text[2:], 8)),
    (re.compile(r"0x[0-9a-fA-F]+"), lambda text: int(text[2:], 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
]


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
            lines = self._lines.get(id(node))
            if lines is None or key not in lines:
                break
            found = lines[key]
            node = node[key]
        return found

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
    document.data = _Reader(document, path, ()).read()
    document.raise_if_invalid()
    return document


class _Reader:
    """Turns the nodes of one file into plain data."""

    def __init__(self, document: Document, path: Path, reading: tuple[Path, ...]) -> None:
        self._document = document
        self._path = path
        self._reading = (*reading, path.resolve())
        self._made: dict[int, Json] = {}

    def read(self) -> Json:
        try:
            if self._path.stat().st_size > MAX_FILE_BYTES:
                return self._fail(1, f"the file is larger than {MAX_FILE_BYTES:,} bytes")
            text = self._path.read_text(encoding="utf-8")
            node = yaml.compose(text, Loader=_Loader)
        except OSError as error:
            return self._fail(1, f"the file cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            return self._fail(1, "the file is not UTF-8 text")
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            return self._fail(mark.line + 1 if mark else 1, f"not YAML: {getattr(error, 'problem', None) or error}")
        return None if node is None else self._value(node)

    def _fail(self, line: int, text: str) -> None:
        self._document.problems.append(Problem(file_name(self._path), line, text))

    def _value(self, node: yaml.Node) -> Json:
        if id(node) in self._made:  # an alias: the same value again
            return self._made[id(node)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        value: Json = {} if isinstance(node, yaml.MappingNode) else []
        self._made[id(node)] = value
        lines: dict[Hashable, tuple[str, int]] = {}
        self._document._lines[id(value)] = lines
        if isinstance(node, yaml.MappingNode):
            self._fill_mapping(node, value, lines)
        else:
            for index, item in enumerate(node.value):
                lines[index] = (file_name(self._path), item.start_mark.line + 1)
                value.append(self._value(item))
        reference = value.get("$ref") if isinstance(value, dict) else None
        if isinstance(reference, str) and not reference.startswith("#"):
            self._made[id(node)] = self._other_file(reference, node.start_mark.line + 1)
        return self._made[id(node)]

    def _fill_mapping(self, node: yaml.MappingNode, value: Json, lines: dict[Hashable, tuple[str, int]]) -> None:
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str | int | bool):
                self._fail(line, "a key must be text")
                continue
            key = key_node.value if isinstance(key, int) else key  # 200: and true: are the keys "200" and "true"
            if key in lines:
                self._fail(line, f'the key "{key}" stands twice, first on line {lines[key][1]}')
            lines[key] = (file_name(self._path), line)
            value[key] = self._value(value_node)

    def _scalar(self, node: yaml.ScalarNode) -> Json:
        if node.tag != "tag:yaml.org,2002:str":
            return self._fail(node.start_mark.line + 1, f"the tag {node.tag} is not read here: write plain values")
        if not node.style:  # plain: neither quoted nor a block
            for pattern, make in _CORE_SCHEMA:
                if pattern.fullmatch(node.value):
                    return make(node.value)
        return node.value

    def _other_file(self, reference: str, line: int) -> Json:
        name, _, pointer = reference.partition("#")
        path = self._path.parent / name
        if "://" in reference:
            return self._fail(line, f'"{reference}" leads to another host: only files beside this one are read')
        if path.resolve() in self._reading:
            return self._fail(line, f'"{reference}" leads back to a file that is being read')
        found = _Reader(self._document, path, self._reading).read()
        for part in pointer_parts(pointer):
            try:
                found = found[int(part) if isinstance(found, list) else part]
            except (KeyError, IndexError, ValueError, TypeError):
                return self._fail(line, f'"{reference}" leads nowhere: there is no "{part}"')
        return found


def pointer_parts(pointer: str) -> list[str]:
    """Split a JSON pointer (RFC 6901), with or without its `#`."""
    text = pointer.removeprefix("#")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]
