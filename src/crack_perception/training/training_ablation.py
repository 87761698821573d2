"""What each part of the training is worth: short trainings with one part left out, judged alike.

Two series. *Augmentation*: short fine-tunes of the same initial trunk on a part of the tiles, each without one family
of views. *Distillation*: students on the same stored views, with labels alone, with the teacher, with the adversary.
All are judged by the area under the ROC curve, which no threshold touches, as the mean over strata with its bootstrap
interval over photographs: on clean test tiles, on the same tiles under the paper's interference, and on tiles on and
away from the cracks of sources that never train.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from crack_perception.evaluation.classification_metrics import grouped_bootstrap_interval
from crack_perception.training.augmentation import Interference
from crack_perception.training.crop_evaluation import LEAST_LENGTH_PX, away_tiles, crack_length_px, read_mask
from crack_perception.training.data import TILE_PX
from crack_perception.training.distillation import distil
from crack_perception.training.examples import Mixture
from crack_perception.training.figures import interval, markdown_table, number
from crack_perception.training.finetune import finetune, predict, validation_line
from crack_perception.training.image_evaluation import rows_of_split, unseen_source_rows
from crack_perception.training.interference import PAPER_KINDS, interfere
from crack_perception.training.judged_tiles import JudgedTiles, sample_tiles
from crack_perception.training.manifest import Row, read_manifest
from crack_perception.training.network import CrackNetwork
from crack_perception.training.pipeline import TrainSettings, finetuned, initial_network, training_tiles
from crack_perception.training.stratum_figures import mean_auc
from crack_perception.training.student_pipeline import StudentSettings, student_views
from crack_perception.training.students import StudentNetwork, get_student
from crack_perception.vision.picture_files import read_picture
from crack_perception.vision.tiling import pad_to_tile, plan_tiles

_LOGGER = logging.getLogger(__name__)

_MOST_TILES = 120
_NOTHING = Interference(0.0, 0.0, 0.0, 0.0, 0.0)

MIXTURES: Mapping[str, Mixture] = {
    "all families": Mixture(),
    "without drawn cracks": Mixture(rendered_crack_share=0.0),
    "without transplanted cracks": Mixture(transplant_share=0.0),
    "without lookalikes": Mixture(lookalike_share=0.0),
    "without drawn surfaces": Mixture(surface_share=0.0),
    "without interference": Mixture(interference=_NOTHING),
    "real tiles alone": Mixture(4, 0.6, 0.0, 0.0, 0.0, 0.0, interference=_NOTHING),
}
LESSONS: Mapping[str, dict[str, Any]] = {
    "labels alone": {"teacher_share": 0.0, "feature_share": 0.0, "label_share": 1.0},
    "labels and teacher's scores": {"feature_share": 0.0},
    "labels, scores and features": {},
    "labels, scores, features and adversary": {"adversary_share": 0.03},
}


@dataclass(frozen=True)
class Budget:
    """How much every variant may learn.

    Args:
        tile_share: Part of the photographs of the train split that a fine-tune learns from.
        epochs: Of a fine-tune.
        passes: Of a student over its views.
    """

    tile_share: float = 0.4
    epochs: int = 2
    passes: int = 1


@dataclass(frozen=True)
class _Benches:
    """What every variant is judged on."""

    clean: JudgedTiles
    interfered: JudgedTiles
    unseen: JudgedTiles

    def judge(self, network: CrackNetwork) -> dict[str, Any]:
        return {name: _auc(network, getattr(self, name)) for name in self.__dataclass_fields__}


def ablate(settings: TrainSettings, student: StudentSettings, budget: Budget, out: Path) -> dict[str, Any]:
    """Train and judge all variants; those that ``out/ablations.json`` already holds are not trained again.

    Args:
        settings: Of the full training.
        student: Of the student.
        budget: Of every variant.
        out: Folder for ``ablations.json`` and ``ablations.md``.

    Raises:
        UserError: Unusable data or weights.
    """
    tiles = training_tiles(settings)
    benches = _benches(settings.data, settings.seed)
    path = out / "ablations.json"
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    out.mkdir(parents=True, exist_ok=True)

    def keep(series: str, name: str, figures: dict[str, Any]) -> None:
        _LOGGER.info("%s, %s: %s", series, name, figures)
        report.setdefault(series, {})[name] = figures
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (out / "ablations.md").write_text(_markdown(report), encoding="utf-8")

    photographs = np.unique(tiles.groups[~tiles.unseen])
    rng = np.random.default_rng(settings.seed)
    kept = rng.choice(photographs, round(budget.tile_share * len(photographs)), replace=False)
    training = np.isin(tiles.groups, kept)
    for name, mixture in MIXTURES.items():
        if name in report.get("augmentation", {}):
            continue
        schedule = replace(settings.finetune, epochs=budget.epochs, mixture=mixture)
        folder = out / "runs" / name.replace(" ", "_")
        network = finetune(initial_network(settings), tiles.materials, training, folder, schedule, judged=tiles.unseen)
        keep("augmentation", name, benches.judge(network))
    views = student_views(settings, student, tiles, finetuned(settings, tiles))
    for name, changes in LESSONS.items():
        if name in report.get("distillation", {}):
            continue
        lessons = replace(student.distillation, epochs=budget.passes, **changes)
        torch.manual_seed(lessons.seed)
        network = distil(
            StudentNetwork(get_student(student.table)),
            views,
            out / "runs" / name.replace(" ", "_"),
            lessons,
            lambda average: validation_line(average, tiles.materials.rows, tiles.materials.tiles, tiles.unseen),
        )
        keep("distillation", name, benches.judge(network))
    return report


def _benches(data: Path, seed: int) -> _Benches:
    manifest = read_manifest(data)
    clean = sample_tiles(data, rows_of_split(manifest, "test"), TILE_PX, _MOST_TILES, seed)
    interfered = [interfere(tile, kind, seed + i) for kind in PAPER_KINDS for i, tile in enumerate(clean.pixels)]
    kinds = len(PAPER_KINDS)
    return _Benches(
        clean,
        JudgedTiles(
            interfered, np.tile(clean.labels, kinds), np.tile(clean.groups, kinds), np.tile(clean.strata, kinds)
        ),
        _crops(data, unseen_source_rows(manifest)),
    )


def _crops(data: Path, rows: Sequence[Row]) -> JudgedTiles:
    """Tiles on and away from the cracks of images that are larger than a tile."""
    found = [(tile, label, row) for row in rows if row.mask_path for tile, label in _crops_of(data, row)]
    tiles, labels, origins = zip(*found, strict=True)
    groups = np.array([row.group_id for row in origins])
    return JudgedTiles(list(tiles), np.array(labels), groups, np.array([row.stratum for row in origins]))


def _crops_of(data: Path, row: Row) -> Iterator[tuple[npt.NDArray[np.uint8], int]]:
    image = read_picture(data / row.path)
    height, width = image.shape[:2]
    if max(height, width) <= TILE_PX:
        return
    mask = read_mask(data / row.mask_path, (height, width))
    for left, top, right, bottom in plan_tiles(width, height, TILE_PX, 0.0).boxes():
        if crack_length_px(mask[top:bottom, left:right]) >= LEAST_LENGTH_PX:
            yield pad_to_tile(image[top:bottom, left:right], TILE_PX), 1
    for tile, _ in away_tiles(image, mask, TILE_PX):
        yield tile, 0


def _auc(network: CrackNetwork, tiles: JudgedTiles) -> dict[str, Any]:
    """Mean AUC over the strata with both classes and its bootstrap interval over photographs."""
    batches = (np.stack(tiles.pixels[i : i + 64]) for i in range(0, len(tiles.pixels), 64))
    scores = np.concatenate([predict(network, batch) for batch in batches]).astype(np.float64)

    def figure(rows: npt.NDArray[np.intp]) -> float:
        return mean_auc(tiles.labels[rows], scores[rows], tiles.strata[rows])

    ends = grouped_bootstrap_interval(figure, tiles.groups, draws=300)
    return {"auc": number(figure(np.arange(len(scores)))), "interval": interval(ends), "n": len(scores)}


def _markdown(report: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    head = ("variant", "clean tiles", "interval", "under interference", "interval", "unseen sources", "interval")
    parts = []
    for series, variants in report.items():
        rows = [
            (name, *(figures[bench][key] for bench in ("clean", "interfered", "unseen") for key in ("auc", "interval")))
            for name, figures in variants.items()
        ]
        parts.append(f"## {series.capitalize()}\n\n{markdown_table(head, rows)}\n")
    return "\n".join(parts)
