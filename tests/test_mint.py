"""Tests of the minting of ids."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.mint import mint

pieces = st.sampled_from(
    ["{hex:32}", "{hex:7}", "{digits:13}", "{base32:26}", "{base32:1}", "{uuid}", "task_", "-", "é"]
)


@given(st.lists(pieces).map("".join), st.integers())
def test_the_same_seed_mints_the_same_ids(pattern: str, seed: int) -> None:
    """Two sources of one seed mint the same ids, one after another."""
    first, second = random.Random(seed), random.Random(seed)
    assert [mint(pattern, first) for _ in range(3)] == [mint(pattern, second) for _ in range(3)]


@pytest.mark.parametrize(
    ("pattern", "shape"),
    [
        ("{hex:32}", r"[0-9a-f]{32}"),
        ("{hex:5}", r"[0-9a-f]{5}"),
        ("{digits:13}", r"[0-9]{13}"),
        ("{base32:26}", r"[a-z2-7]{26}"),
        ("{uuid}", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
        ("task_{hex:4}_{digits:2}", r"task_[0-9a-f]{4}_[0-9]{2}"),
        ("{roman:4}", r"\{roman:4\}"),
    ],
)
def test_an_id_has_the_shape_of_its_pattern(pattern: str, shape: str) -> None:
    """Each piece gives as many letters of its alphabet as it says; text around it stays."""
    source = random.Random(0)
    ids = {mint(pattern, source) for _ in range(20)}
    assert all(re.fullmatch(shape, one) for one in ids)
    assert len(ids) == (1 if "roman" in pattern else 20)
