"""Tests of conditions: comparison by type, precedence, and what a regular expression may see."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import hostile_values, json_values
from understudy.contract.codecs import dump_json
from understudy.contract.conditions import MAX_MATCHED_CHARACTERS, MAX_TOKENS, Condition, parse_condition, same
from understudy.contract.expressions import ExpressionError


def holds(text: str, value: Any = None) -> bool:
    """Say whether a condition holds where `$secret.x` is a value."""
    return parse_condition(text).holds({"secret": {"x": value}})


# --- values ---------------------------------------------------------------------------------------------------------


@given(json_values, json_values)
def test_values_are_the_same_when_their_json_is(left: Any, right: Any):
    """Two values are the same when they are equal as JSON: 1 is 1.0, but not true, at any depth."""
    assert same(left, left)
    assert same([left], [right]) == same(left, right) == same({"a": left}, {"a": right})
    if dump_json(left) == dump_json(right):
        assert same(left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("2", 2),
        (True, 1),
        (0, False),
        (None, False),
        ("", None),
        ([1], [True]),
        ([1], [1, 1]),
        ({"a": 0}, {"a": False}),
        ({"a": 1}, {"b": 1}),
        ({}, []),
        (b"a", "a"),
    ],
)
def test_values_of_other_types_are_not_the_same(left: Any, right: Any):
    """No type is converted: not text to a number, not a number to a boolean, at no depth."""
    assert not same(left, right)
    assert not same(right, left)
    assert same(1, 1.0)
    assert same([{"a": 1}], [{"a": 1.0}])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('2 == "2"', False),
        ("true == 1", False),
        ("false == null", False),
        ("null == $secret.none", True),
        ("1 == 1.0", True),
        ("-1.5 < 0", True),
        ('"a" < "b"', True),
        ("'it''s' == 'its'", None),
        ("'a\\d' == \"a\\\\d\"", True),
        ("1 < 2", True),
        ("2 <= 2", True),
        ("2 > 2", False),
        ("2 >= 3", False),
        ('1 < "2"', False),
        ("true < 2", False),
        ("null < 1", False),
        ("1 != 2", True),
        ("1 != 1", False),
    ],
)
def test_literals_are_compared_by_type(text: str, expected: bool | None):
    """Only numbers and only texts have an order; what is compared across types is not equal."""
    if expected is None:
        with pytest.raises(ExpressionError):
            parse_condition(text)
    else:
        assert holds(text) is expected


@pytest.mark.parametrize(
    ("value", "expected"), [(None, False), (False, False), (True, True), (0, True), ("", True), ([], True)]
)
def test_an_expression_alone_holds_when_it_has_a_value(value: Any, expected: bool):
    """A value that is neither missing nor false is true: zero and empty text are values."""
    assert holds("$secret.x", value) is expected
    assert holds("!$secret.x", value) is not expected
    assert holds("$secret.x && true", value) is expected
    assert holds("$secret.x || false", value) is expected


def test_what_a_codec_cannot_take_is_no_value():
    """A condition over what a client sent does not fail on a value of the wrong kind: it does not hold."""
    assert holds("$secret.x|seconds == 3", 3.2)
    assert not holds("$secret.x|seconds == 3", "three")


@pytest.mark.parametrize(
    ("text", "value"), [("($secret.x) == 2", 2), ("(($secret.x)) != null", 0), ("2 == ($secret.x)", 2)]
)
def test_a_value_in_parentheses_stays_that_value(text: str, value: Any) -> None:
    """Parentheses group: what stands in them is compared as what it is, and not by whether there is anything."""
    assert holds(text, value)
    assert not holds(text.replace("2", "3").replace("!=", "=="), value)


# --- precedence -----------------------------------------------------------------------------------------------------

trees = st.recursive(
    st.sampled_from([True, False]),
    lambda inner: st.tuples(st.just("!"), inner) | st.tuples(st.sampled_from(["&&", "||"]), inner, inner),
    max_leaves=8,
)
RANK = {"||": 0, "&&": 1, "!": 2}


def written(tree: Any, least: int = 0) -> str:
    """Write a tree with no more parentheses than precedence needs: `!` before `&&` before `||`."""
    if isinstance(tree, bool):
        return "$secret.x" if tree else "1 == 2"
    sign, *parts = tree
    rank = RANK[sign]
    if sign == "!":
        inner = parts[0]
        text = f"!{written(inner, rank)}" if isinstance(inner, tuple) else f"!({written(inner)})"
    else:
        text = f" {sign} ".join((written(parts[0], rank), written(parts[1], rank + 1)))
    return text if rank >= least else f"({text})"


def meaning(tree: Any) -> bool:
    if isinstance(tree, bool):
        return tree
    sign, *parts = tree
    values = [meaning(part) for part in parts]
    return not values[0] if sign == "!" else all(values) if sign == "&&" else any(values)


@given(trees)
def test_not_binds_before_and_before_or(tree: Any):
    """Any condition written with no needless parentheses means what its tree means."""
    assert holds(written(tree), True) is meaning(tree)


def test_a_comparison_binds_before_not():
    """`!` denies a whole comparison."""
    assert holds("!1 == 2")
    assert not holds("!(1 == 2 || true)")


# --- regular expressions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ('$secret.x ~ "^wait"', "wait, please", True),
        ('$secret.x ~ "^wait"', "do not wait", False),
        ('$secret.x ~ "wait"', "do not wait", True),
        (r'$secret.x ~ "^\d+$"', "12", True),
        (r"$secret.x ~ '^\d+$'", "12", True),
        (r'$secret.x ~ "^\\d+$"', "12", True),
        ('$secret.x ~ "1"', 1, False),
        ('$secret.x ~ "."', None, False),
        ('!$secret.x ~ "a" && true', "b", True),
    ],
)
def test_a_regular_expression_is_searched_in_text(text: str, value: Any, expected: bool):
    """`~` searches; what is no text does not match; in single quotes nothing is an escape but for the expression."""
    assert holds(text, value) is expected


def test_a_regular_expression_sees_no_more_than_the_limit():
    """Only the first 1,000 characters are searched, so that the input cannot make a match take long.

    That is all that is guaranteed: an expression of quadratic or cubic effort stays quick on any input, as the one
    below does on a million characters. One of exponential effort is the fault of whoever wrote the contract.
    """
    assert holds('$secret.x ~ "b$"', "a" * (MAX_MATCHED_CHARACTERS - 1) + "b" + "a" * 10**6)
    assert not holds('$secret.x ~ "b"', "a" * MAX_MATCHED_CHARACTERS + "b")
    assert not holds('$secret.x ~ "a*a*b"', "a" * 10**6)


# --- what is no condition -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", 'the condition "" ends too early'),
        ("1 ==", 'the condition "1 ==" ends too early'),
        ("1 == 2 3", 'the condition "1 == 2 3" has "3" too much'),
        ("(1 == 2", 'the condition "(1 == 2" lacks a ")"'),
        ("(1 2)", 'the condition "(1 2)" lacks a ")"'),
        ("&& 1", '"&&" in the condition "&& 1" stands where a value is expected'),
        ("1 = 2", 'the condition "1 = 2" cannot be read from "= 2" on'),
        ("007 == 7", 'the condition "007 == 7" has "0" too much'),
        ("1 == ٣", 'the condition "1 == ٣" cannot be read from "٣" on'),
        ("$jop.id == 1", 'there is no root "$jop"; did you mean "job"?'),
        ("$job.id ~ 1", 'after "~" in "$job.id ~ 1" a regular expression in quotes is expected'),
        ("$job.id ~ $job.id", 'after "~" in "$job.id ~ $job.id" a regular expression in quotes is expected'),
        ('$job.id ~ "("', '"(" is no regular expression: missing ), unterminated subpattern at position 0'),
        (
            '$job.id ~ "a{99999999999}"',
            '"a{99999999999}" is no regular expression: the repetition number is too large',
        ),
        ("1 == " + "9" * 5000, "the number 99999999999999999999… is too large"),
    ],
)
def test_a_wrong_condition_says_where(text: str, problem: str):
    """What is no condition is an error that shows the place or the wrong name."""
    with pytest.raises(ExpressionError) as caught:
        parse_condition(text)
    assert str(caught.value) == problem


@pytest.mark.parametrize("part", ["!", "(", "1 && ", "1 || ", "1 == 1 && !("])
def test_a_condition_cannot_run_out_of_stack(part: str):
    """However long and nested a condition is, it compiles or is refused; as many words as allowed do compile."""
    with pytest.raises(ExpressionError):
        parse_condition(part * 10_000 + "1")
    assert holds("!" * (MAX_TOKENS - 1) + "$secret.x") is True
    assert parse_condition("(" * (MAX_TOKENS // 2 - 1) + "1" + ")" * (MAX_TOKENS // 2 - 1)).holds({})


@pytest.mark.parametrize("sign", ["(", "a{1,2}" * 10 + "("])
def test_a_regular_expression_cannot_run_out_of_stack(sign: str):
    """A regular expression that is nested without end is an error of the contract."""
    with pytest.raises(ExpressionError, match="is no regular expression"):
        parse_condition(f"$job.id ~ '{sign * 5000}{')' * 5000}'")


pieces = st.sampled_from(
    ["$secret.x", "$now", "$job.id|epoch", "1", '"a"', "'['", "true", "null", "(", ")", "&&", "||", "!", "~", "==", "<"]
)


@given(st.text(max_size=30) | st.lists(pieces, max_size=12).map(" ".join), st.lists(hostile_values, max_size=3))
def test_any_text_is_a_condition_or_an_expression_error(text: str, values: list[Any]):
    """Whatever stands in a file compiles or raises ExpressionError, and what compiles holds or not over any scope."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # re has opinions on sets
        try:
            condition = parse_condition(text)
        except ExpressionError:
            return
    assert isinstance(condition, Condition)
    for value in values:
        assert condition.holds({"secret": {"x": value}, "now": value, "job": value}) in (True, False)


def test_what_a_condition_compares_with_values_is_told():
    """Each expression that has to be equal to a literal is told with it; no other comparison is."""
    text = '$job.state == "failed" && ($secret.x == 1 || $secret.y ~ "b") && $secret.z != 2 && $secret.x == $secret.y'
    assert [(one.text, value) for one, value in parse_condition(text).equations()] == [
        ("$job.state", "failed"),
        ("$secret.x", 1),
    ]
