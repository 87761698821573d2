"""Parts of the benchmark from rooms that it may not import: stages of the ROS shell, and the paper's models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from crack_perception.cli.common import require_packages
from crack_perception.errors import UserError
from crack_perception.evaluation.benchmark.contenders import Reference
from crack_perception.evaluation.benchmark.stages import Scene
from crack_perception.geometry.poses.buffer import MovingPose
from crack_perception.geometry.projection import NoiseModel
from crack_perception.geometry.surface.plane import SURFACE_VERTICAL, assumed_plane
from crack_perception.geometry.surface.range import RangeReading
from crack_perception.recognition.measurement import MeasuredRegion
from crack_perception.recognition.severity import SeverityScale
from crack_perception.ros.common.crack_points import crack_points
from crack_perception.ros.detector.analysis import Finding, Judgement, analyse
from crack_perception.ros.detector.detection_messages import detections_2d, detections_3d
from crack_perception.vision.annotate import Label

_MAP_FRAME = "map"
_NORMAL_SIGMA_RAD = 0.09


class ShellParts:
    """Stages of the node after inference, with default settings."""

    def __init__(self) -> None:
        self._scale = SeverityScale.of_preset("aashto")
        self._judgement = Judgement(self._scale, 1.0)
        self._noise = NoiseModel()

    def place(self, scene: Scene, regions: Sequence[MeasuredRegion]) -> list[Finding]:
        """Findings of a frame's regions: severity, size and place."""
        motion = MovingPose(scene.camera_in_map, np.zeros(3), np.zeros(3))
        reading = RangeReading(scene.range_m, 0.01 + 0.02 * scene.range_m, "range")
        plane = assumed_plane(reading, SURFACE_VERTICAL, motion.pose, _NORMAL_SIGMA_RAD)
        return analyse(regions, self._judgement, scene.camera, lambda box: plane, motion, self._noise)

    def messages(self, header: Any, findings: Sequence[Finding]) -> list[Any]:
        """The messages that tell of them."""
        return [
            detections_2d(header, findings, self._scale),
            crack_points(header, _MAP_FRAME, findings),
            detections_3d(header, _MAP_FRAME, findings, self._scale),
        ]

    def labels(self, findings: Sequence[Finding]) -> list[Label]:
        """What an annotated picture shows of them."""
        return [
            Label(
                finding.crack.region.box,
                finding.summary(),
                self._scale.relative_severity(finding.severity.verdict),
                tuple(line.points_px for line in finding.lines),
            )
            for finding in findings
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
