# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Results of the core for the same images on two kinds of processor, and their comparison (docs/platforms.md).

    python scripts/platform_results.py render IMAGES
    python scripts/platform_results.py compute IMAGES RESULTS.npz [--model nano]
    python scripts/platform_results.py compare RESULTS.npz OTHER.npz

``scripts/aarch64`` runs all three. Exit codes: 0 done, or the results agree; 1 they do not.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crack_perception import CrackDetector
from crack_perception.cli.main import main as crack_perception
from crack_perception.recognition.backends.onnxruntime import OnnxRuntimeBackend
from crack_perception.recognition.models import load_model
from crack_perception.vision.images.files import read_masked_picture
from crack_perception.vision.tiling import cut_tiles, in_channels, plan_tiles, reduced

Array = npt.NDArray[Any]

GSD_MM_PER_PX = 0.4
TILES = 6
FRAME_PX = (480, 640)
RELATIVE_TOLERANCE = 1e-3
"""Largest accepted difference of a number, relative to the largest one of its array where that is above 1."""


def render(folder: Path) -> None:
    """Write tiles (PNG) and a frame (JPEG) of concrete, most of them with a crack."""
    from crack_perception.simulation.wall.concrete import concrete_texture
    from crack_perception.simulation.wall.crack_rendering import (
        crack_coverage,
        darken,
        random_crack_polyline,
        random_width_profile,
    )

    folder.mkdir(parents=True, exist_ok=True)
    for index in range(TILES + 1):
        rng = np.random.default_rng([17, index])
        shape = FRAME_PX if index == TILES else (256, 256)
        picture = concrete_texture(rng, shape, GSD_MM_PER_PX)
        if index % 3 != 2:
            height, width = shape
            ends = np.array([[0.05 * width, rng.uniform(0.2, 0.8) * height], [0.95 * width, 0.5 * height]])
            line_px = random_crack_polyline(rng, ends[0], ends[1], 0.08, 5.5)
            widths_px = random_width_profile(rng, len(line_px), 2.0 + index, 0.2)
            picture = darken(picture, crack_coverage(shape, line_px, widths_px), 0.5, rng)
        name = "frame.jpg" if index == TILES else f"tile_{index}.png"
        cv2.imwrite(str(folder / name), picture)


def compute(images: Path, model_name: str) -> dict[str, Array]:
    """Return what every stage of the core and the verbs ``score`` and ``detect`` give for a folder of images.

    Arrays of integers and of text have to be the same on every processor; floats may differ in their last digits.
    """
    results: dict[str, Array] = {}
    model = load_model(model_name)
    backend = OnnxRuntimeBackend(model, threads=1)
    detector = CrackDetector(model_name, backend="onnxruntime", threads=1)
    paths = sorted(path for path in images.iterdir() if path.suffix in (".jpg", ".png"))
    for path in paths:
        pixels = read_masked_picture(path).pixels
        grid = plan_tiles(pixels.shape[1], pixels.shape[0], model.tile_px)
        tiles = cut_tiles(in_channels(pixels, model.channels), grid)
        scores = backend.run(tiles)
        cracks = detector(path, gsd_mm_per_px=GSD_MM_PER_PX)
        results |= {
            f"pixels/{path.name}": pixels,
            f"halved pixels/{path.name}": reduced(pixels, 2),
            f"tiles/{path.name}": tiles,
            f"model outputs/{path.name}": np.stack(
                [scores.crack_score, scores.wide_score, scores.log_width_px, scores.log_width_sigma]
            ),
            f"boxes/{path.name}": cracks.boxes,
            f"crack scores/{path.name}": cracks.scores,
            f"widths [mm]/{path.name}": np.stack([cracks.width_mm, cracks.width_sigma_mm]),
            f"severities/{path.name}": np.asarray(cracks.severity, dtype=np.str_),
            f"centrelines [px]/{path.name}": _stacked([line for lines in cracks.lines for line in lines]),
        }
    results |= _verb_results(paths, model_name)
    return results


def _stacked(lines: list[Array]) -> Array:
    return np.concatenate(lines) if lines else np.empty((0, 2))


def _verb_results(paths: list[Path], model_name: str) -> dict[str, Array]:
    """Return the texts and the numbers that ``score`` and ``detect`` write."""
    options = ["--model", model_name, "--backend", "onnxruntime", "--gsd", str(GSD_MM_PER_PX)]
    with tempfile.TemporaryDirectory() as folder:
        table, out = Path(folder, "scores.csv"), Path(folder, "detections")
        names = list(map(str, paths))
        for arguments in (
            ["score", *options, "--out", str(table), *names],
            ["detect", *options, "--out", str(out), *names],
        ):
            with contextlib.redirect_stdout(io.StringIO()):
                code = crack_perception(arguments)
            if code != 0:
                raise SystemExit(f"error: crack_perception {arguments[0]} ended with {code}; its message is above")
        rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
        values = [value for row in rows for name, value in row.items() if name != "path"]
        inputs = json.loads((out / "detections.json").read_text(encoding="utf-8"))["inputs"]
    scored, detected = _split(values), _split([leaf for entry in inputs for leaf in _leaves(entry["regions"])])
    return {
        "texts of score": scored[0],
        "numbers of score": scored[1],
        "texts of detect": detected[0],
        "numbers of detect": detected[1],
    }


def _leaves(value: Any) -> Iterator[Any]:
    """Yield keys and values of nested plain data, in order."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _split(values: list[Any]) -> tuple[Array, Array]:
    """Return the texts and the numbers among values, each in order; integers in a table count as text."""
    numbers = [float(value) for value in values if isinstance(value, int | float) or _is_decimal(value)]
    texts = [str(value) for value in values if not isinstance(value, int | float) and not _is_decimal(value)]
    return np.array(texts, np.str_), np.array(numbers, np.float64)


def _is_decimal(value: Any) -> bool:
    return isinstance(value, str) and "." in value and value.replace(".", "", 1).lstrip("-").isdigit()


def compare(ours: dict[str, Array], others: dict[str, Array]) -> tuple[list[str], bool]:
    """Return a table with a row for each kind of result, and whether the two agree.

    Args:
        ours, others: Results of ``compute``; the kind is the part of a name before its first slash.
    """
    rows = ["| result | values | equal bits | largest difference | agrees |", "|---|---|---|---|---|"]
    is_same = True
    for kind in dict.fromkeys(name.split("/")[0] for name in [*ours, *others]):
        names = [name for name in dict.fromkeys([*ours, *others]) if name.split("/")[0] == kind]
        empty = np.empty(0)
        pairs = [(ours.get(name, empty), others.get(name, empty)) for name in names]
        if any(one.shape != other.shape or one.dtype.kind != other.dtype.kind for one, other in pairs):
            rows.append(f"| {kind} | | | different sizes | no |")
            is_same = False
            continue
        count = sum(one.size for one, _ in pairs)
        equal = sum(int(_equal_bits(one, other).sum()) for one, other in pairs)
        differences = [_difference(one, other) for one, other in pairs if one.size]
        largest = max((difference for difference, _ in differences), default=0.0)
        agrees = all(within for _, within in differences)
        is_same &= agrees
        rows.append(f"| {kind} | {count} | {equal} | {largest:.2g} | {'yes' if agrees else 'no'} |")
    return rows, is_same


def _equal_bits(one: Array, other: Array) -> npt.NDArray[np.bool_]:
    if one.dtype.kind != "f":
        return np.asarray(one == other)
    bits = np.dtype(f"u{one.dtype.itemsize}")
    same = one.view(bits) == other.view(bits)
    return np.asarray(same | (np.isnan(one) & np.isnan(other)))


def _difference(one: Array, other: Array) -> tuple[float, bool]:
    """Return the largest difference of two arrays, and whether it is accepted."""
    if one.dtype.kind != "f":
        if np.issubdtype(one.dtype, np.number):
            largest = float(np.abs(one.astype(np.int64) - other.astype(np.int64)).max())
        else:
            largest = float((one != other).sum())
        return largest, largest == 0
    if not np.array_equal(np.isnan(one), np.isnan(other)):
        return float("nan"), False
    largest = float(np.nanmax(np.abs(one - other))) if not np.isnan(one).all() else 0.0
    return largest, largest <= RELATIVE_TOLERANCE * max(1.0, float(np.nanmax(np.abs(one), initial=0.0)))


def main(arguments: list[str] | None = None) -> int:
    """Run one of the three steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("render", help="write the images")
    step.add_argument("images", type=Path, metavar="IMAGES")
    step = steps.add_parser("compute", help="write the results on this processor")
    step.add_argument("images", type=Path, metavar="IMAGES")
    step.add_argument("results", type=Path, metavar="RESULTS.npz")
    step.add_argument("--model", default="nano")
    step = steps.add_parser("compare", help="compare the results of two processors")
    step.add_argument("results", type=Path, nargs=2, metavar="RESULTS.npz")
    chosen = parser.parse_args(arguments)
    if chosen.step == "render":
        render(chosen.images)
        return 0
    if chosen.step == "compute":
        started_s = time.process_time()
        results = compute(chosen.images, chosen.model)
        np.savez(chosen.results, **results)
        print(f"{platform.machine()}: {time.process_time() - started_s:.1f} s of processor time")
        return 0
    rows, is_same = compare(*({name: file[name] for name in file.files} for file in map(np.load, chosen.results)))
    print("\n".join(rows))
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
