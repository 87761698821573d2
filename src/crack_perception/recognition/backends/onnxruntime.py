# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""ONNX Runtime: the default backend, on every CPU and on GPUs whose provider really loads."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.recognition.backends.protocol import (
    INPUT_NAME,
    PARITY,
    CallShape,
    InferenceFailed,
    TileScores,
    check_graph,
    check_tiles,
    output_sizes,
    thread_count,
    tile_scores,
)
from crack_perception.recognition.models import LoadedModel

_CPU = "CPUExecutionProvider"
_PREFERRED_PROVIDERS = ("CUDAExecutionProvider", _CPU)

_TILES_AT_ONCE = 4
"""So few stay in the processor's cache."""

_OTHER_TILES_AT_ONCE = (2, 8)
"""Worth a measurement: caches differ."""

_TILES_A_THREAD = 12
"""Enough that threads seldom wait for each other at the end of a call."""


class OnnxRuntimeBackend:
    """ONNX Runtime session; on a CPU, several threads use it in parallel with separate tiles.

    The operators of a small model are too short to be shared between threads: two threads with separate tiles take
    0.6 to 0.8 of the time of two threads that share operators, and less processor time (docs/backends.md).

    Args:
        model: The verified model.
        threads: How many; 0 takes all cores but at most two, or one where ``tune`` measures that to be faster.

    Raises:
        UserError: ONNX Runtime is missing or cannot load the graph.
    """

    tolerance = PARITY

    def __init__(self, model: LoadedModel, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError("onnxruntime is not installed", "pip install onnxruntime") from error

        self._tile_shape = model.tile_shape
        self._sizes = output_sizes(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # Weights are stored as int8 and computed in float: folding them once at load keeps float speed.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.log_severity_level = 3
        available = onnxruntime.get_available_providers()
        providers = [name for name in _PREFERRED_PROVIDERS if name in available]
        try:
            session = onnxruntime.InferenceSession(model.graph, options, providers=providers)
        except Exception as error:  # ONNX Runtime's exceptions share no base class but Exception
            raise UserError(
                f"ONNX Runtime {onnxruntime.__version__} cannot load {model.directory}: {error}",
                "Use onnxruntime 1.16 or newer, or train the model again",
            ) from error
        inputs = {tensor.name: tensor.shape for tensor in session.get_inputs()}
        check_graph(model, inputs, {tensor.name for tensor in session.get_outputs()})
        self._session: Any = session
        # Installed providers may fall back silently; only the session reports what it runs on.
        provider = session.get_providers()[0]
        self._description = f"onnxruntime {onnxruntime.__version__} {provider}"
        self._shapes = _shapes(threads) if provider == _CPU else ()
        self._shape: CallShape | None = None
        self._pool: ThreadPoolExecutor | None = None
        self.batch = _TILES_A_THREAD * thread_count(threads)
        if self._shapes:
            default = self._shapes[0]
            self._pool = ThreadPoolExecutor(default.threads, "tile_scores") if default.threads > 1 else None
            self.use(default)

    @property
    def description(self) -> str:
        """Version and execution provider really in use."""
        return self._description

    def shapes(self) -> tuple[CallShape, ...]:
        """Return the shapes to choose from, the default first; none on a GPU."""
        return self._shapes

    def use(self, shape: CallShape) -> None:
        """Use one of ``shapes`` from now on; the batch is a multiple of what all threads compute in one call."""
        self._shape = shape
        calls = 1 if shape.threads == 1 else math.ceil(_TILES_A_THREAD / shape.tiles)
        self.batch = shape.threads * shape.tiles * calls

    def run(self, tiles: npt.NDArray[np.uint8]) -> TileScores:
        """Score tiles (N, *model.tile_shape)."""
        check_tiles(tiles, self._tile_shape)
        if self._session is None:
            raise InferenceFailed("the backend is closed")
        parts = self._parts(tiles)
        try:
            if self._shape is not None and self._shape.threads > 1 and self._pool is not None and len(parts) > 1:
                outputs = list(self._pool.map(self._run, parts))
            else:
                outputs = [self._run(part) for part in parts]
        except InferenceFailed:
            raise
        except Exception as error:  # see above
            raise InferenceFailed(f"ONNX Runtime failed on a batch {tiles.shape}: {error}") from error
        joined = [np.concatenate(values) for values in zip(*outputs, strict=True)]
        return tile_scores(dict(zip(self._sizes, joined, strict=True)), len(tiles), self._sizes)

    def _parts(self, tiles: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
        """Divide a batch into calls; with several threads into as many of equal size that no thread is left over."""
        if self._shape is None:
            return [tiles]
        step, threads = self._shape.tiles, self._shape.threads
        if threads > 1:
            calls = threads * math.ceil(len(tiles) / step / threads)
            return np.array_split(tiles, min(calls, len(tiles)))
        return [tiles[start : start + step] for start in range(0, len(tiles), step)]

    def _run(self, tiles: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """The graph's outputs for some tiles, one array for each.

        Raises:
            InferenceFailed: There are more or fewer values than tiles; joined with others they would shift.
        """
        outputs = self._session.run(list(self._sizes), {INPUT_NAME: tiles})
        for (name, size), output in zip(self._sizes.items(), outputs, strict=True):
            if np.size(output) != size * len(tiles):
                raise InferenceFailed(f"the model's {name} is {np.shape(output)} for a batch of {len(tiles)} tiles")
        return [np.ravel(output) for output in outputs]

    def close(self) -> None:
        """Free the session and the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        self._session = None


def _shapes(threads: int) -> tuple[CallShape, ...]:
    """Return the default shape and those that may be faster; fewer threads only where the number is not requested."""
    default = CallShape(thread_count(threads), _TILES_AT_ONCE)
    others = [CallShape(default.threads, tiles) for tiles in _OTHER_TILES_AT_ONCE]
    if not threads and default.threads > 1:
        others.append(CallShape(1, _TILES_AT_ONCE))
    return (default, *others)
