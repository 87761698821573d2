"""The node's annotated pictures as a video file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from crack_perception.evaluation.replay.picture_spool import PictureSpool

_DEFAULT_HZ = 10.0


def write_video(pictures: PictureSpool, path: Path) -> str:
    """Write all pictures as MPEG-4 at their mean rate.

    Returns:
        Why there is no video; empty when it was written.
    """
    stamps = pictures.stamps_ns
    if not stamps:
        return "no video: no annotated picture was received"
    span_s = (stamps[-1] - stamps[0]) / 1e9
    rate_hz = (len(stamps) - 1) / span_s if span_s > 0 else _DEFAULT_HZ
    writer: cv2.VideoWriter | None = None
    try:
        for stamp in stamps:
            picture = cv2.imdecode(np.frombuffer(pictures.read(stamp), np.uint8), cv2.IMREAD_COLOR)
            if picture is None:
                continue
            if writer is None:
                size = (picture.shape[1], picture.shape[0])
                writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate_hz, size)
                if not writer.isOpened():
                    return "no video: this OpenCV has no MPEG-4 encoder"
            writer.write(picture)
    finally:
        if writer is not None:
            writer.release()
    return "" if writer is not None else "no video: no annotated picture could be decoded"
