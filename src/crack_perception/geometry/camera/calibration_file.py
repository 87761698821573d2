# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Camera calibration files of ROS (camera_calibration, camera_info_manager)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from crack_perception.documents import parse_yaml
from crack_perception.errors import UserError
from crack_perception.geometry.camera.calibration import Calibration
from crack_perception.geometry.camera.models import CameraModel

_MOST_BYTES = 1 << 20


def read_camera_file(path: Path) -> CameraModel:
    """Read a calibration as YAML: ``image_width``, ``camera_matrix``, ``distortion_model`` and so on.

    Raises:
        UserError: The file cannot be read, or is no calibration of a camera.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path}: is no calibration, it has {path.stat().st_size} bytes", "Check the path")
        document = parse_yaml(path.read_text(encoding="utf-8"))
        matrix, lens = _numbers(document["camera_matrix"]), _numbers(document["distortion_coefficients"])
        calibration = Calibration(
            width_px=int(document["image_width"]),
            height_px=int(document["image_height"]),
            k=matrix,
            d=lens,
            distortion_model=str(document.get("distortion_model", "plumb_bob")),
        )
        if len(matrix) != 9:
            raise ValueError(f"camera_matrix has {len(matrix)} of 9 numbers")
        return calibration.camera(is_rectified=False)
    except UserError as error:
        text = error.problem.replace("camera_info", "the calibration")
        raise UserError(text if str(path) in text else f"{path}: {text}", error.remedy) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})", "Check the path") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: is no camera calibration ({reason})", "Give a file of camera_calibration") from error


def _numbers(entry: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in (entry["data"] if isinstance(entry, dict) else entry))
