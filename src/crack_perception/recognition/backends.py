"""Choosing a backend by name."""

from __future__ import annotations

from crack_perception.errors import UserError
from crack_perception.recognition.backend import InferenceBackend
from crack_perception.recognition.model_store import LoadedModel
from crack_perception.recognition.onnxruntime_backend import OnnxRuntimeBackend

BACKENDS = ("auto", "onnxruntime")


def open_backend(name: str, model: LoadedModel, threads: int = 0) -> InferenceBackend:
    """The backend of this name, ready to run; ``auto`` takes the fastest that works here.

    Raises:
        UserError: Unknown name, or the backend cannot run the model here.
    """
    if name not in BACKENDS:
        raise UserError(f"there is no backend '{name}'", f"Choose one of {', '.join(BACKENDS)}")
    return OnnxRuntimeBackend(model, threads)
