# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of the distillation losses and of the training loop on a small student."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from crack_perception.evaluation.metrics.classification import roc_auc  # noqa: E402
from crack_perception.simulation.wall.crack_rendering import crack_coverage  # noqa: E402
from crack_perception.training.backbones.mobilenet_v3 import Block  # noqa: E402
from crack_perception.training.backbones.network import CrackNetwork  # noqa: E402
from crack_perception.training.data.view_cache import ViewCache  # noqa: E402
from crack_perception.training.distillation.losses import (  # noqa: E402
    Adversary,
    DistillationBatch,
    DistillationSettings,
    student_losses,
    target_log_widths,
)
from crack_perception.training.distillation.students import StudentNetwork, StudentTable  # noqa: E402
from crack_perception.training.distillation.training import distil  # noqa: E402

torch.set_num_threads(1)

SIDE_PX, COUNT, COMPONENTS = 32, 96, 6
TABLE = StudentTable(8, (Block(3, 8, 8, False, False, 2), Block(3, 16, 8, False, True, 1)), 16)
SETTINGS = DistillationSettings(epochs=3, batch=16, learning_rate=6e-3, warm_up_steps=2, ema_decay=0.6, seed=1)
EVERYTHING = replace(SETTINGS, adversary_share=0.1, adversary_from=0.3, adversary_rate=1e-3, rounding_epochs=1)


def stroke_views(count: int, seed: int) -> np.ndarray:
    """Grey views, every second one with a broad dark stroke."""
    rng = np.random.default_rng(seed)
    views = np.clip(rng.normal(170, 6, (count, SIDE_PX, SIDE_PX)), 0, 255)
    for i in range(0, count, 2):
        ends = [[rng.uniform(4, 28), 0.0], [rng.uniform(4, 28), SIDE_PX]]
        views[i] *= 1 - 0.8 * crack_coverage((SIDE_PX, SIDE_PX), ends, 5.0)
    return views.astype(np.uint8)


def labels_of(count: int) -> np.ndarray:
    return (1 - np.arange(count) % 2).astype(np.uint8)


@pytest.fixture(scope="module")
def cache() -> ViewCache:
    """Views with a confident, correct teacher whose features differ between the classes."""
    labels, rng = labels_of(COUNT), np.random.default_rng(2)
    features = rng.normal(0.0, 0.5, (COUNT, COMPONENTS)) + np.where(labels[:, None] == 1, 1.0, -1.0)
    return ViewCache(
        stroke_views(COUNT, 0),
        labels,
        np.full(COUNT, np.nan, np.float32),
        np.arange(COUNT, dtype=np.int32),
        (np.arange(COUNT) % 4 == 1).astype(np.uint8),
        np.where(labels == 1, 4.0, -4.0).astype(np.float32),
        np.full(COUNT, np.log(5.0), np.float32),
        features.astype(np.float16),
    )


def train(folder: Path, cache: ViewCache, settings: DistillationSettings) -> CrackNetwork:
    torch.manual_seed(0)
    return distil(StudentNetwork(TABLE), cache, folder, settings, lambda network: f"{auc(network):.3f}")


@torch.no_grad()
def auc(network: CrackNetwork) -> float:
    logits = network.eval()(torch.from_numpy(stroke_views(40, 7)))[:, 0]
    return roc_auc(labels_of(40).astype(np.int64), logits.numpy())


@pytest.mark.parametrize(
    "settings",
    [
        replace(EVERYTHING, epochs=6),
        replace(SETTINGS, epochs=6, teacher_share=0.0, feature_share=0.0, adversary_share=0.0, width_share=0.0),
        replace(SETTINGS, epochs=6, label_share=0.0, feature_share=0.0, adversary_share=0.0),
    ],
    ids=["everything", "labels only", "only teacher's logits"],
)
def test_distil_any_loss_terms_learns_strokes(tmp_path: Path, cache: ViewCache, settings: DistillationSettings) -> None:
    student = train(tmp_path, cache, settings)
    assert auc(student) > 0.9
    log = (tmp_path / "distillation.log").read_text()
    assert log.count("epoch ") == settings.epochs
    assert ("adversarial" in log) == bool(settings.adversary_share)


def test_distil_single_epoch_uses_adversary(tmp_path: Path, cache: ViewCache) -> None:
    train(tmp_path, cache, replace(EVERYTHING, epochs=1))
    assert "adversarial" in (tmp_path / "distillation.log").read_text()


def test_distil_heads_first_keeps_trunk(tmp_path: Path, cache: ViewCache) -> None:
    settings = replace(SETTINGS, epochs=1, fixed_statistics=True, heads_first_steps=100, ema_decay=0.0)
    torch.manual_seed(0)
    untrained = StudentNetwork(TABLE)
    trained = train(tmp_path, cache, settings)
    for name, values in untrained.trunk.state_dict().items():
        torch.testing.assert_close(trained.trunk.state_dict()[name], values)
    assert not torch.equal(trained.head.weight, untrained.head.weight)
    released = train(tmp_path / "released", cache, replace(settings, heads_first_steps=3))
    kept = [
        torch.equal(released.trunk.state_dict()[name], values)
        for name, values in untrained.trunk.state_dict().items()
        if name.endswith(("running_mean", "running_var")) or name.startswith("features.0.")
    ]
    assert all(kept)
    assert not torch.equal(released.trunk.features[1][0].weight, untrained.trunk.features[1][0].weight)


def test_distil_interrupted_run_matches_uninterrupted_run(tmp_path: Path, cache: ViewCache) -> None:
    straight = train(tmp_path / "straight", cache, EVERYTHING)

    def stop(_: CrackNetwork) -> str:
        raise KeyboardInterrupt

    for _ in range(2):  # the second interruption is after the adversary started
        torch.manual_seed(0)
        with pytest.raises(KeyboardInterrupt):
            distil(StudentNetwork(TABLE), cache, tmp_path / "halted", EVERYTHING, stop)
    resumed = train(tmp_path / "halted", cache, EVERYTHING)
    for a, b in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)
    assert "resuming after epoch 2" in (tmp_path / "halted" / "distillation.log").read_text()


def test_distil_evaluation_uses_rounded_weights(tmp_path: Path, cache: ViewCache) -> None:
    evaluated = []

    def remember(network: CrackNetwork) -> str:
        evaluated.append(network.head.weight[0].clone())
        return ""

    torch.manual_seed(0)
    student = distil(StudentNetwork(TABLE), cache, tmp_path, replace(SETTINGS, epochs=1), remember)
    steps = evaluated[0] / evaluated[0].abs().max() * 127
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    exact = student.head.weight[0]
    assert not torch.equal(evaluated[0], exact)
    torch.testing.assert_close(evaluated[0], exact, atol=float(exact.abs().max()) / 200, rtol=0)


def teacher_batch(teacher_logits: torch.Tensor) -> DistillationBatch:
    count = len(teacher_logits)
    return DistillationBatch(
        views=torch.zeros(count, 8, 8),
        labels=(torch.arange(count) % 2).float(),
        log_widths=torch.full((count,), torch.nan),
        others=(torch.arange(count) % 4 == 2).float(),
        teacher_logits=teacher_logits,
        teacher_log_widths=torch.linspace(0.0, 2.0, count),
        teacher_features=torch.ones(count, COMPONENTS),
    )


def test_student_losses_zero_share_omits_term() -> None:
    shares = ("label_share", "teacher_share", "width_share", "feature_share")
    outputs, projected, batch = torch.zeros(4, 2), torch.zeros(4, COMPONENTS), teacher_batch(torch.zeros(4))
    for name in shares:
        alone = replace(SETTINGS, **{share: 1.0 if share == name else 0.0 for share in shares})
        losses = student_losses(outputs, projected, batch, alone, bootstrapping=False)
        assert list(losses) == [name.removesuffix("_share")]
        doubled = student_losses(outputs, projected, batch, replace(alone, **{name: 2.0}), bootstrapping=False)
        (single,), (double,) = losses.values(), doubled.values()
        assert float(double) == pytest.approx(2 * float(single))


def test_student_losses_third_head_learns_no_structure() -> None:
    batch = teacher_batch(torch.zeros(4))
    outputs = torch.zeros(4, 3, requires_grad=True)
    settings = replace(SETTINGS, label_smoothing=0.0, other_share=0.4)
    losses = student_losses(outputs, torch.zeros(4, COMPONENTS), batch, settings, bootstrapping=False)
    assert float(losses["other"].detach()) == pytest.approx(0.4 * np.log(2.0))
    losses["other"].backward()
    np.testing.assert_allclose(outputs.grad[:, 2].numpy(), [0.05, 0.05, -0.05, 0.05], rtol=1e-5)
    assert "other" not in student_losses(
        torch.zeros(4, 2), torch.zeros(4, COMPONENTS), batch, settings, bootstrapping=False
    )


def test_student_losses_other_pictures_teach_the_third_head_alone() -> None:
    batch = teacher_batch(torch.tensor([-3.0, 0.5, 1.0, 4.0]))
    outputs, projected = torch.zeros(4, 3, requires_grad=True), torch.zeros(4, COMPONENTS, requires_grad=True)
    settings = replace(SETTINGS, width_share=0.0, other_share=0.0)
    losses = student_losses(outputs, projected, batch, settings, bootstrapping=False)
    torch.stack(list(losses.values())).sum().backward()
    assert batch.others.tolist() == [0, 0, 1, 0]
    assert outputs.grad[:, 0].ne(0).tolist() == projected.grad[:, 0].ne(0).tolist() == [True, True, False, True]
    only_others = replace(batch, others=torch.ones(4))
    assert not student_losses(outputs, projected, only_others, settings, bootstrapping=False)


def test_student_losses_student_equals_teacher_has_zero_gradient() -> None:
    batch = teacher_batch(torch.tensor([-3.0, 0.5, 1.0, 4.0]))
    outputs = torch.stack([batch.teacher_logits, batch.teacher_log_widths], dim=1).requires_grad_()
    projected = batch.teacher_features.clone().requires_grad_()
    settings = replace(SETTINGS, label_share=0.0)
    torch.stack(list(student_losses(outputs, projected, batch, settings, False).values())).sum().backward()
    torch.testing.assert_close(outputs.grad, torch.zeros(4, 2), atol=1e-6, rtol=0)
    torch.testing.assert_close(projected.grad, torch.zeros(4, COMPONENTS))


def test_student_losses_bootstrapping_mixes_label_and_prediction() -> None:
    outputs = torch.tensor([[2.0, 0.0], [2.0, 0.0]], requires_grad=True)
    settings = replace(
        SETTINGS, label_share=1.0, teacher_share=0.0, width_share=0.0, label_smoothing=0.1, bootstrap_share=0.25
    )
    losses = student_losses(
        outputs, torch.zeros(2, COMPONENTS), teacher_batch(torch.zeros(2)), settings, bootstrapping=True
    )
    losses["label"].backward()
    predicted = 1 / (1 + np.exp(-2.0))
    targets = [0.75 * 0.05 + 0.25 * predicted, 0.75 * 0.95 + 0.25 * predicted]
    np.testing.assert_allclose(outputs.grad[:, 0].numpy(), [(predicted - t) / 2 for t in targets], rtol=1e-5)


def test_target_log_widths_known_width_takes_precedence() -> None:
    batch = replace(teacher_batch(torch.zeros(4)), log_widths=torch.tensor([torch.nan, 1.5, torch.nan, torch.nan]))
    np.testing.assert_allclose(target_log_widths(batch).numpy(), [np.nan, 1.5, np.nan, 2.0])


def test_adversary_losses_update_only_their_network() -> None:
    torch.manual_seed(0)
    adversary, batch = Adversary(COMPONENTS), teacher_batch(torch.zeros(32))
    projected = (batch.teacher_features + 0.8 * torch.randn(32, COMPONENTS)).requires_grad_()
    optimizer = torch.optim.Adam(adversary.parameters(), 0.02)
    at_first = float(adversary.discriminator_loss(projected, batch).detach())
    for _ in range(30):
        optimizer.zero_grad()
        adversary.discriminator_loss(projected, batch).backward()
        optimizer.step()
    assert float(adversary.discriminator_loss(projected, batch).detach()) < 0.5 * at_first
    assert projected.grad is None
    separated = adversary.adversarial_loss(projected, batch)
    separated.backward()
    closer = projected.detach() - 0.1 * projected.grad / projected.grad.norm(dim=1).max()
    assert float(adversary.adversarial_loss(closer, batch).detach()) < float(separated.detach())


def test_adversary_other_label_changes_logit() -> None:
    torch.manual_seed(0)
    adversary, features = Adversary(COMPONENTS), torch.ones(1, COMPONENTS)
    assert not torch.equal(adversary(features, torch.zeros(1)), adversary(features, torch.ones(1)))
