# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choice of the best shipped model that sustains a frame rate on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crack_perception.recognition.backends.protocol import InferenceBackend
from crack_perception.recognition.backends.trial import TRIAL_TILES, median_times_s
from crack_perception.recognition.models import LoadedModel, load_model, shipped_models
from crack_perception.vision.tiling import plan_tiles

AUTO_MODEL = "auto"

# Time of a frame over the time of inference alone: conversion, measuring and publishing (docs/speed.md has 1.37).
_FRAME_OVER_INFERENCE = 1.4


@dataclass(frozen=True)
class Stream:
    """The images that a model has to keep up with.

    Attributes:
        rate_hz: Images a second.
        width_px, height_px: Size of the images.
        overlap: Least overlap of neighbouring tiles, as a share of a tile.
    """

    rate_hz: float
    width_px: int
    height_px: int
    overlap: float = 0.0


@dataclass(frozen=True)
class ModelChoice:
    """A model with its open backend.

    Attributes:
        model: The model.
        backend: A backend of it, ready to run.
        sustained_hz: Frame rate that it is expected to sustain, from the measured time of inference.
        is_enough: Whether this is at least the rate of the stream.
    """

    model: LoadedModel
    backend: InferenceBackend
    sustained_hz: float
    is_enough: bool


def models_by_accuracy() -> list[LoadedModel]:
    """The shipped models, the best on sources that none of them was trained on first.

    The mean area under the ROC curve of these sources counts: it does not depend on a threshold, and models that were
    trained on other data have it in common.

    Raises:
        UserError: One of them is damaged.
    """
    return sorted(map(load_model, shipped_models()), key=_accuracy, reverse=True)


def choose_model(
    stream: Stream, open_backend: Callable[[LoadedModel], InferenceBackend], models: Sequence[LoadedModel] = ()
) -> ModelChoice:
    """Return the first model that sustains the stream; the fastest one if none does.

    Each model runs its own trial tiles on its backend, so that the choice holds for this machine and its present load.
    The backends of the other models are closed.

    Args:
        stream: The images.
        open_backend: Opens the backend of a model.
        models: In the order of preference; the shipped models by accuracy when empty.

    Raises:
        UserError: A model or its backend cannot be opened.
        InferenceFailed: A backend cannot run its model.
    """
    fastest: ModelChoice | None = None
    for model in models or models_by_accuracy():
        backend = open_backend(model)
        sustained_hz = 1.0 / (_FRAME_OVER_INFERENCE * inference_s(model, backend, stream))
        choice = ModelChoice(model, backend, sustained_hz, sustained_hz >= stream.rate_hz)
        if fastest is None or choice.is_enough or choice.sustained_hz > fastest.sustained_hz:
            if fastest is not None:
                fastest.backend.close()
            fastest = choice
        else:
            backend.close()
        if choice.is_enough:
            break
    assert fastest is not None  # the package has models
    return fastest


def inference_s(model: LoadedModel, backend: InferenceBackend, stream: Stream) -> float:
    """Return the measured time [s] of a model for all tiles of one frame.

    Raises:
        InferenceFailed: The backend cannot run the model.
    """
    (trial_s,) = median_times_s([backend], model)
    tiles = plan_tiles(stream.width_px, stream.height_px, model.tile_px, stream.overlap).count
    return trial_s / TRIAL_TILES * tiles


def _accuracy(model: LoadedModel) -> float:
    areas = [figures["auc"] for figures in model.card.get("crops", {}).values() if figures.get("auc") is not None]
    return sum(areas) / len(areas) if areas else 0.0
