"""The whole of ``crack_perception train``: from a manifest to a model folder."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from crack_perception.training.backbones.mobilenet_v3 import MobileNetV3Trunk, load_trunk_weights
from crack_perception.training.data import (
    TILE_PX,
    check_rows,
    load_tiles,
    trainable_rows,
    validation_groups,
)
from crack_perception.training.decision import CrackRows, Decision, WidthRows, fit_decision
from crack_perception.training.examples import Materials, Sample, donor_gains
from crack_perception.training.export import feature_model, multiply_accumulates, tile_model
from crack_perception.training.features import FeatureExtractor, chosen_indices
from crack_perception.training.finetune import FinetuneSettings, finetune
from crack_perception.training.manifest import LABELS, WHOLE_PHOTOGRAPHS, read_manifest
from crack_perception.training.network import CrackNetwork
from crack_perception.training.severity import rendered_view
from crack_perception.training.surface_pool import load_surfaces

DRAWN = "rendered"


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides what ``train`` produces besides its data.

    Args:
        data: Folder with ``manifest.csv``.
        weights: Initial trunk weights (torchvision names); random initialisation when ``None``.
        cache: Folder for decoded tiles, checkpoints and features; may be deleted afterwards.
        threads: Of torch and ONNX Runtime.
        validation_share: Share of the train photographs that the backbone never sees.
        surfaces: Drawn surfaces without cracks that tiles are made from.
        drawn_tiles: Examples with something drawn among the rows of the SVM, half of them cracked.
        drawn_widths: Rendered cracks that the width heads are fitted on; a third as many calibrate and judge them.
        finetune: Schedule of the backbone.
    """

    data: Path
    weights: Path | None
    cache: Path
    threads: int = 2
    validation_share: float = 0.12
    surfaces: int = 3000
    drawn_tiles: int = 4800
    drawn_widths: int = 4500
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)


@dataclass(frozen=True)
class TrainedModel:
    """The graph, what it was made from, and what was found on the way."""

    graph: bytes
    decision: Decision
    parameters: int
    macs_per_tile: int
    training_report: dict[str, Any]


@dataclass(frozen=True)
class _Tiles:
    """Decoded train tiles, what is known of each, and what else views are made of."""

    materials: Materials
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    unseen: npt.NDArray[np.bool_]


def train_model(settings: TrainSettings) -> TrainedModel:
    """Fine-tune, fit, compress and export; every finished step is found again in the cache.

    Raises:
        UserError: Unusable data or weights.
    """
    torch.set_num_threads(settings.threads)
    tiles = _load(settings)
    network = _finetuned(settings, tiles)
    trunk = network.trunk.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    rounded = FeatureExtractor(feature_model(trunk, TILE_PX, True), settings.cache, settings.threads)
    exact = FeatureExtractor(feature_model(trunk, TILE_PX, False), settings.cache, settings.threads)

    unseen = np.nonzero(tiles.unseen)[0]
    unseen_fp32 = exact.features("unseen", len(unseen), lambda i: tiles.materials.tiles[unseen[i]])
    decision = fit_decision(
        _crack_rows(settings, tiles, rounded),
        unseen_fp32,
        _width_rows(settings, tiles, rounded, settings.drawn_widths, unseen=False),
        _width_rows(settings, tiles, rounded, settings.drawn_widths // 3, unseen=True),
        settings.finetune.seed,
    )
    head = decision.head
    head_parameters = sum(getattr(head, name).size for name in head.__dataclass_fields__)
    return TrainedModel(
        graph=tile_model(trunk, head, TILE_PX, int8_weights=True).SerializeToString(),
        decision=decision,
        parameters=sum(p.numel() for p in trunk.parameters()) + head_parameters,
        macs_per_tile=multiply_accumulates(trunk, head, TILE_PX),
        training_report=_report(settings, tiles),
    )


def _load(settings: TrainSettings) -> _Tiles:
    manifest = read_manifest(settings.data)
    shippable = [row for row in manifest if row.role == "ship" and row.source != WHOLE_PHOTOGRAPHS]
    check_rows(shippable, settings.data)
    rows = trainable_rows(manifest)
    seed = settings.finetune.seed
    held_out = validation_groups(rows, settings.validation_share, seed)
    unseen = np.array([row.group_id in held_out for row in rows])
    pixels = load_tiles(rows, settings.data, settings.cache)
    surfaces = load_surfaces(settings.surfaces, TILE_PX, seed, settings.cache)
    return _Tiles(
        Materials(rows, pixels, surfaces, donor_gains(rows, pixels, np.nonzero(~unseen)[0])),
        np.array([LABELS[row.label] for row in rows], np.int64),
        np.array([row.group_id for row in rows]),
        unseen,
    )


def _finetuned(settings: TrainSettings, tiles: _Tiles) -> CrackNetwork:
    torch.manual_seed(settings.finetune.seed)
    trunk = MobileNetV3Trunk()
    if settings.weights is not None:
        load_trunk_weights(trunk, settings.weights)
    return finetune(CrackNetwork(trunk), tiles.materials, ~tiles.unseen, settings.cache, settings.finetune)


def _crack_rows(settings: TrainSettings, tiles: _Tiles, extractor: FeatureExtractor) -> CrackRows:
    """All train tiles, and drawn examples on sound tiles of training photographs and on drawn surfaces.

    The backbone knows its training tiles by heart; a random view of each gives features like those of new tiles.
    """
    seed, materials = settings.finetune.seed, tiles.materials
    drawn = _drawn_samples(settings, tiles)

    def drawn_view(i: int) -> npt.NDArray[np.uint8]:
        rng = np.random.default_rng([seed, 2, i])
        return materials.view(drawn[i], rng)[0] if drawn[i].on_surface else materials.scene(drawn[i], rng)[0]

    def view(i: int) -> npt.NDArray[np.uint8]:
        if tiles.unseen[i]:
            return np.asarray(materials.tiles[i])
        return materials.view(Sample(i, int(tiles.labels[i])), np.random.default_rng([seed, 5, i]))[0]

    features = [
        extractor.features("views", len(materials.rows), view),
        extractor.features("drawn", len(drawn), drawn_view),
    ]
    strata = np.array([row.stratum for row in materials.rows])
    grounds = [f"surface:{s.index}" if s.on_surface else str(tiles.groups[s.index]) for s in drawn]
    return CrackRows(
        np.concatenate(features),
        np.concatenate([tiles.labels, [s.label for s in drawn]]),
        np.concatenate([tiles.groups, grounds]),
        np.concatenate([strata, np.repeat(DRAWN, len(drawn))]),
        np.concatenate([tiles.unseen, np.zeros(len(drawn), bool)]),
    )


def _drawn_samples(settings: TrainSettings, tiles: _Tiles) -> list[Sample]:
    """As many of each kind: drawn cracks, transplanted cracks and twice lookalikes on tiles, the same on surfaces.

    Of the sound surfaces, half carry nothing: their own texture is the lookalike.
    """
    rng = np.random.default_rng([settings.finetune.seed, 1])
    each = settings.drawn_tiles // 8
    sound = chosen_indices((tiles.labels == 0) & ~tiles.unseen, 4 * each, rng)
    ground = rng.integers(len(tiles.materials.surfaces), size=4 * each)
    kinds = [(1, "crack"), (1, "transplant"), (0, "lookalike"), (0, "lookalike")]
    on_tiles = [Sample(int(sound[i]), *kinds[i % 4]) for i in range(4 * each)]
    kinds[3] = (0, "")
    return on_tiles + [Sample(int(ground[i]), *kinds[i % 4], on_surface=True) for i in range(4 * each)]


def _width_rows(
    settings: TrainSettings, tiles: _Tiles, extractor: FeatureExtractor, count: int, unseen: bool
) -> WidthRows:
    """Augmented rendered cracks on sound tiles, either of validation or of training photographs."""
    seed = settings.finetune.seed
    sound = (tiles.labels == 0) & (tiles.unseen == unseen)
    chosen = chosen_indices(sound, count, np.random.default_rng([seed, 3, int(unseen)]))

    def view(i: int) -> tuple[npt.NDArray[np.uint8], float]:
        rng = np.random.default_rng([seed, 4, int(unseen), i])
        return rendered_view(np.asarray(tiles.materials.tiles[chosen[i]]), rng)

    name = "widths_unseen" if unseen else "widths_seen"
    features, log_width_px = extractor.labelled_features(name, count, view)
    return WidthRows(features, log_width_px, tiles.groups[chosen])


def _report(settings: TrainSettings, tiles: _Tiles) -> dict[str, Any]:
    """What the card says of the data and the schedule."""
    counts: dict[str, dict[str, int]] = {}
    for row in tiles.materials.rows:
        counts.setdefault(row.stratum, dict.fromkeys(LABELS, 0))[row.label] += 1
    return {
        "tiles": counts,
        "photographs": len(np.unique(tiles.groups)),
        "validation_photographs": len(np.unique(tiles.groups[tiles.unseen])),
        "validation_tiles": int(tiles.unseen.sum()),
        "drawn_svm_examples": settings.drawn_tiles,
        "drawn_surfaces": settings.surfaces,
        "finetune": asdict(settings.finetune),
    }


def default_cache() -> Path:
    """Where intermediate results go unless the user says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "crack_perception" / "train"
