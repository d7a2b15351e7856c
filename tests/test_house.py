"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[1]

# What tools leave behind, and what starts with a dot apart from these.
GENERATED = {"__pycache__", "build", "dist", "htmlcov", "understudy-demo"}
DOT_NAMES = {".ci", ".github", ".gitignore"}

# Each pattern is written so that it does not match itself.
MACHINE_PATHS = re.compile(
    r"\.\./[s]hared|/[w]ork/"  # where this project was first written
    r"|(?<![\w.])/(?:home|root|Users)/[\w.]"
    r"|\b[A-Z]:\\Users\\"
)

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)|^\[[^\]]+\]:\s*<?([^\s>]+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
ANCHOR = re.compile(r"""<a (?:id|name)=["']([^"']+)""")


def project_files() -> Iterator[Path]:
    """Yield every file that people wrote."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if is_written(name)]
        yield from (Path(folder, name) for name in names if is_written(name))


def is_written(name: str) -> bool:
    """Tell a file or folder that people write from one that tools leave behind."""
    return name in DOT_NAMES if name.startswith(".") else name not in GENERATED


def documents() -> list[Path]:
    """Return the documents whose links are checked."""
    patterns = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/**/*.md")
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document, named as GitHub names them."""
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    found = set(ANCHOR.findall(text))
    for heading in HEADING.findall(text):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        repeats = (f"{slug}-{number}" for number in range(1, 100))
        found.add(next(name for name in (slug, *repeats) if name not in found))
    return found


def broken_links(document: Path) -> Iterator[str]:
    """Yield one line for each relative link of a document that leads nowhere."""
    text = CODE.sub("", FENCE.sub("", document.read_text(encoding="utf-8")))
    for target in (inline or reference for inline, reference in LINK.findall(text)):
        if re.match(r"[a-z][a-z+.-]*:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        file = document.parent / path if path else document
        if not file.exists():
            yield f"{document.relative_to(ROOT)}: no file for {target}"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield f"{document.relative_to(ROOT)}: no anchor for {target}"


def test_every_test_says_what_must_hold():
    """Each test has a docstring."""
    silent = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
        for file in sorted(ROOT.glob("tests/**/test_*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent, "no docstring: " + ", ".join(silent)


def test_no_file_names_a_machine():
    """No file of the project speaks of a path that exists on one machine only."""
    found = [
        f"{file.relative_to(ROOT)}:{number} {line.strip()}"
        for file in project_files()
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if MACHINE_PATHS.search(line)
    ]
    assert not found, "\n".join(found)


def test_every_relative_link_leads_somewhere():
    """Each relative link in the documents leads to a file that exists, and each anchor to a heading."""
    broken = [line for document in documents() for line in broken_links(document)]
    assert not broken, "\n".join(broken)
