# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Images of several recordings of one structure, for example one for each battery, as if they were one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from crack_perception.report.orthophoto.recorded_frames import PosedFrame, RecordedFrames

Image = npt.NDArray[np.uint8]


class JoinedFrames:
    """Images of recordings with poses in the frame of one map, one recording after the other.

    Args:
        recordings: At least one.
    """

    def __init__(self, recordings: Sequence[RecordedFrames]) -> None:
        self._recordings = tuple(recordings)

    @property
    def without_pose(self) -> int:
        """Images of the last ``posed`` without a pose or camera model."""
        return sum(each.without_pose for each in self._recordings)

    @property
    def damaged(self) -> int:
        """Unreadable images of the last ``posed``."""
        return sum(each.damaged for each in self._recordings)

    @property
    def reason(self) -> str:
        """Why an image had no pose; "" where all had one."""
        return next((each.reason for each in self._recordings if each.reason), "")

    def posed(self) -> Iterator[tuple[PosedFrame, Image]]:
        """Yield every image (H, W, 3) that has a pose; its number is that among the images of all recordings."""
        before = 0
        for recording in self._recordings:
            for frame, picture in recording.posed():
                yield replace(frame, number=before + frame.number), picture
            before += recording.images

    def pictures(self, numbers: Collection[int]) -> Iterator[tuple[int, Image]]:
        """Yield the images of these numbers, as ``posed`` gave them, in order; unreadable ones are left out."""
        ends = accumulate(recording.images for recording in self._recordings)
        for recording, end in zip(self._recordings, ends, strict=True):
            before = end - recording.images
            wanted = [number - before for number in numbers if before <= number < end]
            for number, picture in recording.pictures(wanted) if wanted else ():
                yield before + number, picture
