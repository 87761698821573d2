"""The paper's uncompressed models, for the speed report to time beside ours: networks with a scikit-learn SVM behind.

The weights are random, because they do not matter to the time; how many support vectors there are does.
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
"""About as many as the exact crack SVM of this project keeps."""

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SpeedContender:
    """A model from tiles to decision values.

    Args:
        name: Of the backbone.
        graph: ONNX, from ``tiles`` ``(N, input_px, input_px, 3)`` uint8 to features ``(N, F)``.
        input_px: Side of its tiles.
        decide: Features ``(N, F)`` float32 to decision values ``(N,)``.
        support_vectors: Of the machine that decides.
    """

    name: str
    graph: bytes
    input_px: int
    decide: Callable[[Rows], object]
    support_vectors: int


def speed_contender(name: str) -> SpeedContender:
    """Build one of ``BACKBONES``; its features are the means of the last feature map, as the paper's.

    Raises:
        UserError: There is no such backbone.
    """
    loaded = load_backbone(name, None, 0)
    graph = backbone_graph(loaded, lambda feature_map: feature_map.mean(dim=(2, 3)))
    machine = machine_of(SUPPORT_VECTORS, cast(int, loaded.trunk.out_channels))
    return SpeedContender(
        name, graph, loaded.backbone.input_px, machine.decision_function, int(machine.n_support_.sum())
    )


def machine_of(support_vectors: int, features: int) -> SVC:
    """An RBF machine in which all but a few of so many random rows are support vectors.

    Args:
        support_vectors: Rows that it is fitted on.
        features: Of each.
    """
    rows = np.random.default_rng(0).standard_normal((support_vectors, features)).astype(np.float32)
    # Labels that the rows know nothing of: no row is far from the margin.
    return SVC(C=1.0, gamma=1.0 / features).fit(rows, np.arange(support_vectors) % 2)
