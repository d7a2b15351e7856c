"""A contract of 2,000 lines: read and compiled, against the C YAML loader and jsonschema-rs on the same file."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jsonschema_rs
import yaml

from benchmarks import played
from benchmarks.figures import Found, Scale, in_turn, ratios
from benchmarks.in_process import timed
from understudy.contract.build import load_contract

LINES = 2000

#: One more model of the provider, its place in the choice of models, and its place in the mapping to them.
_MODEL = """\
    Model{0}:
      title: Model {0}
      type: object
      required: [model, input]
      properties:
        model: {{const: vendor/model-{0}}}
        input:
          type: object
          required: [prompt]
          properties:
            prompt: {{type: string, maxLength: 20000}}
            aspect_ratio: {{enum: ['1:1', '3:2', '16:9', '9:16', '21:9']}}
            images: {{type: array, maxItems: 8, items: {{type: string, format: uri}}}}
        callBackUrl: *callBackUrl

"""
_CHOICE = "        - $ref: '#/components/schemas/Model{0}'\n"
_MAPPING = "          vendor/model-{0}: '#/components/schemas/Model{0}'\n"

_BEFORE_MODELS = "    Callback:\n"
_BEFORE_CHOICES = "      discriminator:\n        propertyName: model\n"
_BEFORE_MAPPINGS = "        mapping:\n"


class _Loader(yaml.CSafeLoader):
    """The C loader, but for dates, which no schema knows."""

    yaml_implicit_resolvers = {  # noqa: RUF012 # as its base class has it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


def load(scale: Scale) -> Found:
    """Read and compile it, in turn with the least that anyone could do."""
    with tempfile.TemporaryDirectory() as name:
        folder = played.write_provider(Path(name)) / "contracts" / played.PROVIDER
        document = folder / "openapi.yaml"
        text = grown(document.read_text(encoding="utf-8"))
        document.write_text(text, encoding="utf-8")

        def least() -> None:
            whole = yaml.load(text, _Loader)
            schemas = [{"$ref": f"#/components/schemas/{name}"} for name in whole["components"]["schemas"]]
            jsonschema_rs.Draft202012Validator({"anyOf": schemas, "components": whole["components"]})

        def milliseconds(run: Callable[[], object]) -> float:
            gc.collect()  # or the one would clear away what the other has left
            return timed(run, 1) / 1000

        sides = partial(milliseconds, lambda: load_contract(folder)), partial(milliseconds, least)
        rounds = in_turn(scale.rounds(21), *sides)
    return {"load": ratios("Understudy", "YAML and schemas", rounds, "ms")}


def grown(text: str) -> str:
    """Return the document of the provider with so many more models that it has its 2,000 lines."""
    models = range(-(-(LINES - text.count("\n")) // (_MODEL + _CHOICE + _MAPPING).count("\n")))
    for piece, place, after in (
        (_MODEL, _BEFORE_MODELS, False),
        (_CHOICE, _BEFORE_CHOICES, False),
        (_MAPPING, _BEFORE_MAPPINGS, True),
    ):
        added = "".join(piece.format(number) for number in models)
        text = text.replace(place, place + added if after else added + place, 1)
    return text
