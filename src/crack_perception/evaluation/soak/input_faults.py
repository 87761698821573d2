# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Faults of the detector's inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Range
from tf2_msgs.msg import TFMessage

from crack_perception.evaluation.soak.cases import Case, reported
from crack_perception.evaluation.soak.feed import COMPRESSED, RAW, Spoil, edited
from crack_perception.evaluation.soak.nodes import NO_IMAGE_WARNING_S
from crack_perception.evaluation.soak.watch import ERROR, WARN

_SILENCE_S = 1.0
_JUMP_M = 10.0
_JUMP_EVERY = 1


def _stop(data: bytes) -> None:
    return None


def _without_middle(message: Any) -> None:
    """Return a JPEG without its middle, but with start and end marker."""
    data = bytes(message.data)
    message.data = data[: len(data) // 3] + data[2 * len(data) // 3 :]


def _cut_off(message: Any) -> None:
    data = bytes(message.data)
    message.data = data[: len(data) // 2]


def _with_encoding(encoding: str) -> Spoil:
    def edit(message: Any) -> None:
        message.encoding = encoding

    return edited(Image, edit)


def _with_format(message: Any) -> None:
    message.format = "h264"
    message.data = bytes(1000)


def _short_data(message: Any) -> None:
    message.data = message.data[: len(message.data) // 2]


def _nan_matrix(message: Any) -> None:
    message.k = np.full(9, math.nan)


def _range(value: str) -> Spoil:
    def edit(message: Any) -> None:
        message.range = {"max": message.max_range, "mm": 1000.0 * message.range, "nan": math.nan}[value]

    return edited(Range, edit)


def _poses(change: str) -> dict[str, Spoil]:
    """Return the same fault for the pose topic and for tf."""
    counts = {"pose": 0, "/tf": 0}

    def value_of(name: str, value: float) -> float:
        counts[name] += 1
        if change == "nan":
            return math.nan
        return value + _JUMP_M * (counts[name] % 2)

    def edit_pose(message: Any) -> None:
        position = message.pose.position
        position.x = value_of("pose", position.x)

    def edit_tf(message: Any) -> None:
        translation = message.transforms[0].transform.translation
        translation.x = value_of("/tf", translation.x)

    return {"pose": edited(PoseStamped, edit_pose), "/tf": edited(TFMessage, edit_tf)}


def input_faults() -> list[Case]:
    """Return all input faults."""
    either = (WARN, ERROR)
    refused = "WARN or ERROR within 1 s, frames counted as failed, no result of them"
    flat = "WARN within 1 s, results in the image only"
    return [
        reported(
            "JPEG without its middle",
            refused,
            either,
            "refused",
            {"image": edited(CompressedImage, _without_middle)},
            COMPRESSED,
        ),
        reported("JPEG cut off", refused, either, "refused", {"image": edited(CompressedImage, _cut_off)}, COMPRESSED),
        reported(
            "compressed format that is none",
            refused,
            either,
            "refused",
            {"image": edited(CompressedImage, _with_format)},
            COMPRESSED,
        ),
        reported("wrong encoding", refused, either, "refused", {"image": _with_encoding("32FC3")}, RAW),
        reported(
            "image with half of its bytes", refused, either, "refused", {"image": edited(Image, _short_data)}, RAW
        ),
        reported("NaN in camera_info", flat, (WARN,), "Only 2D", {"camera_info": edited(CameraInfo, _nan_matrix)}),
        reported("range at its maximum", "WARN within 1 s, range not used", (WARN,), "range", {"range": _range("max")}),
        reported(
            "range in millimetres", "WARN within 1 s, range not used", (WARN,), "millimetres", {"range": _range("mm")}
        ),
        reported("range NaN", "WARN within 1 s, range not used", (WARN,), "range", {"range": _range("nan")}),
        reported("range stops", "WARN within 1 s of being too old", (WARN,), "range", {"range": _stop}, "", _SILENCE_S),
        reported("all poses stop", flat, (WARN,), "pose is unknown", {"/tf": _stop, "pose": _stop}, "", _SILENCE_S),
        reported(
            "tf stops, pose topic goes on",
            "WARN within 1 s, poses from the topic",
            (WARN,),
            "No pose from tf",
            {"/tf": _stop},
            "",
            _SILENCE_S,
        ),
        reported("pose jumps by 10 m", flat, (WARN,), "pose is unknown", _poses("jump")),
        reported("NaN in poses", flat, (WARN,), "refused", _poses("nan")),
        reported(
            "camera stops",
            f"ERROR within 1 s of no_image_warning_s ({NO_IMAGE_WARNING_S:g} s)",
            (ERROR,),
            "No image",
            {"image": _stop},
            "",
            NO_IMAGE_WARNING_S,
        ),
    ]
