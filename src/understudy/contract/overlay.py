"""Lay an overlay (OpenAPI Overlay 1.0) over a published document; each value keeps the line that it comes from."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.contract.closed import check_closed
from understudy.contract.codecs import check_nesting
from understudy.contract.loader import MAX_VALUES, Document, load
from understudy.errors import ContractInvalid, Problem, suggestion
from understudy.lifecycle import Json

if TYPE_CHECKING:
    from jsonpath import JSONPathEnvironment

#: Places that one target may select.
MAX_TARGETS = 100_000

_KINDS = {bool: "true or false", dict: "an object", float: "a number", int: "a number", list: "a list", str: "text"}

Parts = tuple[str | int, ...]


def lay_over(document: Document, path: Path) -> None:
    """Lay an overlay over a document.

    Args:
        document: The document; it is changed.
        path: The overlay.

    Raises:
        ContractInvalid: With every problem of the overlay; or the extra `understudy[overlay]` is not installed.
    """
    overlay = load(path)
    check_closed(overlay, "overlay")
    overlay.raise_if_invalid()
    extends = overlay.data.get("extends", document.path.name)
    if "://" not in extends and (path.parent / extends).resolve() != document.path.resolve():
        overlay.problem(("extends",), f'it extends "{extends}", but what lies beside it is "{document.path.name}"')
    layer = _Layer(document, overlay)
    for index, action in enumerate(overlay.data["actions"]):
        layer.act(action, ("actions", index))
    try:
        check_nesting(document.data)
    except ValueError as error:  # what is laid over the document may be nested, too
        overlay.problem(("actions",), str(error))
    overlay.raise_if_invalid()


def _environment(overlay: Document) -> JSONPathEnvironment:
    try:
        from jsonpath import JSONPathEnvironment
    except ImportError:
        text = "an overlay needs the package python-jsonpath, which is not installed: pip install 'understudy[overlay]'"
        raise ContractInvalid([Problem(overlay.name, 1, text)]) from None
    return JSONPathEnvironment(strict=True)  # RFC 9535, and none of the library's additions


class _Layer:
    """Carries out the actions of an overlay one by one, and notes in the overlay what cannot be done."""

    def __init__(self, document: Document, overlay: Document) -> None:
        self._jsonpath = _environment(overlay)
        self._document = document
        self._overlay = overlay
        self._values = 0
        document.data = self._copied(document.data, document)  # what an alias stands for twice may change in one place

    def act(self, action: dict[str, Any], at: Parts) -> None:
        """Carry out one action."""
        from jsonpath import JSONPathError

        try:
            query = self._jsonpath.compile(action["target"])
            found = [match.parts for match in islice(query.finditer(self._document.data), MAX_TARGETS + 1)]
        except JSONPathError as error:  # its text is not always to be had by `str`
            return self._problem((*at, "target"), f"the target is no JSONPath of RFC 9535: {error.args[0]}")
        if not found:
            return self._problem((*at, "target"), f"the target matches nothing: {self._missing(query)}")
        if len(found) > MAX_TARGETS:
            return self._problem((*at, "target"), f"the target matches more than {MAX_TARGETS:,} places")
        if action.get("remove"):
            for parts in sorted(set(found), reverse=True):  # from the end, or indices would change
                self._remove(parts, (*at, "target"))
        elif "update" in action:
            for parts in dict.fromkeys(found):
                self._update(self._node(parts), action["update"], at)
        else:
            self._problem(at, 'an action has an "update", or "remove: true"')

    def _problem(self, at: Parts, text: str) -> None:
        self._overlay.problem(at, text)

    def _node(self, parts: Parts) -> Json:
        node = self._document.data
        for part in parts:
            node = node[part]
        return node

    def _missing(self, query: Any) -> str:
        """Say which part of a target is the first that leads nowhere, and what there is in its place."""
        count = len(query.segments) - 1
        while not (matches := list(islice(self._beginning(query, count).finditer(self._document.data), MAX_TARGETS))):
            count -= 1  # the root is always there
        segment, holder = query.segments[count], self._beginning(query, count)
        names = {key for match in matches if isinstance(match.obj, dict) for key in match.obj}
        wanted = getattr(segment.selectors[0], "name", str(segment))
        return f"no {segment} in {holder}; {suggestion(wanted, names)}"

    def _beginning(self, query: Any, count: int) -> Any:
        """Return the first so many segments of a target as one of its own."""
        return type(query)(env=self._jsonpath, segments=query.segments[:count])

    def _remove(self, parts: Parts, at: Parts) -> None:
        if not parts:
            return self._problem(at, "the whole document cannot be removed")
        holder, key = self._node(parts[:-1]), parts[-1]
        if not isinstance(holder[key], dict | list):
            return self._problem(at, f"{_kind(holder[key])} cannot be removed by itself, only an object or a list")
        del holder[key]
        lines = self._document.lines(holder)
        del lines[key]
        if isinstance(holder, list):
            moved = [lines.pop(index) for index in range(int(key) + 1, len(holder) + 1)]
            lines.update(enumerate(moved, int(key)))

    def _update(self, node: Json, update: Json, at: Parts) -> None:
        if isinstance(node, list):
            self._append(node, update, self._overlay.where((*at, "update")))
        elif isinstance(node, dict) and isinstance(update, dict):
            self._merge(node, update, (*at, "update"))
        elif isinstance(node, dict):
            self._problem((*at, "update"), f"the target is an object, and so must the update be, not {_kind(update)}")
        else:
            self._problem((*at, "target"), f"the target is {_kind(node)}: select the object that holds it")

    def _append(self, node: list[Json], item: Json, line: tuple[str, int]) -> None:
        self._document.lines(node)[len(node)] = line
        node.append(self._copied(item, self._overlay))

    def _merge(self, node: dict[str, Json], update: dict[str, Json], at: Parts) -> None:
        theirs = self._overlay.lines(update)
        for key, value in update.items():
            old = node.get(key)
            if isinstance(old, dict) and isinstance(value, dict):
                self._merge(old, value, (*at, key))
            elif isinstance(old, list) and isinstance(value, list):
                for index, item in enumerate(value):
                    self._append(old, item, self._overlay.lines(value)[index])
            elif old is not None and (isinstance(old, dict | list) or isinstance(value, dict | list)):
                text = f'"{key}" is {_kind(old)} in the document, not {_kind(value)}: remove it in an action before'
                self._problem((*at, key), text)
            else:
                node[key] = self._copied(value, self._overlay)
                self._document.lines(node)[key] = theirs[key]

    def _copied(self, node: Json, source: Document) -> Json:
        """Return a part as one of its own, with the lines that it comes from."""
        self._values += 1
        if self._values > MAX_VALUES:
            text = f"with it the document has more than {MAX_VALUES:,} values"
            raise ContractInvalid([Problem(self._overlay.name, 1, text)])
        if not isinstance(node, dict | list):
            return node
        made: Json
        if isinstance(node, dict):
            made = {key: self._copied(item, source) for key, item in node.items()}
        else:
            made = [self._copied(item, source) for item in node]
        return self._document.enter(made, source.lines(node))


def _kind(value: Json) -> str:
    return _KINDS.get(type(value), "null")
