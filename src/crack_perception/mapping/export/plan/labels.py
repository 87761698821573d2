# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Placement of labels: near their objects, off the lines, without overlap, with leaders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.mapping.export.plan.layout import Box
from crack_perception.mapping.export.plan.shapes import Array

_CELL_MM = 0.5
_GAP_MM = 0.4

# Candidates lie on rings around the anchor.
_RINGS_MM = np.concatenate([np.arange(3.0, 12.0, 1.5), np.arange(12.0, 41.0, 4.0)])
_DIRECTIONS = np.arange(24) * (2 * math.pi / 24)

# What a place costs: millimetres of leader, cells of lines that the label hides or the leader crosses, labels that the
# leader crosses, and a shorter form of the label.
_COST_PER_MM = 1.0
_COST_HIDDEN = 1.2
_COST_CROSSED = 2.5
_COST_LABEL_CROSSED = 60.0
_COST_SHORTER = 14.0
_LEADER_SAMPLES = 24


@dataclass(frozen=True)
class Wish:
    """An object with a label.

    Attributes:
        key: Whose it is.
        anchor_mm: Where its leader ends.
        sizes_mm: (width, height) of its label, and of shorter forms of it, the best first.
    """

    key: int
    anchor_mm: tuple[float, float]
    sizes_mm: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class PlacedLabel:
    """A label and its leader.

    Attributes:
        key: Of the wish.
        form: Index of the size that found a place.
        box: Where it is.
        leader_mm: (2, 2) from the label's edge to the anchor.
    """

    key: int
    form: int
    box: Box
    leader_mm: Array


class LabelSheet:
    """The area that labels may use, with what is drawn on it already.

    Args:
        area: No label leaves it.
    """

    def __init__(self, area: Box) -> None:
        self._corner_mm = np.array([area.left, area.top])
        shape = (int(area.height / _CELL_MM), int(area.width / _CELL_MM))
        self._blocked = np.zeros(shape, np.uint8)
        self._lines = np.zeros(shape, np.uint8)

    def block(self, box: Box) -> None:
        """Mark a box that labels must not cover."""
        left, top, right, bottom = self._cells(np.array([[box.left, box.top, box.right, box.bottom]]))[0].tolist()
        self._blocked[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = 1

    def add_line(self, points_mm: Array) -> None:
        """Mark a line that labels should not cover."""
        cells = np.floor((points_mm - self._corner_mm) / _CELL_MM).astype(np.int32)
        cv2.polylines(self._lines, [cells], False, 1, 1)

    def place(self, wishes: Sequence[Wish]) -> list[PlacedLabel]:
        """Place labels while there is room, in the given order."""
        placed = []
        for wish in wishes:
            label = self._place(wish)
            if label is not None:
                placed.append(label)
                self.block(label.box)
                self.add_line(label.leader_mm)
        return placed

    def _place(self, wish: Wish) -> PlacedLabel | None:
        anchor = np.array(wish.anchor_mm)
        best: tuple[float, PlacedLabel] | None = None
        for form, (width, height) in enumerate(wish.sizes_mm):
            boxes, ends = _candidates(anchor, width, height)
            costs = self._costs(boxes, ends, anchor) + form * _COST_SHORTER
            index = int(costs.argmin())
            if math.isfinite(costs[index]) and (best is None or costs[index] < best[0]):
                box = Box(float(boxes[index, 0]), float(boxes[index, 1]), width, height)
                best = (float(costs[index]), PlacedLabel(wish.key, form, box, np.array([ends[index], anchor])))
        return None if best is None else best[1]

    def _costs(self, boxes: Array, ends: Array, anchor: Array) -> Array:
        """(K,) of candidates; infinite where they lie on something blocked or off the area."""
        cells = self._cells(boxes)
        rows, columns = self._blocked.shape
        inside = (cells[:, :2] >= 0).all(axis=1) & (cells[:, 2] <= columns) & (cells[:, 3] <= rows)
        shares = np.linspace(0.0, 0.9, _LEADER_SAMPLES)[:, None, None]
        along = np.floor((ends + shares * (anchor - ends) - self._corner_mm) / _CELL_MM).astype(int)
        # Only the cells around the anchor matter, however large the sheet is.
        low = np.clip(np.minimum(cells[:, :2].min(axis=0), along.min(axis=(0, 1))), 0, [columns - 1, rows - 1])
        high = np.clip(np.maximum(cells[:, 2:].max(axis=0), along.max(axis=(0, 1)) + 1), low + 1, [columns, rows])
        lines = self._lines[low[1] : high[1], low[0] : high[0]]
        blocked = self._blocked[low[1] : high[1], low[0] : high[0]]
        cells = np.clip(cells - np.tile(low, 2), 0, np.tile(high - low, 2))
        along = np.clip(along - low, 0, high - low - 1)
        free = inside & (_sums(blocked, cells) == 0)
        crossed = lines[along[..., 1], along[..., 0]].sum(axis=0, dtype=float)
        labels_crossed = blocked[along[..., 1], along[..., 0]].sum(axis=0, dtype=float)
        costs = (
            _COST_PER_MM * np.linalg.norm(ends - anchor, axis=1)
            + _COST_HIDDEN * _sums(lines, cells)
            + _COST_CROSSED * crossed
            + _COST_LABEL_CROSSED * labels_crossed
        )
        return np.where(free, costs, np.inf)

    def _cells(self, boxes: Array) -> npt.NDArray[np.int64]:
        """(K, 4) first column and row, and column and row after the last, that boxes (K, 4) and their gaps touch."""
        shifted = boxes - np.tile(self._corner_mm, 2) + np.array([-1, -1, 1, 1]) * _GAP_MM / 2
        return np.concatenate([np.floor(shifted[:, :2] / _CELL_MM), np.ceil(shifted[:, 2:] / _CELL_MM)], axis=1).astype(
            np.int64
        )


def _candidates(anchor: Array, width: float, height: float) -> tuple[Array, Array]:
    """Boxes (K, 4) left, top, right, bottom around an anchor, and where their leaders begin (K, 2)."""
    directions = np.column_stack([np.cos(_DIRECTIONS), np.sin(_DIRECTIONS)])
    points = (anchor + _RINGS_MM[:, None, None] * directions).reshape(-1, 2)
    towards = np.tile(directions, (len(_RINGS_MM), 1))
    # The box touches its point on the ring with the side or the corner that faces the anchor.
    centres = points + 0.5 * np.array([width, height]) * np.clip(1.5 * towards, -1, 1)
    boxes = np.column_stack([centres - [width / 2, height / 2], centres + [width / 2, height / 2]])
    return boxes, np.clip(anchor, boxes[:, :2], boxes[:, 2:])


def _sums(cells: npt.NDArray[np.uint8], boxes: npt.NDArray[np.int64]) -> Array:
    """(K,) sums over boxes, by the integral image."""
    integral = cv2.integral(cells).astype(float)
    left, top, right, bottom = boxes.T
    return integral[bottom, right] - integral[top, right] - integral[bottom, left] + integral[top, left]
