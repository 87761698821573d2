# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The paper's uncompressed models (a backbone with a scikit-learn SVM) as references of the speed report.

Weights are random, because the time does not depend on them; it depends on the number of support vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from sklearn.svm import SVC

from crack_perception.training.backbones.registry import load_backbone
from crack_perception.training.paper.tables.timing import backbone_graph

BACKBONES = ("mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_lite0", "resnet50", "vgg16")

SUPPORT_VECTORS = 1500
"""Approximate number of support vectors of this project's exact SVM."""

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SpeedContender:
    """A reference model from tiles to decision values.

    Args:
        name: Name of the backbone.
        graph: ONNX graph from ``tiles`` ``(N, input_px, input_px, 3)`` uint8 to features ``(N, F)``.
        input_px: Side of its tiles [px].
        decide: Function from features ``(N, F)`` float32 to decision values ``(N,)``.
        support_vectors: Number of support vectors of the SVM.
    """

    name: str
    graph: bytes
    input_px: int
    decide: Callable[[Rows], object]
    support_vectors: int


def speed_contender(name: str) -> SpeedContender:
    """Build the model of one of ``BACKBONES``, with mean pooling of the last feature map as in the paper.

    Raises:
        UserError: The backbone is unknown.
    """
    loaded = load_backbone(name, None, 0)
    graph = backbone_graph(loaded, lambda feature_map: feature_map.mean(dim=(2, 3)))
    svm = random_svm(SUPPORT_VECTORS, cast(int, loaded.trunk.out_channels))
    return SpeedContender(name, graph, loaded.backbone.input_px, svm.decision_function, int(svm.n_support_.sum()))


def random_svm(support_vectors: int, features: int) -> SVC:
    """Fit an RBF SVM on random rows, nearly all of which become support vectors.

    Args:
        support_vectors: Number of rows.
        features: Number of features.
    """
    rows = np.random.default_rng(0).standard_normal((support_vectors, features)).astype(np.float32)
    # The labels are independent of the rows, so that no row is far from the margin.
    return SVC(C=1.0, gamma=1.0 / features).fit(rows, np.arange(support_vectors) % 2)
