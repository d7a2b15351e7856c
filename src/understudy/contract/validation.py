"""Check requests and replies against the schemas of the document, and say in data what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jsonschema_rs

from understudy.contract.codecs import dump_json, parse_json
from understudy.contract.loader import pointer_parts, pointer_to
from understudy.lifecycle import Json


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with a request.

    Attributes:
        place: `body`, `query`, `header` or `path`.
        field: The member that it is about, such as `aspect_ratio`; of a whole body `body`.
        pointer: The JSON pointer to it within its place.
        keyword: The JSON Schema keyword that it breaks, such as `enum`; `discriminator` for an unknown model.
        limit: What the keyword allows.
        value: What came.
        message: The same as a sentence.
    """

    place: str
    field: str
    pointer: str
    keyword: str
    limit: Json
    value: Json
    message: str


class SchemaCheck:
    """A schema of the document, compiled.

    Args:
        schema: The schema.
        components: The document's components, which the schema may refer to.

    Raises:
        ValueError: It is no schema, or refers to what does not exist.
    """

    __slots__ = ("_validator",)

    def __init__(self, schema: Json, components: Json) -> None:
        whole = {"allOf": [schema], "components": _referred(schema, components)}
        self._validator = compile_schema(whole, formats=True)

    def violations(self, value: Json, place: str = "body") -> Sequence[Violation]:
        """Return what is wrong with a value, in the order of the schema."""
        if self._validator.is_valid(value):
            return ()
        return [_violation(error, place) for error in self._validator.iter_errors(value)]


def _referred(schema: Json, components: Json) -> Json:
    """Return those components that a schema refers to, directly or by others: the validator keeps what it is given."""
    found: dict[str, dict[str, Json]] = {}
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            waiting += node.values()
            parts = str(node.get("$ref", "")).split("/")
            if parts[:2] == ["#", "components"] and len(parts) > 3:
                kind, name = parts[2], pointer_parts(f"/{parts[3]}")[0]
                value = components.get(kind, {}).get(name)
                if value is not None and name not in found.setdefault(kind, {}):
                    found[kind][name] = value
                    waiting.append(value)
    return found


def compile_schema(schema: Json, *, formats: bool = False) -> Any:
    """Return a jsonschema_rs validator, which looks at formats or not; raise ValueError when the schema is none."""
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=formats)


def _violation(error: Any, place: str) -> Violation:
    details = error.kind.as_dict()
    path = [str(part) for part in error.instance_path]
    keyword = error.kind.name
    if keyword == "required":
        path.append(details["property"])
    elif keyword == "additionalProperties":
        path.append(details["unexpected"][0])
    names = [part for part in path if not part.isdigit()]
    limit = next((details[key] for key in ("limit", "options", "types", "pattern", "format") if key in details), None)
    return Violation(
        place=place,
        field=names[-1] if names else place,
        pointer=pointer_to(path),
        keyword=keyword,
        limit=limit,
        value=None if keyword == "required" else error.instance,
        message=_shortened(error.message),
    )


def _shortened(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


class Parameter(NamedTuple):
    """A parameter of an operation, in its `path`, `query` or `header`; `constant` is its value where it has but one."""

    name: str
    place: str
    required: bool
    check: SchemaCheck | None
    numeric: bool
    constant: Json = None

    def violations(self, values: Mapping[str, str]) -> Sequence[Violation]:
        """Return what is wrong with this parameter among the values of its place."""
        text = values.get(self.name.lower() if self.place == "header" else self.name)
        if text is None and self.required:
            message = f'"{self.name}" is a required parameter'
            return [Violation(self.place, self.name, pointer_to([self.name]), "required", None, None, message)]
        if text is None or (text == "" and not self.required) or self.check is None:
            return ()
        return [
            Violation(self.place, self.name, pointer_to([self.name]), found.keyword, found.limit, text, found.message)
            for found in self.check.violations(_typed(text) if self.numeric else text, self.place)
        ]


def _typed(text: str) -> Json:
    try:
        return parse_json(text)
    except ValueError:
        return text


#: The media types that a client writes: JSON, and forms.
JSON, FORM, MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"


class FormField(NamedTuple):
    """What a field of a form is by its schema; what is sent is text, or a file.

    Attributes:
        kinds: The JSON types that its value may have; empty where the schema does not say.
        items: The same of the items, where the value may be a list.
    """

    kinds: frozenset[str] = frozenset()
    items: frozenset[str] = frozenset()

    def read(self, given: Sequence[Any]) -> Json:
        """Return the value of what came under the name: the last, but where it is a list."""
        if "array" in self.kinds and (len(given) > 1 or self.kinds <= {"array", "null"}):
            return [_meant(item, self.items) for item in given]
        return _meant(given[-1], self.kinds)


#: A field that no schema knows.
TEXT = FormField()


def _meant(given: Any, kinds: frozenset[str]) -> Json:
    return _typed(given) if isinstance(given, str) and kinds and "string" not in kinds else given


class Outline(NamedTuple):
    """What the members of a body are by its schema.

    Attributes:
        members: All that it knows.
        required: Those that there must be.
        fixed: Of those the ones that can have but one value, with it.
    """

    members: frozenset[str]
    required: frozenset[str]
    fixed: Mapping[str, Json]


#: The outline of a body that no schema knows.
BARE = Outline(frozenset(), frozenset(), {})


class BodyCheck(NamedTuple):
    """How the body of an operation is checked.

    Attributes:
        media_types: What it may be sent as, such as `application/json`.
        required: Whether there must be one.
        check: The schema, where it is the same for all models.
        discriminator: The member that names the model, where the schema is chosen by it.
        models: Model → schema of a whole body.
        fields: What its fields are, where it may be a form.
        outlines: Model → what its members are; of None, where the schema is the same for all models.
    """

    media_types: tuple[str, ...]
    required: bool
    check: SchemaCheck | None
    discriminator: str | None
    models: Mapping[str, SchemaCheck]
    fields: Mapping[str, FormField]
    outlines: Mapping[str | None, Outline]

    @property
    def written_as(self) -> str:
        """The media type that a client writes: JSON wherever it may be."""
        return next((name for name in self.media_types if "json" in name), next(iter(self.media_types), JSON))

    def outline(self, body: Mapping[str, Json]) -> Outline:
        """Return what the members of a body are, by the schema of the model that it names."""
        model = None if self.discriminator is None else body.get(self.discriminator)
        return self.outlines.get(model if isinstance(model, str) else None, BARE)

    def completed(self, body: Json, given: Mapping[str, Json]) -> Json:
        """Return a body with what a client adds to it by itself.

        Args:
            body: What the client was given; it counts first.
            given: Values that are known beside those that can be but one, by the names of members.
        """
        if not isinstance(body, Mapping | None) or (body is None and not self.required):
            return body
        outline = self.outline(body or {})
        known = {name: value for name, value in given.items() if name in outline.members}
        return _laid(_laid(outline.fixed, known), body or {}) or body

    def violations(self, body: Json) -> Sequence[Violation]:
        """Return what is wrong with a decoded body."""
        if self.discriminator is None:
            return self.check.violations(body) if self.check is not None else ()
        if not isinstance(body, dict):
            kind = "null" if body is None else type(body).__name__
            return [Violation("body", "body", "", "type", "object", body, f"an object is expected, not {kind}")]
        name, model = self.discriminator, body.get(self.discriminator)
        if model is None:
            return [
                Violation("body", name, pointer_to([name]), "required", None, None, f'"{name}" is a required property')
            ]
        if not isinstance(model, str):
            return [Violation("body", name, pointer_to([name]), "type", "string", model, f'"{name}" must be a string')]
        if model not in self.models:
            message = f"{dump_json(model)} is not one of the models"
            return [Violation("body", name, pointer_to([name]), "discriminator", sorted(self.models), model, message)]
        return self.models[model].violations(body)


def _laid(base: Mapping[str, Json], over: Mapping[str, Json]) -> dict[str, Json]:
    """Return one object laid over another: objects merge, all else replaces."""
    merged = {**base, **over}
    for name in base.keys() & over.keys():
        if isinstance(base[name], Mapping) and isinstance(over[name], Mapping):
            merged[name] = _laid(base[name], over[name])
    return merged
