# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Fine-tuning of the backbone: resumable, one checkpoint per epoch, validated on photographs not used for training."""

from __future__ import annotations

import copy
import math
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from crack_perception.evaluation.metrics.classification import precision_recall_f1, roc_auc
from crack_perception.training.backbones.model_weights import fix_statistics
from crack_perception.training.backbones.network import CrackNetwork
from crack_perception.training.data.examples import Materials, Mixture, Origin, Sample, epoch_samples
from crack_perception.training.data.manifest import LABELS, Row
from crack_perception.training.run_folder import RunFolder


@dataclass(frozen=True)
class FinetuneSettings:
    """Hyperparameters of a fine-tuning run."""

    epochs: int = 13
    batch: int = 64
    view_px: int = 224
    """Side of the training views [px], a random part of the tile: a third faster than whole tiles."""
    learning_rate: float = 7e-4
    head_learning_rate: float = 3e-3
    weight_decay: float = 0.03
    warm_up_steps: int = 150
    label_smoothing: float = 0.06
    bootstrap_share: float = 0.2
    """Share of the network's own prediction in the target after a third of the epochs; reduces the effect of wrong
    labels.
    """
    ema_decay: float = 0.997
    width_loss_share: float = 0.1
    """Weight of the width loss; it makes the features encode the crack width as well."""
    other_loss_share: float = 0.3
    """Weight of the loss of the third head, which tells pictures that show no structure from the others."""
    frozen_layers: int = 0
    """Number of first layers of the trunk that keep their initial weights and statistics."""
    fixed_statistics: bool = False
    """Keep the mean and variance of every batch normalisation, as for a network that starts from a trained model."""
    heads_first_steps: int = 0
    """Steps at the beginning in which only the heads are trained: with random heads, the first gradients would damage
    trained features (Kumar et al. 2022).
    """
    start_share: float = 0.0
    """Share of the weights of the model that the training starts from in those of the result."""
    first_epoch: int = 0
    """Number of the first epoch: epochs of the same number have the same views."""
    bfloat16: bool = False
    """Compute the trunk in bfloat16: a quarter faster on processors with AVX512-BF16 or AMX."""
    mixture: Mixture = field(default_factory=Mixture)
    seed: int = 7


def _batches(
    samples: Sequence[Sample], materials: Materials, settings: FinetuneSettings, epoch: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield tiles and ``(N, 3)`` targets (label, log width, no structure), prepared in a background thread."""
    ready: queue.Queue[tuple[torch.Tensor, torch.Tensor] | None] = queue.Queue(maxsize=4)

    def produce() -> None:
        for first in range(0, len(samples) - settings.batch + 1, settings.batch):
            chunk = samples[first : first + settings.batch]
            views = [
                materials.view(
                    sample,
                    np.random.default_rng([settings.seed, settings.first_epoch + epoch, first + k]),
                    settings.view_px,
                    settings.mixture.interference,
                )
                for k, sample in enumerate(chunk)
            ]
            targets = [
                [float(sample.label), width, float(sample.origin is Origin.OTHER_PICTURE)]
                for sample, (_, width) in zip(chunk, views, strict=True)
            ]
            ready.put((torch.from_numpy(np.stack([view for view, _ in views])), torch.tensor(targets)))
        ready.put(None)

    threading.Thread(target=produce, daemon=True).start()
    while (batch := ready.get()) is not None:
        yield batch


def finetune(
    network: CrackNetwork,
    materials: Materials,
    training: npt.NDArray[np.bool_],
    cache: Path,
    settings: FinetuneSettings,
    validation: npt.NDArray[np.bool_] | None = None,
) -> CrackNetwork:
    """Train all epochs, resuming from the last checkpoint in ``cache`` if there is one.

    Args:
        network: Initialised network; trained in place.
        materials: Tiles, their rows, and the inputs of the view generator.
        training: ``(N,)`` True for training tiles.
        cache: Folder of the checkpoint ``finetune.pt`` and of ``finetune.log``.
        settings: Schedule and losses.
        validation: ``(N,)`` True for tiles that are evaluated after each epoch; all others than the training tiles when
            None.

    Returns:
        Network with the exponential moving average of the weights.
    """
    cv2.setNumThreads(1)
    network.requires_grad_(True).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).requires_grad_(False).eval()
    optimizer = _optimizer(network, settings)
    learned = np.nonzero(training)[0]
    folder = RunFolder(cache, "finetune")
    for epoch in range(_resume(folder, network, average, optimizer), settings.epochs):
        start, losses = time.monotonic(), []
        network.train()
        if settings.fixed_statistics:
            fix_statistics(network)
        network.trunk.features[: settings.frozen_layers].eval()
        seed = (settings.seed, settings.first_epoch + epoch)
        samples = epoch_samples(
            materials.rows, learned, len(materials.surfaces), settings.mixture, seed, materials.others.learned
        )
        steps = len(samples) // settings.batch
        for step, (views, targets) in enumerate(_batches(samples, materials, settings, epoch)):
            done = epoch * steps + step
            network.trunk.requires_grad_(done >= settings.heads_first_steps)
            network.trunk.features[: settings.frozen_layers].requires_grad_(False)
            factor = rate_factor(settings.epochs, epoch + step / steps, settings.warm_up_steps / steps)
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor
            losses.append(_step(network, optimizer, views, targets, settings, epoch))
            follow_average(average, network, min(settings.ema_decay, (1 + done) / (20 + done)))
        _save(folder, epoch + 1, network, average, optimizer)
        line = f"epoch {epoch + 1}/{settings.epochs} {time.monotonic() - start:.0f} s loss {np.mean(losses):.4f} "
        chosen = ~training if validation is None else validation
        folder.log(
            line + validation_line(average, materials.rows, materials.tiles, chosen) + _others_line(average, materials)
        )
    return average


def _optimizer(network: CrackNetwork, settings: FinetuneSettings) -> torch.optim.Optimizer:
    decayed = [p for p in network.trunk.parameters() if p.ndim > 1]
    plain = [p for p in network.trunk.parameters() if p.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": decayed, "base_lr": settings.learning_rate, "weight_decay": settings.weight_decay},
            {"params": plain, "base_lr": settings.learning_rate, "weight_decay": 0.0},
            {
                "params": list(network.head.parameters()),
                "base_lr": settings.head_learning_rate,
                "weight_decay": settings.weight_decay,
            },
        ]
    )


def rate_factor(epochs: int, progress: float, warm_up: float) -> float:
    """Return the learning rate as a share of its maximum: linear warm-up, then cosine decay to 1 %.

    Args:
        epochs: Number of epochs of the run.
        progress: Number of epochs done, with fractions.
        warm_up: Length of the warm-up in epochs.
    """
    if progress < warm_up:
        return progress / warm_up
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (epochs - warm_up)))


def _step(
    network: CrackNetwork,
    optimizer: torch.optim.Optimizer,
    views: torch.Tensor,
    targets: torch.Tensor,
    settings: FinetuneSettings,
    epoch: int,
) -> float:
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
        pooled = network.pooled(views)
    outputs = network.head(network.dropout(pooled))
    logits, log_widths = outputs[:, 0], outputs[:, 1]
    labels, known_log_widths, no_structure = targets.unbind(dim=1)
    wanted = labels * (1 - settings.label_smoothing) + settings.label_smoothing / 2
    if epoch >= settings.epochs // 3:
        prediction = torch.sigmoid(logits.detach())
        wanted = (1 - settings.bootstrap_share) * wanted + settings.bootstrap_share * prediction
    loss = nn.functional.binary_cross_entropy_with_logits(logits, wanted)
    measured = torch.isfinite(known_log_widths)
    if measured.any():
        width_loss = nn.functional.smooth_l1_loss(log_widths[measured], known_log_widths[measured], beta=0.5)
        loss = loss + settings.width_loss_share * width_loss
    if outputs.shape[1] > 2:
        wanted = no_structure * (1 - settings.label_smoothing) + settings.label_smoothing / 2
        other_loss = nn.functional.binary_cross_entropy_with_logits(outputs[:, 2], wanted)
        loss = loss + settings.other_loss_share * other_loss
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()
    return float(loss.detach())


def _others_line(network: CrackNetwork, materials: Materials) -> str:
    """Format the share of the held-out other pictures that is called cracked."""
    held_out = materials.others.pixels[materials.others.unseen]
    return f"; other pictures called {(predict(network, held_out) > 0).mean():.3f}" if len(held_out) else ""


@torch.no_grad()
def follow_average(average: CrackNetwork, network: CrackNetwork, decay: float) -> None:
    """Update the exponential moving average of the weights and batch statistics.

    Args:
        average: Network with the averages; changed in place.
        network: Network that is trained, of the same architecture.
        decay: Share of the old average that is kept.
    """
    for slow, fast in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if slow.is_floating_point():
            slow.lerp_(fast, 1 - decay)
        else:
            slow.copy_(fast)


@torch.no_grad()
def predict(network: CrackNetwork, tiles: npt.NDArray[np.uint8], batch: int = 64) -> npt.NDArray[np.float32]:
    """Compute the crack logits ``(N,)`` of uint8 BGR tiles ``(N, T, T, 3)``."""
    network.eval()
    logits = [network(torch.from_numpy(tiles[i : i + batch].copy()))[:, 0] for i in range(0, len(tiles), batch)]
    return np.asarray(torch.cat(logits).numpy(), np.float32)


def validation_line(
    network: CrackNetwork, rows: Sequence[Row], tiles: npt.NDArray[np.uint8], chosen: npt.NDArray[np.bool_]
) -> str:
    """Format AUC, F1 and false alarms at probability 0.5 for each source and surface."""
    logits = predict(network, tiles[chosen])
    kept = [row for row, keep in zip(rows, chosen, strict=True) if keep]
    labels = np.array([LABELS[row.label] for row in kept])
    strata = np.array([row.stratum for row in kept])
    parts = []
    for stratum in sorted(set(strata)):
        here = strata == stratum
        truth, called = labels[here], logits[here] > 0
        if truth.min() == truth.max():
            parts.append(f"{stratum} called {called.mean():.3f} of {here.sum()}")
        else:
            f1 = precision_recall_f1(truth, called)[2]
            parts.append(f"{stratum} auc {roc_auc(truth, logits[here]):.3f} f1 {f1:.3f}")
    return "; ".join(parts)


def _save(
    folder: RunFolder, epochs_done: int, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    folder.save(
        {
            "epochs_done": epochs_done,
            "network": network.state_dict(),
            "average": average.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
    )


def _resume(folder: RunFolder, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    state = folder.load()
    if state is None:
        return 0
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    folder.log(f"resumed after epoch {state['epochs_done']}")
    return int(state["epochs_done"])
