"""ONNX Runtime: the default backend, on every CPU and on GPUs whose provider really loads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.recognition.backend import (
    INPUT_NAME,
    OUTPUT_NAMES,
    PARITY,
    InferenceFailed,
    TileScores,
    check_tiles,
    thread_count,
    tile_scores,
)
from crack_perception.recognition.model_store import LoadedModel

_PREFERRED_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")

_TILES_A_THREAD = 4
"""Few tiles stay in the processor's cache, too few give the second thread nothing to do."""


class OnnxRuntimeBackend:
    """One ONNX Runtime session.

    Args:
        model: The verified model.
        threads: Threads inside an operator; 0 takes all cores but at most two.

    Raises:
        UserError: ONNX Runtime is missing or cannot load the graph.
    """

    tolerance = PARITY

    def __init__(self, model: LoadedModel, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError("onnxruntime is not installed", "pip install onnxruntime") from error

        self._tile_px = model.tile_px
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = thread_count(threads)
        options.inter_op_num_threads = 1
        self.batch = _TILES_A_THREAD * options.intra_op_num_threads
        # Spinning workers burn a core that the flight stack needs: with one other busy process a frame takes twice as
        # long, also when they spin no longer than the call lasts (docs/backends.md).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
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
        present = {tensor.name for tensor in (*session.get_inputs(), *session.get_outputs())}
        missing = {INPUT_NAME, *OUTPUT_NAMES} - present
        if missing:
            raise UserError(f"{model.directory}: the graph has no {', '.join(sorted(missing))}", "Train it again")
        self._session: Any = session
        # Installed providers may fall back silently; only the session knows what it runs on.
        self._description = f"onnxruntime {onnxruntime.__version__} {session.get_providers()[0]}"

    @property
    def description(self) -> str:
        """Version and execution provider really in use."""
        return self._description

    def run(self, tiles: npt.NDArray[np.uint8]) -> TileScores:
        """Score tiles (N, tile_px, tile_px, 3), BGR."""
        check_tiles(tiles, self._tile_px)
        if self._session is None:
            raise InferenceFailed("the backend is closed")
        try:
            outputs = self._session.run(OUTPUT_NAMES, {INPUT_NAME: tiles})
        except Exception as error:  # see above
            raise InferenceFailed(f"ONNX Runtime failed on a batch {tiles.shape}: {error}") from error
        return tile_scores(dict(zip(OUTPUT_NAMES, outputs, strict=True)), len(tiles))

    def close(self) -> None:
        """Free the session."""
        self._session = None
