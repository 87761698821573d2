# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Adaptation of a model to a site: read the tiles, refit, compare by cross-validation, write a model folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.evaluation.metrics.classification import false_alarm_rate, precision_recall_f1, roc_auc
from crack_perception.recognition.models import LoadedModel
from crack_perception.training.adaptation.base_rows import read_base_rows
from crack_perception.training.adaptation.head import LinearTerm, ModelHead, Vector
from crack_perception.training.adaptation.labelled_tiles import LabelledTile
from crack_perception.training.adaptation.refit import (
    KnownSurfaces,
    Labels,
    SiteFit,
    SiteRows,
)
from crack_perception.vision.tiling import Image

LEAST_TILES = 4
"""Least number of tiles of each class."""
MOST_BASE_LOSS = 0.01
"""Largest accepted loss of mean F1 on the known surfaces."""


@dataclass(frozen=True)
class Figures:
    """Figures of a model on labelled tiles at its threshold; ``log_loss`` is relative to it, with balanced classes."""

    f1: float
    precision: float
    recall: float
    false_alarms: float
    auc: float
    log_loss: float

    @classmethod
    def of(cls, labels: Labels, margins: Vector) -> Figures:
        """Compute the figures for logits relative to that of the threshold ``(N,)``."""
        called = margins >= 0
        precision, recall, f1 = precision_recall_f1(labels, called)
        weights = np.where(labels == 1, 0.5 / max(1, np.sum(labels == 1)), 0.5 / max(1, np.sum(labels == 0)))
        loss = float(weights @ np.logaddexp(0.0, np.where(labels == 1, -margins, margins)))
        return cls(
            f1,
            precision if called.any() else 0.0,
            recall,
            false_alarm_rate(labels, called),
            roc_auc(labels, margins),
            loss,
        )

    @classmethod
    def mean(cls, parts: list[Figures]) -> Figures:
        """Return the mean of each figure."""
        return cls(*(float(np.mean([getattr(part, name) for part in parts])) for name in cls.__dataclass_fields__))


@dataclass(frozen=True)
class Adaptation:
    """Result of an adaptation.

    Attributes:
        term: Fitted on all tiles.
        site: Tiles that it was fitted on.
        before: Figures of the model on these tiles.
        after: Figures of adapted models, each on photographs that it was not fitted on.
        known_before, known_after: F1 by known surface, on the stored rows.
        is_by_photograph: False if all tiles had to be treated as photographs of their own.
    """

    term: LinearTerm
    site: SiteRows
    before: Figures
    after: Figures
    known_before: dict[str, float]
    known_after: dict[str, float]
    is_by_photograph: bool

    @property
    def known_change(self) -> float:
        """Change of the mean F1 on known surfaces."""
        return float(np.mean(list(self.known_after.values())) - np.mean(list(self.known_before.values())))

    def objection(self) -> str:
        """Return why the adapted model should not replace the model; empty if nothing speaks against it.

        The log loss decides, because F1 of a few tiles is rough: it may fall by what one crack tile changes.
        """
        if self.after.log_loss >= self.before.log_loss:
            return (
                f"the log loss on the tiles does not fall ({self.before.log_loss:.3f}, {self.after.log_loss:.3f} after)"
            )
        if self.after.f1 < self.before.f1 - 1.0 / self.site.labels.sum():
            return f"F1 on the tiles falls from {self.before.f1:.3f} to {self.after.f1:.3f}"
        if self.known_change < -MOST_BASE_LOSS:
            return f"F1 on known surfaces falls by {-self.known_change:.3f}"
        return ""


def read_site(head: ModelHead, tiles: Iterable[LabelledTile]) -> SiteRows:
    """Compute features and logits of labelled tiles, and choose the tile of each larger crack picture.

    Raises:
        UserError: There are fewer than ``LEAST_TILES`` of a class.
    """
    facts: list[LabelledTile] = []
    empty: Image = np.empty((0, 0, 3), np.uint8)

    def pixels() -> Iterator[Image]:
        for tile in tiles:
            facts.append(LabelledTile(empty, tile.label, tile.group, tile.picture, tile.is_candidate))
            yield tile.pixels

    features, logits = head.read(pixels())
    highest: dict[str, float] = {}
    for fact, logit in zip(facts, logits, strict=True):
        if fact.is_candidate:
            highest[fact.picture] = max(highest.get(fact.picture, -np.inf), float(logit))
    chosen = np.array(
        [not fact.is_candidate or logit == highest[fact.picture] for fact, logit in zip(facts, logits, strict=True)],
        bool,
    )
    labels = np.array([fact.label for fact in facts], np.int64)[chosen]
    for label, name in ((1, "crack"), (0, "intact")):
        count = int(np.sum(labels == label))
        if count < LEAST_TILES:
            raise UserError(
                f"there are {count} {name} tiles, an adaptation needs at least {LEAST_TILES} of each class",
                "Label more tiles without a crack" if label == 0 else "Label more tiles with a crack",
            )
    groups = np.array([fact.group for fact in facts], np.str_)[chosen]
    return SiteRows(features[chosen], logits[chosen], labels, groups)


def adapt_model(model: LoadedModel, head: ModelHead, site: SiteRows) -> Adaptation:
    """Fit the linear term of a site and compare the model before and after.

    Raises:
        UserError: The model has no usable base rows.
    """
    rows, _ = read_base_rows(model)
    if rows.features.shape[1] != site.features.shape[1]:
        raise UserError(
            f"{model.directory}: the base rows have {rows.features.shape[1]} components, the graph has "
            f"{site.features.shape[1]}",
            "Write the base rows again with scripts/base_rows.py",
        )
    known = KnownSurfaces(rows, head.logits_of(rows.features))
    threshold = float(np.log(model.threshold / (1.0 - model.threshold)))
    fit = SiteFit(site, known, threshold)
    partitions = list(fit.out_of_fold_logits(site.groups))
    is_by_photograph = bool(partitions)
    if not partitions:
        partitions = list(fit.out_of_fold_logits(np.arange(len(site.labels)).astype(np.str_)))
    return Adaptation(
        fit.term,
        site,
        Figures.of(site.labels, site.logits - threshold),
        Figures.mean([Figures.of(site.labels, logits - threshold) for logits in partitions]),
        known_f1(known, known.logits - threshold),
        known_f1(known, known.logits + fit.term.apply(rows.features) - threshold),
        is_by_photograph,
    )


def known_f1(known: KnownSurfaces, margins: Vector) -> dict[str, float]:
    """Return F1 by surface of the stored rows, for surfaces with both classes."""
    labels, figures = known.rows.labels, {}
    for name in np.unique(known.rows.surfaces):
        here: npt.NDArray[np.bool_] = known.rows.surfaces == name
        if len(np.unique(labels[here])) == 2:
            figures[str(name)] = precision_recall_f1(labels[here], margins[here] >= 0)[2]
    return figures
