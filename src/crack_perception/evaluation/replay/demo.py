# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The demo: cached simulated flight, choice of the model, and verdict on the report."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import crack_perception
from crack_perception.documents import parse_json
from crack_perception.errors import UserError
from crack_perception.evaluation.recordings.bag import Bag, BagTopic, open_bag
from crack_perception.evaluation.recordings.images import ImageReader
from crack_perception.evaluation.replay.input_topics import find_inputs
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.measurement import RegionMeasurement
from crack_perception.recognition.model_choice import models_by_accuracy
from crack_perception.recognition.models import load_model
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import write_flight
from crack_perception.vision.tiling import Image

_MARK = "flight.json"
_SIMULATOR_ROOMS = ("simulation", "geometry")
_PROGRESS_STEPS = 5


def provide_flight(settings: FlightSettings, bag: Path, fresh: bool, say: Callable[[str], None]) -> None:
    """Simulate a flight into a bag, unless the bag already holds the flight of these settings and this simulator.

    Args:
        settings: Settings of the flight.
        bag: Folder of the bag.
        fresh: Simulate even if the bag is up to date.
        say: Called with each line of progress.

    Raises:
        UserError: The folder cannot be written or contains other files, or the flight cannot be planned.
    """
    mark = bag.parent / _MARK
    wanted = {"fingerprint": fingerprint(settings)}
    if not fresh and (bag / "metadata.yaml").is_file() and _read(mark) == wanted:
        say(f"reusing the flight in {bag} (--fresh simulates it again)")
        return
    say(f"simulating a flight of {settings.duration_s:g} s")
    mark.unlink(missing_ok=True)

    def progress(written: int, total: int) -> None:
        step = max(1, total // _PROGRESS_STEPS)
        if written % step == 0:
            say(f"  {written} of {total} images")

    write_flight(settings, bag, True, progress)
    mark.write_text(json.dumps(wanted) + "\n", encoding="utf-8")


def fingerprint(settings: FlightSettings) -> str:
    """Return the SHA-256 of all inputs of a flight: settings, photographs, and source code of the simulator."""
    digest = hashlib.sha256(json.dumps(asdict(settings), default=str, sort_keys=True).encode())
    for file in (settings.texture, settings.texture_labels):
        if file is not None:
            digest.update(_content(file))
    package = Path(crack_perception.__file__).parent
    for room in _SIMULATOR_ROOMS:
        for source in sorted((package / room).rglob("*.py")):
            digest.update(source.relative_to(package).as_posix().encode() + source.read_bytes())
    return digest.hexdigest()


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})", "Give an existing file") from None


def _read(mark: Path) -> object:
    try:
        return parse_json(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


MAX_STRETCH = 4.0
"""Largest accepted playing time with a model, as a multiple of the flight time; above it, the next model is tried."""

_FRAMES = 6
_MEASUREMENT_S = 4.0
# Cost of node, mapper and replay together relative to the detector alone, as measured on two shared cores.
_REPLAY_OVER_DETECTOR = 1.5


@dataclass(frozen=True)
class ModelChoice:
    """Model chosen for the machine, with the reason.

    Attributes:
        name: Name of the model.
        frame_s: Its time for a frame of the flight, line measurement included [s].
        stretch: Expected playing time with it over the flight time; at least 1.
        slower: More accurate models that are too slow, with the time of each [s].
    """

    name: str
    frame_s: float
    stretch: float
    slower: tuple[tuple[str, float], ...] = ()


def choose_model(bag_path: Path, backend: str = "auto") -> ModelChoice:
    """Time the shipped models on frames of a flight, the most accurate first, and choose the first that is fast enough.

    Args:
        bag_path: Bag of the flight.
        backend: Name of the backend, as in the node's parameter.

    Raises:
        UserError: The bag has no images or a model cannot be loaded.
    """
    with open_bag(bag_path) as bag:
        topic = find_inputs(bag, {}).image
        frames = _frames(bag, topic)
        images_hz = topic.count / max(bag.duration_s, 1e-9)
    times = ((model.name, seconds_per_frame(model.name, backend, frames)) for model in models_by_accuracy())
    return choice_of(times, images_hz)


def choice_of(times_s: Iterable[tuple[str, float]], images_hz: float) -> ModelChoice:
    """Choose the first model that plays a flight at most ``MAX_STRETCH`` times slower than flown; else the last.

    Args:
        times_s: Names of the models and their times for a frame [s]; no more are taken than needed.
        images_hz: Rate of the camera.
    """
    slower: list[tuple[str, float]] = []
    for name, frame_s in times_s:
        stretch = max(1.0, frame_s * images_hz * _REPLAY_OVER_DETECTOR)
        choice = ModelChoice(name, frame_s, stretch, tuple(slower))
        if stretch <= MAX_STRETCH:
            break
        slower.append((name, frame_s))
    return choice


def seconds_per_frame(model_name: str, backend: str, frames: list[Image]) -> float:
    """Return the mean time [s] to detect and measure the cracks of a frame; stops after a few seconds.

    The mean, not the median, because the load of other programs counts.
    """
    model = load_model(model_name)
    opened = open_backend(backend, model, 0, lambda note: None)
    try:
        detector = FrameDetector(model, opened)
        measurement = RegionMeasurement()
        detector.detect(frames[0])  # warm-up
        begin_s = time.monotonic()
        done = 0
        while done < len(frames) and time.monotonic() - begin_s < _MEASUREMENT_S:
            frame = frames[done]
            found = detector.detect(frame)
            measurement.measure(frame, found.grid, found.regions)
            done += 1
        return (time.monotonic() - begin_s) / done
    finally:
        opened.close()


def _frames(bag: Bag, topic: BagTopic) -> list[Image]:
    """Decode a few images, evenly distributed over the bag."""
    wanted = set(np.linspace(0, topic.count - 1, min(_FRAMES, topic.count)).astype(int).tolist())
    reader = ImageReader(topic.type_name)
    frames: list[Image] = []
    for number, recorded in enumerate(bag.messages([topic.name])):
        pictures = reader.read(recorded.data)
        if number in wanted:
            frames += [decoded() for _, decoded in pictures]
    return frames


# Largest delay factor of a playback that still counts as real time.
_REAL_TIME_STRETCH = 1.1


def machine_sentence(report: Mapping[str, Any]) -> str:
    """Describe how much of the flight the machine processed, and the recall of the map."""
    pace, frames, model = report["pace"], report["frames"], report["model"]["name"]
    kept_up = frames["processed"] == frames["sent"]
    if kept_up and pace["stretch"] <= _REAL_TIME_STRETCH:
        head = f"your machine handles this flight in real time ({pace['camera_hz']:.3g} Hz) with the model {model}"
    else:
        handled = "no frame" if pace["handled_hz"] is None else f"{pace['handled_hz']:.1f} Hz"
        head = f"your machine handles {handled} of this flight's {pace['camera_hz']:.3g} Hz with the model {model}"
    parts = [head]
    if pace["stretch"] > _REAL_TIME_STRETCH:
        parts.append(f"it was played {pace['stretch']:.1f} times slower than flown")
    if kept_up:
        parts.append("every frame was processed")
    elif frames["processed"] is not None:
        parts.append(f"{frames['processed']} of {frames['sent']} frames were processed")
    recall = None if report["map"] is None else report["map"]["recall"]
    if recall is not None:
        parts.append(f"the map {'holds' if kept_up else 'still holds'} {recall:.0%} of the cracks' length")
    return "; ".join(parts)


def choice_sentence(choice: ModelChoice) -> str:
    """Describe why a model was chosen."""
    times = [*choice.slower, (choice.name, choice.frame_s)]
    took = ", ".join(f"{name} currently takes {1000.0 * frame_s:.0f} ms" for name, frame_s in times)
    return f"{took} per frame on this machine: {choice.name} is used"


def faults(report: Mapping[str, Any], strict: bool) -> list[str]:
    """List why the demo failed; empty when the flight was evaluated.

    Args:
        report: As in ``report.json``.
        strict: Dropped and lost frames, and every problem of the report, count as faults.
    """
    frames = report["frames"]
    if strict:
        dropped = [f"the node dropped {frames['dropped']} frames"] if frames["dropped"] else []
        return [*report["problems"], *dropped]
    found = []
    if not frames["arrays_received"]:
        found.append("no detection array was received")
    elif report["accuracy"] is None:
        found.append("the detections could not be compared with the truth of the flight")
    if frames["failed"]:
        found.append(f"the node failed on {frames['failed']} frames")
    if frames["received"] is None:
        found.append("the node published no diagnostics, so its counters are unknown")
    if report["map_problem"]:
        found.append(f"there is no crack map: {report['map_problem']}")
    return found
