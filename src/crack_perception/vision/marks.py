# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Cracks that people marked in pictures: which names mean a crack, masks in run lengths, and outlines of masks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.errors import UserError

Mask = npt.NDArray[np.uint8]

MOST_PIXELS = 1 << 28
"""Larger masks are refused."""
_CRACK = "crack"
_NEGATIONS = ("no", "non", "not", "un", "without")
# Characters of a compressed list of run lengths: six bits each, from this character on.
_FIRST_CHARACTER, _MORE, _SIGN = 48, 0x20, 0x10


def means_crack(name: str) -> bool:
    """Return whether a name says that there is a crack: ``Crack_2`` does, ``no-crack`` and ``spalling`` do not."""
    before, found, _ = name.lower().partition(_CRACK)
    return bool(found) and before.rstrip(" _-") not in _NEGATIONS


def crack_names(names: set[str], chosen_name: str | None, path: Path, remedy: str) -> set[str]:
    """Return the category names that mean a crack.

    Args:
        names: All names in a file.
        chosen_name: Name that the user gave; None takes all that contain ``crack``, or the only one
            unless it denies a crack.
        path: The file, for the message.
        remedy: What the user should do where no name means a crack.

    Raises:
        UserError: None does, or ``chosen_name`` is not among them.
    """
    if chosen_name is not None:
        chosen = {name for name in names if name == chosen_name}
    else:
        chosen = {name for name in names if means_crack(name)}
        if not chosen and len(names) == 1:
            chosen = {name for name in names if _CRACK not in name.lower()}  # never "no crack"
    if names and not chosen:
        what = (
            f"no category is named '{chosen_name}'" if chosen_name is not None else "no category name contains 'crack'"
        )
        raise UserError(f"{path}: {what}; it has {', '.join(sorted(names))}", remedy)
    return chosen


def run_length_mask(segmentation: Mapping[str, Any]) -> Mask:
    """Decode a mask in COCO's run lengths, as numbers or compressed to a string.

    Args:
        segmentation: ``size`` (height, width) and ``counts``: lengths of alternating runs of background and mask, down
            the columns.

    Returns:
        Mask (H, W), 1 where the object is.

    Raises:
        KeyError, TypeError, ValueError: It is malformed, larger than ``MOST_PIXELS``, or the runs do not fill the mask.

    Example:
        >>> run_length_mask({"size": [2, 3], "counts": [1, 2, 3]}).tolist()
        [[0, 1, 0], [1, 0, 0]]

    Source: the mask format of the COCO dataset (Lin et al. 2014).
    """
    height, width = (int(side) for side in segmentation["size"])
    if height < 1 or width < 1 or height * width > MOST_PIXELS:
        raise ValueError(f"a mask of {width}x{height} px")
    counts = segmentation["counts"]
    runs = np.array(_uncompressed(counts) if isinstance(counts, (str, bytes)) else counts, np.int64).reshape(-1)
    if (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f"its run lengths add up to {runs.sum()}, not to {width}x{height} px")
    values = np.resize(np.array([0, 1], np.uint8), len(runs))
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


def _uncompressed(text: str | bytes) -> list[int]:
    """Return run lengths; from the fourth on the text holds the difference to the one before the last."""
    runs: list[int] = []
    value = shift = 0
    for character in text.encode("ascii") if isinstance(text, str) else text:
        digit = character - _FIRST_CHARACTER
        if not 0 <= digit < 64:
            raise ValueError("its run lengths hold a character that does not occur in them")
        value |= (digit & (_MORE - 1)) << shift
        shift += 5
        if digit & _MORE:
            continue
        if digit & _SIGN:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its run lengths end too early")
    return runs


def outlines_of(mask: npt.NDArray[Any]) -> list[npt.NDArray[np.float64]]:
    """Return the outlines [px], (M, 2) each, of the connected parts of a mask (H, W) whose pixels are not 0."""
    contours, _ = cv2.findContours((mask > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [np.asarray(contour[:, 0], np.float64) for contour in contours]
