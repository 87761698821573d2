"""What a flight could have seen: the best resolution of every piece of crack, and the area of the surfaces in view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from crack_perception.evaluation.metrics.crack_samples import CrackSamples
from crack_perception.evaluation.metrics.frame_view import FrameView
from crack_perception.evaluation.replay.detections import FloatArray
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.simulation.flight.truth import Truth, TruthFrame

_CELL_M = 0.02


def widest_px(
    truth: Truth, camera: CameraModel, cracks: Sequence[CrackSamples], frames: Iterable[TruthFrame]
) -> list[FloatArray]:
    """For every crack the greatest width (N,) in pixels that a frame saw its pieces with; 0 for unseen ones."""
    widest = [np.zeros(len(samples.lengths_m)) for samples in cracks]
    for frame in frames:
        view = FrameView(truth, camera, frame)
        for samples, best in zip(cracks, widest, strict=True):
            if samples.surface == view.surface:
                inside = view.is_inside(view.project(samples.points_m))
                if inside.any():
                    np.maximum(best, np.where(inside, np.nan_to_num(view.widths_px(samples)), 0.0), out=best)
    return widest


def seen_area_m2(truth: Truth, camera: CameraModel, frames: Iterable[TruthFrame]) -> float:
    """Area of all surfaces that was in at least one of the frames, by cells of 2 cm."""
    seen = [np.zeros(np.ceil(surface.size_m[::-1] / _CELL_M).astype(int), np.uint8) for surface in truth.surfaces]
    for frame in frames:
        outline = FrameView(truth, camera, frame).outline()
        if np.all(np.isfinite(outline)):
            cv2.fillPoly(seen[frame.surface], [np.round(outline / _CELL_M - 0.5).astype(np.int32)], 1)
    return float(sum(int(cells.sum()) for cells in seen) * _CELL_M**2)
