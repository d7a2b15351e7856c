"""`understudy export`: write a provider in the format of another tool."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from understudy.behaviour import Behaviour
from understudy.contract.model import Contract
from understudy.errors import writing
from understudy.export.arazzo import as_arazzo
from understudy.export.mermaid import as_mermaid
from understudy.export.openapi import as_openapi
from understudy.export.pact import as_pact
from understudy.export.stories import as_stories
from understudy.folders import find_provider
from understudy.library import load_provider
from understudy.lifecycle import Json

#: Each format, and what writes it: JSON as data, or text.
WRITERS: dict[str, Callable[[Contract, Behaviour], Json]] = {
    "har": as_stories,
    "openapi": as_openapi,
    "arazzo": as_arazzo,
    "pact": as_pact,
    "mermaid": lambda contract, behaviour: as_mermaid(contract),
}


def run(provider: str, *, format: str, out: Path | None = None) -> int:
    """Write a provider in a format.

    Args:
        provider: Its name, or a contract folder.
        format: One of `WRITERS`.
        out: The file; None for standard output.

    Returns:
        The exit code, which is 0.

    Raises:
        UsageError: There is no such provider, or the file cannot be written.
        ContractInvalid: A file of the provider cannot be used.
    """
    written = WRITERS[format](*load_provider(find_provider(provider)))
    text = written if isinstance(written, str) else json.dumps(written, indent=2, ensure_ascii=False) + "\n"
    if out is None:
        sys.stdout.write(text)
        return 0
    with writing(out, "--out"):
        out.write_text(text, encoding="utf-8")
    return 0
