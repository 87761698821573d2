"""Where a training run keeps its checkpoint and its log, so that it can be stopped at any time and gone on with."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch

_LOGGER = logging.getLogger(__name__)


class RunFolder:
    """``NAME.pt`` and ``NAME.log`` in a folder.

    Args:
        folder: Made when the first of them is written.
        name: Of the run.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._checkpoint = folder / f"{name}.pt"
        self._log = folder / f"{name}.log"

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint at once: a reader finds the old one or the new one, never half of one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self._checkpoint)

    def load(self) -> dict[str, Any] | None:
        """The last checkpoint, tensors and plain values only; None before the first."""
        if not self._checkpoint.is_file():
            return None
        state: dict[str, Any] = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
        return state

    def log(self, line: str) -> None:
        """Append a line to the log file and hand it to the package's logger."""
        self._folder.mkdir(parents=True, exist_ok=True)
        _LOGGER.info(line)
        with self._log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
