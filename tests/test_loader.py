"""Tests of the loader: YAML by the 1.2 core schema, references to files beside, and where everything stands."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import document, json_values, problems, texts
from understudy.contract import loader
from understudy.contract.codecs import MAX_NESTING
from understudy.contract.conditions import same
from understudy.contract.loader import Document, file_name, follow, index_of, load, pointer_parts, pointer_to
from understudy.errors import ContractInvalid, Problem

# What YAML allows to be printed, and what PyYAML, which writes YAML 1.1, does not take for a word of 1.2.
printable = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff"), max_size=9
).filter(lambda text: not text.startswith(tuple("+-.0123456789")))
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | printable,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(printable, inner, max_size=4),
    max_leaves=12,
)

# --- plain words ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [(word, word) for word in ("on", "off", "yes", "no", "y", "N", "2026-11-20", "12:30:45", "1_000", "0b1", "-0o7")]
    + [(word, word) for word in ("nULL", "tRUE", ".inf", "1.2.3", "0x", "+", ".", "<<", "=", "089a")]
    + [(word, None) for word in ("null", "Null", "NULL", "~", "")]
    + [(word, True) for word in ("true", "True", "TRUE")]
    + [(word, False) for word in ("false", "False", "FALSE")]
    + [("0o17", 15), ("0x1F", 31), ("017", 17), ("+5", 5), ("-5", -5), ("1.", 1.0), (".5", 0.5), ("1e3", 1000.0)]
    + [("'1'", "1"), ('"true"', "true"), ("!!str 1", "1"), ("! 1", "1"), ("|\n  1", "1")],
)
def test_plain_words_mean_what_the_core_schema_says(text: str, value: Any):
    """A plain word is null, a boolean or a number by YAML 1.2, else a string; what is quoted is always a string."""
    assert same(document(f"a: {text}").data, {"a": value})


@given(trees)
def test_what_is_written_as_yaml_comes_back(tree: Any):
    """A tree that is written as YAML, in block or flow style, is read as the same tree."""
    for flow in (True, False):
        text = yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True, width=40)
        assert same(document(text.encode()).data, tree)


@given(json_values)
def test_json_is_read(value: Any):
    """A JSON file is read as what it says, characters that are written as two escapes included."""
    text = json.dumps(value).replace("\x7f", "\\u007f")
    assert same(document(text.encode(), name="main.json").data, value)


def test_two_escapes_of_json_are_one_character():
    """A pair of escapes is one character, unless its backslash is itself escaped."""
    text = r'["\ud83d\ude00\uD83D\uDE00", "\\ud83d\ude00"]'.replace(r"\\ud83d\ude00", r"\\ud83d\\ude00")
    assert document(text.encode(), name="main.json").data == ["😀😀", "\\ud83d\\ude00"]


def test_keys_are_text():
    """Keys that look like numbers or booleans are their own text; any other key is a problem."""
    assert document("{200: a, true: b, 0x1F: c, 'x': d}").data == {"200": "a", "true": "b", "0x1F": "c", "x": "d"}
    assert problems("""
        a: &a x
        null: 1
        1.5: 2
        [b]: 3
        ? {c: 1}
        : 4
        *a : 5
    """) == [f"{line}: a key must be text" for line in (2, 3, 4, 5, 7)]


def test_a_key_that_stands_twice_is_a_problem():
    """Each further place of a key is named with its first place, at any depth; 200 and "200" are one key."""
    assert problems("""
        a: 1
        b: {c: 1, d: 2,
            c: 3}
        "a": 2
        200: 1
        '200': 2
    """) == [
        '3: the key "c" stands twice, first on line 2',
        '4: the key "a" stands twice, first on line 1',
        '6: the key "200" stands twice, first on line 5',
    ]


@pytest.mark.parametrize("text", ["!!int 5", "!!set {b}", "!foo [b]", "!!python/object:os.system b", "!!timestamp b"])
def test_tags_are_not_read(text: str):
    """A value with a tag is a problem: nothing is guessed, and nothing is called."""
    (problem,) = problems(f"a: {text}")
    assert problem.startswith("1: the tag ")


@pytest.mark.parametrize("text", ["1e999", "-1e999", "9" * 5000, "0x" + "f" * 5000, "0o" + "7" * 5000])
def test_a_number_that_no_float_holds_is_a_problem(text: str):
    """A number that could not be sent as JSON is refused."""
    (problem,) = problems(f"- {text}")
    assert problem.endswith("… is too large")


# --- where things stand ---------------------------------------------------------------------------------------------


@given(st.data())
def test_every_part_is_known_by_its_line(data: st.DataObject):
    """However a tree is laid out in block and flow style, each part is found on the line that it was written on."""
    lines: list[str] = []
    expected: dict[tuple[str | int, ...], int] = {}

    def write(at: tuple[str | int, ...], indent: str, flow: bool) -> int:
        """Write a value, a collection with each part on lines of its own, and return the line that it begins on."""
        kind = data.draw(st.sampled_from("slm")) if len(at) < 4 else "s"
        count = data.draw(st.integers(1, 3))
        if kind == "s":
            lines[-1] += " text"
            if not flow and data.draw(st.booleans()):
                lines[-1:] = [lines[-1].removesuffix("text") + "|", f"{indent}   text", f"{indent}   more"]
                return len(lines) - 2
            return len(lines)
        began = None
        inner_flow = flow or data.draw(st.booleans())
        if inner_flow:
            lines[-1] += " [" if kind == "l" else " {"
            began = len(lines)
        for number in range(count):
            part = number if kind == "l" else f"k{number}"
            lines.extend([""] * data.draw(st.integers(0, 2)))
            begin = "" if inner_flow and kind == "l" else "-" if kind == "l" else f"{part}:"
            lines.append(f"{indent} {begin}")
            line = len(lines)
            began = began or line
            content = write((*at, part), indent + "  ", inner_flow)
            expected[(*at, part)] = content if kind == "l" else line  # an item is where its content is
            if inner_flow:
                lines[-1] += ","
        if inner_flow:
            lines.append(indent + (" ]" if kind == "l" else " }"))
        assert began is not None
        return began

    lines.append("top:")
    expected["top",] = 1
    write(("top",), "", False)
    found = document("\n".join(lines).encode())
    for pointer, line in expected.items():
        assert found.where(pointer)[1] == line, ("\n".join(lines), pointer)


def test_the_deepest_part_that_exists_is_shown():
    """A place that does not exist is shown where the last part that does exist stands."""
    found = document("a:\n  b:\n    - 1\n    - c: 2\n")
    places = [(), ("x",), ("a", "x"), ("a", "b", 5), ("a", "b", 1, "c"), ("a", "b", 1, "c", "d"), ("a", "b", "1")]
    assert [found.where(place)[1] for place in places] == [1, 1, 1, 2, 4, 4, 2]


def test_an_alias_stands_where_it_is_written_and_its_content_where_its_anchor_is():
    """The alias itself is found on its own line, what is in it on the lines of the anchor."""
    found = document("""
        a: &a
          b: 1
        c: *a
        d:
          - 2
          - *a
    """)
    assert found.data == {"a": {"b": 1}, "c": {"b": 1}, "d": [2, {"b": 1}]}
    places = [("c",), ("c", "b"), ("d", 1), ("d", 1, "b")]
    assert [found.where(place)[1] for place in places] == [3, 2, 6, 2]


def test_problems_are_named_by_file_and_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A file below the working directory is named relative to it, another by its whole path."""
    path = tmp_path / "folder" / "a.yaml"
    path.parent.mkdir()
    path.write_text("a: 1\nb: 2\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = load(path)
    found.problem(("b",), "is wrong")
    assert found.name == os.path.join("folder", "a.yaml")
    assert found.problems == [Problem(found.name, 2, "is wrong")]
    monkeypatch.chdir(path.parent)
    assert file_name(tmp_path / "b.yaml") == str(tmp_path / "b.yaml")
    with pytest.raises(ContractInvalid, match=r"a\.yaml:2: is wrong"):
        found.raise_if_invalid()


def test_a_place_is_found_in_data_that_was_never_in_a_file():
    """A document without a file behind it is its own first line everywhere."""
    assert Document(Path("a.yaml"), data={"a": ["b"]}).where(("a", 0)) == ("a.yaml", 1)


# --- references -----------------------------------------------------------------------------------------------------


def test_a_reference_to_a_file_beside_is_put_in_place():
    """The part that a reference names stands in its place, and is found in the file that it came from."""
    found = document(
        """
        whole: {$ref: ./other.yaml}
        part: {$ref: "other.yaml#/list/1/a~1b"}
        inner: {$ref: "#/whole"}
        no: {$ref: [x]}
        """,
        other="list:\n  - 1\n  - a/b:\n      c: 2\n",
    )
    assert found.data["whole"] == {"list": [1, {"a/b": {"c": 2}}]}
    assert found.data["part"] == {"c": 2}
    assert found.data["inner"] == {"$ref": "#/whole"}  # within the file it stays
    places = [found.where(place) for place in (("part",), ("part", "c"), ("whole", "list", 1))]
    assert [(Path(file).name, line) for file, line in places] == [
        ("main.yaml", 2),
        ("other.yaml", 4),
        ("other.yaml", 3),
    ]


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("http://example.test/a.yaml", '"{}" leads to another host: only files beside this one are read'),
        ("other.yaml#/a/x", '"{}" leads nowhere: there is no "x"'),
        ("other.yaml#/list/-1", '"{}" leads nowhere: there is no "-1"'),
        ("other.yaml#/list/01", '"{}" leads nowhere: there is no "01"'),
        ("other.yaml#/list/²", '"{}" leads nowhere: there is no "²"'),
        ("other.yaml#/list/1", '"{}" leads nowhere: there is no "1"'),
        ("other.yaml#a", '"{}" leads nowhere: there is no "a"'),
        ("main.yaml#/a", '"{}" leads back to a file that is being read'),
        ("./main.yaml", '"{}" leads back to a file that is being read'),
        ("\\0.yaml", "'\\x00.yaml' is no name of a file"),
    ],
)
def test_a_reference_that_leads_nowhere_is_a_problem(reference: str, text: str):
    """Another host, a missing part, a loop and what is no file name are named on the line of the reference."""
    other = "a: {b: 1}\nlist: [0]\n"
    assert problems(f'\n\na: {{$ref: "{reference}"}}'.encode(), other=other) == ["3: " + text.format(reference)]


def test_a_loop_over_several_files_is_a_problem():
    """A file that leads back to one that led to it is named in the file that closes the loop."""
    found = problems("a: {$ref: one.yaml}", one="b:\n  $ref: two.yaml", two="$ref: main.yaml")
    assert found == ['two.yaml:1: "main.yaml" leads back to a file that is being read']


def test_the_same_file_may_be_named_twice():
    """Only a loop is a problem: two references to one file are none."""
    assert document("[{$ref: one.yaml}, {$ref: one.yaml}]", one="1").data == [1, 1]


# --- files that cannot be read --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1,\nb: 2", "3: not YAML: did not find expected ',' or ']'"),
        ("a: 1\nb: \x01", "1: not YAML: unacceptable character"),
        (b"a: \xff\xfe", "1: the file is not UTF-8 text"),
        ("a: 1\n---\nb: 2", "2: not YAML: a second document begins"),
        ("a: &a [*a]", '1: not YAML: "*a" stands for nothing that ends before it'),
        ("a: 1\nb: *c", '2: not YAML: "*c" stands for nothing that ends before it'),
        ("[" * 100_000, "1: not YAML: it is nested too deeply"),
        ("- " * 100_000, "1: not YAML: it is nested too deeply"),
    ],
)
def test_what_is_no_yaml_is_a_problem(text: str | bytes, expected: str):
    """A file that is no YAML of one document is a problem with its line, however deep its nesting."""
    (problem,) = problems(text)
    assert problem.startswith(expected)


def test_a_file_that_is_missing_or_a_folder_is_a_problem(tmp_path: Path):
    """What the system says of a file that cannot be read is passed on."""
    assert problems("a: {$ref: missing.yaml#}") == [
        "missing.yaml:1: the file cannot be read: No such file or directory"
    ]
    with pytest.raises(ContractInvalid, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_a_file_above_the_limit_is_a_problem(monkeypatch: pytest.MonkeyPatch):
    """A file of more bytes than the limit is not read, one of as many is."""
    monkeypatch.setattr(loader, "MAX_FILE_BYTES", 1000)
    assert problems(b" " * 1001) == ["1: the file is larger than 1,000 bytes"]
    assert document(b"#" * 1000).data is None


def test_nesting_is_bounded_across_aliases_and_files():
    """Levels add up where an alias or a file stands in another; up to the limit they are fine."""
    assert document("[" * MAX_NESTING + "]" * MAX_NESTING).data
    half = MAX_NESTING // 2 + 1
    deep = "[" * half + "1" + "]" * half
    aliased = f"- &a {deep}\n- {'[' * half}*a{']' * half}"
    assert problems(aliased) == ["1: it is nested too deeply"]
    assert problems(deep.replace("1", "{$ref: deep.yaml}"), deep=deep) == [
        "deep.yaml:1: not YAML: it is nested too deeply"
    ]


def test_aliases_cannot_stand_for_more_than_a_machine_holds():
    """A small file whose aliases multiply to billions of values is refused at once."""
    laughs = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(9))
    assert problems(laughs) == ["7: not YAML: its aliases stand for more than 1,000,000 values"]


@given(st.binary(max_size=40) | st.text("ab:-[]{}&*!|>%@'\"#?, \n\t\\01~<=", max_size=40).map(str.encode))
def test_any_file_is_read_or_refused(data: bytes):
    """Any bytes are read as a document or refused with problems; no other exception comes out."""
    with contextlib.suppress(ContractInvalid):
        document(data, a="a: 1")


# --- pointers -------------------------------------------------------------------------------------------------------


@given(st.lists(texts))
def test_a_pointer_is_split_into_the_parts_it_was_made_of(parts: list[str]):
    """Splitting undoes joining, slashes and tildes in names included, with and without the `#`."""
    assert pointer_parts(pointer_to(parts)) == parts
    assert pointer_parts("#" + pointer_to(parts)) == parts


@given(json_values, st.data())
def test_every_part_of_a_value_can_be_pointed_to(value: Any, data: st.DataObject):
    """Following the pointer to any part of a value leads to that part."""
    parts: list[str] = []
    found = value
    while found and isinstance(found, dict | list):
        key = data.draw(st.sampled_from(sorted(found) if isinstance(found, dict) else range(len(found))))
        parts.append(str(key))
        found = found[key]
    assert follow(value, "#" + pointer_to(parts)) is found


@pytest.mark.parametrize("part", ["", "-1", "+1", "01", "1 ", "²", "٣", "1_0", "9" * 5000])
def test_only_a_plain_number_is_an_index(part: str):
    """What Python would forgive in a number is no index."""
    assert index_of(part) is None
    assert index_of("0") == 0
    assert index_of("10") == 10
