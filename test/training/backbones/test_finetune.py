# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of fine-tuning on a small network: learning, resumption and learning rate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from crack_perception.evaluation.metrics.classification import roc_auc  # noqa: E402
from crack_perception.simulation.wall.crack_rendering import crack_coverage  # noqa: E402
from crack_perception.training.backbones.finetune import FinetuneSettings, finetune, predict, rate_factor  # noqa: E402
from crack_perception.training.backbones.mobilenet_v3 import SMALL_BLOCKS, MobileNetV3Trunk  # noqa: E402
from crack_perception.training.backbones.network import CrackNetwork  # noqa: E402
from crack_perception.training.data.examples import Materials, Mixture  # noqa: E402
from crack_perception.training.data.manifest import Row  # noqa: E402
from crack_perception.training.data.other_pictures import OtherPictures  # noqa: E402
from crack_perception.training.data.surfaces import SurfacePool  # noqa: E402

TILE_PX, COUNT = 64, 64
SETTINGS = FinetuneSettings(
    epochs=2,
    batch=16,
    learning_rate=3e-3,
    warm_up_steps=2,
    ema_decay=0.5,
    view_px=56,
    mixture=Mixture(rendered_crack_share=0.2, transplant_share=0.0, surface_share=0.0),
    seed=1,
)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    labels = ["crack", "none"] * (COUNT // 2)
    return [Row(f"{i}.png", "drawn", "wall", "train", label, "ship", f"g:{i}") for i, label in enumerate(labels)]


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    """Return tiles of which every second one shows a broad dark stroke."""
    rng = np.random.default_rng(0)
    tiles = np.clip(rng.normal(170, 6, (COUNT, TILE_PX, TILE_PX, 3)), 0, 255)
    for i in range(0, COUNT, 2):
        ends = [[rng.uniform(10, 54), 0.0], [rng.uniform(10, 54), TILE_PX]]
        tiles[i] *= 1 - 0.8 * crack_coverage((TILE_PX, TILE_PX), ends, 8.0)[..., None]
    return tiles.astype(np.uint8)


def train(cache: Path, rows: list[Row], tiles: np.ndarray, settings: FinetuneSettings) -> CrackNetwork:
    torch.manual_seed(0)
    network = CrackNetwork(MobileNetV3Trunk(SMALL_BLOCKS[:3], 0.5, 32), 0.0)
    training = np.arange(COUNT) < COUNT * 3 // 4
    materials = Materials(rows, tiles, SurfacePool(np.empty((0, TILE_PX, TILE_PX, 3), np.uint8), []), [])
    return finetune(network, materials, training, cache, settings)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_finetune_resumed_run_equals_uninterrupted_run(
    tmp_path: Path, rows: list[Row], tiles: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = train(tmp_path / "straight", rows, tiles, SETTINGS)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(
            "crack_perception.training.backbones.finetune.predict", interrupt
        )  # the first epoch has been saved by then
        train(tmp_path / "halted", rows, tiles, SETTINGS)
    resumed = train(tmp_path / "halted", rows, tiles, SETTINGS)
    for a, b in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)
    assert "resumed after epoch 1" in (tmp_path / "halted" / "finetune.log").read_text()


def test_finetune_strokes_are_learned(tmp_path: Path, rows: list[Row], tiles: np.ndarray) -> None:
    network = train(tmp_path, rows, tiles, replace(SETTINGS, epochs=8))
    held_out = np.arange(COUNT * 3 // 4, COUNT)
    labels = np.array([int(rows[i].label == "crack") for i in held_out])
    assert roc_auc(labels, predict(network, tiles[held_out])) > 0.9
    assert (tmp_path / "finetune.log").read_text().count("drawn/wall auc") == 8


def test_rate_factor_warms_up_and_falls() -> None:
    factors = [rate_factor(10, progress, 0.5) for progress in (0.25, 0.5, 5.25, 10.0)]
    assert factors == pytest.approx([0.5, 1.0, 0.505, 0.01], abs=1e-3)


def test_finetune_other_pictures_are_told_apart(tmp_path: Path, rows: list[Row], tiles: np.ndarray) -> None:
    """Pictures of strong colours are neither cracked nor structures; the third head learns it."""
    rng = np.random.default_rng(2)
    pixels = np.zeros((40, TILE_PX, TILE_PX, 3), np.uint8)
    pixels[..., 1] = rng.integers(120, 255, (40, 1, 1))
    others = OtherPictures(pixels, np.array([str(i) for i in range(40)]), np.arange(40) >= 30)
    torch.manual_seed(0)
    network = CrackNetwork(MobileNetV3Trunk(SMALL_BLOCKS[:3], 0.5, 32), 0.0, heads=3)
    surfaces = SurfacePool(np.empty((0, TILE_PX, TILE_PX, 3), np.uint8), [])
    materials = Materials(rows, tiles, surfaces, [], others)
    settings = replace(SETTINGS, epochs=8, mixture=replace(SETTINGS.mixture, other_share=1.0))
    trained = finetune(network, materials, np.arange(COUNT) < COUNT * 3 // 4, tmp_path, settings)
    with torch.no_grad():
        told = [trained.eval()(torch.from_numpy(shown.copy()))[:, 2].numpy() for shown in (pixels[30:], tiles[48:])]
    assert told[0].min() > told[1].max()
    assert "other pictures called 0.000" in (tmp_path / "finetune.log").read_text().splitlines()[-1]


@pytest.mark.parametrize("bfloat16", [False, True])
def test_finetune_frozen_layers_keep_weights_and_statistics(
    tmp_path: Path, rows: list[Row], tiles: np.ndarray, bfloat16: bool
) -> None:
    torch.manual_seed(0)
    before = CrackNetwork(MobileNetV3Trunk(SMALL_BLOCKS[:3], 0.5, 32), 0.0).state_dict()
    before = {name: value.clone() for name, value in before.items()}
    after = train(tmp_path, rows, tiles, replace(SETTINGS, frozen_layers=2, bfloat16=bfloat16)).state_dict()
    changed = {
        name.split(".")[2] for name in before if name.startswith("trunk") and not before[name].equal(after[name])
    }
    assert changed == {"2", "3", "4"}
