# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A loaded engine with its buffers; made, used and freed on the GPU's thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.recognition.backends.protocol import INPUT_NAME, InferenceFailed
from crack_perception.recognition.backends.tensorrt.cuda import Buffer
from crack_perception.recognition.backends.tensorrt.library import make_logger


class RunningEngine:
    """One execution context, one stream, and pinned buffers for the largest batch.

    Args:
        tensorrt: The module.
        driver: ``pycuda.driver``.
        engine: TensorRT's bytes, checked by ``engine_file``.
        tile_shape: Rows, columns and channels of a tile.
        sizes: Outputs of the model with their number of values per tile.
        batch: Most tiles a call.

    Raises:
        UserError: TensorRT refuses the bytes, or they hold another network than the model's.
    """

    def __init__(
        self,
        tensorrt: Any,
        driver: Any,
        engine: bytes,
        tile_shape: tuple[int, int, int],
        sizes: Mapping[str, int],
        batch: int,
    ) -> None:
        self._logger = make_logger(tensorrt)
        self._runtime = tensorrt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            raise UserError(
                f"TensorRT refuses the engine: {self._logger.last_error}",
                "Build it again: crack_perception build-engine",
            )
        shapes = {name: (size,) if size > 1 else () for name, size in sizes.items()}
        self._check_tensors(tensorrt, tile_shape, shapes)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise UserError(f"TensorRT cannot run the engine: {self._logger.last_error}", "Free memory of the GPU")
        self._tile_shape = tile_shape
        self._stream = driver.Stream()
        self._tiles = Buffer(driver, (batch, *tile_shape), np.uint8)
        self._outputs = {name: Buffer(driver, (batch, *shape), np.float32) for name, shape in shapes.items()}
        for name, buffer in {INPUT_NAME: self._tiles, **self._outputs}.items():
            self._context.set_tensor_address(name, buffer.address)

    def _check_tensors(
        self, tensorrt: Any, tile_shape: tuple[int, int, int], shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        mode = tensorrt.TensorIOMode
        expected: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
            name: (mode.OUTPUT, tensorrt.DataType.FLOAT, (-1, *shape)) for name, shape in shapes.items()
        }
        expected[INPUT_NAME] = (mode.INPUT, tensorrt.DataType.UINT8, (-1, *tile_shape))
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        found = {
            name: (
                self._engine.get_tensor_mode(name),
                self._engine.get_tensor_dtype(name),
                tuple(self._engine.get_tensor_shape(name)),
            )
            for name in names
        }
        if found != expected:
            raise UserError(f"the engine has the tensors {found}", "Build it again: crack_perception build-engine")

    def run(self, tiles: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
        """The outputs ``(N,)`` or ``(N, size)`` by name of at most ``batch`` tiles (N, *tile_shape).

        The arrays are overwritten by the next call.

        Raises:
            InferenceFailed: TensorRT refuses the batch.
        """
        count = len(tiles)
        if not self._context.set_input_shape(INPUT_NAME, (count, *self._tile_shape)):
            raise InferenceFailed(f"TensorRT refuses a batch of {count} tiles: {self._logger.last_error}")
        self._tiles.upload(tiles, self._stream)
        if not self._context.execute_async_v3(self._stream.handle):
            raise InferenceFailed(f"TensorRT failed on a batch of {count} tiles: {self._logger.last_error}")
        outputs = {name: buffer.download(count, self._stream) for name, buffer in self._outputs.items()}
        self._stream.synchronize()
        return outputs

    def free(self) -> None:
        """Give everything on the GPU back."""
        # In this order: what uses memory goes before it, and a context before its engine.
        self._stream.synchronize()
        del self._context, self._engine, self._runtime
        for buffer in (self._tiles, *self._outputs.values()):
            buffer.free()
        del self._stream, self._tiles, self._outputs
