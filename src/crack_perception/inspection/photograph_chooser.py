# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choice of the parts of frames that show a crack better than the photographs that were taken before.

``crack_node`` and ``survey`` use it, so that a recording leads to the photographs that the node would have sent.
"""

from __future__ import annotations

from typing import Generic, NamedTuple

from crack_perception.inspection.evidence import Candidate, Frame, candidate_of, lines_of
from crack_perception.mapping.evidence.choice import PhotographView, choose
from crack_perception.mapping.evidence.sent_photographs import SentPhotographs
from crack_perception.vision.sharpness import sharpness

INTERVAL_NS = 300_000_000
"""A crack is in the view of a camera that flies past it for seconds, so that not every frame need be considered."""

_MOST_OF_A_FRAME = 3
# A line that was not worth a photograph is not compared again for this long, unless it has become better.
_SETTLED_NS = 1_000_000_000
_MOST_SETTLED = 4096
# Sharpness that a photograph is expected to have before it is measured: a running mean.
_FIRST_SHARPNESS = 0.5
_NEW_SHARPNESS_SHARE = 0.2


class MeasuredView(NamedTuple):
    """Criteria of a photograph that is worth being taken, and its sharpness."""

    view: PhotographView
    sharpness: float


class PhotographChooser(Generic[Frame]):
    """Choose what is worth a photograph in a stream of frames.

    Used by two threads at most: one calls ``candidates`` and ``forget``, the other ``measured`` and ``add``.

    Args:
        interval_ns: Frames that follow a considered one within this time are left out [ns].
    """

    def __init__(self, interval_ns: int = INTERVAL_NS) -> None:
        self._interval_ns = interval_ns
        self._taken = SentPhotographs()
        # Rough place and value of a line -> stamp of the frame in which it was not worth a photograph.
        self._refused: dict[tuple[int, ...], int] = {}
        self._turn = 0
        self._considered_ns: int | None = None
        self._sharpness = _FIRST_SHARPNESS

    def forget(self) -> None:
        """Forget all photographs."""
        self._taken.clear()
        self._refused.clear()

    def candidates(self, result: Frame, stamp_ns: int) -> list[Candidate[Frame]]:
        """Return the few parts of a frame that are most worth a photograph, those of unseen places first.

        Args:
            result: The frame.
            stamp_ns: Time of its image.
        """
        if self._considered_ns is not None and 0 <= stamp_ns - self._considered_ns < self._interval_ns:
            return []
        self._considered_ns = stamp_ns
        self._turn += 1
        worth: list[tuple[int, float, Candidate[Frame]]] = []
        height, width = result.frame.shape[:2]
        for line in lines_of(result, self._turn):
            key = line.rough_key(width, height)
            if 0 <= stamp_ns - self._refused.get(key, -_SETTLED_NS) < _SETTLED_NS:
                continue
            each = candidate_of(result, line)
            if each is None:
                continue
            view = each.view(self._sharpness, stamp_ns)
            near = self._taken.near(view)
            if choose(near, view).is_kept:
                worth.append((len(near), -view.value, each))
            else:
                self._note_refused(key, stamp_ns)
        worth.sort(key=lambda item: item[:2])  # what has no photograph yet comes first
        return [each for _, _, each in worth[:_MOST_OF_A_FRAME]]

    def measured(self, candidate: Candidate[Frame], stamp_ns: int) -> MeasuredView | None:
        """Measure the sharpness of a candidate; return None where it turns out to be no improvement."""
        found = sharpness(candidate.around_line)
        self._sharpness += _NEW_SHARPNESS_SHARE * (found - self._sharpness)
        view = candidate.view(found, stamp_ns)
        return MeasuredView(view, found) if self._taken.wants(view) else None

    def add(self, view: PhotographView) -> list[PhotographView]:
        """Record a photograph that was taken, and return those whose place it takes."""
        return self._taken.add(view)

    def _note_refused(self, key: tuple[int, ...], stamp_ns: int) -> None:
        if len(self._refused) >= _MOST_SETTLED:
            self._refused.clear()
        self._refused[key] = stamp_ns
