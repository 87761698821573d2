# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""False detections and recognition of pictures that show no structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from crack_perception.recognition.backends.protocol import NO_STRUCTURE_FROM
from crack_perception.recognition.frame_detector import FrameDetector
from crack_perception.training.data.other_pictures import other_picture_files
from crack_perception.training.data.picture_parts import random_part
from crack_perception.training.evaluation.figures import markdown_table, share
from crack_perception.vision.images.files import read_picture
from crack_perception.vision.tiling import in_channels

_PARTS = 4


def other_picture_figures(detector: FrameDetector, folder: Path, seed: int) -> dict[str, dict[str, Any]]:
    """Score four square parts of every picture, at random places and of random sizes, by subfolder.

    Args:
        detector: Detector with the model and an open backend.
        folder: Folder with pictures, or with subfolders of pictures, that show no structure.
        seed: Seed of places and sizes.

    Returns:
        By subfolder: ``reported``, the share of parts reported as cracked, and ``recognised``, the share recognised as
        no structure, both with ``n`` and ``interval`` over pictures; the latter is None for a model that does not tell.

    Raises:
        UserError: The folder has no pictures, or one cannot be read.
    """
    files = other_picture_files(folder)
    model, cracked, told = detector.model, [], []
    for index, path in enumerate(files):
        rng, picture = np.random.default_rng([seed, index]), read_picture(path)
        parts = np.stack([random_part(picture, model.tile_px, rng) for _ in range(_PARTS)])
        scores = detector.backend.run(in_channels(parts, model.channels))
        cracked.append(scores.crack_score >= detector.threshold)
        if scores.no_structure_score is not None:
            told.append(scores.no_structure_score >= NO_STRUCTURE_FROM)
    groups = np.repeat([str(path) for path in files], _PARTS)
    names = np.repeat([path.parent.relative_to(folder).as_posix() for path in files], _PARTS)
    hits, recognised = np.concatenate(cracked), np.concatenate(told) if told else None
    return {
        str(name): {
            "reported": share(hits[names == name], groups[names == name]),
            "recognised": None if recognised is None else share(recognised[names == name], groups[names == name]),
        }
        for name in np.unique(names)
    }


def other_picture_table(figures: dict[str, dict[str, Any]]) -> str:
    """Format the result of :func:`other_picture_figures` as a Markdown table."""
    unknown = dict.fromkeys(("share", "interval"))
    rows = []
    for name, row in figures.items():
        told = row["recognised"] or unknown
        reported = row["reported"]
        rows.append((name, reported["n"], reported["share"], reported["interval"], told["share"], told["interval"]))
    return markdown_table(("folder", "parts", "reported as cracked", "interval", "recognised", "interval"), rows)
