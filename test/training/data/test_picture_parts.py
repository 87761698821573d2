# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Square parts of pictures: places, sides, and the stored array."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.training.data.picture_parts import SIDE_SHARES, load_parts, random_part


def test_random_part_is_a_square_inside_the_picture() -> None:
    """The red channel is the column and the green one the row, so that a part tells where it was cut."""
    rows, columns = np.mgrid[:120, :200]
    picture = np.stack([np.zeros_like(rows), rows, columns], axis=-1).astype(np.uint8)
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(50):
        part = random_part(picture, 64, rng).astype(int)
        assert part.shape == (64, 64, 3)
        width, height = np.ptp(part[..., 2]) + 1, np.ptp(part[..., 1]) + 1
        assert abs(width - height) <= 3
        shares.append(width / 120)
    assert SIDE_SHARES[0] - 0.05 < min(shares) < 0.5 and 0.8 < max(shares) <= SIDE_SHARES[1]


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3)])
def test_random_part_of_a_tiny_picture_is_enlarged(shape: tuple[int, int]) -> None:
    part = random_part(np.full((*shape, 3), 7, np.uint8), 32, np.random.default_rng(0))
    assert part.shape == (32, 32, 3) and (part == 7).all()


def test_load_parts_second_call_uses_cache(tmp_path: Path) -> None:
    files = []
    for level in (40, 200):
        files.append(tmp_path / f"{level}.png")
        grain = np.random.default_rng(0).integers(0, 3, (50, 80, 3))
        cv2.imwrite(str(files[-1]), (level + grain).astype(np.uint8))
    cache = tmp_path / "cache"
    parts = load_parts(files, 3, 32, 0, cache, "parts")
    assert parts.shape == (6, 32, 32, 3)
    assert parts.mean(axis=(1, 2, 3)) == pytest.approx([41, 41, 41, 201, 201, 201], abs=0.5)
    (stored,) = cache.iterdir()
    before = stored.stat().st_mtime_ns
    np.testing.assert_array_equal(load_parts(files, 3, 32, 0, cache, "parts"), parts)
    assert stored.stat().st_mtime_ns == before
    load_parts(files, 3, 32, 1, cache, "parts")
    assert len(list(cache.iterdir())) == 2


def test_load_parts_unreadable_picture_is_named_and_nothing_stored(tmp_path: Path) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError) as refusal:
        load_parts([tmp_path / "torn.jpg"], 2, 32, 0, tmp_path / "cache", "parts")
    assert "torn.jpg" in refusal.value.problem
    assert not list((tmp_path / "cache").glob("*.npy"))
