# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Annotated pictures of a replay: spooled to disk, and written as a video."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from crack_perception.errors import file_error
from crack_perception.vision.images.mp4_samples import announced_frames


class _Place(NamedTuple):
    offset: int
    size: int


class PictureSpool:
    """JPEG pictures by the key of their image, which is its stamp in the first lap; in one file until the report.

    Args:
        path: Path of the file; ``close`` deletes it.

    Attributes:
        failure: Why pictures are missing; empty while all were written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("w+b")
        self._places: dict[int, _Place] = {}
        self._end = 0
        self.failure = ""

    @property
    def stamps_ns(self) -> list[int]:
        """Stamps of the pictures [ns], ascending."""
        return sorted(self._places)

    def append(self, stamp_ns: int, encoded: bytes) -> None:
        """Store a picture; a second one with the same stamp replaces the first.

        A write error only sets ``failure``: missing pictures must not end a replay.
        """
        try:
            self._file.seek(self._end)
            self._file.write(encoded)
            self._file.flush()
        except OSError as error:
            self.failure = str(file_error(self._path, error))
            return
        self._places[stamp_ns] = _Place(self._end, len(encoded))
        self._end += len(encoded)

    def read(self, stamp_ns: int) -> bytes:
        """Return the picture of a stamp.

        Raises:
            KeyError: There is no picture with this stamp.
        """
        place = self._places[stamp_ns]
        self._file.seek(place.offset)
        return self._file.read(place.size)

    def close(self) -> None:
        """Delete the file."""
        with suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)


_DEFAULT_HZ = 10.0


def write_video(pictures: PictureSpool, path: Path) -> str:
    """Write all pictures as an MPEG-4 video at their mean rate.

    Returns:
        Why there is no complete video; empty when it was written.
    """
    stamps = pictures.stamps_ns
    if not stamps:
        return "no video: no annotated picture was received"
    span_s = (stamps[-1] - stamps[0]) / 1e9
    rate_hz = (len(stamps) - 1) / span_s if span_s > 0 else _DEFAULT_HZ
    writer: cv2.VideoWriter | None = None
    written = 0
    try:
        for stamp in stamps:
            picture = cv2.imdecode(np.frombuffer(pictures.read(stamp), np.uint8), cv2.IMREAD_COLOR)
            if picture is None:
                continue
            if writer is None:
                size = (picture.shape[1], picture.shape[0])
                writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate_hz, size)
                if not writer.isOpened():
                    return "no video: OpenCV was built without an MPEG-4 encoder"
            writer.write(picture)
            written += 1
    finally:
        if writer is not None:
            writer.release()
    if writer is None:
        return "no video: no annotated picture could be decoded"
    # OpenCV does not report a full disk.
    is_complete = announced_frames(path) == written
    return "" if is_complete else f"{path.name} was not written completely: is the disk full?"
