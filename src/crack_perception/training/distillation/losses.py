# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Loss terms of distillation: labels, a teacher's logits, widths and features, and an adversarial term.

The adversary (paper, section 3.1.2) is a small discriminator network trained to distinguish the student's projected
features from the teacher's. The student is trained against it, which aligns the two distributions, whereas the squared
distance aligns each row separately (Goodfellow et al. 2014, with the non-saturating loss). It is conditioned on the
label (Mirza and Osindero 2014), so that features of cracked tiles are compared with the teacher's features of cracked
tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

Losses = dict[str, torch.Tensor]


@dataclass(frozen=True)
class DistillationSettings:
    """Schedule and loss weights of distillation; a share of 0 disables a term.

    ``epochs`` counts passes over all stored views.
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
    """Weight of the student's own prediction in the label target (bootstrapping), from a third of the epochs on."""
    teacher_share: float = 0.5
    temperature: float = 2.0
    """Divisor of both logits in the teacher term."""
    width_share: float = 0.1
    other_share: float = 0.15
    """Share of the third head, which tells pictures that show no structure from the others, if the student has it."""
    feature_share: float = 0.5
    adversary_share: float = 0.0
    """Disabled by default, because it reduced accuracy (``docs/ablations.md``)."""
    adversary_from: float = 0.25
    """Fraction of the epochs after which the adversarial term starts; before, the features are too easy to separate."""
    adversary_rate: float = 2e-4
    """Learning rate of the adversary; at five times this rate it dominates and drives the features apart."""
    rounding_epochs: int = 0
    """Number of final epochs in which the student computes with weights rounded to int8."""
    fixed_statistics: bool = False
    """Keep the mean and variance of every batch normalisation, as for a student that starts from a trained model."""
    heads_first_steps: int = 0
    """Steps at the beginning in which only the heads and the projector are trained: with random heads, the first
    gradients would damage trained features (Kumar et al. 2022).
    """
    seed: int = 7


@dataclass(frozen=True)
class DistillationBatch:
    """A batch of views with their labels and the teacher's outputs.

    Args:
        views: ``(B, S, S)`` grey or ``(B, S, S, 3)`` BGR.
        labels: ``(B,)`` float32, 1 = crack.
        log_widths: ``(B,)`` logarithm of the crack width in px, ``nan`` where unknown.
        others: ``(B,)`` float32, 1 = a picture that shows no structure.
        teacher_logits: ``(B,)`` crack logits of the teacher.
        teacher_log_widths: ``(B,)`` widths predicted by the teacher.
        teacher_features: ``(B, P)`` principal components of the teacher's features.
    """

    views: torch.Tensor
    labels: torch.Tensor
    log_widths: torch.Tensor
    others: torch.Tensor
    teacher_logits: torch.Tensor
    teacher_log_widths: torch.Tensor
    teacher_features: torch.Tensor


class Adversary(nn.Module):
    """Discriminator between features of the teacher and projected features of the student, given the label.

    Args:
        components: P, number of features.
        hidden: Width of the two hidden layers.
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
        """Compute the logits ``(B,)`` that features ``(B, P)`` are the teacher's."""
        return cast(torch.Tensor, self.layers(torch.cat([features, labels[:, None]], dim=1))[:, 0])

    def discriminator_loss(self, projected: torch.Tensor, batch: DistillationBatch) -> torch.Tensor:
        """Loss of the discriminator; no gradient reaches the student."""
        logits = torch.cat(
            [self(batch.teacher_features, batch.labels), self(projected.detach(), batch.labels)],
        )
        return nn.functional.binary_cross_entropy_with_logits(logits, _ones_then_zeros(len(projected)))

    def adversarial_loss(self, projected: torch.Tensor, batch: DistillationBatch) -> torch.Tensor:
        """Loss of the student: small where the discriminator takes its features for the teacher's."""
        return nn.functional.softplus(-self(projected, batch.labels)).mean()


def _ones_then_zeros(count: int) -> torch.Tensor:
    return torch.cat([torch.ones(count), torch.zeros(count)])


def student_losses(
    outputs: torch.Tensor,
    projected: torch.Tensor,
    batch: DistillationBatch,
    settings: DistillationSettings,
    bootstrapping: bool,
) -> Losses:
    """Compute every enabled loss term, multiplied by its share.

    Args:
        outputs: ``(B, 2 or 3)`` outputs of the student: crack logit, log width, logit of no structure.
        projected: ``(B, P)`` projected pooled features of the student.
        batch: Labels and teacher outputs.
        settings: Shares of the terms.
        bootstrapping: Whether to mix the student's own prediction into the labels.
    """
    logits, log_widths = outputs[:, 0], outputs[:, 1]
    # Other pictures teach the third head alone. The teacher may never have seen any, and a small student that learns to
    # call them intact calls cracked brick intact as well.
    structures = batch.others < 0.5
    losses: Losses = {}
    if settings.label_share and structures.any():
        label_loss = _label_loss(logits[structures], batch.labels[structures], settings, bootstrapping)
        losses["label"] = settings.label_share * label_loss
    if settings.teacher_share and structures.any():
        teacher_loss = _teacher_loss(logits[structures], batch.teacher_logits[structures], settings.temperature)
        losses["teacher"] = settings.teacher_share * teacher_loss
    targets = target_log_widths(batch)
    known = torch.isfinite(targets)
    if settings.width_share and known.any():
        width_loss = nn.functional.smooth_l1_loss(log_widths[known], targets[known], beta=0.5)
        losses["width"] = settings.width_share * width_loss
    if settings.other_share and outputs.shape[1] > 2:
        wanted = batch.others * (1 - settings.label_smoothing) + settings.label_smoothing / 2
        other_loss = nn.functional.binary_cross_entropy_with_logits(outputs[:, 2], wanted)
        losses["other"] = settings.other_share * other_loss
    if settings.feature_share and structures.any():
        feature_loss = nn.functional.mse_loss(projected[structures], batch.teacher_features[structures])
        losses["feature"] = settings.feature_share * feature_loss
    return losses


def _label_loss(
    logits: torch.Tensor, labels: torch.Tensor, settings: DistillationSettings, bootstrapping: bool
) -> torch.Tensor:
    target = labels * (1 - settings.label_smoothing) + settings.label_smoothing / 2
    if bootstrapping:
        predicted = torch.sigmoid(logits.detach())
        target = (1 - settings.bootstrap_share) * target + settings.bootstrap_share * predicted
    return nn.functional.binary_cross_entropy_with_logits(logits, target)


def _teacher_loss(logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross-entropy with the softened probability of the teacher, gradient scale preserved (Hinton et al. 2015)."""
    target = torch.sigmoid(teacher_logits / temperature)
    return temperature**2 * nn.functional.binary_cross_entropy_with_logits(logits / temperature, target)


def target_log_widths(batch: DistillationBatch) -> torch.Tensor:
    """Return target log widths ``(B,)``: known ones, else the teacher's on cracked tiles, ``nan`` on intact tiles."""
    predicted = torch.where(batch.labels > 0.5, batch.teacher_log_widths, torch.nan)
    return torch.where(torch.isfinite(batch.log_widths), batch.log_widths, predicted)
