"""Tests of templates: what is rendered is read back, and what is read is what the template describes."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.documents import hostile_values, json_values, read, template, texts
from understudy.contract.codecs import CodecError, dump_json, parse_json
from understudy.contract.conditions import same
from understudy.contract.reading import ReadError, Reading, check_types
from understudy.contract.templates import Each, Leaf, Literal, Text, leaves, literals, merge
from understudy.lifecycle import Job, JobError, Output

#: What a template may say of a job, and what the job may hold for it.
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "$job.id": texts,
    "$job.status": json_values,
    "$job.model": texts,
    "$job.input": st.dictionaries(texts, json_values, max_size=3),
    "$job.result|json": json_values,
    "$job.error.code|string": st.integers(),
    "$job.error.message|omit": texts,
    "$job.progress|percent|omit": st.integers(0, 100).map(lambda value: value / 100),
    "$job.cost|decimal": st.integers(0, 1000).map(lambda value: value / 100),
    "$job.createdAt|iso": st.integers(0, 2**33),
    '$job.endedAt|epochMs|default("")': st.integers(1, 2**33),
    "$job.callbackUrl": texts,
}

names = st.text("abcXYZ-_é ", min_size=1, max_size=6)


def nodes(expressions: list[str]) -> st.SearchStrategy[Any]:
    """Draw a template that has each of some expressions in it once, among literals."""
    if len(expressions) == 1:
        leaf = st.just(expressions[0])
        return st.one_of(
            leaf,
            leaf.map(lambda node: {"$json": node}),
            st.tuples(names, leaf).map(lambda pair: {pair[0]: pair[1], "more": 1}),
            leaf.map(lambda node: ["first", node]),
        )
    middle = len(expressions) // 2
    left, right = nodes(expressions[:middle]), nodes(expressions[middle:])
    return st.one_of(
        st.tuples(left, right).map(list),
        st.tuples(left, right).map(lambda pair: {"left": pair[0], "right": pair[1], "literal": {"$match": [1]}}),
        st.tuples(left, right).map(lambda pair: {"$json": {"left": pair[0], "right": pair[1]}}),
        st.tuples(left, right).map(lambda pair: {"$either": [{"a": pair[0], "b": pair[1]}, {"$match": "never"}]}),
    )


@st.composite
def jobs(draw: st.DrawFn, id: str = "") -> Job:
    """Draw a job that may lack anything but its id."""

    def some(text: str) -> Any:
        return draw(st.none() | FIELDS[text])

    return Job(
        id=id or draw(texts),
        status=some("$job.status"),
        model=some("$job.model"),
        input=some("$job.input"),
        result=some("$job.result|json"),
        error=JobError(code=some("$job.error.code|string"), message=some("$job.error.message|omit")),
        progress=some("$job.progress|percent|omit"),
        cost=some("$job.cost|decimal"),
        created_at=some("$job.createdAt|iso"),
        ended_at=some('$job.endedAt|epochMs|default("")'),
        callback_url=some("$job.callbackUrl"),
    )


@given(st.sets(st.sampled_from(sorted(FIELDS)), min_size=1).map(sorted).flatmap(nodes), jobs())
def test_what_is_rendered_is_read_back(node: Any, job: Job):
    """Whatever a template looks like, reading what it rendered gives back every value that there was."""
    compiled = template(node)
    wire = parse_json(dump_json(compiled.render({"job": job})))
    found = read(compiled, wire)
    check_types(found)
    expected = {leaf.path: leaf.expression.raw({"job": job}) for leaf in leaves(compiled)}
    there = {path: value for path, value in expected.items() if value is not None}
    assert {path: value for path, value in found.items() if path not in there} == {}
    for path, value in there.items():
        assert same(found[path], value), path


JOBS_AND_FILES = template("""
count: $jobs.count
jobs: {$each: $jobs, do: {id: $job.id, files: {$each: $job.outputs, do: $output.url}}}
""")


@given(st.lists(st.tuples(texts, st.integers(0, 3)), max_size=4))
def test_each_keeps_elements_apart(several_ids: list[tuple[str, int]]):
    """What belongs to an element of a list is read under its index, in lists within lists, too."""
    several = [
        Job(id=id, outputs=tuple(Output(url=f"{id}/{index}", index=index) for index in range(files)))
        for id, files in several_ids
    ]
    wire = JOBS_AND_FILES.render({"jobs": several})
    assert wire["count"] == len(several)
    expected: Reading = {("jobs", "count"): len(several)}
    for number, job in enumerate(several):
        expected["jobs", number, "id"] = job.id
        expected.update({("jobs", number, "outputs", output.index, "url"): output.url for output in job.outputs})
    assert read(JOBS_AND_FILES, wire) == expected


def test_what_is_of_no_element_is_read_once():
    """Inside a list, what belongs to something else than its element is read as that."""
    compiled = template("{$each: $jobs, do: {id: $job.id, left: $account.balance}}")
    assert read(compiled, [{"id": "a", "left": 5}]) == {("jobs", 0, "id"): "a", ("account", "balance"): 5}


@given(st.dictionaries(names, json_values, max_size=4), st.dictionaries(names, st.sampled_from(["$job.id", 1, None])))
def test_spread_and_its_neighbours_share_an_object(given_input: dict[str, Any], beside: dict[str, Any]):
    """A spread puts members beside the others, which come first; it is read as all that no other key names."""
    compiled = template({**beside, "$spread": "$job.input"})
    wire = compiled.render({"job": Job(id="j", input=given_input)})
    named = {key: "j" if node == "$job.id" else node for key, node in beside.items()}
    assert wire == {**given_input, **named}
    rest = {key: value for key, value in given_input.items() if key not in beside}
    assert read(compiled, wire)[("job", "input")] == rest


hostile_nodes = st.sampled_from(
    [
        "$job.createdAt|iso",
        "$job.result|json",
        {"$match": {"a": 1}},
        {"a": {"b": {"$match": 1}}, "$spread": "$job.input"},
        ["$job.id", {"$match": 1}],
        {"$each": "$job.outputs", "do": {"url": "$output.url", "data": "$output.content|base64"}},
        {"$json": {"a": "$job.id", "b": [{"$match": None}]}},
        {"$either": [{"a": {"$match": 1}}, {"a": "$job.cost"}, {"$json": "$job.input"}]},
        {"$spread": "$request.body"},
        {"$each": "$request.query.jobs", "do": "$job.id"},
        "at {$request.body} {$now|iso}",
    ]
)
answers = st.recursive(hostile_values, lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=4)


@given(hostile_nodes, answers)
def test_what_does_not_fit_is_a_read_error(node: Any, value: Any):
    """Any value is read or refused with ReadError, and a scope of anything renders or is a CodecError."""
    compiled = template(node)
    with contextlib.suppress(ReadError):
        check_types(read(compiled, value))
    with contextlib.suppress(CodecError):
        compiled.render({"job": value, "now": value, "request": {"body": value, "query": {"jobs": value}}})


@pytest.mark.parametrize(
    ("node", "value", "problem"),
    [
        ("{a: {$match: 1}}", {"a": True}, "1 is expected at /a"),
        ("{a: {$match: 1}}", {}, "a member is expected at /a"),
        ("{a: {b: {$match: 1}}}", {"c": 1}, "a member is expected at /a"),
        ("{a: {$json: {b: {$match: 1}}}}", {}, "a member is expected at /a"),
        ("{a: {$either: [{$match: 1}, {$match: 2}]}}", {}, "a member is expected at /a"),
        ("{a: [$job.id, {$match: 1}]}", {"a": ["x"]}, "an item is expected at /a/1"),
        ("{a: {b: $job.id}}", {"a": [1]}, "an object is expected at /a"),
        ("[[$job.id]]", [{}], "a list is expected at /0"),
        ("{$each: $jobs, do: $job.id}", {}, "a list is expected at /"),
        ("{$each: $jobs, do: {a: {$match: 1}}}", [{"a": 1}, {"a": 2}], "1 is expected at /1/a"),
        ("{$json: $job.id}", "{", "JSON inside text is expected at /"),
        ("{$json: $job.id}", 5, "JSON inside text is expected at /"),
        ("[$job.endedAt|iso]", ["soon"], "a time such as 2026-01-01T00:00:00Z is expected at /0"),
        ("{$either: [{$match: 1}, {$match: 2}]}", 3, "2 is expected at /"),
        ("{$either: [$job.cost, $job.progress]}", "x", "a number for $job.progress is expected at /"),
    ],
)
def test_a_read_error_says_where_and_what(node: str, value: Any, problem: str):
    """What does not fit is named by its place and by what was expected there."""
    with pytest.raises(ReadError) as caught:
        read(template(node), value)
    assert str(caught.value) == problem


def test_literals_are_not_compared_and_missing_members_not_missed():
    """Only `$match` tells templates apart: another literal, an absent member or a short list fits all the same."""
    compiled = template("{code: 200, text: 'Hi {$job.id}', id: $job.id, list: [$job.model, 1], no: $job.id|sha256hex}")
    assert read(compiled, {"code": 500, "text": "Bye", "list": [], "no": "x", "more": 1}) == {}
    assert read(compiled, {"id": "a", "list": ["m"]}) == {("job", "id"): "a", ("job", "model"): "m"}


def test_either_reads_the_first_form_that_fits():
    """A form whose literals, shape or types do not fit is passed over, and leaves nothing behind."""
    compiled = template(
        "{$either: [{a: $job.model, input: {$spread: $job.input}}, {a: $job.id, input: $job.input|json}]}"
    )
    assert compiled.render({"job": Job(id="j", model="m", input={"x": 1})}) == {"a": "m", "input": {"x": 1}}
    assert read(compiled, {"a": "m", "input": {"x": 1}}) == {("job", "model"): "m", ("job", "input"): {"x": 1}}
    assert read(compiled, {"a": "m", "input": '{"x":1}'}) == {("job", "id"): "m", ("job", "input"): {"x": 1}}


def test_a_member_without_a_value_is_null_unless_it_may_be_left_out():
    """`omit` takes a member out of its object; elsewhere, where nothing can be left out, it is null."""
    node = "{a: $job.model, b: $job.model|omit, c: {$either: [$job.model|omit, 1]}, d: {$json: $job.model|omit}}"
    assert template(node).render({}) == {"a": None, "d": "null"}
    assert template("[$job.model|omit]").render({}) == [None]
    assert template("$job.model|omit").render({}) is None
    assert template("{$spread: $job.model|omit}").render({}) == {}


def test_a_spread_of_no_object_has_no_members():
    """What a client sent in the place of an object adds nothing, and the other members stand."""
    compiled = template("{a: 1, $spread: $request.body}")
    for body in ("text", [1], 5, None):
        assert compiled.render({"request": {"body": body}}) == {"a": 1}


def test_each_of_no_list_is_empty():
    """What a client sent in the place of a list has no elements."""
    compiled = template("{$each: $request.query.jobs, do: 1}")
    assert compiled.render({"request": {"query": {"jobs": "text"}}}) == []
    assert compiled.render({}) == []


def test_text_is_matched_with_anything_in_the_place_of_its_expressions():
    """A text fits a template when its fixed parts do, and what stands between them is given by expression."""
    compiled = template("'{$violation.field}: not {$violation.value}.'")
    assert isinstance(compiled, Text)
    assert compiled.match("size: not\n 5.") is None
    assert compiled.match("a.b: not 5\n6.") == {"$violation.field": "a.b", "$violation.value": "5\n6"}
    assert compiled.match(": not .") is None
    assert compiled.render({"violation": {"field": "a", "value": [True]}}) == "a: not [true]."


@given(texts.filter(bool), texts.filter(bool))
def test_what_a_text_renders_matches_it(first: str, second: str):
    """A text that was rendered from values that are not empty fits its own template."""
    compiled = template("a {$secret.first}|{$secret.second} z*")
    assert isinstance(compiled, Text)
    assert compiled.match(compiled.render({"secret": {"first": first, "second": second}})) is not None


@pytest.mark.parametrize(
    ("node", "count"),
    [
        ("{a: {$match: 1}, b: {c: {$match: 2}}, d: 3}", 2),
        ("[{$match: 1}, 2]", 1),
        ("{$json: [{$match: 1}]}", 1),
        ("{$either: [[{$match: 1}, {$match: 2}], {$match: 1}]}", 1),
        ("{$each: $jobs, do: {$match: 1}}", 0),  # the list may be empty
        ("$job.id", 0),
    ],
)
def test_literals_are_counted(node: str, count: int):
    """What tells a template from others is counted wherever it must be there."""
    assert literals(template(node)) == count


def test_leaves_are_what_can_be_read():
    """The leaves of a template are its expressions that reading gives back, wherever they stand."""
    compiled = template("""
        a: $job.id
        b: [$job.model, "{$job.status}", $job.input#/x]
        c: {$each: $job.outputs, do: {url: $output.url}}
        d: {$json: {e: $job.cost, $spread: $job.input}}
        f: {$either: [$job.progress, {$match: 1}]}
        g: {$spread: $job.result|sha256hex}
    """)
    found = [".".join(map(str, leaf.path)) for leaf in leaves(compiled)]
    assert found == ["job.id", "job.model", "output.url", "job.cost", "job.input", "job.progress"]


def test_an_index_in_a_path_is_a_number():
    """A leaf in a list by position is kept where an `$each` would have kept it."""
    compiled = template("$job.outputs.0.url")
    assert isinstance(compiled, Leaf)
    assert compiled.path == ("job", "outputs", 0, "url")


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        (("job", "id"), "a", 1),
        (("jobs", 0, "id"), "a", None),
        (("job", "position"), 1, 1.5),
        (("job", "position"), 1, True),
        (("job", "cost"), 0.5, False),
        (("job", "refunded"), True, 1),
        (("job", "input"), {}, []),
        (("job", "error", "code"), 5, {}),
        (("job", "error", "name"), "a", 1),
        (("job", "outputs", 0, "content"), b"a", "a"),
        (("job", "outputs", 0, "mediaType"), "a", 1),
        (("job", "outputs", 0, "width"), 8, "8"),
        (("error", "message"), "a", 1),
    ],
)
def test_what_is_read_has_the_type_of_its_member(path: tuple[str | int, ...], good: Any, bad: Any):
    """A value of the wrong type for a member of a job is refused: a boolean is no number."""
    check_types({path: good})
    with pytest.raises(ReadError, match=r"is expected at /x"):
        check_types({path: bad}, ("x",))
    check_types({("job", "status"): bad, ("secret", "id"): bad})  # these may be anything


# --- laying one over another ----------------------------------------------------------------------------------------


@given(json_values, json_values)
def test_merging_lays_one_over_the_other(base: Any, over: Any):
    """Objects merge member by member and all else replaces, so that every member of `over` wins."""
    assume("$" not in dump_json([base, over]))  # see below
    merged = merge(base, over)
    if isinstance(base, dict) and isinstance(over, dict):
        assert merged.keys() == base.keys() | over.keys()
        for key in merged:
            assert same(
                merged[key], merge(base[key], over[key]) if key in base and key in over else {**base, **over}[key]
            )
    else:
        assert merged is over
    assert same(merge(merged, over), merged)


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({"a": 1, "$spread": "$job.input"}, {"b": 2}, {"a": 1, "$spread": "$job.input", "b": 2}),
        ({"a": 1}, {"$spread": "$job.input"}, {"$spread": "$job.input"}),
        ({"a": 1}, {"$match": 1}, {"$match": 1}),
        ({"$json": {"a": 1}}, {"b": 2}, {"b": 2}),
        ({"a": {"$each": "$jobs", "do": 1}}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_template_nodes_are_not_merged(base: Any, over: Any, merged: Any):
    """A node such as `$match` is replaced as a whole, on either side; an object with a spread takes further members."""
    assert merge(base, over) == merged


def test_literals_render_themselves():
    """A literal is what stands in the file, `$$` for one dollar; null is one, too."""
    assert template([1, "$$a", None]).render({}) == [1, "$a", None]


def test_a_literal_object_is_one_literal():
    """An object of literals only is not taken apart when it is rendered, nor looked at when it is read."""
    compiled = template("{a: 1, b: {c: x}}")
    assert compiled == Literal({"a": 1, "b": {"c": "x"}})
    assert read(compiled, "anything") == {}


def test_the_element_of_a_list_has_its_singular_name():
    """`$each` names its element by the list: jobs, outputs, logs and models."""
    for source, variable in (("$jobs", "job"), ("$job.outputs", "output"), ("$job.logs", "log"), ("$models", "model")):
        compiled = template({"$each": source, "do": 1})
        assert isinstance(compiled, Each)
        assert compiled.variable == variable
    logs = template({"$each": "$job.logs", "do": "$log"})
    assert logs.render({"job": Job(id="j", logs=("a", "b"))}) == ["a", "b"]
    assert read(logs, ["a"]) == {("job", "logs", 0): "a"}
