# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Synthetic intact surfaces: asphalt, rough render, brick, blocks, tiles, boards and smooth paint.

If a source shows only cracked images of a texture, or none at all, a network learns the texture instead of the crack.
These surfaces are rendered from noise, so that each texture exists with and without cracks. All images are
``(T, T, 3)`` uint8 BGR; the caller passes the random number generator.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception.documents import parse_json

Tile = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float32]

KINDS = ("asphalt", "render", "brick", "blocks", "paint")


@dataclass(frozen=True)
class Courses:
    """Masonry courses: rows of equal units in running bond; lengths in pixels.

    Attributes:
        unit_px: Length of a unit including its joint.
        course_px: Height of a row including its joint.
        joint_px: Width of the joints.
        origin_px: ``(x, y)`` of one crossing of joints.
        shift: Offset of every other row as a share of a unit (0 for a grid of tiles).
    """

    unit_px: float
    course_px: float
    joint_px: float
    origin_px: tuple[float, float]
    shift: float


@dataclass(frozen=True)
class Surface:
    """Image of an intact surface, and its joints if it has any."""

    pixels: Tile
    courses: Courses | None = None


def draw_surface(rng: np.random.Generator, size: int, kind: str | None = None) -> Surface:
    """Render a random surface.

    Args:
        rng: Random number generator.
        size: Side of the image [px].
        kind: One of :data:`KINDS`; a random one when None.
    """
    kind = kind or str(rng.choice(KINDS))
    if kind == "asphalt":
        return Surface(_coloured(_asphalt(rng, size), rng, 0.03))
    if kind == "render":
        return Surface(_coloured(_lit(_relief(rng, size), rng), rng, 0.12))
    if kind == "paint":
        return Surface(_coloured(_paint(rng, size), rng, 0.12))
    return _masonry(rng, size, kind)


def _band(rng: np.random.Generator, size: int, period_px: float, stretch: float = 1.0) -> Field:
    """Noise of one scale with mean 0 and standard deviation 1; ``stretch`` lengthens its grains along x."""
    noise = rng.standard_normal((size, size), np.float32)
    sigma = period_px / 4
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), sigma * stretch, sigmaY=sigma), np.float32)
    return (smooth - smooth.mean()) / max(float(smooth.std()), 1e-6)


def _octaves(rng: np.random.Generator, size: int, longest_px: float) -> Field:
    """Noise of all scales up to ``longest_px`` with equal weights; standard deviation 1."""
    total = np.zeros((size, size), np.float32)
    period = longest_px
    while period > 2:
        coarse = max(3, round(2 * size / period))
        octave = rng.standard_normal((coarse, coarse), np.float32)
        total += np.asarray(cv2.resize(octave, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
        period /= 2
    return (total - total.mean()) / max(float(total.std()), 1e-6)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _asphalt(rng: np.random.Generator, size: int) -> Field:
    """Brightness (about 0..1) of stones of several sizes and greys in a dark binder."""
    binder = rng.uniform(0.12, 0.5)
    picture = binder * (1 + rng.uniform(0.05, 0.3) * _octaves(rng, size, 16))
    largest = _log_uniform(rng, 4, 28)
    cover = rng.uniform(0.3, 0.9)
    brightness, sigma = rng.uniform(0.35, 0.8), rng.uniform(0.03, 0.18)
    for diameter in (largest / 4, largest / 2, largest):
        cells, edge = _cells(rng, size, max(diameter, 2.5))
        count = int(cells.max()) + 1
        greys = np.clip(rng.normal(brightness, sigma, count), 0.05, 1).astype(np.float32)
        shown = (rng.random(count) < cover / (1 + diameter / 6)).astype(np.float32)
        stone = np.clip((edge - rng.uniform(0.5, 1.5)) / 1.5, 0, 1) * shown[cells]
        stone = np.asarray(cv2.GaussianBlur(stone, (0, 0), 0.7), np.float32)
        picture = picture * (1 - stone) + greys[cells] * (1 + 0.06 * _band(rng, size, 4)) * stone
    if rng.random() < 0.5:
        picture = picture * 2 * _lit(_band(rng, size, largest), rng, contrast=rng.uniform(0.1, 0.4))
    return np.asarray(picture, np.float32)


def _cells(rng: np.random.Generator, size: int, diameter: float) -> tuple[npt.NDArray[np.int32], Field]:
    """Cellular noise: index of the cell of every pixel, and its distance from the edge of the cell [px]."""
    # Feature points lie on a jittered grid; the nearest in the 3 x 3 neighbourhood is found for all pixels at once.
    count = max(3, int(np.ceil(size / diameter)) + 2)
    y, x = np.mgrid[:size, :size].astype(np.float32) / np.float32(diameter)
    jitter = rng.uniform(0, 1, (count + 2, count + 2, 2)).astype(np.float32)
    column, row = x.astype(np.int32), y.astype(np.int32)
    first = np.full((size, size), 9.0, np.float32)
    second = first.copy()
    index = np.zeros((size, size), np.int32)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            r, c = row + dy + 1, column + dx + 1
            point = jitter[r, c]
            distance = np.hypot(x - (column + dx) - point[..., 0], y - (row + dy) - point[..., 1])
            nearer = distance < first
            second = np.where(nearer, first, np.minimum(second, distance))
            index = np.where(nearer, r * (count + 2) + c, index)
            first = np.minimum(first, distance)
    return index, np.asarray((second - first) * np.float32(diameter / 2), np.float32)


def _relief(rng: np.random.Generator, size: int) -> Field:
    """Height map of sprayed, brushed or worn material: bands of noise, sometimes with a direction."""
    stretch = _log_uniform(rng, 1.0, 3.0) if rng.random() < 0.5 else 1.0
    heights = _band(rng, size, _log_uniform(rng, 6, 40), stretch)
    heights += rng.uniform(0.1, 0.6) * _band(rng, size, _log_uniform(rng, 3, 8))
    if rng.random() < 0.4:
        heights = np.abs(heights) if rng.random() < 0.5 else np.minimum(heights, rng.uniform(-0.5, 0.8))
    if rng.random() < 0.5:
        heights = np.ascontiguousarray(heights.T)
    return np.asarray(heights, np.float32)


def _lit(heights: Field, rng: np.random.Generator, contrast: float | None = None) -> Field:
    """Brightness (about 0..1) of a height map lit from one side."""
    angle_rad = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle_rad) * cv2.Sobel(heights, cv2.CV_32F, 1, 0) + np.sin(angle_rad) * cv2.Sobel(
        heights, cv2.CV_32F, 0, 1
    )
    slope = np.tanh(slope / max(2 * float(slope.std()), 1e-6))
    contrast = rng.uniform(0.05, 0.35) if contrast is None else contrast
    return np.asarray(rng.uniform(0.35, 0.7) * (1 + contrast * slope + 0.04 * _octaves(rng, len(heights), 64)), "f4")


def _paint(rng: np.random.Generator, size: int) -> Field:
    """Brightness (about 0..1) of a smooth coat: soft clouds, fine grain, sometimes brush marks."""
    picture = 1 + rng.uniform(0.01, 0.06) * _octaves(rng, size, 256) + rng.uniform(0, 0.02) * _band(rng, size, 3)
    if rng.random() < 0.3:
        marks = _band(rng, size, 4, stretch=12.0)
        picture += rng.uniform(0.005, 0.04) * (marks if rng.random() < 0.5 else marks.T)
    return np.asarray(rng.uniform(0.4, 0.85) * picture, np.float32)


def _masonry(rng: np.random.Generator, size: int, kind: str) -> Surface:
    """Render bricks in running bond, or larger blocks, boards or tiles."""
    if kind == "brick":
        course_px = _log_uniform(rng, 18, 110)
        unit_px, shift = course_px * rng.uniform(2.2, 3.6), 0.5
        joint_px = course_px * rng.uniform(0.06, 0.22)
    else:
        course_px = _log_uniform(rng, 50, 300)
        unit_px, shift = course_px * _log_uniform(rng, 0.8, 4.0), float(rng.choice([0.0, 0.5]))
        joint_px = _log_uniform(rng, 1.0, 8.0)
    courses = Courses(unit_px, course_px, joint_px, (rng.uniform(0, unit_px), rng.uniform(0, course_px)), shift)
    distance, unit = _units(courses, size, rng)
    tones = np.clip(rng.normal(1.0, rng.uniform(0.02, 0.15), int(unit.max()) + 1), 0.5, 1.6).astype(np.float32)
    face = _lit(_relief(rng, size), rng) if rng.random() < 0.6 else _paint(rng, size)
    colour = _tint(rng, 0.35 if kind == "brick" else 0.12)
    faces = (face * tones[unit])[..., None] * colour
    if kind == "brick" and rng.random() < 0.7:
        faces = faces * np.array([0.55, 0.65, 1.05], np.float32)
    mortar_level = rng.uniform(0.25, 0.85)
    mortar = (mortar_level * (1 + 0.08 * _octaves(rng, size, 32)))[..., None] * _tint(rng, 0.08)
    if kind == "blocks" and rng.random() < 0.5:
        mortar = faces * rng.uniform(0.3, 0.9)
    in_joint = np.clip((joint_px / 2 - distance) / rng.uniform(0.7, 2.0) + 0.5, 0, 1)[..., None]
    picture = faces * (1 - in_joint) + mortar * in_joint
    if rng.random() < 0.5:
        # Recessed joints are shaded by the units above and beside them.
        offset = max(1, round(joint_px * rng.uniform(0.15, 0.5)))
        shade = np.clip(in_joint - np.roll(in_joint, (offset, offset), (0, 1)), 0, 1)
        picture = picture * (1 - rng.uniform(0.1, 0.6) * shade)
    return Surface(_to_tile(picture), courses)


def _units(courses: Courses, size: int, rng: np.random.Generator) -> tuple[Field, npt.NDArray[np.int32]]:
    """Distance of every pixel from the centreline of the nearest joint [px], and the index of its unit."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    wobble = min(1.5, courses.course_px * 0.02)
    y = y + wobble * _band(rng, size, 40) - courses.origin_px[1]
    x = x + wobble * _band(rng, size, 40) - courses.origin_px[0]
    row = np.floor(y / courses.course_px)
    x = x - courses.shift * courses.unit_px * (row % 2)
    column = np.floor(x / courses.unit_px)
    across = np.abs(y / courses.course_px - np.rint(y / courses.course_px)) * courses.course_px
    along = np.abs(x / courses.unit_px - np.rint(x / courses.unit_px)) * courses.unit_px
    unit = ((row - row.min()) * (column.max() - column.min() + 1) + column - column.min()).astype(np.int32)
    return np.asarray(np.minimum(across, along), np.float32), unit


def stepped_path(courses: Courses, size: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Make a stepped crack centreline through the joints, alternately along bed joints and head joints.

    Returns:
        ``(N, 2)`` points ``(x, y)`` [px].
    """
    rows = range(
        int(np.floor((-0.2 * size - courses.origin_px[1]) / courses.course_px)),
        int(np.ceil((1.2 * size - courses.origin_px[1]) / courses.course_px)) + 1,
    )
    # Head joints in half units; starting from the middle row keeps the crack inside the image.
    middle = len(rows) // 2
    half_units = np.zeros(len(rows), int)
    nearest = 2 * (rng.uniform(0.2, 0.8) * size - courses.origin_px[0]) / courses.unit_px
    half_units[middle] = round(nearest)
    drift = int(rng.choice([-1, 1]))
    for i in itertools.chain(range(middle + 1, len(rows)), range(middle - 1, -1, -1)):
        outwards = 1 if i > middle else -1
        step = drift * outwards if rng.random() < 0.75 else -drift * outwards
        if courses.shift == 0.0:
            step = 2 * step if rng.random() < 0.5 else 0
        half_units[i] = half_units[i - outwards] + step
    points = []
    for row, half_unit in zip(rows, half_units, strict=True):
        odd = courses.shift > 0 and row % 2 != 0
        x = courses.origin_px[0] + (2 * (half_unit // 2) + odd) * courses.unit_px / 2
        y = courses.origin_px[1] + row * courses.course_px
        points += [(x, y), (x, y + courses.course_px)]
    return _jagged(np.asarray(points, np.float64), courses.joint_px, rng)


def _jagged(path: npt.NDArray[np.float64], joint_px: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Resample a path in steps of about 6 px, each moved a little inside the joint."""
    pieces = []
    for start, end in itertools.pairwise(path):
        count = max(2, int(np.hypot(*(end - start)) / 6))
        pieces.append(start + np.linspace(0, 1, count, endpoint=False)[:, None] * (end - start))
    fine = np.concatenate([*pieces, path[-1:]])
    return fine + rng.normal(0, min(0.25 * joint_px, 2.0) + 0.2, fine.shape)


def _tint(rng: np.random.Generator, two_sigma: float) -> npt.NDArray[np.float32]:
    """Random colour cast ``(3,)``; twice the standard deviation of its logarithm is given."""
    return np.exp(rng.normal(0, two_sigma / 2, 3)).astype(np.float32)


def _coloured(brightness: Field, rng: np.random.Generator, two_sigma: float) -> Tile:
    return _to_tile(brightness[..., None] * _tint(rng, two_sigma))


def _to_tile(picture: npt.NDArray[np.float32]) -> Tile:
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class SurfacePool:
    """Synthetic surfaces kept on disk, because rendering one takes longer than a training step on it.

    Attributes:
        pixels: ``(M, T, T, 3)`` uint8 BGR.
        courses: Joints of each surface, or None.
        photographed: ``(P, T, T, 3)`` uint8 BGR: parts of pictures of intact surfaces, numbered after the others.
    """

    pixels: npt.NDArray[np.uint8]
    courses: Sequence[Courses | None]
    photographed: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 1, 1, 3), np.uint8))

    def __len__(self) -> int:
        return len(self.courses) + len(self.photographed)

    def __getitem__(self, index: int) -> Surface:
        if index >= len(self.courses):
            return Surface(np.asarray(self.photographed[index - len(self.courses)]))
        return Surface(np.asarray(self.pixels[index]), self.courses[index])


def load_surfaces(count: int, size: int, seed: int, cache: Path) -> SurfacePool:
    """Render surfaces once; later calls map them into memory.

    Args:
        count: Number of surfaces.
        size: Side of the images [px].
        seed: Surface i is rendered with the seed ``(seed, i)``.
        cache: Folder of the files; their names depend on the arguments and on the source code of this module.
    """
    source = hashlib.sha256(inspect.getsource(sys.modules[__name__]).encode()).hexdigest()[:12]
    pixels_path = cache / f"surfaces_{count}_{size}_{seed}_{source}.npy"
    courses_path = pixels_path.with_suffix(".json")
    if not (pixels_path.is_file() and courses_path.is_file()):
        cache.mkdir(parents=True, exist_ok=True)
        partial = pixels_path.with_suffix(".partial")
        pixels = np.lib.format.open_memmap(partial, "w+", np.uint8, (count, size, size, 3))
        courses = []
        for i in range(count):
            surface = draw_surface(np.random.default_rng([seed, i]), size)
            pixels[i] = surface.pixels
            courses.append(surface.courses and asdict(surface.courses))
        pixels.flush()
        courses_path.write_text(json.dumps(courses), encoding="utf-8")
        partial.rename(pixels_path)
    stored = parse_json(courses_path.read_text(encoding="utf-8"))
    return SurfacePool(np.load(pixels_path, mmap_mode="r"), [c and Courses(**c) for c in stored])
