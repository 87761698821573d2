"""A few annotated frames that show the node at its best, as usual, and at its worst."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from crack_perception.evaluation.metrics.accuracy import KIND_LENGTH, Accuracy, FrameScore
from crack_perception.evaluation.metrics.detections import FrameDetections
from crack_perception.evaluation.replay.pictures import PictureSpool

_PICTURE_WIDTH_PX = 1100
_JPEG_QUALITY = 78


class Choice(NamedTuple):
    """A frame, a word for why it was chosen, and what can be said of it."""

    stamp_ns: int
    title: str
    caption: str


def choose_frames(
    frames: Sequence[FrameDetections], accuracy: Accuracy | None, available_ns: Sequence[int]
) -> list[Choice]:
    """Up to four different frames among those with a picture."""
    available = set(available_ns)
    if accuracy is None:
        return _by_regions([frame for frame in frames if frame.stamp_ns in available])
    return _by_score([score for score in accuracy.frames if score.stamp_ns in available], accuracy)


def data_uri(pictures: PictureSpool, stamp_ns: int) -> str | None:
    """A picture, made smaller, for an ``img`` tag; None when it cannot be decoded."""
    picture = cv2.imdecode(np.frombuffer(pictures.read(stamp_ns), np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return None
    scale = _PICTURE_WIDTH_PX / picture.shape[1]
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _by_score(scores: Sequence[FrameScore], accuracy: Accuracy) -> list[Choice]:
    seeing = sorted((score for score in scores if score.seen > 0), key=lambda s: (s.found / s.seen, s.found))
    candidates: list[tuple[str, FrameScore]] = []
    if seeing:
        candidates.append(("Best", max(seeing, key=lambda s: s.found)))
        candidates.append(("Typical", seeing[len(seeing) // 2]))
        most_missed = max(seeing, key=lambda s: s.seen - s.found)
        if most_missed.found < most_missed.seen:
            candidates.append(("Most missed", most_missed))
    stray = [score for score in scores if accuracy.complete and score.false_regions]
    if stray:
        candidates.append(("Most false regions", max(stray, key=lambda s: s.false_regions)))
    candidates += [("Nothing to see here", score) for score in scores if score.seen == 0][:1]
    chosen: dict[int, Choice] = {}
    for title, score in candidates:
        chosen.setdefault(score.stamp_ns, Choice(score.stamp_ns, title, _caption(score, accuracy)))
    return list(chosen.values())[:4]


def _caption(score: FrameScore, accuracy: Accuracy) -> str:
    if accuracy.figures["kind"] == KIND_LENGTH:
        text = f"{score.found:.2f} of {score.seen:.2f} m of visible crack found"
    else:
        text = f"{score.found:.0f} of {score.seen:.0f} cracked squares found"
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
        chosen.setdefault(frame.stamp_ns, Choice(frame.stamp_ns, title, caption))
    return list(chosen.values())
