# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Calibration files of camera_calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.geometry.camera.calibration_file import read_camera_file

TEXT = """
image_width: 640
image_height: 480
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [600.0, 0.0, 320.0, 0.0, 610.0, 241.0, 0.0, 0.0, 1.0]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.1, 0.02, 0.001, 0.002, 0.0]}
"""


def test_camera_file_gives_the_camera(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(TEXT)
    camera = read_camera_file(path)
    assert (camera.width_px, camera.height_px, camera.distortion_model) == (640, 480, "plumb_bob")
    np.testing.assert_array_equal(camera.k, [[600, 0, 320], [0, 610, 241], [0, 0, 1]])
    np.testing.assert_array_equal(camera.d, [-0.1, 0.02, 0.001, 0.002, 0.0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [1",
        "image_width: 640",
        TEXT.replace("600.0, 0.0, 320.0, ", ""),
        TEXT.replace("600.0", "0.0"),
        TEXT.replace("plumb_bob", "pincushion"),
        TEXT.replace("640", "wide"),
    ],
)
def test_camera_file_that_is_none_names_itself(tmp_path: Path, text: str) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_camera_file(path)
    assert str(path) in str(error.value) and "camera_info" not in error.value.problem
