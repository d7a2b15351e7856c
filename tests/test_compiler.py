"""Tests of the compiler: every wrong expression, condition, template and view is noted with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import document, json_values, shown, text_of
from understudy.contract.compiler import Compiler, compile_template, compile_text
from understudy.contract.conditions import Condition
from understudy.contract.expressions import ExpressionError
from understudy.contract.loader import Document
from understudy.contract.templates import SPECIAL, Leaf, Literal, Text
from understudy.contract.views import Rendered, Word, Words
from understudy.lifecycle import State

NO_WORDS = Words({})


def kit(text: str = "{}") -> Compiler:
    """Return a compiler over a document."""
    return Compiler(document(text))


def noted(compiler: Compiler) -> list[str]:
    """Return the problems that a compiler has noted."""
    return shown(compiler._document.problems)


@pytest.mark.parametrize(
    ("node", "problems"),
    [
        ("{$mach: 1}", ['1: there is no template node "$mach"; did you mean "$match"?']),
        ("{a: 1, $x: 1}", ['1: there is no template node "$x"; there is: $each, $either, $json, $match, $spread']),
        ("a:\n  - $jop.id", ['2: there is no root "$jop"; did you mean "job"?']),
        ("a:\n  b: 'x {$job.di} y'", ['2: "$job" has no "di"; did you mean "id"?']),
        ("a: '{$job.id|}'", ['1: "$job.id|" is no expression: expected $root.name#/pointer|codec']),
        ("$match: 1\na: 2", ['2: "a" cannot stand beside "$match"']),
        ("$each: $jobs\ndo: 1\nb: 2", ['3: "b" cannot stand beside "$each"']),
        ("$either: []", ['1: "$either" takes a list of templates']),
        ("$either: {a: 1}", ['1: "$either" takes a list of templates']),
        ("$either: [1, {$json: $jop}]", ['1: there is no root "$jop"; did you mean "job"?']),
        (
            "{error: $job.error|omit}",
            [
                '1: "$job.error|omit" is no JSON value; write one of its parts: $job.error.name, $job.error.code, '
                "$job.error.message, $job.error.http, $job.error.headers"
            ],
        ),
        (
            "a {$job.outputs}",
            ['1: "$job.outputs" is no JSON value; write one of its parts: $job.outputs.count, $job.outputs.0.…'],
        ),
        (
            "$job",
            [
                '1: "$job" is no JSON value; write one of its parts: $job.id, $job.state, $job.status, $job.model, '
                "$job.input, …"
            ],
        ),
        ("{a: 1, $spread: text}", ['1: "$spread" takes one expression']),
        ("{a: 1, $spread: 'a {$job.id}'}", ['1: "$spread" takes one expression']),
    ]
    + [
        (node, ['1: "$each" takes a list such as $jobs, $job.outputs, $job.logs or $models, and "do" a template'])
        for node in (
            "{$each: $jobs}",
            "{$each: $job.id, do: 1}",
            "{$each: $job.progress, do: 1}",
            "{$each: jobs, do: 1}",
        )
    ],
)
def test_a_wrong_template_is_noted_where_it_is_wrong(node: str, problems: list[str]):
    """Each wrong part of a template is noted on its line, with what is meant; the rest is compiled."""
    compiler = kit(node)
    compiled = compiler.template(compiler._document.data, ())
    assert noted(compiler) == problems
    compiled.render({})


def test_all_wrong_parts_of_a_template_are_noted():
    """One wrong part does not hide another."""
    compiler = kit("a: $jop\nb: [$job.di, {$mach: 1}]\n$spread: x\n")
    compiler.template(compiler._document.data, ())
    assert [line.partition(":")[0] for line in noted(compiler)] == ["3", "1", "2", "2"]


@given(json_values | st.dictionaries(st.sampled_from(sorted(SPECIAL | {"do", "a", "$b"})), json_values, max_size=3))
def test_any_json_is_a_template_or_noted(node: Any):
    """Whatever stands in the place of a template, it is compiled or noted, and nothing is raised."""
    problems: list[str] = []
    compiled = compile_template(node, (), lambda at, text: problems.append(text))
    if not problems:
        compiled.render({})


MARKED = """
x-evidence: &mark {mark: guessed, source: "no {$word} of it"}
literal: {a: 1, x-evidence: *mark}
matched: {$match: {b: 2, x-evidence: *mark}, x-evidence: *mark}
spread: {$spread: $job.input, x-evidence: *mark}
listed: [{c: $job.id, x-evidence: *mark}]
each: {$each: $job.outputs, do: {d: $output.url, x-evidence: *mark}, x-evidence: *mark}
text: {$json: {e: 5, x-evidence: *mark}}
either: {$either: [{f: 6, x-evidence: *mark}, 7], x-evidence: *mark}
"""


def test_a_mark_in_a_template_is_not_rendered():
    """How a part of a template is known stands in any object of it, and goes over no wire."""
    compiler = kit(MARKED)
    template = compiler.template(compiler._document.data, ())
    assert noted(compiler) == []
    assert template.render({"job": {"id": "j", "input": {"i": 1}, "outputs": [{"url": "u"}]}}) == {
        "literal": {"a": 1},
        "matched": {"b": 2},
        "spread": {"i": 1},
        "listed": [{"c": "j"}],
        "each": [{"d": "u"}],
        "text": '{"e":5}',
        "either": {"f": 6},
    }


def test_text_is_split_at_its_expressions():
    """A string with expressions is made of fixed parts and expressions; without any it is a literal."""
    compiled = compile_text("{$job.id}/{$job.model|head(2)} {x}")
    assert isinstance(compiled, Text)
    assert [part if isinstance(part, str) else part.text for part in compiled.parts] == [
        "$job.id",
        "/",
        "$job.model|head(2)",
        " {x}",
    ]
    assert compile_text("{x} $job.id") == Literal("{x} $job.id")
    with pytest.raises(ExpressionError):
        compile_text("{$}")


def test_an_expression_alone_is_a_leaf():
    """A string that is one expression is a leaf; one that begins with two dollars is a literal with one."""
    assert isinstance(compile_template("$job.id|omit", (), print), Leaf)
    assert compile_template("$$job.id", (), print) == Literal("$job.id")


def test_what_is_wrong_is_noted_and_stands_for_nothing():
    """Places, expressions, conditions and texts that are wrong are noted, and what is compiled of them does nothing."""
    compiler = kit("p: $jop\ne: $job.di\nc: 1 ==\nt: '{$job.x}'\n")
    assert compiler.place("$jop", ("p",)) == ()
    assert compiler.expression("$job.di", ("e",)).value({}) is None
    assert compiler.condition("1 ==", ("c",)) is None
    assert compiler.text("{$job.x}", ("t",)) == Text(())
    assert [line.partition(":")[0] for line in noted(compiler)] == ["1", "2", "3", "4"]


def test_what_is_right_is_compiled():
    """Places, expressions, conditions, texts and headers that are right do what they say."""
    compiler = kit()
    scope = {"secret": {"x": 5}}
    assert [part if isinstance(part, str) else part.text for part in compiler.place(["$now", "a"], ())] == ["$now", "a"]
    assert compiler.expression("$secret.x", ()).value(scope) == 5
    condition = compiler.condition("$secret.x == 5", ())
    assert condition is not None
    assert condition.holds(scope)
    assert compiler.condition(None, ()) is None
    assert compiler.text("a {$secret.x}", ()).render(scope) == "a 5"
    assert compiler.text("a", ()).render(scope) == "a"
    assert [(name, node.render(scope)) for name, node in compiler.headers({"X": "$secret.x"}, ())] == [("X", 5)]
    assert compiler.headers(None, ()) == ()
    assert noted(compiler) == []


def test_words_are_values_or_entries():
    """A word is a value with its JSON type, or an entry with a word, a condition or both."""
    compiler = kit()
    words = compiler.words(
        {
            "queued": [0, None],
            "succeeded": [{"word": "END", "when": "$statusCode == 200"}, {"when": "$statusCode == 201"}],
            "failed": [{"word": None, "x-evidence": {}}],
            "unknown": "failed",
        },
        (),
    )
    assert words.unknown == "failed"
    assert words.by_state[State.QUEUED] == (Word(0), Word(None))
    ended, silent = words.by_state[State.SUCCEEDED]
    assert (ended.word, ended.spoken, silent.word, silent.spoken) == ("END", True, None, False)
    assert isinstance(ended.when, Condition)
    assert words.by_state[State.FAILED] == (Word(None, None, True),)
    assert State.RUNNING not in words.by_state
    assert compiler.words({}, ()).unknown == "active"


def test_a_wrong_word_is_noted():
    """A condition of a word that is wrong is noted in its place."""
    compiler = kit("queued:\n  - a\n  - {word: b,\n     when: '1 ='}\n")
    compiler.words(compiler._document.data, ())
    assert noted(compiler) == ['4: the condition "1 =" cannot be read from "=" on']


VIEW = """
http: {default: 202, succeeded: 200, x-evidence: {}}
headers: {X-Id: $job.id, X-No: $job.model}
body: {code: 0, data: {id: $job.id, list: [1]}}
bodyByState:
  failed: {code: 1, data: {error: $job.error.message}, x-evidence: {}}
  x-evidence: {}
bodyWhen:
  - {when: $request.query.full == "1", body: {data: {more: true}}}
  - {when: $request.query.full == "2", body: none}
successCriteria: $response.body#/code == 0
"""


def view_of(node: dict[str, Any], **more: Any) -> Any:
    return kit().view(node, ("x-jobs", "job", "status", "reply"), NO_WORDS, None, **more)


def test_a_view_is_compiled_for_each_state_and_condition():
    """The body of a state is laid over the body, and that of a condition over both."""
    view = view_of(document(VIEW).data)
    asked: dict[str, Any] = {"job": {"id": "j", "error": {"message": "m"}}, "request": {"query": {"full": "1"}}}
    assert view.name == "status.reply"
    assert view.render(asked, State.FAILED) == Rendered(
        202,
        [("X-Id", "j")],
        {"code": 1, "data": {"id": "j", "list": [1], "error": "m", "more": True}},
    )
    asked["request"]["query"]["full"] = "2"
    assert view.render(asked, State.SUCCEEDED).status == 200
    assert view.render(asked, State.SUCCEEDED).body == "none"
    asked["request"] = {"query": {}}
    assert view.render(asked, None).body == {"code": 0, "data": {"id": "j", "list": [1]}}
    assert view.success.holds({"response": {"body": {"code": 0}}})


def test_a_view_of_no_job_has_one_body():
    """A view that is not of one job has no states; without a body it renders none, with HTTP 200."""
    view = view_of({}, of_job=False)
    assert set(view.variants) == {None}
    assert view.render({}, None) == Rendered(200, [], None)


def test_a_view_has_its_own_words_and_criterion_or_those_of_the_job():
    """What a view says itself stands in place of what the job says."""
    kinds = kit()
    criterion = kinds.condition("true", ())
    words = kinds.words({"queued": ["a"]}, ())
    plain = kinds.view({}, (), words, criterion)
    assert (plain.words, plain.success) == (words, criterion)
    own = kinds.view({"states": {"queued": ["b"]}, "successCriteria": "false", "http": 201}, (), words, criterion)
    assert own.words.shown(State.QUEUED) == "b"
    assert own.success is not criterion
    assert own.http == {None: 201}


def test_every_wrong_part_of_a_view_is_noted_once():
    """Bodies, conditions, headers and words that are wrong are each noted once, though bodies are merged many times."""
    text = text_of("""
        headers:
          X: $a
        body:
          id: $b
        bodyByState:
          failed:
            id: $c
        bodyWhen:
          - when: $d
            body: $e
        states:
          queued: [{when: $f}]
        successCriteria: $g
    """)
    compiler = Compiler(document(text))
    compiler.view(compiler._document.data, (), NO_WORDS, None)
    roots = [line.partition('"$')[2][0] for line in sorted(noted(compiler), key=lambda line: int(line.split(":")[0]))]
    assert roots == list("abcdefg")


def test_a_compiler_notes_in_its_own_document():
    """A problem is noted in the document that is compiled, at the deepest place that exists."""
    compiler = Compiler(Document(Path("a.yaml"), data={}))
    compiler.problem(("x", 1), "is wrong")
    assert [str(problem) for problem in compiler._document.problems] == ["a.yaml:1: is wrong"]
