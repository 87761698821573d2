# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Alternating measurement of the time of several models.

Times on a busy or throttled machine drift by tens of per cent within minutes. Alternating calls drift together, so that
their ratios are reproducible.
"""

from __future__ import annotations

import io
import statistics
import time
import warnings
from collections.abc import Callable, Mapping

import numpy as np
import onnxruntime
import torch
from torch import nn

from crack_perception.training.backbones.network import pool_mean_std_max
from crack_perception.training.backbones.preprocessing import Preprocessing
from crack_perception.training.backbones.registry import LoadedBackbone
from crack_perception.training.export.onnx_graph import OPSET

_CALLS_A_ROUND = 3


def median_milliseconds(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Measure the median time of several calls, alternating between them after one untimed warm-up call each.

    Args:
        calls: Calls to time, by name.
        rounds: Number of rounds; in each, the mean of a few calls counts.

    Returns:
        Median time by name [ms].
    """
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(_CALLS_A_ROUND):
                call()
            taken[name].append((time.perf_counter() - start) / _CALLS_A_ROUND)
    return {name: 1000.0 * statistics.median(seconds) for name, seconds in taken.items()}


def single_tile_call(graph: bytes) -> Callable[[], object]:
    """Return a call that runs a graph with input ``tiles`` ``(N, T, T, C)`` uint8 on one random tile and one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape[1:]
    tile = np.random.default_rng(0).integers(0, 256, (1, *shape), np.uint8)
    return lambda: session.run(None, {"tiles": tile})


Pooling = Callable[[torch.Tensor], torch.Tensor]


class _PooledFeatures(nn.Module):
    """Network from uint8 BGR tiles to pooled features."""

    def __init__(self, preprocessing: Preprocessing, trunk: nn.Module, pooling: Pooling) -> None:
        super().__init__()
        self._preprocessing = preprocessing
        self._trunk = trunk
        self._pooling = pooling

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        return self._pooling(self._trunk(self._preprocessing.apply(tiles)))


def backbone_graph(loaded: LoadedBackbone, pooling: Pooling = pool_mean_std_max) -> bytes:
    """Export a backbone to ONNX, so that it is timed in the same runtime as the shipped models.

    Args:
        loaded: The backbone.
        pooling: Function from its feature map ``(N, C, H, W)`` to features ``(N, F)``.
    """
    side = loaded.backbone.input_px
    network = _PooledFeatures(loaded.preprocessing, loaded.trunk, pooling).eval()
    graph = io.BytesIO()
    with warnings.catch_warnings():
        # Warnings that the exporter is deprecated (its successor needs another package), and about traced constants.
        warnings.simplefilter("ignore")
        tile = torch.zeros(1, side, side, 3, dtype=torch.uint8)
        torch.onnx.export(
            network,
            (tile,),
            graph,
            input_names=["tiles"],
            dynamic_axes={"tiles": {0: "tiles"}},
            opset_version=OPSET,
            dynamo=False,
        )
    return graph.getvalue()
