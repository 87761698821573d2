"""A small network really learns, and an interrupted run ends where an uninterrupted one does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from crack_perception.evaluation.classification_metrics import roc_auc  # noqa: E402
from crack_perception.simulation.crack_rendering import crack_coverage  # noqa: E402
from crack_perception.training.backbones.mobilenet_v3 import SMALL_BLOCKS, MobileNetV3Trunk  # noqa: E402
from crack_perception.training.finetune import FinetuneSettings, epoch_samples, finetune, predict, rate_factor  # noqa: E402
from crack_perception.training.manifest import Row  # noqa: E402
from crack_perception.training.network import CrackNetwork  # noqa: E402

TILE_PX, COUNT = 64, 64
SETTINGS = FinetuneSettings(
    epochs=2,
    batch=16,
    learning_rate=3e-3,
    warm_up_steps=2,
    ema_decay=0.5,
    rendered_crack_share=0.2,
    seed=1,
    polish_epochs=0,
)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    labels = ["crack", "none"] * (COUNT // 2)
    return [Row(f"{i}.png", "drawn", "wall", "train", label, "ship", f"g:{i}") for i, label in enumerate(labels)]


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    """Every second tile shows a broad dark stroke."""
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
    return finetune(network, rows, tiles, training, cache, settings)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_resumed_run_equals_uninterrupted_run(
    tmp_path: Path, rows: list[Row], tiles: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = train(tmp_path / "straight", rows, tiles, SETTINGS)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("crack_perception.training.finetune.predict", interrupt)  # the first epoch is saved by then
        train(tmp_path / "halted", rows, tiles, SETTINGS)
    resumed = train(tmp_path / "halted", rows, tiles, SETTINGS)
    for a, b in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)
    assert "going on after epoch 1" in (tmp_path / "halted" / "finetune.log").read_text()


def test_network_learns_strokes(tmp_path: Path, rows: list[Row], tiles: np.ndarray) -> None:
    network = train(tmp_path, rows, tiles, replace(SETTINGS, epochs=6, polish_epochs=2))
    held_out = np.arange(COUNT * 3 // 4, COUNT)
    labels = np.array([int(rows[i].label == "crack") for i in held_out])
    assert roc_auc(labels, predict(network, tiles[held_out])) > 0.9
    assert (tmp_path / "finetune.log").read_text().count("drawn/wall auc") == 8


def test_an_epoch_holds_every_tile_and_the_drawn_extras(rows: list[Row]) -> None:
    samples = epoch_samples(rows, SETTINGS, epoch=0)
    assert {s.index for s in samples if not s.drawn} == set(range(COUNT))
    cracks = [s for s in samples if s.drawn == "crack"]
    assert len(cracks) == round(0.2 * COUNT / 2)
    assert all(s.label == 1 and rows[s.index].label == "none" for s in cracks)
    assert all(s.label == int(rows[s.index].label == "crack") for s in samples if s.drawn != "crack")
    assert samples == epoch_samples(rows, SETTINGS, epoch=0) != epoch_samples(rows, SETTINGS, epoch=1)


def test_polishing_repeats_what_is_taken_for_cracked() -> None:
    names = [("sdnet2018", "none"), ("sdnet2018_hardneg", "none"), ("metu", "none"), ("metu", "crack")]
    rows = [Row(f"{i}.png", s, "wall", "train", label, "ship", f"g:{i}") for i, (s, label) in enumerate(names)]
    settings = FinetuneSettings(epochs=3, rendered_crack_share=0.0, lookalike_share=0.0)

    def counts(epoch: int) -> list[int]:
        samples = epoch_samples(rows, settings, epoch)
        return [sum(s.index == i for s in samples) for i in range(len(rows))]

    assert counts(2) == [1, 2, 1, 1]
    assert counts(3) == [1, 6, 3, 1]


def test_learning_rate_warms_up_and_falls_twice() -> None:
    settings = FinetuneSettings(epochs=10, polish_epochs=4, polish_rate=0.2)
    factors = [rate_factor(settings, progress, 0.5) for progress in (0.25, 0.5, 5.25, 9.999, 10.0, 12.0, 13.999)]
    assert factors == pytest.approx([0.5, 1.0, 0.505, 0.01, 0.2, 0.1, 0.0], abs=1e-3)
