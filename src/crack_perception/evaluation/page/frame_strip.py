# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Selection of annotated frames for the page: best, typical and worst."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from crack_perception.evaluation.metrics.accuracy import KIND_CELLS, KIND_LENGTH, Accuracy, FrameScore
from crack_perception.evaluation.metrics.detections import FrameDetections
from crack_perception.evaluation.replay.pictures import PictureSpool

_PICTURE_WIDTH_PX = 1100
_JPEG_QUALITY = 78


class Choice(NamedTuple):
    """A selected frame: key of its image, reason for its selection, and a caption."""

    key_ns: int
    title: str
    caption: str


def choose_frames(
    frames: Sequence[FrameDetections], accuracy: Accuracy | None, available_ns: Sequence[int]
) -> list[Choice]:
    """Select up to four different frames that have a picture.

    Args:
        frames: Detections of the processed frames, of all laps of a recording that loops.
        accuracy: Evaluation of these frames against the truth; None without truth.
        available_ns: Keys of the images that have a picture.
    """
    available = set(available_ns)
    if accuracy is None:
        return _by_regions([frame for frame in frames if frame.key_ns in available])
    evaluated_ns = {score.stamp_ns for score in accuracy.frames}
    # Frames of different laps may have the same stamp; scores are in the order of the frames.
    evaluated = [frame for frame in frames if frame.stamp_ns in evaluated_ns]
    scored = zip(evaluated, accuracy.frames, strict=True)
    return _by_score([(frame.key_ns, score) for frame, score in scored if frame.key_ns in available], accuracy)


def data_uri(pictures: PictureSpool, key_ns: int) -> str | None:
    """Return a downscaled picture as a data URI for an ``img`` tag; None when it cannot be decoded."""
    picture = cv2.imdecode(np.frombuffer(pictures.read(key_ns), np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return None
    scale = _PICTURE_WIDTH_PX / picture.shape[1]
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _by_score(scored: Sequence[tuple[int, FrameScore]], accuracy: Accuracy) -> list[Choice]:
    """Select among scores with the keys of their images."""
    with_cracks = sorted(
        (entry for entry in scored if entry[1].visible > 0),
        key=lambda entry: (entry[1].found / entry[1].visible, entry[1].found),
    )
    candidates: list[tuple[str, tuple[int, FrameScore]]] = []
    if with_cracks:
        candidates.append(("Best", max(with_cracks, key=lambda entry: entry[1].found)))
        candidates.append(("Typical", with_cracks[len(with_cracks) // 2]))
        most_missed = max(with_cracks, key=lambda entry: entry[1].visible - entry[1].found)
        if most_missed[1].found < most_missed[1].visible:
            candidates.append(("Most missed", most_missed))
    false = [entry for entry in scored if accuracy.complete and entry[1].false_regions]
    if false:
        candidates.append(("Most false regions", max(false, key=lambda entry: entry[1].false_regions)))
    candidates += [("No crack in view", entry) for entry in scored if entry[1].visible == 0][:1]
    chosen: dict[int, Choice] = {}
    for title, (key_ns, score) in candidates:
        chosen.setdefault(key_ns, Choice(key_ns, title, _caption(score, accuracy)))
    return list(chosen.values())[:4]


def _caption(score: FrameScore, accuracy: Accuracy) -> str:
    if accuracy.figures["kind"] == KIND_LENGTH:
        text = f"{score.found:.2f} of {score.visible:.2f} m of visible crack detected"
    else:
        name = "cracked squares" if accuracy.figures["kind"] == KIND_CELLS else accuracy.figures["kind"]
        text = f"{score.found:.0f} of {score.visible:.0f} {name} detected"
    if accuracy.complete:
        text += f", {score.false_regions} of {len(score.on_crack)} regions false"
    return text


def _by_regions(frames: Sequence[FrameDetections]) -> list[Choice]:
    ranked = sorted(frames, key=lambda frame: len(frame.regions))
    if not ranked:
        return []
    candidates = [("Most regions", ranked[-1]), ("Typical", ranked[len(ranked) // 2]), ("Fewest regions", ranked[0])]
    chosen: dict[int, Choice] = {}
    for title, frame in candidates:
        caption = f"{len(frame.regions)} region{'' if len(frame.regions) == 1 else 's'}"
        chosen.setdefault(frame.key_ns, Choice(frame.key_ns, title, caption))
    return list(chosen.values())
