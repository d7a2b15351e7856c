"""What `import understudy` offers, and what it costs."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys

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


@pytest.mark.parametrize("name", understudy.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    """Each public name has a docstring; the parameters of its constructor or of itself are told in it."""
    thing = getattr(understudy, name)
    told = inspect.getdoc(thing) or ""

    assert told
    if inspect.isfunction(thing):
        for parameter in inspect.signature(thing).parameters:
            assert f"{parameter}:" in told or f"*{parameter}" in told, parameter


@pytest.mark.parametrize("kind", [understudy.Fake, understudy.Client, understudy.AsyncClient, understudy.Receiver])
def test_every_public_method_is_documented(kind: type) -> None:
    """Each method and property of the classes that people hold in their hands has a docstring."""
    for name, member in vars(kind).items():
        if not name.startswith("_"):
            assert inspect.getdoc(member), f"{kind.__name__}.{name}"


@pytest.mark.parametrize("module", [fake, client, async_client, receiver], ids=lambda module: module.__name__)
def test_the_examples_in_docstrings_run(module: object) -> None:
    """The examples in the docstrings show what happens."""
    failed, _ = doctest.testmod(module, verbose=False)  # type: ignore[arg-type]

    assert failed == 0
