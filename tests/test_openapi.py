"""Tests of the OpenAPI part of a contract: its operations, parameters, bodies, models and security."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.documents import contract, contract_problems, document, shown, text_of
from understudy.contract.build import load_contract
from understudy.contract.openapi import OpenApi
from understudy.contract.operations import Security
from understudy.contract.validation import Parameter
from understudy.folders import find_provider
from understudy.reach import host_of

HEAD = """
openapi: 3.1.0
info: {title: A, version: "1"}
"""


def openapi(text: str) -> OpenApi:
    """Read the OpenAPI part of a document that has nothing wrong with it."""
    found = document(HEAD + text_of(text))
    read = OpenApi(found)
    assert found.problems == []
    return read


def problems(text: str) -> list[str]:
    """Return the problems of the OpenAPI part of a document, lines counted in the text."""
    found = document(HEAD + text_of(text))
    OpenApi(found)
    lines = (line.partition(": ") for line in shown(found.problems))
    return [f"{int(number) - 2}: {rest}" for number, _, rest in lines]


def kinds(violations: Any) -> list[str]:
    return [violation.keyword for violation in violations]


# --- operations -----------------------------------------------------------------------------------------------------


def test_operations_are_found_by_their_ids():
    """Each method of each path is an operation with its method, server and path; a path item may be a reference."""
    found = openapi("""
        servers: [{url: "https://a.test/v1/"}]
        paths:
          /a:
            get: {operationId: getA}
            post: {operationId: postA, servers: [{url: "https://b.test"}]}
          /b: {$ref: "#/components/pathItems/B"}
          /c:
            servers: [{url: "https://c.test"}]
            put: {operationId: putC}
        components: {pathItems: {B: {delete: {operationId: deleteB}}}}
    """)
    shown_as = {name: (one.method, one.server, one.path) for name, one in found.operations.items()}
    assert shown_as == {
        "getA": ("GET", "https://a.test/v1", "/a"),
        "postA": ("POST", "https://b.test", "/a"),
        "deleteB": ("DELETE", "https://a.test/v1", "/b"),
        "putC": ("PUT", "https://c.test", "/c"),
    }
    routed = found.router.find("GET", "/v1/a")
    assert routed is not None
    assert routed.operation is found.operations["getA"]


def test_a_document_without_servers_is_at_the_root():
    """Without a server the operations are at the root of whatever host."""
    assert openapi("paths: {/a: {get: {operationId: a}}}").operations["a"].server == ""


def test_parameters_of_an_operation_stand_in_place_of_those_of_its_path():
    """An operation's own parameter replaces the path's of the same name and place; cookies are not looked at."""
    operation = openapi("""
        paths:
          /a/{id}:
            parameters:
              - {name: id, in: path, required: true, schema: {type: string}}
              - {name: size, in: query, schema: {type: string}}
            get:
              operationId: a
              parameters:
                - {name: size, in: query, schema: {type: integer}}
                - {name: size, in: header, schema: {type: [number, "null"]}}
                - {name: session, in: cookie}
                - {$ref: "#/components/parameters/Flag"}
        components:
          parameters: {Flag: {name: flag, in: query, schema: {$ref: "#/components/schemas/Flag"}}}
          schemas: {Flag: {type: boolean}}
    """).operations["a"]
    found = {(one.place, one.name): (one.required, one.numeric) for one in operation.parameters}
    assert found == {
        ("path", "id"): (True, False),
        ("query", "size"): (False, True),
        ("header", "size"): (False, True),
        ("query", "flag"): (False, True),
    }


def test_a_parameter_without_a_schema_is_not_checked():
    """A parameter whose schema is missing takes any text, one whose schema is a single word follows it."""
    operation = openapi("""
        paths: {/a: {get: {operationId: a, parameters: [{name: x, in: query}, {name: y, in: query, schema: false}]}}}
    """).operations["a"]
    free, barred = operation.parameters
    assert isinstance(free, Parameter)
    assert free.check is None
    assert kinds(barred.violations({"y": "1"})) == ["falseSchema"]


def test_parameters_that_span_segments_are_those_of_any_method():
    """A parameter that may hold slashes is one on its path, whichever of the path's operations says so."""
    found = openapi("""
        paths:
          /a/{rest}:
            get: {operationId: a, parameters: [{name: rest, in: path, required: true, x-segments: many}]}
            put: {operationId: b, parameters: [{name: rest, in: path, required: true}]}
    """)
    for method in ("GET", "PUT"):
        routed = found.router.find(method, "/a/1/2")
        assert routed is not None
        assert routed.path == {"rest": "1/2"}


def test_the_body_of_an_operation_is_checked_by_its_schema():
    """The schema of the first media type that has one checks the body; an operation without a body takes none."""
    operations = openapi("""
        paths:
          /a: {get: {operationId: none}}
          /b:
            post:
              operationId: some
              requestBody: {$ref: "#/components/requestBodies/Some"}
          /c: {post: {operationId: any, requestBody: {content: {text/plain: {}}}}}
        components:
          schemas: {Text: {type: string}}
          requestBodies:
            Some:
              required: true
              content:
                multipart/form-data: {}
                application/json: {schema: {$ref: "#/components/schemas/Text"}, examples: {one: {value: a}}}
    """).operations
    assert operations["none"].body is None
    body = operations["some"].body
    assert body is not None
    assert (body.media_types, body.required) == (("multipart/form-data", "application/json"), True)
    assert kinds(body.violations(5)) == ["type"]
    assert operations["some"].examples == {"one": "a"}
    anything = operations["any"].body
    assert anything is not None
    assert not anything.required
    assert kinds(anything.violations(5)) == []


def test_the_responses_of_an_operation_are_checked_by_their_schemas():
    """Each status whose JSON has a schema is checked by it, through references."""
    operation = openapi("""
        paths:
          /a:
            get:
              operationId: a
              responses:
                "200": {description: ok, content: {application/json: {schema: {type: object}}}}
                4XX: {$ref: "#/components/responses/Error"}
                "204": {description: nothing}
                default: {description: text, content: {text/plain: {schema: {type: string}}, application/json: {}}}
        components:
          responses: {Error: {description: no, content: {application/problem+json: {schema: {type: string}}}}}
    """).operations["a"]
    assert set(operation.responses) == {"200", "4XX"}
    assert kinds(operation.responses["4XX"].violations({})) == ["type"]


# --- models ---------------------------------------------------------------------------------------------------------

MODELS = """
openapi: 3.1.0
info: {title: A, version: "1"}
paths:
  /other: {get: {operationId: other}}
  /jobs:
    post:
      operationId: make
      requestBody:
        content:
          application/json:
            schema:
              oneOf: [{$ref: "#/components/schemas/Small"}, {$ref: "#/components/schemas/Large"}]
              discriminator: {propertyName: model, mapping: {small: "#/components/schemas/Small", large: Large}}
components:
  schemas:
    Small:
      title: The small one
      description: Quick.
      required: [model, input]
      properties:
        model: {const: small}
        input:
          allOf: [{$ref: "#/components/schemas/Common"}, {properties: {size: {default: 2}}}]
          properties: {format: {$ref: "#/components/schemas/Format"}, any: true, count: {type: integer}}
    Common: {properties: {seed: {default: null}, size: {default: 1}}}
    Format: {type: string, default: png}
    Large: {properties: {input: false}}
"""

CREATE = """
job:
  id: a
  states: {queued: [a]}
  create: [{operations: [make], model: $request.body#/model, input: [$request.body#/input, 1], reply: {}}]
"""


def test_models_are_those_that_the_body_is_told_apart_by():
    """Each name in the mapping of the discriminator is a model with its texts and the defaults of its input."""
    compiled = contract(CREATE, openapi=MODELS)
    small, large = compiled.job_type.models.values()
    assert (small.id, small.title, small.description) == ("small", "The small one", "Quick.")
    assert small.schema["required"] == ["model", "input"]
    assert small.defaults == {"seed": None, "size": 2, "format": "png"}
    assert (large.id, large.title, large.defaults) == ("large", None, {})
    body = compiled.operations["make"].body
    assert body is not None
    assert kinds(body.violations({"model": "small"})) == ["required"]
    assert kinds(body.violations({"model": "tiny"})) == ["discriminator"]


def test_without_a_mapping_there_are_no_models():
    """A discriminator without a mapping names no models: the body is checked by its schema alone."""
    text = MODELS.replace(', mapping: {small: "#/components/schemas/Small", large: Large}', "")
    compiled = contract(CREATE, openapi=text)
    assert compiled.job_type.models == {}
    body = compiled.operations["make"].body
    assert body is not None
    assert kinds(body.violations({"model": "tiny", "input": {}})) == ["oneOf"]


def test_a_create_without_an_operation_has_no_models():
    """A create whose operation is unknown is a problem, and no more than that."""
    assert contract_problems(CREATE.replace("[make]", "[mkae]"), openapi=MODELS) == [
        'there is no operation "mkae"; did you mean "make"?'
    ]


def test_a_schema_that_is_made_of_itself_has_its_own_defaults():
    """Defaults are looked for in every part of a schema once, even where it is a part of itself."""
    text = MODELS.replace("Common: {", 'Common: {allOf: [{$ref: "#/components/schemas/Common"}], ')
    compiled = contract(CREATE, openapi=text)
    assert compiled.job_type.models["small"].defaults == {"seed": None, "size": 2, "format": "png"}


# --- security -------------------------------------------------------------------------------------------------------


def test_keys_are_sent_as_the_schemes_say():
    """A key is sent bare in a header or the query, or behind the word of its scheme; or none is needed."""
    operations = openapi("""
        security: [{bearer: []}]
        paths:
          /a:
            get: {operationId: usual}
            put: {operationId: any, security: [{header: []}, {query: []}, {word: []}, {oauth: []}]}
            post: {operationId: open, security: [{bearer: []}, {}]}
            delete: {operationId: none, security: []}
        components:
          securitySchemes:
            bearer: {type: http, scheme: bearer}
            header: {type: apiKey, in: header, name: X-Key}
            query: {$ref: "#/components/securitySchemes/inQuery"}
            inQuery: {type: apiKey, in: query, name: key}
            word: {type: http, scheme: Key}
            oauth: {type: oauth2, flows: {}}
    """).operations
    assert operations["usual"].security == (Security("header", "Authorization", "Bearer"),)  # as HTTP writes it
    assert operations["any"].security == (
        Security("header", "X-Key", ""),
        Security("query", "key", ""),
        Security("header", "Authorization", "Key"),
        Security("header", "Authorization", "Bearer"),
    )
    assert operations["open"].security == operations["none"].security == ()


# --- what is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("paths: {/a: {get: {summary: x}}}", ['1: "get /a" lacks "operationId"']),
        (
            "paths:\n  /a: {get: {operationId: a}}\n  /b: {get: {operationId: a}}",
            ['3: the operationId "a" stands twice'],
        ),
        (
            "paths:\n  /a/{id}: {get: {operationId: a, parameters: [{name: di, in: path}]}}",
            ['2: the path parameter "id" is not declared; did you mean "di"?'],
        ),
        (
            "components: {securitySchemes: {key: {}}}\npaths: {/a: {get: {operationId: a}}}\nsecurity: [{kye: []}]",
            ['3: there is no security scheme "kye"; did you mean "key"?'],
        ),
        (
            "paths: {}\ncomponents:\n  schemas:\n    Small: {}\n    A: {$ref: '#/components/schemas/Smal'}",
            ['5: "#/components/schemas/Smal" leads nowhere; did you mean "Small"?'],
        ),
        ("paths: {}\ntags: [{name: {$ref: '#/tags/7'}}]", ['2: "#/tags/7" leads nowhere; ']),
        ("paths: {}\ntags: [{name: {$ref: '#/tags/²'}}]", ['2: "#/tags/²" leads nowhere; ']),
        (
            "paths: {}\ntags: [{name: {$ref: '#tags'}}]",
            ['2: "#tags" leads nowhere; did you mean "tags"?'],
        ),
        ("paths: {}\ntags: [{name: {$ref: '#/no/where'}}]", ['2: "#/no/where" leads nowhere; ']),
        (
            "servers: [{url: 'http://[a'}]\npaths:\n  /a: {get: {operationId: a}}",
            ['3: the server "http://[a" is no URL: Invalid IPv6 URL'],
        ),
        (
            "paths:\n /a:\n  get:\n   operationId: a\n   parameters: [{name: b, in: query, schema: {pattern: (}}]",
            ['3: not a JSON Schema: "(" is not a "regex"'],
        ),
        (
            "paths:\n  /a:\n    post:\n     operationId: a\n     requestBody: {content: {x: {schema: {type: sting}}}}",
            ["5: not a JSON Schema: "],
        ),
    ],
)
def test_what_is_wrong_is_noted_on_its_line(text: str, expected: list[str]):
    """Each thing that is wrong with the OpenAPI part is noted where it stands, with the nearest valid name."""
    found = problems(text)
    assert len(found) == len(expected)
    for line, beginning in zip(found, expected, strict=True):
        assert line.startswith(beginning)


def test_a_reference_that_leads_nowhere_is_noted_once():
    """A schema that refers to nothing is not compiled, which would say the same again."""
    assert problems("""
        paths:
          /a: {post: {operationId: a, requestBody: {content: {x: {schema: {$ref: "#/components/schemas/A"}}}}}}
    """) == ['2: "#/components/schemas/A" leads nowhere; ']


def test_a_schema_of_anything_is_no_reference_to_nothing():
    """A reference may lead to an empty object, which is a schema that takes anything."""
    openapi('paths: {}\ncomponents: {schemas: {Any: {}, All: {$ref: "#/components/schemas/Any"}}}')


def test_references_in_a_circle_lead_nowhere():
    """References that only lead to each other stand for an empty object."""
    found = openapi(
        'paths: {}\ncomponents: {schemas: {A: {$ref: "#/components/schemas/B"}, B: {$ref: "#/components/schemas/A"}}}'
    )
    assert found.resolve({"$ref": "#/components/schemas/A"}) == {}
    assert found.resolve({"$ref": "#/nowhere"}) == {}
    assert found.resolve(True) == {}


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://A.Test:8000/b", "a.test"), ("/b", ""), ("", ""), ("http://[a", ""), ("http://[::1]:80", "::1")],
)
def test_the_host_of_a_url_is_in_lower_case(url: str, host: str):
    """The host is told without its port; what has none, or is no URL, has an empty one."""
    assert host_of(url) == host


def test_evidence_is_not_shown() -> None:
    """What a provider says of its models has nothing of how we know it."""
    for name in ("kie", "oxen", "shortapi"):
        for model in load_contract(find_provider(name).contract).job_type.models.values():
            assert "x-evidence" not in json.dumps(model.schema)
