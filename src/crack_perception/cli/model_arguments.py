"""The arguments that every verb takes that runs a model on files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crack_perception.recognition.frame_detector import FrameDetector
    from crack_perception.recognition.severity import SeverityScale

_MOST_THREADS = 64


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --model, --backend, --threads and --threshold."""
    parser.add_argument("--model", default="standard", help="name of a shipped model or folder (default: %(default)s)")
    parser.add_argument("--backend", default="auto", help="what runs the model (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="threads of the backend (default: two at most)")
    parser.add_argument("--threshold", type=float, help="crack score that flags a tile (default: the model's)")


def add_severity_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --gsd and --preset."""
    parser.add_argument(
        "--gsd",
        type=float,
        metavar="MM_PER_PX",
        help="ground sampling distance; without it a crack's severity in millimetres stays undetermined",
    )
    parser.add_argument("--preset", default="gb50204", help="severity classes (default: %(default)s)")


def open_detector(arguments: argparse.Namespace) -> FrameDetector:
    """The detector that the arguments ask for.

    Raises:
        UserError: Unknown model or backend, or a model that cannot be loaded.
        UsageError: A number is out of its range.
    """
    from crack_perception.errors import UsageError
    from crack_perception.recognition.backends.selection import open_backend
    from crack_perception.recognition.frame_detector import FrameDetector
    from crack_perception.recognition.models import load_model

    if not 0 <= arguments.threads <= _MOST_THREADS:
        raise UsageError(f"--threads {arguments.threads} is not a number from 0 to {_MOST_THREADS}")
    if arguments.threshold is not None and not 0 < arguments.threshold < 1:
        raise UsageError(f"--threshold {arguments.threshold} is not a score between 0 and 1")
    model = load_model(arguments.model)
    backend = open_backend(arguments.backend, model, arguments.threads)
    return FrameDetector(model, backend, threshold=arguments.threshold)


def open_scale(arguments: argparse.Namespace) -> SeverityScale:
    """The severity scale that the arguments ask for, after checking --gsd.

    Raises:
        UserError: Unknown preset.
        UsageError: --gsd is not a positive number.
    """
    from math import isfinite

    from crack_perception.errors import UsageError
    from crack_perception.recognition.severity import SeverityScale

    if arguments.gsd is not None and not (isfinite(arguments.gsd) and arguments.gsd > 0):
        raise UsageError(f"--gsd {arguments.gsd} is not a positive number of millimetres a pixel")
    return SeverityScale.of_preset(arguments.preset)


def problem_line(path: Path, problem: Exception) -> str:
    """What is wrong with an input, naming it once."""
    text = str(problem)
    return text if str(path) in text else f"{path}: {text}"
