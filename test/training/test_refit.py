# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A shipped model refitted on an added source of synthetic photographs: folder, card, and better scores there."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("onnx")
pytest.importorskip("torch")

from crack_perception.errors import UserError
from crack_perception.evaluation.metrics.classification import roc_auc
from crack_perception.paths import models_directory
from crack_perception.recognition.models import load_model
from crack_perception.training.adaptation.base_rows import read_base_rows
from crack_perception.training.adaptation.head import ModelHead
from crack_perception.training.data.manifest import trained_strata
from crack_perception.training.export.base_rows import write_base_rows
from crack_perception.training.export.card import write_refitted_model
from crack_perception.training.refit import RefitSettings, refit_model
from crack_perception.vision.images.files import read_picture

PHOTOGRAPHS, TILES_EACH, SHARE = 10, 6, 0.6


def tile(rng: np.random.Generator, cracked: bool, level: int) -> np.ndarray:
    """Draw a noisy grey tile; a crack is darker than it by ``level``, or brighter for a negative one."""
    pixels = rng.normal(150.0, 5.0, (256, 256))
    if cracked:
        y = np.arange(0, 257, 8)
        x = 128 + 30 * np.sin(y / 30 + rng.uniform(0, 6)) + rng.uniform(-60, 60)
        line = np.zeros((256, 256), np.uint8)
        cv2.polylines(line, [np.column_stack([x, y]).astype(np.int32)], False, 255, 5)
        pixels = np.where(line > 0, pixels - level, pixels)
    return np.repeat(np.clip(pixels, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiles of a known source with dark cracks and of an added one with bright cracks, which the model misses."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rows = []
    for source, surface, level in (("sdnet2018", "wall", 90), ("uavcrack", "deck", -60)):
        for i in range(PHOTOGRAPHS * TILES_EACH):
            cracked, name = i % 2 == 1, f"{source}{i}.png"
            cv2.imwrite(str(folder / name), tile(rng, cracked, level))
            label = "crack" if cracked else "none"
            rows.append([name, source, "train", label, "ship", surface, f"{source}:{i // TILES_EACH}"])
    cv2.imwrite(str(folder / "wall.png"), np.vstack([np.hstack([tile(rng, False, 0)] * 2)] * 2))
    rows.append(["wall.png", "cc0_surfaces", "train", "none", "ship", "wall", "cc0_surfaces:1"])
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "source", "split", "label", "role", "surface", "group_id"])
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def refitted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of ``nano`` refitted on these data, as if it had been trained on their known source."""
    folder = Path(shutil.copytree(models_directory() / "nano", tmp_path_factory.mktemp("models") / "mine"))
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    count = round(PHOTOGRAPHS * SHARE)
    card["training"] |= {
        "tiles": {"sdnet2018/wall": {"crack": 30, "none": 30}},
        "validation_photographs": count,
        "validation_tiles": count * TILES_EACH,
    }
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    before = load_model(str(folder))
    settings = RefitSettings(data, tmp_path_factory.mktemp("cache"), 1, card["seed"], SHARE)
    result = refit_model(before, settings)
    assert refit_model(before, settings).graph == result.graph, "the cache must reproduce the model"
    written = write_refitted_model(folder, before, result, "mine", "crack_perception train ...")
    written |= write_base_rows(folder, data, SHARE)
    (folder / "card.json").write_text(json.dumps(written), encoding="utf-8")
    return folder


def added_auc(name: str, data: Path) -> float:
    paths = sorted(data.glob("uavcrack*.png"), key=lambda path: int(path.stem[8:]))
    _, logits = ModelHead(load_model(name)).read(read_picture(path) for path in paths)
    return roc_auc(np.arange(len(paths)) % 2, logits)


def test_refit_model_added_source_is_separated_better(refitted: Path, data: Path) -> None:
    assert added_auc(str(refitted), data) > added_auc("nano", data) + 0.02


def test_refit_model_card_names_the_model_before_and_all_sources(refitted: Path) -> None:
    model, before = load_model(str(refitted)), load_model("nano")
    entry = model.card["refit"]
    assert entry["of"]["graph_sha256"] == before.sha256 != model.sha256
    assert entry["tiles"]["uavcrack/deck"] == {"crack": 30, "none": 30}
    assert entry["rows"]["cc0_surfaces/wall"]["crack"] == 2 * (4 + 4 + 1)
    assert trained_strata(model.card) == {"sdnet2018/wall", "uavcrack/deck", "cc0_surfaces/wall"}
    assert set(model.card["sources"]) == {"sdnet2018", "uavcrack", "cc0_surfaces"}
    assert model.stored_bytes == model.card["bytes_total"] <= 92_000


def test_refit_model_base_rows_include_added_surfaces_with_both_classes(refitted: Path) -> None:
    rows, _ = read_base_rows(load_model(str(refitted)))
    assert set(rows.surfaces) == {"sdnet2018/wall", "uavcrack/deck"}


def test_refit_model_of_a_refitted_model_is_refused(refitted: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="refitted before"):
        refit_model(load_model(str(refitted)), RefitSettings(data, tmp_path))


def test_refit_model_without_an_added_source_is_refused(refitted: Path, data: Path, tmp_path: Path) -> None:
    lines = (data / "manifest.csv").read_text(encoding="utf-8").splitlines()
    for line in lines[1:]:
        shutil.copy(data / line.split(",")[0], tmp_path)
    kept = [line for line in lines if not line.startswith(("uavcrack", "wall"))]
    (tmp_path / "manifest.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match="only sources that it was trained on"):
        refit_model(load_model("nano"), RefitSettings(tmp_path, tmp_path / "cache"))
