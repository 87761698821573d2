# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""From an ONNX graph to TensorRT's bytes, which takes from seconds to minutes on the GPU that will run them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from crack_perception.errors import UserError
from crack_perception.recognition.backends.protocol import INPUT_NAME, PARITY
from crack_perception.recognition.backends.tensorrt.library import make_logger

PRECISIONS = {"fp32": PARITY, "fp16": 5e-3}
"""Name -> how far outputs may lie from ONNX Runtime's; for fp16 over twice what rounding to halves was seen to do."""
_WORKSPACE_BYTES = 256 << 20
_SAY_EVERY_S = 5.0


def build_engine(
    tensorrt: Any, graph: bytes, tile_shape: tuple[int, int, int], batch: int, say: Callable[[str], object]
) -> bytes:
    """Build an engine for 1 to ``batch`` tiles; the GPU's context must be current.

    Args:
        tensorrt: The module.
        graph: ONNX with the types that are to be computed with (``training/engine_graph.py``).
        tile_shape: Rows, columns and channels of a tile.
        batch: Most tiles a call, and the number for which it is made fast.
        say: Takes a line of progress every few seconds.

    Raises:
        UserError: TensorRT cannot parse the graph or build the engine.
    """
    logger = make_logger(tensorrt)
    builder = tensorrt.Builder(logger)
    # Strongly typed: TensorRT 11 knows nothing else, and the graph alone decides what is computed in half precision.
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(graph):
        problems = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise UserError(f"TensorRT {tensorrt.__version__} cannot parse the graph: {problems}", "Use a newer TensorRT")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    # TF32 keeps 10 bits of what is called float32, on by default.
    config.clear_flag(tensorrt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT_NAME, (1, *tile_shape), (batch, *tile_shape), (batch, *tile_shape))
    config.add_optimization_profile(profile)
    if hasattr(tensorrt, "IProgressMonitor"):
        monitor = _monitor(tensorrt, say)  # kept here: TensorRT holds no reference of its own
        config.progress_monitor = monitor
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise UserError(
            f"TensorRT {tensorrt.__version__} cannot build the engine: {logger.last_error or 'it does not say why'}",
            "Free memory of the GPU, give a smaller --batch, or --precision fp32",
        )
    return bytes(engine)


def _monitor(tensorrt: Any, say: Callable[[str], object]) -> Any:
    class Monitor(tensorrt.IProgressMonitor):
        """Says how far the phases are that have no parent."""

        def __init__(self) -> None:
            super().__init__()
            self._steps: dict[str, int] = {}
            self._said_s = time.monotonic()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            now_s = time.monotonic()
            if phase_name in self._steps and now_s - self._said_s >= _SAY_EVERY_S:
                self._said_s = now_s
                say(f"{phase_name}: step {step + 1} of {self._steps[phase_name]}")
            return True  # go on

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()
