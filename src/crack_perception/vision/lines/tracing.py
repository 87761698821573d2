# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tracing of lines from ridge points: link neighbours, bridge gaps in line, discard weak lines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.vision.lines.line import arc_lengths
from crack_perception.vision.lines.ridges import RidgePoints
from crack_perception.vision.scratch import Scratch

Floats = npt.NDArray[np.float64]
Points = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

_LEAST_PIECE_PX = 6
# Neighbours within two pixels, along both axes, are linked if they lie ahead and point the same way.
_LINK_REACH_PX = 2
_LEAST_AHEAD = 0.6
_LEAST_ALIKE = 0.7
# A gap is bridged up to this length, and no farther than the longer of its two sides reaches.
_LONGEST_GAP_PX = 24.0
_SURE_GAP_PX = 4.0
_SURE_GAP_SCALES = 1.0
_UNSURE_DIRECTION_PX = 6.0
_DIRECTION_SCALES = 4.0
_GAP_DIRECTION_PX = 10
_LEAST_GAP_COSINE = 0.75
_STUB_PX = 100.0
_TURN_PX = 10.0
_END_SCALES, _END_SNR_SHARE = 1.9, 0.5
# What is left is a line if it is long and clear enough.
_LEAST_LINE_PX = 20.0
_LEAST_LINE_SCALES = 8.0
_LEAST_SHARE_OF_LONGEST = 0.06
_LEAST_MEAN_SNR = 3.0
# Texture makes short lines of the same answer: the weaker a line, the longer it must be.
_LEAST_EVIDENCE = 6.0
_LEAST_SHARE_OF_CLEAREST = 0.2


@dataclass(frozen=True, eq=False)
class TracedLine:
    """An ordered line of ridge points.

    Attributes:
        points_px: (N, 2) sub-pixel positions (x, y), about one a pixel, N >= 2.
        scale_px: Median smoothing at which the line answered: about half its width.
        snr: Mean answer in deviations of the surface's answers.
    """

    points_px: Floats
    scale_px: float
    snr: float


def trace_lines(ridges: RidgePoints, shape: tuple[int, int], least_snr: float, scratch: Scratch) -> list[TracedLine]:
    """Lines through ridge points, longest first.

    Args:
        ridges: The points.
        shape: ``(height, width)`` of the image that they were found in.
        least_snr: Lines with a weaker mean response are discarded.
        scratch: For a picture of the points.
    """
    if len(ridges.pixels) < 2:
        return []
    chains = _chains(_links(ridges, shape, scratch))
    lines = []
    for joined in _bridged(chains, ridges):
        pieces = [chains[piece][:: 1 if forward else -1] for piece, forward in joined]
        # A diagonal line has a point for every 1.4 pixels.
        if sum(len(piece) for piece in pieces) < 0.7 * _LEAST_LINE_PX:
            continue
        members = _joined(pieces, ridges.points_px) if len(pieces) > 1 else pieces[0]
        snr, scales = ridges.snr.take(members), ridges.scale_px.take(members)
        middle = len(scales) // 2
        scale_px = float(np.partition(scales, middle)[middle])
        # Beyond its end a line still answers, more weakly and at coarser scales.
        own = np.flatnonzero((snr >= _END_SNR_SHARE / len(snr) * snr.sum()) | (scales < _END_SCALES * scale_px))
        kept = slice(own[0], own[-1] + 1)
        points = ridges.points_px.take(members[kept], axis=0).astype(np.float64)
        lines.append(TracedLine(points, scale_px, float(snr[kept].sum()) / len(points)))
    return _worthwhile(lines, least_snr)


def _joined(pieces: list[Indices], points: Points) -> Indices:
    """Join the points in order. Where two pieces overlap, the shorter one is cut; a far stub is dropped."""
    pieces = _reversed(_without_far_stub(_reversed(_without_far_stub(pieces, points)), points))
    kept = pieces[:1]
    for piece in pieces[1:]:
        while kept and len(kept[-1]) <= len(piece):
            rest = _cut(kept.pop()[::-1], piece[::-1], points)[::-1]
            if len(rest):
                kept.append(rest)
                break
        else:
            if kept:
                piece = _cut(piece, kept[-1], points)
        if len(piece):
            kept.append(piece)
    return np.concatenate(kept)


def _reversed(pieces: list[Indices]) -> list[Indices]:
    return [piece[::-1] for piece in reversed(pieces)]


def _without_far_stub(pieces: list[Indices], points: Points) -> list[Indices]:
    """The pieces without the first ones that are shorter than the gap behind them."""
    while len(pieces) > 1:
        if len(pieces[0]) >= math.dist(points[pieces[1][0]], points[pieces[0][-1]]):
            break
        pieces = pieces[1:]
    return pieces


def _cut(piece: Indices, before: Indices, points: Points) -> Indices:
    """Return the part of a piece that lies beyond the end of the previous one."""
    end = points[before[-1]]
    onwards = end - points[before[max(-1 - _GAP_DIRECTION_PX, -len(before))]]
    beyond = (points.take(piece, axis=0) - end) @ onwards > 0
    first = int(beyond.argmax())
    return piece[first:] if beyond[first] else piece[:0]


def _links(ridges: RidgePoints, shape: tuple[int, int], scratch: Scratch) -> Indices:
    """Each point's neighbours (N, 2), one on either side along its tangent, -1 for none.

    A link counts only if both points choose each other.
    """
    count = len(ridges.pixels)
    (x, y), (along_x, along_y) = ridges.points_px.T.copy(), ridges.tangents.T.copy()
    stride = shape[1] + 2 * _LINK_REACH_PX
    index = scratch.array("index of points", ((shape[0] + 2 * _LINK_REACH_PX) * stride,), np.int32)
    index.fill(-1)
    at = (ridges.pixels[:, 1] + _LINK_REACH_PX) * stride + ridges.pixels[:, 0] + _LINK_REACH_PX
    index[at] = np.arange(count, dtype=np.int32)
    # Every pair once, from the pixel that comes first in the image.
    reach = np.arange(-_LINK_REACH_PX, _LINK_REACH_PX + 1)
    later = np.add.outer(reach[_LINK_REACH_PX:] * stride, reach).ravel()[_LINK_REACH_PX + 1 :]
    neighbours = index.take(np.add.outer(later, at)).ravel()
    pairs = np.flatnonzero(neighbours >= 0)
    one, other = pairs % count, neighbours.take(pairs)
    one_x, one_y, other_x, other_y = along_x.take(one), along_y.take(one), along_x.take(other), along_y.take(other)
    gap_x, gap_y = x.take(other) - x.take(one), y.take(other) - y.take(one)
    distance = np.maximum(np.sqrt(gap_x * gap_x + gap_y * gap_y), np.float32(1e-6))
    alike = np.abs(one_x * other_x + one_y * other_y)
    ahead, back = (gap_x * one_x + gap_y * one_y) / distance, -(gap_x * other_x + gap_y * other_y) / distance
    good = np.flatnonzero((np.minimum(np.abs(ahead), np.abs(back)) >= _LEAST_AHEAD) & (alike >= _LEAST_ALIKE))
    one, other, ahead, back, alike, distance = (c.take(good) for c in (one, other, ahead, back, alike, distance))
    along = np.concatenate([ahead, back])
    side = 2 * np.concatenate([one, other]) + (along < 0)
    cost = np.tile(distance, 2) * (3 - np.abs(along) - np.tile(alike, 2))
    # The last one that is written stays: the cheapest.
    dearest_first = np.argsort(-cost)
    choices = np.full(2 * count, -1, np.int64)
    choices[side.take(dearest_first)] = np.concatenate([other, one]).take(dearest_first)
    chosen = choices.reshape(-1, 2)
    own = np.arange(count)
    for neighbour in (chosen[:, 0], chosen[:, 1]):
        back_to = chosen.take(neighbour, axis=0, mode="wrap")
        neighbour[(back_to[:, 0] != own) & (back_to[:, 1] != own)] = -1
    return chosen


def _chains(links: Indices) -> list[Indices]:
    """Linked points in order, in chains long enough to matter; a closed ring is opened where it is met first."""
    neighbours = links.T.tolist()
    ends = (links < 0).sum(axis=1)
    paths: list[list[int]] = []
    last: set[int] = set()
    for start in np.flatnonzero(ends == 1).tolist():
        if start not in last:
            paths.append(_path(start, *neighbours))
            last.add(paths[-1][-1])
    # What is left are rings.
    if sum(map(len, paths)) < np.count_nonzero(ends < 2):
        left = ends == 0
        left[[at for path in paths for at in path]] = False
        for start in np.flatnonzero(left).tolist():
            if left[start]:
                paths.append(_path(start, *neighbours))
                left[paths[-1]] = False
    return [np.array(path, np.int64) for path in paths if len(path) >= _LEAST_PIECE_PX]


def _path(start: int, one: list[int], other: list[int]) -> list[int]:
    """From point to neighbour until there is none, or the ring is closed."""
    path, before, at = [start], start, max(one[start], other[start])
    while at >= 0 and at != start:
        path.append(at)
        onwards = one[at]
        if onwards == before:
            onwards = other[at]
        before, at = at, onwards
    return path


def _bridged(chains: list[Indices], ridges: RidgePoints) -> list[list[tuple[int, bool]]]:
    """Chains in the order in which they form lines, each with whether it runs forward; the shortest gaps first."""
    count = len(chains)
    if count == 0:
        return []
    # End 2 i is the first point of chain i, end 2 i + 1 its last; directions point out of the chain. The wider a crack,
    # the more its centre line strays.
    sizes = np.array([len(chain) for chain in chains])
    starts = np.cumsum(sizes) - sizes
    members = np.concatenate(chains)
    scales = np.repeat(np.add.reduceat(ridges.scale_px[members], starts) / sizes, 2)
    back = np.minimum(np.maximum(_GAP_DIRECTION_PX, _DIRECTION_SCALES * scales[::2]).astype(np.int64), sizes - 1)
    at = np.stack([starts, starts + sizes - 1], axis=1).ravel()
    ends = ridges.points_px[members[at]]
    outwards = ends - ridges.points_px[members[at + np.stack([back, -back], axis=1).ravel()]]
    outwards /= np.maximum(np.hypot(*outwards.T), 1e-9)[:, None]
    sizes = np.repeat(sizes, 2)
    reach = np.minimum(_LONGEST_GAP_PX, np.maximum(_SURE_GAP_PX, _SURE_GAP_SCALES * scales) + 0.5 * sizes)
    first, second = _near_pairs(ends, _LONGEST_GAP_PX)
    gap = ends[second] - ends[first]
    span = np.hypot(*gap.T)
    near = (span <= np.maximum(reach[first], reach[second])) & (first // 2 != second // 2)
    first, second, gap, span = first[near], second[near], gap[near], span[near]
    # Where the ends nearly touch, the direction of the gap is meaningless.
    unsure_px = np.maximum(_UNSURE_DIRECTION_PX, _DIRECTION_SCALES * np.maximum(scales[first], scales[second]))
    blend = gap + (outwards[first] - outwards[second]) / 2 * np.maximum(unsure_px - span, 0)[:, None]
    blend /= np.maximum(np.hypot(*blend.T), 1e-9)[:, None]
    bend = np.minimum((outwards[first] * blend).sum(axis=1), -(outwards[second] * blend).sum(axis=1))
    # A long piece goes on in a long one rather than in the stub beside it, and straight through a crossing.
    turn = 1 + (outwards[first] * outwards[second]).sum(axis=1)
    cost = span * (2.0 - bend) + _STUB_PX / np.minimum(sizes[first], sizes[second]) + _TURN_PX * turn
    partner = [-1] * (2 * count)
    # The other end of the line that ends here, so that no line is joined to itself.
    far = [end ^ 1 for end in range(2 * count)]
    good = np.flatnonzero(bend >= _LEAST_GAP_COSINE)
    for pair in good[np.argsort(cost[good])]:
        a, b = int(first[pair]), int(second[pair])
        if partner[a] < 0 and partner[b] < 0 and far[a] != b:
            partner[a], partner[b] = b, a
            far[far[a]], far[far[b]] = far[b], far[a]
    return _orders(partner)


def _near_pairs(points: Points, reach_px: float) -> tuple[Indices, Indices]:
    """Every pair of points (N, 2) that are no farther apart than this along x, once."""
    order = np.argsort(points[:, 0])
    x = points[order, 0]
    after = np.searchsorted(x, x + reach_px, "right") - np.arange(len(x)) - 1
    first = np.repeat(np.arange(len(x)), after)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(after) - after, after)
    return order[first], order[second]


def _orders(partner: list[int]) -> list[list[tuple[int, bool]]]:
    """Follow the joined ends from every open end."""
    orders: list[list[tuple[int, bool]]] = []
    seen: set[int] = set()
    for end, other in enumerate(partner):
        if other >= 0 or end // 2 in seen:
            continue
        order: list[tuple[int, bool]] = []
        at = end
        while at >= 0:
            piece = at // 2
            seen.add(piece)
            order.append((piece, at % 2 == 0))
            at = partner[at ^ 1]
        orders.append(order)
    return orders


def _worthwhile(lines: list[TracedLine], least_snr: float) -> list[TracedLine]:
    """Lines that are long and clear enough, longest first."""
    clearest = max((line.snr for line in lines), default=0.0)
    least_snr = max(least_snr, _LEAST_MEAN_SNR, _LEAST_SHARE_OF_CLEAREST * clearest)
    lengths = [float(arc_lengths(line.points_px)[-1]) for line in lines]
    least_px = max(_LEAST_LINE_PX, _LEAST_SHARE_OF_LONGEST * max(lengths, default=0.0))
    kept = [
        (length, line)
        for length, line in zip(lengths, lines, strict=True)
        if length >= max(least_px, _LEAST_LINE_SCALES * line.scale_px)
        and line.snr >= least_snr
        and line.snr * np.sqrt(length / _LEAST_LINE_PX) >= _LEAST_EVIDENCE
    ]
    return [line for _, line in sorted(kept, key=lambda pair: -pair[0])]
