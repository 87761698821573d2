# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Bounded memory of the photographs that were sent, by place in the map, to send only what improves on them."""

from __future__ import annotations

import numpy as np

from crack_perception.mapping.evidence.choice import PhotographView, choose

_MOST_VIEWS = 1024
# Longer lines are photographed in parts.
_MOST_REACH_M = 4.0


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
        self._memory: tuple[list[PhotographView], np.ndarray] = ([], np.empty((0, 3)))

    def wants(self, view: PhotographView) -> bool:
        """Return whether a photograph would be kept beside those that were sent."""
        return choose(self._near(view), view).is_kept

    def add(self, view: PhotographView) -> None:
        """Record a photograph that was sent, in place of those that it replaces."""
        near = self._near(view)
        gone = {id(near[index]) for index in choose(near, view).replaced}
        views = [each for each in self._memory[0] if id(each) not in gone]
        views = [*views[-(_MOST_VIEWS - 1) :], view]
        self._memory = views, np.array([each.centre_m for each in views])

    def _near(self, view: PhotographView) -> list[PhotographView]:
        views, places = self._memory
        if not views:
            return []
        offsets = np.abs(places - view.centre_m).max(axis=1)
        candidates = (offsets < _MOST_REACH_M).nonzero()[0].tolist()
        return [views[index] for index in candidates if views[index].shows_part_of(view)]
