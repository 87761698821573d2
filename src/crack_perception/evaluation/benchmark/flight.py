# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Short simulated flight in memory, played at any rate and for any duration."""

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
from crack_perception.evaluation.recordings.messages import restamped
from crack_perception.evaluation.replay.input_topics import InputTopics
from crack_perception.evaluation.replay.plan import ReplayOptions, plan_replay
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import POSE_HZ, RANGE_HZ, write_flight

SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "2160p": (3840, 2160)}
"""Name -> width and height of the images [px]."""

_IMAGES = 10
_FPS = 10.0
# Cracks on the short part of the wall that one second shows; as many are in view in the demo's flight.
_CRACKS = 3
# Time between publishing a message and its stamp. An image is copied as soon as the message before it is published:
# not while the node still processes the image before, and early enough to be published on time.
_LEAD_NS = {"image": 0, "camera_info": 12_000_000}
_SENSORS_HZ = {"pose": POSE_HZ, "range": RANGE_HZ}
# Poses and ranges are published for this long before the first image, as on a vehicle whose camera starts last.
_LEAD_S = 0.3
# Sensors run on their own clocks: their samples do not coincide with the images.
_SENSOR_OFFSET_NS = 7_000_000
_NS_PER_S = 1_000_000_000


def benchmark_settings(size: str, seed: int, cracks: int = _CRACKS) -> FlightSettings:
    """Return the settings of a flight along a wall with images of a given size.

    Args:
        size: A key of ``SIZES``.
        seed: Seed of the wall.
        cracks: Number of cracks on the wall.
    """
    width, height = SIZES[size]
    return FlightSettings(
        width=width, height=height, fps=_FPS, duration_s=_IMAGES / _FPS, cracks=cracks, seed=seed, passes=1
    )


class _Due(NamedTuple):
    """Recorded message with the time at which it is published and its new stamp."""

    due_ns: int
    stamp_ns: int
    message: BagMessage


@dataclass(frozen=True)
class FlightInMemory:
    """Serialized messages of a flight that a node needs.

    Attributes:
        inputs: Input topics of the flight.
        parameters: Node parameters that the flight requires.
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
        """SHA-256 of topics, stamps and payloads of all messages, input by input."""
        digest = hashlib.sha256()
        for name in sorted(self.messages):
            for message in self.messages[name]:
                message.add_to(digest)
        return digest.hexdigest()

    def stream(self, rate_hz: float, images: int, start_ns: int | None = None) -> Iterator[BagMessage]:
        """Yield the messages of the flight, repeated back and forth; ``stamp_ns`` is when a message is due.

        Poses and ranges keep their own rates and are selected by the position in the flight of the images around them.
        So the drone moves as smoothly as in the flight, only faster or slower.

        Args:
            rate_hz: Image rate [Hz].
            images: Number of images.
            start_ns: Time of the first message; None for now.
        """
        start_ns = time.time_ns() if start_ns is None else start_ns
        first_image_ns = start_ns + round(_LEAD_S * _NS_PER_S)
        period_ns = _NS_PER_S / rate_hz
        end_s = _LEAD_S + images / rate_hz

        def camera(name: str) -> Iterator[_Due]:
            recorded = self.messages[name]
            for index in range(images):
                stamp_ns = first_image_ns + round(index * period_ns)
                yield _Due(stamp_ns - _LEAD_NS[name], stamp_ns, recorded[back_and_forth(index, len(recorded))])

        def sensor(name: str, hz: float) -> Iterator[_Due]:
            recorded = self.messages[name]
            stamps = [message.stamp_ns for message in recorded]
            for index in range(int(end_s * hz)):
                due_ns = start_ns + _SENSOR_OFFSET_NS + round(index * _NS_PER_S / hz)
                nearest = bisect_left(stamps, self.flown_ns((due_ns - first_image_ns) / period_ns))
                yield _Due(due_ns, due_ns, recorded[min(nearest, len(recorded) - 1)])

        streams = [camera(name) for name in _LEAD_NS] + [sensor(name, hz) for name, hz in _SENSORS_HZ.items()]
        for due_ns, stamp_ns, message in heapq.merge(*streams, key=lambda due: due.due_ns):
            yield BagMessage(message.topic, due_ns, restamped(message.data, stamp_ns))

    def flown_ns(self, image: float) -> float:
        """Return the stamp in the flight that corresponds to a (fractional) image number of the stream."""
        stamps = [message.stamp_ns for message in self.messages["image"]]
        whole = int(np.floor(max(image, 0.0)))
        before, after = (stamps[back_and_forth(index, len(stamps))] for index in (whole, whole + 1))
        return before + (max(image, 0.0) - whole) * (after - before)


def back_and_forth(index: int, count: int) -> int:
    """Return the element visited at step ``index`` when ``count`` elements are traversed back and forth."""
    if count == 1:
        return 0
    step = index % (2 * count - 2)
    return step if step < count else 2 * count - 2 - step


def fly(settings: FlightSettings, also: Sequence[str] = ()) -> FlightInMemory:
    """Simulate a flight and keep the messages that a node needs.

    Args:
        settings: The flight.
        also: Inputs to keep besides image, camera_info, pose and range.

    Raises:
        UserError: There is no disk space for the temporary bag.
    """
    with tempfile.TemporaryDirectory(prefix="crack_perception_benchmark_") as folder:
        path = Path(folder) / "flight"
        write_flight(settings, path, False, lambda written, total: None)
        with open_bag(path) as bag:
            plan = plan_replay(bag, ReplayOptions(bag=path, out=path))
            wanted = {name: plan.inputs.by_input[name] for name in (*_LEAD_NS, *_SENSORS_HZ, *also)}
            messages = {name: tuple(bag.messages([topic.name])) for name, topic in wanted.items()}
    return FlightInMemory(InputTopics(wanted, ()), plan.parameters, messages)
