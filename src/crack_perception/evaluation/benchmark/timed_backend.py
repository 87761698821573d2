"""A backend that adds up how long inference takes, inside whatever runs it."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from crack_perception.recognition.backends.protocol import InferenceBackend, TileScores


class TimedBackend:
    """Passes everything on to another backend.

    Args:
        backend: What computes.

    Attributes:
        spent_s: Time inside ``run`` since :meth:`take_ms` was last called.
    """

    def __init__(self, backend: InferenceBackend) -> None:
        self._backend = backend
        self.spent_s = 0.0

    @property
    def description(self) -> str:
        """That of the other backend."""
        return self._backend.description

    @property
    def batch(self) -> int:
        """That of the other backend."""
        return self._backend.batch

    @property
    def tolerance(self) -> float:
        """That of the other backend."""
        return self._backend.tolerance

    def run(self, tiles: npt.NDArray[np.uint8]) -> TileScores:
        """Score tiles (N, *model.tile_shape)."""
        began_s = time.perf_counter()
        scores = self._backend.run(tiles)
        self.spent_s += time.perf_counter() - began_s
        return scores

    def close(self) -> None:
        """Close the other backend."""
        self._backend.close()

    def take_ms(self) -> float:
        """Milliseconds spent in inference since the last call, and begin anew."""
        spent_ms, self.spent_s = 1000.0 * self.spent_s, 0.0
        return spent_ms
