# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of Table 4: cracks of known width, masked cracks, classifiers and embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("onnx")

from labelled_tiles import write_labelled_tiles

from crack_perception.training.evaluation.labelled_tiles import LabelledTiles
from crack_perception.training.paper.tables.contenders import Contender
from crack_perception.training.paper.tables.severity import (
    OBVIOUS,
    SLIGHT,
    SeverityTiles,
    WidthTiles,
    embed,
    masked_cracks,
    render_cracks,
    severity_rows,
)

COUNT = 60


def surfaces() -> LabelledTiles:
    rng = np.random.default_rng(2)
    pixels = [rng.normal(160, 5, (256, 256, 3)).astype(np.uint8) for _ in range(6)]
    labels = np.array([0, 1, 0, 1, 0, 1])
    return LabelledTiles(pixels, labels, np.array([f"p{i}" for i in range(6)]), np.repeat("a/wall", 6))


def test_render_cracks_background_tiles_get_both_classes() -> None:
    rendered = render_cracks(surfaces(), 12, 4)
    assert set(rendered.groups) == {"p0", "p2", "p4"}
    assert np.unique(rendered.groups, return_counts=True)[1].tolist() == [4, 4, 4]
    assert 0 < rendered.obvious.sum() < 12
    again, other = render_cracks(surfaces(), 12, 4), render_cracks(surfaces(), 12, 5)
    assert all(np.array_equal(a, b) for a, b in zip(rendered.pixels, again.pixels, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(rendered.pixels, other.pixels, strict=True))


def test_masked_cracks_tile_contains_crack(tmp_path: Path) -> None:
    masked = masked_cracks(write_labelled_tiles(tmp_path))
    assert masked.obvious.tolist() == [0, 1]
    assert masked.groups.tolist() == ["other:2", "other:9"]
    assert all(tile.shape == (256, 256, 3) and tile.min() < 60 for tile in masked.pixels)


def one_level_tiles(seed: int) -> WidthTiles:
    """Tiles whose grey level determines the class."""
    rng = np.random.default_rng(seed)
    obvious = np.arange(COUNT) % 2
    pixels = [np.full((4, 4, 3), level, np.uint8) for level in rng.integers(0, 60, COUNT) + 120 * obvious]
    return WidthTiles(pixels, obvious, np.array([f"{seed}:{i // 4}" for i in range(COUNT)]))


def contender(informative: bool) -> Contender:
    """Eight noisy features, two of which follow the grey level if ``informative``."""

    def extract(name: str, count: int, tile: object) -> np.ndarray:
        features = np.random.default_rng(len(name)).normal(0.0, 1.0, (count, 8))
        levels = np.array([tile(i).mean() for i in range(count)])  # type: ignore[operator]
        features[:, :2] += informative * levels[:, None] / 10.0
        return features.astype(np.float32)

    return Contender("net", "random", 8, 8, None, False, extract, bytes)


@pytest.fixture(scope="module")
def known() -> SeverityTiles:
    return SeverityTiles(one_level_tiles(0), one_level_tiles(1), one_level_tiles(2))


def test_severity_rows_informative_features_are_classified(known: SeverityTiles) -> None:
    rows = severity_rows(known, contender(True), 0)
    assert [row["name"] for row in rows] == ["net, svm", "net, forest"]
    for row in rows:
        assert row["rendered"]["accuracy"] > 0.9
        low, high = row["masked"]["interval"]
        assert low <= row["masked"]["accuracy"] <= high
        assert set(row["rendered"]["classes"]) == {SLIGHT, OBVIOUS}
        assert row["rendered"]["classes"][OBVIOUS]["recall"] > 0.85


def test_embed_only_informative_features_form_clusters(known: SeverityTiles) -> None:
    clear = {embedding.name: embedding for embedding in embed(known, contender(True), 0)}
    blurred = embed(known, contender(False), 0)
    assert list(clear) == ["net, standardised", "net, ZCA"]
    assert clear["net, standardised"].neighbours_agree > 0.9
    assert clear["net, standardised"].silhouette > 0.2
    assert all(embedding.silhouette < 0.1 and embedding.neighbours_agree < 0.75 for embedding in blurred)
