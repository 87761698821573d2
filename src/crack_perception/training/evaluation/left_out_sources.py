# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Loss of accuracy on a source that the head was not fitted on (leave one source out).

Only the head is refitted. The backbone was trained on every source, so the loss is a lower bound for a new source.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from sklearn.svm import SVC

from crack_perception.evaluation.metrics.classification import (
    grouped_bootstrap_interval,
    precision_recall_f1,
    roc_auc,
)
from crack_perception.recognition.models import LoadedModel
from crack_perception.training.backbones.features import FeatureExtractor
from crack_perception.training.data.manifest import HARD_NEGATIVES, Row
from crack_perception.training.evaluation.figures import interval, number
from crack_perception.training.evaluation.images import rows_of_split
from crack_perception.training.evaluation.labelled_tiles import LabelledTiles, sample_tiles
from crack_perception.training.heads.whitening import fit_pca

Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]
Head = Callable[[Features], npt.NDArray[np.float64]]

COMPONENTS = 64
FITTING_TILES = 400
"""Largest number of tiles per stratum and label that the heads are fitted on."""
_DRAWS = 500


def fit_head(features: Features, labels: Labels) -> Head:
    """Fit an RBF SVM with default settings on principal components; return its decision function (crack above 0)."""
    projection = fit_pca(features, min(COMPONENTS, *features.shape), seed=0)
    machine = SVC(gamma="scale", class_weight="balanced").fit(projection.apply(features), labels)
    return lambda others: np.asarray(machine.decision_function(projection.apply(others)), np.float64)


def leave_one_source_out(
    features: Features,
    labels: Labels,
    groups: Names,
    sources: Names,
    fitting: npt.NDArray[np.bool_],
    fit: Callable[[Features, Labels], Head] = fit_head,
) -> dict[str, dict[str, Any]]:
    """Compare a head fitted on all sources with one fitted on all other sources, on the test tiles of every source.

    Args:
        features: ``(N, F)`` pooled features.
        labels: ``(N,)`` 0/1.
        groups: ``(N,)`` photographs.
        sources: ``(N,)`` unit that is left out.
        fitting: ``(N,)`` True for train tiles, False for test tiles.
        fit: Fits a head whose threshold is 0.

    Returns:
        By source: ``n``, ``f1``, ``auc`` (fitted on all sources), ``f1_without``, ``auc_without``, ``f1_loss`` and
        ``f1_loss_interval`` over photographs. Sources whose test tiles, or whose other sources, lack a class are
        skipped.
    """
    everything = fit(features[fitting], labels[fitting])
    report = {}
    for source in np.unique(sources[~fitting]):
        here = ~fitting & (sources == source)
        others = fitting & (sources != source)
        if len(np.unique(labels[here])) < 2 or len(np.unique(labels[others])) < 2:
            continue
        inside, outside = everything(features[here]), fit(features[others], labels[others])(features[here])
        report[str(source)] = _compare(labels[here], groups[here], inside, outside)
    return report


def evaluate_left_out_sources(
    model: LoadedModel, directory: Path, rows: Sequence[Row], seed: int
) -> dict[str, dict[str, Any]]:
    """Apply :func:`leave_one_source_out` to the features of a shipped model, by surface and by whole source.

    The hard negatives of a source are left out with it. Heads are fitted on train tiles and evaluated on test tiles,
    both of role ``ship``.

    Returns:
        Result by surface and source; empty if the graph has no dense layer, whose input are the pooled features.
    """
    graph = pooled_features_of(model)
    if graph is None:
        return {}
    parts = [
        sample_tiles(directory, rows_of_split(rows, split), model.tile_px, most, seed)
        for split, most in (("train", FITTING_TILES), ("test", len(rows)))
    ]
    tiles = LabelledTiles(
        [tile for part in parts for tile in part.pixels],
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("labels", "groups", "strata")),
    )
    with tempfile.TemporaryDirectory() as cache:
        extractor = FeatureExtractor(graph, Path(cache), threads=1)
        features = extractor.features("left_out", len(tiles.pixels), lambda i: tiles.pixels[i])
    fitting = np.arange(len(tiles.labels)) < len(parts[0].labels)
    surfaces = np.array([name.replace(HARD_NEGATIVES, HARD_NEGATIVES.split("_")[0]) for name in tiles.strata])
    sources = np.array([name.split("/")[0] for name in surfaces])
    several = [source for source in np.unique(sources) if len(np.unique(surfaces[sources == source])) > 1]
    report = leave_one_source_out(features, tiles.labels, tiles.groups, surfaces, fitting)
    whole = leave_one_source_out(features, tiles.labels, tiles.groups, sources, fitting)
    return report | {source: figures for source, figures in whole.items() if source in several}


def pooled_features_of(model: LoadedModel) -> onnx.ModelProto | None:
    """Extract the graph from ``tiles`` to ``pooled``, the input of the first dense layer; ``None`` without one."""
    whole = onnx.load_model_from_string(model.graph)
    dense = next((i for i, node in enumerate(whole.graph.node) if node.op_type == "Gemm"), None)
    if dense is None:
        return None
    nodes = [
        *whole.graph.node[:dense],
        onnx.helper.make_node("Identity", [whole.graph.node[dense].input[0]], ["pooled"]),
    ]
    used = {name for node in nodes for name in node.input}
    constants = [constant for constant in whole.graph.initializer if constant.name in used]
    del whole.graph.node[:], whole.graph.output[:], whole.graph.initializer[:]
    whole.graph.node.extend(nodes)
    whole.graph.initializer.extend(constants)
    whole.graph.output.append(onnx.helper.make_tensor_value_info("pooled", onnx.TensorProto.FLOAT, ["N", None]))
    return whole


def _compare(
    labels: Labels, groups: Names, inside: npt.NDArray[np.float64], outside: npt.NDArray[np.float64]
) -> dict[str, Any]:
    def f1(decisions: npt.NDArray[np.float64], rows: npt.NDArray[np.intp]) -> float:
        return precision_recall_f1(labels[rows], decisions[rows] > 0)[2]

    def loss(rows: npt.NDArray[np.intp]) -> float:
        return f1(inside, rows) - f1(outside, rows)

    every = np.arange(len(labels))
    return {
        "n": len(labels),
        "f1": number(f1(inside, every)),
        "f1_without": number(f1(outside, every)),
        "f1_loss": number(loss(every)),
        "f1_loss_interval": interval(grouped_bootstrap_interval(loss, groups, _DRAWS)),
        "auc": number(roc_auc(labels, inside)),
        "auc_without": number(roc_auc(labels, outside)),
    }
