# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Complete training runs on a few synthetic photographs: backbone, student, heads, export and inference."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from crack_perception.errors import UserError  # noqa: E402
from crack_perception.recognition.backends.selection import open_backend  # noqa: E402
from crack_perception.recognition.frame_detector import FrameDetector  # noqa: E402
from crack_perception.recognition.models import load_model  # noqa: E402
from crack_perception.training.backbones.finetune import FinetuneSettings  # noqa: E402
from crack_perception.training.data.examples import Mixture  # noqa: E402
from crack_perception.training.distillation.losses import DistillationSettings  # noqa: E402
from crack_perception.training.distillation.pipeline import StudentSettings, train_student  # noqa: E402
from crack_perception.training.export.card import write_model  # noqa: E402
from crack_perception.training.heads.decision import HeadSettings  # noqa: E402
from crack_perception.training.paper import training_ablation  # noqa: E402
from crack_perception.training.pipeline import TrainedModel, TrainSettings, train_model  # noqa: E402

PHOTOGRAPHS, TILES_EACH = 12, 8
STUDENT = StudentSettings("swift", 1, 96, DistillationSettings(epochs=1, batch=16, warm_up_steps=1))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest of noisy grey tiles of twelve photographs of two sources; every second tile has a black wavy line."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(PHOTOGRAPHS * TILES_EACH):
        photograph, cracked = i // TILES_EACH, i % 2 == 1
        tile = np.clip(rng.normal(150 + 5 * photograph, 4, (256, 256, 3)), 0, 255).astype(np.uint8)
        if cracked:
            y = np.arange(0, 257, 8)
            x = 128 + 30 * np.sin(y / 30 + rng.uniform(0, 6)) + rng.uniform(-60, 60)
            cv2.polylines(tile, [np.column_stack([x, y]).astype(np.int32)], False, (20, 20, 20), 6)
        cv2.imwrite(str(folder / f"{i}.png"), tile)
        source = "metu" if photograph % 2 else "sdnet2018"
        split = "test" if photograph >= PHOTOGRAPHS - 2 else "train"
        rows.append(
            [f"{i}.png", source, split, "crack" if cracked else "none", "ship", "wall", f"{source}:{photograph}"]
        )
    rows = [[*row, ""] for row in rows]
    mask = np.zeros((300, 560), np.uint8)
    mask[:, 100:106] = 255
    cv2.imwrite(str(folder / "mask.png"), mask)
    for i in range(3):
        image = np.clip(rng.normal(150, 4, (300, 560, 3)), 0, 255).astype(np.uint8)
        image[mask > 0] = 20
        cv2.imwrite(str(folder / f"unseen{i}.png"), image)
        rows.append([f"unseen{i}.png", "drone", "test", "crack", "evaluate", "wall", f"drone:{i}", "mask.png"])
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "source", "split", "label", "role", "surface", "group_id", "mask_path"])
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def settings(data: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainSettings:
    schedule = FinetuneSettings(epochs=1, batch=16, view_px=96, warm_up_steps=1, mixture=Mixture(metu_share=1.0))
    return TrainSettings(
        data=data,
        weights=None,
        cache=tmp_path_factory.mktemp("cache"),
        threads=1,
        validation_share=0.6,
        surfaces=8,
        drawn_tiles=32,
        drawn_widths=60,
        finetune=schedule,
        head=HeadSettings(components=16, fourier_counts=(32,)),
    )


def write_and_load(trained: TrainedModel, folder: Path, compact: bool) -> tuple[FrameDetector, dict[str, object]]:
    card = write_model(folder, trained, "mine", "crack_perception train ...", compact=compact)
    model = load_model(str(folder))
    return FrameDetector(model, open_backend("auto", model, 1)), card


def test_train_model_small_data_gives_usable_model(settings: TrainSettings, tmp_path: Path) -> None:
    trained = train_model(settings)
    detector, card = write_and_load(trained, tmp_path / "mine", compact=False)
    assert card["backbone"] == "MobileNetV3-Small, fine-tuned on cracks"
    assert card["initialisation"] == "random"
    scores = detector.detect(np.full((256, 512, 3), 150, np.uint8)).scores
    assert scores.crack_score.shape == (2,)
    assert np.isfinite(scores.log_width_px).all()
    assert train_model(settings).graph == trained.graph, "the cache must reproduce the model"


@pytest.fixture(scope="module")
def other_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("others")
    for i in range(8):
        leaf = np.random.default_rng(i).integers(100, 200, (300, 300, 3)) * [0, 1, 0]
        cv2.imwrite(str(folder / f"{i}.png"), leaf.astype(np.uint8))
    return folder


def test_train_model_with_other_pictures_has_structure_scores(
    settings: TrainSettings, other_pictures: Path, tmp_path: Path
) -> None:
    told = replace(settings, others=other_pictures, cache=tmp_path / "cache", backbone="mobilenet_v3_small_w050_b4")
    detector, card = write_and_load(train_model(told), tmp_path / "mine", compact=False)
    assert detector.model.has_structure_score
    assert set(card["no_structure"]) == {"threshold", "recognised", "mistaken", "auc"}
    assert card["training"]["other_pictures"] == 8
    detections = detector.detect(np.full((256, 512, 3), 150, np.uint8))
    assert detections.scores.no_structure_score is not None
    assert np.isfinite(detections.scores.no_structure_score).all()


def test_train_model_with_a_start_keeps_statistics(settings: TrainSettings, tmp_path: Path) -> None:
    small = replace(settings, cache=tmp_path / "first", backbone="mobilenet_v3_small_w050_b4")
    first = write_and_load(train_model(small), tmp_path / "mine", compact=False)[0].model
    again = replace(small, cache=tmp_path / "second", start=first)
    trained = train_model(again)
    assert trained.initialisation == f"the model mine, {first.sha256[:12]}"
    assert trained.training_report["start"] == {"name": "mine", "sha256": first.sha256}
    checkpoint = torch.load(tmp_path / "second" / "finetune.pt", weights_only=True)
    means = [values for name, values in checkpoint["average"].items() if name.endswith("running_mean")]
    assert means and all(not values.any() for values in means)
    with pytest.raises(UserError, match="mine has another architecture"):
        train_model(replace(again, cache=tmp_path / "third", backbone="mobilenet_v3_small"))


def test_train_model_backbone_that_cannot_be_exported_is_refused(settings: TrainSettings) -> None:
    with pytest.raises(UserError, match="vgg16 cannot be fine-tuned"):
        train_model(replace(settings, backbone="vgg16"))


def test_ablate_repeated_run_skips_finished_variants(
    settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = training_ablation.WHOLE
    mixtures = {name: training_ablation.AUGMENTATION_VARIANTS[name] for name in (whole, "without interference")}
    distillation = {
        name: training_ablation.DISTILLATION_VARIANTS[name] for name in ("labels only", "labels, scores and features")
    }
    sizes = {name: training_ablation.SIZES[name] for name in ("width 0.5, 9 blocks", "width 1, 4 blocks")}
    monkeypatch.setattr(training_ablation, "AUGMENTATION_VARIANTS", mixtures)
    monkeypatch.setattr(training_ablation, "DISTILLATION_VARIANTS", distillation)
    monkeypatch.setattr(training_ablation, "SIZES", sizes)
    budget = training_ablation.Budget(tile_share=0.7, epochs=1, view_share=0.5, passes=1)
    report = training_ablation.ablate(settings, STUDENT, budget, tmp_path)
    assert {series: set(variants) for series, variants in report.items()} == {
        "augmentation": set(mixtures),
        "labels": {"labels unchanged", "doubtful labels inverted", "doubtful labels removed"},
        "distillation": set(distillation),
        "sizes": set(sizes),
    }
    assert report["augmentation"][whole]["clean"]["loss"] == 0
    for series in ("augmentation", "labels", "distillation"):
        for figures in report[series].values():
            low, high = figures["unseen"]["loss_interval"]
            assert low <= figures["unseen"]["loss"] <= high
            assert 0 <= figures["unseen"]["auc"] <= 1
    deep, shallow = report["sizes"].values()
    assert shallow["parameters"] < deep["parameters"]
    assert shallow["bytes"] < deep["bytes"] < 60_000
    assert "| without interference |" in (tmp_path / "ablations.md").read_text(encoding="utf-8")
    assert (tmp_path / "sizes.png").stat().st_size > 10_000
    stored = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}
    assert training_ablation.ablate(settings, STUDENT, budget, tmp_path) == report
    assert stored == {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}


def test_train_student_of_a_model_trains_no_backbone(settings: TrainSettings, tmp_path: Path) -> None:
    alone = replace(settings, cache=tmp_path / "cache")
    teacher = load_model("nano")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "crack_perception.training.distillation.pipeline.STUDENT_HEAD",
            HeadSettings(components=16, fourier_counts=(32,)),
        )
        trained = train_student(alone, STUDENT, teacher)
    assert trained.training_report["teacher"] == {"name": "nano", "sha256": teacher.sha256}
    assert "finetune" not in trained.training_report and trained.training_report["mixture"]
    assert "distilled from the model nano" in trained.backbone
    assert not list((tmp_path / "cache").glob("finetune*"))
    detector, _ = write_and_load(trained, tmp_path / "mine", compact=True)
    assert np.isfinite(detector.detect(np.full((256, 256, 3), 150, np.uint8)).scores.crack_score).all()


def test_train_student_with_other_pictures_has_structure_scores(
    settings: TrainSettings, other_pictures: Path, tmp_path: Path
) -> None:
    told = replace(settings, others=other_pictures, cache=tmp_path / "cache", backbone="mobilenet_v3_small_w050_b4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "crack_perception.training.distillation.pipeline.STUDENT_HEAD",
            HeadSettings(components=16, fourier_counts=(32,)),
        )
        trained = train_student(told, STUDENT)
    detector, card = write_and_load(trained, tmp_path / "mine", compact=True)
    assert detector.model.has_structure_score and card["outputs"]["no_structure_score"]
    assert trained.structure is not None and trained.structure.gates
    assert card["no_structure"]["lowers_crack_score_from"] == pytest.approx(0.8808)


def test_train_student_with_a_start_keeps_statistics(
    settings: TrainSettings, other_pictures: Path, tmp_path: Path
) -> None:
    told = replace(settings, others=other_pictures, cache=tmp_path / "cache")
    nano = load_model("nano")
    student = replace(STUDENT, table="swift")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "crack_perception.training.distillation.pipeline.STUDENT_HEAD",
            HeadSettings(components=16, fourier_counts=(32,)),
        )
        trained = train_student(replace(told, start=nano), student, nano)
    assert trained.training_report["start"] == {"name": "nano", "sha256": nano.sha256}
    assert trained.initialisation == f"the model nano, {nano.sha256[:12]}"
    assert trained.training_report["student"]["distillation"]["fixed_statistics"]
    checkpoint = torch.load(tmp_path / "cache" / "student_swift" / "distillation.pt", weights_only=True)
    means = [values for name, values in checkpoint["student"].items() if name.endswith("running_mean")]
    assert len(means) > 20 and all(not values.any() for values in means)
    assert write_and_load(trained, tmp_path / "mine", compact=True)[0].model.has_structure_score


def test_train_student_small_data_gives_compact_model(settings: TrainSettings, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "crack_perception.training.distillation.pipeline.STUDENT_HEAD",
            HeadSettings(components=16, fourier_counts=(32,)),
        )
        trained = train_student(settings, STUDENT)
    detector, card = write_and_load(trained, tmp_path / "mine", compact=True)
    assert (tmp_path / "mine" / "model.onnx.xz").stat().st_size == card["bytes_total"] < 92_000
    assert trained.macs_per_tile <= 12_000_000
    assert detector.model.channels == card["input"]["channels"] == 1
    assert np.isfinite(detector.detect(np.full((256, 256, 3), 150, np.uint8)).scores.crack_score).all()
