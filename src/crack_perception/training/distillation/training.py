# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Training loop of distillation on stored views, resumable after every epoch."""

from __future__ import annotations

import copy
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import nn

from crack_perception.training.backbones.finetune import follow_average, rate_factor
from crack_perception.training.backbones.model_weights import fix_statistics
from crack_perception.training.backbones.network import CrackNetwork, rounded_weights
from crack_perception.training.data.view_cache import ViewCache, light_views
from crack_perception.training.distillation.losses import (
    Adversary,
    DistillationBatch,
    DistillationSettings,
    student_losses,
)
from crack_perception.training.run_folder import RunFolder

_NAME = "distillation"
_MAX_GRADIENT_NORM = 5.0


def distil(
    student: CrackNetwork,
    cache: ViewCache,
    folder: Path,
    settings: DistillationSettings,
    evaluate: Callable[[CrackNetwork], str],
) -> CrackNetwork:
    """Train a student, resuming from the last checkpoint in ``folder`` if there is one.

    Args:
        student: Initialised network with any trunk; without luminance input it needs a cache of colour views.
        cache: Views, labels and outputs of the teacher.
        folder: Folder for ``distillation.pt`` and ``distillation.log``, one per student and settings.
        settings: Schedule and losses.
        evaluate: Returns a short evaluation of a network for the log. It is called after every epoch with the averaged
            network, whose weights are rounded to int8 as in the exported model.

    Returns:
        Network with the exponential moving average of the weights, not rounded.
    """
    return _Run(student, cache, folder, settings).train(evaluate)


class _Run:
    """Networks and optimisers of one training run."""

    def __init__(self, student: CrackNetwork, cache: ViewCache, folder: Path, settings: DistillationSettings) -> None:
        self._settings = settings
        self._cache = cache
        self._folder = RunFolder(folder, _NAME)
        self._student = student.to(memory_format=torch.channels_last)
        self._trunk_parameters = [p for p in student.trunk.parameters() if p.requires_grad]
        self._average = copy.deepcopy(student).requires_grad_(False).eval()
        components = cache.teacher_features.shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self._projector = nn.Linear(student.head.in_features, components)
            self._adversary = Adversary(components)
        self._optimizer = self._student_optimizer()
        # A low beta1 keeps adversarial training stable (Radford et al. 2016).
        self._adversary_optimizer = torch.optim.Adam(
            self._adversary.parameters(), settings.adversary_rate, betas=(0.5, 0.99)
        )

    def _student_optimizer(self) -> torch.optim.Optimizer:
        learned = [*self._student.parameters(), *self._projector.parameters()]
        matrices = [p for p in learned if p.requires_grad and p.ndim > 1]
        vectors = [p for p in learned if p.requires_grad and p.ndim <= 1]
        return torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": self._settings.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=self._settings.learning_rate,
        )

    def train(self, evaluate: Callable[[CrackNetwork], str]) -> CrackNetwork:
        for epoch in range(self._resume(), self._settings.epochs):
            start = time.monotonic()
            terms = self._epoch(epoch)
            self._folder.save({**{name: part.state_dict() for name, part in self._parts().items()}, "epoch": epoch + 1})
            with rounded_weights(self._average):
                evaluation = evaluate(self._average)
            means = " ".join(f"{name} {value:.4f}" for name, value in terms.items())
            seconds = time.monotonic() - start
            self._folder.log(f"epoch {epoch + 1}/{self._settings.epochs} {seconds:.0f} s {means} | {evaluation}")
        return self._average

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {
            "student": self._student,
            "average": self._average,
            "projector": self._projector,
            "adversary": self._adversary,
            "optimizer": self._optimizer,
            "adversary_optimizer": self._adversary_optimizer,
        }

    def _resume(self) -> int:
        state = self._folder.load()
        if state is None:
            return 0
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self._folder.log(f"resuming after epoch {state['epoch']}")
        return int(state["epoch"])

    def _epoch(self, epoch: int) -> dict[str, float]:
        """Train on all views once and return the mean of every loss."""
        settings = self._settings
        steps = len(self._cache) // settings.batch
        rounding = epoch >= settings.epochs - settings.rounding_epochs
        sums: dict[str, float] = defaultdict(float)
        self._student.train()
        if settings.fixed_statistics:
            fix_statistics(self._student)
        for step, batch in enumerate(self._batches(epoch)):
            for parameter in self._trunk_parameters:
                parameter.requires_grad_(epoch * steps + step >= settings.heads_first_steps)
            progress = epoch + step / steps
            adversarial = settings.adversary_share > 0 and progress >= settings.adversary_from * settings.epochs
            factor = rate_factor(settings.epochs, progress, settings.warm_up_steps / steps)
            for group in self._optimizer.param_groups:
                group["lr"] = settings.learning_rate * factor
            with rounded_weights(self._student) if rounding else nullcontext():
                losses = self._backward(batch, epoch >= settings.epochs // 3, adversarial)
            nn.utils.clip_grad_norm_(self._student.parameters(), _MAX_GRADIENT_NORM)
            self._optimizer.step()
            done = epoch * steps + step
            follow_average(self._average, self._student, min(settings.ema_decay, (1 + done) / (20 + done)))
            for name, value in losses.items():
                sums[name] += value / steps
        return dict(sums)

    def _backward(self, batch: DistillationBatch, bootstrapping: bool, adversarial: bool) -> dict[str, float]:
        """Update the adversary if it is active, then compute the gradients of the student."""
        pooled = self._student.pooled(batch.views)
        projected = self._projector(pooled)
        outputs = self._student.head(self._student.dropout(pooled))
        losses = student_losses(outputs, projected, batch, self._settings, bootstrapping)
        reported = {}
        if adversarial:
            reported["adversary"] = self._update_adversary(projected, batch)
            losses["adversarial"] = self._settings.adversary_share * self._adversary.adversarial_loss(projected, batch)
        self._optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        return {name: float(value.detach()) for name, value in losses.items()} | reported

    def _update_adversary(self, projected: torch.Tensor, batch: DistillationBatch) -> float:
        loss = self._adversary.discriminator_loss(projected, batch)
        self._adversary_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._adversary_optimizer.step()
        return float(loss.detach())

    def _batches(self, epoch: int) -> Iterator[DistillationBatch]:
        """Yield full batches of all views, shuffled per epoch."""
        cache, size = self._cache, self._settings.batch
        order = np.random.default_rng([self._settings.seed, epoch]).permutation(len(cache))
        generator = torch.Generator().manual_seed(self._settings.seed * 1_000_003 + epoch)
        for first in range(0, len(cache) - size + 1, size):
            rows = order[first : first + size]
            columns = (
                cache.labels,
                cache.log_widths,
                cache.others,
                cache.teacher_logits,
                cache.teacher_log_widths,
                cache.teacher_features,
            )
            known = (torch.from_numpy(np.asarray(column[rows], np.float32)) for column in columns)
            yield DistillationBatch(light_views(torch.from_numpy(np.asarray(cache.views[rows])), generator), *known)
