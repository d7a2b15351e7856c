"""`understudy new`: write the two folders of a provider from a template that is complete, and commented."""

from __future__ import annotations

import keyword
import re
import shutil
from contextlib import ExitStack
from pathlib import Path

from understudy.errors import UsageError, writing
from understudy.folders import bundled_root, document_of

_LONGEST = 40  # a name is a part of host names, too, and those have bounds
_FIXTURES = ("request", "understudy", "understudy-server")  # what is there by these names under pytest
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_TEMPLATE = Path(__file__).parent / "template"
_PLACEHOLDER = "{{name}}"


def write_provider(name: str, folder: Path) -> list[Path]:
    """Write the contract and the fake of a new provider.

    Args:
        name: The provider's name: lower case, digits and hyphens.
        folder: Where `contracts/` and `fakes/` are, or shall be.

    Returns:
        The files that were written.

    Raises:
        UsageError: The name cannot be one, or is taken, or the files cannot be written.
    """
    _check_name(name)
    targets = {"contract": folder / "contracts" / name, "fake": folder / "fakes" / name}
    for target in targets.values():
        if target.exists() or target.is_symlink():
            raise UsageError(f"{target} is there already, and is left as it is: choose another name or --folder")
    written = []
    with writing(folder, "--folder"), ExitStack() as undo:
        for target in targets.values():
            target.mkdir(parents=True)
            undo.callback(shutil.rmtree, target, ignore_errors=True)
        for part, target in targets.items():
            for source in sorted((_TEMPLATE / part).rglob("*.yaml")):
                path = target / source.relative_to(_TEMPLATE / part)
                path.parent.mkdir(exist_ok=True)
                path.write_text(source.read_text(encoding="utf-8").replace(_PLACEHOLDER, name), encoding="utf-8")
                written.append(path)
        undo.pop_all()
    return written


def _check_name(name: str) -> None:
    """Refuse a name that no folder, host and test fixture could have alike, or that is a bundled provider's."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        rule = f"lower case, digits and single hyphens between them, a letter first, {_LONGEST} characters at most"
        raise UsageError(f'"{name}" cannot name a provider: {rule}; try "{_likely(name)}"')
    if keyword.iskeyword(name) or name in _FIXTURES:
        raise UsageError(f'"{name}" cannot name a provider: no test could have a fixture by it; try "my-{name}"')
    if document_of(bundled_root() / "contracts" / name) is not None:
        raise UsageError(f'"{name}" comes with the package, and would be hidden by a new one: choose another name')


def _likely(name: str) -> str:
    """Return the valid name that is most like one that is not."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    text = "-".join(words).lstrip("0123456789-")[:_LONGEST].rstrip("-")
    return text or "my-provider"
