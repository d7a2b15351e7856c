"""What `import understudy` offers, and what it costs."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

import understudy
from understudy import async_client, client, fake, receiver

HEAVY = ("httpx", "starlette", "uvicorn", "yaml", "jsonschema_rs", "hypothesis", "PIL", "asyncio", "respx")


def test_the_public_names_are_sorted_and_there() -> None:
    """`__all__` is sorted, names nothing twice, and every name can be had and is listed by dir()."""
    assert list(understudy.__all__) == sorted(set(understudy.__all__))
    for name in understudy.__all__:
        assert getattr(understudy, name) is not None
        assert name in dir(understudy)


def test_another_name_is_refused() -> None:
    """A name that is not offered is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="no attribute 'Fakes'"):
        _ = understudy.Fakes


def test_importing_it_imports_nothing_heavy() -> None:
    """`import understudy` by itself brings in none of the libraries that it works with."""
    code = f"import sys, understudy; print([name for name in {HEAVY!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"


def public_functions() -> Iterator[Any]:
    """Return each public function, method, property and constructor: its name, what runs, and what documents it."""
    for name in understudy.__all__:
        thing = getattr(understudy, name)
        if inspect.isfunction(thing):
            yield pytest.param(thing, inspect.getdoc(thing), id=name)
        if not inspect.isclass(thing):
            continue
        written = "__init__" in vars(thing) and not dataclasses.is_dataclass(thing)
        if written and not issubclass(thing, BaseException):  # nobody else makes errors
            yield pytest.param(thing.__init__, inspect.getdoc(thing), id=name)
        for member, value in vars(thing).items():
            function = value.fget if isinstance(value, property) else inspect.unwrap(value)
            if inspect.isfunction(function) and not member.startswith("_"):
                yield pytest.param(function, inspect.getdoc(getattr(thing, member)), id=f"{name}.{member}")


def has(told: str, section: str, name: str) -> bool:
    """Say whether a section of a docstring has a line for a name."""
    return re.search(rf"^{section}:\n(?:.*\n)*? +{name}:", told, re.MULTILINE) is not None


@pytest.mark.parametrize("name", understudy.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    """Each public name has a docstring of its own that begins with one sentence."""
    told = (getattr(understudy, name).__doc__ or "").splitlines()
    assert told[0].endswith(".") or told[1:2] != [""]


@pytest.mark.parametrize(("function", "told"), list(public_functions()))
def test_parameters_are_documented(function: Any, told: str | None) -> None:
    """Each parameter stands under Args, or in the sentence where it is the only one, or where the docstring says."""
    assert told
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    told = told.replace("*", "")
    if "see `" in told:
        return
    if len(names) == 1 and "Args:" not in told:
        assert names[0].rpartition("_")[2] in told
    else:
        assert [name for name in names if not has(told, "Args", name)] == []


@pytest.mark.parametrize(("function", "told"), list(public_functions()))
def test_what_is_raised_is_documented(function: Any, told: str | None) -> None:
    """Each error that a public function itself raises stands under Raises."""
    assert told
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    raised = {ast.unparse(call.func) for call in calls} & {*understudy.__all__}
    assert [name for name in raised if not has(told, "Raises", name)] == []


def test_fields_are_documented() -> None:
    """Each field of a public dataclass stands under Attributes."""
    for name in understudy.__all__:
        thing = getattr(understudy, name)
        for field in dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ():
            assert has(inspect.getdoc(thing) or "", "Attributes", field.name), f"{name}.{field.name}"


@pytest.mark.parametrize("module", [fake, client, async_client, receiver], ids=lambda module: module.__name__)
def test_the_examples_in_docstrings_run(module: object) -> None:
    """The examples in the docstrings show what happens."""
    failed, tried = doctest.testmod(module, verbose=False)  # type: ignore[arg-type]

    assert failed == 0
    assert tried > 0 or module is async_client
