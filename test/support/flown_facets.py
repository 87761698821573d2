# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Flights along simulated walls with maps of them, and how well an orthophoto agrees with a wall's texture."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from crack_perception.mapping.storage.database import MapStore
from crack_perception.simulation.flight.plan import plan_flight
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import write_flight
from crack_perception.simulation.wall.facet import Wall

BLOCK_PX = 128


def flight_settings(**changes: Any) -> FlightSettings:
    """A short flight with a small camera and the errors of a good autopilot."""
    chosen: dict[str, Any] = {
        "seed": 5,
        "width": 640,
        "height": 480,
        "duration_s": 4.0,
        "fps": 4.0,
        "standoff_m": 0.6,
        "speed_m_s": 0.3,
        "attitude_deg": 1.0,
        "exposure_ms": 0.5,
        "cracks": 5,
    }
    return FlightSettings(**{**chosen, **changes})


def fly(settings: FlightSettings, folder: Path) -> tuple[Path, Path, list[Wall]]:
    """Write a bag, and a map file whose inspected areas are the walls; return both, and the walls."""
    folder.mkdir(parents=True, exist_ok=True)
    write_flight(settings, folder / "bag", True, lambda written, total: None)
    walls = [facet.wall for facet in plan_flight(settings).facets]
    map_path = folder / "map.sqlite"
    with closing(MapStore(map_path)) as store:
        store.save([], [], 1, [outline_m(wall) for wall in walls])
    return folder / "bag", map_path, walls


def outline_m(wall: Wall) -> np.ndarray:
    """Corners (4, 3) of a wall, clockwise as the camera sees them."""
    width_m, height_m = wall.size_m
    return wall.surface.to_map(np.array([[0.0, 0.0], [width_m, 0.0], [width_m, height_m], [0.0, height_m]]))


def true_picture(wall: Wall, points_m: np.ndarray, mm_per_px: float) -> np.ndarray:
    """Texture of a wall at map points (H, W, 3) that are ``mm_per_px`` apart, (H, W, 3) uint8."""
    factor = max(1.0, mm_per_px / wall.mm_per_px)
    texture = cv2.resize(wall.texture, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    scale = np.array(texture.shape[1::-1]) / (wall.size_m)
    places = wall.surface.to_surface(points_m.reshape(-1, 3)) * scale - 0.5
    maps = places.reshape(*points_m.shape[:2], 2).astype(np.float32)
    return cv2.remap(texture, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR)


def shifts_px(picture: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Shifts (N, 2) of the blocks of a picture (H, W, 4) with opacity against the truth (H, W, 3), in pixels."""
    grey, true_grey = (cv2.cvtColor(each[..., :3], cv2.COLOR_BGR2GRAY).astype(np.float32) for each in (picture, truth))
    window = cv2.createHanningWindow((BLOCK_PX, BLOCK_PX), cv2.CV_32F)
    found = []
    for top in range(0, grey.shape[0] - BLOCK_PX + 1, BLOCK_PX // 2):
        for left in range(0, grey.shape[1] - BLOCK_PX + 1, BLOCK_PX // 2):
            block = (slice(top, top + BLOCK_PX), slice(left, left + BLOCK_PX))
            if picture[block][..., 3].min() < 255:
                continue
            one, other = (fine(each[block]) for each in (true_grey, grey))
            shift, response = cv2.phaseCorrelate(one, other, window)
            if response > 0.1:
                found.append(shift)
    return np.array(found).reshape(-1, 2)


def fine(grey: np.ndarray) -> np.ndarray:
    """Details without the differences of brightness between images."""
    return grey - cv2.GaussianBlur(grey, (0, 0), 8.0)
