"""Turn an entry of `x-jobs` into a tree to compare: what has a name is found by that, and not by its place."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from understudy.contract.codecs import dump_json
from understudy.contract.signs import SIGNS
from understudy.contract.templates import SPECIAL, merge
from understudy.diff.changes import Shown
from understudy.lifecycle import TERMINAL, Json, State

Node = Mapping[str, Any]

#: The states that a job can be in.
States = list[State]


def tree_of(job: Node) -> dict[str, Json]:
    """Return an entry of `x-jobs` as a tree."""
    tree = _plain([state for state in State if state in job["states"]], {"errorTransports": ["http"], **job}, ())
    assert isinstance(tree, dict)  # as it was one
    return tree


def _plain(states: States, node: Json, at: tuple[str, ...]) -> Json:
    for pattern, make in _SHAPES.items():
        if _fits(pattern.split("."), at):
            return make(states, node, at)
    if isinstance(node, Mapping):
        return _members(states, node, at)
    if isinstance(node, list):
        return {str(index): _plain(states, item, (*at, str(index))) for index, item in enumerate(node)}
    return node


def _members(states: States, node: Node, at: tuple[str, ...]) -> Json:
    """Return what an object has; what is not so is not there: whether something holds is whether it is there."""
    kept = {key: item for key, item in node.items() if key not in _SILENT and item is not False}
    return {key: _plain(states, item, (*at, key)) for key, item in kept.items()}


def _fits(pattern: list[str], path: tuple[str, ...]) -> bool:
    """Say whether a path fits a pattern: `*` stands for one part, `**` in front for any that come before."""
    if pattern[0] == "**":
        pattern = pattern[1:]
        path = path[-len(pattern) :]
    return len(pattern) == len(path) and all(want in ("*", part) for want, part in zip(pattern, path, strict=True))


_SILENT = frozenset({"x-evidence", "description"})


def _listed(node: Json) -> list[Json]:
    return node if isinstance(node, list) else [node]


def _set(states: States, node: Json, at: tuple[str, ...]) -> Json:
    """Return a list in which the order means nothing, as a mapping from each item."""
    return {str(item): True for item in node} if isinstance(node, list) else dict(node)


def _words(states: States, node: Json, at: tuple[str, ...]) -> Json:
    found: dict[str, Json] = {}
    for entry in node if isinstance(node, list) else ():
        if not isinstance(entry, Mapping):
            found[dump_json(entry)] = ""
        elif "word" in entry:
            found[dump_json(entry["word"])] = entry.get("when", "")
        else:
            found[f"when {entry.get('when', '')}"] = ""
    return found if isinstance(node, list) else node


def _place(states: States, node: Json, at: tuple[str, ...]) -> str:
    return " or ".join(str(item) for item in _listed(node))


def _creates(states: States, node: Json, at: tuple[str, ...]) -> Json:
    """Return the groups of creates by operation: one that has moved to another group is the same one."""
    groups: dict[str, Json] = {}
    for group in node:
        rest = {"validates": "early", **{key: item for key, item in group.items() if key != "operations"}}
        for operation in group["operations"]:
            groups[operation] = _plain(states, rest, (*at, operation))
    return groups


def _view(states: States, node: Json, at: tuple[str, ...]) -> Json:
    """Return a view with what it shows in each state."""
    http, base = node.get("http", 200), node.get("body")
    statuses = http if isinstance(http, Mapping) else {"default": http}
    by_state: Node = node.get("bodyByState", {})
    rest = {key: item for key, item in node.items() if key not in ("http", "body", "bodyByState", "bodyWhen")}
    shown = {state: Shown(flat(merge(base, by_state[state]) if state in by_state else base)) for state in states}
    special = {
        str(entry.get("when")): Shown(flat(merge(base, entry.get("body")))) for entry in node.get("bodyWhen", ())
    }
    return {
        "status": {state: statuses.get(state, statuses.get("default", 200)) for state in states},
        "body": shown,
        **({"special": special} if special else {}),
        **{key: _plain(states, item, (*at, key)) for key, item in rest.items() if key not in _SILENT},
    }


def _item(each: Node) -> Json:
    """Return the item of a list: of a view its body, with all that it has in one state or another."""
    view: Node = each.get("view", {})
    layers: Node = view.get("bodyByState", {})
    return each.get("do", functools.reduce(merge, layers.values(), view.get("body")))


def flat(node: Json, at: str = "") -> dict[str, str]:
    """Return what a template shows: JSON pointer → expression or literal as text."""
    if isinstance(node, Mapping):
        special = next((key for key in node if key in SPECIAL - {"$spread"}), None)
        if special == "$each":
            return {f"{at}/*{pointer}": text for pointer, text in flat(_item(node)).items()}
        if special == "$either":
            return flat(node["$either"][0] if node["$either"] else None, at)
        if special is not None:  # JSON inside a string, or a literal that must be equal
            return flat(node[special], at)
        found: dict[str, str] = {}
        for key, item in node.items():
            found.update({f"{at}/…": str(item)} if key == "$spread" else flat(item, f"{at}/{key}"))
        return found
    if isinstance(node, list):
        return {
            pointer: text for index, item in enumerate(node) for pointer, text in flat(item, f"{at}/{index}").items()
        }
    if node is None and not at:
        return {}
    return {at or "/": node if isinstance(node, str) and "$" in node else dump_json(node)}


def _shown(states: States, node: Json, at: tuple[str, ...]) -> Json:
    return Shown(flat(node))


def _by(key: Callable[[Node], str]) -> Callable[[States, Json, tuple[str, ...]], Json]:
    """Return what makes a mapping of a list, by something that its items are known by."""

    def make(states: States, node: Json, at: tuple[str, ...]) -> Json:
        return {key(entry): _plain(states, dict(entry), (*at, key(entry))) for entry in node}

    return make


def _rules(states: States, node: Json, at: tuple[str, ...]) -> Json:
    """Return the rules of an error by where they apply."""
    found: dict[str, Json] = {}
    for entry in node:
        name = ", ".join(entry.get("operations", ())) or "any operation"
        if "when" in entry:
            name += f" when {entry['when']}"
        rest = {key: item for key, item in entry.items() if key not in ("operations", "when", *_SILENT)}
        for key, usual in (("committed", "no"), ("retry", "never")):  # what is as usual is not there
            if rest.get(key) == usual:
                del rest[key]
        found[name] = {
            key: Shown(flat(item)) if key == "body" else _plain(states, item, ()) for key, item in rest.items()
        }
    return found


def _transports(states: States, node: Json, at: tuple[str, ...]) -> Json:
    return {"default": node[0], "all": dict.fromkeys(node, True)}


def _sign(states: States, node: Json, at: tuple[str, ...]) -> Json:
    sign = {"algorithm": "hmac-sha256", "toleranceSeconds": 300, **(SIGNS[node] if isinstance(node, str) else node)}
    return {
        key: dump_json(item) if isinstance(item, Mapping) else item for key, item in sign.items() if key not in _SILENT
    }


def _schedule(states: States, node: Json, at: tuple[str, ...]) -> Json:
    return {"attempts": len(node), "pauses": ", ".join(str(item) for item in node)}


#: Where what stands in a file is compared as something else: pattern of a path → what makes it of that.
_SHAPES: dict[str, Callable[[States, Json, tuple[str, ...]], Json]] = {
    "states.*": _words,
    "**.states.*": _words,
    "create": _creates,
    "create.*.model": _place,
    "create.*.input": _place,
    "create.*.count": _place,
    "create.*.callbackUrl": _place,
    "create.*.claims": _set,
    "**.sync.maxSeconds": lambda states, node, at: node if isinstance(node, int | float) else _place(states, node, at),
    "**.id": _place,
    "create.*.reply": _view,
    "status.reply": _view,
    "result.reply": _view,
    "cancel.reply": _view,
    "cancel.refused": _view,
    "delete.reply": _view,
    "delete.refused": _view,
    "list.reply": _view,
    "callback.view": _view,
    "assets.renew.reply": _view,
    "models.*.reply": _view,
    "replies.*": _view,
    "files": _by(lambda entry: ", ".join(entry["operations"])),
    "files.*.reply": _view,
    "list.filter": _by(lambda entry: str(entry["by"])),
    "list.filter.*.otherwise": _set,
    "**.from": _set,
    "events.end": _set,
    "events.frames.*": _by(lambda entry: str(entry["event"])),
    "events.frames.*.data": _shown,
    "callback": lambda states, node, at: _members(
        states, {"trigger": list(TERMINAL), "timeoutSeconds": 15, **node}, at
    ),
    "callback.trigger": _set,
    "callback.only": _place,
    "callback.sign": _sign,
    "callback.retry.afterSeconds": _schedule,
    "outputs": _shown,
    "errorTransports": _transports,
    "errors.*": _rules,
    "limits.rate": _by(lambda entry: ", ".join(entry["operations"])),
    "limits.rate.*.operations": _set,
    "prices.rules": _by(lambda entry: str(entry.get("when", "otherwise"))),
}
