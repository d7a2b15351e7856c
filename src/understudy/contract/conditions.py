"""Conditions, such as `$response.body#/code == 200`: expressions and literals, compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from understudy.contract.codecs import CodecError, parse_json
from understudy.contract.expressions import EXPRESSION, Expression, ExpressionError, Scope, parse_expression
from understudy.lifecycle import Json

#: A regular expression looks at no more than this many characters.
MAX_MATCHED_CHARACTERS = 1000

#: A longer condition is refused, so that nothing here can run out of stack.
MAX_TOKENS = 100

Operand = Callable[[Scope], Any]

_TOKEN = re.compile(
    r"\s*(?:(?P<expression>" + re.sub(r"\?P<\w+>", "?:", EXPRESSION) + r")"
    r"|(?P<literal>\"(?:[^\"\\]|\\.)*\"|'[^']*'|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|true\b|false\b|null\b)"
    r"|(?P<operator>==|!=|<=|>=|&&|\|\||[<>!()~]))"
)

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


class Condition(NamedTuple):
    """A compiled condition; call `holds` with a scope."""

    text: str
    holds: Callable[[Scope], bool]

    def equations(self) -> Iterator[tuple[Expression, Json]]:
        """Yield each expression that is compared with a literal, and the literal that it has to be equal to."""
        tokens = _tokens(self.text)
        for (kind, text), (_, sign), (other, literal) in zip(tokens, tokens[1:], tokens[2:], strict=False):
            if (kind, sign, other) == ("expression", "==", "literal"):
                yield parse_expression(text), _literal(literal)


def parse_condition(text: str) -> Condition:
    """Compile a condition.

    Args:
        text: Such as `$statusCode == 200 && $response.body#/done`.

    Raises:
        ExpressionError: It is none.
    """
    tokens = _tokens(text)
    if len(tokens) > MAX_TOKENS:
        raise ExpressionError(f'the condition "{text[:40]}…" has more than {MAX_TOKENS} words and signs')
    parser = _Parser(text, tokens)
    whole = parser.either()
    parser.end()

    def holds(scope: Scope) -> bool:
        value = whole(scope)
        return value is not None and value is not False  # as `_truth` has it, and one call less

    return Condition(text, holds)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(f'the condition "{text}" cannot be read from "{text[position:].strip()}" on')
        tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
        position = match.end()
    return tokens


def same(left: Json, right: Json) -> bool:
    """Compare two JSON values with their types: 1 is not true, and 2 is not "2"."""
    if left.__class__ is str and right.__class__ is str:
        return bool(left == right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _truth(value: Any) -> bool:
    return value is not None and value is not False


class _Parser:
    """Recursive descent over `||`, `&&`, `!`, comparisons and parentheses."""

    def __init__(self, text: str, tokens: list[tuple[str, str]]) -> None:
        self._text = text
        self._tokens = tokens

    def _peek(self) -> str | None:
        return self._tokens[0][1] if self._tokens and self._tokens[0][0] == "operator" else None

    def _take(self) -> tuple[str, str]:
        if not self._tokens:
            raise ExpressionError(f'the condition "{self._text}" ends too early')
        return self._tokens.pop(0)

    def end(self) -> None:
        if self._tokens:
            raise ExpressionError(f'the condition "{self._text}" has "{self._tokens[0][1]}" too much')

    def either(self) -> Operand:
        parts = [self._both()]
        while self._peek() == "||":
            self._take()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else _joined(parts, end=True)

    def _both(self) -> Operand:
        parts = [self._not()]
        while self._peek() == "&&":
            self._take()
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else _joined(parts, end=False)

    def _not(self) -> Operand:
        if self._peek() == "!":
            self._take()
            inner = self._not()
            return lambda scope: not _truth(inner(scope))
        return self._comparison()

    def _comparison(self) -> Operand:
        left = self._operand()
        operator = self._peek()
        if operator == "~":
            return self._matching(left)
        if operator not in ("==", "!=", *_COMPARE):
            return left
        self._take()
        right = self._operand()
        if operator == "==":
            return _equal(left, right)
        if operator == "!=":
            return lambda scope: not same(left(scope), right(scope))
        return _ordered(_COMPARE[operator], left, right)

    def _matching(self, left: Operand) -> Operand:
        self._take()
        kind, text = self._take()
        if kind != "literal" or text[0] not in "\"'":
            raise ExpressionError(f'after "~" in "{self._text}" a regular expression in quotes is expected')
        try:
            pattern = re.compile(_literal(text))
        except (re.error, OverflowError, RecursionError) as error:
            raise ExpressionError(f"{text} is no regular expression: {error}") from None

        def matches(scope: Scope) -> bool:
            value = left(scope)
            return isinstance(value, str) and pattern.search(value[:MAX_MATCHED_CHARACTERS]) is not None

        return matches

    def _operand(self) -> Operand:
        kind, text = self._take()
        if kind == "expression":
            return _value_of(parse_expression(text))
        if kind == "literal":
            value = _literal(text)
            return lambda scope: value
        if text != "(":
            raise ExpressionError(f'"{text}" in the condition "{self._text}" stands where a value is expected')
        inner = self.either()
        if self._peek() != ")":
            raise ExpressionError(f'the condition "{self._text}" lacks a ")"')
        self._take()
        return inner


def _joined(parts: Sequence[Operand], *, end: bool) -> Operand:
    """Return what looks at parts in turn, until one is as `end` says: that decides it."""

    def holds(scope: Scope) -> bool:
        for part in parts:
            if _truth(part(scope)) is end:
                return end
        return not end

    return holds


def _equal(left: Operand, right: Operand) -> Operand:
    def holds(scope: Scope) -> bool:
        first, second = left(scope), right(scope)
        return first == second if first.__class__ is second.__class__ is str else same(first, second)

    return holds


def _value_of(expression: Expression) -> Operand:
    if not expression.codecs:
        return expression.raw

    def value(scope: Scope) -> Any:
        try:
            return expression.value(scope)
        except CodecError:  # what cannot be encoded is equal to nothing
            return None

    return value


def _ordered(compare: Callable[[Any, Any], bool], left: Operand, right: Operand) -> Operand:
    def holds(scope: Scope) -> bool:
        first, second = left(scope), right(scope)
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (first, second))
        texts = all(isinstance(value, str) for value in (first, second))
        return (numbers or texts) and compare(first, second)

    return holds


def _literal(text: str) -> Any:
    if text[0] == "'":
        return text[1:-1]
    try:
        return parse_json(text)
    except ValueError:
        if text[0] != '"':
            raise ExpressionError(f"the number {text[:20]}… is too large") from None
        return text[1:-1]  # a regular expression may hold a backslash that JSON does not know
