"""The one protocol that every inference backend speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

OUTPUT_NAMES = ("crack_score", "wide_score", "log_width_px", "log_width_sigma")


class InferenceFailed(Exception):
    """The backend could not run this batch; the text says why."""


@dataclass(frozen=True)
class TileScores:
    """What a model says of N tiles; every array is float32 (N,).

    Attributes:
        crack_score: Calibrated probability that the tile shows a crack.
        wide_score: Probability that the crack is wider than the model's ``wide_edge_px``.
        log_width_px: Natural logarithm of the mean crack width in pixels; means nothing without a crack.
        log_width_sigma: Standard deviation of ``log_width_px``.
    """

    crack_score: npt.NDArray[np.float32]
    wide_score: npt.NDArray[np.float32]
    log_width_px: npt.NDArray[np.float32]
    log_width_sigma: npt.NDArray[np.float32]


class InferenceBackend(Protocol):
    """Runs one model on batches of tiles; used by one thread at a time."""

    @property
    def description(self) -> str:
        """What really computes, for diagnostics, for example ``onnxruntime 1.20.1 CPUExecutionProvider``."""
        ...

    def run(self, tiles: npt.NDArray[np.uint8]) -> TileScores:
        """Score tiles (N, tile_px, tile_px, 3), BGR, N >= 1.

        Raises:
            InferenceFailed: The batch could not be computed.
        """
        ...

    def close(self) -> None:
        """Free what the backend holds; it cannot run afterwards."""
        ...
