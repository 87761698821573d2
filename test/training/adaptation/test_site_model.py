# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""An adapted model replaces a model only if the comparison supports it."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.recognition.models import load_model
from crack_perception.training.adaptation.head import LinearTerm, ModelHead
from crack_perception.training.adaptation.labelled_tiles import LabelledTile
from crack_perception.training.adaptation.refit import SiteRows
from crack_perception.training.adaptation.site_model import Adaptation, Figures, read_site


def adaptation(
    before: tuple[float, float], after: tuple[float, float], known: tuple[float, float] = (0.8, 0.8)
) -> Adaptation:
    """A comparison of F1 and log loss on ten tiles, and of F1 on known surfaces."""
    labels = np.arange(10) % 2
    site = SiteRows(np.zeros((10, 1)), np.zeros(10), labels, np.arange(10).astype(np.str_))
    figures = [Figures(f1, 0.5, 0.5, 0.5, 0.5, loss) for f1, loss in (before, after)]
    known_f1 = [{"a/wall": value, "b/deck": value} for value in known]
    return Adaptation(LinearTerm(np.zeros(1), 0.0), site, figures[0], figures[1], known_f1[0], known_f1[1], True)


@pytest.mark.parametrize(
    ("before", "after", "known", "objection"),
    [
        ((0.6, 0.7), (0.8, 0.5), (0.8, 0.795), ""),
        ((0.6, 0.7), (0.8, 0.7), (0.8, 0.8), "log loss"),
        ((0.6, 0.7), (0.5, 0.6), (0.8, 0.8), ""),
        ((0.6, 0.7), (0.39, 0.6), (0.8, 0.8), "falls from 0.600 to 0.390"),
        ((0.6, 0.7), (0.8, 0.5), (0.8, 0.78), "known surfaces falls by 0.020"),
    ],
)
def test_objection_names_what_speaks_against_the_model(
    before: tuple[float, float], after: tuple[float, float], known: tuple[float, float], objection: str
) -> None:
    found = adaptation(before, after, known).objection()
    assert objection in found
    assert bool(found) == bool(objection)


def test_figures_of_tiles_at_the_threshold() -> None:
    labels = np.array([1, 1, 1, 0, 0])
    margins = np.array([2.0, 0.0, -1.0, 1.0, -3.0])
    figures = Figures.of(labels, margins)
    assert (figures.precision, figures.recall, figures.false_alarms) == pytest.approx((2 / 3, 2 / 3, 0.5))
    assert figures.f1 == pytest.approx(2 / 3)
    assert figures.auc == pytest.approx(4 / 6)
    # Each class has half of the weight.
    cracks, intact = np.log1p(np.exp([-2.0, 0.0, 1.0])), np.log1p(np.exp([1.0, -3.0]))
    assert figures.log_loss == pytest.approx(0.5 * cracks.mean() + 0.5 * intact.mean())


def test_figures_without_any_detection_are_zero_and_no_nan() -> None:
    figures = Figures.of(np.array([1, 0]), np.array([-1.0, -1.0]))
    assert (figures.f1, figures.precision, figures.recall) == (0.0, 0.0, 0.0)


def test_only_the_strongest_tile_of_a_larger_crack_picture_is_used() -> None:
    rng = np.random.default_rng(0)
    head = ModelHead(load_model("nano"))

    def tile(label: int, picture: str, is_candidate: bool) -> LabelledTile:
        pixels = rng.integers(60, 200, (256, 256, 3), np.uint8)
        return LabelledTile(pixels, label, picture, picture, is_candidate)

    tiles = [tile(1, f"small{i}", False) for i in range(4)] + [tile(0, "intact", False) for _ in range(4)]
    tiles += [tile(1, "large", True) for _ in range(3)]
    site = read_site(head, tiles)
    assert site.labels.tolist() == [1] * 4 + [0] * 4 + [1]
    _, logits = head.read([each.pixels for each in tiles])
    assert site.logits[-1] == pytest.approx(logits[8:].max())
