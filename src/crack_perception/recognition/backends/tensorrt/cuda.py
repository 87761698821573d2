# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The GPU, through PyCUDA: one context, and the one thread that may use it.

PyCUDA frees memory only on the thread that made the context, so that everything on the GPU happens on a thread of its
own, whichever thread asks. The context is current there during a call alone: a thread that ends with one that is, ends
the process.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError

_Result = TypeVar("_Result")


class CudaThread:
    """The first GPU (``CUDA_VISIBLE_DEVICES`` decides which that is) and its thread.

    Attributes:
        driver: The module ``pycuda.driver``; to be used inside ``do`` only.
        device_name: For example ``Orin``.
        compute_capability: For example ``8.7``.

    Raises:
        UserError: PyCUDA, the driver or a GPU is missing.
    """

    def __init__(self) -> None:
        self.driver: Any = None
        self.device_name = ""
        self.compute_capability = ""
        self._context: Any = None
        self._thread = ThreadPoolExecutor(1, "crack_cuda")
        try:
            self._thread.submit(self._open).result()
        except Exception:
            self._thread.shutdown()
            raise

    def _open(self) -> None:
        try:
            import pycuda.driver as driver
        except Exception as error:  # an ImportError, or what the loader of the system says without a driver
            raise UserError(
                f"pycuda cannot be imported ({error})", "Install NVIDIA's driver and CUDA, then pip install pycuda"
            ) from error
        try:
            driver.init()
            if not driver.Device.count():
                raise UserError("CUDA finds no GPU", "Check nvidia-smi, or the container's --gpus option")
            device = driver.Device(0)
            self.device_name = device.name()
            self.compute_capability = ".".join(map(str, device.compute_capability()))
            self._context = device.make_context()
            driver.Context.pop()
        except driver.Error as error:
            raise UserError(f"CUDA does not start ({error})", "Check nvidia-smi and the driver") from error
        self.driver = driver

    def do(self, work: Callable[[], _Result]) -> _Result:
        """Run a function on the thread, with the context current; its result or exception comes back.

        Raises:
            RuntimeError: The thread was closed.
        """
        return self._thread.submit(self._with_context, work).result()

    def _with_context(self, work: Callable[[], _Result]) -> _Result:
        self._context.push()
        try:
            return work()
        finally:
            self.driver.Context.pop()

    def close(self) -> None:
        """End the thread and the context; a second time does nothing. What lies on the GPU must be freed before."""
        context, self._context = self._context, None
        try:
            if context is not None:
                self._thread.submit(context.detach).result()
        finally:
            self._thread.shutdown()


class Buffer:
    """An array in pinned memory of the host, and room for it on the GPU; made and used on the GPU's thread.

    Args:
        driver: ``pycuda.driver``.
        shape: Of the largest array.
        dtype: Of its elements.
    """

    def __init__(self, driver: Any, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._driver = driver
        self.host: npt.NDArray[Any] = driver.pagelocked_empty(shape, np.dtype(dtype))
        self._device = driver.mem_alloc(self.host.nbytes)

    @property
    def address(self) -> int:
        """On the GPU."""
        return int(self._device)

    def upload(self, values: npt.NDArray[Any], stream: Any) -> None:
        """Queue the copy of some rows to the GPU; ``host`` must stay as it is until the stream was waited for."""
        rows = self.host[: len(values)]
        np.copyto(rows, values)
        self._driver.memcpy_htod_async(self._device, rows, stream)

    def download(self, count: int, stream: Any) -> npt.NDArray[Any]:
        """Queue the copy of so many rows from the GPU; they are there once the stream was waited for."""
        rows = self.host[:count]
        self._driver.memcpy_dtoh_async(rows, self._device, stream)
        return rows

    def free(self) -> None:
        """Give the memory of the GPU back."""
        self._device.free()
