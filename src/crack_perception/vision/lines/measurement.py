# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Centrelines and widths of the cracks inside a cracked region, without segmentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.lines.cross_sections import CrossSections, cross_sections
from crack_perception.vision.lines.line import CrackLine
from crack_perception.vision.lines.ridges import LEVEL_SIGMA_PX, answering_pixels, ridge_points, smoothed_levels
from crack_perception.vision.lines.tracing import TracedLine, trace_lines
from crack_perception.vision.lines.width_fit import FittedWidths, fit_widths
from crack_perception.vision.scratch import Scratch

Floats = npt.NDArray[np.float64]
Points = npt.NDArray[np.complex128]

# Margin around the tiles that is searched too, so that lines and profiles are correct up to the edges of the tiles.
_MARGIN_PX = 24
_LEAST_LEVELS, _MOST_LEVELS = 3, 6
# Lines of so much length are measured at once: few calls for the small ones, and an end in sight.
_BATCH_PX = 1000
# Stations close together follow the edges of wide cracks, farther apart they see more of the faint edges of fine ones.
_SPACING_PX, _WIDE_SPACING_PX, _WIDE_SCALE_PX = 5, 2, 4.0
# Shorter than so many of its widths it is a hole, a pit or the rim of a stain.
_LEAST_WIDTHS_LONG = 5.0
# A line is darker than the surface on both sides; beside a step edge one side is hardly brighter than the line.
_LEAST_SHARE_OF_SIDES = 0.25
_SIDE_SAMPLES = 5
# A line is inside a crack if most of its points are no farther than this outside its edges.
_EDGE_PX, _MOST = 2.0, 0.6
_INSIDE_STEP = 4
# Edges are searched up to so many stations ahead and behind.
_STATIONS = 2
_TO_COMPLEX = np.array([1.0, 1.0j])


@dataclass(frozen=True)
class LineBatch:
    """Part of a region's lines.

    Attributes:
        lines: Longest first.
        is_last: Whether the region holds no others.
        is_preparation: Whether this is a step of the search, before any line was measured.
    """

    lines: list[CrackLine]
    is_last: bool
    is_preparation: bool = False


_PREPARATION = LineBatch([], is_last=False, is_preparation=True)


def crack_line_batches(
    frame_bgr: npt.NDArray[np.uint8],
    tile_boxes: npt.NDArray[np.int32],
    expected_width_px: float,
    least_strength: float = 0.0,
    turn: int = 0,
    scratch: Scratch | None = None,
) -> Iterator[LineBatch]:
    """Measure the crack lines inside the cracked tiles of one region in batches, so that the caller can stop early.

    Ridges over several scales (`ridges`) are linked to lines (`crack_tracing`), whose profiles (`cross_sections`) give
    centre and width at stations a few pixels apart (`width_fit`, :func:`edge_width_px`). Branches are lines of their
    own.

    Args:
        frame_bgr: (H, W, 3) the whole frame.
        tile_boxes: (K, 4) left, top, right, bottom of the tiles in pixels, right and bottom exclusive, inside the
            frame.
        expected_width_px: Crack width estimated by the model; widths up to four times that are searched, and always
            those up to about 15 px.
        least_strength: Weaker lines are discarded.
        turn: Which batch comes first, counted round, so that over several frames each has its turn.
        scratch: Memory to reuse; it must not serve another search before this one has ended.

    Yields:
        Nothing after every step on the way to traced lines, and then measured ones, whose ``strength`` is the mean
        answer of the ridge filter in deviations of the surface's own answers. With ``turn`` 0 the longest lines come
        first.
    """
    if len(tile_boxes) == 0:
        yield LineBatch([], is_last=True)
        return
    scratch = scratch or Scratch()
    levels = _levels(expected_width_px)
    corner = np.maximum(tile_boxes[:, :2].min(axis=0) - _MARGIN_PX, 0)
    end = tile_boxes[:, 2:].max(axis=0) + _MARGIN_PX
    # Whole pixels of the coarsest level need no filling up.
    right, bottom = np.minimum(end + (corner - end) % 2**levels, frame_bgr.shape[1::-1])
    grey = _grey(frame_bgr[corner[1] : bottom, corner[0] : right], scratch)
    mask = scratch.array("mask", grey.shape, np.uint8)
    mask.fill(0)
    for x0, y0, x1, y1 in tile_boxes - np.tile(corner, 2):
        mask[y0:y1, x0:x1] = 255
    pyramid = smoothed_levels(grey, mask, levels, scratch)
    yield _PREPARATION
    pixels = answering_pixels(pyramid, mask)
    yield _PREPARATION
    ridges = ridge_points(pyramid, pixels)
    yield _PREPARATION
    traced = trace_lines(ridges, grey.shape, least_strength, scratch)
    yield _PREPARATION
    batches = _batches(_outside_each_other(traced))
    if not batches:
        yield LineBatch([], is_last=True)
    for index in range(len(batches)):
        lines = _measured(grey, batches[(index + turn) % len(batches)], corner)
        yield LineBatch(lines, is_last=index == len(batches) - 1)


def _grey(bgr: npt.NDArray[np.uint8], scratch: Scratch) -> npt.NDArray[np.float32]:
    size = (bgr.shape[0], bgr.shape[1])
    levels = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY, dst=scratch.array("grey levels", size, np.uint8))
    grey = scratch.array("grey", size, np.float32)
    np.copyto(grey, levels)
    return grey


def _levels(expected_width_px: float) -> int:
    """Return the number of scales: the widest bar that the last one suits is twice the expected one."""
    octaves = np.log2(max(expected_width_px, 1.0) / LEVEL_SIGMA_PX)
    return int(np.clip(np.ceil(octaves) + 1, _LEAST_LEVELS, _MOST_LEVELS))


def _outside_each_other(lines: list[TracedLine]) -> list[TracedLine]:
    """Return the lines, longest first, without those that are texture inside a wider and longer line."""
    kept: list[TracedLine] = []
    for line in lines:
        points = line.points_px[::_INSIDE_STEP]
        if not any(_runs_inside(points, longer) for longer in kept):
            kept.append(line)
    return kept


def _runs_inside(points: Floats, longer: TracedLine) -> bool:
    # The response of a line is largest at the scale of half its width.
    reach_px = longer.scale_px + _EDGE_PX
    other = longer.points_px[::_INSIDE_STEP]
    if (points.min(axis=0) > other.max(axis=0) + reach_px).any() or (
        points.max(axis=0) < other.min(axis=0) - reach_px
    ).any():
        return False
    away_x, away_y = (np.subtract.outer(points[:, axis], other[:, axis]) for axis in (0, 1))
    away_x *= away_x
    away_y *= away_y
    away_x += away_y
    # Half a step lies between a point and the next one of the other line.
    return bool((away_x.min(axis=1) < reach_px**2 + (_INSIDE_STEP / 2) ** 2).mean() > _MOST)


def _batches(lines: list[TracedLine]) -> list[list[TracedLine]]:
    """Group lines of similar scale into batches that are measured in one call."""
    batches: list[list[TracedLine]] = []
    for group in (
        [line for line in lines if line.scale_px < _WIDE_SCALE_PX],
        [line for line in lines if line.scale_px >= _WIDE_SCALE_PX],
    ):
        length_px = _BATCH_PX
        for line in group:
            if length_px >= _BATCH_PX:
                batches.append([])
                length_px = 0
            batches[-1].append(line)
            length_px += len(line.points_px)
    return batches


def _measured(
    grey: npt.NDArray[np.float32], traced: list[TracedLine], corner: npt.NDArray[np.int32]
) -> list[CrackLine]:
    spacing_px = _SPACING_PX if traced[0].scale_px < _WIDE_SCALE_PX else _WIDE_SPACING_PX
    sections = cross_sections(grey, traced, spacing_px)
    fit = fit_widths(sections)
    centres, width_px = centre_line_px(sections, fit) + corner, edge_width_px(sections, fit)
    ends = np.append(sections.starts[1:], len(sections.line))
    lines = []
    for index, two_sided in enumerate(_two_sided(sections)):
        own = slice(sections.starts[index], ends[index])
        line = CrackLine(centres[own], width_px[own], fit.sigma_px[own], traced[index].snr)
        if two_sided and line.length_px >= _LEAST_WIDTHS_LONG * float(line.width_px.mean()):
            lines.append(line)
    return lines


def _two_sided(sections: CrossSections) -> npt.NDArray[np.bool_]:
    """Return which lines (L,) are darker than the surface on both sides, on average."""
    middle = sections.levels.shape[1] // 2
    dark = sections.levels[:, middle - 1 : middle + 2].min(axis=1)
    sides = np.stack([sections.levels[:, :_SIDE_SAMPLES], sections.levels[:, -_SIDE_SAMPLES:]]).mean(axis=2)
    contrast = np.add.reduceat(sides - dark, sections.starts, axis=1)
    return np.asarray(contrast.min(axis=0) >= _LEAST_SHARE_OF_SIDES * contrast.max(axis=0))


def edge_width_px(sections: CrossSections, fit: FittedWidths) -> Floats:
    """Return widths (S,): the distances from the centre to the edge lines through neighbouring stations, summed.

    The normals of a smoothed centre line cut a wide, closely winding crack obliquely, so that widths along them are a
    few per cent too large. The distance to the nearest edge, as in a distance transform, has no such error.
    """
    centres = centre_line_px(sections, fit) @ _TO_COMPLEX
    half = fit.width_px / 2 * (sections.normals @ _TO_COMPLEX)
    one, other = _nearest_px(centres, np.stack([centres + half, centres - half]), sections)
    return np.asarray(one + other)


def centre_line_px(sections: CrossSections, fit: FittedWidths) -> Floats:
    """Return the middles (S, 2) of the crack at the stations."""
    return sections.stations_px + fit.centre_px[:, None] * sections.normals


def _nearest_px(centres: Points, edges: Points, sections: CrossSections) -> Floats:
    """Return the distance (E, S) of every centre (S,) from the segments of every edge (E, S) near its station."""
    count = len(centres)
    first = sections.starts[sections.line]
    last = np.append(sections.starts[1:], count)[sections.line] - 1
    shifts = np.arange(-_STATIONS, _STATIONS + 1)[:, None]
    near = edges[:, np.clip(np.arange(count) + shifts, first, last)]
    along, from_start = near[:, 1:] - near[:, :-1], centres - near[:, :-1]
    squared = along.real**2 + along.imag**2
    share = (from_start.real * along.real + from_start.imag * along.imag) / np.maximum(squared, 1e-12)
    return np.asarray(np.abs(from_start - share.clip(0, 1) * along).min(axis=1))
