# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recall over the visible length of the true cracks."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.detections import FloatArray, FrameDetections
from crack_perception.evaluation.metrics.frame_view import FrameView
from crack_perception.evaluation.metrics.line_pieces import CrackSamples

DEFAULT_MIN_WIDTH_PX = 1.5
WIDTH_BIN_EDGES_PX = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0, float("inf"))

# A frame shows a crack when at least this length of it (or all of a shorter crack) is visible.
_MIN_VISIBLE_M = 0.05
_FOUND_SHARE = 0.5


@dataclass(eq=False)
class CrackOutcome:
    """Result for one crack over a flight.

    Attributes:
        samples: Pieces of the crack.
        visible_frames: Number of frames (N,) in which each piece was visible.
        flagged_frames: Number of those frames (N,) in which a region covered the piece.
        seen_in: Number of frames that show the crack.
        found_in: Number of those frames in which regions cover at least half of the visible length.
    """

    samples: CrackSamples
    visible_frames: npt.NDArray[np.int64]
    flagged_frames: npt.NDArray[np.int64]
    seen_in: int = 0
    found_in: int = 0

    @property
    def found(self) -> bool:
        """True when the crack was detected in most of the frames that show it."""
        return self.seen_in > 0 and 2 * self.found_in > self.seen_in


@dataclass
class CrackRecall:
    """Accumulate recall over frames; a piece is visible when it lies inside the image and is wide enough there.

    Args:
        cracks: True cracks, cut into pieces.
        min_width_px: Minimum width of a visible piece in the image [px].

    Attributes:
        outcomes: Results of all cracks so far.
    """

    cracks: list[CrackSamples]
    min_width_px: float = DEFAULT_MIN_WIDTH_PX
    outcomes: list[CrackOutcome] = field(init=False)
    _bin_visible_m: FloatArray = field(init=False)
    _bin_flagged_m: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.outcomes = [
            CrackOutcome(samples, np.zeros(len(samples.lengths_m), int), np.zeros(len(samples.lengths_m), int))
            for samples in self.cracks
        ]
        self._bin_visible_m = np.zeros(len(WIDTH_BIN_EDGES_PX) - 1)
        self._bin_flagged_m = np.zeros(len(WIDTH_BIN_EDGES_PX) - 1)

    def add(self, view: FrameView, detections: FrameDetections) -> None:
        """Evaluate one processed frame."""
        for outcome in self.outcomes:
            samples = outcome.samples
            if samples.surface != view.surface:
                continue
            pixels = view.project(samples.points_m)
            inside = view.is_inside(pixels)
            if not np.any(inside):
                continue
            widths_px = view.widths_px(samples)
            # NaN widths (an edge outside the field of view) compare as false everywhere.
            flagged = inside & detections.cover(pixels)
            self._add_to_bins(samples.lengths_m, widths_px, inside, flagged)
            visible = inside & (widths_px >= self.min_width_px)
            outcome.visible_frames += visible
            outcome.flagged_frames += visible & flagged
            visible_m = float(samples.lengths_m[visible].sum())
            if visible_m >= min(_MIN_VISIBLE_M, float(samples.lengths_m.sum()) * (1 - 1e-9)):
                outcome.seen_in += 1
                outcome.found_in += float(samples.lengths_m[visible & flagged].sum()) >= _FOUND_SHARE * visible_m

    def _add_to_bins(
        self,
        lengths_m: FloatArray,
        widths_px: FloatArray,
        inside: npt.NDArray[np.bool_],
        flagged: npt.NDArray[np.bool_],
    ) -> None:
        for index, (low, high) in enumerate(pairwise(WIDTH_BIN_EDGES_PX)):
            of_width = inside & (widths_px >= low) & (widths_px < high)
            self._bin_visible_m[index] += lengths_m[of_width].sum()
            self._bin_flagged_m[index] += lengths_m[of_width & flagged].sum()

    @property
    def visible_m(self) -> float:
        """Visible crack length [m], summed over frames."""
        return sum(float(outcome.samples.lengths_m @ outcome.visible_frames) for outcome in self.outcomes)

    @property
    def flagged_m(self) -> float:
        """Part of ``visible_m`` that regions cover."""
        return sum(float(outcome.samples.lengths_m @ outcome.flagged_frames) for outcome in self.outcomes)

    @property
    def recall(self) -> float | None:
        """``flagged_m`` over ``visible_m``; None when nothing was visible."""
        return self.flagged_m / self.visible_m if self.visible_m > 0 else None

    def by_width(self) -> list[dict[str, float | None]]:
        """Return recall by width in the image, whatever ``min_width_px`` is; the last bin has no upper edge (None)."""
        edges = pairwise(WIDTH_BIN_EDGES_PX)
        return [
            {
                "from_px": low,
                "to_px": high if np.isfinite(high) else None,
                "length_m": round(float(visible_m), 3),
                "recall": float(flagged_m / visible_m) if visible_m > 0 else None,
            }
            for (low, high), visible_m, flagged_m in zip(edges, self._bin_visible_m, self._bin_flagged_m, strict=True)
        ]
