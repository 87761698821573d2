"""Ridge points become long lines: linked point to point, bridged where the direction agrees, the weak ones dropped."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.vision.polylines import arc_lengths
from crack_perception.vision.ridges import RidgePoints

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

# Hysteresis: a connected piece needs a point this clear.
_CLEAR_SNR = 5.0
_LEAST_PIECE_PX = 6
# Neighbours within two pixels, along both axes, are linked if they lie ahead and point the same way.
_LINK_REACH_PX = 2
_LEAST_AHEAD = 0.6
_LEAST_ALIKE = 0.7
# A gap is bridged up to this length, and no farther than the longer of its two sides reaches.
_LONGEST_GAP_PX = 24.0
_SURE_GAP_PX = 4.0
_GAP_DIRECTION_PX = 10
_LEAST_GAP_COSINE = 0.75
_STUB_PX = 60.0
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


def trace_lines(ridges: RidgePoints, shape: tuple[int, int]) -> list[TracedLine]:
    """Lines through ridge points, longest first.

    Args:
        ridges: The points.
        shape: ``(height, width)`` of the image that they were found in.
    """
    kept = _clear_pieces(ridges, shape)
    if len(kept) < 2:
        return []
    pieces = [kept[chain] for chain in _chains(_links(ridges, kept, shape))]
    lines = []
    for joined in _bridged([ridges.points_px[piece] for piece in pieces]):
        members = np.concatenate([pieces[piece][:: 1 if forward else -1] for piece, forward in joined])
        # A diagonal line has a point for every 1.4 pixels.
        if len(members) < 0.7 * _LEAST_LINE_PX:
            continue
        scale_px = float(np.median(ridges.scale_px[members]))
        lines.append(TracedLine(ridges.points_px[members], scale_px, float(ridges.snr[members].mean())))
    return _worthwhile(lines)


def _clear_pieces(ridges: RidgePoints, shape: tuple[int, int]) -> Indices:
    """Indices of the points in connected pieces that are not tiny and clear somewhere."""
    raster = np.zeros(shape, np.uint8)
    x, y = ridges.pixels.T
    raster[y, x] = 1
    count, labels = cv2.connectedComponents(raster, connectivity=8)
    piece = labels[y, x]
    clearest = np.zeros(count)
    np.maximum.at(clearest, piece, ridges.snr)
    keep = (clearest >= _CLEAR_SNR) & (np.bincount(piece, minlength=count) >= _LEAST_PIECE_PX)
    return np.flatnonzero(keep[piece])


def _links(ridges: RidgePoints, kept: Indices, shape: tuple[int, int]) -> Indices:
    """Each kept point's neighbours (N, 2), one on either side along its tangent, -1 for none.

    A link counts only if both points choose each other.
    """
    points, tangents, pixels = ridges.points_px[kept], ridges.tangents[kept], ridges.pixels[kept]
    stride = shape[1] + 2 * _LINK_REACH_PX
    index = np.full((shape[0] + 2 * _LINK_REACH_PX) * stride, -1, np.int64)
    at = (pixels[:, 1] + _LINK_REACH_PX) * stride + pixels[:, 0] + _LINK_REACH_PX
    index[at] = np.arange(len(kept))
    dy, dx = np.mgrid[-_LINK_REACH_PX : _LINK_REACH_PX + 1, -_LINK_REACH_PX : _LINK_REACH_PX + 1]
    around = np.delete((dy * stride + dx).ravel(), dy.size // 2)
    neighbours = index[at[:, None] + around]
    one, place = np.nonzero(neighbours >= 0)
    other = neighbours[one, place]
    offset = points[other] - points[one]
    distance = np.maximum(np.hypot(*offset.T), 1e-9)
    along = np.einsum("nd,nd->n", offset, tangents[one]) / distance
    alike = np.abs(np.einsum("nd,nd->n", tangents[other], tangents[one]))
    good = (np.abs(along) >= _LEAST_AHEAD) & (alike >= _LEAST_ALIKE)
    costs = np.full((2, *neighbours.shape), np.inf)
    side = (along < 0).astype(np.int64)
    costs[side[good], one[good], place[good]] = (distance * (3.0 - np.abs(along) - alike))[good]
    rows = np.arange(len(kept))
    chosen = np.full((len(kept), 2), -1)
    for ahead in (0, 1):
        best = costs[ahead].argmin(axis=1)
        chosen[:, ahead] = np.where(np.isfinite(costs[ahead, rows, best]), neighbours[rows, best], -1)
    mutual = (chosen[chosen] == rows[:, None, None]).any(axis=2)
    return np.where((chosen >= 0) & mutual, chosen, -1)


def _chains(links: Indices) -> list[Indices]:
    """Linked points in order, in chains long enough to matter; a closed ring is opened where it is met first."""
    ends = (links < 0).sum(axis=1)
    # Chains are walked from their ends, what is left then are rings.
    starts = np.concatenate([np.flatnonzero(ends == 1), np.flatnonzero(ends == 0)]).tolist()
    neighbours = links.tolist()
    unused = [True] * len(neighbours)
    chains = []
    for start in starts:
        if not unused[start]:
            continue
        path = []
        at = start
        while at >= 0 and unused[at]:
            unused[at] = False
            path.append(at)
            one, other = neighbours[at]
            at = one if one >= 0 and unused[one] else other
        if len(path) >= _LEAST_PIECE_PX:
            chains.append(np.array(path, np.int64))
    return chains


def _bridged(pieces: list[Floats]) -> list[list[tuple[int, bool]]]:
    """Pieces in the order in which they form lines, each with whether it runs forward; the shortest gaps first."""
    count = len(pieces)
    if count == 0:
        return []
    # End 2 i is the first point of piece i, end 2 i + 1 its last; directions point out of the piece.
    ends = np.concatenate([piece[[0, -1]] for piece in pieces])
    inner = np.concatenate(
        [piece[[min(_GAP_DIRECTION_PX, len(piece) - 1), max(-1 - _GAP_DIRECTION_PX, -len(piece))]] for piece in pieces]
    )
    outwards = ends - inner
    outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-9)
    reach = np.minimum(_LONGEST_GAP_PX, _SURE_GAP_PX + 0.5 * np.repeat([len(piece) for piece in pieces], 2))
    gap = ends[None] - ends[:, None]
    distance = np.linalg.norm(gap, axis=2)
    owner = np.arange(2 * count) // 2
    near = (distance <= np.maximum(reach[:, None], reach)) & (owner[:, None] < owner)
    first, second = np.nonzero(near)
    span = distance[first, second]
    # Where the ends nearly touch, the gap's own direction says nothing.
    blend = gap[first, second] + (outwards[first] - outwards[second]) / 2 * np.maximum(_SURE_GAP_PX - span, 0)[:, None]
    blend /= np.maximum(np.linalg.norm(blend, axis=1, keepdims=True), 1e-9)
    bend = np.minimum((outwards[first] * blend).sum(axis=1), -(outwards[second] * blend).sum(axis=1))
    good = bend >= _LEAST_GAP_COSINE
    # A long piece goes on in a long one rather than in the stub beside it.
    sizes = np.array([len(piece) for piece in pieces])
    shorter = np.minimum(sizes[first // 2], sizes[second // 2])
    first, second, cost = first[good], second[good], (span * (2.0 - bend) + _STUB_PX / shorter)[good]
    partner = [-1] * (2 * count)
    group = list(range(count))
    for pair in np.argsort(cost):
        a, b = int(first[pair]), int(second[pair])
        if partner[a] < 0 and partner[b] < 0 and group[a // 2] != group[b // 2]:
            partner[a], partner[b] = b, a
            old, new = group[b // 2], group[a // 2]
            group = [new if member == old else member for member in group]
    return _orders(partner)


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


def _worthwhile(lines: list[TracedLine]) -> list[TracedLine]:
    """Lines that are long and clear enough, longest first."""
    clearest = max((line.snr for line in lines), default=0.0)
    least_snr = max(_LEAST_MEAN_SNR, _LEAST_SHARE_OF_CLEAREST * clearest)
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
