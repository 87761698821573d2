# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of scratch memory: reuse, growth, and release of large blocks."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.vision.scratch import Scratch


def test_scratch_same_use_same_memory() -> None:
    scratch = Scratch()
    first = scratch.array("plane", (30, 40), np.float32)
    smaller = scratch.array("plane", (5, 7), np.int32)
    assert (smaller.shape, smaller.dtype) == ((5, 7), np.int32)
    assert np.shares_memory(first, smaller)
    assert not np.shares_memory(first, scratch.array("other plane", (30, 40), np.float32))


def test_scratch_larger_request_grows() -> None:
    scratch = Scratch()
    scratch.array("plane", (3, 4), np.uint8)
    plane = scratch.array("plane", (300, 400), np.float32)
    plane.fill(1.0)
    assert plane.sum() == 120000


@pytest.mark.parametrize(("megapixels", "is_kept"), [(2, True), (8, False)])
def test_scratch_larger_than_frame_released(megapixels: int, is_kept: bool) -> None:
    scratch = Scratch()
    first, second = (scratch.array("plane", (megapixels, 1_000_000), np.float32) for _ in range(2))
    assert np.shares_memory(first, second) == is_kept
