#!/usr/bin/env python3
# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Measure time and greatest memory of the report of a large map.

scripts/report_size.py --cracks 2000 --photographs 2 --megabytes 1.15    # prints a row of a Markdown table

The map is made in a temporary folder (--folder chooses the disk), with rendered photographs of the given size; the
report of all formats is then written by a process of its own, which needs the same room on the disk again.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from crack_perception.mapping.evidence.photograph import Photograph, PhotographedLine, photograph_folder
from crack_perception.mapping.mapped_crack import CrackState, MappedCrack
from crack_perception.mapping.storage.database import MapStore

WALL_M = (60.0, 20.0)
VERTICES, PICTURES = 60, 8
FIRST_NS = 1_700_000_000_000_000_000


def crack(number: int, rng: np.random.Generator) -> MappedCrack:
    """A wandering crack of 0.3 to 2 m on the wall y = 0."""
    length_m, angle = rng.uniform(0.3, 2.0), rng.uniform(0.0, np.pi)
    along = np.linspace(0.0, length_m, VERTICES)
    across = np.cumsum(rng.normal(0.0, 0.004, VERTICES))
    low_x, low_z = rng.uniform(0.0, WALL_M[0]), rng.uniform(0.0, WALL_M[1])
    x = low_x + along * np.cos(angle) - across * np.sin(angle)
    z = low_z + along * np.sin(angle) + across * np.cos(angle)
    return MappedCrack(
        id=number,
        state=CrackState.CONFIRMED,
        line_m=np.column_stack([x, np.zeros(VERTICES), z]),
        width_mm=rng.uniform(0.1, 1.5) * np.linspace(0.8, 1.2, VERTICES),
        width_sigma_mm=np.full(VERTICES, 0.03),
        normal=np.array([0.0, -1.0, 0.0]),
        covariance_m2=np.diag([1e-4, 4e-4, 1e-4]),
        score=0.95,
        gsd_mm_per_px=0.4,
        views=6,
        misses=0,
        first_seen_ns=FIRST_NS,
        last_seen_ns=FIRST_NS + 60_000_000_000,
    )


def picture(megabytes: float, rng: np.random.Generator) -> tuple[bytes, tuple[int, int]]:
    """A JPEG of noise of about that size, and its width and height."""
    width_px = round(1000 * np.sqrt(megabytes / 0.62) / 8) * 8
    height_px = width_px * 3 // 4
    grey = np.clip(rng.normal(150.0, 25.0, (height_px, width_px, 1)) * np.ones(3), 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes(), (width_px, height_px)


def photograph(of: MappedCrack, index: int, size_px: tuple[int, int]) -> Photograph:
    """A photograph from 1 m in front of the middle of a crack."""
    points_px = np.column_stack([np.linspace(20.0, size_px[0] - 20.0, VERTICES), np.full(VERTICES, size_px[1] / 2)])
    return Photograph(
        file=f"{of.id}-{index}.jpg",
        crack_id=of.id,
        stamp_ns=FIRST_NS + index,
        source="/crack_node",
        camera_frame="camera_optical_frame",
        model="standard",
        model_sha256="0" * 64,
        size_px=size_px,
        offset_px=(0, 0),
        intrinsics_px=(2500.0, 2500.0, size_px[0] / 2, size_px[1] / 2),
        position_m=of.line_m[VERTICES // 2] + [0.0, -1.0, 0.0],
        orientation_xyzw=np.array([-np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]),
        gsd_mm_per_px=0.4,
        obliquity_deg=3.0,
        sharpness=0.6,
        completeness=1.0,
        score=0.9,
        lines=(PhotographedLine(points_px, of.width_mm, of.width_sigma_mm, of.line_m),),
        map_frame="map",
    )


def make_map(path: Path, cracks: int, photographs: int, megabytes: float) -> float:
    """Write the map and its photographs; return the size of all photographs in gigabytes."""
    rng = np.random.default_rng(1)
    pictures = [picture(megabytes, rng) for _ in range(PICTURES)]
    folder = photograph_folder(path)
    folder.mkdir()
    made = [crack(number, rng) for number in range(1, cracks + 1)]
    taken, total = [], 0
    for each in made:
        for index in range(photographs):
            jpeg, size_px = pictures[(each.id + index) % PICTURES]
            taken.append(photograph(each, index, size_px))
            total += (folder / taken[-1].file).write_bytes(jpeg)
    width_m, height_m = WALL_M
    outline_m = np.array([[0, 0, 0], [0, 0, height_m], [width_m, 0, height_m], [width_m, 0, 0]], float)
    with closing(MapStore(path)) as store:
        store.save(made, [], cracks + 1, [outline_m], photographs=taken)
    return total / 1e9


def main() -> None:
    """Make the map, write its report and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cracks", type=int, default=2000, metavar="N")
    parser.add_argument("--photographs", type=int, default=2, metavar="N", help="of each crack (default: %(default)s)")
    parser.add_argument("--megabytes", type=float, default=1.15, metavar="MB", help="of a photograph")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where the map is made (default: the system's)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        path = Path(name) / "map.sqlite"
        size_gb = make_map(path, arguments.cracks, arguments.photographs, arguments.megabytes)
        command = [sys.executable, "-m", "crack_perception.cli.main", "report", str(path), "--out", f"{name}/report"]
        started_s = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall_s = time.monotonic() - started_s
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"| {arguments.cracks} | {arguments.cracks * arguments.photographs} | {size_gb:.1f} GB | {wall_s:.0f} s | "
        f"{used.ru_utime + used.ru_stime:.0f} s | {used.ru_maxrss / 1e6:.2f} GB | {os.getloadavg()[0]:.1f} |"
    )


if __name__ == "__main__":
    main()
