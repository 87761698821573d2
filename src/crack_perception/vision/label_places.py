# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Places of labels beside boxes, so that no label covers another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Rows and columns of places that are tried where none beside the box is free.
_MOST_STEPS = 60


def place_labels(
    boxes: Sequence[npt.ArrayLike],
    sizes: Sequence[tuple[int, int]],
    frame_size: tuple[int, int],
    reserved: Sequence[npt.ArrayLike] = (),
    gap_px: int = 2,
) -> list[tuple[int, int] | None]:
    """Return a place for every label: the upper left corner (x, y), or None where the frame has no room left.

    A label stands above its box, else below, to the right or to the left of it, else at the nearest free place. Places
    that cover no box take precedence. Earlier labels have the first choice.

    Args:
        boxes: (left, top, right, bottom) of each box [px]; may reach out of the frame.
        sizes: (width, height) of each label [px].
        frame_size: (width, height) of the frame [px].
        reserved: Rectangles that no label may cover, such as the caption.
        gap_px: Least distance of two labels.
    """
    obstacles = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    taken = np.asarray([*reserved], dtype=np.float64).reshape(-1, 4)
    places: list[tuple[int, int] | None] = []
    for index, (width, height) in enumerate(sizes):
        corners = _candidates(obstacles[index], width, height, frame_size)
        rectangles = np.hstack([corners, corners + [width, height]])
        is_free = ~_overlaps(rectangles, taken, gap_px)
        if not is_free.any():
            places.append(None)
            continue
        is_clear = is_free & ~_overlaps(rectangles, obstacles, 0)
        chosen = int(np.argmax(is_clear if is_clear.any() else is_free))
        places.append((int(corners[chosen, 0]), int(corners[chosen, 1])))
        taken = np.vstack([taken, rectangles[chosen]])
    return places


def _candidates(box: Array, width: int, height: int, frame_size: tuple[int, int]) -> Array:
    """Return the places (N, 2) of a label inside the frame, the best first."""
    left, top, right, bottom = box
    limit = np.maximum(0, np.subtract(frame_size, (width, height)))
    beside = [
        *((left, top - height), (right - width, top - height)),
        *((left, bottom), (right - width, bottom)),
        *((right, top), (right, bottom - height), (left - width, top), (left - width, bottom - height)),
    ]
    rows = np.linspace(0, limit[1], min(_MOST_STEPS, 1 + int(limit[1] // max(1, height // 2))))
    columns = np.linspace(0, limit[0], min(_MOST_STEPS, 1 + int(limit[0] // max(1, width // 4))))
    anywhere = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    middle = np.clip([(left + right) / 2, (top + bottom) / 2], 0, frame_size)
    order = np.argsort(np.linalg.norm(anywhere + [width / 2, height / 2] - middle, axis=1), kind="stable")
    return np.asarray(np.round(np.clip(np.vstack([beside, anywhere[order]]), 0, limit)))


def _overlaps(rectangles: Array, others: Array, gap_px: int) -> npt.NDArray[np.bool_]:
    """Return (N,) whether each rectangle comes closer than the gap to one of the others (M, 4)."""
    if not len(others):
        return np.zeros(len(rectangles), bool)
    ours, theirs = rectangles[:, None], others[None]
    apart = (
        (ours[..., 0] >= theirs[..., 2] + gap_px)
        | (ours[..., 2] + gap_px <= theirs[..., 0])
        | (ours[..., 1] >= theirs[..., 3] + gap_px)
        | (ours[..., 3] + gap_px <= theirs[..., 1])
    )
    return np.asarray(~apart.all(axis=1))
