# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Training pipeline of ``crack_perception train --student``: distil a network or a model into a smaller model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from crack_perception.recognition.models import LoadedModel
from crack_perception.training.backbones.features import FeatureExtractor
from crack_perception.training.backbones.finetune import validation_line
from crack_perception.training.backbones.model_weights import start_from
from crack_perception.training.backbones.network import CrackNetwork
from crack_perception.training.data.examples import Origin, epoch_samples
from crack_perception.training.data.training_tiles import TrainingTiles
from crack_perception.training.data.view_cache import Teacher, TeacherOutputs, View, ViewCache, ViewPlan, render_views
from crack_perception.training.distillation.losses import DistillationSettings
from crack_perception.training.distillation.model_teacher import ModelTeacher
from crack_perception.training.distillation.students import StudentNetwork, cost, get_student
from crack_perception.training.distillation.training import distil
from crack_perception.training.export.model_graph import feature_model
from crack_perception.training.heads.decision import HeadSettings
from crack_perception.training.pipeline import TrainedModel, TrainSettings, finetuned_network, fit_heads, training_tiles

STUDENT_HEAD = HeadSettings(components=62, fourier_counts=(128,))
"""Head of a small model. With more components, `nano` would exceed 92,000 bytes."""
SMALL_PARAMETERS = 75_000
"""Most parameters of the trunk of a small model; larger ones get the head of the settings."""
_COMPONENTS = 96
"""Principal components of the teacher's features in the feature term; fewer if there are few views."""
_STARTED_LEARNING_RATE = 1e-3
"""Learning rate of a student that starts from a trained model, a quarter of the usual one."""
_STARTED_HEAD_STEPS = 400
_FIRST_EPOCH = 1000
"""Number of the first epoch of views, so that no view repeats one that the teacher was trained on."""


@dataclass(frozen=True)
class StudentSettings:
    """Settings of a student.

    Args:
        table: Name of an architecture in :data:`crack_perception.training.distillation.students.STUDENTS`.
        view_epochs: Epochs of views that are rendered and stored.
        view_px: Side of the views [px].
        distillation: Schedule and losses; its epochs count passes over all stored views.
    """

    table: str = "swift"
    view_epochs: int = 6
    view_px: int = 224
    distillation: DistillationSettings = field(default_factory=DistillationSettings)


def started(settings: DistillationSettings) -> DistillationSettings:
    """Return the schedule for a student that starts from the weights of a trained model."""
    return replace(
        settings,
        learning_rate=_STARTED_LEARNING_RATE,
        fixed_statistics=True,
        heads_first_steps=_STARTED_HEAD_STEPS,
    )


def train_student(
    settings: TrainSettings,
    student: StudentSettings,
    model: LoadedModel | None = None,
) -> TrainedModel:
    """Store views with the outputs of the teacher, distil the student, fit the heads and export.

    Finished steps are loaded from the cache.

    Args:
        settings: Settings of the teacher, the data and the heads. A start is that of the student.
        student: Settings of the student.
        model: Model that is the teacher; None fine-tunes a backbone for it first. The third head learns from labels
            alone, so the teacher need not tell other pictures apart.

    Raises:
        UserError: The data, the weights, the teacher or the start cannot be used, or the architecture is unknown.
    """
    table, start = get_student(student.table), settings.start
    if start is not None:
        settings = replace(settings, start=None)
        student = replace(student, distillation=started(student.distillation))
    tiles = training_tiles(settings)
    lineage: dict[str, Any] = {"student": asdict(student)}
    if model is None:
        lineage["finetune"] = asdict(settings.finetune)
        views = student_views(settings, student, tiles, finetuned_network(settings, tiles))
        teacher = "the fine-tuned MobileNetV3-Small"
        initialisation = "random (the teacher started from ImageNet weights)" if settings.weights else "random"
    else:
        lineage["teacher"] = {"name": model.name, "sha256": model.sha256}
        lineage["mixture"] = asdict(settings.finetune.mixture)
        taught = ModelTeacher(model, settings.threads)
        views = _rendered_views(settings, student, tiles, taught, taught.digest)
        teacher = f"the model {model.name}"
        initialisation = f"random (the teacher is the model {model.name}, {model.sha256[:12]})"
    torch.manual_seed(student.distillation.seed)
    untrained = StudentNetwork(table, heads=3 if settings.others else 2)
    if start is not None:
        start_from(untrained, start)
        lineage["start"] = {"name": start.name, "sha256": start.sha256}
        initialisation = f"the model {start.name}, {start.sha256[:12]}"
    network = distil(
        untrained,
        views,
        settings.cache / f"student_{student.table}",
        student.distillation,
        lambda average: validation_line(average, tiles.materials.rows, tiles.materials.tiles, tiles.unseen),
    )
    head = STUDENT_HEAD if cost(table).parameters <= SMALL_PARAMETERS else settings.head
    return fit_heads(
        replace(settings, head=replace(head, gated=settings.others is not None)),
        tiles,
        network,
        f"narrow MobileNetV3 blocks (table {student.table}), distilled from {teacher}",
        initialisation,
        lineage,
    )


def student_views(
    settings: TrainSettings, student: StudentSettings, tiles: TrainingTiles, teacher: CrackNetwork
) -> ViewCache:
    """Render and store the views of several epochs with the outputs of a fine-tuned network."""
    trunk = teacher.trunk.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    extractor = FeatureExtractor(feature_model(trunk, student.view_px, False), settings.cache, settings.threads)
    return _rendered_views(settings, student, tiles, onnx_teacher(teacher, extractor), extractor.digest)


def _rendered_views(
    settings: TrainSettings, student: StudentSettings, tiles: TrainingTiles, teacher: Teacher, digest: str
) -> ViewCache:
    """Render and store the views of several epochs with the outputs of a teacher, which a digest identifies."""
    materials, mixture, seed = tiles.materials, settings.finetune.mixture, settings.seed
    epochs = [
        epoch_samples(
            materials.rows,
            tiles.learned,
            len(materials.surfaces),
            mixture,
            (seed, _FIRST_EPOCH + epoch),
            materials.others.learned,
        )
        for epoch in range(student.view_epochs)
    ]
    photographs = {name: i for i, name in enumerate(np.unique(tiles.groups))}
    plan = ViewPlan(
        f"{digest} {len(materials.rows)} {len(materials.others)} {mixture} {settings.surfaces} {seed}",
        tuple(len(epoch) for epoch in epochs),
        student.view_px,
        components=min(_COMPONENTS, sum(len(epoch) for epoch in epochs) // 2),
    )

    def view(epoch: int, place: int) -> View:
        sample = epochs[epoch][place]
        rng = np.random.default_rng([seed, _FIRST_EPOCH + epoch, place])
        picture, log_width_px = materials.view(sample, rng, student.view_px)
        group = photographs[str(tiles.groups[sample.index])] if sample.origin is Origin.TILE else -1
        return View(picture, sample.label, log_width_px, group, sample.origin is Origin.OTHER_PICTURE)

    return render_views(settings.cache, plan, view, teacher)


def onnx_teacher(network: CrackNetwork, extractor: FeatureExtractor) -> Teacher:
    """Wrap a trained network so that ONNX Runtime computes its trunk, which is several times faster than torch.

    Args:
        network: Network with the linear heads.
        extractor: Feature extractor of its trunk.
    """
    weight = network.head.weight.detach().numpy()
    bias = network.head.bias.detach().numpy()

    def teacher(tiles: npt.NDArray[np.uint8]) -> TeacherOutputs:
        features = extractor.run(tiles)
        logits, log_widths = (features @ weight.T + bias).T[:2]
        return TeacherOutputs(logits, log_widths, features)

    return teacher
