# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Sample files for docstrings and examples: an image of a wall with a crack, a short video of it, and a crack map with
a photograph of its first crack."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from map_cracks import jpeg_of, photograph_of_crack, straight_crack
from rendered_cracks import concrete, rendered_crack

from crack_perception.mapping.evidence.photograph import photograph_folder
from crack_perception.mapping.storage.database import MapStore


def write_sample_files(folder: Path) -> Path:
    """Write ``wall.jpg``, ``flight.avi`` and ``crack_map.sqlite`` (``.photographs``) into a folder; return it."""
    wall = rendered_crack(3, concrete(1), 4.0, 0.7).image
    cv2.imwrite(str(folder / "wall.jpg"), wall, [cv2.IMWRITE_JPEG_QUALITY, 95])
    size = (wall.shape[1], wall.shape[0])
    writer = cv2.VideoWriter(str(folder / "flight.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, size)
    assert writer.isOpened()
    for frame in (wall, np.full_like(wall, 170), wall):
        writer.write(frame)
    writer.release()
    photograph = photograph_of_crack(1)
    pictures = photograph_folder(folder / "crack_map.sqlite")
    pictures.mkdir()
    (pictures / photograph.file).write_bytes(jpeg_of(photograph))
    with closing(MapStore(folder / "crack_map.sqlite")) as store:
        high = straight_crack(2, line_m=np.array([[0.0, 0.0, 8.0], [0.5, 0.0, 8.0]]))
        fine = straight_crack(3, width_mm=np.full(3, 0.05), width_sigma_mm=np.full(3, 0.005))
        store.save([straight_crack(1), high, fine], inspected_areas_m=[np.eye(3)], photographs=[photograph])
    return folder
