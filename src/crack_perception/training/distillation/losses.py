"""What a student is taught by: labels, a teacher's logits, widths and features, and an adversary.

The adversary (paper, section 3.1.2) is a small network that learns to tell the student's projected features from the
teacher's; the student learns to deceive it, which draws the distributions together where the squared distance only
draws every single row (Goodfellow et al. 2014, with the non-saturating loss; conditioned on the label as in Mirza and
Osindero 2014, so that cracked features are not taken for sound ones of the teacher).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

Losses = dict[str, torch.Tensor]


@dataclass(frozen=True)
class DistillationSettings:
    """Everything that decides a student besides its table and its views; a share of 0 switches a term off.

    ``epochs`` counts passes over the whole cache of views.
    """

    epochs: int = 24
    batch: int = 64
    learning_rate: float = 4e-3
    weight_decay: float = 0.01
    warm_up_steps: int = 200
    ema_decay: float = 0.998
    label_share: float = 0.5
    label_smoothing: float = 0.06
    bootstrap_share: float = 0.2
    """Share of the label's target that is the student's own belief after a third of the epochs."""
    teacher_share: float = 0.5
    temperature: float = 2.0
    """What both logits are divided by before the student's is drawn to the teacher's."""
    width_share: float = 0.1
    feature_share: float = 0.5
    adversary_share: float = 0.0
    """The paper's adversary is off: in the comparison so far it cost accuracy (``docs/ablations.md``)."""
    adversary_from: float = 0.25
    """Part of the epochs before the adversary takes part: until then the student's features tell it too much."""
    adversary_rate: float = 2e-4
    """Of learning; at five times as much it soon saw through every student, and only drove the features apart."""
    rounding_epochs: int = 0
    """Last epochs in which the student computes with weights rounded to int8."""
    seed: int = 7


@dataclass(frozen=True)
class Lesson:
    """A batch: what is shown and what is known of it.

    Attributes:
        views: ``(B, S, S)`` grey or ``(B, S, S, 3)`` BGR.
        labels: ``(B,)`` float32, 1 = crack.
        log_widths: ``(B,)``, ``nan`` where unknown.
        teacher_logits: ``(B,)``.
        teacher_log_widths: ``(B,)``.
        teacher_features: ``(B, P)``.
    """

    views: torch.Tensor
    labels: torch.Tensor
    log_widths: torch.Tensor
    teacher_logits: torch.Tensor
    teacher_log_widths: torch.Tensor
    teacher_features: torch.Tensor


class Adversary(nn.Module):
    """Tells a teacher's features from projected ones, knowing the label.

    Args:
        components: P, length of both.
        hidden: Width of its two hidden layers.
    """

    def __init__(self, components: int, hidden: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(components + 1, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, 1),
        )

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Logits ``(B,)`` that ``(B, P)`` features are a teacher's."""
        return cast(torch.Tensor, self.layers(torch.cat([features, labels[:, None]], dim=1))[:, 0])

    def own_loss(self, projected: torch.Tensor, lesson: Lesson) -> torch.Tensor:
        """What the adversary learns by; the student is left alone."""
        logits = torch.cat(
            [self(lesson.teacher_features, lesson.labels), self(projected.detach(), lesson.labels)],
        )
        return nn.functional.binary_cross_entropy_with_logits(logits, _ones_then_zeros(len(projected)))

    def deceived_loss(self, projected: torch.Tensor, lesson: Lesson) -> torch.Tensor:
        """What the student learns by: small where its features pass for the teacher's."""
        return nn.functional.softplus(-self(projected, lesson.labels)).mean()


def _ones_then_zeros(count: int) -> torch.Tensor:
    return torch.cat([torch.ones(count), torch.zeros(count)])


def student_losses(
    outputs: torch.Tensor, projected: torch.Tensor, lesson: Lesson, settings: DistillationSettings, bootstrapping: bool
) -> Losses:
    """Every term that is switched on, already times its share.

    Args:
        outputs: ``(B, 2)`` of the student: crack logit, log width.
        projected: ``(B, P)`` pooled features of the student behind the projector.
        lesson: The batch.
        settings: Shares.
        bootstrapping: Whether the student's own belief takes part in the labels.
    """
    logits, log_widths = outputs.unbind(dim=1)
    losses: Losses = {}
    if settings.label_share:
        losses["label"] = settings.label_share * _label_loss(logits, lesson, settings, bootstrapping)
    if settings.teacher_share:
        losses["teacher"] = settings.teacher_share * _teacher_loss(logits, lesson, settings.temperature)
    wanted = wanted_log_widths(lesson)
    known = torch.isfinite(wanted)
    if settings.width_share and known.any():
        width_loss = nn.functional.smooth_l1_loss(log_widths[known], wanted[known], beta=0.5)
        losses["width"] = settings.width_share * width_loss
    if settings.feature_share:
        losses["feature"] = settings.feature_share * nn.functional.mse_loss(projected, lesson.teacher_features)
    return losses


def _label_loss(
    logits: torch.Tensor, lesson: Lesson, settings: DistillationSettings, bootstrapping: bool
) -> torch.Tensor:
    wanted = lesson.labels * (1 - settings.label_smoothing) + settings.label_smoothing / 2
    if bootstrapping:
        belief = torch.sigmoid(logits.detach())
        wanted = (1 - settings.bootstrap_share) * wanted + settings.bootstrap_share * belief
    return nn.functional.binary_cross_entropy_with_logits(logits, wanted)


def _teacher_loss(logits: torch.Tensor, lesson: Lesson, temperature: float) -> torch.Tensor:
    """Cross-entropy with the teacher's softened probability (Hinton et al. 2015); its gradient keeps its size."""
    wanted = torch.sigmoid(lesson.teacher_logits / temperature)
    return temperature**2 * nn.functional.binary_cross_entropy_with_logits(logits / temperature, wanted)


def wanted_log_widths(lesson: Lesson) -> torch.Tensor:
    """Known log widths ``(B,)``, the teacher's for other cracked tiles, ``nan`` for sound ones."""
    guessed = torch.where(lesson.labels > 0.5, lesson.teacher_log_widths, torch.nan)
    return torch.where(torch.isfinite(lesson.log_widths), lesson.log_widths, guessed)
