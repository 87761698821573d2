# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception detect``: annotate whole pictures and videos, and write detections.json."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import suppress
from itertools import chain, count
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from crack_perception.documents import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    from crack_perception.recognition.cracks import Crack

HELP = "detect cracks in pictures and videos: annotated copies and detections.json"

_JPEG_QUALITY = 95
_PROGRESS_S = 10.0
_REPORT_NAME = "detections.json"
_JOURNAL_NAME = "detections.partial.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    from crack_perception.cli.common import add_input_arguments, add_model_arguments, add_severity_arguments

    add_model_arguments(parser)
    add_severity_arguments(parser)
    parser.add_argument("--out", type=Path, default=Path("detections"), help="output folder (default: %(default)s)")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep the results of unchanged inputs in --out and process the others",
    )
    add_input_arguments(parser, "IMAGE_OR_VIDEO")


def run(arguments: argparse.Namespace) -> int:
    """Annotate every input; a bad one gets an error in detections.json, and the exit code is 1.

    Every result is written immediately. Ctrl-C and SIGTERM leave a detections.json of the finished inputs, marked as
    incomplete, from which --resume continues.
    """
    from crack_perception.cli.common import (
        NO_MEMORY,
        expand_inputs,
        open_detector,
        open_scale,
        print_progress,
        problem_line,
    )
    from crack_perception.cli.main import EXIT_DONE, EXIT_PROBLEM
    from crack_perception.cli.resumption import settings_of
    from crack_perception.errors import UserError
    from crack_perception.interrupts import uninterrupted
    from crack_perception.recognition.backends.protocol import InferenceFailed
    from crack_perception.vision.images.video import is_video

    out: Path = arguments.out
    paths = expand_inputs(arguments.inputs, arguments.recursive, with_videos=True, outside=out)
    scale = open_scale(arguments)
    detector = open_detector(arguments)
    detector.second_look = True
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be created ({error.strerror})", "Choose another --out") from error

    report = _Report(out, settings_of(arguments, detector), paths, arguments.resume)
    annotator = _FrameAnnotator(detector, scale, arguments.gsd)
    try:
        for path, target in _output_stems(paths, out, report.kept_outputs()):
            if report.holds(path):
                continue
            detect = _detect_video if is_video(path) else _detect_picture
            entry: dict[str, Any] = {"path": str(path)}
            try:
                detect(path, target, annotator, entry)
            except (UserError, InferenceFailed) as error:
                entry["error"] = str(error)
            except MemoryError:
                entry["error"] = str(NO_MEMORY)
            except KeyboardInterrupt:
                if entry.get("frames"):
                    with uninterrupted():
                        report.add({**entry, "incomplete": "interrupted"})
                raise
            with uninterrupted():
                report.add(entry)
            if "error" in entry:
                print(problem_line(path, UserError(entry["error"])), file=sys.stderr)
            else:
                print_progress(f"{path}: {_result_text(entry)}")
    finally:
        with uninterrupted():
            report.write()
    print(report.path)
    return EXIT_PROBLEM if report.has_errors else EXIT_DONE


class _Report:
    """Writer of detections.json, with a journal of the entries until it is complete.

    Args:
        out: Output folder.
        settings: Settings with which all entries are computed.
        paths: All inputs of the run.
        is_resumed: Keep the entries of an earlier run without errors.

    Raises:
        UsageError: The output file is an input, or the earlier run had other settings.
        UserError: The folder cannot be written.
    """

    def __init__(self, out: Path, settings: dict[str, Any], paths: list[Path], is_resumed: bool) -> None:
        from crack_perception.cli.common import file_identity
        from crack_perception.errors import UsageError, UserError

        self.path, self._journal_path = out / _REPORT_NAME, out / _JOURNAL_NAME
        if {file_identity(self.path), file_identity(self._journal_path)} & {file_identity(path) for path in paths}:
            raise UsageError(f"{self.path} is one of the inputs", "Choose another --out")
        if self.path.is_dir():
            raise UserError(f"{self.path}: cannot be written (it is a folder)", "Choose another --out")
        self._settings = settings
        self._order = {str(path): number for number, path in enumerate(paths)}
        self._requested = [str(path) for path in paths]
        self._entries = self._kept(is_resumed)
        self._kept_paths = {entry["path"] for entry in self._entries}
        try:
            self._journal = self._journal_path.open("w", encoding="utf-8")
            for line in ({"settings": settings}, *self._entries):
                self._append(line)
        except OSError as error:
            raise UserError(f"{out}: cannot be written ({error.strerror})", "Choose another --out") from error

    @property
    def has_errors(self) -> bool:
        """Whether an input could not be read completely."""
        return any("error" in entry for entry in self._entries)

    def holds(self, path: Path) -> bool:
        """Return whether an earlier run has finished this input."""
        return str(path) in self._kept_paths

    def kept_outputs(self) -> set[str]:
        """Return the names of the annotated pictures and videos of an earlier run."""
        return {entry["annotated"] for entry in self._entries if "annotated" in entry}

    def add(self, entry: dict[str, Any]) -> None:
        """Add the result of an input.

        Raises:
            UserError: The journal cannot be written, for example because the disk is full.
        """
        from crack_perception.errors import UserError

        self._entries.append(entry)
        try:
            self._append(entry)
        except OSError as error:
            raise UserError(
                f"{self._journal_path}: cannot be written ({error.strerror})",
                "Free disk space, then continue with --resume",
            ) from error

    def write(self) -> None:
        """Write detections.json and remove the journal.

        Raises:
            UserError: The file cannot be written; the journal is kept.
        """
        from crack_perception.errors import UserError

        is_complete = len(self._entries) == len(self._requested) and not any("incomplete" in e for e in self._entries)
        entries = sorted(self._entries, key=lambda entry: self._order.get(entry["path"], -1))
        report = {**self._settings, "complete": is_complete, "inputs": entries}
        temporary = self.path.with_name(f".{self.path.name}.new")
        try:
            temporary.write_text(json.dumps(report, indent=1), encoding="utf-8")
            os.replace(temporary, self.path)
            self._journal.close()
            self._journal_path.unlink()
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise UserError(
                f"{self.path}: cannot be written ({error.strerror})", "Free disk space or choose another --out"
            ) from error

    def _append(self, line: dict[str, Any]) -> None:
        self._journal.write(json.dumps(line) + "\n")
        self._journal.flush()

    def _kept(self, is_resumed: bool) -> list[dict[str, Any]]:
        from crack_perception.cli.resumption import changed_since, check_settings

        if not is_resumed:
            return []
        source, settings, entries = self._earlier()
        if source is None:
            return []
        check_settings(self.path, settings, self._settings)
        kept = [e for e in entries if e.get("path") in self._order and not e.keys() & {"error", "incomplete"}]
        changed = changed_since({entry["path"] for entry in kept}, source.stat().st_mtime_ns)
        return [entry for entry in kept if entry["path"] not in changed]

    def _earlier(self) -> tuple[Path | None, dict[str, Any], list[dict[str, Any]]]:
        """Return file, settings and entries of the earlier run: its journal if it was killed, else its report."""
        from crack_perception.errors import UsageError

        try:
            lines = self._journal_path.read_text(encoding="utf-8").splitlines()
            values = [parse_json(line) for line in lines if line.endswith("}") and _is_json(line)]
            if values and "settings" in values[0]:
                return self._journal_path, values[0]["settings"], values[1:]
        except OSError:
            pass
        try:
            report = parse_json(self.path.read_text(encoding="utf-8"))
            return self.path, report, list(report["inputs"])
        except FileNotFoundError:
            return None, {}, []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.path}: is not a report to resume ({error})", "Choose another --out") from error


def _is_json(line: str) -> bool:
    try:
        parse_json(line)
    except ValueError:
        return False
    return True


class _FrameAnnotator:
    """Detect cracks in one frame; return the annotated picture and the regions as plain data."""

    def __init__(self, detector: Any, scale: Any, gsd_mm_per_px: float | None) -> None:
        self._detector = detector
        self._scale = scale
        self._gsd_mm_per_px = gsd_mm_per_px

    def __call__(
        self, frame: npt.NDArray[np.uint8], has_data: npt.NDArray[np.bool_] | None = None
    ) -> tuple[npt.NDArray[np.uint8], list[dict[str, Any]]]:
        from crack_perception.recognition.cracks import cracks_of
        from crack_perception.recognition.measurement import RegionMeasurement

        detections = self._detector.detect(frame, has_data=has_data, gsd_mm_per_px=self._gsd_mm_per_px)
        regions = RegionMeasurement().measure(frame, detections.grid, detections.regions)
        cracks = cracks_of(regions, self._scale, self._gsd_mm_per_px)
        return cracks.plot(frame), [_region_entry(crack, cracks.severity_labels) for crack in cracks]


def _result_text(entry: dict[str, Any]) -> str:
    """Return what was found in an input, for a progress line."""
    if "frames" in entry:
        cracked = sum(bool(frame["regions"]) for frame in entry["frames"])
        return f"cracks in {cracked} of {len(entry['frames'])} frames, {entry['annotated']}"
    number = len(entry["regions"])
    return f"{number} crack{'' if number == 1 else 's'}, {entry['annotated']}"


def _region_entry(crack: Crack, severity_labels: tuple[str, ...]) -> dict[str, Any]:
    """Return a crack as plain data; unknown values are null."""
    x, y, length_px, width_px, angle_rad = crack.box.tolist()
    has_scale = isfinite(crack.width_mm)
    probabilities = dict(zip(severity_labels, crack.severity_probabilities.tolist(), strict=True))
    return {
        "centre_px": [x, y],
        "size_px": [length_px, width_px],
        "angle_rad": angle_rad,
        "crack_score": crack.score,
        "severity": crack.severity,
        "severity_probabilities": probabilities if has_scale else {},
        "width_px": crack.width_px,
        "width_sigma_px": crack.width_sigma_px,
        "width_mm": crack.width_mm if has_scale else None,
        "width_sigma_mm": crack.width_sigma_mm if has_scale else None,
        "lines": [_line_entry(*line) for line in zip(crack.lines, crack.line_widths_px, strict=True)],
    }


def _line_entry(points_px: npt.NDArray[np.float64], widths_px: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return a measured line as plain data; widths that were not measured are null."""
    from crack_perception.vision.lines.line import arc_lengths

    return {
        "length_px": float(arc_lengths(points_px)[-1]),
        "points_px": points_px.tolist(),
        "width_px": [width if isfinite(width) else None for width in widths_px.tolist()],
    }


def _output_stems(paths: list[Path], out: Path, taken: set[str]) -> Iterator[tuple[Path, Path]]:
    """Yield every input with an output path without suffix that collides with no input and no other output.

    Args:
        taken: Names of existing outputs to keep.
    """
    from crack_perception.cli.common import file_identity

    inputs = {file_identity(path) for path in paths}
    used = {name.rsplit("_annotated.", 1)[0] for name in taken}
    for path in paths:
        for name in chain([path.stem], (f"{path.stem}_{number}" for number in count(2))):
            outputs = [out / f"{name}_annotated{suffix}" for suffix in (".jpg", ".mp4")]
            if name not in used and not any(file_identity(output) in inputs for output in outputs):
                used.add(name)
                yield path, out / name
                break


def _detect_picture(path: Path, target: Path, annotator: _FrameAnnotator, entry: dict[str, Any]) -> None:
    from crack_perception.errors import file_error
    from crack_perception.vision.images.encodings import encode_jpeg
    from crack_perception.vision.images.files import read_masked_picture

    picture = read_masked_picture(path)
    annotated_picture, regions = annotator(picture.pixels, picture.has_data)
    annotated = target.with_name(f"{target.name}_annotated.jpg")
    try:
        annotated.write_bytes(encode_jpeg(annotated_picture, _JPEG_QUALITY).tobytes())
    except OSError as error:
        with suppress(OSError):
            annotated.unlink()
        raise file_error(annotated, error, "Check the folder and the free disk space") from error
    entry.update({"annotated": annotated.name, "regions": regions})


def _detect_video(path: Path, target: Path, annotator: _FrameAnnotator, entry: dict[str, Any]) -> None:
    """Fill the entry frame by frame; ``error`` describes the missing part of the video.

    Raises:
        UserError: No frame can be read, or the annotated video cannot be written.
    """
    from crack_perception.cli.common import print_progress
    from crack_perception.errors import UserError
    from crack_perception.interrupts import uninterrupted
    from crack_perception.vision.images.video import VideoFile, VideoWriter

    annotated = target.with_name(f"{target.name}_annotated.mp4")
    frames: list[dict[str, Any]] = []
    with VideoFile(path) as video:
        writer = VideoWriter(annotated, video.rate_hz)
        end_s = 0.0
        shown_s = monotonic()
        try:
            for time_s, frame in video:
                picture, regions = annotator(frame)
                with uninterrupted():  # the report and the annotated video have the same frames
                    writer.write(time_s, picture)
                    frames.append({"frame": video.number, "time_s": time_s, "regions": regions})
                    entry.update({"annotated": annotated.name, "frames": frames})
                    end_s = time_s + video.step_s
                if monotonic() - shown_s >= _PROGRESS_S:
                    shown_s = monotonic()
                    print_progress(f"{path}: {len(frames)} frames")
        finally:
            with uninterrupted():
                writer.close(end_s)
        if not frames:
            raise UserError(f"{path}: no frame could be read", "Copy it again, or convert it to H.264 in MP4")
        act = "Cut it there" if video.has_changed_size else "Copy it again"
        remedy = f"{act}; the frames that were read are reported"
        if video.missing:
            entry["error"] = str(UserError(f"{path}: is incomplete, {video.missing}", remedy))
        elif video.damage:
            entry["error"] = str(UserError(f"{path}: is damaged, {video.damage}", remedy))
