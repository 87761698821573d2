# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Seeded faults in ROS messages: wrong field values, damaged bytes, jumping stamps, mismatched frames."""

from __future__ import annotations

import array
import random
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from crack_perception.vision.images.encodings import SUPPORTED_ENCODINGS

S = 1_000_000_000
FLOATS = (
    *(float("nan"), float("inf"), -float("inf"), 0.0, -0.0, -1.0, 1.0, 1e-45, 1e-12, 1e-3, 0.5, 3.3, 1e3, 65.535, 1e4),
    *(65535.0, 1e6, 1e9, 3.4e38, -3.4e38, 1e300, -1e300, 1.7e308),
)
INTEGERS = (0, 1, 2, 3, 7, 64, 127, 128, 255, 256, 4096, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, -1, -(2**31))
NAMES = (
    *("", "/", "//", "/map", "//map", "map/", "map", "odom_ned", "MAP", "world", "base_link", "camera", "/camera"),
    *("camera\n[INFO] all is well", "\x1b[31mred", "x" * 100_000, "\u0000", "Kamera \u00fc\u4e2d", "%s %d {0}", "nan"),
)
ENCODINGS = (*SUPPORTED_ENCODINGS, "16UC1", "32FC1", "64FC1", "8UC2", "bayer_rggb12", "BGR8", "rgb8 ", "h264", "jpeg")
FORMATS = (
    *("", "jpeg", "png", "rgb8; jpeg compressed bgr8", "bayer_rggb8; jpeg compressed", "bayer_nonsense8; png", "h264"),
    *("16UC1; compressedDepth png", "mono16; png compressed", "tiff", "x" * 100_000, "; ;;"),
)
# Not within 2 s after the message's own stamp: a message from the near future is a right one for the frame that comes.
JUMPS_NS = (-10 * S, -3600 * S, -2 * S, -S // 2, 10 * S, 3600 * S, 86_400 * 365 * S)


class Mutation:
    """Random changes of messages, with a record of them.

    Attributes:
        changes: Descriptions of the changes.
    """

    def __init__(self, random_numbers: random.Random) -> None:
        self._random = random_numbers
        self.changes: list[str] = []

    def spoil(self, message: Any) -> None:
        """Change one to three fields of a message in place."""
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            if hasattr(message, "header") and self._random.random() < 0.15:
                self._jump(message.header.stamp)
            else:
                self._spoil_one(message)

    def _spoil_one(self, message: Any) -> None:
        leaves = list(_leaves(message))
        for _ in range(20):
            owner, field, path = self._random.choice(leaves)
            value = self._other(field, getattr(owner, field))
            try:
                setattr(owner, field, value)
            except (AssertionError, OverflowError, ValueError, TypeError):
                continue  # no message can carry this value
            self.changes.append(f"{path} = {_short(getattr(owner, field))}")
            return

    def _other(self, field: str, value: Any) -> Any:
        choose = self._random.choice
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return choose((*INTEGERS, value + 1, value - 1, value * 2, value // 2))
        if isinstance(value, float):
            return choose((*FLOATS, value * 1000.0, value / 1000.0, -value, value * (1 + 1e-9)))
        if isinstance(value, str):
            return choose(ENCODINGS if field == "encoding" else FORMATS if field == "format" else NAMES)
        if isinstance(value, array.array) and value.typecode == "B":
            return array.array("B", self.damaged(value.tobytes()))
        if isinstance(value, array.array):
            return array.array(value.typecode, self._other_numbers(list(value), True))
        return np.array(self._other_numbers([float(v) for v in value], False), np.float64)

    def _other_numbers(self, values: list[float], may_resize: bool) -> list[float]:
        kind = self._random.randrange(4 if may_resize else 2)
        if kind == 3:
            return [0.01 * self._random.choice((1, 1e6))] * self._random.choice((0, 1, 3, 4, 6, 8, 14, 100_000))
        if kind == 2:
            return values[: self._random.randrange(len(values) + 1)]
        if kind == 1 or not values:
            return [self._random.choice(FLOATS)] * len(values)
        values[self._random.randrange(len(values))] = self._random.choice(FLOATS)
        return values

    def damaged(self, data: bytes) -> bytes:
        """Return bytes with a part removed, duplicated, overwritten or inverted, truncated or extended."""
        numbers = self._random
        size = len(data)
        start = numbers.randrange(size + 1)
        piece = numbers.choice((1, 16, 512, size // 4))
        kind = numbers.choice(("cut", "hole", "zeros", "noise", "bits", "bits", "longer", "doubled", "empty"))
        self.changes.append(f"{kind} of {piece} bytes at {start} of {size}")
        if kind == "cut":
            return data[:start]
        if kind == "hole":
            return data[:start] + data[start + piece :]
        if kind == "zeros":
            return data[:start] + bytes(len(data[start : start + piece])) + data[start + piece :]
        if kind == "noise":
            return data[:start] + numbers.randbytes(len(data[start : start + piece])) + data[start + piece :]
        if kind == "longer":
            return data + numbers.randbytes(piece)
        if kind == "doubled":
            return data[: start + piece] + data[start:]
        if kind == "empty" or not data:
            return b""
        changed = bytearray(data)
        for _ in range(numbers.choice((1, 1, 3, 20))):
            changed[numbers.randrange(size)] ^= 1 << numbers.randrange(8)
        return bytes(changed)

    def _jump(self, stamp: Any) -> None:
        if self._random.random() < 0.2:
            stamp.sec, stamp.nanosec = self._random.choice(
                ((0, 0), (2**31 - 1, 999_999_999), (-(2**31), 0), (0, 2**32 - 1))
            )
        else:
            stamp.sec = max(0, stamp.sec + self._random.choice(JUMPS_NS) // S)
        self.changes.append(f"stamp = {stamp.sec}.{stamp.nanosec:09d}")


def picture_bytes(frame: np.ndarray, random_numbers: random.Random) -> tuple[bytes, str]:
    """Return an image in one of the formats that drivers send, and its format string."""
    progressive, restart = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 4]
    extension, options, announced = random_numbers.choice(
        (
            (".jpg", [], "bgr8; jpeg compressed bgr8"),
            (".jpg", progressive, "jpeg"),
            (".jpg", restart, "rgb8; jpeg compressed bgr8"),
            (".png", [], "bgr8; png compressed bgr8"),
            (".webp", [], "webp"),
            (".tiff", [], "tiff"),
            (".bmp", [], "bmp"),
        )
    )
    done, data = cv2.imencode(extension, frame, options)
    assert done
    return data.tobytes(), announced


def _leaves(message: Any, path: str = "") -> Iterator[tuple[Any, str, str]]:
    """Yield owner, name and path of every field that holds a value."""
    for field in message.get_fields_and_field_types():
        value = getattr(message, field)
        if hasattr(value, "get_fields_and_field_types"):
            yield from _leaves(value, f"{path}{field}.")
        elif isinstance(value, list):
            for index, element in enumerate(value):
                yield from _leaves(element, f"{path}{field}[{index}].")
        elif path.endswith("stamp."):
            continue  # see Mutation.spoil
        else:
            yield message, field, f"{path}{field}"


def _short(value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, array.array) and value.typecode == "B" else repr(value)[:200]
