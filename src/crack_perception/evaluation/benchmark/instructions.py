# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Instructions for one frame, counted by valgrind: neither other programs nor the machine's speed change them.

Valgrind offers programs AVX2 but no AVX-512, so that counts of machines with and without it agree. It counts until the
function ``getppid`` of the C library is called, which nothing else calls here: the child process calls it between the
steps, so that start-up and imports are left out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from crack_perception.errors import UserError
from crack_perception.evaluation.benchmark.flight import benchmark_settings
from crack_perception.evaluation.benchmark.stages import scene_of
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.measurement import RegionMeasurement
from crack_perception.recognition.models import load_model

MISSING = "valgrind is not installed (Debian: apt install valgrind)"

_TIMEOUT_S = 3600.0
_TOTALS = re.compile(r"^totals: (\d+)", re.MULTILINE)


def count_instructions(models: Sequence[str], size: str, seed: int, folder: Path) -> dict[str, int] | None:
    """Count the instructions of one thread for the scores of a frame, and for the lines of a cracked one.

    Args:
        models: Names or folders of models; the regions are those of the first one.
        size: Image size, one of ``flight.SIZES``.
        seed: Seed of the simulated wall.
        folder: Empty folder for temporary files.

    Returns:
        Step -> number of instructions; None where valgrind is not installed.

    Raises:
        UserError: The process that is counted fails.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return None
    for name, settings in (
        ("clean", benchmark_settings(size, seed, cracks=0)),
        ("cracked", benchmark_settings(size, seed)),
    ):
        np.save(folder / f"{name}.npy", scene_of(settings).frame)
    command = [
        *(valgrind, "--tool=callgrind", "--trace-children=yes", "--dump-before=getppid"),
        f"--callgrind-out-file={folder / 'counts'}",
        *(sys.executable, "-m", __name__, str(folder), *models),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    steps = list(_steps_of(models))
    counts = [folder / f"counts.{number}" for number in range(1, 2 * len(steps) + 1)]
    if done.returncode != 0 or not all(path.is_file() for path in counts):
        last = "; ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise UserError(f"instructions cannot be counted: {last}", "Run the benchmark without the part 'instructions'")
    # Every second count is that of the preparation of the next step.
    return {step: _total(path) for step, path in zip(steps, counts[1::2], strict=True)}


def _steps_of(models: Sequence[str]) -> Sequence[str]:
    return [*(f"scores, {Path(model).name}" for model in models), "lines"]


def _total(path: Path) -> int:
    found = _TOTALS.search(path.read_text(encoding="utf-8", errors="replace"))
    if found is None:
        raise UserError(f"{path} holds no count of instructions", "Run the benchmark without the part 'instructions'")
    return int(found[1])


def _count(step: Callable[[], object]) -> None:
    """Run a step between two marks, after it has run once: the first run allocates and initialises."""
    step()
    os.getppid()
    step()
    os.getppid()


def _run_steps(folder: Path, models: Sequence[str]) -> None:
    clean, cracked = np.load(folder / "clean.npy"), np.load(folder / "cracked.npy")
    detectors = []
    for name in models:
        model = load_model(name)
        detectors.append(FrameDetector(model, open_backend("onnxruntime", model, 1)))
        _count(partial(detectors[-1].detect, clean))
    found = detectors[0].detect(cracked)
    _count(lambda: RegionMeasurement().measure(cracked, found.grid, found.regions))


if __name__ == "__main__":
    import cv2

    cv2.setNumThreads(1)
    _run_steps(Path(sys.argv[1]), sys.argv[2:])
