# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Refit of a trained model on sources that were added to the data later (``crack_perception train --refit``).

The backbone, the widths and everything but the crack readout stay. The rows of the fit are tiles of the sources that
the model was trained on, tiles and views of the added ones, and rendered cracks on added pictures of intact surfaces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError
from crack_perception.recognition.models import LoadedModel
from crack_perception.training.backbones.features import FeatureExtractor
from crack_perception.training.data.added_tiles import AddedTiles, load_added_tiles, load_surface_tiles
from crack_perception.training.data.manifest import LABELS, REFIT_ENTRY, SURFACES, WHOLE_PHOTOGRAPHS, Row, read_manifest
from crack_perception.training.data.rows import TILE_PX, check_rows, trainable_rows, validation_groups
from crack_perception.training.export.readout_graph import crack_readout, fourier_model, with_crack_readout
from crack_perception.training.heads.refit import RefitRows, refit_readout
from crack_perception.vision.images.files import read_picture
from crack_perception.vision.tiling import Image, pad_to_tile

MINED = "sdnet2018_mined"
"""Source of intact tiles that earlier models called cracked; their labels are the least reliable ones."""
SEEN_TILES = 3000
"""Largest number of tiles of photographs that the backbone was trained on."""
_SEEN_WEIGHT = 0.6
_TILE_WEIGHT, _MINED_WEIGHT = 3.0, 0.1
"""Weight of an added tile with all of its views."""
_SURFACE_WEIGHT, _INTACT_WEIGHT, _CRACKED_WEIGHT = 150.0, 150.0, 195.0
"""Weights of all tiles of the surfaces, of their scaled views, and of the cracks rendered on these."""
_VIEWS = 2
_Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RefitSettings:
    """Settings of a refit.

    Args:
        data: Folder with ``manifest.csv``.
        cache: Folder for features; may be deleted afterwards.
        threads: Number of threads of ONNX Runtime.
        seed: Seed of all random choices; that of the model's training, which determines its validation photographs.
        validation_share: Share of the train photographs that the backbone was not trained on.
    """

    data: Path
    cache: Path
    threads: int = 2
    seed: int = 7
    validation_share: float = 0.12


@dataclass(frozen=True)
class RefittedModel:
    """A refitted model.

    Args:
        graph: ONNX graph with the new readout.
        threshold: New threshold.
        report: Entry ``refit`` of the model card.
    """

    graph: bytes
    threshold: float
    report: dict[str, Any]


def refit_model(model: LoadedModel, settings: RefitSettings) -> RefittedModel:
    """Refit the crack readout of a model that ``crack_perception train`` wrote.

    Raises:
        UserError: The model was refitted before or has another head, the data cannot be used, or no source was added.
    """
    known, added = _rows(model, settings)
    extractor = FeatureExtractor(fourier_model(model), settings.cache, settings.threads)
    parts = [_known_rows(known, extractor, settings), *_added_rows(added, extractor, settings)]
    refit = refit_readout(RefitRows.joined(parts), crack_readout(model), model.threshold)
    tiles: dict[str, dict[str, int]] = {}
    for row in added:
        tiles.setdefault(row.stratum, dict.fromkeys(LABELS, 0))[row.label] += 1
    return RefittedModel(
        with_crack_readout(model, refit.readout),
        refit.threshold,
        {
            "of": {
                "name": model.name,
                "graph_sha256": model.sha256,
                "threshold": model.threshold,
                "command": model.card.get("command", ""),
            },
            "tiles": tiles,
            "views": _VIEWS,
            "seed": settings.seed,
            **refit.report,
        },
    )


def _rows(model: LoadedModel, settings: RefitSettings) -> tuple[list[Row], list[Row]]:
    """Return the train rows of the sources that the model was trained on, and those of the added ones."""
    if REFIT_ENTRY in model.card:
        raise UserError(f"{model.directory}: the model was refitted before", "Give the model that it was refitted from")
    manifest = read_manifest(settings.data)
    check_rows([row for row in manifest if row.role == "ship" and row.source != WHOLE_PHOTOGRAPHS], settings.data)
    rows, trained = trainable_rows(manifest), set(model.card["training"]["tiles"])
    known = [row for row in rows if row.stratum in trained]
    added = [row for row in rows if row.stratum not in trained]
    if not known or not added:
        problem = "no source that the model was trained on" if not known else "only sources that it was trained on"
        raise UserError(f"{settings.data}: the manifest has {problem}", "Add the tiles of both to the folder")
    return known, added


def _known_rows(known: list[Row], extractor: FeatureExtractor, settings: RefitSettings) -> RefitRows:
    """Compute rows of the sources of the training: all validation tiles, and a sample of the others.

    Features of tiles that the backbone was trained on are overfitted; their weight is therefore smaller.
    """
    held_out = validation_groups(known, settings.validation_share, settings.seed)
    seen = [i for i, row in enumerate(known) if row.group_id not in held_out]
    chosen = np.random.default_rng([settings.seed, 8]).permutation(seen)[:SEEN_TILES]
    kept = sorted([i for i, row in enumerate(known) if row.group_id in held_out] + [int(i) for i in chosen])
    rows = [known[i] for i in kept]
    unseen = np.array([row.group_id in held_out for row in rows])

    def tile(i: int) -> Image:
        return pad_to_tile(read_picture(settings.data / rows[i].path), TILE_PX)[:TILE_PX, :TILE_PX]

    return RefitRows(
        extractor.features("refit_known", len(rows), tile),
        np.array([LABELS[row.label] for row in rows], np.int64),
        np.array([row.group_id for row in rows], np.str_),
        np.array([row.stratum for row in rows], np.str_),
        np.where(unseen, 1.0, _SEEN_WEIGHT),
        unseen,
    )


def _added_rows(added: list[Row], extractor: FeatureExtractor, settings: RefitSettings) -> list[RefitRows]:
    """Compute rows of added sources: tiles, their views, and intact and cracked views of surfaces."""
    tiles, seed = load_added_tiles(added, settings.data), settings.seed
    sources = np.array([name.split("/")[0] for name in tiles.strata])
    surfaces = sources == SURFACES
    weights = np.where(sources == MINED, _MINED_WEIGHT, _TILE_WEIGHT)
    weights[surfaces] = _SURFACE_WEIGHT / max(1, int(surfaces.sum()))
    weights /= 1 + _VIEWS
    count = len(tiles.pixels)
    original = _part(
        tiles,
        extractor.features("refit_added", count, lambda i: tiles.pixels[i]),
        tiles.labels,
        weights,
        sources != MINED,
    )
    views = _views(tiles, "refit_views", extractor, lambda i: tiles.view(i, seed), tiles.labels, weights)
    parts = [original, views]
    places = load_surface_tiles(added, settings.data)
    if places.pixels:
        size = len(places.pixels)
        for name, view, label, weight in (
            ("refit_intact", places.intact, 0, _INTACT_WEIGHT),
            ("refit_cracked", places.cracked, 1, _CRACKED_WEIGHT),
        ):
            labels, shares = np.full(size, label, np.int64), np.full(size, weight / (_VIEWS * size))
            parts.append(_views(places, name, extractor, partial(view, seed=seed), labels, shares))
    return parts


def _views(
    tiles: AddedTiles,
    name: str,
    extractor: FeatureExtractor,
    view: Callable[[int], Image],
    labels: npt.NDArray[np.int64],
    weights: _Weights,
) -> RefitRows:
    features = extractor.features(name, _VIEWS * len(tiles.pixels), view)
    repeated = AddedTiles(tiles.pixels, tiles.labels, np.tile(tiles.groups, _VIEWS), np.tile(tiles.strata, _VIEWS))
    never = np.zeros(len(features), np.bool_)
    return _part(repeated, features, np.tile(labels, _VIEWS), np.tile(weights, _VIEWS), never)


def _part(
    tiles: AddedTiles,
    features: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    weights: _Weights,
    evaluated: npt.NDArray[np.bool_],
) -> RefitRows:
    return RefitRows(features, labels, tiles.groups, tiles.strata, weights, evaluated)
