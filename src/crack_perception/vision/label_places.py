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
    extents = np.asarray(sizes, dtype=np.float64).reshape(-1, 2)
    reserved_rectangles = np.asarray([*reserved], dtype=np.float64).reshape(-1, 4)
    # Filled as labels find their places; the rest is never read.
    taken = np.empty((len(reserved_rectangles) + len(obstacles), 4))
    taken[: len(reserved_rectangles)] = reserved_rectangles
    count = len(reserved_rectangles)
    beside = _beside(obstacles, extents, frame_size)
    beside_rectangles = np.concatenate([beside, beside + extents[:, None]], axis=-1)
    is_covered = np.asarray(np.any(_overlap(beside_rectangles.reshape(-1, 4), obstacles, 0), axis=1))
    is_clear = np.logical_not(is_covered).reshape(beside.shape[:2])
    places: list[tuple[int, int] | None] = []
    for index, size in enumerate(extents):
        is_free = is_clear[index] & ~np.any(_overlap(beside_rectangles[index], taken[:count], gap_px), axis=1)
        if is_free.any():
            corner: Array | None = beside[index, int(np.argmax(is_free))]
        else:
            corner = _anywhere(obstacles[index], size, frame_size, taken[:count], obstacles, gap_px)
        places.append(None if corner is None else (int(corner[0]), int(corner[1])))
        if corner is not None:
            taken[count] = [*corner, *(corner + size)]
            count += 1
    return places


def _beside(boxes: Array, sizes: Array, frame_size: tuple[int, int]) -> Array:
    """Return the places (N, 8, 2) beside each of the boxes, the best first."""
    left, top, right, bottom = boxes.T
    width, height = sizes.T
    places = [
        *((left, top - height), (right - width, top - height)),
        *((left, bottom), (right - width, bottom)),
        *((right, top), (right, bottom - height), (left - width, top), (left - width, bottom - height)),
    ]
    stacked = np.array(places).transpose(2, 0, 1)
    return np.asarray(np.round(np.clip(stacked, 0, _limit(sizes, frame_size)[:, None])))


def _anywhere(
    box: Array, size: Array, frame_size: tuple[int, int], taken: Array, obstacles: Array, gap_px: int
) -> Array | None:
    """Return the free place (2,) in the whole frame that is nearest to a box; None if there is none."""
    limit, (width, height) = _limit(size, frame_size), size
    rows = np.linspace(0, limit[1], min(_MOST_STEPS, 1 + int(limit[1] // max(1, height // 2))))
    columns = np.linspace(0, limit[0], min(_MOST_STEPS, 1 + int(limit[0] // max(1, width // 4))))
    middle = np.clip([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], 0, frame_size)
    across, down = columns + width / 2 - middle[0], rows + height / 2 - middle[1]
    distances = np.sqrt(across**2 + (down**2)[:, None])
    rows, columns = (np.asarray(np.round(steps), np.float64) for steps in (rows, columns))
    is_taken = _covered(columns, rows, size, taken, gap_px)
    for is_blocked in (is_taken | _covered(columns, rows, size, obstacles, 0), is_taken):
        if not is_blocked.all():
            row, column = np.unravel_index(int(np.where(is_blocked, np.inf, distances).argmin()), distances.shape)
            return np.array([columns[column], rows[row]])
    return None


def _limit(sizes: Array, frame_size: tuple[int, int]) -> Array:
    """Return the last places (..., 2) of labels in the frame."""
    return np.maximum(0.0, np.subtract(frame_size, sizes))


def _overlap(rectangles: Array, others: Array, gap_px: int) -> npt.NDArray[np.bool_]:
    """Return (N, M) whether each rectangle comes closer than the gap to each of the others."""
    ours, theirs = rectangles[:, None], others[None]
    across = (ours[..., 0] < theirs[..., 2] + gap_px) & (ours[..., 2] + gap_px > theirs[..., 0])
    return np.asarray(across & (ours[..., 1] < theirs[..., 3] + gap_px) & (ours[..., 3] + gap_px > theirs[..., 1]))


def _covered(columns: Array, rows: Array, size: Array, others: Array, gap_px: int) -> npt.NDArray[np.bool_]:
    """Return (rows, columns) whether a label there comes closer than the gap to one of the others (M, 4).

    Rectangles overlap where they do so in both directions, and each direction depends on the column or the row alone.
    """
    across = (columns[:, None] < others[:, 2] + gap_px) & (columns[:, None] + size[0] + gap_px > others[:, 0])
    down = (rows[:, None] < others[:, 3] + gap_px) & (rows[:, None] + size[1] + gap_px > others[:, 1])
    return np.asarray(down.astype(np.float32) @ across.T.astype(np.float32) > 0)
