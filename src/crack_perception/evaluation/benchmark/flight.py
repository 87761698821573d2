"""A short simulated flight in memory, played for as long and as fast as wanted."""

from __future__ import annotations

import hashlib
import heapq
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from crack_perception.evaluation.recordings.bag import BagMessage, open_bag
from crack_perception.evaluation.recordings.cdr import restamped
from crack_perception.evaluation.replay.input_topics import InputTopics
from crack_perception.evaluation.replay.plan import ReplayOptions, plan_replay
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import POSE_HZ, RANGE_HZ, write_flight

SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "2160p": (3840, 2160)}
"""Name -> width and height of the images in pixels."""

_IMAGES = 10
_FPS = 10.0
# On the short stretch of wall that a second shows; as many are in view in the demo's flight.
_CRACKS = 3
# How long before its stamp a message is published. An image is copied when the message before it has gone: not sooner,
# while the node still works on the image before, and not so late that it would not leave in time.
_AHEAD_NS = {"image": 0, "camera_info": 12_000_000}
_SENSORS_HZ = {"pose": POSE_HZ, "range": RANGE_HZ}
# Poses and ranges flow for this long before the first image, as they do before any camera starts.
_LEAD_S = 0.3
# Sensors run on clocks of their own: their samples do not coincide with the images.
_SENSOR_OFFSET_NS = 7_000_000
_NS_PER_S = 1_000_000_000


def benchmark_settings(size: str, seed: int, cracks: int = _CRACKS) -> FlightSettings:
    """The flight along a wall whose images are of that size.

    Args:
        size: A key of ``SIZES``.
        seed: Of the wall.
        cracks: On the wall.
    """
    width, height = SIZES[size]
    return FlightSettings(
        width=width, height=height, fps=_FPS, duration_s=_IMAGES / _FPS, cracks=cracks, seed=seed, passes=1
    )


class _Due(NamedTuple):
    """A recorded message, when it is published again, and with which stamp."""

    due_ns: int
    stamp_ns: int
    message: BagMessage


@dataclass(frozen=True)
class FlightInMemory:
    """The serialized messages of a flight that a node needs.

    Attributes:
        inputs: Its topics.
        parameters: What the node has to know about it.
        messages: Input of the node -> messages in order of their stamps.
    """

    inputs: InputTopics
    parameters: Mapping[str, str]
    messages: Mapping[str, tuple[BagMessage, ...]]

    @property
    def image_topic(self) -> str:
        """Topic of the images."""
        return self.inputs.image.name

    @cached_property
    def sha256(self) -> str:
        """Of topics, stamps and payloads of all messages, input by input."""
        digest = hashlib.sha256()
        for name in sorted(self.messages):
            for message in self.messages[name]:
                digest.update(f"{message.topic}\0{message.stamp_ns}\0{len(message.data)}\0".encode())
                digest.update(message.data)
        return digest.hexdigest()

    def stream(self, rate_hz: float, images: int, start_ns: int | None = None) -> Iterator[BagMessage]:
        """The flight, to and fro, with so many images at that rate; ``stamp_ns`` is when a message is due.

        Poses and ranges keep their own rates; where they belong to follows from the images before and after them. So
        the drone moves as smoothly as in the flight, only faster or slower.

        Args:
            rate_hz: Images a second.
            images: How many.
            start_ns: Time of the first message; now when None.
        """
        start_ns = time.time_ns() if start_ns is None else start_ns
        first_image_ns = start_ns + round(_LEAD_S * _NS_PER_S)
        period_ns = _NS_PER_S / rate_hz
        end_s = _LEAD_S + images / rate_hz

        def camera(name: str) -> Iterator[_Due]:
            recorded = self.messages[name]
            for index in range(images):
                stamp_ns = first_image_ns + round(index * period_ns)
                yield _Due(stamp_ns - _AHEAD_NS[name], stamp_ns, recorded[to_and_fro(index, len(recorded))])

        def sensor(name: str, hz: float) -> Iterator[_Due]:
            recorded = self.messages[name]
            stamps = [message.stamp_ns for message in recorded]
            for index in range(int(end_s * hz)):
                due_ns = start_ns + _SENSOR_OFFSET_NS + round(index * _NS_PER_S / hz)
                nearest = bisect_left(stamps, self.flown_ns((due_ns - first_image_ns) / period_ns))
                yield _Due(due_ns, due_ns, recorded[min(nearest, len(recorded) - 1)])

        streams = [camera(name) for name in _AHEAD_NS] + [sensor(name, hz) for name, hz in _SENSORS_HZ.items()]
        for due_ns, stamp_ns, message in heapq.merge(*streams, key=lambda due: due.due_ns):
            yield BagMessage(message.topic, due_ns, restamped(message.data, stamp_ns))

    def flown_ns(self, image: float) -> float:
        """The stamp in the flight at which the drone is when the stream is at this image, a fraction between two."""
        stamps = [message.stamp_ns for message in self.messages["image"]]
        whole = int(np.floor(max(image, 0.0)))
        before, after = (stamps[to_and_fro(index, len(stamps))] for index in (whole, whole + 1))
        return before + (max(image, 0.0) - whole) * (after - before)


def to_and_fro(index: int, count: int) -> int:
    """The index among ``count`` things at step ``index`` of going through them forwards and backwards for ever."""
    if count == 1:
        return 0
    step = index % (2 * count - 2)
    return step if step < count else 2 * count - 2 - step


def fly(settings: FlightSettings, also: Sequence[str] = ()) -> FlightInMemory:
    """Simulate a flight and keep what a node needs of it.

    Args:
        settings: The flight.
        also: Inputs to keep besides image, camera_info, pose and range.

    Raises:
        UserError: There is no room on the disk for the bag on the way.
    """
    with tempfile.TemporaryDirectory(prefix="crack_perception_benchmark_") as folder:
        path = Path(folder) / "flight"
        write_flight(settings, path, False, lambda written, total: None)
        with open_bag(path) as bag:
            plan = plan_replay(bag, ReplayOptions(bag=path, out=path))
            wanted = {name: plan.inputs.by_input[name] for name in (*_AHEAD_NS, *_SENSORS_HZ, *also)}
            messages = {name: tuple(bag.messages([topic.name])) for name, topic in wanted.items()}
    return FlightInMemory(InputTopics(wanted, ()), plan.parameters, messages)
