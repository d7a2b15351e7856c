"""Compare two versions of a contract, and say what it means for who uses the provider."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from understudy.contract.codecs import dump_json
from understudy.contract.model import Contract
from understudy.diff.changes import GRADES, Change, Difference, Path, differences
from understudy.diff.requests import operations_differently
from understudy.diff.rules import rule_of, sentence
from understudy.diff.trees import tree_of
from understudy.lifecycle import Json, State

At = tuple[str | int, ...]


def compare(old: Contract, new: Contract) -> list[Change]:
    """Return what has changed for a consumer, the worst first.

    Args:
        old: The contract as it was.
        new: The contract as it is.

    Example:
        >>> from understudy.contract.build import load_contract
        >>> from understudy.folders import find_provider
        >>> kie = load_contract(find_provider("kie").contract)
        >>> compare(kie, kie)
        []
    """
    found = [*_of_jobs(old, new), *_of_operations(old, new)]
    return sorted(dict.fromkeys(found), key=lambda change: (GRADES.index(change.grade), change.file, change.line))


def _of_operations(old: Contract, new: Contract) -> Iterator[Change]:
    for told in operations_differently(old, new):
        document = old.document if told.gone else new.document
        yield Change(told.rule, told.grade, ".".join(map(str, told.at)), told.text, *document.where(told.at))


def _of_jobs(old: Contract, new: Contract) -> Iterator[Change]:
    before, after = old.document.data["x-jobs"], new.document.data["x-jobs"]
    for name in (*before, *(name for name in after if name not in before)):
        at: At = ("x-jobs", name)
        if name not in after:
            yield Change("job-gone", "breaking", "x-jobs", f"there is no {name} any more", *old.document.where(at))
        elif name not in before:
            yield Change("job-added", "safe", "x-jobs", f"there is {name}", *new.document.where(at))
        else:
            found = list(_together(_moved(list(differences(tree_of(before[name]), tree_of(after[name]))))))
            for difference in found:
                contract = old if difference.kind == "removed" else new
                place = _place(contract.document.data, at, difference.path)
                rule = rule_of(difference)
                where = ".".join(("x-jobs", name, *difference.path))
                file_and_line = contract.document.where(place)
                yield Change(rule.name, rule.grade, where, sentence(rule, difference), *file_and_line)


def _moved(found: list[Difference]) -> list[Difference]:
    """Tell of a word that has gone from one state and come to another as of one change."""
    of_words = [one for one in found if one.path[0] == "states" and one.kind in ("added", "removed")]
    words: dict[str, dict[str, tuple[str, Difference]]] = {}
    for one in of_words:
        whole = one.old if one.kind == "removed" else one.new
        for word in whole if len(one.path) == 2 and isinstance(whole, Mapping) else [one.name]:
            words.setdefault(word, {})[one.kind] = (one.path[1], one)
    moved = {word: kinds for word, kinds in words.items() if len(kinds) == 2}
    gone = [one for kinds in moved.values() for _, one in kinds.values()]
    told = [
        Difference("moved", ("states",), word, kinds["removed"][0], kinds["added"][0]) for word, kinds in moved.items()
    ]
    return [*told, *(one for one in found if one not in gone)]


def _together(found: Iterable[Difference]) -> Iterator[Difference]:
    """Tell of what is the same in several states once; of what a state shows that is new or gone, its words tell."""
    kept: dict[str, Difference] = {}
    for one in found:
        of_state = len(one.path) > 1 and one.path[-2] in ("body", "status") and one.path[-1] in set(State)
        if of_state and one.kind in ("added", "removed"):
            continue
        at = one.path.index("body") if "body" in one.path[:-1] else len(one.path)
        kept.setdefault(dump_json([one.kind, one.path[:at], one.path[at + 2 :], one.old, one.new]), one)
    yield from kept.values()


def _place(data: Json, at: At, path: Path) -> At:
    """Return where in the document a part of a tree stands, as far down as the two are alike."""
    node = data
    for part in at:
        node = node[part]
    for part in path:
        key = _key(node, part)
        if key is None:
            continue  # a level that the tree alone has
        at, node = (*at, key), node[key]
    return at


def _key(node: Json, part: str) -> str | int | None:
    if isinstance(node, Mapping):
        if part in node:
            return part
        if part == "status" and "http" in node:
            return "http"
        return None
    if isinstance(node, list):
        if part.isdecimal() and int(part) < len(node):
            return int(part)
        return next((index for index, entry in enumerate(node) if _is_about(entry, part)), None)
    return None


def _is_about(entry: Json, part: str) -> bool:
    if not isinstance(entry, Mapping):
        return dump_json(entry) == part or entry == part
    names = [*entry.get("operations", ()), entry.get("by"), entry.get("event"), entry.get("when")]
    return part in names or part == ", ".join(entry.get("operations", ())) or dump_json(entry.get("word")) == part
