# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Layout of the inspected surface of a frame in a PointCloud2: its outline with the ground sampling distance.

The points are the corners of ``footprint`` in their order. The names of the fields are those of PCL's point types: the
position, the viewpoint (the camera, the same in all points), and the place in the image.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FOOTPRINT_POINT = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z", "vp_x", "vp_y", "vp_z", "u", "v", "gsd_mm_per_px")]
)
"""One corner: metres in the cloud's frame, pixels, and the largest size of a pixel on the surface [mm]."""


def footprint_rows(
    outline_m: npt.NDArray[np.float64],
    viewpoint_m: npt.NDArray[np.float64],
    pixels: npt.NDArray[np.float64],
    gsd_mm_per_px: npt.NDArray[np.float64],
) -> npt.NDArray[np.void]:
    """Return rows (M,) of ``FOOTPRINT_POINT``.

    Args:
        outline_m: (M, 3) corners in the map.
        viewpoint_m: (3,) camera in the map.
        pixels: (M, 2) corners in the image.
        gsd_mm_per_px: (M,) largest size of a pixel at the corners.
    """
    rows = np.zeros(len(outline_m), FOOTPRINT_POINT)
    rows["x"], rows["y"], rows["z"] = outline_m.T
    rows["vp_x"], rows["vp_y"], rows["vp_z"] = viewpoint_m
    rows["u"], rows["v"] = pixels.T
    rows["gsd_mm_per_px"] = gsd_mm_per_px
    return rows
