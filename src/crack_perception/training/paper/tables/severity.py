# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Table 4: classification of slight and obvious cracks by an SVM and a random forest, without segmentation.

Ground truth are cracks of known width rendered on background tiles, with random light, optics and noise. Widths are in
pixels, because no source states its scale; the edge between the classes is that of the shipped severity heads. Cracks
with masks from sources outside the training are evaluated as well; resizing has widened their masks, which limits the
accuracy of their widths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from crack_perception.training.data.manifest import Row, read_manifest
from crack_perception.training.data.rows import TILE_PX
from crack_perception.training.evaluation.crops import crack_length_px, read_mask
from crack_perception.training.evaluation.figures import interval, number
from crack_perception.training.evaluation.images import MASK_BIAS_PX, unseen_source_rows
from crack_perception.training.evaluation.labelled_tiles import LabelledTiles
from crack_perception.training.heads.severity import EDGE_PX, rendered_view
from crack_perception.training.heads.two_class import fit_two_class, two_class_figures
from crack_perception.training.heads.whitening import fit_standardise, fit_zca
from crack_perception.training.paper.tables.contenders import Contender
from crack_perception.vision.images.files import read_picture
from crack_perception.vision.tiling import Image, pad_to_tile, plan_tiles

CLASSIFIERS: tuple[Literal["svm", "forest"], ...] = ("svm", "forest")
SLIGHT, OBVIOUS = f"slight (< {EDGE_PX:g} px)", f"obvious (>= {EDGE_PX:g} px)"
_NEIGHBOURS = 5
_PERPLEXITY = 30.0

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class WidthTiles:
    """Cracked tiles of known width.

    Args:
        pixels: ``(T, T, 3)`` uint8 BGR each.
        obvious: ``(N,)`` 1 if the crack is wider than ``EDGE_PX``.
        groups: ``(N,)`` photographs.
    """

    pixels: Sequence[Image]
    obvious: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]


def render_cracks(tiles: LabelledTiles, count: int, seed: int) -> WidthTiles:
    """Render cracks on the background tiles of a set, using each tile equally often."""
    background = tiles.part(tiles.labels == 0)
    order = np.resize(np.random.default_rng(seed).permutation(len(background.pixels)), count)
    views = [
        rendered_view(background.pixels[place], np.random.default_rng([seed, i]))
        for i, place in enumerate(order.tolist())
    ]
    obvious = np.array([log_width > math.log(EDGE_PX) for _, log_width in views], np.int64)
    return WidthTiles([view for view, _ in views], obvious, background.groups[order])


def masked_cracks(data: Path) -> WidthTiles:
    """Select the tile with the longest crack of every image with a measured mask, from sources outside the training.

    Raises:
        UserError: An image or mask cannot be read.
    """
    pixels, obvious, groups = [], [], []
    for row in unseen_source_rows(read_manifest(data)):
        if row.mask_path and row.width_px_mean:
            pixels.append(_longest_crack(data, row))
            obvious.append(float(row.width_px_mean) - MASK_BIAS_PX > EDGE_PX)
            groups.append(row.group_id)
    return WidthTiles(pixels, np.array(obvious, np.int64), np.array(groups, np.str_))


def _longest_crack(data: Path, row: Row) -> Image:
    image = read_picture(data / row.path)
    height, width = image.shape[:2]
    mask = read_mask(data / row.mask_path, (height, width))
    boxes = plan_tiles(width, height, TILE_PX, 0.0).boxes()
    left, top, right, bottom = max(boxes, key=lambda box: crack_length_px(mask[box[1] : box[3], box[0] : box[2]]))
    return pad_to_tile(image[top:bottom, left:right], TILE_PX)


@dataclass(frozen=True)
class SeverityTiles:
    """Tiles that the classifiers of Table 4 are fitted on, and the two sets that they are evaluated on."""

    fitting: WidthTiles
    rendered: WidthTiles
    masked: WidthTiles


def severity_rows(tiles: SeverityTiles, contender: Contender, seed: int) -> list[dict[str, Any]]:
    """Compute the rows of Table 4 of one contender: both classifiers, on rendered and on masked cracks.

    Raises:
        UserError: There are too few photographs.
    """
    features = contender.features("widths_fitting", tiles.fitting.pixels)
    tests = {"rendered": tiles.rendered, "masked": tiles.masked}
    test_features = {
        name: contender.features(f"widths_{name}", part.pixels) for name, part in tests.items() if part.pixels
    }
    rows = []
    for kind in CLASSIFIERS:
        machine = fit_two_class(features, tiles.fitting.obvious, tiles.fitting.groups, kind, seed)
        row: dict[str, Any] = {"name": f"{contender.name}, {kind}", "initialisation": contender.initialisation}
        for name, part in test_features.items():
            truth, groups = tests[name].obvious, tests[name].groups
            row[name] = _rounded(two_class_figures(truth, machine.probability(part), groups))
        rows.append(row)
    return rows


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    classes = {SLIGHT: figures["class_0"], OBVIOUS: figures["class_1"]}
    return {
        "n": figures["n"],
        "accuracy": number(figures["accuracy"]),
        "interval": interval(figures["interval"]),
        "classes": {name: {key: number(value) for key, value in row.items()} for name, row in classes.items()},
    }


@dataclass(frozen=True)
class Embedding:
    """Two-dimensional embedding of the features of rendered test cracks.

    Args:
        name: Name of the contender and the feature map.
        points: ``(N, 2)`` embedded features.
        obvious: ``(N,)`` classes.
        silhouette: Silhouette score of the classes: 1 for two distant clusters, 0 for mixed classes.
        neighbours_agree: Share of points whose class equals the majority of their five nearest neighbours.
    """

    name: str
    points: Array
    obvious: npt.NDArray[np.int64]
    silhouette: float
    neighbours_agree: float


def embed(tiles: SeverityTiles, contender: Contender, seed: int) -> list[Embedding]:
    """Embed standardised and whitened (paper, section 3.3.2) features by t-SNE (van der Maaten & Hinton 2008)."""
    fitting = contender.features("widths_fitting", tiles.fitting.pixels)
    rendered = contender.features("widths_rendered", tiles.rendered.pixels)
    return [
        _embedded(f"{contender.name}, {name}", fit(fitting).apply(rendered), tiles.rendered.obvious, seed)
        for name, fit in (("standardised", fit_standardise), ("ZCA", fit_zca))
    ]


def _embedded(name: str, features: Array, obvious: npt.NDArray[np.int64], seed: int) -> Embedding:
    perplexity = min(_PERPLEXITY, (len(features) - 1) / 3)
    points = np.asarray(TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(features))
    # Without arguments, kneighbors excludes each point from its own neighbours.
    nearest = KNeighborsClassifier(_NEIGHBOURS).fit(points, obvious).kneighbors(return_distance=False)
    agree = (obvious[nearest].mean(axis=1) > 0.5) == (obvious == 1)
    return Embedding(name, points, obvious, float(silhouette_score(points, obvious)), float(np.mean(agree)))
