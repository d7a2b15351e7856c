"""Every bundled recording, played against its fake."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy import consistency
from understudy.contract.closed import check_closed
from understudy.contract.loader import load
from understudy.folders import bundled_root, find_provider
from understudy.library import load_provider
from understudy.playback import play

RECORDINGS = sorted(bundled_root().glob("contracts/*/recordings/*.yaml"))


def test_there_are_recordings():
    """Each bundled provider has a recording."""
    providers = {path.parents[1].name for path in RECORDINGS}
    assert providers == {path.name for path in bundled_root().glob("contracts/*")}


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_the_fake_reproduces_what_was_recorded(path: Path):
    """Every recorded member comes back from the fake, or the recording says why not."""
    contract, behaviour = load_provider(find_provider(str(path.parents[1])))
    document = load(path)
    assert check_closed(document, "recording")
    consistency.check_recording(contract, behaviour, document)
    playback = play(contract, behaviour, document)
    assert not document.problems, "\n".join(map(str, document.problems))
    assert playback.reproduced
