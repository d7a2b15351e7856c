"""The bounds on how long a file may get. Reading is the bottleneck; a file that wants more wants to be two."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULE_LINES = 500
TALK_LINES = 350
README_LINES = 120


def longer_than(limit: int, *patterns: str) -> list[str]:
    """Return one line for each file of the project that matches a pattern and has more than `limit` lines."""
    files = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
    counts = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    return [f"{name}: {count} lines" for name, count in counts.items() if count > limit]


def test_no_module_is_too_long():
    """No module has more than 500 lines; those with more than 350 are listed, to ask whether they want to be two."""
    for line in longer_than(TALK_LINES, "src/**/*.py"):
        print(f"over {TALK_LINES}, worth a talk: {line}")
    too_long = longer_than(MODULE_LINES, "src/**/*.py", "tests/**/*.py")
    assert not too_long, f"over {MODULE_LINES} lines: " + ", ".join(too_long)


def test_the_readme_is_short():
    """The README has no more than 120 lines."""
    too_long = longer_than(README_LINES, "README.md")
    assert not too_long, f"over {README_LINES} lines: " + ", ".join(too_long)
