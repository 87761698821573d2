# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Parts of the benchmark from rooms that it may not import: stages of the ROS shell, and the paper's models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from crack_perception.cli.common import require_packages
from crack_perception.errors import UserError
from crack_perception.evaluation.benchmark.contenders import Reference
from crack_perception.evaluation.benchmark.stages import Scene
from crack_perception.geometry.poses.motion import MovingPose
from crack_perception.geometry.projection import NoiseModel
from crack_perception.geometry.surface.plane import SURFACE_VERTICAL, assumed_plane
from crack_perception.geometry.surface.range import RangeReading
from crack_perception.inspection.analysis import CrackDetection, SeverityConfig, analyse
from crack_perception.recognition.measurement import MeasuredRegion
from crack_perception.recognition.severity import SeverityScale
from crack_perception.ros.detector.messages import crack_points, detections_2d, detections_3d
from crack_perception.vision.annotate import Label

_MAP_FRAME = "map"
_NORMAL_SIGMA_RAD = 0.09


class ShellParts:
    """Stages of the node after inference, with default settings."""

    def __init__(self) -> None:
        self._scale = SeverityScale.of_preset("aashto")
        self._config = SeverityConfig(self._scale, 1.0)
        self._noise = NoiseModel()

    def place(self, scene: Scene, regions: Sequence[MeasuredRegion]) -> list[CrackDetection]:
        """Return the detections of a frame's regions: severity, size and location."""
        motion = MovingPose(scene.camera_in_map, np.zeros(3), np.zeros(3))
        reading = RangeReading(scene.range_m, 0.01 + 0.02 * scene.range_m, "range")
        plane = assumed_plane(reading, SURFACE_VERTICAL, motion.pose, _NORMAL_SIGMA_RAD)
        return analyse(regions, self._config, scene.camera, lambda box: plane, motion, self._noise)

    def messages(self, header: Any, detections: Sequence[CrackDetection]) -> list[Any]:
        """Return their messages."""
        return [
            detections_2d(header, detections, self._scale),
            crack_points(header, _MAP_FRAME, detections),
            detections_3d(header, _MAP_FRAME, detections, self._scale),
        ]

    def labels(self, detections: Sequence[CrackDetection]) -> list[Label]:
        """Return their labels in an annotated picture."""
        return [
            Label(
                detection.crack.region.box,
                detection.summary(),
                self._scale.relative_severity(detection.severity.verdict),
                tuple(line.points_px for line in detection.lines),
            )
            for detection in detections
        ]


def missing_paper_models() -> str:
    """Return the reason why the paper's models cannot be built here; empty if they can."""
    try:
        require_packages("torch", "sklearn", "onnx")
    except UserError as error:
        return str(error)
    return ""


def paper_models(progress: Callable[[str], None]) -> list[Reference]:
    """Build the paper's uncompressed models; none if the training packages are missing."""
    if missing_paper_models():
        return []
    from crack_perception.training.paper.speed_contenders import BACKBONES, speed_contender

    models: list[Reference] = []
    for name in BACKBONES:
        progress(f"  building {name}")
        models.append(speed_contender(name))
    return models
