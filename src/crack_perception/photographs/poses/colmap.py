# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Sparse models of COLMAP: ``cameras`` and ``images``, as text or binary.

COLMAP's pixel (0.5, 0.5) is the centre of the first pixel; its frame has neither a scale nor a direction unless the
model was aligned (``model_aligner``).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from crack_perception.errors import UserError
from crack_perception.geometry.camera.models import CameraModel
from crack_perception.geometry.poses.pose import Pose
from crack_perception.photographs.table import Array, PoseTable, TableEntry, Unusable, shift_of, shifted

FORMAT = "COLMAP"
NAMES = ("images.bin", "images.txt")

_MOST_BYTES = 4 << 30
_MOST_NAME_BYTES = 4096
_UNSCALED = (
    "a COLMAP model has no scale of its own: align it with model_aligner, or give the length of its unit with --scale"
)

_Row = tuple[int, str, int, int, tuple[float, ...]]

# Binary number -> name and number of parameters.
_MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
    11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
    12: ("SIMPLE_DIVISION", 4),
    13: ("DIVISION", 5),
    14: ("SIMPLE_FISHEYE", 3),
    15: ("FISHEYE", 4),
    16: ("EUCM", 6),
    17: ("EQUIRECTANGULAR", 2),
}
_ONE_FOCAL_LENGTH = frozenset(
    {"SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_FISHEYE"}
)
_UNSUPPORTED = frozenset(
    {
        "FOV",
        "THIN_PRISM_FISHEYE",
        "RAD_TAN_THIN_PRISM_FISHEYE",
        "SIMPLE_DIVISION",
        "DIVISION",
        "EUCM",
        "EQUIRECTANGULAR",
    }
)
# Bounds of what a camera of a model that is not in this list can be.
_MOST_MODEL, _MOST_PARAMETERS, _MOST_SIDE_PX = 200, 32, 1_000_000
_MOST_UNKNOWN_MODELS = 2


def read(path: Path, scale: float, wanted_m: Array | None) -> PoseTable:
    """Read a model.

    Args:
        path: ``images.txt`` or ``images.bin``, with ``cameras`` of the same kind beside it.
        scale: Metres per unit of the model.
        wanted_m: Coordinates [m] that become the origin; None: see ``shift_of``.

    Raises:
        UserError: A file is missing or is of another kind.
    """
    cameras_path = path.with_name(f"cameras{path.suffix}")
    for file in (path, cameras_path):
        if not file.is_file():
            raise UserError(f"{file}: no such file", "Give the folder of a COLMAP model with cameras and images")
        if file.stat().st_size > _MOST_BYTES:
            raise UserError(f"{file}: is larger than {_MOST_BYTES >> 30} GiB", "Give a model with fewer points")
    is_binary = path.suffix == ".bin"
    notes = [] if scale != 1.0 else [_UNSCALED]
    cameras: dict[int, CameraModel | Unusable] = {}
    try:
        for number, model, width_px, height_px, parameters in (_binary_cameras if is_binary else _text_cameras)(
            cameras_path
        ):
            cameras[number] = _camera(model, width_px, height_px, parameters)
    except (ValueError, struct.error) as error:
        raise UserError(
            f"{cameras_path}: is no list of cameras of COLMAP ({error})", "Export the model again"
        ) from error
    entries: dict[str, tuple[Pose, int]] = {}
    unusable: dict[str, Unusable] = {}
    try:
        for name, numbers, camera in (_binary_images if is_binary else _text_images)(path):
            try:
                world_to_camera = Pose.of(scale * np.array(numbers[4:]), [*numbers[1:4], numbers[0]])
                entries[name] = world_to_camera.inverse(), camera
            except ValueError as error:
                unusable[name] = Unusable("implausible_pose", str(error))
    except (ValueError, struct.error) as error:
        if not entries:
            raise UserError(f"{path}: is no list of images of COLMAP ({error})", "Export the model again") from error
        notes.append(f"{path.name} is damaged after {len(entries)} images ({error})")
    shift_m = shift_of(np.array([pose.position_m for pose, _ in entries.values()]).reshape(-1, 3), wanted_m)
    table: dict[str, TableEntry] = {}
    for name, (pose, number) in entries.items():
        camera_model = cameras.get(number, Unusable("no_camera", f"the model has no camera {number}"))
        if isinstance(camera_model, Unusable):
            unusable[name] = camera_model
        else:
            table[name] = TableEntry(shifted(pose, shift_m), camera_model, f"camera {number}")
    return PoseTable(FORMAT, table, unusable, None, shift_m, tuple(notes))


def _camera(model: str, width_px: int, height_px: int, parameters: tuple[float, ...]) -> CameraModel | Unusable:
    count = dict(_MODELS.values()).get(model)
    if count is None or model in _UNSUPPORTED:
        return Unusable("unsupported_camera", f"the camera model {model} is not supported")
    if len(parameters) != count:
        return Unusable("unsupported_camera", f"its camera has {len(parameters)} of {count} parameters of {model}")
    p = list(parameters)
    fx, fy, cx, cy, *lens = [p[0], *p] if model in _ONE_FOCAL_LENGTH else p
    if model in ("SIMPLE_PINHOLE", "PINHOLE"):
        name, d = "plumb_bob", []
    elif model in ("SIMPLE_RADIAL", "RADIAL"):
        name, d = "plumb_bob", [*lens, 0.0, 0.0, 0.0][:4]
    elif model == "OPENCV":
        name, d = "plumb_bob", lens
    elif model == "FULL_OPENCV":
        name, d = "rational_polynomial", lens
    else:
        name, d = "equidistant", [*lens, 0.0, 0.0, 0.0, 0.0][:4]
    k = [[fx, 0.0, cx - 0.5], [0.0, fy, cy - 0.5], [0.0, 0.0, 1.0]]
    try:
        return CameraModel.of(width_px, height_px, k, d, name)
    except UserError as error:
        return Unusable("unsupported_camera", error.problem)


def _text_cameras(path: Path) -> Iterator[_Row]:
    for line in _lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        number, model, width, height, *parameters = line.split()
        yield int(number), model, int(width), int(height), tuple(map(float, parameters))


def _text_images(path: Path) -> Iterator[tuple[str, tuple[float, ...], int]]:
    lines = (line for line in _lines(path) if not line.startswith("#"))
    for line in lines:
        fields = line.split(maxsplit=9)
        if not fields:
            continue
        if len(fields) < 10:
            raise ValueError(f"a line with {len(fields)} of 10 fields")
        yield fields[9].strip(), tuple(map(float, fields[1:8])), int(fields[8])
        next(lines, None)  # the image's points, possibly none


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from file


def _binary_cameras(path: Path) -> Iterator[_Row]:
    data = path.read_bytes()
    yield from _camera_rows(data, {number: size for number, (_, size) in _MODELS.items()}, 0)


def _camera_rows(data: bytes, sizes: Mapping[int, int], unknown_models: int) -> list[_Row]:
    """Return the cameras of a binary file.

    Args:
        data: Its bytes.
        sizes: Number of the model -> number of its parameters, which the file does not hold.
        unknown_models: Number of models in ``sizes`` whose size is tried: the one that is right leads to plausible
            cameras up to the end of the file.

    Raises:
        ValueError: The bytes hold something else.
    """
    (count,) = struct.unpack_from("<Q", data)
    at, rows = 8, []
    for _ in range(count):
        number, model, width, height = struct.unpack_from("<iiQQ", data, at)
        if not (0 <= model <= _MOST_MODEL and 0 < width <= _MOST_SIDE_PX and 0 < height <= _MOST_SIDE_PX):
            raise ValueError(f"a camera of model {model} with {width}x{height} px")
        if model not in sizes:
            if unknown_models < _MOST_UNKNOWN_MODELS:
                for size in range(1, _MOST_PARAMETERS + 1):
                    with suppress(ValueError, struct.error):
                        return _camera_rows(data, {**sizes, model: size}, unknown_models + 1)
            raise ValueError(f"the camera model number {model} is unknown")
        name = _MODELS[model][0] if model in _MODELS else f"number {model}"
        rows.append((number, name, width, height, struct.unpack_from(f"<{sizes[model]}d", data, at + 24)))
        at += 24 + 8 * sizes[model]
    if unknown_models and at != len(data):
        raise ValueError(f"{len(data) - at} bytes after its {count} cameras")
    return rows


def _binary_images(path: Path) -> Iterator[tuple[str, tuple[float, ...], int]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        (count,) = struct.unpack("<Q", file.read(8))
        for _ in range(count):
            fields = struct.unpack("<I7dI", file.read(64))
            name = bytearray()
            while (character := file.read(1)) != b"\x00":
                if not character or len(name) > _MOST_NAME_BYTES:
                    raise ValueError("an image's name does not end")
                name += character
            (points,) = struct.unpack("<Q", file.read(8))
            if points * 24 > size:
                raise ValueError(f"an image with {points} points")
            file.seek(24 * points, 1)
            yield name.decode("utf-8", "replace"), fields[1:8], fields[8]
