# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Selection of a backend by name, or of the fastest one that works."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable

from crack_perception.errors import UsageError, UserError
from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend
from crack_perception.recognition.backends.openvino import OpenVinoBackend
from crack_perception.recognition.backends.protocol import InferenceBackend, InferenceFailed
from crack_perception.recognition.backends.tensorrt.backend import TensorRtBackend
from crack_perception.recognition.backends.trial import clearly_fastest, find_error
from crack_perception.recognition.models import LoadedModel

AUTO, DEFAULT = "auto", "onnxruntime"

_OPTIONAL: dict[str, Callable[[LoadedModel, int], InferenceBackend]] = {
    "openvino": OpenVinoBackend,
    "tensorrt": lambda model, _threads: TensorRtBackend(model),
}
_NEEDED = {"openvino": ("openvino",), "tensorrt": ("tensorrt", "pycuda")}
"""Modules that a backend needs; ``auto`` skips it silently where one is missing."""

BACKENDS = (AUTO, DEFAULT, *_OPTIONAL)

_log = logging.getLogger(__name__)


def open_backend(
    name: str, model: LoadedModel, threads: int = 0, report: Callable[[str], object] = _log.warning
) -> InferenceBackend:
    """Open a backend, ready to run; where it fails, report the reason and open ONNX Runtime.

    Args:
        name: One of ``BACKENDS``. ``auto`` takes the fastest of those that are installed and agree with ONNX
            Runtime, measured on this machine in less than a second per candidate.
        model: The verified model.
        threads: Of a backend on the CPU; 0 takes all cores but at most two.
        report: Called with one sentence for every backend that was requested (for ``auto``: is installed) but cannot
            run.

    Raises:
        UserError: Unknown name, or ONNX Runtime cannot run the model here.
    """
    if name not in BACKENDS:
        raise UsageError(f"there is no backend '{name}'", f"Choose one of {', '.join(BACKENDS)}")
    default = OnnxRuntimeBackend(model, threads)
    wanted = [name] if name in _OPTIONAL else _installed() if name == AUTO else []
    opened: list[InferenceBackend] = [default]
    for candidate in wanted:
        try:
            opened.append(_proven(candidate, model, threads, default))
        except UserError as error:
            instead = "" if name == AUTO else f", {DEFAULT} runs instead"
            report(f"The backend {candidate} cannot be used{instead}: {error}")
    chosen = opened[-1] if name != AUTO else _fastest(opened, model, report)
    for backend in opened:
        if backend is not chosen:
            backend.close()
    return chosen


def _installed() -> list[str]:
    return [name for name, modules in _NEEDED.items() if all(map(importlib.util.find_spec, modules))]


def _proven(name: str, model: LoadedModel, threads: int, default: InferenceBackend) -> InferenceBackend:
    """Open a backend and check that it agrees with the default.

    Raises:
        UserError: It does not, or cannot be opened.
    """
    try:
        backend = _OPTIONAL[name](model, threads)
    except UserError:
        raise
    except Exception as error:  # whatever an optional library throws, the default still flies
        raise UserError(f"{type(error).__name__}: {error}", "Check its installation") from error
    wrong = find_error(backend, default, model)
    if wrong:
        backend.close()
        raise UserError(wrong, "Use another version of it, and report this one")
    return backend


def _fastest(opened: list[InferenceBackend], model: LoadedModel, report: Callable[[str], object]) -> InferenceBackend:
    try:
        return opened[clearly_fastest(opened, model)]
    except InferenceFailed as error:
        report(f"The backends could not be compared, {DEFAULT} runs: {error}")
        return opened[0]
