"""Hypothesis strategies from JSON Schema 2020-12: values that a schema admits, and such as it does not by one thing.

A schema is turned into one flat node (see `nodes`), and what the node says is drawn as it says. Where that cannot be
done by construction, and for every keyword that is not known here, the validator picks from what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from understudy.contract.codecs import dump_json
from understudy.contract.validation import SchemaCheck
from understudy.lifecycle import Json
from understudy.strategies.nodes import ABOUT, Node, Nodes, together
from understudy.strategies.scalars import (
    BESIDE,
    FORMATS,
    LONG,
    TEXTS,
    TYPES,
    WORDS,
    Values,
    floats,
    integers,
    is_pattern,
    texts,
)

Pointer = tuple[str, ...]
#: A value with one thing wrong in it, and where that is.
Spoiled = SearchStrategy[tuple[Pointer, Json]]

# How often a schema that contains itself is gone into.
_DEEPEST = 4


class Schemas:
    """The strategies of one document.

    Args:
        document: The OpenAPI document, which schemas may refer into.
    """

    def __init__(self, document: Mapping[str, Json]) -> None:
        self._components = document.get("components", {})
        self._nodes = Nodes(document)
        self._made: dict[tuple[str, int, bool], SearchStrategy[Any]] = {}

    def admitted(self, schema: Json) -> Values:
        """Return the values that a schema admits.

        Raises:
            ValueError: It is no schema, or refers to what does not exist.
        """
        admits = self.judge(schema)  # first, as it is this that refuses what is no schema
        return self._admitted(schema, 0).filter(admits)

    def spoiled(self, schema: Json, below: Pointer = ()) -> Spoiled:
        """Return values that a schema does not admit, because of one thing.

        Args:
            schema: The schema.
            below: Where the thing is, or above it; anywhere by default.

        Raises:
            ValueError: It is no schema, or refers to what does not exist.
        """
        admits = self.judge(schema)
        return self._spoiled_below(schema, below).filter(lambda found: not admits(found[1]))

    def needs(self, schema: Json, at: Pointer) -> int:
        """Return how many members a value at a place needs."""
        node = self._nodes.of(schema)
        if node is None:
            return 0
        return self.needs(node.members.get(at[0], True), at[1:]) if at else len(set(node.says.get("required", ())))

    def judge(self, schema: Json) -> Callable[[Json], bool]:
        """Return the validator's judgement: whether a value is admitted."""
        check = SchemaCheck(schema, self._components)
        return lambda value: not any(True for _ in check.violations(value))

    # --- what is admitted ---

    def _admitted(self, schema: Json, level: int) -> Values:
        key = dump_json(schema), level, True
        if key not in self._made:
            node = self._nodes.of(schema)
            self._made[key] = st.nothing() if node is None else self._of_node(node, schema, level + node.recursive)
        return self._made[key]

    def _of_node(self, node: Node, schema: Json, level: int) -> Values:
        if level > _DEEPEST:
            return st.nothing()
        if node.options is not None:
            options = list(filter(self.judge(schema), node.options))
            return st.sampled_from(options) if options else st.nothing()
        if node.alternatives:
            found = st.one_of([self._admitted(option, level) for option in node.choices()])
        else:
            found = st.one_of([self._of_type(kind, node, level) for kind in node.types])
        return found.filter(self.judge(schema)) if node.vague else found

    def _of_type(self, kind: str, node: Node, level: int) -> Values:
        says = node.says
        match kind:
            case "string" if "pattern" in says and is_pattern(says["pattern"]):
                return st.from_regex(says["pattern"])
            case "string" if says.get("format") in FORMATS:
                return FORMATS[says["format"]]
            case "string":
                return texts(says.get("minLength", 0), says.get("maxLength"))
            case "integer":
                return integers(says)
            case "number":
                return integers(says) | floats(says)
            case "array" if not ABOUT[kind].isdisjoint(says):
                return self._array(node, level)
            case "object" if not ABOUT[kind].isdisjoint(says):
                return self._object(node, level)
            case _:
                return TYPES[kind]

    def _array(self, node: Node, level: int) -> Values:
        says = node.says
        contains = "contains" in says
        first = [self._admitted(item, level) for item in says.get("prefixItems", ())]
        items = self._items(node, level)
        fewest = max(says.get("minItems", 0), says.get("minContains", 1) if contains else 0)
        most: int | None = says.get("maxItems")
        first = first[:most]
        fewest, most = max(fewest - len(first), 0), None if most is None else most - len(first)
        if any(item.is_empty for item in first) or (most is not None and most < fewest):
            return st.nothing()
        if items.is_empty:
            rest: SearchStrategy[list[Json]] = st.builds(list) if fewest == 0 else st.nothing()
        else:
            unique = dump_json if says.get("uniqueItems") else None
            few = fewest + 3 if most is None else min(most, fewest + 3)
            rest = st.lists(items, min_size=fewest, max_size=few, unique_by=unique)
            if most is not None and few < most <= LONG:
                rest |= st.lists(items, min_size=most, max_size=most, unique_by=unique)
        return st.tuples(*first, rest).map(lambda found: [*found[:-1], *found[-1]]) if first else rest

    def _items(self, node: Node, level: int) -> Values:
        """Return the items of an array beside the first ones; those that it has to contain are among them."""
        items = node.says.get("items", True)
        if "contains" not in node.says:
            return self._admitted(items, level)
        return self._admitted(together([items, node.says["contains"]]), level) | self._admitted(items, level)

    def _object(self, node: Node, level: int, put: Sequence[str] = (), without: str = "") -> Values:
        """Return objects: with some members, whatever they are, and without one."""
        says = node.says
        members = {name: self._admitted(schema, level) for name, schema in node.members.items() if name != without}
        members |= dict.fromkeys(put, st.none())
        needed = [name for name in dict.fromkeys((*says.get("required", ()), *put)) if name != without]
        optional = [name for name, values in members.items() if name not in needed and not values.is_empty]
        fewest = max(says.get("minProperties", 0) - len(needed), 0)
        further = [(names, values) for names, values in self._further(node, level) if not values.is_empty]
        further *= max(fewest - len(optional), 1)
        most = min(len(optional) + len(further), says.get("maxProperties", math.inf) - len(needed))
        if most < fewest or any(members[name].is_empty for name in needed):
            return st.nothing()
        places = range(len(optional) + len(further))
        # One draw says which there are: an object with many optional members is as plain as one with few.
        chosen = st.lists(st.sampled_from(places), unique=True, min_size=fewest, max_size=int(most)) if places else None

        return _objects(members, needed, optional, further, chosen)

    def _further(self, node: Node, level: int) -> list[tuple[Values, Values]]:
        """Return the names and values of members that a schema does not name."""
        patterns = node.patterns
        found = [
            (st.from_regex(pattern), self._admitted(schema, level))
            for pattern, schema in patterns.items()
            if is_pattern(pattern)
        ]
        naming = node.says.get("propertyNames")
        names = WORDS if naming is None else self._admitted(together([{"type": "string"}, naming]), level)
        unknown = names.filter(lambda name: name not in node.members and not node.matching(name))
        return [*found, (unknown, self._admitted(node.additional, level))]

    # --- what is not ---

    def _spoiled_below(self, schema: Json, below: Pointer) -> Spoiled:
        if not below:
            return self._spoiled(schema, 0)
        node = self._nodes.of(schema)
        assert node is not None  # or nothing had been admitted there
        inner = self._spoiled_below(node.members.get(below[0], True), below[1:])
        return self._with_member(node, 0, below[0], inner)

    def _spoiled(self, schema: Json, level: int) -> Spoiled:
        key = dump_json(schema), level, False
        if key not in self._made:
            node = self._nodes.of(schema)
            ways = [_at((), self._admitted(True, 0))] if node is None else self._ways(node, level + node.recursive)
            self._made[key] = st.one_of(ways)
        return self._made[key]

    def _ways(self, node: Node, level: int) -> list[Spoiled]:
        if level > _DEEPEST:
            return []
        right = {*node.types, *(["integer"] if "number" in node.types else [])}
        ways = [_at((), values) for kind, values in TYPES.items() if kind not in right]
        if node.options is not None:
            near = [option + "x" for option in node.options if isinstance(option, str)]
            return [*ways, _at((), st.sampled_from([*near, "", "another"]))]
        if node.alternatives:
            return ways + [self._spoiled(option, level) for option in node.choices()]
        ways += [_at((), make(node.says[key])) for key, make in BESIDE.items() if key in node.says]
        if "not" in node.says:
            ways.append(_at((), self._admitted(together([node.without("not"), node.says["not"]]), level)))
        if not ABOUT["object"].isdisjoint(node.says):
            ways += self._ways_of_objects(node, level)
        return ways if ABOUT["array"].isdisjoint(node.says) else ways + self._ways_of_arrays(node, level)

    def _ways_of_objects(self, node: Node, level: int) -> list[Spoiled]:
        says = node.says
        ways = [
            self._with_member(node, level, name, self._spoiled(inner, level)) for name, inner in node.members.items()
        ]
        ways += [_at((name,), self._object(node, level, without=name)) for name in says.get("required", ())]
        strange = {"additionalProperties", "unevaluatedProperties", "patternProperties", "propertyNames"}
        if strange & says.keys():
            others = st.one_of([self._spoiled(inner, level) for inner in (node.additional, *node.patterns.values())])
            ways.append(WORDS.flatmap(lambda name: self._with_member(node, level, name, others)))
            ways += [
                st.from_regex(pattern).flatmap(lambda name: self._with_member(node, level, name, others))
                for pattern in filter(is_pattern, node.patterns)
            ]
        for key, less, more in (("minProperties", 1, 0), ("maxProperties", 0, 1)):
            if key in says:
                size = max(says[key] - less + more, 0)
                ways.append(_at((), st.dictionaries(WORDS, TEXTS, min_size=size * more, max_size=size)))
        return ways

    def _ways_of_arrays(self, node: Node, level: int) -> list[Spoiled]:
        says = node.says
        arrays, items = self._array(node, level), self._items(node, level)
        ways: list[Spoiled] = []
        if says.get("minItems", 0) > 0:
            few = st.builds(list) if items.is_empty else st.lists(items, max_size=says["minItems"] - 1)
            ways.append(_at((), few))
        if "maxItems" in says and not items.is_empty:
            most = says["maxItems"] + 1
            ways.append(_at((), st.lists(items, min_size=most, max_size=most)))
        if says.get("uniqueItems"):
            ways.append(_at((), arrays.filter(bool).map(lambda found: [*found, found[0]])))
        if "contains" in says:
            ways.append(_at((), st.lists(self._admitted(says.get("items", True), level), max_size=3)))
        for index, inner in enumerate((*says.get("prefixItems", ()), *([says["items"]] if "items" in says else ()))):
            spoiled = self._spoiled(inner, level)
            ways.append(st.builds(lambda found, wrong, at=index: _put(found, at, wrong), arrays, spoiled))
        return ways

    def _with_member(self, node: Node, level: int, name: str, spoiled: Spoiled) -> Spoiled:
        whole = self._object(node, level, put=(name,))
        return st.builds(lambda found, wrong: ((name, *wrong[0]), {**found, name: wrong[1]}), whole, spoiled)


@st.composite
def _objects(
    draw: DrawFn,
    members: Mapping[str, Values],
    needed: Sequence[str],
    optional: Sequence[str],
    further: Sequence[tuple[Values, Values]],
    chosen: SearchStrategy[list[int]] | None,
) -> dict[str, Json]:
    """Draw the members that are needed, and those that are chosen: of the optional ones, then of the further."""
    taken = sorted(draw(chosen)) if chosen is not None else []
    names = {optional[place] for place in taken if place < len(optional)}.union(needed)
    found = {name: draw(values) for name, values in members.items() if name in names}
    for place in taken:
        if place >= len(optional):
            keys, values = further[place - len(optional)]
            found.setdefault(draw(keys), draw(values))
    return found


def _at(pointer: Pointer, values: Values) -> Spoiled:
    return values.map(lambda value: (pointer, value))


def _put(found: list[Json], index: int, wrong: tuple[Pointer, Json]) -> tuple[Pointer, Json]:
    """Return an array with a wrong item where one was, or at its end."""
    at = min(index, len(found))
    return (str(at), *wrong[0]), [*found[:at], wrong[1], *found[at + 1 :]]
