"""Drawn surfaces kept on disk: drawing stones anew for every view would take longer than learning from it."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crack_perception.training.data import surfaces
from crack_perception.training.data.surfaces import Courses, Surface, draw_surface


@dataclass(frozen=True)
class SurfacePool:
    """Sound surfaces.

    Attributes:
        pixels: ``(M, T, T, 3)`` uint8 BGR.
        courses: Joints of each, or None.
    """

    pixels: npt.NDArray[np.uint8]
    courses: Sequence[Courses | None]

    def __len__(self) -> int:
        return len(self.courses)

    def __getitem__(self, index: int) -> Surface:
        return Surface(np.asarray(self.pixels[index]), self.courses[index])


def load_surfaces(count: int, size: int, seed: int, cache: Path) -> SurfacePool:
    """Draw surfaces once; later calls map them into memory.

    Args:
        count: Number of surfaces.
        size: Side of the pictures in pixels.
        seed: Of the first; surface i has the seed ``(seed, i)``.
        cache: Folder; the files' names change with the arguments and with the code that draws.
    """
    source = hashlib.sha256(inspect.getsource(surfaces).encode()).hexdigest()[:12]
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
    stored = json.loads(courses_path.read_text(encoding="utf-8"))
    return SurfacePool(np.load(pixels_path, mmap_mode="r"), [c and Courses(**c) for c in stored])
