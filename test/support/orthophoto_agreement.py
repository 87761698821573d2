# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How far mapped cracks lie beside the same cracks of an orthophoto, on simulated flights.

python test/support/orthophoto_agreement.py OUT --seeds 1 2    # prints the rows of a Markdown table
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from flown_facets import BLOCK_PX, fine, true_picture

from crack_perception.cli.main import main as command
from crack_perception.mapping.mapped_crack import MappedCrack
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.report.orthophoto.index import INDEX, orthophoto_folder
from crack_perception.simulation.flight.plan import Facet, plan_flight
from crack_perception.simulation.flight.settings import FlightSettings
from crack_perception.simulation.flight.simulation import write_flight

EVERY_M = 0.1
NEAR_M = 0.3
LEAST_RESPONSE = 0.1


@dataclass(frozen=True, eq=False)
class Agreement:
    """Distances across mapped cracks, in metres (N,).

    Attributes:
        line_m: From the true crack to the mapped line.
        picture_m: From the true crack to the same crack of the picture.
        between_m: From the crack of the picture to the mapped line.
    """

    line_m: np.ndarray
    picture_m: np.ndarray
    between_m: np.ndarray

    def row(self, words: str) -> str:
        cells = [
            f"{1000 * np.median(values):.0f} / {1000 * np.quantile(values, 0.95):.0f} mm"
            for values in (self.line_m, self.picture_m, self.between_m)
        ]
        return f"| {words} | {' | '.join(cells)} | {len(self.line_m)} |"


def settings_of(seed: int, attitude_deg: float = 1.0, position_m: float = 0.02) -> FlightSettings:
    """A flight along a wall with the errors of the poses of a survey."""
    return FlightSettings(
        seed=seed,
        width=1280,
        height=960,
        duration_s=24.0,
        fps=3.0,
        standoff_m=1.0,
        speed_m_s=0.25,
        attitude_deg=1.0,
        exposure_ms=0.5,
        cracks=40,
        pose_noise_m=position_m,
        attitude_noise_deg=attitude_deg,
    )


def flown(settings: FlightSettings, out: Path) -> tuple[Path, Path]:
    """Bag of a flight, and the map that ``survey`` makes of it."""
    bag = out / "wall" / "flight"
    if not bag.exists():
        write_flight(settings, bag, False, lambda written, total: None)
    archive = out / "archive"
    arguments = ["survey", str(out / "wall"), "--out", str(archive), "--model", "nano", "--workers", "1"]
    assert command(arguments) == 0
    return bag, archive / "structures" / "wall" / "map.sqlite"


def agreement(map_path: Path, settings: FlightSettings) -> Agreement:
    """Compare the orthophoto and the cracks of a map with the wall."""
    facets = plan_flight(settings).facets
    cracks = read_snapshot(map_path).cracks
    found: list[np.ndarray] = [np.zeros((0, 3))]
    folder = orthophoto_folder(map_path)
    for entry in json.loads((folder / INDEX).read_text())["facets"]:
        with rasterio.open(folder / entry["files"]["picture"]) as file:
            picture = np.ascontiguousarray(file.read().transpose(1, 2, 0)[..., [2, 1, 0, 3]])
        found.append(_rows(entry, picture, facets, cracks))
    rows = np.concatenate(found)
    return Agreement(*(np.abs(column) for column in rows.T))


def _rows(
    entry: dict[str, Any], picture: np.ndarray, facets: Sequence[Facet], cracks: Sequence[MappedCrack]
) -> np.ndarray:
    """Signed distances (N, 3) across: line, picture, line from picture."""
    step_m = entry["mm_per_px"] / 1000
    origin_m, u_m, v_m = (np.array(entry[name]) for name in ("origin_m", "u_m", "v_m"))
    u = entry["left_m"] + (np.arange(entry["width_px"]) + 0.5) * step_m
    v = entry["top_m"] - (np.arange(entry["height_px"]) + 0.5) * step_m
    points_m = origin_m + u[None, :, None] * u_m + v[:, None, None] * v_m
    middle_m = points_m[len(v) // 2, len(u) // 2]
    normal = np.array(entry["normal"])
    facet = min(
        (each for each in facets if abs(normal @ each.wall.surface.normal) > 0.9),
        key=lambda each: abs((middle_m - each.wall.surface.origin_m) @ each.wall.surface.normal),
    )
    truth = true_picture(facet.wall, points_m, entry["mm_per_px"])
    grey, true_grey = (
        fine(cv2.cvtColor(each[..., :3], cv2.COLOR_BGR2GRAY).astype(np.float32)) for each in (picture, truth)
    )
    window = cv2.createHanningWindow((BLOCK_PX, BLOCK_PX), cv2.CV_32F)
    flat = [
        np.column_stack([(points - origin_m) @ u_m, (points - origin_m) @ v_m])
        for points in (facet.wall.surface.to_map(crack.line_m) for crack in facet.cracks)
    ]
    true_m = np.concatenate(flat)
    tangents = np.concatenate([np.gradient(line, axis=0) for line in flat])
    rows = []
    for crack in cracks:
        along_m = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(crack.line_m, axis=0), axis=1))])
        for at_m in np.arange(0.0, along_m[-1], EVERY_M):
            point = np.array([np.interp(at_m, along_m, crack.line_m[:, axis]) for axis in range(3)]) - origin_m
            place = np.array([point @ u_m, point @ v_m])
            nearest = int(np.linalg.norm(true_m - place, axis=1).argmin())
            off = place - true_m[nearest]
            if np.linalg.norm(off) > NEAR_M:
                continue
            across = np.array([-tangents[nearest][1], tangents[nearest][0]])
            across /= np.linalg.norm(across)
            left = round((true_m[nearest][0] - entry["left_m"]) / step_m) - BLOCK_PX // 2
            top = round((entry["top_m"] - true_m[nearest][1]) / step_m) - BLOCK_PX // 2
            block = (slice(top, top + BLOCK_PX), slice(left, left + BLOCK_PX))
            if (
                min(left, top) < 0
                or picture[block].shape[:2] != (BLOCK_PX, BLOCK_PX)
                or picture[block][..., 3].min() < 255
            ):
                continue
            shift, response = cv2.phaseCorrelate(true_grey[block], grey[block], window)
            if response < LEAST_RESPONSE:
                continue
            shown = np.array([shift[0], -shift[1]]) * step_m
            rows.append((off @ across, shown @ across, (off - shown) @ across))
    return np.array(rows).reshape(-1, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--attitude", type=float, default=1.0)
    parser.add_argument("--position", type=float, default=0.02)
    arguments = parser.parse_args()
    print("| flight | mapped line from the wall | picture from the wall | line from the picture | places |")
    print("|---|---|---|---|---|")
    for seed in arguments.seeds:
        settings = settings_of(seed, arguments.attitude, arguments.position)
        bag, map_path = flown(settings, arguments.out / f"{seed}")
        for words, options in (("as recorded", ["--as-recorded"]), ("adjusted", [])):
            assert command(["orthophoto", str(bag), "--map", str(map_path), "--mm-per-px", "1", *options]) == 0
            print(agreement(map_path, settings).row(f"{seed}, {words}"), flush=True)


if __name__ == "__main__":
    main()
