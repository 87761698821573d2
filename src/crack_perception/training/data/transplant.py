"""Real cracks moved to other surfaces: what a crack does to the light is cut from one tile and laid on another.

On smooth concrete a dark crack stands out by itself, without any mask: the tile divided by its own surroundings is the
gain that the crack puts on the brightness. Multiplied onto brick, asphalt or rough render it gives a crack of real
shape on a surface that no labelled source shows cracked. Tiles are ``(T, T, 3)`` uint8 BGR.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Tile = npt.NDArray[np.uint8]
Gain = npt.NDArray[np.uint8]
"""``(T, T)`` uint8; 255 leaves the brightness as it is, 0 makes it black."""

_SURROUNDINGS_PX = 41
_NOISE_SIGMAS = 3.5
_LEAST_LOSS = 0.16
_LEAST_AREA = 0.004
_MOST_AREA = 0.25
_LEAST_EXTENT = 0.45


def crack_gain(tile: Tile) -> Gain | None:
    """The crack of a tile as a gain, or None where no single crack stands clearly out of a smooth surface."""
    grey = cv2.GaussianBlur(cv2.cvtColor(tile, cv2.COLOR_BGR2GRAY), (0, 0), 0.6)
    surroundings = cv2.medianBlur(grey, _SURROUNDINGS_PX).astype(np.float32)
    loss = 1.0 - grey.astype(np.float32) / np.maximum(surroundings, 1.0)
    noise = 1.4826 * float(np.median(np.abs(loss)))
    threshold = max(_LEAST_LOSS, _NOISE_SIGMAS * noise)
    dark = (loss > threshold).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    if count < 2:
        return None
    extents = np.maximum(stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT])
    kept = 1 + np.nonzero(extents >= 0.12 * len(tile))[0]
    crack = np.isin(labels, kept)
    if extents.max() < _LEAST_EXTENT * len(tile) or not _LEAST_AREA <= crack.mean() <= _MOST_AREA:
        return None
    near = cv2.GaussianBlur(cv2.dilate(crack.astype(np.float32), np.ones((3, 3), np.uint8)), (0, 0), 0.8)
    gain = 1.0 - np.clip(loss, 0.0, 1.0) * np.clip(near * 1.5, 0.0, 1.0)
    return np.clip(np.rint(gain * 255), 0, 255).astype(np.uint8)


def transplant(tile: Tile, gain: Gain, rng: np.random.Generator) -> Tile:
    """Lay a crack on a sound tile: turned, scaled 0.5-1.6 and shifted, weaker or stronger than it was."""
    size = tile.shape[0]
    scale = float(np.exp(rng.uniform(np.log(0.5), np.log(1.6))))
    centre = (size - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), float(rng.uniform(0, 360)), scale)
    matrix[:, 2] += rng.uniform(-0.15, 0.15, 2) * size
    moved = cv2.warpAffine(gain, matrix, (size, size), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101)
    strength = rng.uniform(0.5, 1.3)
    factor = np.power(np.maximum(moved.astype(np.float32), 8.0) / 255.0, np.float32(strength))
    return np.clip(np.rint(tile * factor[..., None]), 0, 255).astype(np.uint8)
