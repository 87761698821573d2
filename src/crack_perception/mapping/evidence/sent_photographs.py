# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Bounded memory of the photographs that were sent, by place in the map, to send only what improves on them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crack_perception.mapping.evidence.choice import SAMPLES, PhotographView, choose, shows_the_same

Array = npt.NDArray[np.float64]

_MOST_VIEWS = 1024
# Of the first, rough comparison, which has three points of each line.
_MARGIN_M = 0.5


class SentPhotographs:
    """The photographs that were sent; the oldest ones are forgotten first.

    A new photograph is compared with those of the same place, since the node does not know which crack a line belongs
    to. Used by two threads: the one that looks up, and the one that adds what it has sent.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all of them."""
        # Replaced as a whole, so that the other thread never sees one without the other.
        self._memory: tuple[list[PhotographView], Array] = ([], np.empty((0, SAMPLES, 3)))

    def wants(self, view: PhotographView) -> bool:
        """Return whether a photograph would be kept beside those that were sent."""
        return choose(self.near(view), view).is_kept

    def add(self, view: PhotographView) -> list[PhotographView]:
        """Record a photograph that was sent, in place of those that it replaces; return these."""
        near = self.near(view)
        replaced = [near[index] for index in choose(near, view).replaced]
        gone = {id(each) for each in replaced}
        views = [each for each in self._memory[0] if id(each) not in gone]
        views = [*views[-(_MOST_VIEWS - 1) :], view]
        self._memory = views, np.array([each.samples_m for each in views])
        return replaced

    def near(self, view: PhotographView) -> list[PhotographView]:
        """Return the photographs that show the same."""
        views, samples_m = self._memory
        if not views:
            return []
        mine = view.samples_m
        # What shows the same comes within half of both lines' lengths of the middle.
        middle = mine[SAMPLES // 2]
        reach_m = np.abs(mine - middle).max() + _MARGIN_M
        rough = (np.abs(samples_m[:, :: SAMPLES // 2] - middle).max(axis=2).min(axis=1) < reach_m).nonzero()[0]
        if not len(rough):
            return []
        return [views[index] for index in rough[shows_the_same(view, samples_m[rough])].tolist()]
