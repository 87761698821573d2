# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Orthophoto of a facet while it is made: which image is drawn at which place, from which pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.plan.facets import Facet
from crack_perception.report.orthophoto.adjustment import Adjustment
from crack_perception.report.orthophoto.choice import FrameView, Index
from crack_perception.report.orthophoto.raster import Raster
from crack_perception.report.orthophoto.recorded_frames import PosedFrame
from crack_perception.report.orthophoto.surface import FacetSurface


@dataclass(frozen=True, eq=False)
class Sheet:
    """Orthophoto of a facet while it is made."""

    letter: str
    facet: Facet
    surface: FacetSurface
    raster: Raster
    views: list[FrameView]
    owners: list[int]  # index of each view's frame
    chosen: Index  # index of the view of each cell
    adjustment: Adjustment | None = None
    poses: Mapping[int, Pose] = field(default_factory=dict)  # adjusted ones by the frame's index

    @property
    def drawn(self) -> list[int]:
        """Indices of the views that are used."""
        return [int(view) for view in np.unique(self.chosen[self.chosen >= 0])]

    def placed(self, index: int, frame: PosedFrame) -> PosedFrame:
        """A frame with its adjusted pose."""
        return replace(frame, pose=self.poses.get(index, frame.pose))

    def cells_by_frame(self) -> dict[int, Index]:
        """Rows and columns (N, 2) of the cells that come from each frame."""
        return {self.owners[view]: np.argwhere(self.chosen == view).astype(np.int32) for view in self.drawn}
