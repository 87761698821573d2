# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Benefit of an adaptation: accuracy before and after on sources that a model was not trained on.

For every such source with tiles of both classes, half of the photographs are for labelling and half for evaluation. A
number of labelled tiles, half of them cracks, is drawn from the first half, and the model is adapted to them exactly
as by ``crack_perception adapt``; where that refuses to write a model, the model stays as it was. This is repeated with
other halves and other tiles. The test split of the training sources shows what an adaptation costs there.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.metrics.classification import precision_recall_f1, roc_auc
from crack_perception.recognition.models import LoadedModel
from crack_perception.training.adaptation.head import ModelHead
from crack_perception.training.adaptation.refit import SiteRows
from crack_perception.training.adaptation.site_model import adapt_model
from crack_perception.training.data.manifest import LABELS, WHOLE_PHOTOGRAPHS, Row, trained_strata
from crack_perception.training.evaluation.crops import (
    MARGIN_PX,
    MIN_LENGTH_PX,
    SMALL_PX,
    background_tiles,
    crack_length_px,
    read_mask,
)
from crack_perception.training.evaluation.figures import markdown_table, number
from crack_perception.training.evaluation.images import rows_of_split
from crack_perception.vision.images.files import read_picture
from crack_perception.vision.tiling import Image, pad_to_tile, plan_tiles

Figures = dict[str, Any]

COUNTS = (10, 30, 100)
LEAST_AUC = 0.95
"""Sources below this AUC are those that an adaptation should help."""
_SMALL_LENGTH_PX = SMALL_PX // 2
_SMALL_OVERLAP = 0.25
_RANGE = (0.05, 0.95)


@dataclass(frozen=True)
class Tiles:
    """Features and logits of labelled tiles of one stratum."""

    rows: SiteRows

    def part(self, chosen: npt.NDArray[np.intp]) -> SiteRows:
        """Select tiles by index."""
        rows = self.rows
        return SiteRows(rows.features[chosen], rows.logits[chosen], rows.labels[chosen], rows.groups[chosen])


def adaptation_figures(
    model: LoadedModel, data: Path, manifest: Sequence[Row], cache: Path, draws: int, seed: int = 0
) -> Figures:
    """Measure the benefit of adaptations of a model.

    Args:
        model: Model with base rows.
        data: Folder of the manifest.
        manifest: All rows of the manifest.
        cache: Folder for features of tiles.
        draws: Number of repetitions per source and number of tiles.
        seed: Seed of the choice of photographs and tiles.

    Returns:
        By source: number of tiles and photographs, AUC, and by number of labelled tiles the means of F1 and AUC before
        and after, the change of F1 with its range over the draws, the share of refused adaptations, and the change of
        mean F1 on the test split of the training sources with its lowest value.

    Raises:
        UserError: A picture cannot be read, or the model cannot be adapted.
    """
    head = ModelHead(model)
    trained = trained_strata(model.card)
    sites = site_tiles(model, head, data, [row for row in manifest if row.stratum not in trained], cache)
    test = [row for row in rows_of_split(manifest, "test") if row.stratum in trained and row.label in LABELS]
    known = _by_stratum(head, _whole_tiles(data, test, model.tile_px), _cache_file(cache, model, test))
    known = {name: tiles for name, tiles in known.items() if len(np.unique(tiles.rows.labels)) == 2}
    report: Figures = {"model": model.name, "sha256": model.sha256, "draws": draws, "sources": {}}
    for name, tiles in sites.items():
        threshold = _threshold_logit(model)
        rows = tiles.rows
        report["sources"][name] = {
            "tiles": len(rows.labels),
            "cracks": int(rows.labels.sum()),
            "photographs": len(np.unique(rows.groups)),
            "auc": number(roc_auc(rows.labels, rows.logits)),
            "f1": number(_f1(rows.labels, rows.logits - threshold)),
            "adapted": {
                count: _summary([_draw(model, head, tiles, known, count, [seed, count, draw]) for draw in range(draws)])
                for count in COUNTS
            },
        }
    return report


def _draw(
    model: LoadedModel, head: ModelHead, tiles: Tiles, known: dict[str, Tiles], count: int, seed: list[int]
) -> dict[str, float]:
    """Adapt to some tiles of half of the photographs, and evaluate on the others; empty if a class is missing."""
    rng, threshold = np.random.default_rng(seed), _threshold_logit(model)
    labelled, held_out = _halves(tiles.rows, rng)
    chosen = np.concatenate(
        [
            rng.permutation(labelled[tiles.rows.labels[labelled] == label])[:share]
            for label, share in ((1, count // 2), (0, count - count // 2))
        ]
    )
    evaluated = tiles.part(held_out)
    if len(chosen) < count or len(np.unique(evaluated.labels)) < 2:
        return {}
    adaptation = adapt_model(model, head, tiles.part(chosen))
    before = evaluated.logits - threshold
    after = before + adaptation.term.apply(evaluated.features)
    is_refused = bool(adaptation.objection())
    changes = []
    for part in known.values():
        margins = part.rows.logits - threshold
        adapted = margins + adaptation.term.apply(part.rows.features)
        changes.append(_f1(part.rows.labels, adapted) - _f1(part.rows.labels, margins))
    labels = evaluated.labels
    kept = before if is_refused else after
    return {
        "f1_before": _f1(labels, before),
        "f1_after": _f1(labels, kept),
        "f1_forced": _f1(labels, after),
        "auc_before": roc_auc(labels, before),
        "auc_after": roc_auc(labels, kept),
        "refused": float(is_refused),
        "known_change": 0.0 if is_refused else float(np.mean(changes)),
    }


def _halves(rows: SiteRows, rng: np.random.Generator) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Divide the photographs in two halves, those with intact tiles evenly too; return the tiles of each."""
    names = rng.permutation(np.unique(rows.groups))
    has_intact = np.isin(names, rows.groups[rows.labels == 0])
    first = np.concatenate([part[: (len(part) + 1) // 2] for part in (names[has_intact], names[~has_intact])])
    inside = np.isin(rows.groups, first)
    return np.nonzero(inside)[0], np.nonzero(~inside)[0]


def _summary(draws: list[dict[str, float]]) -> Figures | None:
    made = [draw for draw in draws if draw]
    if not made:
        return None
    means = {name: number(float(np.mean([draw[name] for draw in made]))) for name in made[0]}
    changes = np.array([draw["f1_after"] - draw["f1_before"] for draw in made])
    return {
        **means,
        "draws": len(made),
        "change": number(float(changes.mean())),
        "change_range": [number(float(end)) for end in np.quantile(changes, _RANGE)],
        "change_least": number(float(changes.min())),
        "known_change_least": number(min(draw["known_change"] for draw in made)),
    }


def _f1(labels: npt.NDArray[np.int64], margins: npt.NDArray[np.float64]) -> float:
    return precision_recall_f1(labels, margins >= 0)[2]


def _threshold_logit(model: LoadedModel) -> float:
    return float(np.log(model.threshold / (1.0 - model.threshold)))


def site_tiles(model: LoadedModel, head: ModelHead, data: Path, rows: Sequence[Row], cache: Path) -> dict[str, Tiles]:
    """Compute features of the tiles of all strata with both classes in at least two photographs each."""
    masked = [row for row in rows if row.role == "evaluate" and row.mask_path]
    sources = {row.stratum for row in rows if row.label == "crack" and row.source != WHOLE_PHOTOGRAPHS}
    whole = [row for row in rows if row.role == "ship" and row.stratum in sources and row.label in LABELS]
    strata = {
        **_by_stratum(head, _crops(data, masked, model.tile_px), _cache_file(cache, model, masked)),
        **_by_stratum(head, _whole_tiles(data, whole, model.tile_px), _cache_file(cache, model, whole)),
    }
    return {
        name: tiles
        for name, tiles in strata.items()
        if all(len(np.unique(tiles.rows.groups[tiles.rows.labels == label])) >= 2 for label in LABELS.values())
    }


Labelled = tuple[Image, str, int, str]
"""Pixels, stratum, label and photograph of a tile."""


def _whole_tiles(data: Path, rows: Sequence[Row], tile_px: int) -> Iterator[Labelled]:
    for row in rows:
        tile = pad_to_tile(read_picture(data / row.path), tile_px)[:tile_px, :tile_px]
        yield tile, row.stratum, LABELS[row.label], row.group_id


def _crops(data: Path, rows: Sequence[Row], tile_px: int) -> Iterator[Labelled]:
    """Yield crack and background tiles of pictures with masks.

    Pictures that are no larger than a tile are cut into squares of ``SMALL_PX`` for both classes, so that padding says
    nothing about the class.
    """
    for row in rows:
        image = read_picture(data / row.path)
        height, width = image.shape[:2]
        mask = read_mask(data / row.mask_path, (height, width))
        if max(height, width) <= tile_px:
            side = 2 * MARGIN_PX + 1
            near = cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8))
            for left, top, right, bottom in plan_tiles(width, height, SMALL_PX, _SMALL_OVERLAP).boxes():
                is_crack = crack_length_px(mask[top:bottom, left:right]) >= _SMALL_LENGTH_PX
                if is_crack or not near[top:bottom, left:right].any():
                    tile = pad_to_tile(image[top:bottom, left:right], tile_px)
                    yield tile, row.stratum, int(is_crack), row.group_id
            continue
        for left, top, right, bottom in plan_tiles(width, height, tile_px).boxes():
            if crack_length_px(mask[top:bottom, left:right]) >= MIN_LENGTH_PX:
                yield pad_to_tile(image[top:bottom, left:right], tile_px), row.stratum, 1, row.group_id
        for tile, _ in background_tiles(image, mask, tile_px):
            yield tile, row.stratum, 0, row.group_id


def _cache_file(cache: Path, model: LoadedModel, rows: Sequence[Row]) -> Path:
    digest = hashlib.sha256("\n".join([model.sha256, *(row.path for row in rows)]).encode()).hexdigest()[:12]
    return cache / f"adaptation_{digest}.npz"


def _by_stratum(head: ModelHead, tiles: Iterator[Labelled], cached: Path) -> dict[str, Tiles]:
    """Compute features of tiles, or read them from a file that an earlier call wrote."""
    if not cached.is_file():
        facts: list[tuple[str, int, str]] = []

        def pixels() -> Iterator[Image]:
            for tile, stratum, label, group in tiles:
                facts.append((stratum, label, group))
                yield tile

        features, logits = head.read(pixels())
        strata, labels, groups = zip(*facts, strict=True) if facts else ((), (), ())
        cached.parent.mkdir(parents=True, exist_ok=True)
        partial = cached.with_name(f"{cached.name}.partial.npz")
        np.savez(partial, features=features, logits=logits, strata=strata, labels=labels, groups=groups)
        partial.replace(cached)
    with np.load(cached, allow_pickle=False) as stored:
        columns = {name: stored[name] for name in stored.files}
    parts: dict[str, list[int]] = defaultdict(list)
    for index, stratum in enumerate(columns["strata"]):
        parts[str(stratum)].append(index)
    return {
        name: Tiles(
            SiteRows(
                columns["features"][chosen],
                columns["logits"][chosen],
                columns["labels"][chosen].astype(np.int64),
                columns["groups"][chosen].astype(np.str_),
            )
        )
        for name, chosen in sorted(parts.items())
    }


def adaptation_table(report: Figures) -> str:
    """Format the figures as a Markdown table."""
    head = (
        *("source", "photographs", "AUC", "labelled tiles", "F1 before", "F1 after", "change", "5-95 % of draws"),
        *("AUC after", "refused", "test split"),
    )
    rows = []
    for name, source in report["sources"].items():
        for count, figures in source["adapted"].items():
            if figures is not None:
                rows.append(
                    (
                        *(name, source["photographs"], source["auc"], count, figures["f1_before"], figures["f1_after"]),
                        *(f"{figures['change']:+.3f}", figures["change_range"], figures["auc_after"]),
                        *(f"{figures['refused']:.0%}", f"{figures['known_change']:+.3f}"),
                    )
                )
    return markdown_table(head, rows)
