# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A cached engine behind the backend protocol."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.recognition.backends.protocol import (
    InferenceFailed,
    TileScores,
    check_tiles,
    output_sizes,
    tile_scores,
)
from crack_perception.recognition.backends.tensorrt.cuda import CudaThread
from crack_perception.recognition.backends.tensorrt.engine_builder import PRECISIONS
from crack_perception.recognition.backends.tensorrt.engine_cache import EngineSite, cache_folder, find_engine
from crack_perception.recognition.backends.tensorrt.engine_run import RunningEngine
from crack_perception.recognition.backends.tensorrt.library import load_tensorrt
from crack_perception.recognition.models import LoadedModel

_log = logging.getLogger(__name__)


class TensorRtBackend:
    """Runs the engine of a model that ``crack_perception build-engine`` left in the cache; never builds one.

    Args:
        model: The verified model.
        folder: Of the cache; the user's own when None.

    Raises:
        UserError: TensorRT, PyCUDA or a GPU is missing, or no engine in the cache fits.
    """

    def __init__(self, model: LoadedModel, folder: Path | None = None) -> None:
        tensorrt = load_tensorrt()
        cuda = CudaThread()
        try:
            found = find_engine(folder or cache_folder(), EngineSite.here(model, tensorrt, cuda))
            if isinstance(found, str):
                raise UserError(found, f"Build one: crack_perception build-engine --model {model.name}")
            key, engine = found
            self._engine: RunningEngine | None = cuda.do(
                lambda: RunningEngine(tensorrt, cuda.driver, engine, model.tile_shape, output_sizes(model), key.batch)
            )
        except Exception:
            cuda.close()
            raise
        self._cuda = cuda
        self._tile_shape = model.tile_shape
        self._sizes = output_sizes(model)
        self.batch = key.batch
        self.tolerance = PRECISIONS[key.precision]
        self._description = f"tensorrt {tensorrt.__version__} {key.precision} {cuda.device_name}"

    @property
    def description(self) -> str:
        """Version, precision and GPU."""
        return self._description

    def run(self, tiles: npt.NDArray[np.uint8]) -> TileScores:
        """Score tiles (N, *model.tile_shape)."""
        check_tiles(tiles, self._tile_shape)
        if self._engine is None:
            raise InferenceFailed("the backend is closed")
        try:
            outputs = self._cuda.do(lambda: self._run(tiles))
        except InferenceFailed:
            raise
        except Exception as error:  # PyCUDA's errors; a class of a module that this file does not import
            raise InferenceFailed(f"the GPU failed on a batch {tiles.shape}: {error}") from error
        return tile_scores(outputs, len(tiles), self._sizes)

    def _run(self, tiles: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
        assert self._engine is not None
        outputs = {name: np.empty((len(tiles), size), np.float32) for name, size in self._sizes.items()}
        for start in range(0, len(tiles), self.batch):
            part = slice(start, start + self.batch)
            for name, values in self._engine.run(tiles[part]).items():
                outputs[name][part] = values.reshape(-1, self._sizes[name])
        return outputs

    def close(self) -> None:
        """Free the engine, its memory and the GPU's context."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        try:
            try:
                self._cuda.do(engine.free)
            finally:
                self._cuda.close()
        except Exception as error:  # see above; a GPU that broke down in flight must not keep the node from ending
            _log.warning("The GPU could not be given back: %s", error)
