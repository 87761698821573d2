# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The tiny model, and tiles with known scores, for tests of backends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from tiny_model import TILE_PX

from crack_perception.recognition.models import LoadedModel


def tiles_with(*darkest: int) -> np.ndarray:
    """Return grey tiles, each with one pixel of the given grey level at a random place."""
    rng = np.random.default_rng(len(darkest))
    tiles = np.full((len(darkest), TILE_PX, TILE_PX, 3), 200, np.uint8)
    for tile, value in zip(tiles, darkest, strict=True):
        tile[tuple(rng.integers(0, TILE_PX, 2))] = value
    return tiles


def grey_tiles_with(*darkest: int) -> np.ndarray:
    """Return the same tiles with one channel."""
    return np.ascontiguousarray(tiles_with(*darkest)[..., :1])


def crack_score_of(darkest: np.ndarray) -> np.ndarray:
    """Return the crack score that the tiny model computes."""
    return 1 / (1 + np.exp(-(64.0 - darkest) / 8.0))


def changed(model: LoadedModel, change: Callable[..., None]) -> LoadedModel:
    """Return the model with a changed graph; ``change`` modifies an ``onnx.GraphProto``."""
    import onnx

    proto = onnx.load_from_string(model.graph)
    change(proto.graph)
    return replace(model, graph=proto.SerializeToString())


def spoil(graph: object) -> None:
    """Change the graph of the tiny model so that its scores are ``nan``."""
    from onnx import numpy_helper

    (softness,) = [constant for constant in graph.initializer if constant.name == "softness"]  # type: ignore[attr-defined]
    softness.CopyFrom(numpy_helper.from_array(np.float32("nan"), "softness"))
