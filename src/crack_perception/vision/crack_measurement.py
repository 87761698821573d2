"""Centre lines and widths of the cracks inside a flagged region, without segmentation."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.crack_line import CrackLine
from crack_perception.vision.crack_opening import centre_line_px, opening_px
from crack_perception.vision.crack_tracing import trace_lines
from crack_perception.vision.cross_sections import CrossSections, cross_sections
from crack_perception.vision.ridges import LEVEL_SIGMA_PX, find_ridges
from crack_perception.vision.width_fit import fit_widths

Floats = npt.NDArray[np.float64]

# What lies beside the tiles is looked at, so that lines and profiles are right up to the tiles' edges.
_MARGIN_PX = 24
_LEAST_LEVELS, _MOST_LEVELS = 3, 6
# Shorter than so many of its widths it is a hole, a pit or the rim of a stain.
_LEAST_WIDTHS_LONG = 5.0
# A line is darker than the surface on both sides; beside a step edge one side is hardly brighter than the line.
_LEAST_SHARE_OF_SIDES = 0.25
_SIDE_SAMPLES = 5
# A line is inside a crack if most of its vertices are no farther than this outside its edges.
_EDGE_PX, _MOST = 2.0, 0.6


def measure_crack_lines(
    frame_bgr: npt.NDArray[np.uint8], tile_boxes: npt.NDArray[np.int32], expected_width_px: float
) -> list[CrackLine]:
    """Crack lines inside the flagged tiles of one region, longest first.

    Ridges over several scales (`ridges`) are linked to lines (`crack_tracing`), whose profiles (`cross_sections`) give
    centre and width at stations about four pixels apart (`width_fit`, `crack_opening`). Branches are lines of their
    own.

    Args:
        frame_bgr: (H, W, 3) the whole frame.
        tile_boxes: (K, 4) left, top, right, bottom of the tiles in pixels, right and bottom exclusive, inside the
            frame.
        expected_width_px: Crack width that the model read; widths of up to four times that are looked for, and always
            those up to about 15 px.

    Returns:
        The lines; ``strength`` is the mean answer of the ridge filter in deviations of the surface's own answers.
    """
    if len(tile_boxes) == 0:
        return []
    corner = np.maximum(tile_boxes[:, :2].min(axis=0) - _MARGIN_PX, 0)
    right, bottom = np.minimum(tile_boxes[:, 2:].max(axis=0) + _MARGIN_PX, frame_bgr.shape[1::-1])
    grey = cv2.cvtColor(frame_bgr[corner[1] : bottom, corner[0] : right], cv2.COLOR_BGR2GRAY).astype(np.float32)
    mask = np.zeros(grey.shape, np.uint8)
    for x0, y0, x1, y1 in tile_boxes - np.tile(corner, 2):
        mask[y0:y1, x0:x1] = 1
    traced = trace_lines(find_ridges(grey, mask, _levels(expected_width_px)), grey.shape)
    if not traced:
        return []
    sections = cross_sections(grey, traced)
    fit = fit_widths(sections)
    centres, width_px = centre_line_px(sections, fit) + corner, opening_px(sections, fit)
    lines: list[CrackLine] = []
    for index, two_sided in enumerate(_two_sided(sections)):
        own = sections.line == index
        line = CrackLine(centres[own], width_px[own], fit.sigma_px[own], traced[index].snr)
        slender = line.length_px >= _LEAST_WIDTHS_LONG * float(line.width_px.mean())
        if two_sided and slender and not any(_runs_inside(line, longer) for longer in lines):
            lines.append(line)
    return lines


def _levels(expected_width_px: float) -> int:
    """Scales to look at: the widest bar that the last one suits is twice the expected one."""
    octaves = np.log2(max(expected_width_px, 1.0) / LEVEL_SIGMA_PX)
    return int(np.clip(np.ceil(octaves) + 1, _LEAST_LEVELS, _MOST_LEVELS))


def _two_sided(sections: CrossSections) -> npt.NDArray[np.bool_]:
    """Which lines (L,) are darker than the surface on both sides, on the whole."""
    middle = sections.levels.shape[1] // 2
    dark = sections.levels[:, middle - 1 : middle + 2].min(axis=1)
    sides = np.stack([sections.levels[:, :_SIDE_SAMPLES], sections.levels[:, -_SIDE_SAMPLES:]]).mean(axis=2)
    contrast = np.add.reduceat(sides - dark, sections.starts, axis=1)
    return np.asarray(contrast.min(axis=0) >= _LEAST_SHARE_OF_SIDES * contrast.max(axis=0))


def _runs_inside(line: CrackLine, longer: CrackLine) -> bool:
    """Whether most of a line is texture inside a wider crack that has been measured already."""
    offset = line.points_px[:, None] - longer.points_px
    squared = (offset**2).sum(axis=2)
    nearest = squared.argmin(axis=1)
    inside = np.sqrt(squared.min(axis=1)) < longer.width_px[nearest] / 2 + _EDGE_PX
    return bool(inside.mean() > _MOST)
