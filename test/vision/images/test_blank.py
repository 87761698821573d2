# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frames of which a part is lost are found; borders and pictures are not taken for that."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.vision.images.blank import blank_rows, lost_part


def frame() -> np.ndarray:
    return np.random.default_rng(3).integers(100, 120, (120, 160, 3), dtype=np.uint8)


@pytest.mark.parametrize("colour", [(0, 0, 0), (0, 135, 0), (128, 128, 128), (255, 255, 255)])
def test_lost_part_band_inside_or_whole_frame_is_found(colour: tuple[int, int, int]) -> None:
    pixels = frame()
    assert lost_part(pixels) == ""
    pixels[40:50] = colour
    assert lost_part(pixels) == f"rows 40 to 49 have the same colour (BGR {list(colour)})"
    pixels[:] = colour
    assert lost_part(pixels) == f"all of its pixels have the same colour (BGR {list(colour)})"


def test_lost_part_borders_few_rows_and_columns_are_accepted() -> None:
    pixels = frame()
    pixels[:30] = pixels[-30:] = 0
    pixels[60:64] = 255
    pixels[:, 20:40] = 0
    assert lost_part(pixels) == ""


def test_blank_rows_equal_samples_do_not_suffice() -> None:
    pixels = np.full((4, 160, 3), 90, np.uint8)
    pixels[1, 70] = 91
    pixels[2, :, 0] = 7
    assert blank_rows(pixels).tolist() == [True, False, True, True]


def test_lost_part_flat_wall_of_another_colour_is_accepted() -> None:
    assert lost_part(np.full((120, 160, 3), 170, np.uint8)) == ""
    assert lost_part(np.full((120, 160, 3), (41, 120, 201), np.uint8)) == ""
