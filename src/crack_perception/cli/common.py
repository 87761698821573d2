# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Parts shared by several verbs: model and input arguments, required packages, progress lines.

Heavy modules are imported inside the functions, so that ``--help`` stays fast.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from crack_perception.errors import UserError, printable, without_control

if TYPE_CHECKING:
    from crack_perception.recognition.frame_detector import FrameDetector
    from crack_perception.recognition.severity import SeverityScale

_MOST_THREADS = 64
_MOST_PROBLEM_CHARACTERS = 4000
_PACKAGES = {"litert_torch": "litert-torch", "sklearn": "scikit-learn"}
"""Imported module -> package to install, where they differ."""

_TOPIC_OPTIONS = {
    "image": "images",
    "camera_info": "camera_info",
    "pose": "PoseStamped of the vehicle",
    "odom": "Odometry of the vehicle",
    "range": "rangefinder",
    "depth": "registered depth images",
}
"""Input of the node -> what its topic carries."""

_TRANSFORMS = {"tf": "/tf", "tf_static": "/tf_static"}
"""Name in ``--topic`` -> input with the transforms, which has no option of its own."""

NO_MEMORY = UserError("there is not enough memory for it", "Close other programs, or cut it into parts")


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --model, --backend, --threads and --threshold."""
    parser.add_argument("--model", default="standard", help="name of a shipped model or folder (default: %(default)s)")
    parser.add_argument(
        "--backend",
        default="auto",
        help="inference backend: auto, onnxruntime, openvino or tensorrt (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        help="threads of the backend; 0: automatic, at most two (default: %(default)s)",
    )
    parser.add_argument(
        "--threshold", type=float, help="crack score from which a tile counts as cracked (default: that of the model)"
    )


def add_severity_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --gsd and --preset."""
    parser.add_argument(
        "--gsd",
        type=float,
        metavar="MM_PER_PX",
        help="ground sampling distance in mm per pixel; without it widths in mm and severity are undetermined",
    )
    add_preset_argument(parser)


def add_preset_argument(parser: argparse._ActionsContainer, default: str | None = "gb50204") -> None:
    """Add --preset.

    Args:
        default: Name of the default; None where the parameter file of the node may give one.
    """
    from crack_perception.recognition.severity import PRESETS_MM

    shown = "that of --params, else gb50204" if default is None else "%(default)s"
    parser.add_argument(
        "--preset",
        default=default,
        metavar="NAME",
        help=f"severity classes: {', '.join(PRESETS_MM)} (default: {shown})",
    )


def open_detector(arguments: argparse.Namespace) -> FrameDetector:
    """Open the detector given by the arguments.

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
    """Return the severity scale given by the arguments, after checking --gsd.

    Raises:
        UserError: Unknown preset.
        UsageError: --gsd is not plausible.
    """
    from crack_perception.errors import UsageError
    from crack_perception.recognition.reading_scale import gsd_problem
    from crack_perception.recognition.severity import SeverityScale

    if arguments.gsd is not None and (problem := gsd_problem(arguments.gsd)):
        raise UsageError(f"--gsd {arguments.gsd} is {problem}", "Leave it out if it is unknown")
    return SeverityScale.of_preset(arguments.preset)


def problem_line(path: Path, problem: Exception) -> str:
    """Return the error message of an input as one line, with its path exactly once."""
    text = str(problem)
    return printable(text if str(path) in text else f"{path}: {text}", _MOST_PROBLEM_CHARACTERS)


def add_input_arguments(parser: argparse.ArgumentParser, metavar: str) -> None:
    """Add --recursive and the inputs."""
    parser.add_argument("--recursive", action="store_true", help="include the subfolders of folders")
    parser.add_argument("inputs", nargs="+", type=Path, metavar=metavar, help="files, or folders of them")


def expand_inputs(inputs: list[Path], recursive: bool, with_videos: bool, outside: Path | None = None) -> list[Path]:
    """Return the files of all inputs in order; pictures and videos of a folder are sorted by name.

    Args:
        outside: The output folder. Its files are skipped; where it is itself an input, the annotated files that an
            earlier run has left there.

    Raises:
        UsageError: A folder contains no such file.
    """
    from crack_perception.errors import UsageError
    from crack_perception.vision.images.files import PICTURE_SUFFIXES, RAW_SUFFIXES
    from crack_perception.vision.images.video import VIDEO_SUFFIXES

    suffixes = {*PICTURE_SUFFIXES, *RAW_SUFFIXES, *(VIDEO_SUFFIXES if with_videos else ())}
    files: list[Path] = []
    for path in inputs:
        if not path.is_dir():
            files.append(path)
            continue
        skipped = outside.resolve() if outside is not None and outside.resolve() != path.resolve() else None
        found = [file for file in _files_in(path, recursive, skipped) if file.suffix.lower() in suffixes]
        if outside is not None:
            results = outside.resolve()
            found = [file for file in found if not (_is_annotated(file) and file.parent.resolve() == results)]
        if not found:
            where = "" if recursive else "; --recursive includes its subfolders"
            raise UsageError(
                f"{path}: contains no pictures{' or videos' if with_videos else ''}", f"Check the path{where}"
            )
        files += found
    return files


def _is_annotated(file: Path) -> bool:
    return file.stem.endswith("_annotated") and file.suffix in (".jpg", ".mp4")


def _files_in(folder: Path, recursive: bool, skipped: Path | None) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        if not recursive:
            folders.clear()
        elif skipped is not None:
            folders[:] = [name for name in folders if (Path(parent) / name).resolve() != skipped]
        yield from (Path(parent) / name for name in sorted(names))


def file_identity(path: Path) -> object:
    """Return a value that is equal for all paths and links of one file; the resolved path if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return path.resolve()
    return status.st_dev, status.st_ino


def add_topic_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --topic and the options of single inputs of a recording."""
    parser.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="INPUT=T",
        help=f"topic of the bag for an input ({', '.join((*_TOPIC_OPTIONS, *_TRANSFORMS))}), for example "
        "image=/front/image_raw; "
        "'pose=' for none; repeatable",
    )
    for name, what in _TOPIC_OPTIONS.items():
        option = f"--{name.replace('_', '-')}-topic"
        none = "" if name == "image" else "; '' for none"
        parser.add_argument(option, metavar="T", help=f"topic of the {what} (default: detected by type{none})")


def topics_of(arguments: argparse.Namespace) -> dict[str, str]:
    """Return input -> topic from --topic and from the options of single inputs.

    Raises:
        UsageError: An input is unknown, or two options contradict each other.
    """
    from crack_perception.errors import UsageError

    given = [(name, getattr(arguments, f"{name}_topic")) for name in _TOPIC_OPTIONS]
    topics = {name: topic for name, topic in given if topic is not None}
    known = {*_TOPIC_OPTIONS, *_TRANSFORMS.values()}
    for text in arguments.topic:
        name, separator, topic = text.partition("=")
        name = _TRANSFORMS.get(name, name)
        if not separator or name not in known or (name == "image" and not topic):
            raise UsageError(
                f"--topic {text} is not of the form INPUT=/topic",
                f"Known inputs: {', '.join((*_TOPIC_OPTIONS, *_TRANSFORMS))}",
            )
        if topics.setdefault(name, topic) != topic:
            raise UsageError(
                f"two topics are given for the input {name}, {topics[name]} and {topic}", "Give one of them"
            )
    return topics


def require_packages(*modules: str, extra: str = "train", otherwise: str = "") -> None:
    """Check that optional packages are installed.

    Args:
        modules: Names of the modules.
        extra: Extra of this package that installs them.
        otherwise: Alternative for the user, for example ``", or give --quick"``.

    Raises:
        UserError: Some are missing; the remedy names the extra.
    """
    missing = [_PACKAGES.get(name, name) for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"this needs {', '.join(missing)}", f"Install them with: pip install 'crack_perception[{extra}]'{otherwise}"
        )


def require_nodes() -> None:
    """Check that the packages with which nodes are started and recordings are played are installed.

    Raises:
        UserError: Some are missing; the remedy names the extra, or how to get ROS 2.
    """
    require_packages("psutil", "rosbags", extra="replay")
    if importlib.util.find_spec("rclpy") is None:
        raise UserError(
            "this starts the ROS 2 nodes, and there is no ROS 2 (rclpy) for this Python",
            "Source your ROS 2 first, or use .venv of a clone after scripts/setup; 'survey' needs no ROS",
        )


def missing_package(error: ModuleNotFoundError) -> UserError:
    """Return the UserError for a package that is not installed and that no verb has checked before."""
    name = (error.name or str(error)).partition(".")[0]
    package = _PACKAGES.get(name, name)
    return UserError(f"this needs {package}, which is not installed", f"Install it with: pip install {package}")


def print_progress(line: str) -> None:
    """Print a progress line on stderr; names of topics and files in it may contain control characters."""
    print(without_control(line), file=sys.stderr, flush=True)
