"""Tests of the roster: which providers are played, and when one is to be loaded anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import (
    copy_of,
    roster_of,
)


def test_a_change_of_a_file_is_seen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider is outdated once for each change of a file, and while a file cannot be read it is not."""
    document = copy_of("kie", tmp_path)
    roster = roster_of(str(document.parent))
    assert roster.outdated() == []
    text = document.read_text(encoding="utf-8")
    document.write_text(text + "\n", encoding="utf-8")
    assert [role.name for role in roster.outdated()] == ["kie"]
    assert roster.outdated() == []
    document.write_text(text, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("understudy.roster.stamp", lambda folders: document.with_name("gone").stat())
        assert roster.outdated() == []
    assert [role.name for role in roster.outdated()] == ["kie"]


def test_a_provider_named_twice_is_played_once() -> None:
    """The same provider named twice is one provider."""
    assert [role.name for role in roster_of("kie", "kie")] == ["kie"]
