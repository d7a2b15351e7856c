"""A client comes through everything: no job is lost, none is paid for twice, every wait ends."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.ordeal import INPUTS, REACHED, Ordeal, combinations

pytestmark = pytest.mark.unmeasured

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EXAMPLES = {"quick": 20, "nightly": 2000}.get(os.environ.get("HYPOTHESIS_PROFILE", ""), 100)


def test_a_client_comes_through_everything() -> None:
    """Whatever goes wrong, what was promised holds; in the nightly run every fault is met everywhere it can strike."""
    given = settings(
        max_examples=EXAMPLES,
        stateful_step_count=25,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Ordeal, settings=given)
    if NIGHTLY:
        rows = [
            (provider, fault, part, REACHED[provider, fault, part])
            for provider in INPUTS
            for fault, part in combinations(provider)
        ]
        sys.stdout.writelines(f"{row[0]:<9} {row[1]:<26} {row[2]:<9} {row[3]:>6}\n" for row in rows)
        missed = [row[:3] for row in rows if not row[3]]
        assert not missed, f"never met: {missed}"
