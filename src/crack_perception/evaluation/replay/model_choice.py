"""Choose the model of a demonstration by what this machine can process now, other programs included."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crack_perception.evaluation.recordings.bag import Bag, BagTopic, deserialize, open_bag
from crack_perception.evaluation.replay.input_topics import COMPRESSED_IMAGE, find_inputs
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.recognition.measurement import RegionMeasurement
from crack_perception.recognition.models import load_model
from crack_perception.vision.images.encodings import decode_compressed, decode_raw
from crack_perception.vision.tiling import Image

ACCURATE_MODEL = "standard"
QUICK_MODEL = "nano"

LONGEST_STRETCH = 4.0
"""With the accurate model, playing may take this many times as long as the flight; else the quick one is taken."""

_FRAMES = 6
_MEASUREMENT_S = 4.0
# Node, mapper and replay together against the detector alone: 1.5 on two busy cores, where they share them all.
_REPLAY_OVER_DETECTOR = 1.5


@dataclass(frozen=True)
class ModelChoice:
    """The model that suits the machine, and why.

    Attributes:
        name: ``ACCURATE_MODEL`` or ``QUICK_MODEL``.
        frame_s: Seconds that the accurate model takes for a frame of the flight, lines included.
        stretch: Expected playing time with the accurate model over the time of the flight; 1 or more.
    """

    name: str
    frame_s: float
    stretch: float


def choose_model(bag_path: Path, backend: str = "auto") -> ModelChoice:
    """Time the accurate model on frames of a flight and choose.

    Args:
        bag_path: The flight.
        backend: Name of the backend, as the node's parameter.

    Raises:
        UserError: The bag has no images or a model cannot be loaded.
    """
    with open_bag(bag_path) as bag:
        topic = find_inputs(bag, {}).image
        frames = _frames(bag, topic)
        images_hz = topic.count / max(bag.duration_s, 1e-9)
    frame_s = seconds_per_frame(ACCURATE_MODEL, backend, frames)
    return choice_of(frame_s, images_hz)


def choice_of(frame_s: float, images_hz: float) -> ModelChoice:
    """The choice for a machine that takes so long for a frame, and a camera of this rate."""
    stretch = max(1.0, frame_s * images_hz * _REPLAY_OVER_DETECTOR)
    return ModelChoice(ACCURATE_MODEL if stretch <= LONGEST_STRETCH else QUICK_MODEL, frame_s, stretch)


def seconds_per_frame(model_name: str, backend: str, frames: list[Image]) -> float:
    """Mean time that finding and measuring the cracks of a frame takes now; stops after a few seconds.

    The mean rather than the median: what other programs take away counts.
    """
    model = load_model(model_name)
    opened = open_backend(backend, model, 0, lambda note: None)
    try:
        detector = FrameDetector(model, opened)
        measurement = RegionMeasurement()
        detector.detect(frames[0])  # allocates
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
    """A few decoded images, spread evenly over the bag."""
    wanted = set(np.linspace(0, topic.count - 1, min(_FRAMES, topic.count)).astype(int).tolist())
    frames = []
    for number, recorded in enumerate(bag.messages([topic.name])):
        if number in wanted:
            message = deserialize(recorded.data, topic.type_name)
            if message is None:
                continue
            data = np.asarray(message.data, np.uint8)
            frames.append(
                decode_compressed(data)
                if topic.type_name == COMPRESSED_IMAGE
                else decode_raw(data, message.width, message.height, message.step, message.encoding)
            )
    return frames
