"""Centre lines and widths of the cracks inside a flagged region, without segmentation."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.crack_line import CrackLine
from crack_perception.vision.crack_tracing import trace_lines
from crack_perception.vision.cross_sections import cross_sections
from crack_perception.vision.ridges import find_ridges
from crack_perception.vision.width_fit import fit_widths

# What lies beside the tiles is looked at, so that lines and profiles are right up to the tiles' edges.
_MARGIN_PX = 24


def measure_crack_lines(
    frame_bgr: npt.NDArray[np.uint8], tile_boxes: npt.NDArray[np.int32], expected_width_px: float
) -> list[CrackLine]:
    """Crack lines inside the flagged tiles of one region, longest first.

    Args:
        frame_bgr: (H, W, 3) the whole frame.
        tile_boxes: (K, 4) left, top, right, bottom of the tiles in pixels, right and bottom exclusive.
        expected_width_px: Crack width that the model read.
    """
    if len(tile_boxes) == 0:
        return []
    height, width = frame_bgr.shape[:2]
    left, top = np.maximum(tile_boxes[:, :2].min(axis=0) - _MARGIN_PX, 0)
    right, bottom = np.minimum(tile_boxes[:, 2:].max(axis=0) + _MARGIN_PX, [width, height])
    grey = cv2.cvtColor(frame_bgr[top:bottom, left:right], cv2.COLOR_BGR2GRAY).astype(np.float32)
    mask = np.zeros(grey.shape, np.bool_)
    for x0, y0, x1, y1 in tile_boxes - np.array([left, top, left, top]):
        mask[y0:y1, x0:x1] = True
    ridges = find_ridges(grey, mask, 3)
    traced = trace_lines(ridges, grey.shape)
    if not traced:
        return []
    sections = cross_sections(grey, traced)
    fit = fit_widths(sections)
    centres = sections.stations_px + fit.centre_px[:, None] * sections.normals + [left, top]
    lines = []
    for index, line in enumerate(traced):
        own = sections.line == index
        lines.append(CrackLine(centres[own], fit.width_px[own], fit.sigma_px[own], line.snr))
    return lines
