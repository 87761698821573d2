# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""OpenVINO on the CPU, in float32: an optional backend, worth trying on processors where it is the faster one."""

from __future__ import annotations

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

_TILES_A_THREAD = 4
_OTHER_TILES_A_THREAD = (2, 8)

_SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
    # The flight stack shares the cores: the system decides who runs where.
    "ENABLE_CPU_PINNING": False,
    # bfloat16 moves scores by up to 0.15, and without the mode even float32 quantises the inputs of layers whose
    # weights are int8, which moves them by up to 0.013 (docs/backends.md).
    "INFERENCE_PRECISION_HINT": "f32",
    "EXECUTION_MODE_HINT": "ACCURACY",
}


class OpenVinoBackend:
    """One compiled model with one request.

    Args:
        model: The verified model.
        threads: Threads to compute with; 0 takes all cores but at most two.

    Raises:
        UserError: OpenVINO is missing, or cannot compile the graph.
    """

    tolerance = PARITY

    def __init__(self, model: LoadedModel, threads: int = 0) -> None:
        try:
            import openvino
        except ImportError as error:
            raise UserError("openvino is not installed", "pip install 'crack_perception[openvino]'") from error

        self._tile_shape = model.tile_shape
        self._sizes = output_sizes(model)
        count = thread_count(threads)
        # Another number of threads would need another compilation, which takes longer than a measurement may.
        self._shapes = tuple(CallShape(count, tiles) for tiles in (_TILES_A_THREAD, *_OTHER_TILES_A_THREAD))
        self.use(self._shapes[0])
        try:
            core = openvino.Core()
            settings = {**_SETTINGS, "INFERENCE_NUM_THREADS": count}
            compiled = core.compile_model(core.read_model(model.graph), "CPU", settings)
            inputs = {name: _shape(port) for port in compiled.inputs for name in port.get_names()}
            outputs = {name for port in compiled.outputs for name in port.get_names()}
            request = compiled.create_infer_request()
            processor = core.get_property("CPU", "FULL_DEVICE_NAME")
        except Exception as error:  # its exceptions share no base class but Exception
            raise UserError(
                f"OpenVINO cannot compile {model.directory}: {error}", "Use openvino 2024.0 or newer"
            ) from error
        check_graph(model, inputs, outputs)
        self._request: Any = request
        self._description = f"openvino {openvino.__version__.split('-')[0]} f32 {str(processor).strip()}"

    @property
    def description(self) -> str:
        """Version, precision and processor."""
        return self._description

    def shapes(self) -> tuple[CallShape, ...]:
        """Return the shapes to choose from, the default first; all have the same number of threads."""
        return self._shapes

    def use(self, shape: CallShape) -> None:
        """Use a shape from now on: the batch is one call."""
        self.batch = shape.threads * shape.tiles

    def run(self, tiles: npt.NDArray[np.uint8]) -> TileScores:
        """Score tiles (N, *model.tile_shape)."""
        check_tiles(tiles, self._tile_shape)
        if self._request is None:
            raise InferenceFailed("the backend is closed")
        try:
            self._request.infer({INPUT_NAME: tiles})
            outputs = {name: self._request.get_tensor(name).data for name in self._sizes}
        except Exception as error:  # see above
            raise InferenceFailed(f"OpenVINO failed on a batch {tiles.shape}: {error}") from error
        return tile_scores(outputs, len(tiles), self._sizes)

    def close(self) -> None:
        """Free the compiled model."""
        self._request = None


def _shape(port: Any) -> list[int | None]:
    """Of a tensor; None for sizes that are not fixed."""
    return [side.get_length() if side.is_static else None for side in port.get_partial_shape()]
