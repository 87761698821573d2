# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Places of labels beside boxes, so that no label covers another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Rows and columns of places that are tried where none beside the box is free.
_MOST_STEPS = 40


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
    for box, size in zip(obstacles, sizes, strict=True):
        place = _chosen(_beside(box, size, frame_size), size, taken, obstacles, gap_px)
        if place is None:
            corners = _anywhere(box, size, frame_size)
            place = _chosen(corners, size, taken, obstacles, gap_px)
            if place is None:
                place = _chosen(corners, size, taken, obstacles[:0], gap_px)
        places.append(place)
        if place is not None:
            taken = np.vstack([taken, [*place, place[0] + size[0], place[1] + size[1]]])
    return places


def _chosen(
    corners: Array, size: tuple[int, int], taken: Array, obstacles: Array, gap_px: int
) -> tuple[int, int] | None:
    """Return the first of the places (N, 2) that keeps clear of both; None if there is none."""
    rectangles = np.hstack([corners, corners + size])
    is_free = ~_overlaps(rectangles, taken, gap_px) & ~_overlaps(rectangles, obstacles, 0)
    if not is_free.any():
        return None
    x, y = corners[int(np.argmax(is_free))]
    return int(x), int(y)


def _beside(box: Array, size: tuple[int, int], frame_size: tuple[int, int]) -> Array:
    """Return the places (8, 2) beside a box, the best first."""
    left, top, right, bottom = box
    width, height = size
    places = [
        *((left, top - height), (right - width, top - height)),
        *((left, bottom), (right - width, bottom)),
        *((right, top), (right, bottom - height), (left - width, top), (left - width, bottom - height)),
    ]
    return np.asarray(np.round(np.clip(places, 0, _limit(size, frame_size))))


def _anywhere(box: Array, size: tuple[int, int], frame_size: tuple[int, int]) -> Array:
    """Return places (N, 2) in the whole frame, the nearest to a box first."""
    limit, (width, height) = _limit(size, frame_size), size
    rows = np.linspace(0, limit[1], min(_MOST_STEPS, 1 + int(limit[1] // max(1, height // 2))))
    columns = np.linspace(0, limit[0], min(_MOST_STEPS, 1 + int(limit[0] // max(1, width // 4))))
    places = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    middle = np.clip([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], 0, frame_size)
    order = np.argsort(np.linalg.norm(places + [width / 2, height / 2] - middle, axis=1), kind="stable")
    return np.asarray(np.round(places[order]))


def _limit(size: tuple[int, int], frame_size: tuple[int, int]) -> Array:
    """Return the last place (2,) of a label in the frame."""
    return np.maximum(0.0, np.subtract(frame_size, size))


def _overlaps(rectangles: Array, others: Array, gap_px: int) -> npt.NDArray[np.bool_]:
    """Return (N,) whether each rectangle comes closer than the gap to one of the others (M, 4)."""
    ours, theirs = rectangles[:, None], others[None]
    apart = (
        (ours[..., 0] >= theirs[..., 2] + gap_px)
        | (ours[..., 2] + gap_px <= theirs[..., 0])
        | (ours[..., 1] >= theirs[..., 3] + gap_px)
        | (ours[..., 3] + gap_px <= theirs[..., 1])
    )
    return np.asarray(~apart.all(axis=1))
