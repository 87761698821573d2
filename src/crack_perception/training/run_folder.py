# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Checkpoint and log file of a training run that can be interrupted and resumed."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch

_LOGGER = logging.getLogger(__name__)


class RunFolder:
    """The files ``NAME.pt`` (checkpoint) and ``NAME.log`` of a training run.

    Args:
        folder: Folder of both files; created on the first write.
        name: Name of the run.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._checkpoint = folder / f"{name}.pt"
        self._log = folder / f"{name}.log"

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint atomically."""
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self._checkpoint)

    def load(self) -> dict[str, Any] | None:
        """Load the last checkpoint (tensors and plain values only); ``None`` if there is none."""
        if not self._checkpoint.is_file():
            return None
        state: dict[str, Any] = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
        return state

    def log(self, line: str) -> None:
        """Append a line to the log file and log it at level INFO."""
        self._folder.mkdir(parents=True, exist_ok=True)
        _LOGGER.info(line)
        with self._log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
