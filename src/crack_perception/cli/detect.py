"""``crack_perception detect``: whole frames of pictures and videos, annotated, with detections.json."""

from __future__ import annotations

import argparse
import json
import sys
from itertools import chain, count
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    from crack_perception.vision.crack_line import CrackLine

HELP = "detect cracks in whole frames: annotated pictures and detections.json"

_JPEG_QUALITY = 95
_VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from crack_perception.cli.model_arguments import add_model_arguments, add_severity_arguments

    add_model_arguments(parser)
    add_severity_arguments(parser)
    parser.add_argument("--out", type=Path, default=Path("detections"), help="folder to write (default: %(default)s)")
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IMAGE_OR_VIDEO")


def run(arguments: argparse.Namespace) -> int:
    """Annotate every input; a bad one is named in detections.json and the exit code is 1 in the end."""
    from crack_perception.cli.main import EXIT_DONE, EXIT_PROBLEM
    from crack_perception.cli.model_arguments import open_detector, open_scale, problem_line
    from crack_perception.errors import UserError
    from crack_perception.recognition.backend import InferenceFailed

    scale = open_scale(arguments)
    detector = open_detector(arguments)
    out: Path = arguments.out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be created ({error.strerror})", "Choose another --out") from error

    annotator = _FrameAnnotator(detector, scale, arguments.gsd)
    entries: list[dict[str, Any]] = []
    code = EXIT_DONE
    for path, target in zip(arguments.inputs, _output_stems(arguments.inputs, out), strict=True):
        is_video = path.suffix.lower() in _VIDEO_SUFFIXES
        try:
            entry = _detect_video(path, target, annotator) if is_video else _detect_picture(path, target, annotator)
        except (UserError, InferenceFailed) as error:
            print(problem_line(path, error), file=sys.stderr)
            entry = {"path": str(path), "error": str(error)}
            code = EXIT_PROBLEM
        entries.append(entry)
    report = {
        "model": {"name": detector.model.name, "sha256": detector.model.sha256},
        "backend": detector.backend.description,
        "threshold": detector.threshold,
        "gsd_mm_per_px": arguments.gsd,
        "severity_preset": arguments.preset,
        "inputs": entries,
    }
    path = out / "detections.json"
    try:
        path.write_text(json.dumps(report, indent=1), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})", "Choose another --out") from error
    print(path)
    return code


class _FrameAnnotator:
    """Detects on one frame; gives the picture and its regions as plain data."""

    def __init__(self, detector: Any, scale: Any, gsd_mm_per_px: float | None) -> None:
        self._detector = detector
        self._scale = scale
        self._gsd_mm_per_px = gsd_mm_per_px

    def __call__(self, frame: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], list[dict[str, Any]]]:
        from crack_perception.recognition.measurement import RegionMeasurement
        from crack_perception.recognition.summary import summary
        from crack_perception.vision.annotate import Label, annotate

        labels, regions = [], []
        detections = self._detector.detect(frame)
        for measured in RegionMeasurement().measure(frame, detections.grid, detections.regions):
            crack, box = measured.crack, measured.crack.region.box
            width_mm = crack.width_px.scaled(self._gsd_mm_per_px, 0.0) if self._gsd_mm_per_px else None
            severity = self._scale.classify(width_mm)
            text = summary(severity.verdict, crack.region.score, crack.width_px, width_mm)
            lines_px = tuple(line.points_px for line in measured.lines)
            labels.append(Label(box, text, self._scale.relative_severity(severity.verdict), lines_px))
            regions.append(
                {
                    "centre_px": box.centre_px.tolist(),
                    "size_px": [box.length_px, box.width_px],
                    "angle_rad": box.angle_rad,
                    "crack_score": crack.region.score,
                    "severity": severity.verdict,
                    "severity_probabilities": dict(zip(self._scale.labels, severity.probabilities, strict=False)),
                    "width_px": crack.width_px.width,
                    "width_sigma_px": crack.width_px.sigma,
                    "width_mm": width_mm.width if width_mm else None,
                    "width_sigma_mm": width_mm.sigma if width_mm else None,
                    "lines": [_line_entry(line) for line in measured.lines],
                }
            )
        return annotate(frame, labels, f"{len(regions)} cracked regions"), regions


def _line_entry(line: CrackLine) -> dict[str, Any]:
    """A measured line as plain data; the width is null where it could not be measured."""
    return {
        "length_px": line.length_px,
        "points_px": line.points_px.tolist(),
        "width_px": [width if isfinite(width) else None for width in line.width_px.tolist()],
    }


def _output_stems(inputs: list[Path], out: Path) -> Iterator[Path]:
    """One output path without suffix an input; inputs of the same name in different folders do not collide."""
    taken: set[str] = set()
    for path in inputs:
        candidates = chain([path.stem], (f"{path.stem}_{number}" for number in count(2)))
        stem = next(name for name in candidates if name not in taken)
        taken.add(stem)
        yield out / stem


def _detect_picture(path: Path, target: Path, annotator: _FrameAnnotator) -> dict[str, Any]:
    from crack_perception.errors import UserError
    from crack_perception.vision.encodings import encode_jpeg
    from crack_perception.vision.picture_files import read_picture

    picture, regions = annotator(read_picture(path))
    annotated = target.with_name(f"{target.name}_annotated.jpg")
    try:
        annotated.write_bytes(encode_jpeg(picture, _JPEG_QUALITY).tobytes())
    except OSError as error:
        raise UserError(
            f"{annotated}: cannot be written ({error.strerror})", "Check the folder and the space"
        ) from error
    return {"path": str(path), "annotated": annotated.name, "regions": regions}


def _detect_video(path: Path, target: Path, annotator: _FrameAnnotator) -> dict[str, Any]:
    import cv2
    import numpy as np

    from crack_perception.errors import UserError

    annotated = target.with_name(f"{target.name}_annotated.mp4")
    try:
        (str(path) + str(annotated)).encode()
    except UnicodeEncodeError as error:
        # OpenCV ends the process on such a name.
        raise UserError(f"{path}: its name is not UTF-8", "Rename the video") from error
    capture = cv2.VideoCapture(str(path))
    writer: cv2.VideoWriter | None = None
    frames: list[dict[str, Any]] = []
    rate_hz = capture.get(cv2.CAP_PROP_FPS) or 25.0
    try:
        while True:
            found, frame = capture.read()
            if not found:
                break
            picture, regions = annotator(np.asarray(frame, dtype=np.uint8))
            if writer is None:
                size = (frame.shape[1], frame.shape[0])
                writer = cv2.VideoWriter(str(annotated), cv2.VideoWriter.fourcc(*"mp4v"), rate_hz, size)
                if not writer.isOpened():
                    raise UserError(f"{annotated}: OpenCV cannot write this video", "Install an OpenCV with FFmpeg")
            writer.write(picture)
            frames.append({"frame": len(frames), "time_s": len(frames) / rate_hz, "regions": regions})
    finally:
        capture.release()
        if writer is not None:
            writer.release()
    if not frames:
        raise UserError(f"{path}: no frame could be read", "Check the path, or convert the video to H.264 in MP4")
    return {"path": str(path), "annotated": annotated.name, "frames": frames}
