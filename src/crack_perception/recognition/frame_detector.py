# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Detection of cracked regions in a frame: tiling, scoring and regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.recognition.backends.protocol import (
    CELL_THRESHOLDS,
    NO_STRUCTURE_FROM,
    NO_STRUCTURE_OUTPUT,
    OUTPUT_NAMES,
    InferenceBackend,
    TileScores,
)
from crack_perception.recognition.models import LoadedModel
from crack_perception.recognition.reading_scale import TILE_GSD_MM, ReadingScale
from crack_perception.recognition.scheduling import TileSchedule
from crack_perception.recognition.second_look import VIEWS, averaged, doubtful_tiles, mirrored
from crack_perception.recognition.severity import WidthEstimate
from crack_perception.vision.cell_regions import build_cell_regions
from crack_perception.vision.regions import Region, build_regions
from crack_perception.vision.tiling import TileGrid, cut_tiles, in_channels, plan_tiles, reduced

_USUAL_FRAME_PX = (1080, 1920)


@dataclass(frozen=True)
class CrackRegion:
    """Cracked region with the width that the model predicts from its tiles.

    Attributes:
        region: Where it is and its crack score.
        width_px: Mean crack width in pixels.
        wide_score: Two-class severity in pixels: probability of being wider than the model's ``wide_edge_px``.
        no_structure_score: Probability that its tiles show no structure; None for a model that does not tell.
    """

    region: Region
    width_px: WidthEstimate
    wide_score: float
    no_structure_score: float | None = None


@dataclass(frozen=True)
class FrameDetections:
    """Outputs of the model for one frame.

    Attributes:
        grid: Its tiles.
        looked: (grid.count,) mask of the processed tiles.
        scores: Score of every tile; ``nan`` where it was not processed.
        regions: Regions of processed tiles, strongest first.
        second_looks: Number of tiles that were scored again; their score is the average of all views.
        no_structure: Number of processed tiles that show no structure; 0 for a model that does not tell.
    """

    grid: TileGrid
    looked: npt.NDArray[np.bool_]
    scores: TileScores
    regions: list[CrackRegion]
    second_looks: int = 0
    no_structure: int = 0


class FrameDetector:
    """Runs a model on all tiles of a frame, or on those with the highest priority if time is short.

    Args:
        model: The verified model.
        backend: An open backend of that model.
        overlap: Least share of a tile that neighbours have in common.
        threshold: Crack score that flags a tile; the model's own when None.
        tile_gsd_mm: Frames with a finer ground sampling distance are reduced to at most this one [mm/px] before they
            are tiled; 0 keeps their resolution.
        second_look: Score tiles near the threshold again, as far as time allows.
    """

    def __init__(
        self,
        model: LoadedModel,
        backend: InferenceBackend,
        overlap: float = 0.0,
        threshold: float | None = None,
        tile_gsd_mm: float = TILE_GSD_MM,
        second_look: bool = False,
    ) -> None:
        self.model = model
        self.backend = backend
        self.overlap = overlap
        self.threshold = model.threshold if threshold is None else threshold
        self.scale = ReadingScale(tile_gsd_mm)
        self.second_look = second_look
        self._grid: TileGrid | None = None
        self._schedule = TileSchedule()
        self._tiles = np.empty((backend.batch, *model.tile_shape), np.uint8)

    def warm_up(self) -> None:
        """Run two empty frames, so that the first real one is not slower than the others."""
        for _ in range(2):
            self.detect(np.zeros((*_USUAL_FRAME_PX, 3), np.uint8))

    def detect(
        self,
        frame: npt.NDArray[np.uint8],
        is_time_over: Callable[[], bool] = lambda: False,
        has_data: npt.NDArray[np.bool_] | None = None,
        gsd_mm_per_px: float | None = None,
        is_busy: Callable[[], bool] = lambda: False,
    ) -> FrameDetections:
        """Score the tiles of a BGR frame (H, W, 3) and build its regions.

        Args:
            is_time_over: Called after every batch; if it returns True, the remaining tiles are skipped.
                ``TileSchedule`` determines the order of the tiles.
            has_data: (H, W), False for pixels without data; tiles that consist mostly of these are skipped.
            gsd_mm_per_px: Ground sampling distance of the frame [mm/px]; None where it is unknown.
            is_busy: Called before every batch of the second look, which ends if it returns True.

        Raises:
            InferenceFailed: The backend failed.
        """
        grid = self._grid_for(frame, gsd_mm_per_px)
        pixels = reduced(in_channels(frame, self.model.channels), grid.reduction)
        order = self._schedule.order(grid)
        if has_data is not None:
            order = order[_holds_data(grid, has_data)[order]]
        names = (*OUTPUT_NAMES, NO_STRUCTURE_OUTPUT) if self.model.has_structure_score else OUTPUT_NAMES
        outputs = np.full((len(names), grid.count), np.nan, np.float32)
        cells = np.full((grid.count, self.model.cells), np.nan, np.float32) if self.model.cells else None
        looked = np.zeros(grid.count, np.bool_)
        size = len(self._tiles)
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            part = self.backend.run(cut_tiles(pixels, grid, self._tiles, batch))
            outputs[:, batch] = [getattr(part, name) for name in names]
            if cells is not None:
                cells[batch] = part.cell_score
            looked[batch] = True
            if is_time_over():
                break
        scores = TileScores(**dict(zip(names, outputs, strict=True)), cell_score=cells)
        second_looks = self._look_again(pixels, grid, scores.crack_score, lambda: is_time_over() or is_busy())
        # The model measures widths in pixels of its tiles.
        scores.log_width_px[:] += np.float32(np.log(grid.reduction))
        self._schedule.record(looked, scores.crack_score >= self.threshold)
        if cells is None:
            regions = build_regions(grid, scores.crack_score, self.threshold)
        else:
            regions = build_cell_regions(grid, scores.crack_score, self.threshold, cells, CELL_THRESHOLDS)
        measured = [self._measured(region, scores) for region in regions]
        told = scores.no_structure_score
        no_structure = 0 if told is None else int((told >= NO_STRUCTURE_FROM).sum())
        return FrameDetections(grid, looked, scores, measured, second_looks, no_structure)

    def _look_again(
        self,
        pixels: npt.NDArray[np.uint8],
        grid: TileGrid,
        crack_score: npt.NDArray[np.float32],
        ends: Callable[[], bool],
    ) -> int:
        """Average the scores of doubtful tiles over further views, in place; return the number of these tiles."""
        if not self.second_look:
            return 0
        doubtful = doubtful_tiles(grid, crack_score, self.threshold)
        size, done = max(1, len(self._tiles) // VIEWS), 0
        while done < len(doubtful) and not ends():
            batch = doubtful[done : done + size]
            views = mirrored(cut_tiles(pixels, grid, indices=batch))
            crack_score[batch] = averaged(crack_score[batch], self.backend.run(views).crack_score)
            done += len(batch)
        return done

    def _grid_for(self, frame: npt.NDArray[np.uint8], gsd_mm_per_px: float | None) -> TileGrid:
        height, width = frame.shape[:2]
        # A reduced frame must still fill a tile: padding would cost more than the scale gains.
        largest = max(1, min(height, width) // self.model.tile_px)
        reduction = min(self.scale.reduction(gsd_mm_per_px), largest)
        grid = self._grid
        if grid is None or (grid.frame_width_px, grid.frame_height_px, grid.reduction) != (width, height, reduction):
            grid = self._grid = plan_tiles(width, height, self.model.tile_px, self.overlap, reduction)
        return grid

    @staticmethod
    def _measured(region: Region, scores: TileScores) -> CrackRegion:
        """Return the score-weighted mean over the region's tiles; their differences increase the standard deviation."""
        weights = scores.crack_score[region.tiles].astype(np.float64)
        weights = weights / weights.sum()
        logs = scores.log_width_px[region.tiles].astype(np.float64)
        mean = float(weights @ logs)
        variance = float(weights @ (scores.log_width_sigma[region.tiles].astype(np.float64) ** 2 + (logs - mean) ** 2))
        wide = float(weights @ scores.wide_score[region.tiles].astype(np.float64))
        width = WidthEstimate(mean, float(np.sqrt(variance)))
        if scores.no_structure_score is None:
            return CrackRegion(region, width, wide)
        return CrackRegion(region, width, wide, float(weights @ scores.no_structure_score[region.tiles]))


def _holds_data(grid: TileGrid, has_data: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which tiles (grid.count,) hold data in at least half of their pixels."""
    boxes = grid.boxes()
    return np.array([has_data[top:bottom, left:right].mean() >= 0.5 for left, top, right, bottom in boxes], np.bool_)
