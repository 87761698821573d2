# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Short open path through points: nearest neighbours, improved by 2-opt."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Each pass reverses the best part for every point; a few hundred points settle within this many.
_MOST_PASSES = 40
_LEAST_GAIN_M = 1e-9


def short_tour(points_m: Array, start_m: Array | None = None) -> list[int]:
    """Return the order in which to visit points (N, 3), each once.

    Args:
        points_m: The points.
        start_m: (3,) where the path begins; None: at the first point.
    """
    if not len(points_m):
        return []
    nodes_m = np.vstack([points_m[:1] if start_m is None else np.asarray(start_m)[None], points_m])
    order = _improved(nodes_m, _nearest_neighbours(nodes_m))
    return [index - 1 for index in order[1:]]


def tour_length_m(points_m: Array) -> float:
    """Length of the path through points (N, 3) in their order."""
    return float(np.linalg.norm(np.diff(points_m, axis=0), axis=1).sum())


def _nearest_neighbours(nodes_m: Array) -> list[int]:
    order, left = [0], np.arange(1, len(nodes_m))
    while len(left):
        gaps = ((nodes_m[left] - nodes_m[order[-1]]) ** 2).sum(axis=1)
        nearest = int(gaps.argmin())
        order.append(int(left[nearest]))
        left = np.delete(left, nearest)
    return order


def _improved(nodes_m: Array, order: list[int]) -> list[int]:
    """Reverse parts of the path while that shortens it; the first point keeps its place."""
    count = len(order)
    for _ in range(_MOST_PASSES):
        has_improved = False
        for first in range(1, count - 1):
            at_m = nodes_m[order]
            # Reversing from here up to each later point replaces the steps into and out of that part.
            last_m = at_m[first + 1 :]
            before_m, first_m = at_m[first - 1], at_m[first]
            gain = np.linalg.norm(first_m - before_m) - np.linalg.norm(last_m - before_m, axis=1)
            onward_m = at_m[first + 2 :]
            gain[:-1] += np.linalg.norm(onward_m - last_m[:-1], axis=1) - np.linalg.norm(onward_m - first_m, axis=1)
            best = int(gain.argmax())
            if gain[best] > _LEAST_GAIN_M:
                end = first + 2 + best
                order[first:end] = order[first:end][::-1]
                has_improved = True
        if not has_improved:
            break
    return order
