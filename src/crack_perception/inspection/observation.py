# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Conversion of the located cracks of a frame to an observation of the crack map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from crack_perception.geometry.line_lifting import LiftedLine
from crack_perception.inspection.analysis import CrackDetection, located
from crack_perception.mapping.observation import CrackObservation, FrameObservation
from crack_perception.recognition.measurement import line_score

Array = npt.NDArray[np.float64]


def observation_of(
    detections: Sequence[CrackDetection], stamp_ns: int, source: str, footprint_m: Array
) -> FrameObservation:
    """Return the observation of a frame: one crack observation per measured line with a location in the map.

    A frame with a region that was not measured completely or has no location is marked as incomplete.

    Args:
        detections: Cracked regions of the frame.
        stamp_ns: Time of the image.
        source: Name of the camera.
        footprint_m: (M, 3) outline in the map of the inspected surface; (0, 3) where it is unknown.
    """
    lines = [
        _observed(line, detection, location.covariance[:3, :3])
        for _, detection, location in located(detections)
        for line in detection.map_lines
    ]
    return FrameObservation(
        stamp_ns=stamp_ns,
        source=source,
        footprint_m=footprint_m,
        observations=tuple(lines),
        is_complete=all(detection.is_measured and detection.location is not None for detection in detections),
    )


def _observed(line: LiftedLine, detection: CrackDetection, covariance_m2: Array) -> CrackObservation:
    resolutions = line.gsd_mm_per_px[line.gsd_mm_per_px > 0.0]
    is_measured = np.isfinite(line.width_mm) & np.isfinite(line.width_sigma_mm) & (line.width_mm >= 0.0)
    return CrackObservation(
        line_m=line.points_m,
        width_mm=np.where(is_measured, line.width_mm, np.nan),
        width_sigma_mm=np.where(is_measured, line.width_sigma_mm, np.nan),
        normal=line.normal,
        covariance_m2=covariance_m2,
        gsd_mm_per_px=float(np.median(resolutions)) if len(resolutions) else float("nan"),
        score=float(np.clip(detection.crack.region.score * line_score(detection.lines[line.rank]), 0.0, 1.0)),
    )
