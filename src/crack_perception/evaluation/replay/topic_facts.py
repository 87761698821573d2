# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Properties of a topic from its messages: rate, motion, frame, size. Read only when topics must be compared."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from crack_perception.evaluation.recordings.bag import Bag, BagTopic, Window, deserialize
from crack_perception.evaluation.recordings.poses import recorded_pose
from crack_perception.geometry.surface.scan import BeamAhead

_SURVEYED = Window(0.0, 60.0)
_MAX_SAMPLES = 5000
_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_DIFFERENCE_M = 0.5


@dataclass
class TopicFacts:
    """Properties of one topic.

    Attributes:
        topic: Topic of the bag.
        first: First message, deserialized; None when there is none.
        rate_hz: Mean message rate over the recording [Hz].
        stamps_ns, positions_m: Recording times (N,) and positions (N, 3) of the poses in the first minute.
        ranges_m: Readings (N,) of a rangefinder in the first minute.
    """

    topic: BagTopic
    first: Any | None
    rate_hz: float
    stamps_ns: list[int] = field(default_factory=list)
    positions_m: list[tuple[float, float, float]] = field(default_factory=list)
    ranges_m: list[float] = field(default_factory=list)

    @property
    def frame(self) -> str:
        """Frame of the first message, without a leading slash."""
        # A CompressedVideo has the fields of a header itself.
        header = getattr(self.first, "header", self.first)
        return str(getattr(header, "frame_id", "")).lstrip("/")

    @property
    def size_px(self) -> tuple[int, int] | None:
        """Width and height of the images or of the camera_info [px]; None when unknown."""
        size = int(getattr(self.first, "width", 0)), int(getattr(self.first, "height", 0))
        return size if all(size) else None

    @property
    def moved_m(self) -> float:
        """Diagonal of the bounding box of the positions [m]."""
        if not self.positions_m:
            return 0.0
        positions = np.array(self.positions_m)
        return float(np.linalg.norm(np.ptp(positions, axis=0)))

    @property
    def changes(self) -> bool:
        """True when at least a tenth of the positions are distinct, as for a moving vehicle."""
        return len(set(self.positions_m)) > max(1, len(self.positions_m) // 10)

    @property
    def limits_m(self) -> tuple[float, float]:
        """Limits of a rangefinder or a laser scanner; (inf, inf) without a message."""
        if self.first is None:
            return math.inf, math.inf
        if hasattr(self.first, "ranges"):
            return float(self.first.range_min), float(self.first.range_max)
        return float(self.first.min_range), float(self.first.max_range)

    @property
    def valid_share(self) -> float:
        """Share of the readings inside the rangefinder's limits."""
        if not self.ranges_m:
            return 0.0
        least, most = self.limits_m
        return sum(least <= value < most for value in self.ranges_m) / len(self.ranges_m)

    def is_like(self, other: TopicFacts) -> bool:
        """Return whether both topics have the same poses or readings in the same frame, to within half a metre."""
        if self.frame != other.frame or not self.stamps_ns or not other.stamps_ns:
            return False
        if self.positions_m and other.positions_m:
            here, there = np.array(self.positions_m), np.array(other.positions_m)
        else:
            here, there = np.array(self.ranges_m)[:, None], np.array(other.ranges_m)[:, None]
        stamps, others = np.array(self.stamps_ns, float), np.array(other.stamps_ns, float)
        at: npt.NDArray[np.float64] = np.stack([np.interp(others, stamps, axis) for axis in here.T], axis=1)
        return bool(np.nanmedian(np.linalg.norm(at - there, axis=1)) < _MAX_DIFFERENCE_M)

    def is_depth(self) -> bool:
        """Return whether the first message is a depth image as a 16-bit grey PNG."""
        data = bytes(getattr(self.first, "data", b"")[:32])
        if not data.startswith(_PNG) or len(data) < 26:
            return False
        bits, colour_type = struct.unpack_from("BB", data, 24)
        return bool(bits == 16 and colour_type == 0)


def read_facts(bag: Bag, topics: Sequence[BagTopic]) -> list[TopicFacts]:
    """Return the properties of topics, reading only their first messages."""
    seconds = bag.duration_s
    rates = [topic.count / seconds if seconds > 0 else math.nan for topic in topics]
    return [TopicFacts(topic, bag.first_message(topic), rate_hz) for topic, rate_hz in zip(topics, rates, strict=True)]


def survey(bag: Bag, facts: Sequence[TopicFacts]) -> None:
    """Read positions or readings of the first minute into the properties."""
    by_name = {item.topic.name: item for item in facts}
    for message in bag.messages(by_name, window=_SURVEYED):
        item = by_name[message.topic]
        content = deserialize(message.data, item.topic.type_name)
        if content is None or len(item.stamps_ns) >= _MAX_SAMPLES:
            continue
        reading = BeamAhead.of(content) if hasattr(content, "ranges") else content
        if hasattr(reading, "range"):
            item.stamps_ns.append(message.stamp_ns)
            item.ranges_m.append(float(reading.range))
            continue
        try:
            x, y, z = recorded_pose(content)[1].position_m.tolist()
        except (ValueError, AttributeError):  # no pose, or no topic of poses
            continue
        item.stamps_ns.append(message.stamp_ns)
        item.positions_m.append((x, y, z))
