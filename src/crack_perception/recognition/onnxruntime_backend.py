"""ONNX Runtime: the default backend, on every CPU and on GPUs whose provider really loads."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.recognition.backend import OUTPUT_NAMES, InferenceFailed, TileScores
from crack_perception.recognition.model_store import LoadedModel

_INPUT_NAME = "tiles"
_PREFERRED_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


class OnnxRuntimeBackend:
    """One ONNX Runtime session.

    Args:
        model: The verified model.
        threads: Threads inside an operator; 0 takes all cores but at most two, which leaves room for the flight stack.

    Raises:
        UserError: ONNX Runtime is missing or cannot load the graph.
    """

    def __init__(self, model: LoadedModel, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError("onnxruntime is not installed", "pip install onnxruntime") from error

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or min(2, os.cpu_count() or 1)
        options.inter_op_num_threads = 1
        # Spinning workers burn a core between frames that the flight stack needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Weights are stored as int8 and computed in float: folding them once at load keeps float speed.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.log_severity_level = 3
        available = onnxruntime.get_available_providers()
        providers = [name for name in _PREFERRED_PROVIDERS if name in available]
        try:
            self._session = onnxruntime.InferenceSession(model.graph, options, providers=providers)
        except Exception as error:  # ONNX Runtime's exceptions share no base class but Exception
            raise UserError(
                f"ONNX Runtime {onnxruntime.__version__} cannot load {model.directory}: {error}",
                "Use onnxruntime 1.16 or newer, or train the model again",
            ) from error
        present = {tensor.name for tensor in (*self._session.get_inputs(), *self._session.get_outputs())}
        missing = {_INPUT_NAME, *OUTPUT_NAMES} - present
        if missing:
            raise UserError(f"{model.directory}: the graph has no {', '.join(sorted(missing))}", "Train it again")
        # Installed providers may fall back silently; only the session knows what it runs on.
        self._description = f"onnxruntime {onnxruntime.__version__} {self._session.get_providers()[0]}"

    @property
    def description(self) -> str:
        """Version and execution provider really in use."""
        return self._description

    def run(self, tiles: npt.NDArray[np.uint8]) -> TileScores:
        """Score tiles (N, tile_px, tile_px, 3), BGR."""
        try:
            outputs = self._session.run(OUTPUT_NAMES, {_INPUT_NAME: tiles})
            values = [np.asarray(output, dtype=np.float32).reshape(len(tiles)) for output in outputs]
        except Exception as error:  # see above; or an output that is not one number a tile
            raise InferenceFailed(f"ONNX Runtime failed on a batch {tiles.shape}: {error}") from error
        # NaN compares false with the threshold: it would pass for sound concrete.
        unusable = [name for name, output in zip(OUTPUT_NAMES, values, strict=True) if not np.all(np.isfinite(output))]
        if unusable:
            raise InferenceFailed(f"the model's {', '.join(unusable)} holds values that are not finite")
        return TileScores(*values)

    def close(self) -> None:
        """Free the session."""
        del self._session
