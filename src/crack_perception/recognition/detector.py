"""One frame in, cracked regions out: tiles, scores and regions in a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.recognition.backend import InferenceBackend, TileScores
from crack_perception.recognition.model_store import LoadedModel
from crack_perception.recognition.severity import WidthEstimate
from crack_perception.vision.regions import Region, build_regions
from crack_perception.vision.tiling import TileGrid, cut_tiles, plan_tiles

# Small batches stay in the processor's cache: four tiles at a time take a fifth less than forty at once.
_BATCH = 4

_USUAL_FRAME_PX = (1080, 1920)


@dataclass(frozen=True)
class CrackRegion:
    """A cracked region and the width that the model reads from its tiles.

    Attributes:
        region: Where it is and its crack score.
        width_px: Mean crack width in pixels.
        wide_score: Two-class severity in pixels: probability of being wider than the model's ``wide_edge_px``.
    """

    region: Region
    width_px: WidthEstimate
    wide_score: float


@dataclass(frozen=True)
class FrameDetections:
    """All that the model says of one frame; regions strongest first."""

    grid: TileGrid
    scores: TileScores
    regions: list[CrackRegion]


class CrackDetector:
    """Runs a model over whole frames; buffers are kept between frames of one size.

    Args:
        model: The verified model.
        backend: An open backend of that model.
        overlap: Least share of a tile that neighbours have in common.
        threshold: Crack score that flags a tile; the model's own when None.
    """

    def __init__(
        self, model: LoadedModel, backend: InferenceBackend, overlap: float = 0.0, threshold: float | None = None
    ) -> None:
        self.model = model
        self.backend = backend
        self.overlap = overlap
        self.threshold = model.threshold if threshold is None else threshold
        self._grid: TileGrid | None = None
        self._tiles = np.empty((0, model.tile_px, model.tile_px, 3), np.uint8)

    def warm_up(self) -> None:
        """Run two empty frames, so that the first real one is not slower than the others."""
        for _ in range(2):
            self.detect(np.zeros((*_USUAL_FRAME_PX, 3), np.uint8))

    def detect(self, frame: npt.NDArray[np.uint8]) -> FrameDetections:
        """Score all tiles of a BGR frame (H, W, 3) and build its regions.

        Raises:
            InferenceFailed: The backend failed.
        """
        grid = self._grid_for(frame)
        scores = self._score(cut_tiles(frame, grid, self._tiles))
        regions = build_regions(grid, scores.crack_score, self.threshold)
        return FrameDetections(grid, scores, [self._measured(region, scores) for region in regions])

    def _grid_for(self, frame: npt.NDArray[np.uint8]) -> TileGrid:
        height, width = frame.shape[:2]
        if self._grid is None or (self._grid.frame_width_px, self._grid.frame_height_px) != (width, height):
            self._grid = plan_tiles(width, height, self.model.tile_px, self.overlap)
            if len(self._tiles) < self._grid.count:
                self._tiles = np.empty((self._grid.count, *self._tiles.shape[1:]), np.uint8)
        return self._grid

    def _score(self, tiles: npt.NDArray[np.uint8]) -> TileScores:
        parts = [self.backend.run(tiles[start : start + _BATCH]) for start in range(0, len(tiles), _BATCH)]
        return TileScores(
            np.concatenate([part.crack_score for part in parts]),
            np.concatenate([part.wide_score for part in parts]),
            np.concatenate([part.log_width_px for part in parts]),
            np.concatenate([part.log_width_sigma for part in parts]),
        )

    @staticmethod
    def _measured(region: Region, scores: TileScores) -> CrackRegion:
        """Score-weighted mean over the region's tiles; their disagreement adds to the spread."""
        weights = scores.crack_score[region.tiles].astype(np.float64)
        weights = weights / weights.sum()
        logs = scores.log_width_px[region.tiles].astype(np.float64)
        mean = float(weights @ logs)
        variance = float(weights @ (scores.log_width_sigma[region.tiles].astype(np.float64) ** 2 + (logs - mean) ** 2))
        wide = float(weights @ scores.wide_score[region.tiles].astype(np.float64))
        return CrackRegion(region, WidthEstimate(mean, float(np.sqrt(variance))), wide)
