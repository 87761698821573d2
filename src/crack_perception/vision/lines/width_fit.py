# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Crack widths from cross-sections: a dark box seen through the lens, fitted to all profiles of a line together.

Below about twice the blur a profile shows only its integrated darkness, width times depth. What separates the two is
shared: the blur belongs to the lens, the depth to the crack. Both are estimated with the widths, from the shape of wide
stretches and from how shape and darkness vary together along the line, held by weak priors. Their remaining
uncertainty is part of the standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.vision.lines.cross_sections import CrossSections

Floats = npt.NDArray[np.float64]
Samples = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

_ITERATIONS = 3
# Blur, the standard deviation of all that is between the surface and the pixel: median and standard deviation of its
# logarithm.
_USUAL_BLUR_PX, _BLUR_SIGMA = 0.65, 0.2
# No lens is exactly Gaussian and its deviation is the same at all stations: a line holds no more information about blur
# and depth than this many independent stations.
_INFORMATIVE_STATIONS = 8
# Depth, the share of the light lost inside the crack: mean and standard deviation over
# cracks, and its variation along one crack.
_USUAL_DEPTH, _DEPTH_SIGMA, _DEPTH_VARIATION = 0.65, 0.2, 0.03
# Remaining relative error: a ragged or winding crack is wider across its smoothed centre line than across itself.
_RELATIVE_ERROR = 0.015
_CENTRE_SIGMA_SCALES = 0.7
_SLOPE_SIGMA = 0.3
_LEAST_WIDTH_PX = 0.05
_LEAST_NOISE = 0.3 / 255
# Only the crack and the surface just beside it count.
_FLANK_PX, _FLANK_BLURS = 4.0, 2.5
# Texture noise is correlated from sample to sample and edges are ragged: the scatter of widths along the line measures
# how much less information the samples hold than independent ones. Initial value, and its weight in stations.
_USUAL_SWELL, _SWELL_STATIONS = 2.0, 4
_SWELL_FROM_ITERATION = 1
_LARGEST_RATIO = 2.5
# Order of the parameters of a station; the blur, its line's, is the last column of derivatives.
_BASE, _SLOPE, _CENTRE, _WIDTH, _DEPTH, _BLUR = range(6)
_LARGEST_STEP, _LARGEST_STEP_OF_WIDTH = np.array([0.2, 0.2, 1.0, 1.5, 0.2]), 0.1
_PIXEL_PX = np.float32(1.0)
_BELL_PEAK = np.float32(1 / np.sqrt(2 * np.pi))
# From here on the width of the dark part of a profile is about that of the crack.
_PLAIN_WIDTH_PX = 4.0


@dataclass(frozen=True, eq=False)
class FittedWidths:
    """Result of the fit for every cross-section.

    Attributes:
        width_px, sigma_px: (S,) width and its standard deviation.
        centre_px: (S,) offset of the crack's middle from the station along the normal.
        depth: (S,) share of the light that is lost in the crack.
        blur_px: (L,) standard deviation of the blur of every line.
    """

    width_px: Floats
    sigma_px: Floats
    centre_px: Floats
    depth: Floats
    blur_px: Floats


def fit_widths(sections: CrossSections) -> FittedWidths:
    """Fit all cross-sections, those of one line with one blur and nearly one depth (Gauss-Newton, shared part last)."""
    line, starts = sections.line, sections.starts
    shares = sections.levels / _surroundings(sections)[:, None]
    local, depth = _first_guess(sections, shares, starts)
    blur = np.full(len(starts), np.log(_USUAL_BLUR_PX))
    swell = np.full(len(starts), _USUAL_SWELL)
    information = np.minimum(_INFORMATIVE_STATIONS / np.bincount(line), 1.0)
    centre_weight = 1 / (_CENTRE_SIGMA_SCALES * sections.scale_px) ** 2
    depth_weight = 1 / _DEPTH_VARIATION**2
    for iteration in range(_ITERATIONS):
        normal, right = _equations(sections, shares, local, blur, swell, starts)
        # The priors of the station.
        for place, weight, pull in (
            (_CENTRE, centre_weight, -local[_CENTRE]),
            (_SLOPE, 1 / _SLOPE_SIGMA**2, -local[_SLOPE]),
            (_DEPTH, depth_weight, depth[line] - local[_DEPTH]),
        ):
            normal[place, place] += weight
            right[place] += weight * pull
        # The stations' parameters are eliminated: their information on blur and depth of the line is summed.
        columns = np.zeros((5, 4, len(line)))
        columns[:, 0] = normal[:5, _BLUR]
        columns[_DEPTH, 1] = -depth_weight
        columns[:, 2] = right[:5]
        columns[_WIDTH, 3] = 1.0
        solved = _solved(normal[:5, :5], columns)
        shared = -(columns[:, :2, None] * solved[:, None, :3]).sum(axis=0)
        shared[0, 0] += normal[_BLUR, _BLUR]
        shared[1, 1] += depth_weight
        shared[0, 2] += right[_BLUR]
        shared[1, 2] += depth_weight * (local[_DEPTH] - depth[line])
        summed = np.add.reduceat(shared, starts, axis=2) * information
        summed[0, 0] += 1 / _BLUR_SIGMA**2
        summed[0, 2] -= (blur - np.log(_USUAL_BLUR_PX)) / _BLUR_SIGMA**2
        summed[1, 1] += 1 / _DEPTH_SIGMA**2
        summed[1, 2] -= (depth - _USUAL_DEPTH) / _DEPTH_SIGMA**2
        (a, b), (c, d) = summed[:, :2]
        covariance = np.array([[d, -b], [-c, a]]) / (a * d - b * c)
        move = (covariance * summed[:, 2]).sum(axis=1)
        step = solved[:, 2] - (solved[:, :2] * move[:, line]).sum(axis=1)
        largest = _LARGEST_STEP[:, None] * np.ones(len(line))
        largest[_WIDTH] += _LARGEST_STEP_OF_WIDTH * local[_WIDTH]
        local += step.clip(-largest, largest)
        local[_WIDTH] = local[_WIDTH].clip(_LEAST_WIDTH_PX)
        local[_DEPTH] = local[_DEPTH].clip(0.02, 1.0)
        blur = (blur + move[0].clip(-0.3, 0.3)).clip(np.log(0.2), np.log(4.0))
        depth = (depth + move[1].clip(-0.15, 0.15)).clip(0.02, 1.0)
        variance = solved[_WIDTH, 3]
        if iteration >= _SWELL_FROM_ITERATION:
            swell = _swell(local[_WIDTH], np.sqrt(variance), line, starts, swell)
    towards_width = solved[_WIDTH, :2]
    variance = variance + (towards_width[:, None] * covariance[:, :, line] * towards_width).sum(axis=(0, 1))
    width = local[_WIDTH]
    sigma = np.sqrt(variance + (_RELATIVE_ERROR * width) ** 2)
    return FittedWidths(width, sigma, local[_CENTRE], local[_DEPTH], np.exp(blur))


def _solved(matrices: Floats, columns: Floats) -> Floats:
    """Solutions (N, K, S) of S positive definite systems (N, N, S) at once, by Gaussian elimination."""
    matrices, columns = matrices.copy(), columns.copy()
    size = len(matrices)
    for pivot in range(size - 1):
        below = slice(pivot + 1, size)
        share = (matrices[below, pivot] / matrices[pivot, pivot])[:, None]
        matrices[below, below] -= share * matrices[pivot, below]
        columns[below] -= share * columns[pivot]
    for row in range(size - 1, -1, -1):
        columns[row] /= matrices[row, row]
        columns[:row] -= matrices[:row, row][:, None] * columns[row]
    return columns


def _surroundings(sections: CrossSections) -> Samples:
    """Brightness (S,) of the surface beside the crack: the median of the outer samples."""
    outer = np.flatnonzero(np.abs(sections.offsets_px[0]) >= 0.6 * sections.offsets_px[0, -1])
    levels = sections.levels[:, outer]
    levels.sort(axis=1)
    middle = len(outer) // 2
    return np.maximum((levels[:, middle - 1] + levels[:, middle]) / 2, np.float32(1.0))


def _first_guess(sections: CrossSections, shares: Samples, starts: Indices) -> tuple[Floats, Floats]:
    """Parameters (5, S) of the stations and depth (L,) of the lines, from the darkness near the middle."""
    offsets = sections.offsets_px
    pitch_px = offsets[:, 1] - offsets[:, 0]
    near = np.abs(offsets) <= 2.5 * sections.scale_px[:, None]
    dark = np.where(near, 1 - shares, 0).clip(0)
    peak = dark.max(axis=1)
    inside = dark > peak[:, None] / 2
    samples = np.maximum(inside.sum(axis=1), 1)
    wide = samples * pitch_px > _PLAIN_WIDTH_PX
    # A wide crack shows its width and, between the pores in it, its depth; a fine one only their product, unless it is
    # wider somewhere else.
    core = (dark * inside).sum(axis=1) / samples
    wide_stations = np.add.reduceat(wide.astype(np.float64), starts)
    plain = np.add.reduceat(np.where(wide, core, 0.0), starts) / np.maximum(wide_stations, 1)
    mostly_wide = 2 * wide_stations > np.bincount(sections.line)
    depth = np.where(mostly_wide, plain, np.maximum.reduceat(peak, starts)).clip(0.05, 0.95)
    local = np.zeros((5, len(offsets)))
    local[_BASE] = 1.0
    local[_DEPTH] = depth[sections.line]
    area = dark.sum(axis=1) * pitch_px
    width = np.where(mostly_wide[sections.line] & wide, samples * pitch_px, area / local[_DEPTH])
    local[_WIDTH] = width.clip(0.3, 4 * sections.scale_px)
    return local, depth


def _equations(
    sections: CrossSections,
    shares: Samples,
    local: Floats,
    blur: Floats,
    swell: Floats,
    starts: Indices,
) -> tuple[Floats, Floats]:
    """Normal equations (6, 6, S), (6, S) of every station, weighted by the scatter of its line."""
    line, offsets = sections.line, sections.offsets_px
    base, slope, centre, width, depth = local[:, :, None].astype(np.float32)
    lens = np.exp(blur)[line][:, None].astype(np.float32)
    box, by_offset, by_width, by_log_blur = box_profile(offsets - centre, width, lens)
    along = offsets / offsets[:, -1:]
    loss = -base * depth
    # The derivatives by the parameters, then the residual.
    rows = np.empty((7, *offsets.shape), np.float32)
    np.subtract(1, depth * box, out=rows[_BASE])
    rows[_SLOPE] = along
    np.multiply(by_offset, -loss, out=rows[_CENTRE])
    np.multiply(by_width, loss, out=rows[_WIDTH])
    np.multiply(box, -base, out=rows[_DEPTH])
    np.multiply(by_log_blur, loss, out=rows[_BLUR])
    np.subtract(shares, base * rows[_BASE] + slope * along, out=rows[-1])
    counts = (np.abs(offsets - centre) <= width / 2 + _FLANK_BLURS * lens + _FLANK_PX).astype(np.float32)
    rows *= counts
    squares = np.add.reduceat(np.einsum("sm,sm->s", rows[-1], rows[-1]), starts)
    freedom = np.add.reduceat(counts.sum(axis=1) - 5, starts)
    noise = np.maximum(np.sqrt(squares / np.maximum(freedom, 1)), _LEAST_NOISE) * swell
    # Samples closer than a pixel are not independent.
    pitch = np.minimum(offsets[:, 1] - offsets[:, 0], 1.0)
    products = np.matmul(rows.transpose(1, 0, 2), rows.transpose(1, 2, 0)).transpose(1, 2, 0)
    weighted = products.astype(np.float64, order="C")
    weighted *= pitch / noise[line] ** 2
    return weighted[:6, :6], weighted[:6, 6]


def _swell(widths: Floats, sigmas: Floats, line: Indices, starts: Indices, before: Floats) -> Floats:
    """Factors (L,) on the noise that make the standard deviations agree with the scatter along the line.

    Cross-sections two stations apart share no pixels; a crack's width bends little over so short a stretch.
    """
    middle = slice(2, -2)
    scatter = (widths[middle] - (widths[:-4] + widths[4:]) / 2) / (np.sqrt(1.5) * sigmas[middle])
    ratio = np.zeros(len(widths))
    inside = line[:-4] == line[4:]
    ratio[middle] = np.where(inside, np.minimum(np.abs(scatter), _LARGEST_RATIO), 0.0)
    number = np.zeros(len(widths))
    number[middle] = inside
    count = np.add.reduceat(number, starts)
    squares = np.add.reduceat(ratio**2, starts) * before**2
    return np.asarray(np.sqrt((squares + _SWELL_STATIONS * _USUAL_SWELL**2) / (count + _SWELL_STATIONS)))


def box_profile(offset_px: Samples, width_px: Samples, blur_px: Samples) -> tuple[Samples, Samples, Samples, Samples]:
    """A box of height 1, averaged over a pixel and blurred by a Gaussian, with its derivatives.

    The convolution of two boxes is a trapezoid, the second integral of four impulses at its corners; blurred, each
    corner becomes the second integral of a normal density.

    Args:
        offset_px: (S, M) distance of the samples from the middle of the box.
        width_px: (S, 1) of the box.
        blur_px: (S, 1) standard deviation of the Gaussian.

    Returns:
        (S, M) each: the profile, its derivatives by the offset, by the width, and by the logarithm of the blur.
    """
    outer, inner = (width_px + _PIXEL_PX) / 2, (width_px - _PIXEL_PX) / 2
    x = np.asarray((offset_px + np.stack([outer, inner, -inner, -outer])) / blur_px, np.float32)
    bell, odd = _bell_and_odd_cumulative(x)
    rising, falling = odd[0] - odd[1], odd[2] - odd[3]
    # What the half that is missing of every cumulative would add cancels out.
    x *= odd
    x += bell
    scale = blur_px / _PIXEL_PX
    return (
        _second_difference(x) * scale,
        (rising - falling) / _PIXEL_PX,
        (rising + falling) / (2 * _PIXEL_PX),
        _second_difference(bell) * scale,
    )


def _second_difference(corners: Samples) -> Samples:
    total = corners[0] - corners[1]
    total -= corners[2]
    total += corners[3]
    return np.asarray(total)


def _bell_and_odd_cumulative(x: Samples) -> tuple[Samples, Samples]:
    """Normal density and cumulative distribution less a half (Abramowitz & Stegun 1964, 26.2.17, within 8e-8)."""
    bell = x * x
    bell *= np.float32(-0.5)
    np.exp(bell, out=bell)
    bell *= _BELL_PEAK
    t = np.abs(x)
    t *= np.float32(0.2316419)
    t += 1
    np.reciprocal(t, out=t)
    series = np.float32(1.330274429) * t
    for coefficient in (-1.821255978, 1.781477937, -0.356563782, 0.319381530):
        series += np.float32(coefficient)
        series *= t
    series *= bell
    return bell, np.copysign(np.float32(0.5) - series, x, out=series)
