"""Faults: what can go wrong, each in a file of its own, which is called like the fault.

A fault is found by its file's name, and loaded when a story names it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from understudy.errors import suggestion
from understudy.faults.fault import Fault

_NO_FAULTS = {"fault"}  # what they have in common


@functools.cache
def fault_names() -> tuple[str, ...]:
    """Return the names of all faults, in alphabetical order."""
    modules = {module.name for module in pkgutil.iter_modules(__path__)} - _NO_FAULTS
    return tuple(sorted(module.replace("_", "-") for module in modules))


@functools.cache
def fault_class(name: str) -> type[Fault]:
    """Return a fault by its name.

    Raises:
        ValueError: There is none of that name; it says which is the nearest.
    """
    if name not in fault_names():
        raise ValueError(f'there is no fault "{name}"; {suggestion(name, fault_names())}')
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Fault) and value.__module__ == module.__name__
    )
