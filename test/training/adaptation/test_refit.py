# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The refit separates the tiles of a site and keeps known surfaces, on features with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from crack_perception.training.adaptation.base_rows import BaseRows
from crack_perception.training.adaptation.refit import KnownSurfaces, SiteFit, SiteRows, group_folds

COMPONENTS = 64
THRESHOLD = 0.5


def model_logits(features: np.ndarray) -> np.ndarray:
    """Logit of the model before the adaptation: it knows the first component only."""
    return 3.0 * features[:, 0] + THRESHOLD


def known_surfaces(rng: np.random.Generator, count: int = 400) -> KnownSurfaces:
    labels = rng.integers(0, 2, count)
    features = rng.normal(0.0, 1.0, (count, COMPONENTS))
    features[:, 0] = (2.0 * labels - 1.0) + rng.normal(0.0, 0.4, count)
    rows = BaseRows(features, labels, np.repeat("known/wall", count))
    return KnownSurfaces(rows, model_logits(features))


def site(rng: np.random.Generator, count: int, offset: float = -1.2) -> SiteRows:
    """Tiles of a site that lies elsewhere in half of the components, and on which the model misses most cracks."""
    labels = np.arange(count) % 2
    features = rng.normal(0.0, 1.0, (count, COMPONENTS))
    features[:, 0] = (2.0 * labels - 1.0) + offset + rng.normal(0.0, 0.4, count)
    features[:, 1:33] += 1.5
    groups = np.array([f"photograph{index // 4}" for index in range(count)])
    return SiteRows(features, model_logits(features), labels, groups)


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean((logits >= THRESHOLD) == (labels == 1)))


# A hundred tiles weigh more than the stored rows together.
@pytest.mark.parametrize(("count", "most_lost"), [(10, 0.01), (100, 0.05)])
def test_fit_finds_the_cracks_of_the_site_and_keeps_known_surfaces(count: int, most_lost: float) -> None:
    rng = np.random.default_rng(count)
    known, labelled, others = known_surfaces(rng), site(rng, count), site(rng, 400)
    term = SiteFit(labelled, known, THRESHOLD).term
    before = accuracy(others.logits, others.labels)
    after = accuracy(others.logits + term.apply(others.features), others.labels)
    assert after > before + 0.15
    kept = accuracy(known.logits + term.apply(known.rows.features), known.rows.labels)
    assert kept >= accuracy(known.logits, known.rows.labels) - most_lost


def test_fit_of_tiles_that_the_model_knows_changes_no_verdict_much() -> None:
    rng = np.random.default_rng(1)
    known, labelled = known_surfaces(rng), site(rng, 20, offset=0.0)
    term = SiteFit(labelled, known, THRESHOLD).term
    kept = accuracy(known.logits + term.apply(known.rows.features), known.rows.labels)
    assert abs(kept - accuracy(known.logits, known.rows.labels)) < 0.01


@pytest.mark.parametrize("offset", [-0.8, 0.0, 0.8])
def test_fit_keeps_a_threshold_that_is_not_at_even_odds(offset: float) -> None:
    """The bias on known surfaces does not follow from where the model's threshold lies."""
    rng = np.random.default_rng(4)
    known, labelled = known_surfaces(rng), site(rng, 20, offset=0.0)
    far = SiteRows(
        labelled.features, labelled.logits + 12 * (2 * labelled.labels - 1), labelled.labels, labelled.groups
    )
    term = SiteFit(far, known, THRESHOLD + offset).term
    assert abs(term.apply(known.rows.features).mean()) < 0.12


def test_fit_of_uneven_classes_favours_neither() -> None:
    rng = np.random.default_rng(2)
    known, balanced = known_surfaces(rng), site(rng, 60)
    repeated = np.concatenate([np.arange(60), np.nonzero(balanced.labels == 1)[0].repeat(8)])
    uneven = SiteRows(*(values[repeated] for values in vars(balanced).values()))
    others = site(rng, 400)
    logits = others.logits + SiteFit(uneven, known, THRESHOLD).term.apply(others.features)
    assert np.mean(logits >= THRESHOLD) == pytest.approx(0.5, abs=0.1)


def test_fit_ends_for_features_of_any_scale() -> None:
    rng = np.random.default_rng(3)
    known, labelled = known_surfaces(rng), site(rng, 10)
    scale = 1e4
    far = SiteRows(labelled.features * scale, labelled.logits, labelled.labels, labelled.groups)
    rows = BaseRows(known.rows.features * scale, known.rows.labels, known.rows.surfaces)
    plain = SiteFit(labelled, known, THRESHOLD).term.apply(labelled.features)
    scaled = SiteFit(far, KnownSurfaces(rows, known.logits), THRESHOLD).term.apply(far.features)
    np.testing.assert_allclose(scaled, plain, atol=1e-6)


def test_constant_feature_is_ignored() -> None:
    rng = np.random.default_rng(4)
    known, labelled = known_surfaces(rng), site(rng, 10)
    known.rows.features[:, 3] = labelled.features[:, 3] = 5.0
    term = SiteFit(labelled, known, THRESHOLD).term
    assert np.isfinite(term.weights).all()
    assert abs(term.weights[3]) < 1.0


def test_out_of_fold_logits_are_fitted_without_the_photograph() -> None:
    rng = np.random.default_rng(5)
    known, labelled = known_surfaces(rng), site(rng, 40)
    # With random labels, logits that had seen their own tile would agree with it.
    labels = rng.permutation(labelled.labels)
    random = SiteRows(labelled.features, labelled.logits, labels, labelled.groups)
    partitions = list(SiteFit(random, known, THRESHOLD).out_of_fold_logits(random.groups))
    assert len(partitions) > 1
    agreement = np.mean([accuracy(logits, labels) for logits in partitions])
    assert agreement < 0.68


def test_folds_hold_whole_photographs_and_leave_both_classes() -> None:
    labels = np.array([0, 0, 1, 1, 0, 1, 1, 0, 0, 1, 1, 0])
    groups = np.array(list("aabbccddeeff"))
    folds = group_folds(labels, groups, 0)
    assert len(folds) == len(labels)
    for name in np.unique(groups):
        assert len(np.unique(folds[groups == name])) == 1
    for fold in np.unique(folds):
        assert set(labels[folds != fold]) == {0, 1}


@pytest.mark.parametrize(
    ("labels", "groups"),
    [([0, 1, 0, 1], "aaaa"), ([0, 0, 1, 1], "aabb"), ([0, 1, 1, 1], "abcd"), ([0, 0, 0, 1], "abcc")],
)
def test_photographs_that_cannot_be_divided_give_no_folds(labels: list[int], groups: str) -> None:
    assert len(group_folds(np.array(labels), np.array(list(groups)), 0)) == 0
