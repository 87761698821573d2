"""A small student really learns from labels and a teacher, and an interrupted run ends where a straight one does."""

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
    DistillationSettings,
    Lesson,
    student_losses,
    wanted_log_widths,
)
from crack_perception.training.distillation.students import StudentNetwork, StudentTable  # noqa: E402
from crack_perception.training.distillation.training import distil  # noqa: E402

torch.set_num_threads(1)

SIDE_PX, COUNT, COMPONENTS = 32, 96, 6
TABLE = StudentTable(8, (Block(3, 8, 8, False, False, 2), Block(3, 16, 8, False, True, 1)), 16)
SETTINGS = DistillationSettings(epochs=3, batch=16, learning_rate=6e-3, warm_up_steps=2, ema_decay=0.6, seed=1)
EVERYTHING = replace(SETTINGS, adversary_share=0.1, adversary_from=0.3, adversary_rate=1e-3, rounding_epochs=1)


def drawn_views(count: int, seed: int) -> np.ndarray:
    """Grey views; every second one shows a broad dark stroke."""
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
    """A teacher that is sure and right, with features that differ between the classes."""
    labels, rng = labels_of(COUNT), np.random.default_rng(2)
    features = rng.normal(0.0, 0.5, (COUNT, COMPONENTS)) + np.where(labels[:, None] == 1, 1.0, -1.0)
    return ViewCache(
        drawn_views(COUNT, 0),
        labels,
        np.full(COUNT, np.nan, np.float32),
        np.arange(COUNT, dtype=np.int32),
        np.where(labels == 1, 4.0, -4.0).astype(np.float32),
        np.full(COUNT, np.log(5.0), np.float32),
        features.astype(np.float16),
    )


def train(folder: Path, cache: ViewCache, settings: DistillationSettings) -> CrackNetwork:
    torch.manual_seed(0)
    return distil(StudentNetwork(TABLE), cache, folder, settings, lambda network: f"{auc(network):.3f}")


@torch.no_grad()
def auc(network: CrackNetwork) -> float:
    logits = network.eval()(torch.from_numpy(drawn_views(40, 7)))[:, 0]
    return roc_auc(labels_of(40).astype(np.int64), logits.numpy())


@pytest.mark.parametrize(
    "settings",
    [
        replace(EVERYTHING, epochs=6),
        replace(SETTINGS, epochs=6, teacher_share=0.0, feature_share=0.0, adversary_share=0.0, width_share=0.0),
        replace(SETTINGS, epochs=6, label_share=0.0, feature_share=0.0, adversary_share=0.0),
    ],
    ids=["everything", "labels alone", "teacher's logits alone"],
)
def test_student_learns_strokes(tmp_path: Path, cache: ViewCache, settings: DistillationSettings) -> None:
    student = train(tmp_path, cache, settings)
    assert auc(student) > 0.9
    log = (tmp_path / "distillation.log").read_text()
    assert log.count("epoch ") == settings.epochs
    assert ("deception" in log) == bool(settings.adversary_share)


def test_adversary_takes_part_in_a_run_of_a_single_epoch(tmp_path: Path, cache: ViewCache) -> None:
    train(tmp_path, cache, replace(EVERYTHING, epochs=1))
    assert "deception" in (tmp_path / "distillation.log").read_text()


def test_resumed_run_equals_uninterrupted_run(tmp_path: Path, cache: ViewCache) -> None:
    straight = train(tmp_path / "straight", cache, EVERYTHING)

    def stop(_: CrackNetwork) -> str:
        raise KeyboardInterrupt

    for _ in range(2):  # the second time amid the adversary's part
        torch.manual_seed(0)
        with pytest.raises(KeyboardInterrupt):
            distil(StudentNetwork(TABLE), cache, tmp_path / "halted", EVERYTHING, stop)
    resumed = train(tmp_path / "halted", cache, EVERYTHING)
    for a, b in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)
    assert "going on after epoch 2" in (tmp_path / "halted" / "distillation.log").read_text()


def test_judge_sees_rounded_weights_but_exact_ones_are_returned(tmp_path: Path, cache: ViewCache) -> None:
    judged = []

    def remember(network: CrackNetwork) -> str:
        judged.append(network.head.weight[0].clone())
        return ""

    torch.manual_seed(0)
    student = distil(StudentNetwork(TABLE), cache, tmp_path, replace(SETTINGS, epochs=1), remember)
    steps = judged[0] / judged[0].abs().max() * 127
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    exact = student.head.weight[0]
    assert not torch.equal(judged[0], exact)
    torch.testing.assert_close(judged[0], exact, atol=float(exact.abs().max()) / 200, rtol=0)


def lesson(teacher_logits: torch.Tensor) -> Lesson:
    count = len(teacher_logits)
    return Lesson(
        views=torch.zeros(count, 8, 8),
        labels=(torch.arange(count) % 2).float(),
        log_widths=torch.full((count,), torch.nan),
        teacher_logits=teacher_logits,
        teacher_log_widths=torch.linspace(0.0, 2.0, count),
        teacher_features=torch.ones(count, COMPONENTS),
    )


def test_every_term_can_be_switched_off() -> None:
    shares = ("label_share", "teacher_share", "width_share", "feature_share")
    outputs, projected, batch = torch.zeros(4, 2), torch.zeros(4, COMPONENTS), lesson(torch.zeros(4))
    for name in shares:
        alone = replace(SETTINGS, **{share: 1.0 if share == name else 0.0 for share in shares})
        losses = student_losses(outputs, projected, batch, alone, bootstrapping=False)
        assert list(losses) == [name.removesuffix("_share")]
        doubled = student_losses(outputs, projected, batch, replace(alone, **{name: 2.0}), bootstrapping=False)
        (single,), (double,) = losses.values(), doubled.values()
        assert float(double) == pytest.approx(2 * float(single))


def test_terms_are_least_where_the_student_is_the_teacher() -> None:
    wanted = lesson(torch.tensor([-3.0, 0.5, 1.0, 4.0]))
    outputs = torch.stack([wanted.teacher_logits, wanted.teacher_log_widths], dim=1).requires_grad_()
    projected = wanted.teacher_features.clone().requires_grad_()
    settings = replace(SETTINGS, label_share=0.0)
    torch.stack(list(student_losses(outputs, projected, wanted, settings, False).values())).sum().backward()
    torch.testing.assert_close(outputs.grad, torch.zeros(4, 2), atol=1e-6, rtol=0)
    torch.testing.assert_close(projected.grad, torch.zeros(4, COMPONENTS))


def test_label_and_belief_share_the_target() -> None:
    outputs = torch.tensor([[2.0, 0.0], [2.0, 0.0]], requires_grad=True)
    settings = replace(
        SETTINGS, label_share=1.0, teacher_share=0.0, width_share=0.0, label_smoothing=0.1, bootstrap_share=0.25
    )
    losses = student_losses(outputs, torch.zeros(2, COMPONENTS), lesson(torch.zeros(2)), settings, bootstrapping=True)
    losses["label"].backward()
    belief = 1 / (1 + np.exp(-2.0))
    targets = [0.75 * 0.05 + 0.25 * belief, 0.75 * 0.95 + 0.25 * belief]
    np.testing.assert_allclose(outputs.grad[:, 0].numpy(), [(belief - t) / 2 for t in targets], rtol=1e-5)


def test_known_widths_come_before_the_teachers_and_sound_tiles_have_none() -> None:
    batch = replace(lesson(torch.zeros(4)), log_widths=torch.tensor([torch.nan, 1.5, torch.nan, torch.nan]))
    np.testing.assert_allclose(wanted_log_widths(batch).numpy(), [np.nan, 1.5, np.nan, 2.0])


def test_adversary_learns_alone_and_teaches_only_the_student() -> None:
    torch.manual_seed(0)
    adversary, batch = Adversary(COMPONENTS), lesson(torch.zeros(32))
    projected = (batch.teacher_features + 0.8 * torch.randn(32, COMPONENTS)).requires_grad_()
    optimizer = torch.optim.Adam(adversary.parameters(), 0.02)
    at_first = float(adversary.own_loss(projected, batch).detach())
    for _ in range(30):
        optimizer.zero_grad()
        adversary.own_loss(projected, batch).backward()
        optimizer.step()
    assert float(adversary.own_loss(projected, batch).detach()) < 0.5 * at_first
    assert projected.grad is None
    caught = adversary.deceived_loss(projected, batch)
    caught.backward()
    closer = projected.detach() - 0.1 * projected.grad / projected.grad.norm(dim=1).max()
    assert float(adversary.deceived_loss(closer, batch).detach()) < float(caught.detach())


def test_adversary_knows_the_label() -> None:
    torch.manual_seed(0)
    adversary, features = Adversary(COMPONENTS), torch.ones(1, COMPONENTS)
    assert not torch.equal(adversary(features, torch.zeros(1)), adversary(features, torch.ones(1)))
