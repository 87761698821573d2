# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Products of vectors against numpy's own."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.geometry.vectors import cross, dot, lengths


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((5, 3), (3,)), ((4, 1, 3), (4, 6, 3))])
def test_products_match_numpy(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=shape) for shape in shapes)
    assert cross(a, b) == pytest.approx(np.cross(a, b))
    assert dot(a, b) == pytest.approx(np.sum(a * b, axis=-1))
    assert lengths(b) == pytest.approx(np.linalg.norm(b, axis=-1))
