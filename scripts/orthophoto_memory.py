#!/usr/bin/env python3
# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Measure time and greatest memory of the orthophoto of a large wall.

scripts/orthophoto_memory.py --width 30 --height 20 --mm-per-px 1    # prints a row of a Markdown table

Images are projected from a repeated texture as they are needed, so that only the making of the orthophoto takes memory;
reading of a recording is left out. Use one process for each size: the greatest memory of a process never decreases.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.geometry import rotations
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.mapping.export.plan.facets import find_facets
from crack_perception.report.georeference import MapFrame
from crack_perception.report.orthophoto.making import make_orthophotos
from crack_perception.report.orthophoto.recorded_frames import PosedFrame

Image = npt.NDArray[np.uint8]

WIDTH_PX, HEIGHT_PX, FOCAL_PX = 1920, 1080, 1500.0
STANDOFF_M, OVERLAP = 3.0, 0.3
TEXTURE_MM, TEXTURE_PX = 1.0, 2048
POSE_SIGMA_M = 0.01


class WallFrames:
    """Images of a wall in rows, with errors of the poses; as ``JoinedFrames``.

    Args:
        size_m: Width and height of the wall.
    """

    without_pose = damaged = 0
    reason = ""

    def __init__(self, size_m: tuple[float, float]) -> None:
        rng = np.random.default_rng(1)
        texture = cv2.GaussianBlur(rng.normal(140, 60, (TEXTURE_PX, TEXTURE_PX)), (0, 0), 1.5)
        self._texture = np.clip(texture, 0, 255).astype(np.uint8)
        k = np.array([[FOCAL_PX, 0, WIDTH_PX / 2 - 0.5], [0, FOCAL_PX, HEIGHT_PX / 2 - 0.5], [0, 0, 1]])
        self._camera = CameraModel.of(WIDTH_PX, HEIGHT_PX, k, np.zeros(5), "plumb_bob")
        steps_m = [(1 - OVERLAP) * STANDOFF_M * side / FOCAL_PX for side in (WIDTH_PX, HEIGHT_PX)]
        counts = [int(np.ceil(size / step)) + 1 for size, step in zip(size_m, steps_m, strict=True)]
        # Optical axis along y, towards the wall y = 0 from its negative side; the image's y axis points down.
        facing = rotations.from_matrix(np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]))
        self._poses = []
        for row in range(counts[1]):
            for column in range(counts[0]):
                place = (column * steps_m[0], -STANDOFF_M, row * steps_m[1])
                self._poses.append((Pose.of(place, facing), rng.normal(0, POSE_SIGMA_M, 3)))

    def posed(self) -> Iterator[tuple[PosedFrame, Image]]:
        """Yield every image with its pose."""
        for number, (pose, error_m) in enumerate(self._poses):
            stated = Pose.of(pose.position_m + error_m, pose.quaternion)
            yield PosedFrame(number, 1_700_000_000_000_000_000 + number, self._camera, stated), self._picture(pose)

    def pictures(self, numbers: Collection[int]) -> Iterator[tuple[int, Image]]:
        """Yield the images of these numbers."""
        for number in sorted(numbers):
            yield number, self._picture(self._poses[number][0])

    def _picture(self, pose: Pose) -> Image:
        gsd_mm = 1000 * STANDOFF_M / FOCAL_PX
        x_mm = 1000 * pose.position_m[0] + (np.arange(WIDTH_PX) - WIDTH_PX / 2 + 0.5) * gsd_mm
        z_mm = 1000 * pose.position_m[2] - (np.arange(HEIGHT_PX) - HEIGHT_PX / 2 + 0.5) * gsd_mm
        columns, rows = (np.mod(np.round(values / TEXTURE_MM), TEXTURE_PX).astype(int) for values in (x_mm, z_mm))
        return np.repeat(self._texture[np.ix_(rows, columns)][..., None], 3, axis=2)


def main() -> None:
    """Make the orthophoto in a temporary folder and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--width", type=float, default=30.0, metavar="M")
    parser.add_argument("--height", type=float, default=20.0, metavar="M")
    parser.add_argument("--mm-per-px", type=float, default=1.0, metavar="MM")
    arguments = parser.parse_args()
    width_m, height_m = arguments.width, arguments.height
    outline_m = np.array([[0, 0, 0], [0, 0, height_m], [width_m, 0, height_m], [width_m, 0, 0]], float)
    facets = find_facets([], [outline_m])
    frames = WallFrames((width_m, height_m))
    started_s, before_mb = time.process_time(), peak_mb()
    with tempfile.TemporaryDirectory() as name:
        document = make_orthophotos(
            frames,  # type: ignore[arg-type]
            {"A": facets[0]},
            arguments.mm_per_px,
            Path(name),
            MapFrame(),
        )
        size_mb = sum(path.stat().st_size for path in Path(name).rglob("*") if path.is_file()) / 1e6
    (facet,) = document["facets"]
    print(
        f"| {width_m:g} x {height_m:g} m | {facet['width_px']} x {facet['height_px']} px | {len(facet['frames'])} | "
        f"{before_mb:.0f} MB | {peak_mb():.0f} MB | {time.process_time() - started_s:.0f} s | {size_mb:.0f} MB |"
    )


def peak_mb() -> float:
    """Greatest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
