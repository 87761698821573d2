# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Replacements for ``tensorrt`` and ``pycuda`` that compute on the CPU and are as strict as the real libraries.

An "engine" is a header followed by the ONNX graph, which ONNX Runtime computes. Mistakes that cause a crash, a leak or
wrong values in the real libraries raise an error here: using the GPU without a current context or from another thread,
copying from memory that is not pinned, reading results before waiting for the stream, running a batch outside the
profile, deserialising other data than an engine. ``test/recognition/backends/tensorrt/test_bindings.py`` compares
every name and signature with the real bindings.
"""

from __future__ import annotations

import enum
import importlib.machinery
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

VERSION = "10.3.0"
PLAN = b"FAKE ENGINE\n"
_STRONGLY_TYPED = 1


class Severity(enum.Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    Severity = Severity

    def log(self, severity: Severity, msg: str) -> None:
        raise NotImplementedError


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = _STRONGLY_TYPED


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class BuilderFlag(enum.Enum):
    TF32 = 0


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class DataType(enum.Enum):
    FLOAT = 0
    UINT8 = 1


class IProgressMonitor:
    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        raise NotImplementedError

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise NotImplementedError

    def phase_finish(self, phase_name: str) -> None:
        raise NotImplementedError


class INetworkDefinition:
    def __init__(self) -> None:
        self.graph = b""


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[tuple[int, ...], ...]] = {}

    def set_shape(self, input: str, min: tuple[int, ...], opt: tuple[int, ...], max: tuple[int, ...]) -> None:  # noqa: A002
        assert all(a <= b <= c for a, b, c in zip(min, opt, max, strict=True))
        self.shapes[input] = (min, opt, max)


class IBuilderConfig:
    progress_monitor: IProgressMonitor | None = None

    def __init__(self) -> None:
        self.profiles: list[IOptimizationProfile] = []
        self.flags = {BuilderFlag.TF32}

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        assert pool is MemoryPoolType.WORKSPACE and pool_size > 0

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.flags.remove(flag)

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network = network
        self.num_errors = 0

    def parse(self, model: bytes, path: str | None = None) -> bool:
        import onnx

        try:
            graph = onnx.load_from_string(model).graph
        except Exception:
            graph = onnx.GraphProto()
        # Not every TensorRT takes weights of int8 without a quantised computation: it must not see any.
        if not graph.node or any(node.op_type == "DequantizeLinear" for node in graph.node):
            self.num_errors = 1
            return False
        self._network.graph = model
        return True

    def get_error(self, index: int) -> str:
        return f"error {index} of the fake parser"


class Builder:
    built = 0

    def __init__(self, logger: ILogger) -> None:
        _require_context()
        self._logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        assert flags == 1 << _STRONGLY_TYPED
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> bytes | None:
        if BuilderFlag.TF32 in config.flags:
            self._logger.log(Severity.ERROR, "TF32 is on")
            return None
        monitor = config.progress_monitor
        if monitor is not None:
            monitor.phase_start("Building Engine", None, 2)
            for step in range(2):
                monitor.phase_start("Tactics", "Building Engine", 1)
                assert monitor.step_complete("Tactics", 0)
                monitor.phase_finish("Tactics")
                assert monitor.step_complete("Building Engine", step)
            monitor.phase_finish("Building Engine")
        (profile,) = config.profiles
        (shapes,) = profile.shapes.values()
        Builder.built += 1
        return PLAN + shapes[2][0].to_bytes(4, "little") + network.graph


class Runtime:
    deserialised = 0

    def __init__(self, logger: ILogger) -> None:
        _require_context()
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        Runtime.deserialised += 1
        if not serialized_engine.startswith(PLAN):
            raise AssertionError("the real TensorRT may crash on these bytes")
        most, graph = serialized_engine[len(PLAN) :][:4], serialized_engine[len(PLAN) + 4 :]
        return ICudaEngine(graph, int.from_bytes(most, "little"))


class ICudaEngine:
    def __init__(self, graph: bytes, most: int) -> None:
        import onnxruntime

        self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self.most = most
        self._inputs = self.session.get_inputs()
        self._tensors = {tensor.name: tensor for tensor in (*self.session.get_outputs(), *self._inputs)}

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name == self._inputs[0].name else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return {"tensor(uint8)": DataType.UINT8, "tensor(float)": DataType.FLOAT}[self._tensors[name].type]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(side if isinstance(side, int) else -1 for side in self._tensors[name].shape)

    def create_execution_context(self) -> IExecutionContext:
        _require_context()
        return IExecutionContext(self)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}
        self._shape: tuple[int, ...] = ()

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shape = shape
        return 1 <= shape[0] <= self._engine.most

    def execute_async_v3(self, stream_handle: int) -> bool:
        _require_context()
        shape = self._shape
        assert shape and len(self._addresses) == self._engine.num_io_tensors

        def execute() -> None:
            tiles = _memory[self._addresses["tiles"]][: int(np.prod(shape))].reshape(shape)
            names = [name for name in self._addresses if name != "tiles"]
            for name, values in zip(names, self._engine.session.run(names, {"tiles": tiles}), strict=True):
                _memory[self._addresses[name]][: values.nbytes] = values.view(np.uint8).reshape(-1)

        _streams[stream_handle].queue.append(execute)
        return True


_memory: dict[int, np.ndarray] = {}
_pinned: list[np.ndarray] = []
_streams: dict[int, Stream] = {}
_local = threading.local()
_next_address = iter(range(4096, 1 << 40, 4096))


class Error(Exception):
    pass


def allocated() -> int:
    """Return the number of memory blocks that are allocated on the fake GPU."""
    return len(_memory)


def _stack() -> list[Context]:
    if not hasattr(_local, "stack"):
        _local.stack = []
    return _local.stack


def _require_context() -> Context:
    if not _stack():
        raise Error("invalid device context")
    return _stack()[-1]


def init(flags: int = 0) -> None:
    Device.ready = True


class Device:
    ready = False
    number = 1

    def __init__(self, arg1: int) -> None:
        assert Device.ready and arg1 < Device.number

    @staticmethod
    def count() -> int:
        if not Device.ready:
            raise Error("not initialized")
        return Device.number

    def name(self) -> str:
        return "Fake GPU"

    def compute_capability(self) -> tuple[int, int]:
        return (8, 7)

    def make_context(self, flags: int = 0) -> Context:
        context = Context()
        context.push()
        return context


class Context:
    alive = 0

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._is_alive = True
        Context.alive += 1

    def push(self) -> None:
        assert self._is_alive and threading.get_ident() == self._thread
        _stack().append(self)

    @staticmethod
    def pop() -> None:
        _require_context()
        _stack().pop()

    def detach(self) -> None:
        assert self._is_alive and threading.get_ident() == self._thread and self not in _stack()
        self._is_alive = False
        Context.alive -= 1


class Stream:
    def __init__(self, flags: int = 0) -> None:
        _require_context()
        self.handle = next(_next_address)
        self.queue: list[Callable[[], None]] = []
        _streams[self.handle] = self

    def synchronize(self) -> None:
        _require_context()
        for work in self.queue:
            work()
        self.queue.clear()


class DeviceAllocation:
    def __init__(self, size: int) -> None:
        self._context = _require_context()
        self._address = next(_next_address)
        _memory[self._address] = np.full(size, 255, np.uint8)

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        assert _require_context() is self._context
        del _memory[self._address]


def mem_alloc(arg1: int) -> DeviceAllocation:
    return DeviceAllocation(arg1)


def pagelocked_empty(shape: tuple[int, ...], dtype: Any, order: str = "C", mem_flags: int = 0) -> np.ndarray:
    _require_context()
    _pinned.append(np.zeros(shape, dtype))
    return _pinned[-1]


def _bytes_of(array: np.ndarray) -> np.ndarray:
    assert any(np.shares_memory(array, pinned) for pinned in _pinned), "an asynchronous copy needs pinned memory"
    assert array.flags.c_contiguous
    return array.reshape(-1).view(np.uint8)


def memcpy_htod_async(dest: DeviceAllocation, src: np.ndarray, stream: Stream) -> None:
    _require_context()
    source = _bytes_of(src)
    stream.queue.append(lambda: np.copyto(_memory[int(dest)][: source.size], source))


def memcpy_dtoh_async(dest: np.ndarray, src: DeviceAllocation, stream: Stream) -> None:
    _require_context()
    target = _bytes_of(dest)
    stream.queue.append(lambda: np.copyto(target, _memory[int(src)][: target.size]))


TENSORRT_CLASSES = (
    ILogger,
    NetworkDefinitionCreationFlag,
    MemoryPoolType,
    BuilderFlag,
    TensorIOMode,
    DataType,
    IProgressMonitor,
    INetworkDefinition,
    IOptimizationProfile,
    IBuilderConfig,
    OnnxParser,
    Builder,
    Runtime,
    ICudaEngine,
    IExecutionContext,
)
PYCUDA_CLASSES = (Device, Context, Stream, DeviceAllocation, Error)
PYCUDA_FUNCTIONS = (init, mem_alloc, pagelocked_empty, memcpy_htod_async, memcpy_dtoh_async)


def _module(name: str, **content: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(module).update(content)
    return module


def install(patch: pytest.MonkeyPatch, version: str = VERSION) -> None:
    """Make ``import tensorrt`` and ``import pycuda.driver`` find the replacements, with one GPU."""
    content = {kind.__name__: kind for kind in TENSORRT_CLASSES}
    driver = _module("pycuda.driver", **{entry.__name__: entry for entry in (*PYCUDA_CLASSES, *PYCUDA_FUNCTIONS)})
    patch.setitem(sys.modules, "tensorrt", _module("tensorrt", __version__=version, **content))
    patch.setitem(sys.modules, "pycuda", _module("pycuda", driver=driver))
    patch.setitem(sys.modules, "pycuda.driver", driver)
    patch.setattr(Device, "number", 1)
