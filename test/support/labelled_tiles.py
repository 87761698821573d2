# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A small folder of labelled tiles: dark lines on noise of two grey levels, each level in separate photographs."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

SIDE_PX = 96
SOURCES = {"sdnet2018": 170, "metu": 120}
"""Grey level by surface name."""
TRAIN_PHOTOGRAPHS, TEST_PHOTOGRAPHS = 24, 6
_COLUMNS = ("path", "source", "split", "label", "role", "surface", "group_id", "mask_path", "width_px_mean")


def write_labelled_tiles(folder: Path) -> Path:
    """Write images and ``manifest.csv`` and return the folder; every photograph gives one cracked and one intact tile.

    Two images of a source outside the training have masks, with cracks of 2 and of 9 px.
    """
    rng = np.random.default_rng(5)
    rows = []
    for source, level in SOURCES.items():
        for photograph in range(TRAIN_PHOTOGRAPHS + TEST_PHOTOGRAPHS):
            split = "train" if photograph < TRAIN_PHOTOGRAPHS else "test"
            for label in ("crack", "none"):
                path = f"{source}_{photograph}_{label}.png"
                image = _surface(rng, level, SIDE_PX)
                if label == "crack":
                    _draw(image, rng, int(rng.integers(2, 5)))
                cv2.imwrite(str(folder / path), image)
                rows.append((path, source, split, label, "ship", "wall", f"{source}:{photograph}", "", ""))
    for width in (2, 9):
        image, mask = _surface(rng, 150, 300), np.zeros((300, 300), np.uint8)
        cv2.line(image, (280, 10), (290, 290), (40, 40, 40), width)
        cv2.line(mask, (280, 10), (290, 290), 255, width)
        cv2.imwrite(str(folder / f"masked_{width}.png"), image)
        cv2.imwrite(str(folder / f"mask_{width}.png"), mask)
        paths = (f"masked_{width}.png", f"mask_{width}.png")
        rows.append(
            (paths[0], "other", "test", "crack", "evaluate", "wall", f"other:{width}", paths[1], str(width + 1))
        )
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(rows)
    return folder


def _surface(rng: np.random.Generator, level: int, side: int) -> np.ndarray:
    return np.clip(rng.normal(level, 6.0, (side, side, 1)) + np.zeros(3), 0, 255).astype(np.uint8)


def _draw(image: np.ndarray, rng: np.random.Generator, width: int) -> None:
    ends = [(0, int(rng.integers(SIDE_PX))), (SIDE_PX - 1, int(rng.integers(SIDE_PX)))]
    cv2.line(image, *ends, (30, 30, 30), width)
